package evasion

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
)

// TestCross compares the projection onto a hyperplane in a box with linear programs in rationals (Linf, L1) and with bisection
// over the multiplier (L2), on small cases that include flat slopes, inputs at the ends of the box and planes that the box does
// not reach.
func TestCross(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	met, missed := 0, 0
	for range 1000 {
		n := 1 + rng.IntN(4)
		x, lo, hi, w := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i] = float64(rng.IntN(9)-4) / 8
			lo[i], hi[i] = x[i]-float64(rng.IntN(5))/8, x[i]+float64(rng.IntN(5))/8
			w[i] = float64(rng.IntN(9)-4) / 4
		}
		s := float64(rng.IntN(33)-16) / 16
		most := 0.0
		for i := range x {
			most += math.Abs(w[i]) * room(x[i], lo[i], hi[i], w[i]*s)
		}
		for _, norm := range []Norm{Linf, L2, L1} {
			d := make([]float64, n)
			ok := norm.cross(d, x, lo, hi, w, s)
			feasible := most >= math.Abs(s)
			if ok != feasible {
				t.Fatalf("%v w %v room for %v of %v: reported %v", norm, w, most, s, ok)
			}
			for i := range d {
				if v := x[i] + d[i]; v < lo[i] || v > hi[i] {
					t.Fatalf("%v: coordinate %d leaves the box", norm, i)
				}
			}
			want := s
			if !feasible {
				want = math.Copysign(most, s)
				missed++
			} else {
				met++
			}
			if math.Abs(dot(w, d)-want) > 1e-12 {
				t.Fatalf("%v w %v box %v..%v around %v: w·d is %v, want %v", norm, w, lo, hi, x, dot(w, d), want)
			}
			if best := shortest(norm, x, lo, hi, w, want); math.Abs(norm.length(d)-best) > 1e-12 {
				t.Fatalf("%v w %v t %v box %v..%v around %v: %v is of length %v, the shortest of %v", norm, w, s, lo, hi, x, d,
					norm.length(d), best)
			}
		}
	}
	if met < 500 || missed < 500 {
		t.Errorf("%d planes met and %d missed: the cases are one-sided", met, missed)
	}
}

// shortest is the least length of d with w·d = s and x + d in the box, which there is.
func shortest(norm Norm, x, lo, hi, w []float64, s float64) float64 {
	n := len(x)
	if norm == L2 { // d = clip(λ·w), whose w·d grows with λ
		a, b := -1e3, 1e3
		d := make([]float64, n)
		for range 200 {
			m := (a + b) / 2
			for i := range d {
				d[i] = min(max(m*w[i], lo[i]-x[i]), hi[i]-x[i])
			}
			if dot(w, d) < s {
				a = m
			} else {
				b = m
			}
		}
		return L2.dual(d)
	}
	// Variables: the displacement up and down, then the largest of them.
	zero, far := exact.Zeros(2*n+1), exact.Zeros(2*n+1)
	far[2*n] = exact.Rat(10)
	cost := exact.Zeros(2*n + 1)
	row, neg := exact.Zeros(2*n+1), exact.Zeros(2*n+1)
	for i := range x {
		far[i], far[n+i] = exact.Rat(hi[i]-x[i]), exact.Rat(x[i]-lo[i])
		row[i], row[n+i] = exact.Rat(w[i]), exact.Rat(-w[i])
		neg[i], neg[n+i] = exact.Rat(-w[i]), exact.Rat(w[i])
		cost[i], cost[n+i] = exact.Rat(1), exact.Rat(1)
	}
	lp := exact.NewLP(zero, far)
	if norm == Linf {
		cost = exact.Zeros(2*n + 1)
		cost[2*n] = exact.Rat(1)
		for i := range x {
			r := exact.Zeros(2*n + 1)
			r[i], r[n+i], r[2*n] = exact.Rat(1), exact.Rat(1), exact.Rat(-1)
			lp.AddRow(r, new(big.Rat))
		}
	}
	lp.AddRow(row, exact.Rat(s))
	lp.AddRow(neg, exact.Rat(-s))
	lp.SetObjective(cost)
	sol := lp.Solve()
	if sol.Status != exact.Optimal {
		return math.NaN()
	}
	v, _ := sol.Value.Float64()
	return v
}
