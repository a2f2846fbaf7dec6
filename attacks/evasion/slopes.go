package evasion

import "math"

// slopes evaluates the model at x, which is snapped, and linearises the margins of some cases of the goal: margin[i] and its
// gradient g[i*n:(i+1)*n] belong to cases[i] and its smallest row. Every case counts as one gradient.
func (p *Probe) slopes(x []float64, cases []int, margin []float64) (g []float64, ok bool) {
	n := len(x)
	var rows []float64
	if p.Goal.readsInputs() {
		rows = make([]float64, len(cases)*n)
	}
	xs := make([][]float64, len(cases))
	for i := range xs {
		xs[i] = x
	}
	_, g, ok = p.Pull(func(i int, y, dy []float64) {
		m, row := p.Goal.margin(cases[i], x, y)
		margin[i] = m
		var dx []float64
		if rows != nil {
			dx = rows[i*n : (i+1)*n]
		}
		p.Goal.pullRow(cases[i], row, 1, dy, dx)
	}, xs...)
	for i, r := range rows {
		if ok {
			g[i] += r
		}
	}
	return g, ok
}

// nearest returns the case whose linearised margin is crossed first: the least |margin| / dual norm of its gradient; −1 when all
// are flat.
func (p *Probe) nearest(margin, g []float64) int {
	best, least, n := -1, math.Inf(1), len(p.X0)
	for i, m := range margin {
		if d := math.Abs(m) / p.Norm.dual(g[i*n:(i+1)*n]); d < least {
			best, least = i, d
		}
	}
	return best
}

// targetsParam is the parameter of goals.
var targetsParam = Param{Name: "targets", Default: 0,
	Doc: "0: the goal as a whole; else one search for each of so many closest classes"}

// goals returns the probe's goal, or for targets > 0 the goals of reaching one of so many of its cases, the closest by margin
// first.
func (p *Probe) goals(targets int) []*Goal {
	if targets <= 0 {
		return []*Goal{p.Goal}
	}
	var goals []*Goal
	for _, k := range p.ranked(targets) {
		goals = append(goals, p.Goal.Case(k))
	}
	return goals
}

// tighten looks on the segment from X0 to the reaching point x for the first reaching point, by regula falsi (the Illinois rule)
// on the goal's margin: a few evaluations end within a hundred thousandth of where the segment enters the goal. It returns false
// when the attack must return.
func (p *Probe) tighten(x []float64, tries int) bool {
	z := make([]float64, len(x))
	at := func(s float64) (m float64, ok bool) {
		for i, x0 := range p.X0 {
			z[i] = x0 + s*(x[i]-x0)
		}
		y, ok := p.Scores(z)
		if !ok {
			return 0, false
		}
		m, _, _ = p.Goal.Margin(z, y)
		return m - p.least, true
	}
	y := p.Y0
	if y == nil {
		copy(z, p.X0)
		var ok bool
		if y, ok = p.Scores(z); !ok {
			return false
		}
	}
	ma, _, _ := p.Goal.Margin(p.X0, y)
	ma -= p.least
	mb, ok := at(1)
	if !ok {
		return false
	}
	a, b, side := 0.0, 1.0, 0
	for range tries {
		if !(ma < 0) || !(mb >= 0) || b-a < 2e-6 {
			break
		}
		s := a + (b-a)*min(max(ma/(ma-mb), 1e-3), 1-1e-3) + 1e-6
		m, ok := at(s)
		if !ok {
			return false
		}
		if m >= 0 {
			if b, mb = s, m; side > 0 {
				ma /= 2
			}
			side = 1
		} else {
			if a, ma = s, m; side < 0 {
				mb /= 2
			}
			side = -1
		}
	}
	return true
}
