package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Abs",
	Doc:  "|x|, elementwise, as 2·relu(x) − x",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return mapUnary(n, in, math.Abs) }),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		z := in[0]
		r := Value{Node: b.Relu(n.Name, z.Node), Shape: z.Shape}
		return node(b.Affine(n.Name, Size(z.Shape), nil, 0, term(r, z.Shape, 2), term(z, z.Shape, -1)), z.Shape), nil
	},
	Example: func(r *rand.Rand) Example { return example("Abs", 13, nil, randTensor(r, 2, 3)) },
})

var _ = register(&Spec{
	Name: "Neg",
	Doc:  "−x, elementwise",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return mapUnary(n, in, func(v float64) float64 { return -v })
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		z := in[0]
		return node(b.Affine(n.Name, Size(z.Shape), nil, 0, term(z, z.Shape, -1)), z.Shape), nil
	},
	Example: func(r *rand.Rand) Example { return example("Neg", 13, nil, randTensor(r, 2, 3)) },
})
