package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Where",
	Doc:  "a where the condition holds, b elsewhere, with broadcasting; bounded when the condition is constant",
	Eval: arity(3, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		shape, err := broadcastShape(n, in[1].Shape, in[2].Shape)
		if err == nil {
			shape, err = broadcastShape(n, in[0].Shape, shape)
		}
		if err != nil {
			return nil, err
		}
		out, err := newTensor(n, in[1].Type, shape)
		if err != nil {
			return nil, err
		}
		c, x, y := spread(in[0], shape), spread(in[1], shape), spread(in[2], shape)
		for i := range out.Data {
			if c[i] != 0 {
				out.Data[i] = x[i]
			} else {
				out.Data[i] = y[i]
			}
		}
		return []*Tensor{out}, nil
	}),
	Lower: lowerWhere,
	Example: func(r *rand.Rand) Example {
		c := &Tensor{Type: Bool, Shape: []int{2, 1}, Data: []float64{1, 0}}
		ex := example("Where", 16, nil, c, randTensor(r, 2, 3), randTensor(r, 3))
		ex.Const = [][]bool{{true, false, true}, {true, true, false}, {true, false, false}}[r.IntN(3)]
		return ex
	},
})

// lowerWhere picks rows of either operand by index maps, constants through the bias. Exact.
func lowerWhere(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
	if in[0].Const == nil {
		return nil, unsupported(n, "the condition depends on the input")
	}
	shape := out[0]
	cond := spread(in[0].Const, shape)
	var bias []float64
	var terms []prog.Term
	for side, v := range in[1:3] {
		pick := func(i int) bool { return (cond[i] != 0) == (side == 0) }
		if v.variable() {
			terms = append(terms, pickTerm(v, shape, pick))
			continue
		}
		if bias == nil {
			bias = make([]float64, len(cond))
		}
		for i, x := range spread(v.Const, shape) {
			if pick(i) {
				bias[i] = x
			}
		}
	}
	if !finite(bias) {
		return nil, unsupported(n, "a constant operand is NaN or infinite")
	}
	return node(b.Affine(n.Name, len(cond), bias, 0, terms...), shape), nil
}

// pickTerm returns v broadcast to shape where pick holds and 0 elsewhere.
func pickTerm(v Value, shape []int, pick func(i int) bool) prog.Term {
	idx := broadcastIndex(v.Shape, shape)
	if idx == nil {
		idx = iota32(Size(shape))
	}
	for i := range idx {
		if !pick(i) {
			idx[i] = -1
		}
	}
	return prog.Term{Src: v.Node, Map: prog.Index(Size(v.Shape), idx)}
}
