package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Relu",
	Doc:  "max(x, 0), elementwise",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return mapUnary(n, in, func(v float64) float64 { return max(v, 0) })
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return node(b.Relu(n.Name, in[0].Node), in[0].Shape), nil
	},
	Example: func(r *rand.Rand) Example {
		return example("Relu", 13, nil, randTensor(r, 2, 3))
	},
})
