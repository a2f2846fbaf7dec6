package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// Carlini and Wagner's attack in L2 ("Towards evaluating the robustness of neural networks", 2017): minimise ‖x − x0‖² + c·max(0,
// κ − m) with m the goal's margin, the box removed by x = mid + half·tanh(w) in every coordinate, by Adam; the smallest c that
// reaches the goal by binary search, for every input on its own. Two things differ from the published code, and both only
// sharpen: the rate falls linearly to a hundredth within a round, because at a constant one Adam circles the boundary, and the
// end is tightened on the segment to the input.

var cwParams = []Param{{Name: "steps", Default: 1000, Doc: "Adam steps of a round"},
	{Name: "rounds", Default: 9, Doc: "rounds of the search for c"},
	{Name: "c", Default: 1e-3, Doc: "first weight of the goal"}, {Name: "rate", Default: 0.01, Doc: "rate of Adam"},
	{Name: "kappa", Default: 0, Doc: "margin that counts as reached"},
	targetsParam}

var _ = register(&Method{Name: "cw", Doc: "distance plus weighted margin, minimised by Adam (Carlini and Wagner, L2)",
	Source: "Carlini, Wagner: Towards evaluating the robustness of neural networks, 2017",
	Needs:  access.NeedGradients, Norms: []Norm{L2}, Minimal: true, Params: cwParams,
	run: func(p *Probe) {
		for _, g := range p.goals(p.Int("targets")) {
			if newCW(p, g).search(); p.Done() {
				return
			}
		}
	}})

// cw is the state of the attack and the change of variables.
type cw struct {
	p         *Probe
	goal      *Goal
	mid, half []float64 // half 0: the coordinate is fixed, +Inf: it is unbounded and w is x
	w0, w     []float64
	x, g      []float64
	opt       *adam
	kappa     float64
	near      []float64 // the closest point that reached the goal, by Euclidean distance
	distance  float64   // squared, +Inf: none
}

// wide is the width of a box from which on tanh would leave no resolution.
const wide = 1e6

func newCW(p *Probe, goal *Goal) *cw {
	n := len(p.X0)
	s := &cw{p: p, goal: goal, mid: make([]float64, n), half: make([]float64, n), w0: make([]float64, n), w: make([]float64, n),
		x: make([]float64, n),
		g: make([]float64, n), opt: newAdam(n), kappa: p.Float("kappa"), near: make([]float64, n), distance: math.Inf(1)}
	for i, x0 := range p.X0 {
		s.half[i] = (p.Hi[i] - p.Lo[i]) / 2
		s.mid[i] = p.Lo[i] + s.half[i]
		if s.half[i] > wide {
			s.half[i] = math.Inf(1)
		}
		s.w0[i] = s.inverse(i, x0)
	}
	return s
}

// inverse returns w with x = mid + half·tanh(w), a millionth inside the box.
func (s *cw) inverse(i int, x float64) float64 {
	switch h := s.half[i]; {
	case h == 0:
		return 0
	case math.IsInf(h, 1):
		return x
	default:
		return math.Atanh((x - s.mid[i]) / h * 0.999999)
	}
}

// point stores x(w) and, in slope, dx/dw.
func (s *cw) point(x, slope []float64) {
	for i, w := range s.w {
		h := s.half[i]
		if math.IsInf(h, 1) {
			x[i], slope[i] = w, 1
			continue
		}
		t := math.Tanh(w)
		x[i], slope[i] = s.mid[i]+h*t, h*(1-t*t)
	}
}

// search is the binary search over c; it returns the interval that is left.
func (s *cw) search() (lo, hi float64) {
	p := s.p
	p.least = s.kappa
	defer func() { p.least = 0 }()
	c, hi := p.Float("c"), math.Inf(1)
	for range max(1, p.Int("rounds")) {
		copy(s.w, s.w0)
		s.opt.reset()
		reached, ok := s.round(c, p.Int("steps"), nil)
		if !ok {
			return lo, hi
		}
		if reached {
			hi = min(hi, c)
		} else {
			lo = max(lo, c)
		}
		switch {
		case !math.IsInf(hi, 1):
			c = (lo + hi) / 2
		case c < 1e10:
			c *= 10
		}
	}
	if !math.IsInf(s.distance, 1) {
		p.tighten(s.near, 12)
	}
	return lo, hi
}

// round minimises for one c from s.w and reports whether some point reached the goal; coordinates that are true in frozen stay at
// X0.
func (s *cw) round(c float64, steps int, frozen []bool) (reached, ok bool) {
	p, slope := s.p, make([]float64, len(s.w))
	check, last, rate := max(1, steps/10), math.Inf(1), p.Float("rate")
	for k := range max(1, steps) {
		s.point(s.x, slope)
		for i, f := range frozen {
			if f {
				s.x[i] = p.X0[i]
			}
		}
		m, g, _, ok := p.GradientOf(s.goal, Margin, s.x)
		if !ok {
			return reached, false
		}
		d := 0.0
		for i, x0 := range p.X0 {
			e := s.x[i] - x0
			d += e * e
			e *= 2
			if m < s.kappa {
				e -= c * g[i]
			}
			s.g[i] = e * slope[i]
			if frozen != nil && frozen[i] {
				s.g[i] = 0
			}
		}
		if m >= s.kappa {
			if reached = true; d < s.distance {
				s.distance = d
				copy(s.near, s.x)
			}
			if frozen != nil { // any point will do
				return true, true
			}
		}
		if k%check == 0 {
			loss := d + c*max(0, s.kappa-m)
			if loss > 0.9999*last {
				if rate /= 10; rate < p.Float("rate")/200 {
					break
				}
			}
			last, reached = loss, m >= s.kappa
		}
		s.opt.descend(s.w, s.g, rate)
	}
	return reached, true
}
