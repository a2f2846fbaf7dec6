package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

// Products, quotients and powers of values that depend on the input, over the program's Product and Curve nodes.

// broadcastNode returns a program node that holds v broadcast to shape out, v's own where nothing changes.
func broadcastNode(n *Node, b *prog.Builder, v Value, out []int) int {
	if Size(v.Shape) == Size(out) {
		return v.Node
	}
	return b.Affine(n.Name, Size(out), nil, 0, term(v, out, 1))
}

// lowerProduct appends x·y with broadcasting; a value times itself is a square, whose bounds are tighter.
func lowerProduct(n *Node, b *prog.Builder, x, y Value, out []int) int {
	l, r := broadcastNode(n, b, x, out), broadcastNode(n, b, y, out)
	if l == r {
		return b.Curve(n.Name, prog.Square, l)
	}
	return b.Product(n.Name, l, r)
}

// lowerQuotient appends x/y for a y that depends on the input; one reciprocal serves all elements it is broadcast to.
func lowerQuotient(n *Node, b *prog.Builder, x, y Value, out []int) ([]Value, error) {
	r := Value{Node: b.Curve(n.Name, prog.Reciprocal, y.Node), Shape: y.Shape}
	if x.variable() {
		return node(lowerProduct(n, b, x, r, out), out), nil
	}
	if err := realConst(n, x.Const); err != nil {
		return nil, err
	}
	return node(b.Affine(n.Name, Size(out), nil, 0, scaledTerm(r, out, spread(x.Const, out))), out), nil
}

// lowerPower appends x^e for one exponent e.
func lowerPower(n *Node, b *prog.Builder, x Value, exponents []float64, out []int) ([]Value, error) {
	for _, e := range exponents {
		if e != exponents[0] {
			return nil, unsupported(n, "several exponents")
		}
	}
	if len(exponents) == 0 {
		return nil, unsupported(n, "no exponent")
	}
	k := broadcastNode(n, b, x, out)
	switch exponents[0] {
	case 1:
		return node(k, out), nil
	case 2:
		return node(b.Curve(n.Name, prog.Square, k), out), nil
	case 3:
		return node(b.Curve(n.Name, prog.Cube, k), out), nil
	case -1:
		return node(b.Curve(n.Name, prog.Reciprocal, k), out), nil
	}
	return nil, unsupported(n, "exponent %g", exponents[0])
}

var _ = register(&Spec{
	Name: "Reciprocal",
	Doc:  "1/x, elementwise; x must be bounded away from zero",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return mapUnary(n, in, func(v float64) float64 { return 1 / v })
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return node(b.Curve(n.Name, prog.Reciprocal, in[0].Node), in[0].Shape), nil
	},
	Example: func(r *rand.Rand) Example {
		t := randTensor(r, 2, 3)
		for i, v := range t.Data {
			t.Data[i] = 0.125 + math.Abs(v)
		}
		return example("Reciprocal", 13, nil, t)
	},
})

// maxProducts bounds the elementwise products that a matrix product of two variables becomes.
const maxProducts = 1 << 20

// lowerProducts appends scale·a·b + bias for two variables: every product of entries is one element of a Product node.
func (p *matmul) lowerProducts(n *Node, bd *prog.Builder, a, b Value, scale float64, bias []float64, rel int) (int, error) {
	outs := len(p.aOff) * p.m * p.n
	if p.k > 0 && outs > maxProducts/p.k {
		return 0, unsupported(n, "more than %d products of variables", maxProducts)
	}
	l, r := make([]int32, 0, outs*p.k), make([]int32, 0, outs*p.k)
	var sum csr
	for t := range p.aOff {
		for i := range p.m {
			for j := range p.n {
				for q := range p.k {
					sum.add(int32(len(l)), scale)
					l = append(l, p.aOff[t]+int32(i*p.ai+q*p.al))
					r = append(r, p.bOff[t]+int32(q*p.bl+j*p.bj))
				}
				sum.endRow()
			}
		}
	}
	x := bd.Affine(n.Name, len(l), nil, 0, prog.Term{Src: a.Node, Map: prog.Index(Size(a.Shape), l)})
	y := bd.Affine(n.Name, len(r), nil, 0, prog.Term{Src: b.Node, Map: prog.Index(Size(b.Shape), r)})
	z := bd.Product(n.Name, x, y)
	return bd.Affine(n.Name, outs, bias, rel, prog.Term{Src: z, Map: sum.linear(len(l))}), nil
}

var _ = register(&Spec{
	Name: "Exp",
	Doc:  "e^x, elementwise",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return mapUnary(n, in, math.Exp) }),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return node(b.Curve(n.Name, prog.Exp, in[0].Node), in[0].Shape), nil
	},
	Example: func(r *rand.Rand) Example { return example("Exp", 13, nil, randTensor(r, 2, 3)) },
})
