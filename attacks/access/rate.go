package access

import (
	"context"
	"fmt"
	"math"
)

// A Rate is how often something happened in independent draws, and the 95 % interval of Clopper and Pearson for its probability.
type Rate struct {
	Hits, Draws int
	Low, High   float64
}

// Share returns Hits/Draws.
func (r Rate) Share() float64 { return float64(r.Hits) / float64(r.Draws) }

func (r Rate) String() string {
	return fmt.Sprintf("%d of %d draws (%.1f to %.1f %%)", r.Hits, r.Draws, 100*r.Low, 100*r.High)
}

// SuccessRate estimates how often a randomised model's outputs at x are what happened says, on n fresh draws from a seed that the
// search for x has not used: one lucky draw is no adversarial example. A deterministic model gives all or nothing.
func SuccessRate(ctx context.Context, m Scores, x []float64, happened func(y []float64) bool, n int, seed uint64) (Rate, error) {
	in, out := m.Dims()
	if len(x) != in || n < 1 {
		return Rate{}, fmt.Errorf("access: SuccessRate of %d draws at a point of %d inputs, the model has %d", n, len(x), in)
	}
	const chunk = 64
	b := Batch{X: make([]float64, 0, chunk*in), Draws: make([]uint64, chunk)}
	for range min(n, chunk) {
		b.X = append(b.X, x...)
	}
	y := make([]float64, chunk*out)
	r := Rate{Draws: n}
	for at := 0; at < n; at += chunk {
		b.N = min(chunk, n-at)
		for i := range b.N {
			b.Draws[i] = fork(seed, uint64(at+i))
		}
		part := Batch{N: b.N, X: b.X[:b.N*in], Draws: b.Draws[:b.N]}
		if err := m.Scores(ctx, part, y[:b.N*out]); err != nil {
			return Rate{}, err
		}
		for i := range b.N {
			if happened(y[i*out : (i+1)*out]) {
				r.Hits++
			}
		}
	}
	r.Low, r.High = ClopperPearson(r.Hits, n, 0.05)
	return r, nil
}

// ClopperPearson returns the exact interval for a probability after hits of n: outside it one side's tail has less than alpha/2.
// It is accurate to 1e-12 or so.
func ClopperPearson(hits, n int, alpha float64) (low, high float64) {
	if hits > 0 {
		low = bisect(func(p float64) bool { return tail(hits, n, p) < alpha/2 })
	}
	high = 1
	if hits < n {
		high = 1 - bisect(func(p float64) bool { return tail(n-hits, n, p) < alpha/2 }) // by symmetry
	}
	return low, high
}

// bisect returns where below turns from true to false on [0, 1].
func bisect(below func(p float64) bool) float64 {
	lo, hi := 0.0, 1.0
	for range 60 {
		if m := (lo + hi) / 2; below(m) {
			lo = m
		} else {
			hi = m
		}
	}
	return (lo + hi) / 2
}

// tail is the probability of at least k hits of n.
func tail(k, n int, p float64) float64 {
	if p <= 0 || p >= 1 {
		return p
	}
	log := func(i int) float64 { v, _ := math.Lgamma(float64(i + 1)); return v }
	sum := 0.0
	for i := n; i >= k; i-- {
		sum += math.Exp(log(n) - log(i) - log(n-i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(sum, 1)
}
