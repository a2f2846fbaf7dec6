package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

var allNorms = []Norm{Linf, L2, L1, L0}

// The fast gradient sign method (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", 2015): one steepest
// step to the surface of the ball.
var _ = register(&Method{Name: "fgsm", Doc: "one gradient step to the surface of the ball", Needs: access.NeedGradients, Norms: allNorms,
	Source: "Goodfellow, Shlens, Szegedy: Explaining and harnessing adversarial examples, 2015",
	Params: []Param{lossParam(CrossEntropy)},
	run: func(p *Probe) {
		p.climb(climbing{loss: Loss(p.Int("loss")), steps: 1, size: p.Radius()}, slices.Clone(p.X0))
	}})

// The basic iterative method, also iFGSM (Kurakin, Goodfellow and Bengio, "Adversarial examples in the physical world", 2017).
var _ = register(&Method{Name: "bim", Doc: "repeated small gradient steps from the input (iFGSM)", Needs: access.NeedGradients, Norms: allNorms,
	Source: "Kurakin, Goodfellow, Bengio: Adversarial examples in the physical world, 2017",
	Params: []Param{{Name: "steps", Default: 10, Doc: "gradient steps"}, lossParam(CrossEntropy)},
	run: func(p *Probe) {
		n := max(1, p.Int("steps"))
		p.climb(climbing{loss: Loss(p.Int("loss")), steps: n, size: p.Radius() / float64(n)}, slices.Clone(p.X0))
	}})

// The momentum iterative method (Dong et al., "Boosting adversarial attacks with momentum", 2018): gradients enter the momentum divided
// by their L1 norm.
var _ = register(&Method{Name: "mifgsm", Doc: "gradient steps with momentum over normalised gradients", Needs: access.NeedGradients, Norms: allNorms,
	Source: "Dong et al.: Boosting adversarial attacks with momentum, 2018",
	Params: []Param{{Name: "steps", Default: 10, Doc: "gradient steps"}, {Name: "mu", Default: 1, Doc: "decay of the momentum"}, lossParam(CrossEntropy)},
	run: func(p *Probe) {
		n := max(1, p.Int("steps"))
		p.climb(climbing{loss: Loss(p.Int("loss")), steps: n, size: p.Radius() / float64(n), mu: p.Float("mu")}, slices.Clone(p.X0))
	}})

// Projected gradient ascent from random starts (Madry et al., "Towards deep learning models resistant to adversarial attacks", 2018).
var _ = register(&Method{Name: "pgd", Doc: "projected gradient ascent from random starts", Needs: access.NeedGradients, Norms: allNorms,
	Source: "Madry et al.: Towards deep learning models resistant to adversarial attacks, 2018",
	Params: []Param{{Name: "steps", Default: 40, Doc: "gradient steps of a start"}, {Name: "restarts", Default: 1, Doc: "random starts"},
		{Name: "alpha", Default: 2.5, Doc: "step, in radii divided by steps"}, lossParam(CrossEntropy)},
	run: func(p *Probe) {
		n, r := max(1, p.Int("steps")), p.Radius()
		x := make([]float64, len(p.X0))
		for range max(1, p.Int("restarts")) {
			p.uniform(x, r)
			if !p.climb(climbing{loss: Loss(p.Int("loss")), steps: n, size: p.Float("alpha") * r / float64(n)}, x) {
				return
			}
		}
	}})

// climbing says how climb moves.
type climbing struct {
	loss  Loss
	steps int
	size  float64 // of a step, in the norm
	mu    float64 // momentum, 0: none
}

// climb ascends from x by steepest steps, projected. It returns false when the attack must return.
func (p *Probe) climb(c climbing, x []float64) bool {
	step := make([]float64, len(x))
	var mom []float64
	if c.mu > 0 {
		mom = make([]float64, len(x))
	}
	for range c.steps {
		_, g, _, ok := p.Gradient(c.loss, x)
		if !ok {
			return false
		}
		if mom != nil {
			n := 0.0
			for _, v := range g {
				n += math.Abs(v)
			}
			for i, v := range g {
				if mom[i] *= c.mu; n > 0 {
					mom[i] += v / n
				}
			}
			g = mom
		}
		p.ascend(step, g, x, c.size, 0.05)
		for i, s := range step {
			x[i] += s
		}
		p.project(x, p.Radius())
	}
	_, ok := p.Scores(x)
	return ok
}
