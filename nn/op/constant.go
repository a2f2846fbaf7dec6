package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Constant",
	Doc:  "the tensor in an attribute",
	Eval: arity(0, 0, func(n *Node, _ []*Tensor) ([]*Tensor, error) {
		if a, ok := n.Attrs["value"]; ok && a.T != nil {
			return arity(1, 1, func(_ *Node, in []*Tensor) ([]*Tensor, error) { return in, nil })(n, []*Tensor{a.T})
		}
		if a, ok := n.Attrs["value_float"]; ok {
			return []*Tensor{{Type: Float32, Shape: []int{}, Data: []float64{a.F}}}, nil
		}
		if a, ok := n.Attrs["value_int"]; ok {
			return []*Tensor{{Type: Int64, Shape: []int{}, Data: []float64{float64(a.I)}}}, nil
		}
		if a, ok := n.Attrs["value_floats"]; ok {
			return []*Tensor{{Type: Float32, Shape: []int{len(a.Fs)}, Data: a.Fs}}, nil
		}
		if a, ok := n.Attrs["value_ints"]; ok {
			return []*Tensor{intTensor(a.Is...)}, nil
		}
		return nil, unsupported(n, "no dense numeric value")
	}),
	Example: func(r *rand.Rand) Example {
		return example("Constant", 13, map[string]Attr{"value": {T: randTensor(r, 2)}})
	},
})

var _ = register(&Spec{
	Name: "ConstantOfShape",
	Doc:  "a tensor of a given shape filled with the attribute value (0 by default)",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		shape, err := dims(n, int64s(in[0]))
		if err != nil {
			return nil, err
		}
		kind, fill := Float32, 0.0
		if v := n.Attrs["value"].T; v != nil {
			if len(v.Data) != 1 {
				return nil, errorf(n, "value of shape %v", v.Shape)
			}
			kind, fill = v.Type, v.Data[0]
		}
		t, err := newTensor(n, kind, shape)
		if err != nil {
			return nil, err
		}
		for i := range t.Data {
			t.Data[i] = fill
		}
		return []*Tensor{t}, nil
	}),
	Example: func(r *rand.Rand) Example { return example("ConstantOfShape", 9, nil, intTensor(2, 3)) },
})

var _ = register(&Spec{
	Name: "Range",
	Doc:  "start, start+delta, … before limit",
	Eval: arity(3, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		for i, t := range in {
			if len(t.Data) != 1 {
				return nil, errorf(n, "input %d has shape %v, want a scalar", i, t.Shape)
			}
		}
		start, limit, delta := in[0].Data[0], in[1].Data[0], in[2].Data[0]
		count := math.Max(math.Ceil((limit-start)/delta), 0)
		if !(count <= MaxElements) {
			return nil, errorf(n, "from %g to %g by %g", start, limit, delta)
		}
		t, err := newTensor(n, in[0].Type, []int{int(count)})
		if err != nil {
			return nil, err
		}
		for i := range t.Data {
			t.Data[i] = start + float64(i)*delta
		}
		return []*Tensor{t}, nil
	}),
	Example: func(r *rand.Rand) Example {
		scalar := func(v float64) *Tensor { return &Tensor{Type: Int64, Shape: []int{}, Data: []float64{v}} }
		return example("Range", 11, nil, scalar(10), scalar(1), scalar(-3))
	},
})

var _ = register(&Spec{
	Name: "Shape",
	Doc:  "the shape as a vector, or its part from start to end",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return []*Tensor{shapeOf(n, in[0].Shape)}, nil
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		t := shapeOf(n, in[0].Shape)
		return []Value{{Const: t, Shape: t.Shape}}, nil
	},
	Example: func(r *rand.Rand) Example {
		return example("Shape", 15, map[string]Attr{"start": {I: -2}}, randTensor(r, 2, 3, 4))
	},
})

func shapeOf(n *Node, shape []int) *Tensor {
	rank := int64(len(shape))
	clamp := func(a int64) int64 {
		if a < 0 {
			a += rank
		}
		return min(max(a, 0), rank)
	}
	start, end := clamp(n.int("start", 0)), clamp(n.int("end", rank))
	t := &Tensor{Type: Int64, Shape: []int{int(max(end-start, 0))}, Data: []float64{}}
	for i := start; i < end; i++ {
		t.Data = append(t.Data, float64(shape[i]))
	}
	return t
}

var _ = register(&Spec{
	Name: "Size",
	Doc:  "the number of elements",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return []*Tensor{sizeTensor(len(in[0].Data))}, nil
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return []Value{{Const: sizeTensor(Size(in[0].Shape)), Shape: []int{}}}, nil
	},
	Example: func(r *rand.Rand) Example { return example("Size", 13, nil, randTensor(r, 2, 3)) },
})

func sizeTensor(n int) *Tensor {
	return &Tensor{Type: Int64, Shape: []int{}, Data: []float64{float64(n)}}
}
