package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Simultaneous perturbation stochastic approximation (Uesato et al., "Adversarial risk and the dangers of evaluating against
// weak attacks", 2018): slopes from pairs of points whose coordinates all move by the same amount, up or down at random; Adam
// climbs along them, by a step that is halved whenever the loss has not risen for a while. Little hides from it that hides from
// gradients.
var _ = register(&Method{Name: "spsa", Doc: "Adam from scores at pairs of random sign directions", Needs: access.NeedScores,
	Source: "Uesato, O'Donoghue, van den Oord, Kohli: Adversarial risk and the dangers of evaluating against weak attacks, 2018",
	Norms:  []Norm{Linf, L2, L1},
	Params: []Param{{Name: "steps", Default: 500, Doc: "gradient steps"},
		{Name: "pairs", Default: 10, Doc: "pairs of points for a gradient"},
		{Name: "sigma", Default: 0.3, Doc: "distance of the points, in radii of a coordinate"},
		{Name: "rate", Default: 0.5, Doc: "Adam's step, in radii of a coordinate"},
		{Name: "plateau", Default: 10, Doc: "steps without a better loss until the step is halved"},
		{Name: "beta", Default: 0.98, Doc: "decay of Adam's mean slope"},
		lossParam(Margin)},
	run: func(p *Probe) {
		r := p.Radius()
		unit := p.coordinate(r)
		e := p.newEstimator(Loss(p.Int("loss")), rademacher, p.Float("sigma")*unit, p.Int("pairs"))
		x, g := slices.Clone(p.X0), make([]float64, len(p.X0))
		a := newCoordinateAdam(len(x), p.Float("rate")*unit)
		a.beta1 = min(p.Float("beta"), 0.999)
		flat := plateau{best: math.Inf(-1), limit: p.Int("plateau")}
		for range p.Int("steps") {
			v, ok := e.at(x, g)
			if !ok {
				return
			}
			if flat.add(v) {
				a.rate = max(a.rate/2, unit/256)
			}
			for i, s := range g {
				x[i] += a.step(i, s)
			}
			p.project(x, r)
		}
		p.Scores(x)
	}})
