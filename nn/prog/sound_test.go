package prog

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// awkward draws ±m·2^e with few or many bits and a wide range of e.
func awkward(r *rand.Rand, spread int) float64 {
	m := 1 + r.Float64()
	if r.IntN(2) == 0 {
		m = 1 + float64(r.IntN(4))/4
	}
	if r.IntN(2) == 0 {
		m = -m
	}
	return math.Ldexp(m, r.IntN(2*spread+1)-spread)
}

// cancellingProgram is a small program whose sums cancel to their last bits, with pre-activations that also enter later layers.
func cancellingProgram(r *rand.Rand, t *testing.T) *Program {
	spread := []int{0, 4, 30, 120}[r.IntN(4)]
	b := NewBuilder(1 + r.IntN(4))
	draw := func(n int) []float64 {
		w := make([]float64, n)
		for i := range w {
			w[i] = awkward(r, spread)
			if i > 0 && r.IntN(2) == 0 {
				w[i] = -w[r.IntN(i)] * (1 + float64(r.IntN(5)-2)*0x1p-51)
			}
		}
		return w
	}
	cur, pre := 0, 0
	for range 1 + r.IntN(4) {
		m := 1 + r.IntN(4)
		terms := []Term{{cur, Dense(m, b.N(cur), draw(m*b.N(cur)))}}
		if r.IntN(2) == 0 {
			terms = append(terms, Term{pre, Dense(m, b.N(pre), draw(m*b.N(pre)))})
		}
		pre = b.Affine("", m, draw(m), 0, terms...)
		cur = b.Relu("", pre)
	}
	out := b.Affine("", 2, nil, 0, Term{cur, Dense(2, b.N(cur), draw(2*b.N(cur)))}, Term{pre, Dense(2, b.N(pre), draw(2*b.N(pre)))})
	p, err := b.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPointAgainstExactValues compares the enclosures that confirm witnesses with exact values, without tolerance.
func TestPointAgainstExactValues(t *testing.T) {
	rounds := uint64(3000)
	if testing.Short() {
		rounds = 500
	}
	for s := range rounds {
		r := rand.New(rand.NewPCG(s, 8))
		p := cancellingProgram(r, t)
		x := make([]float64, p.Nodes[0].N)
		for i := range x {
			x[i] = float64(float32(awkward(r, 10)))
		}
		v := exactEval(p, x)
		for _, unit := range []float64{UnitReal, Unit32} {
			for _, pt := range []*Point{p.NewPoint(x, unit), p.NewTightPoint(x, unit)} {
				checkInside(t, "point", pt.e.L, pt.e.U, v)
				c := []float64{awkward(r, 4), awkward(r, 4)}
				want := new(big.Rat)
				for i, y := range v[p.Output] {
					want.Add(want, new(big.Rat).Mul(rat(c[i]), y))
				}
				if lo, hi := pt.Bound(c); !math.IsInf(lo, 0) && rat(lo).Cmp(want) > 0 || !math.IsInf(hi, 0) && rat(hi).Cmp(want) < 0 {
					f, _ := want.Float64()
					t.Fatalf("seed %d unit %v: %v outside [%v, %v]", s, unit, f, lo, hi)
				}
			}
		}
	}
}
