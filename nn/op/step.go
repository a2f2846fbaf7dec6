package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

// Step functions: bounded by constants, so a network of them is verified by splitting inputs only.
var (
	_ = registerStep("Sign", "−1, 0 or 1", prog.Sign)
	_ = registerStep("Floor", "largest integer not above", prog.Floor)
)

func registerStep(name, doc string, f prog.Fn) *Spec {
	return register(&Spec{
		Name: name,
		Doc:  doc + ", elementwise",
		Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return mapUnary(n, in, f.Value) }),
		Lower: func(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
			return node(b.Curve(n.Name, f, in[0].Node), in[0].Shape), nil
		},
		Example: func(r *rand.Rand) Example { return example(name, 13, nil, randTensor(r, 2, 3)) },
	})
}
