package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = registerSoftmax("Softmax", "e^x divided by its sum over an axis (before opset 13: over all axes from axis on), as 1/Σ_j e^(x_j − x_i)",
	func(v, top, sum float64) float64 { return math.Exp(v-top) / sum }, lowerSoftmax)

var _ = registerSoftmax("LogSoftmax", "logarithm of Softmax (not bounded)",
	func(v, top, sum float64) float64 { return v - top - math.Log(sum) }, nil)

// KeepsOrder reports whether n is a Softmax or LogSoftmax over all elements of an operand of the given shape: in real arithmetic its
// outputs are then ordered, and tied, as its inputs are.
func KeepsOrder(n *Node, shape []int) bool {
	if n.Type != "Softmax" && n.Type != "LogSoftmax" {
		return false
	}
	outer, _, inner, err := softmaxAxes(n, shape)
	return err == nil && outer == 1 && inner == 1
}

func registerSoftmax(name, doc string, f func(v, top, sum float64) float64, lower lowerFunc) *Spec {
	return register(&Spec{
		Name:  name,
		Doc:   doc,
		Lower: lower,
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

// lowerSoftmax appends 1/Σ_j e^(x_j − x_i), which is the same function: differences within a group are bounded tightly where the
// elements move together, and no exponential has to be divided by another.
func lowerSoftmax(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
	if !in[0].variable() {
		return nil, unsupported(n, "no variable operand")
	}
	shape := in[0].Shape
	outer, size, inner, err := softmaxAxes(n, shape)
	if err != nil {
		return nil, err
	}
	total := outer * size * inner
	if size > 0 && total > maxProducts/size {
		return nil, unsupported(n, "more than %d exponentials", maxProducts)
	}
	var diff, sum csr
	at := int32(0)
	for e := range total {
		base := e - e/inner%size*inner // the group's first element
		for j := range size {
			if k := base + j*inner; k != e {
				diff.add(int32(k), 1)
				diff.add(int32(e), -1)
			}
			diff.endRow()
			sum.add(at, 1)
			at++
		}
		sum.endRow()
	}
	d := b.Affine(n.Name, int(at), nil, 0, prog.Term{Src: in[0].Node, Map: diff.linear(total)})
	s := b.Affine(n.Name, total, nil, 0, prog.Term{Src: b.Curve(n.Name, prog.Exp, d), Map: sum.linear(int(at))})
	return node(b.Curve(n.Name, prog.Reciprocal, s), shape), nil
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
