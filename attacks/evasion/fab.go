package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// The fast adaptive boundary attack (Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary
// attack", 2020): every step projects the iterate and the input onto the linearised decision boundary, box included, and moves to
// a point between the two projections; a point beyond the boundary is recorded and drawn back towards the input. Beyond the
// publication, the last third of the steps is finer and begins at the closest point found, random starts cover the whole ball,
// and what is found is tightened on the segment to the input.

var _ = register(&Method{Name: "fab", Doc: "projections onto the linearised decision boundary (fast adaptive boundary)",
	Source: "Croce, Hein: Minimally distorted adversarial examples with a fast adaptive boundary attack, 2020",
	Needs:  access.NeedGradients, Norms: []Norm{Linf, L2, L1}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 100, Doc: "steps of a start"},
		{Name: "restarts", Default: 1, Doc: "starts; all but the first are random"},
		{Name: "targets", Default: 0, Doc: "0: every step takes the closest class; else one run for each of so many classes"},
		{Name: "alpha", Default: 0.1, Doc: "largest weight of the input's projection"},
		{Name: "eta", Default: 1.05, Doc: "overshoot"}, {Name: "beta", Default: 0.9, Doc: "what is kept on drawing back"}},
	run: func(p *Probe) {
		runs := [][]int{p.ranked(p.Goal.Cases())}
		if n := p.Int("targets"); n > 0 {
			runs = runs[:0]
			for _, k := range p.ranked(n) {
				runs = append(runs, []int{k})
			}
		}
		f := newFAB(p)
		for r := range max(1, p.Int("restarts")) {
			for _, cases := range runs {
				if !f.run(cases, r > 0) {
					return
				}
			}
		}
	}})

// fab is the state of the attack.
type fab struct {
	p         *Probe
	x, d1, d2 []float64
	near      []float64 // the closest reaching point of the run
	found     float64   // its distance, +Inf: none
	distance  float64   // the least of all runs
}

func newFAB(p *Probe) *fab {
	n := len(p.X0)
	return &fab{p: p, x: make([]float64, n), d1: make([]float64, n), d2: make([]float64, n), near: make([]float64, n),
		distance: math.Inf(1)}
}

// run starts at the input or at a random point near it, and tightens what it finds.
func (f *fab) run(cases []int, random bool) bool {
	p := f.p
	copy(f.x, p.X0)
	if random {
		if f.distance < p.Radius() {
			p.uniform(f.x, f.distance)
		} else {
			p.uniform(f.x, p.Radius())
		}
	}
	f.found = math.Inf(1)
	margin := make([]float64, len(cases))
	steps := max(1, p.Int("steps"))
	eta, beta := p.Float("eta"), p.Float("beta")
	for k := range steps {
		if k == steps*2/3 && !math.IsInf(f.found, 1) { // finer, around the best
			copy(f.x, f.near)
			eta, beta = 1+(eta-1)/5, 1-(1-beta)/5
		}
		g, ok := p.slopes(f.x, cases, margin)
		if !ok {
			return false
		}
		c := p.nearest(margin, g)
		if c < 0 {
			break
		}
		f.move(g[c*len(f.x):(c+1)*len(f.x)], margin[c], eta)
		y, ok := p.Scores(f.x)
		if !ok {
			return false
		}
		if m, _, _ := p.Goal.Margin(f.x, y); m >= 0 {
			if d := p.Norm.Distance(f.x, p.X0); d < f.found {
				f.found = d
				copy(f.near, f.x)
			}
			for i, x0 := range p.X0 {
				f.x[i] = x0 + beta*(f.x[i]-x0)
			}
		}
	}
	if f.found > f.distance*1.02 { // tightening can hardly make it the closest
		return true
	}
	f.distance = min(f.distance, f.found)
	return math.IsInf(f.found, 1) || p.tighten(f.near, 12)
}

// move goes to the point between the projections of the iterate and of the input onto margin + w·(x' − x) = 0.
func (f *fab) move(w []float64, margin, eta float64) {
	p, t := f.p, -margin
	p.Norm.cross(f.d1, f.x, p.Lo, p.Hi, w, t)
	for i, x0 := range p.X0 {
		t += w[i] * (f.x[i] - x0)
	}
	p.Norm.cross(f.d2, p.X0, p.Lo, p.Hi, w, t)
	alpha := p.Float("alpha")
	if d1, d2 := p.Norm.length(f.d1), p.Norm.length(f.d2); d1+d2 > 0 {
		alpha = min(alpha, d1/(d1+d2))
	}
	for i, x0 := range p.X0 {
		f.x[i] = (1-alpha)*(f.x[i]+eta*f.d1[i]) + alpha*(x0+eta*f.d2[i])
	}
}
