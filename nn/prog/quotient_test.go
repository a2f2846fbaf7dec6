package prog

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// quotientProgram draws a program with quotients by a shared or an own denominator, read through one map or several.
func quotientProgram(r *rand.Rand) *Program {
	in, h := 2+r.IntN(3), 2+r.IntN(4)
	b := NewBuilder(in)
	mat := func(m, n int) Linear {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = float64(r.IntN(9)-4) / 4
		}
		return Dense(m, n, w)
	}
	num := b.Affine("n", h, nil, 0, Term{0, mat(h, in)})
	dens := 1
	if r.IntN(2) == 0 {
		dens = 2
	}
	two := []float64{2, 3}[:dens]
	rec := b.Curve("r", Reciprocal, b.Affine("s", dens, two, 0, Term{b.Curve("q", Square, b.Affine("z", dens, nil, 0, Term{0, mat(dens, in)})), Identity(dens)}))
	sel := make([]int32, h)
	for i := range sel {
		sel[i] = int32(r.IntN(dens))
	}
	wide := b.Affine("wide", h, nil, 0, Term{rec, Index(dens, sel)})
	q := b.Product("div", num, wide)
	if r.IntN(2) == 0 {
		q = b.Product("div", wide, num)
	}
	w := mat(1+r.IntN(h+1), h)
	n, _ := w.Dims()
	bias := make([]float64, n)
	bias[0] = 0.5
	y := b.Affine("y", n, bias, r.IntN(2), Term{q, w}, Term{0, mat(n, in)})
	if r.IntN(3) == 0 {
		y = b.Affine("again", n, nil, 0, Term{y, Identity(n)}, Term{q, mat(n, h)})
	}
	if r.IntN(4) == 0 {
		y = q
	}
	p, err := b.Program(y)
	if err != nil {
		panic(err)
	}
	return p
}

// TestCentreQuotientsIsExact compares the rewritten program with the original in rational arithmetic at other points than the
// one it was centred at, and checks that it did move the numerator to 0 there.
func TestCentreQuotientsIsExact(t *testing.T) {
	moved := 0
	for s := range uint64(1000) {
		r := rand.New(rand.NewPCG(s, 9))
		p := quotientProgram(r)
		x := make([]float64, p.Nodes[0].N)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		c := CentreQuotients(p, x)
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if c == p {
			t.Fatalf("seed %d: no quotient found", s)
		}
		v := c.Eval(x, 1, nil)
		for k := range c.Nodes {
			if n := &c.Nodes[k]; n.Kind == Product {
				moved++
				for _, num := range v[n.Src] {
					if num > 1e-9 || num < -1e-9 {
						t.Fatalf("seed %d: numerator %v at the centre", s, num)
					}
				}
			}
		}
		for range 3 {
			for i := range x {
				x[i] = float64(r.IntN(17)-8) / 8
			}
			want, got := exactEval(p, x)[p.Output], exactEval(c, x)[c.Output]
			for i := range want {
				if want[i].Cmp(got[i]) != 0 {
					d, _ := new(big.Rat).Sub(want[i], got[i]).Float64()
					t.Fatalf("seed %d: output %d differs by %g", s, i, d)
				}
			}
		}
	}
	if moved < 1000 {
		t.Errorf("only %d quotients in 1000 programs", moved)
	}
}

// TestCentreQuotientsLeavesOthers: a program without quotients is returned as it is, whatever its products.
func TestCentreQuotientsLeavesOthers(t *testing.T) {
	b := NewBuilder(2)
	p, err := b.Program(b.Product("p", 0, b.Curve("c", Square, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if CentreQuotients(p, []float64{1, 2}) != p {
		t.Error("a program without quotients was rewritten")
	}
}

// TestCentreQuotientsMovesTheMap: Σ w·(x/s) becomes one product.
func TestCentreQuotientsMovesTheMap(t *testing.T) {
	b := NewBuilder(3)
	s := b.Affine("s", 1, []float64{4}, 0, Term{0, Dense(1, 3, []float64{1, 1, 1})})
	r := b.Affine("r", 3, nil, 0, Term{b.Curve("r", Reciprocal, s), Index(1, []int32{0, 0, 0})})
	p, err := b.Program(b.Affine("y", 1, nil, 0, Term{b.Product("q", 0, r), Dense(1, 3, []float64{1, 2, 3})}))
	if err != nil {
		t.Fatal(err)
	}
	c := CentreQuotients(p, []float64{1, 0, 0})
	for k := range c.Nodes {
		if n := &c.Nodes[k]; n.Kind == Product && n.N != 1 {
			t.Errorf("the product has %d elements, want 1", n.N)
		}
	}
}
