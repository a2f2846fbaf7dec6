package poison

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestFlipsExhaustive flips every set of labels of small problems: the radius is exact, also where sums cancel.
func TestFlipsExhaustive(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 15))
	for i := range 1000 {
		n := 1 + r.IntN(10)
		g := make([]float64, n)
		for j := range g {
			if g[j] = r.NormFloat64(); i%2 == 0 {
				g[j] = float64(r.IntN(7) - 3) // ties and zeros
			}
		}
		positive, radius := flipsToChange(g)
		least := n + 1
		for set := range 1 << n {
			sum := newExactSum(nil, n)
			for j, v := range g {
				if set>>j&1 == 1 {
					v = -v
				}
				sum.add(v)
			}
			if set == 0 && (sum.sign() > 0) != positive {
				t.Fatalf("%v: the answer is %v", g, positive)
			}
			if (sum.sign() > 0) != positive {
				least = min(least, bits.OnesCount(uint(set)))
			}
		}
		if radius != least-1 {
			t.Fatalf("%v: %d flips withstood, but %d are enough", g, radius, least)
		}
	}
}

// TestExactSum: signs of sums that cancel to less than float64 shows.
func TestExactSum(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want int
	}{
		{nil, 0}, {[]float64{1, 1e-30, -1}, 1}, {[]float64{1e300, -1e-300, -1e300}, -1}, {[]float64{0.1, 0.2, -0.3}, 1},
		{[]float64{3, -1, -2}, 0}, {[]float64{math.MaxFloat64, -math.MaxFloat64, -math.SmallestNonzeroFloat64}, -1},
	} {
		if got := newExactSum(c.v, 0).sign(); got != c.want {
			t.Errorf("%v: sign %d, want %d", c.v, got, c.want)
		}
	}
}

// probability is that of a positive answer when labels flip with probability q, by enumeration.
func probability(g []float64, q float64) (positive float64) {
	for set := range 1 << len(g) {
		sum, p := 0.0, 1.0
		for j, v := range g {
			if set>>j&1 == 1 {
				sum, p = sum-v, p*q
			} else {
				sum, p = sum+v, p*(1-q)
			}
		}
		if sum > 0 {
			positive += p
		}
	}
	return positive
}

// TestSmoothedExhaustive: no flips as many as certified change what the smoothed classifier answers, by enumeration of both; the
// bound of the probability is one; and the lemma's radius is never smaller than the closed form's.
func TestSmoothedExhaustive(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 16))
	certified := 0
	for range 250 {
		n := 4 + r.IntN(6)
		g := make([]float64, n)
		for j := range g {
			g[j] = r.NormFloat64() + 1.5
			if r.IntN(10) == 0 {
				g[j] = -g[j]
			}
		}
		if r.IntN(2) == 0 {
			for j := range g {
				g[j] = -g[j]
			}
		}
		q := 0.02 + 0.2*r.Float64()
		s := smooth(g, q)
		answer := func(g []float64) float64 { // the probability of the answer of s
			if s.Positive {
				return probability(g, q)
			}
			return 1 - probability(g, q)
		}
		if wrong := 1 - answer(g); wrong > math.Exp(s.LogError)*(1+1e-9) {
			t.Fatalf("%v, q = %v: the error is %v, the bound %v", g, q, wrong, math.Exp(s.LogError))
		}
		if s.Divergence > s.Flips {
			t.Fatalf("%v, q = %v: closed form %d, lemma %d", g, q, s.Divergence, s.Flips)
		}
		if s.Flips > 0 {
			certified++
		}
		for set := range 1 << n {
			if bits.OnesCount(uint(set)) > s.Flips {
				continue
			}
			other := append([]float64{}, g...)
			for j := range other {
				if set>>j&1 == 1 {
					other[j] = -other[j]
				}
			}
			if p := answer(other); p <= 0.5 {
				t.Fatalf("%v, q = %v: the flips %b leave a probability of %v, certified are %d", g, q, set, p, s.Flips)
			}
		}
	}
	if certified < 20 {
		t.Errorf("only %d cases have a certificate", certified)
	}
}

// TestLogMGF compares with log E exp(−t·Σ ξ_i·g_i) by enumeration, and the derivatives with differences.
func TestLogMGF(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 19))
	for range 200 {
		g := make([]float64, 1+r.IntN(8))
		for j := range g {
			g[j] = 3 * r.NormFloat64()
		}
		q, at, side := 0.45*r.Float64()+0.01, 2*r.Float64(), float64(2*r.IntN(2)-1)
		sum := 0.0
		for set := range 1 << len(g) {
			s, p := 0.0, 1.0
			for j, v := range g {
				if set>>j&1 == 1 {
					s, p = s-side*v, p*q
				} else {
					s, p = s+side*v, p*(1-q)
				}
			}
			sum += p * math.Exp(-at*s)
		}
		value, slope, curve := logMGF(g, side, q, at)
		if want := math.Log(sum); value < want-1e-13*math.Abs(want) || value > want+1e-10 {
			t.Fatalf("%v: %v, want %v", g, value, want)
		}
		const h = 1e-5
		up, upSlope, _ := logMGF(g, side, q, at+h)
		down, downSlope, _ := logMGF(g, side, q, at-h)
		first, second := (up-down)/(2*h), (upSlope-downSlope)/(2*h)
		if math.Abs(first-slope) > 1e-4*(1+math.Abs(slope)) || math.Abs(second-curve) > 1e-4*(1+curve) {
			t.Fatalf("%v: slope %v and curvature %v, differences %v and %v", g, slope, curve, first, second)
		}
	}
	want := 2000 + math.Log(0.9*0.1) // where exponentials overflow
	if v, slope, _ := logMGF([]float64{1, -1}, 1, 0.1, 1000); v < want || v > want+1e-9 || slope != 2 {
		t.Errorf("the exponent at a large t is %v with slope %v, want %v and 2", v, slope, want)
	}
}

