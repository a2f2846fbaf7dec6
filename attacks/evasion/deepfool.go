package evasion

import (
	"github.com/spai-project/certify/attacks/access"
)

// DeepFool (Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool: a simple and accurate method to fool deep neural networks", 2016):
// step to the closest linearised boundary until the goal is reached, then a little beyond. Steps respect the box, which is the
// published step where the box is far. In L1 the step goes along the largest slopes.

var _ = register(&Method{Name: "deepfool", Doc: "steps to the closest linearised decision boundary",
	Source: "Moosavi-Dezfooli, Fawzi, Frossard: DeepFool, a simple and accurate method to fool deep neural networks, 2016",
	Needs:  access.NeedGradients, Norms: []Norm{Linf, L2, L1}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 50, Doc: "steps at most"},
		{Name: "overshoot", Default: 0.02, Doc: "how far beyond the boundary, relative"},
		{Name: "classes", Default: 10, Doc: "closest classes, or polyhedra, that are looked at"}},
	run: func(p *Probe) { p.deepFool(p.ranked(p.Int("classes")), p.Int("steps"), p.Float("overshoot")) }})

func (p *Probe) deepFool(cases []int, steps int, overshoot float64) {
	n := len(p.X0)
	x, d, total, margin := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, len(cases))
	copy(x, p.X0)
	for range max(1, steps) {
		g, ok := p.slopes(x, cases, margin)
		if !ok {
			return
		}
		k := p.nearest(margin, g)
		if k < 0 {
			return
		}
		for _, m := range margin {
			if m >= 0 {
				return
			}
		}
		p.Norm.cross(d, x, p.Lo, p.Hi, g[k*n:(k+1)*n], -margin[k])
		for i, x0 := range p.X0 {
			total[i] += d[i]
			x[i] = x0 + (1+overshoot)*total[i]
		}
	}
	p.Scores(x)
}
