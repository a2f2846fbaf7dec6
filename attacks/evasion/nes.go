package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Projected ascent along gradients that natural evolution strategies estimate from scores (Ilyas et al., "Black-box adversarial
// attacks with limited queries and information", 2018): pairs of Gaussian directions, momentum, and a step that is halved
// whenever the loss has not risen for a while. Lengths are in radii, so that one setting serves inputs of any scale.
var _ = register(&Method{Name: "nes", Doc: "gradient steps from scores at pairs of Gaussian directions", Needs: access.NeedScores,
	Source: "Ilyas, Engstrom, Athalye, Lin: Black-box adversarial attacks with limited queries and information, 2018",
	Norms:  []Norm{Linf, L2, L1},
	Params: []Param{{Name: "steps", Default: 500, Doc: "gradient steps"},
		{Name: "pairs", Default: 10, Doc: "pairs of points for a gradient"},
		{Name: "sigma", Default: 0.3, Doc: "distance of the points, in radii of a coordinate"},
		{Name: "alpha", Default: 0.5, Doc: "first step, in radii"},
		{Name: "mu", Default: 0.98, Doc: "momentum"},
		{Name: "plateau", Default: 10, Doc: "steps without a better loss until the step is halved"},
		lossParam(Margin)},
	run: func(p *Probe) {
		r := p.Radius()
		e := p.newEstimator(Loss(p.Int("loss")), gaussian, p.Float("sigma")*p.coordinate(r), p.Int("pairs"))
		x, n := slices.Clone(p.X0), len(p.X0)
		g, mom, step := make([]float64, n), make([]float64, n), make([]float64, n)
		size, mu := p.Float("alpha")*r, p.Float("mu")
		flat := plateau{best: math.Inf(-1), limit: p.Int("plateau")}
		for range p.Int("steps") {
			v, ok := e.at(x, g)
			if !ok {
				return
			}
			if flat.add(v) {
				size = max(size/2, r/256)
			}
			for i := range mom {
				mom[i] = mu*mom[i] + g[i]
			}
			p.ascend(step, mom, x, size, 0.05)
			for i, s := range step {
				x[i] += s
			}
			p.project(x, r)
		}
		p.Scores(x)
	}})
