package benchmarks

import (
	"math"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(b)) }

// TestSignTest: values of the binomial distribution, by hand.
func TestSignTest(t *testing.T) {
	for _, c := range []struct {
		less, more int
		p          float64
	}{
		{0, 0, 1},
		{0, 1, 1},             // 2·1/2
		{0, 5, 2. / 32},       // 2·1/2⁵
		{5, 0, 2. / 32},       // two-sided
		{1, 9, 22. / 1024},    // 2·(1+10)/2¹⁰
		{8, 2, 112. / 1024},   // 2·(1+10+45)/2¹⁰
		{5, 5, 1},             // not more than 1
		{3, 4, 1},             // 2·(1+7+21+35)/2⁷ = 1
		{2, 5, 2 * 29. / 128}, // 2·(1+7+21)/2⁷
	} {
		if got := signTest(c.less, c.more); !near(got, c.p) {
			t.Errorf("signTest(%d, %d) = %g, want %g", c.less, c.more, got, c.p)
		}
	}
	if p := signTest(900, 1100); !(p > 1e-6 && p < 1e-4) { // 4.4 standard deviations
		t.Errorf("signTest(900, 1100) = %g", p)
	}
}

// TestMedianRank: the published ranks of the distribution-free 95 % interval of a median.
func TestMedianRank(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 17: 5, 20: 6, 25: 8} {
		if got := medianRank(n); got != want {
			t.Errorf("medianRank(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestRatios(t *testing.T) {
	r := newRatios([]float64{8, 0.5, 2}) // geometric mean ³√8
	if r.Pairs != 3 || !near(r.Median, 2) || !near(r.GeoMean, 2) || !near(r.Lower, 1.25) || !near(r.Upper, 5) || r.Faster != 1 || r.Slower != 2 ||
		!near(r.P, 1) || r.Low != nil || r.High != nil {
		t.Errorf("ratios = %+v", r)
	}
	// Ten pairs with a tie: the tie counts in the quartiles, not in the test.
	r = newRatios([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	if r.Faster != 0 || r.Slower != 9 || !near(r.P, 2./512) || !near(r.Lower, 3.25) || !near(r.Median, 5.5) || !near(r.Upper, 7.75) {
		t.Errorf("ratios = %+v", r)
	}
	if r.Low == nil || *r.Low != 2 || *r.High != 9 { // P(X≤1) = 11/1024 ≤ 2.5 % < 56/1024
		t.Errorf("interval of the median = %v %v, want 2 and 9", r.Low, r.High)
	}
	if newRatios(nil) != nil {
		t.Error("no pairs have ratios")
	}
}
