package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// Carlini and Wagner's attack in Linf (2017, section VI.C): minimise Σ max(0, |x_i − x0_i| − τ) + c·max(0, κ − m) by Adam;
// whenever that ends closer, τ becomes nine tenths of the distance, and c grows when it does not. It differs from the published
// attack in three ways. The box is kept by clipping, because with tanh an input at the end of its range takes hundreds of steps
// to leave it. Steps are relative to τ and the margin's slopes are divided by their mean, so that neither rate nor c depends on a
// scale. And where the published attack ends, at the first τ that fails, this one goes on with smaller reductions of τ and
// smaller steps.

var _ = register(&Method{Name: "cw-linf",
	Doc:    "excess over a shrinking bound plus weighted margin, minimised by Adam (Carlini and Wagner, Linf)",
	Source: "Carlini, Wagner: Towards evaluating the robustness of neural networks, 2017",
	Needs:  access.NeedGradients, Norms: []Norm{Linf}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 200, Doc: "Adam steps for one bound"},
		{Name: "rate", Default: 0.05, Doc: "rate of Adam, relative to the bound"},
		{Name: "c", Default: 1, Doc: "first weight of the goal"}, {Name: "shrink", Default: 0.9, Doc: "reduction of the bound"},
		{Name: "kappa", Default: 0, Doc: "margin that counts as reached"},
		{Name: "restarts", Default: 1, Doc: "starts; all but the first are random"},
		targetsParam},
	run: func(p *Probe) {
		p.least = p.Float("kappa")
		defer func() { p.least = 0 }()
		n := len(p.X0)
		s := &cwLinf{p: p, x: make([]float64, n), g: make([]float64, n), start: make([]float64, n), least: math.Inf(1), opt: newAdam(n)}
		for k := range max(1, p.Int("restarts")) {
			for _, s.goal = range p.goals(p.Int("targets")) {
				copy(s.start, p.X0)
				if k > 0 {
					p.uniform(s.start, min(s.least, p.Radius()))
				}
				if !s.run(max(1, p.Int("steps"))) {
					return
				}
			}
		}
	}})

// cwLinf is the state of the attack.
type cwLinf struct {
	p        *Probe
	goal     *Goal
	x, g     []float64 // the iterate and the slopes there
	start    []float64 // where the next bound begins: the closest point of the run that reached the goal, when there is one
	distance float64   // of that, +Inf: none
	least    float64   // of all runs
	opt      *adam
}

func (s *cwLinf) run(steps int) bool {
	p := s.p
	rate, c, first := p.Float("rate"), p.Float("c"), min(max(p.Float("shrink"), 0.1), 0.99)
	s.distance = math.Inf(1)
	unit, ok := p.linearised(s.goal, s.start)
	if !ok {
		return false
	}
	for tau, shrink := math.Inf(1), first; shrink < 0.996; tau = s.distance * shrink {
		better, ok := s.below(c, tau, rate*unit*(1-shrink)/(1-first), steps)
		switch {
		case !ok:
			return false
		case better:
			unit = s.distance
		case math.IsInf(s.distance, 1):
			if unit *= 2; !(unit < 4*p.Reach()) {
				return true
			}
		case c < 20:
			c *= 2
		default:
			shrink = math.Sqrt(shrink)
		}
	}
	if s.distance > 1.02*s.least { // tightening can hardly make it the closest
		return true
	}
	s.least = min(s.least, s.distance)
	return p.tighten(s.start, 12)
}

// below minimises for one bound, from the closest point so far, until one is found that is closer by half of the reduction asked
// for; it reports whether there was. The rate falls to a hundredth, but for the first success.
func (s *cwLinf) below(c, tau, rate float64, steps int) (better, ok bool) {
	p, x, decay := s.p, s.x, 0.01
	enough := (tau + s.distance) / 2
	if math.IsInf(enough, 1) {
		decay = 1
	}
	copy(x, s.start)
	s.opt.reset()
	for k := range steps {
		m, g, _, ok := p.GradientOf(s.goal, Margin, x)
		if !ok {
			return false, false
		}
		if d := Linf.Distance(x, p.X0); m >= p.least && d < s.distance {
			s.distance = d
			copy(s.start, x)
		}
		if s.distance < enough {
			return true, true
		}
		scale := Linf.dual(g) / float64(len(g))
		for i, x0 := range p.X0 {
			s.g[i] = 0
			if m < p.least && scale > 0 {
				s.g[i] = -c * g[i] / scale
			}
			if v := x[i] - x0; math.Abs(v) > tau {
				s.g[i] += math.Copysign(1, v)
			}
		}
		s.opt.descend(x, s.g, rate*math.Pow(decay, float64(k)/float64(steps)))
	}
	return false, true
}
