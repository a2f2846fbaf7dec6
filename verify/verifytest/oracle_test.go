package verifytest

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// hat is max(0,x) + max(0,−x) − 2·max(0,x−1) = |x| − 2·max(0,x−1).
func hat(t *testing.T) *prog.Program {
	b := prog.NewBuilder(1)
	z := b.Affine("z", 3, []float64{0, 0, -1}, 0, prog.Term{Src: 0, Map: prog.Dense(3, 1, []float64{1, -1, 1})})
	h := b.Relu("h", z)
	y := b.Affine("y", 1, nil, 0, prog.Term{Src: h, Map: prog.Dense(1, 3, []float64{1, 1, -2})})
	p, err := b.Program(y)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMinExactByHand(t *testing.T) {
	p := hat(t)
	for _, c := range []struct {
		lo, hi, cx, cy float64
		want           string
	}{
		{-1, 4, 0, 1, "-2"},
		{-1, 1.5, 0, 1, "0"},
		{-1, 1.5, 0, -1, "-1"},
		{-1, 4, 0, -1, "-1"},
		{-3, 4, 0, -1, "-3"},
		{-1, 4, 1, 1, "0"},        // x + |x| − 2·max(0,x−1) ≥ 0, = 2 for x ≥ 1
		{-1, 4, -0.5, 1, "-4"},    // at x = 4: −2 − 2
		{0.5, 0.5, 3, 1, "2"},     // a point
		{0.25, 0.75, 0, 1, "1/4"}, // one phase only
	} {
		got := MinExact(p, []float64{c.lo}, []float64{c.hi}, []float64{c.cx}, []float64{c.cy})
		if want, _ := new(big.Rat).SetString(c.want); got.Cmp(want) != 0 {
			t.Errorf("min of %v·x + %v·y on [%v,%v] is %v, want %v", c.cx, c.cy, c.lo, c.hi, got, want)
		}
	}
}

// TestMinExactAgainstGrid checks on random programs that no point of a grid lies below the minimum and that the minimum
// is attained at the point returned.
func TestMinExactAgainstGrid(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for s := range uint64(120) {
		p := RandomProgram(s)
		n, m := p.Nodes[0].N, p.Nodes[p.Output].N
		box := randomBox(r, n)
		cx, cy := make([]float64, n), make([]float64, m)
		for i := range cy {
			cy[i] = float64(r.IntN(5) - 2)
		}
		if r.IntN(2) == 0 {
			cx[r.IntN(n)] = 1
		}
		value, x := ArgminExact(p, box.Lower, box.Upper, cx, cy)
		at := func(x []*big.Rat) *big.Rat {
			y := EvalExactRat(p, x)[p.Output]
			return new(big.Rat).Add(exact.Dot(exact.Rats(cx), x), exact.Dot(exact.Rats(cy), y))
		}
		if !contains(&box, x) || at(x).Cmp(value) != 0 {
			t.Fatalf("seed %d: minimum %v is not attained at %v", s, value, x)
		}
		for range 100 {
			q := sample(r, &box, 4)
			if v := at(exact.Rats(q)); v.Cmp(value) < 0 {
				t.Fatalf("seed %d: value %v at %v is below the minimum %v", s, v, q, value)
			}
		}
	}
}

// TestEvalExactAgainstFloat compares with float64 evaluation, which is exact here: small dyadics, few operations.
func TestEvalExactAgainstFloat(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for s := range uint64(200) {
		p := RandomProgram(s)
		x := make([]float64, p.Nodes[0].N)
		for j := range x {
			x[j] = math.Ldexp(float64(r.IntN(33)-16), -3)
		}
		got, want := EvalExact(p, x), p.Eval(x, 1, nil)
		for k := range want {
			for i, v := range want[k] {
				if f, _ := got[k][i].Float64(); f != v {
					t.Fatalf("seed %d: node %d element %d: exact %v, float64 %v", s, k, i, got[k][i], v)
				}
			}
		}
	}
}

// TestRangeExact checks the ranges against samples and, where every ReLU is stable, against interval arithmetic's count.
func TestRangeExact(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for s := range uint64(30) {
		p := RandomProgram(s)
		box := randomBox(r, p.Nodes[0].N)
		if Unstable(p, box.Lower, box.Upper) > 8 {
			continue
		}
		low, high := RangeExact(p, box.Lower, box.Upper)
		for range 50 {
			q := sample(r, &box, 3)
			for k, v := range EvalExact(p, q) {
				for i := range v {
					if v[i].Cmp(low[k][i]) < 0 || v[i].Cmp(high[k][i]) > 0 {
						t.Fatalf("seed %d: node %d element %d: %v outside [%v,%v]", s, k, i, v[i], low[k][i], high[k][i])
					}
				}
			}
		}
	}
}

// TestSolveExact checks that counterexamples are counterexamples, that samples never beat the best margin, and that both
// answers are common among random problems.
func TestSolveExact(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var sat, unsat, edge int
	for s := range uint64(150) {
		in := RandomInstance(s)
		p, _ := in.Net.Program()
		truth := SolveExact(p, in.Problem)
		if truth.Sat {
			sat++
			if !holdsAt(p, in.Problem, truth.X, func(b *spec.Box) bool { return contains(b, truth.X) }) {
				t.Fatalf("seed %d: %v is not a counterexample", s, truth.X)
			}
		} else {
			unsat++
		}
		if truth.Margin.Sign() == 0 {
			edge++
		}
		for range 30 {
			box := &in.Problem.Boxes[r.IntN(len(in.Problem.Boxes))]
			q := sample(r, box, 3)
			rq := exact.Rats(q)
			if !truth.Sat && holdsAt(p, in.Problem, rq, func(b *spec.Box) bool { return contains(b, rq) }) {
				t.Fatalf("seed %d: the oracle overlooks %v", s, q)
			}
		}
	}
	if sat < 30 || unsat < 30 || edge < 3 {
		t.Errorf("lopsided problems: %d sat (%d on the boundary), %d unsat", sat, edge, unsat)
	}
	t.Logf("%d sat (%d on the boundary), %d unsat", sat, edge, unsat)
}
