package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// The boundary attack (Brendel, Rauber and Bethge, "Decision-based adversarial attacks: reliable attacks against black-box
// machine learning models", 2018): a random walk along the decision boundary that sees labels alone. A step goes sideways at an
// equal distance from the input, then towards it, and is taken when the goal is still reached; both lengths are tuned so that
// the walk neither stands nor drags.
var _ = register(&Method{Name: "boundary", Doc: "random walk along the decision boundary", Needs: access.NeedLabels,
	Source: "Brendel, Rauber, Bethge: Decision-based adversarial attacks, 2018",
	Norms:  []Norm{L2}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 25000, Doc: "steps"},
		{Name: "spherical", Default: 0.01, Doc: "first step sideways, in distances"},
		{Name: "source", Default: 0.01, Doc: "first step towards the input, in distances"},
		{Name: "factor", Default: 1.5, Doc: "by which steps are tuned"}},
	run: runBoundary})

func runBoundary(p *Probe) {
	x, ok := p.begin()
	if !ok {
		return
	}
	side, next := make([]float64, len(x)), make([]float64, len(x))
	spherical, source, factor := p.Float("spherical"), p.Float("source"), max(1, p.Float("factor"))
	var sides, both rate
	for t := range p.Int("steps") {
		dist := math.Sqrt(squares(x, p.X0))
		if !(dist > 0) || source < 1e-7 {
			return
		}
		p.sideways(side, x, dist, spherical)
		for i, x0 := range p.X0 {
			next[i] = x0 + (1-source)*(side[i]-x0)
		}
		if t%checkEvery == 0 {
			hit, ok := p.hits(side)
			if !ok {
				return
			}
			sides.add(hit)
		}
		hit, ok := p.hits(next)
		if !ok {
			return
		}
		both.add(hit)
		if hit && squares(next, p.X0) < dist*dist {
			copy(x, next)
		}
		// Where half of the sideways steps stay in the goal the boundary looks flat, and the steps may be longer.
		if share, full := sides.of(20); full && share > 0.5 {
			spherical, source = min(spherical*factor, 1), source*factor
			sides = rate{}
		} else if full && share < 0.2 {
			spherical, source = spherical/factor, source/factor
			sides = rate{}
		}
		if share, full := both.of(30); full && share > 0.25 {
			source *= factor
			both = rate{}
		} else if full && share < 0.1 {
			source /= factor
			both = rate{}
		}
		source = min(source, 0.5)
	}
}

// checkEvery is after how many steps a sideways step is tried alone.
const checkEvery = 5

// sideways stores x after a random step of the given length, in distances, on the sphere of radius dist around X0.
func (p *Probe) sideways(dst, x []float64, dist, length float64) {
	along, norm := 0.0, 0.0
	for i, v := range x {
		dst[i] = p.Rng.NormFloat64()
		along += dst[i] * (v - p.X0[i])
	}
	for i, v := range x {
		dst[i] -= along / (dist * dist) * (v - p.X0[i])
		norm += dst[i] * dst[i]
	}
	scale := 0.0
	if norm > 0 {
		scale = length * dist / math.Sqrt(norm)
	}
	back := 1 / math.Sqrt(1+length*length)
	for i, v := range x {
		dst[i] = p.X0[i] + back*(v-p.X0[i]+scale*dst[i])
	}
	p.Snap(dst)
}

// squares is the squared distance of two points.
func squares(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += (v - b[i]) * (v - b[i])
	}
	return s
}

// rate counts how often something succeeds.
type rate struct{ hits, tries int }

func (r *rate) add(hit bool) {
	r.tries++
	if hit {
		r.hits++
	}
}

// of returns the share of successes once there are n tries.
func (r *rate) of(n int) (share float64, full bool) {
	return float64(r.hits) / float64(max(1, r.tries)), r.tries >= n
}
