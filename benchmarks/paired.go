package benchmarks

import (
	"math"
	"slices"
)

// Ratios describes paired times: for each instance that both sides solved, the time of B over the time of A. Below 1, B is
// faster.
type Ratios struct {
	Pairs   int     `json:"pairs"`
	Median  float64 `json:"median"`
	GeoMean float64 `json:"geometric_mean"`
	Lower   float64 `json:"lower_quartile"`
	Upper   float64 `json:"upper_quartile"`
	// Low and High bound the median with a confidence of at least 95 %, whatever the distribution; nil below six pairs,
	// where no such interval exists.
	Low  *float64 `json:"median_low"`
	High *float64 `json:"median_high"`
	// Faster and Slower count the pairs with a ratio below and above 1; P is the two-sided sign test on them: how often chance
	// alone would be at least as one-sided.
	Faster int     `json:"faster"`
	Slower int     `json:"slower"`
	P      float64 `json:"sign_test_p"`
}

// newRatios returns the description of ratios, which it sorts; nil when there are none. All must be positive.
func newRatios(x []float64) *Ratios {
	n := len(x)
	if n == 0 {
		return nil
	}
	slices.Sort(x)
	r := &Ratios{Pairs: n, Median: quantile(x, 0.5), Lower: quantile(x, 0.25), Upper: quantile(x, 0.75)}
	logs := 0.0
	for _, v := range x {
		logs += math.Log(v)
		switch {
		case v < 1:
			r.Faster++
		case v > 1:
			r.Slower++
		}
	}
	r.GeoMean = math.Exp(logs / float64(n))
	r.P = signTest(r.Faster, r.Slower)
	if k := medianRank(n); k > 0 {
		r.Low, r.High = &x[k-1], &x[n-k]
	}
	return r
}

// quantile returns the p-quantile of sorted values, linear between the two neighbours of (n-1)·p.
func quantile(x []float64, p float64) float64 {
	at := p * float64(len(x)-1)
	i := int(at)
	if i+1 >= len(x) {
		return x[len(x)-1]
	}
	return x[i] + (at-float64(i))*(x[i+1]-x[i])
}

// signTest returns the two-sided p-value of the sign test: the chance that fair coins fall at least as unevenly as less to
// more. Ties have been left out; without any coin it is 1.
func signTest(less, more int) float64 {
	return min(1, 2*binomialTail(less+more, min(less, more)))
}

// medianRank returns the largest k for which the k-th smallest and the k-th largest of n values enclose the median with a
// confidence of at least 95 %, 0 when there is none: the sign test turned round.
func medianRank(n int) int {
	k := 0
	for 2*(k+1) <= n && binomialTail(n, k) <= 0.025 {
		k++
	}
	return k
}

// binomialTail returns the chance that at most k of n fair coins show heads.
func binomialTail(n, k int) float64 {
	lg := func(i int) float64 { v, _ := math.Lgamma(float64(i) + 1); return v }
	sum := 0.0
	for i := 0; i <= k; i++ {
		sum += math.Exp(lg(n) - lg(i) - lg(n-i) - float64(n)*math.Ln2)
	}
	return min(sum, 1)
}
