package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Mul",
	Doc:  "a·b with broadcasting",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return one(mapBinary(n, 0, in[0], in[1], func(x, y float64) float64 { return x * y }))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		v, c := in[0], in[1]
		if !v.variable() {
			v, c = c, v
		}
		if !v.variable() || !c.variable() && c.Const == nil {
			return nil, unsupported(n, "a factor is missing")
		}
		if c.variable() {
			return node(lowerProduct(n, b, v, c, out[0]), out[0]), nil
		}
		if err := realConst(n, c.Const); err != nil {
			return nil, err
		}
		k := b.Affine(n.Name, Size(out[0]), nil, 0, scaledTerm(v, out[0], spread(c.Const, out[0])))
		return node(k, out[0]), nil
	},
	Example: func(r *rand.Rand) Example { return binaryExample(r, "Mul", false) },
})

var _ = register(&Spec{
	Name: "Div",
	Doc:  "a/b with broadcasting (integers truncate toward zero), as a product with the reciprocal; a denominator must be bounded away from zero",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		if in[0].Type.integer() {
			for _, d := range in[1].Data {
				if d == 0 {
					return nil, errorf(n, "integer division by zero")
				}
			}
			return one(mapBinary(n, 0, in[0], in[1], func(x, y float64) float64 { return math.Trunc(x / y) }))
		}
		return one(mapBinary(n, 0, in[0], in[1], func(x, y float64) float64 { return x / y }))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		if in[1].variable() {
			return lowerQuotient(n, b, in[0], in[1], out[0])
		}
		if err := realConst(n, in[1].Const); err != nil {
			return nil, err
		}
		var e rounding
		s := make([]float64, len(in[1].Const.Data))
		for i, d := range in[1].Const.Data {
			s[i] = e.div(1, d)
		}
		if e.bad {
			return nil, unsupported(n, "a denominator is zero or out of range")
		}
		c := &Tensor{Type: Float64, Shape: in[1].Const.Shape, Data: s}
		k := b.Affine(n.Name, Size(out[0]), nil, e.rel, scaledTerm(in[0], out[0], spread(c, out[0])))
		return node(k, out[0]), nil
	},
	Example: func(r *rand.Rand) Example {
		d := randTensor(r, 3)
		for i := range d.Data {
			d.Data[i] = 0.5 + math.Abs(d.Data[i])
		}
		return example("Div", 13, nil, randTensor(r, 2, 3), d)
	},
})

var _ = register(&Spec{
	Name: "Pow",
	Doc:  "a^b with broadcasting; bounded when all exponents are the same constant 1, 2, 3 or −1",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		t := in[0].Type
		return one(mapBinary(n, 0, in[0], in[1], func(x, y float64) float64 {
			p := math.Pow(x, y)
			if t.integer() {
				p = math.Trunc(p)
			}
			return p
		}))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		if in[1].Const == nil || !in[0].variable() {
			return nil, unsupported(n, "the exponent depends on the input")
		}
		return lowerPower(n, b, in[0], in[1].Const.Data, out[0])
	},
	Example: func(r *rand.Rand) Example {
		e := randTensor(r)
		e.Data[0] = float64(1 + r.IntN(3))
		return example("Pow", 13, nil, randTensor(r, 2, 3), e)
	},
})