// TestWithstands compares the lemma with an enumeration over the number of flips in big steps of the budget.
func TestWithstands(t *testing.T) {
	for _, c := range []struct {
		r       int
		err, q  float64
		holding bool
	}{
		{0, 0.49, 0.1, true},
		{1, 0.05, 0.1, true},   // 0.05/0.1·0.9 = 0.45
		{1, 0.06, 0.1, false},  // 0.54
		{2, 0.006, 0.1, true},  // 0.6·0.81 = 0.486
		{2, 0.007, 0.1, false}, // 0.567
		{3, 1, 0.4, false},
	} {
		if got := withstands(c.r, math.Log(c.err), c.q); got != c.holding {
			t.Errorf("r = %d, error %v, q = %v: %v", c.r, c.err, c.q, got)
		}
	}
	// The closed form: 4·0.01·0.99 = 0.0396, log = −3.2289; 2·0.8·log(9) = 3.5156.
	if got := divergence(math.Log(0.01), 0.1); got != 0 {
		t.Errorf("divergence %d, want 0", got)
	}
	if got := divergence(math.Log(1e-6), 0.1); got != 3 { // 12.429/3.5156 = 3.535
		t.Errorf("divergence %d, want 3", got)
	}
}

// TestLinear: labels are flipped in data that are trained on anew; the answer stays within the radius, and the flips that the
// certificate counts reach the end of it.
func TestLinear(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 17))
	ctx := context.Background()
	for range 60 {
		b := blobs(r, 12, 2, false)
		l, err := NewLinear(b, 0.01, 1)
		if err != nil {
			t.Fatal(err)
		}
		test := blobs(r, 5, 2, false)
		records, err := l.Certify(ctx, test, 0.1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, rec := range records {
			for set := range 1 << 12 {
				if bits.OnesCount(uint(set)) != rec.Exact && bits.OnesCount(uint(set)) != rec.Exact+1 {
					continue
				}
				other := *b
				other.Y = append([]int8{}, b.Y...)
				for j := range other.Y {
					if set>>j&1 == 1 {
						other.Y[j] = -other.Y[j]
					}
				}
				again := *l
				again.y = nil
				for _, y := range other.Y {
					again.y = append(again.y, float64(y))
				}
				g := make([]float64, 12)
				again.contributions(g, make([]float64, 3), test.Row(i))
				positive, _ := flipsToChange(g)
				if bits.OnesCount(uint(set)) == rec.Exact && positive != (rec.Class > 0) {
					t.Fatalf("item %d: flips %b change the answer, certified are %d", i, set, rec.Exact)
				}
			}
		}
	}
}

// TestLinearSolves compares α with the normal equations: Φᵀα = ΦᵀΦ(ΦᵀΦ + λI)⁻¹φ(x), so Φᵀα + λβ = φ(x).
func TestLinearSolves(t *testing.T) {
	r := rand.New(rand.NewPCG(18, 18))
	b := blobs(r, 50, 4, false)
	l, err := NewLinear(b, 0.1, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.3, -0.2, 1, 2}
	g, beta := make([]float64, 50), make([]float64, 5)
	l.contributions(g, beta, x)
	for j := range 5 {
		want := 1.0
		if j < 4 {
			want = x[j]
		}
		sum := 0.1 * 50 * beta[j]
		for i := range 50 {
			sum += l.phi[i*5+j] * g[i] * l.y[i]
		}
		if math.Abs(sum-want) > 1e-9 {
			t.Errorf("feature %d: %v, want %v", j, sum, want)
		}
	}
}

// TestLinearOverflow wants an error, not a panic or a number of flips, where α is not finite or so large that a flip overflows.
func TestLinearOverflow(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct{ train, test float64 }{{1, 1e308}, {1e-3, 1e306}, {1, 0x1p970}} {
		b := &Binary{D: 1, X: []float64{-c.train, c.train, c.train / 2}, Y: []int8{-1, 1, 1}}
		l, err := NewLinear(b, 1e-9, 1)
		if err != nil {
			t.Fatal(err)
		}
		records, err := l.Certify(ctx, &Binary{D: 1, X: []float64{c.test, -c.test}, Y: make([]int8, 2)}, 0.1, nil)
		if err == nil {
			t.Errorf("items of %v, tested at %v: %+v", c.train, c.test, records)
		}
	}
}
