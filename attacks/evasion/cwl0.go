package evasion

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Carlini and Wagner's attack in L0 (2017, section VI.B): their attack in L2 on ever fewer inputs; after every success those that
// can do least, by slope times room, are frozen at their values. A third at a time at first; what fails is taken back and tried
// with half as many, down to one.

var _ = register(&Method{Name: "cw-l0", Doc: "the L2 attack on ever fewer inputs (Carlini and Wagner, L0)",
	Source: "Carlini, Wagner: Towards evaluating the robustness of neural networks, 2017",
	Needs:  access.NeedGradients, Norms: []Norm{L0}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 200, Doc: "Adam steps of a round"}, {Name: "rate", Default: 0.05, Doc: "rate of Adam"},
		{Name: "c", Default: 1e-2, Doc: "first weight of the goal"}, {Name: "kappa", Default: 0, Doc: "margin that counts as reached"}},
	run: func(p *Probe) { newCW(p, p.Goal).freeze(max(1, p.Int("steps"))) }})

func (s *cw) freeze(steps int) {
	p := s.p
	p.least = s.kappa
	defer func() { p.least = 0 }()
	frozen := make([]bool, len(s.w))
	for i, h := range s.half {
		frozen[i] = h == 0
	}
	c, ok := s.grow(p.Float("c"), steps, frozen)
	if !ok {
		return
	}
	for drop := len(frozen); ; {
		order, ok := s.weakest(frozen)
		if !ok {
			return
		}
		if drop = min(drop, (len(order)+2)/3); drop == 0 || len(order) == 1 {
			return
		}
		keep := slices.Clone(s.near)
		for _, i := range order[:drop] {
			frozen[i] = true
		}
		next, ok := s.grow(max(p.Float("c"), c/10), steps, frozen)
		if p.Done() {
			return
		}
		if ok {
			c = next
			continue
		}
		for _, i := range order[:drop] {
			frozen[i] = false
		}
		copy(s.near, keep)
		if drop /= 2; drop == 0 {
			return
		}
	}
}

// grow minimises with a weight that grows until the goal is reached, and reports with which it was and whether.
func (s *cw) grow(c float64, steps int, frozen []bool) (float64, bool) {
	s.distance = math.Inf(1)
	for ; c < 1e7; c *= 10 {
		copy(s.w, s.w0)
		s.opt.reset()
		if reached, ok := s.round(c, steps, frozen); reached || !ok {
			return c, ok
		}
	}
	return c, s.extreme(frozen)
}

// extreme reports whether the goal is reached with every input that is not frozen at the end of its range where the slope at the
// last point leads: where tanh never quite comes.
func (s *cw) extreme(frozen []bool) bool {
	p := s.p
	_, g, _, ok := p.Gradient(Margin, s.x)
	if !ok {
		return false
	}
	for i, v := range g {
		switch {
		case frozen[i] || v == 0:
		case v > 0:
			s.x[i] = p.Hi[i]
		default:
			s.x[i] = p.Lo[i]
		}
	}
	y, ok := p.Scores(s.x)
	if !ok {
		return false
	}
	m, _, _ := p.Goal.Margin(s.x, y)
	copy(s.near, s.x)
	return m >= s.kappa
}

// weakest orders the inputs that are not frozen by how much they can raise the margin at the closest point found: slope times
// room from X0. Those that did not move are frozen at once.
func (s *cw) weakest(frozen []bool) (order []int, ok bool) {
	p := s.p
	_, g, _, ok := p.Gradient(Margin, slices.Clone(s.near))
	if !ok {
		return nil, false
	}
	use := make([]float64, len(frozen))
	for i, x0 := range p.X0 {
		if frozen[i] {
			continue
		}
		if s.near[i] == x0 {
			frozen[i] = true
			continue
		}
		use[i] = math.Abs(g[i]) * room(x0, p.Lo[i], p.Hi[i], g[i])
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(use[i], use[j]) })
	return order, true
}
