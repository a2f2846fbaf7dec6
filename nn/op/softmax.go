package op

import (
	"math"
	"math/rand/v2"
)

var _ = registerSoftmax("Softmax", "e^x divided by its sum over an axis (before opset 13: over all axes from axis on; not bounded)",
	func(v, top, sum float64) float64 { return math.Exp(v-top) / sum })

var _ = registerSoftmax("LogSoftmax", "logarithm of Softmax (not bounded)",
	func(v, top, sum float64) float64 { return v - top - math.Log(sum) })

func registerSoftmax(name, doc string, f func(v, top, sum float64) float64) *Spec {
	return register(&Spec{
		Name: name,
		Doc:  doc,
		Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
			outer, size, inner, err := softmaxAxes(n, in[0].Shape)
			if err != nil {
				return nil, err
			}
			t := &Tensor{Type: in[0].Type, Shape: in[0].Shape, Data: make([]float64, len(in[0].Data))}
			for o := range outer {
				for i := range inner {
					softmax(t.Data[o*size*inner+i:], in[0].Data[o*size*inner+i:], size, inner, f)
				}
			}
			return []*Tensor{t}, nil
		}),
		Example: func(r *rand.Rand) Example {
			opset := []int{11, 13}[r.IntN(2)]
			return example(name, opset, map[string]Attr{"axis": {I: int64(r.IntN(3))}}, randTensor(r, 2, 3, 4))
		},
	})
}

// softmaxAxes returns how many groups there are before the axis, its size, and the distance of its elements.
func softmaxAxes(n *Node, shape []int) (outer, size, inner int, err error) {
	def := int64(-1)
	if n.Opset < 13 {
		def = 1
	}
	a := n.int("axis", def)
	if n.Opset < 13 && a == int64(len(shape)) {
		return Size(shape), 1, 1, nil
	}
	axis, err := axisOf(n, a, len(shape))
	if err != nil {
		return 0, 0, 0, err
	}
	if n.Opset < 13 {
		return Size(shape[:axis]), Size(shape[axis:]), 1, nil
	}
	outer, size, inner = Size(shape[:axis]), shape[axis], Size(shape[axis+1:])
	if size == 0 {
		outer = 0
	}
	return outer, size, inner, nil
}

// softmax computes one group of size elements, stride apart, subtracting the largest before the exponential.
func softmax(dst, x []float64, size, stride int, f func(v, top, sum float64) float64) {
	top, sum := math.Inf(-1), 0.0
	for k := range size {
		top = max(top, x[k*stride])
	}
	for k := range size {
		sum += math.Exp(x[k*stride] - top)
	}
	for k := range size {
		dst[k*stride] = f(x[k*stride], top, sum)
	}
}
