package op

import (
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "LeakyRelu",
	Doc:  "x where x ≥ 0, alpha·x elsewhere (alpha defaults to 0.01), as alpha·x + (1−alpha)·relu(x)",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		alpha := n.float("alpha", float64(float32(0.01)))
		return mapUnary(n, in, func(v float64) float64 { return leaky(v, alpha) })
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		s := constant(n.float("alpha", float64(float32(0.01))), Size(in[0].Shape))
		return lowerLeaky(n, b, in[0], s)
	},
	Example: func(r *rand.Rand) Example {
		return example("LeakyRelu", 16, map[string]Attr{"alpha": {F: float64(r.Float32())}}, randTensor(r, 2, 3))
	},
})

var _ = register(&Spec{
	Name: "PRelu",
	Doc:  "x where x ≥ 0, slope·x elsewhere; bounded when the slope is constant",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		t, err := mapBinary(n, 0, in[0], in[1], leaky)
		if err == nil && !slices.Equal(t.Shape, in[0].Shape) {
			err = errorf(n, "slope %v does not broadcast to %v", in[1].Shape, in[0].Shape)
		}
		return one(t, err)
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		if in[1].Const == nil || !in[0].variable() {
			return nil, unsupported(n, "the slope depends on the input")
		}
		if err := realConst(n, in[1].Const); err != nil {
			return nil, err
		}
		return lowerLeaky(n, b, in[0], spread(in[1].Const, in[0].Shape))
	},
	Example: func(r *rand.Rand) Example {
		return example("PRelu", 16, nil, randTensor(r, 1, 3, 2, 2), randTensor(r, 3, 1, 1))
	},
})

func leaky(v, slope float64) float64 {
	if v < 0 {
		return slope * v
	}
	return v
}

// lowerLeaky appends s·z + (1−s)·relu(z). Sound: the identity is exact over the reals for every slope, and rel accounts for
// the one rounding of 1−s.
func lowerLeaky(n *Node, b *prog.Builder, z Value, s []float64) ([]Value, error) {
	var e rounding
	rest := make([]float64, len(s))
	for i, a := range s {
		rest[i] = e.oneMinus(a)
	}
	if e.bad {
		return nil, unsupported(n, "slope out of range")
	}
	r := b.Relu(n.Name, z.Node)
	k := b.Affine(n.Name, len(s), nil, e.rel,
		scaledTerm(z, z.Shape, s),
		scaledTerm(Value{Node: r, Shape: z.Shape}, z.Shape, rest))
	return node(k, z.Shape), nil
}
