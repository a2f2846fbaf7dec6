package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Relu",
	Doc:  "max(x, 0), elementwise",
	Eval: func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return mapUnary(n, in, func(v float64) float64 { return max(v, 0) })
	},
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return []Value{{Node: b.Relu(n.Name, in[0].Node), Shape: out[0]}}, nil
	},
	Example: func(r *rand.Rand) Example {
		return Example{Node: Node{Type: "Relu", Opset: 13}, In: []*Tensor{randTensor(r, 2, 3)}, Const: []bool{false}}
	},
})
