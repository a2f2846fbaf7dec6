package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Sigmoid",
	Doc:  "1/(1+e^{−x}), elementwise",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return mapUnary(n, in, func(v float64) float64 { return 1 / (1 + math.Exp(-v)) })
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return node(b.Sigmoid(n.Name, in[0].Node), in[0].Shape), nil
	},
	Example: func(r *rand.Rand) Example { return example("Sigmoid", 13, nil, randTensor(r, 2, 3)) },
})

var _ = register(&Spec{
	Name: "Tanh",
	Doc:  "tanh(x), elementwise, as 2·sigmoid(2x) − 1",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return mapUnary(n, in, math.Tanh) }),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		shape := in[0].Shape
		size := Size(shape)
		z := b.Affine(n.Name, size, nil, 0, term(in[0], shape, 2))
		s := Value{Node: b.Sigmoid(n.Name, z), Shape: shape}
		return node(b.Affine(n.Name, size, constant(-1, size), 0, term(s, shape, 2)), shape), nil
	},
	Example: func(r *rand.Rand) Example { return example("Tanh", 13, nil, randTensor(r, 2, 3)) },
})
