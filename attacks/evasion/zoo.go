package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Zeroth order optimisation (Chen, Zhang, Sharma, Yi and Hsieh, "ZOO: zeroth order optimization based black-box attacks to deep
// neural networks without training substitute models", 2017): the objective of Carlini and Wagner, ‖x−x0‖² + c·max(κ − margin,
// 0), by Adam or Newton steps on coordinates whose slopes are central differences. Of at most 64 inputs all are measured in
// every step.
//
// Three things save queries. The slope of the distance is known. Slopes once measured are kept until they are measured again,
// so that a step moves every input though it measures a batch. And c is not searched by restarting: it is the multiplier with
// which the objective of the linear model with these slopes has its minimum, within the box, where the goal begins.
var _ = register(&Method{Name: "zoo", Doc: "steps on coordinates with slopes by central differences", Needs: access.NeedScores,
	Source: "Chen, Zhang, Sharma, Yi, Hsieh: ZOO: zeroth order optimization based black-box attacks to deep neural networks, 2017",
	Norms:  []Norm{L2}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 1000, Doc: "steps, of 2·batch+1 queries and a bisection each"},
		{Name: "batch", Default: 32, Doc: "coordinates measured in a step"},
		{Name: "h", Default: 1e-3, Doc: "half the distance of the two points of a slope"},
		{Name: "solver", Default: 1, Words: []string{"adam", "newton"}, Doc: "how coordinates move"},
		{Name: "rate", Default: 0.5, Doc: "step: of Adam in distances of a coordinate, of Newton as a share"},
		{Name: "kappa", Default: 0, Doc: "margin aimed at"}},
	run: runZOO})

func runZOO(p *Probe) {
	n := len(p.X0)
	x := slices.Clone(p.X0)
	size := max(1, min(n, p.Int("batch")))
	if n <= 64 {
		size = n
	}
	margin := func(x, y []float64) float64 {
		m, _, _ := p.Goal.Margin(x, y)
		return m
	}
	points, fresh, g := rows(2*size+1, n), make([]float64, size), make([]float64, n)
	order := p.Rng.Perm(n)
	a := newCoordinateAdam(n, 0)
	for t := range p.Int("steps") {
		if b, _ := p.Best(); b == nil && t == 3*((n+size-1)/size) { // stuck: from the other side
			y, ok := p.begin()
			if !ok {
				return
			}
			copy(x, y)
		}
		for len(order) < size {
			order = append(order, p.Rng.Perm(n)...)
		}
		coords := order[:size]
		order = order[size:]
		v, ok := p.differences(margin, x, coords, p.Float("h"), points, fresh)
		if !ok {
			return
		}
		for k, i := range coords {
			g[i] = fresh[k]
		}
		gap := p.Float("kappa") - v
		if gap <= 0 {
			if !p.bisect(x, 1e-3) {
				return
			}
			gap = 0
		}
		mu := p.multiplier(x, g, gap)
		if p.Int("solver") == 0 {
			a.rate = p.Float("rate") * mu * math.Sqrt(dot(g, g)/float64(n))
		}
		for i, x0 := range p.X0 {
			d := 1.01*mu*g[i] - (x[i] - x0)
			if p.Int("solver") == 0 {
				d = a.step(i, d)
			} else {
				d *= p.Float("rate")
			}
			x[i] = min(max(x[i]+d, p.Lo[i]), p.Hi[i])
		}
	}
	p.Scores(x)
}

// multiplier returns the μ ≥ 0 with which the point X0 + μg, cut to the box, has a linear function with slopes g higher by gap
// than x has; when no point of the box has, one that moves all of them to their ends.
func (p *Probe) multiplier(x, g []float64, gap float64) float64 {
	rise := func(mu float64) float64 {
		s := 0.0
		for i, x0 := range p.X0 {
			s += g[i] * (min(max(x0+mu*g[i], p.Lo[i]), p.Hi[i]) - x[i])
		}
		return s
	}
	square := dot(g, g)
	if square == 0 {
		return 0
	}
	lo, hi := 0.0, 1/math.Sqrt(square)
	for k := 0; rise(hi) < gap && k < 60; k++ {
		lo, hi = hi, 2*hi
	}
	for range 50 {
		if mid := (lo + hi) / 2; rise(mid) < gap {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
