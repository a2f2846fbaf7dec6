package evasion

import (
	"math"
	"math/rand/v2"
)

// An estimator guesses the gradient of a loss from scores at pairs of points x ± σu with random u.
//
// Pairs are moved into the box and onto the float32 grid, so their difference D is not exactly 2σu: at the edge of the box it is
// half of that. The estimate of slope i is therefore Σ ΔL·D_i / Σ D_i² over the pairs, with the D that was evaluated. On a linear
// loss w·x it has mean w_i wherever the directions are symmetric, and no variance from w_i itself.
type estimator struct {
	p      *Probe
	loss   Loss
	draw   func(*rand.Rand) float64
	sigma  float64     // of a coordinate
	points [][]float64 // the pairs, then the centre
	square []float64   // Σ D_i²
}

// gaussian directions are those of natural evolution strategies.
func gaussian(r *rand.Rand) float64 { return r.NormFloat64() }

// rademacher directions, ±1, are those of simultaneous perturbation.
func rademacher(r *rand.Rand) float64 {
	if r.Uint64()&1 == 0 {
		return -1
	}
	return 1
}

func (p *Probe) newEstimator(loss Loss, draw func(*rand.Rand) float64, sigma float64, pairs int) *estimator {
	e := &estimator{p: p, loss: loss, draw: draw, sigma: sigma, square: make([]float64, len(p.X0))}
	e.points = rows(2*max(1, pairs)+1, len(p.X0))
	return e
}

// plateau tells when a loss has not risen for a number of steps.
type plateau struct {
	best         float64
	stale, limit int
}

// add tells it the next loss and returns whether the number is full; counting then begins again.
func (q *plateau) add(v float64) bool {
	if v > q.best {
		q.best, q.stale = v, 0
		return false
	}
	q.stale++
	if q.stale < q.limit {
		return false
	}
	q.stale = 0
	return true
}

// rows returns n slices of d numbers.
func rows(n, d int) [][]float64 {
	flat, r := make([]float64, n*d), make([][]float64, n)
	for i := range r {
		r[i] = flat[i*d : (i+1)*d : (i+1)*d]
	}
	return r
}

// at evaluates x, which is snapped, and the pairs around it, as many as the budget allows; it returns the loss at x and stores
// the estimate in g.
func (e *estimator) at(x, g []float64) (v float64, ok bool) {
	p := e.p
	pairs := max(1, min(len(e.points)-1, p.Left()-1)/2)
	p.Snap(x)
	points := e.points[:2*pairs+1]
	for k := range pairs {
		a, b := points[2*k], points[2*k+1]
		for i, v := range x {
			s := e.sigma * e.draw(p.Rng)
			a[i], b[i] = v+s, v-s
		}
	}
	copy(points[2*pairs], x)
	y, ok := p.ScoresAll(points...)
	if !ok {
		return 0, false
	}
	out := len(y) / len(points)
	clear(g)
	clear(e.square)
	for k := range pairs {
		a, b := points[2*k], points[2*k+1]
		y := y[2*k*out:]
		rise := e.loss.Value(p.Goal, a, y[:out], nil, nil) - e.loss.Value(p.Goal, b, y[out:2*out], nil, nil)
		if !finite(rise) {
			continue
		}
		for i, v := range a {
			d := v - b[i]
			g[i] += rise * d
			e.square[i] += d * d
		}
	}
	for i, s := range e.square {
		if s > 0 {
			g[i] /= s
		}
	}
	return e.loss.Value(p.Goal, x, y[2*pairs*out:], nil, nil), true
}

// finite reports whether v is neither infinite nor NaN.
func finite(v float64) bool { return v-v == 0 }

// differences stores in g[k] the slope of f along coordinate coords[k] at x, which is snapped, by central differences over x ±
// h, and returns f at x. f is given a point and its outputs. points is memory of at least 2·len(coords)+1 rows; with less
// budget than that the last coordinates get no slope.
func (p *Probe) differences(f func(x, y []float64) float64, x []float64, coords []int, h float64, points [][]float64,
	g []float64) (v float64, ok bool) {
	p.Snap(x)
	clear(g)
	n := max(1, min(2*len(coords), p.Left()-1)/2)
	points = points[:2*n+1]
	for k, i := range coords[:n] {
		a, b := points[2*k], points[2*k+1]
		copy(a, x)
		copy(b, x)
		a[i] += h
		b[i] -= h
	}
	copy(points[2*n], x)
	y, ok := p.ScoresAll(points...)
	if !ok {
		return 0, false
	}
	out := len(y) / len(points)
	for k, i := range coords[:n] {
		a, b := points[2*k], points[2*k+1]
		y := y[2*k*out:]
		if d := a[i] - b[i]; d > 0 {
			if s := (f(a, y[:out]) - f(b, y[out:2*out])) / d; finite(s) {
				g[k] = s
			}
		}
	}
	return f(x, y[2*n*out:]), true
}

// coordinate returns the radius in the units of one coordinate: that of the points whose coordinates all move by the same.
func (p *Probe) coordinate(radius float64) float64 {
	switch n := float64(len(p.X0)); p.Norm {
	case L2:
		return radius / math.Sqrt(n)
	case L1:
		return radius / n
	}
	return radius
}

// coordinateAdam is the optimiser of Kingma and Ba, "Adam: a method for stochastic optimization", with a step counter for every
// coordinate.
type coordinateAdam struct {
	rate, beta1, beta2 float64
	m, v               []float64
	t                  []float64
}

func newCoordinateAdam(n int, rate float64) *coordinateAdam {
	return &coordinateAdam{rate: rate, beta1: 0.9, beta2: 0.999, m: make([]float64, n), v: make([]float64, n), t: make([]float64, n)}
}

// step returns how far coordinate i climbs along the slope g.
func (a *coordinateAdam) step(i int, g float64) float64 {
	a.t[i]++
	a.m[i] += (1 - a.beta1) * (g - a.m[i])
	a.v[i] += (1 - a.beta2) * (g*g - a.v[i])
	m := a.m[i] / (1 - math.Pow(a.beta1, a.t[i]))
	v := a.v[i] / (1 - math.Pow(a.beta2, a.t[i]))
	if v == 0 {
		return 0
	}
	return a.rate * m / math.Sqrt(v)
}
