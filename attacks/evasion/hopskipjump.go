package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// HopSkipJump (Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack", 2020): at a point of
// the decision boundary the direction into the goal is estimated from labels around it, a step goes that way, and bisection
// leads back to the boundary.
var _ = register(&Method{Name: "hopskipjump", Doc: "boundary normals estimated from labels", Needs: access.NeedLabels,
	Source: "Chen, Jordan, Wainwright: HopSkipJumpAttack: a query-efficient decision-based attack, 2020",
	Norms:  []Norm{L2, Linf}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 64, Doc: "steps"},
		{Name: "points", Default: 100, Doc: "labels of the first estimate"},
		{Name: "most", Default: 10000, Doc: "labels of the largest estimate"},
		{Name: "gamma", Default: 1, Doc: "size of the neighbourhood"}},
	run: runHopSkipJump})

func runHopSkipJump(p *Probe) {
	x, ok := p.begin()
	if !ok {
		return
	}
	n := len(x)
	d := float64(n)
	theta := p.Float("gamma") / (d * math.Sqrt(d))
	if p.Norm == Linf {
		theta = p.Float("gamma") / (d * d)
	}
	theta = max(theta, 0x1p-22)
	g, y := make([]float64, n), make([]float64, n)
	var points [][]float64
	var hits []bool
	for t := range p.Int("steps") {
		if !p.bisect(x, theta) {
			return
		}
		dist := p.Norm.Distance(x, p.X0)
		if dist == 0 || !finite(dist) {
			return
		}
		// The bisection ended within θ·dist of the boundary; the neighbourhood is wide enough for both sides of it to be seen.
		delta := math.Sqrt(d) * theta * dist
		if p.Norm == Linf {
			delta = d * theta * dist
		}
		if t == 0 {
			delta = max(delta, 0.1*dist/math.Sqrt(d))
		}
		count := min(int(float64(p.Int("points"))*math.Sqrt(float64(t+1))), p.Int("most"), p.Left())
		for len(points) < max(1, count) {
			points = append(points, make([]float64, n))
		}
		points := points[:max(1, count)]
		for _, q := range points {
			p.around(q, x, delta)
		}
		if hits, ok = p.reached(hits[:0], points...); !ok {
			return
		}
		if !normal(g, x, points, hits) {
			return
		}
		if p.Norm == Linf {
			for i, v := range g {
				if v != 0 {
					g[i] = math.Copysign(1, v)
				}
			}
		}
		// The step is halved until it ends in the goal; x itself is there.
		for step := dist / math.Sqrt(float64(t+1)); step > theta*dist; step /= 2 {
			for i, v := range x {
				y[i] = v + step*g[i]
			}
			hit, ok := p.hits(y)
			if !ok {
				return
			}
			if hit {
				copy(x, y)
				break
			}
		}
	}
	p.bisect(x, theta)
}

// around stores x after a random step of length delta: of Gaussian direction, for Linf of one uniform in the cube.
func (p *Probe) around(dst, x []float64, delta float64) {
	s := 0.0
	for i := range dst {
		if p.Norm == Linf {
			dst[i] = 2*p.Rng.Float64() - 1
		} else {
			dst[i] = p.Rng.NormFloat64()
		}
		s += dst[i] * dst[i]
	}
	s = delta / math.Sqrt(max(s, math.SmallestNonzeroFloat64))
	for i, v := range x {
		dst[i] = v + s*dst[i]
	}
}

// normal stores the estimated direction into the goal at x, of length 1: the mean of the steps to the points, weighted by whether
// they reach it, +1 or −1, less the mean weight. It returns false when there is none.
func normal(g, x []float64, points [][]float64, hits []bool) bool {
	in := 0
	for _, h := range hits {
		if h {
			in++
		}
	}
	mean := 2*float64(in)/float64(len(hits)) - 1
	if in == 0 || in == len(hits) {
		mean = 0
	}
	clear(g)
	for k, q := range points {
		w := -1 - mean
		if hits[k] {
			w = 1 - mean
		}
		for i, v := range q {
			g[i] += w * (v - x[i])
		}
	}
	s := math.Sqrt(dot(g, g))
	if !(s > 0) || !finite(s) {
		return false
	}
	for i := range g {
		g[i] /= s
	}
	return true
}
