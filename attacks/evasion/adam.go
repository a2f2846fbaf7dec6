package evasion

import "math"

// adam is the optimiser of Kingma and Ba ("Adam: a method for stochastic optimization", 2015) with its usual constants.
type adam struct {
	m, v   []float64 // running means of gradients and of their squares
	b1, b2 float64   // powers of the decays, for the corrections at the start
}

func newAdam(n int) *adam { return &adam{m: make([]float64, n), v: make([]float64, n), b1: 1, b2: 1} }

// reset forgets everything.
func (a *adam) reset() {
	clear(a.m)
	clear(a.v)
	a.b1, a.b2 = 1, 1
}

// descend moves x, in place, against the gradient g.
func (a *adam) descend(x, g []float64, rate float64) {
	a.b1 *= 0.9
	a.b2 *= 0.999
	for i, d := range g {
		a.m[i] += 0.1 * (d - a.m[i])
		a.v[i] += 0.001 * (d*d - a.v[i])
		x[i] -= rate * a.m[i] / (1 - a.b1) / (math.Sqrt(a.v[i]/(1-a.b2)) + 1e-8)
	}
}
