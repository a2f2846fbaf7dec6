package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// The decoupled direction and norm attack (Rony et al., "Decoupling direction and norm for efficient gradient-based L2
// adversarial attacks and defenses", 2019): gradient steps whose result is put back on a sphere around the input; the sphere
// shrinks while its point reaches the goal and grows while it does not. The first radius is the linearised distance, so that no
// scale is assumed.

var _ = register(&Method{Name: "ddn", Doc: "gradient steps on a sphere that shrinks and grows (decoupled direction and norm)",
	Source: "Rony et al.: Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses, 2019",
	Needs:  access.NeedGradients, Norms: []Norm{L2}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 100, Doc: "gradient steps"},
		{Name: "gamma", Default: 0.05, Doc: "relative change of the radius"}, lossParam(LogOdds), targetsParam},
	run: func(p *Probe) {
		for _, g := range p.goals(p.Int("targets")) {
			if p.ddn(g, Loss(p.Int("loss")), max(1, p.Int("steps")), p.Float("gamma")); p.Done() {
				return
			}
		}
	}})

func (p *Probe) ddn(goal *Goal, l Loss, steps int, gamma float64) {
	n := len(p.X0)
	x, near, delta := make([]float64, n), make([]float64, n), make([]float64, n)
	copy(x, p.X0)
	distance := math.Inf(1)
	radius, ok := p.linearised(goal, x)
	if !ok {
		return
	}
	for k := range steps {
		_, g, y, ok := p.GradientOf(goal, l, x)
		if !ok {
			return
		}
		length := L2.dual(g)
		m, _, _ := goal.Margin(x, y)
		reached := m >= 0
		if d := L2.Distance(x, p.X0); reached && d < distance {
			distance = d
			copy(near, x)
		}
		switch {
		case reached:
			radius *= 1 - gamma
		case k > 0:
			radius *= 1 + gamma
		}
		if length == 0 { // nothing says where to go: stay on the line
			length = 1
		}
		rate := 0.01 + 0.99*(1+math.Cos(math.Pi*float64(k)/float64(steps)))/2
		rate *= radius
		for i, x0 := range p.X0 {
			delta[i] = x[i] - x0 + rate*g[i]/length
		}
		size := L2.length(delta)
		if size == 0 {
			return
		}
		for i, x0 := range p.X0 {
			x[i] = x0 + delta[i]*radius/size
		}
	}
	if _, ok := p.Scores(x); ok && !math.IsInf(distance, 1) {
		p.tighten(near, 12)
	}
}

// linearised returns the distance in the probe's norm from x to where a goal's margin, linearised at x, is zero: 1, or the whole
// reach if that is less, where it is flat.
func (p *Probe) linearised(goal *Goal, x []float64) (float64, bool) {
	m, g, _, ok := p.GradientOf(goal, Margin, x)
	d := math.Abs(m) / p.Norm.dual(g)
	if !(d > 0 && d <= p.Reach()) {
		d = min(1, p.Reach())
	}
	return d, ok
}
