package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Clip",
	Doc:  "min(max(x, lo), hi), elementwise, lo and hi constant or absent, as lo + relu(x−lo) − relu(x−hi)",
	Eval: arity(1, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		lo, hi, err := clipLimits(n, in[1], in[2])
		if err != nil {
			return nil, err
		}
		return mapUnary(n, in, func(v float64) float64 { return min(max(v, lo), hi) })
	}),
	Lower: pad(3, func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		if !in[0].variable() || in[1].variable() || in[2].variable() {
			return nil, unsupported(n, "a limit depends on the input")
		}
		lo, hi, err := clipLimits(n, in[1].Const, in[2].Const)
		if err != nil {
			return nil, err
		}
		return lowerClip(n, b, in[0], lo, hi)
	}),
	Example: func(r *rand.Rand) Example {
		lo := randTensor(r)
		hi := randTensor(r)
		ex := example("Clip", 13, nil, randTensor(r, 2, 3), lo, hi)
		switch r.IntN(4) {
		case 0:
			ex.In[1] = nil
		case 1:
			ex.In[2] = nil
		case 2:
			ex = example("Clip", 6, map[string]Attr{"min": {F: -0.5}, "max": {F: 1}}, ex.In[0])
		}
		return ex
	},
})

// clipLimits reads the limits from attributes (before opset 11) or inputs; absent ones are infinite.
func clipLimits(n *Node, lo, hi *Tensor) (l, h float64, err error) {
	l, h = math.Inf(-1), math.Inf(1)
	if n.Opset < 11 {
		return n.float("min", l), n.float("max", h), nil
	}
	for _, t := range []*Tensor{lo, hi} {
		if t != nil && len(t.Data) != 1 {
			return 0, 0, errorf(n, "limit has shape %v, want a scalar", t.Shape)
		}
	}
	if lo != nil {
		l = lo.Data[0]
	}
	if hi != nil {
		h = hi.Data[0]
	}
	return l, h, nil
}

// lowerClip is exact over the reals: all coefficients are ±1 and the biases are the file's limits.
func lowerClip(n *Node, b *prog.Builder, z Value, lo, hi float64) ([]Value, error) {
	size := Size(z.Shape)
	noLo, noHi := math.IsInf(lo, -1), math.IsInf(hi, 1)
	shifted := func(c float64) Value {
		k := z.Node
		if c != 0 {
			k = b.Affine(n.Name, size, constant(-c, size), 0, term(z, z.Shape, 1))
		}
		return Value{Node: b.Relu(n.Name, k), Shape: z.Shape}
	}
	var k int
	switch {
	case lo != lo || hi != hi || math.IsInf(lo, 1) || math.IsInf(hi, -1):
		return nil, unsupported(n, "limits %g, %g", lo, hi)
	case noLo && noHi:
		k = z.Node
	case noLo:
		k = b.Affine(n.Name, size, nil, 0, term(z, z.Shape, 1), term(shifted(hi), z.Shape, -1))
	case noHi && lo == 0:
		k = shifted(0).Node
	case noHi:
		k = b.Affine(n.Name, size, constant(lo, size), 0, term(shifted(lo), z.Shape, 1))
	case lo >= hi:
		k = b.Affine(n.Name, size, constant(hi, size), 0)
	default:
		k = b.Affine(n.Name, size, constant(lo, size), 0, term(shifted(lo), z.Shape, 1), term(shifted(hi), z.Shape, -1))
	}
	return node(k, z.Shape), nil
}

var _ = register(&Spec{
	Name: "HardSigmoid",
	Doc:  "min(max(alpha·x + beta, 0), 1), elementwise",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		alpha, beta := hardSigmoid(n)
		return mapUnary(n, in, func(v float64) float64 { return min(max(alpha*v+beta, 0), 1) })
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		alpha, beta := hardSigmoid(n)
		if !finite([]float64{alpha, beta}) {
			return nil, unsupported(n, "alpha or beta is NaN or infinite")
		}
		shape := in[0].Shape
		k := b.Affine(n.Name, Size(shape), constant(beta, Size(shape)), 0, term(in[0], shape, alpha))
		return lowerClip(n, b, Value{Node: k, Shape: shape}, 0, 1)
	},
	Example: func(r *rand.Rand) Example { return example("HardSigmoid", 6, nil, randTensor(r, 2, 3)) },
})

func hardSigmoid(n *Node) (alpha, beta float64) {
	return n.float("alpha", float64(float32(0.2))), n.float("beta", 0.5)
}
