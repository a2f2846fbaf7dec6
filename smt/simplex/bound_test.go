package simplex

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
)

// TestDualBoundIsBelowAndTight compares with rationals on data with heavy cancellation and extreme exponents.
func TestDualBoundIsBelowAndTight(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	num := func(e int) float64 { return math.Ldexp(r.Float64()*2-1, r.IntN(2*e+1)-e) }
	for k := range 4000 {
		e := []int{2, 60, 330}[r.IntN(3)]
		n, m := 1+r.IntN(5), r.IntN(6)
		p := &Problem{}
		for range n {
			lo, hi := num(e), num(e)
			p.C, p.Lo, p.Hi = append(p.C, num(e)), append(p.Lo, min(lo, hi)), append(p.Hi, max(lo, hi))
		}
		mu := make([]float64, m)
		for i := range m {
			g := make([]float64, n)
			for j := range g {
				g[j] = num(e)
			}
			p.G, p.H = append(p.G, g), append(p.H, num(e))
			if mu[i] = math.Abs(num(e)); r.IntN(3) == 0 {
				mu[i] = 0
			}
			if i == 1 && r.IntN(2) == 0 { // cancel the first row up to rounding
				for j := range g {
					g[j] = -p.G[0][j] * mu[0] / mu[1]
				}
			}
		}
		for i := range p.G {
			for _, g := range p.G[i] {
				if !finite(g) {
					mu[i] = 0
				}
			}
		}
		got := DualBound(p.C, p.G, p.H, p.Lo, p.Hi, mu)
		want := exactDual(p.C, p, mu)
		if math.IsInf(got, -1) {
			if e < 300 {
				t.Fatalf("case %d: -Inf", k)
			}
			continue
		}
		if exact.Rat(got).Cmp(want) > 0 {
			t.Fatalf("case %d: %v above %v", k, got, want.FloatString(30))
		}
		f, _ := want.Float64()
		if slack := f - got; slack > 0x1p-50*boxScale(p, mu)+0x1p-1000 {
			t.Fatalf("case %d: %v is %v below the exact value", k, got, slack)
		}
	}
}

// boxScale is Σ_j |coefficient_j|·max|x_j| + Σ mu·|h| for the exact coefficients: the condition of the last sum only, so
// that the test also measures the compensated inner sums (up to their second-order error).
func boxScale(p *Problem, mu []float64) float64 {
	s := 0.0
	for i, m := range mu {
		s += m * math.Abs(p.H[i])
	}
	for j, c := range p.C {
		a, size := exact.Rat(c), math.Abs(c)
		for i, m := range mu {
			if m != 0 {
				a.Add(a, exact.Rat(0).Mul(exact.Rat(m), exact.Rat(p.G[i][j])))
				size += math.Abs(m * p.G[i][j])
			}
		}
		f, _ := a.Float64()
		s += (math.Abs(f) + 0x1p-40*size) * max(math.Abs(p.Lo[j]), math.Abs(p.Hi[j]))
	}
	return s
}

func TestDualBoundRejects(t *testing.T) {
	one := []float64{1}
	for name, mu := range map[string]float64{"negative": -1, "NaN": math.NaN(), "infinite": math.Inf(1)} {
		if got := DualBound(one, [][]float64{one}, one, one, one, []float64{mu}); !math.IsInf(got, -1) {
			t.Errorf("%s multiplier: bound %v", name, got)
		}
	}
	huge := []float64{math.MaxFloat64}
	if got := DualBound(huge, nil, nil, []float64{2}, []float64{3}, nil); !math.IsInf(got, -1) && got > math.MaxFloat64 {
		t.Errorf("overflow: bound %v", got)
	}
	if got := DualBound(nil, [][]float64{one}, []float64{-1}, []float64{0}, one, one); got <= 0 || got > 1 {
		t.Errorf("x ≤ −1 on [0,1] with zero costs: %v, want just below 1", got)
	}
}
