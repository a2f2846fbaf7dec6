package poison

import (
	"context"
	"fmt"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
)

// Influence functions (Koh and Liang 2017) say to first order how a trained model depends on its training examples. If example
// z_i got the weight 1/n + δ, the minimiser would move by −δ·H⁻¹∇ℓ(z_i), so the mean loss on test examples by δ·I(z_i) with
//
//	I_up,loss(z_i) = −∇L_testᵀ H⁻¹ ∇ℓ(z_i).
//
// Leaving z_i out is δ = −1/n. H is the Hessian of the whole objective, regularisation included; L_test has none.

// InfluenceOptions say how to solve with the Hessian. The zero value is exact for practical purposes.
type InfluenceOptions struct {
	Damping   float64 // is added to the diagonal of the Hessian
	Tolerance float64 // of conjugate gradients, relative; 0: 1e-8
	Workers   int
}

// stationary is the norm of the gradient above which parameters are no minimum, and influences mean nothing.
const stationary = 1e-6

// Influence returns I_up,loss of every training example on the mean loss of the test examples, at parameters that minimise the
// objective on the training examples: positive for examples whose weight raises the test loss. The prediction for leaving
// example i out of n, with the weights 1/n of the others kept, is −I_i/n. Training examples must not have weights of their own.
// An error is that of ctx, ErrCurvature, or says that θ is no minimum.
func (m *Learner) Influence(ctx context.Context, theta []float64, training, test *Examples, o InfluenceOptions) ([]float64,
	error) {
	p, s, err := m.sensitivity(ctx, theta, training, test, o)
	if err != nil {
		return nil, err
	}
	if err := p.along(ctx, s); err != nil {
		return nil, err
	}
	up := p.slopes()
	for i := range up {
		up[i] = -up[i]
	}
	return up, nil
}

// InfluencePerturbation returns I_pert,loss = −∇L_testᵀ H⁻¹ ∂_x∇_θ ℓ(z_i) of the training examples from the given one on: the
// gradient of the mean test loss with respect to the input of z_i is this over n.
func (m *Learner) InfluencePerturbation(ctx context.Context, theta []float64, training, test *Examples, from int,
	o InfluenceOptions) ([]float64, error) {
	p, s, err := m.sensitivity(ctx, theta, training, test, o)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > len(training.Labels) {
		return nil, fmt.Errorf("poison: influence of the examples from %d on, of %d", from, len(training.Labels))
	}
	p.mixedRows(from)
	if err := p.along(ctx, s); err != nil {
		return nil, err
	}
	for i := range p.mixed {
		p.mixed[i] /= -p.weight(from + i/m.Inputs)
	}
	return p.mixed, nil
}

// LeaveOut trains again without example i, from θ to a gradient below the tolerance, and returns the change of the mean test
// loss: what −I_i/n foretells. The others keep the weights 1/n.
func (m *Learner) LeaveOut(ctx context.Context, theta []float64, training, test *Examples, i int, tolerance float64,
	workers int) (float64, error) {
	n := len(training.Labels)
	e := &Examples{X: training.X, Labels: training.Labels, Weights: slices.Repeat([]float64{1 / float64(n)}, n)}
	if i < 0 || i >= n {
		return 0, fmt.Errorf("poison: example %d of %d", i, n)
	}
	e.Weights[i] = 0
	without, err := m.Fit(ctx, e, Training{Tolerance: tolerance, From: theta, Workers: workers})
	if err != nil {
		return 0, err
	}
	_, before, err := m.Errors(ctx, theta, test, workers)
	if err != nil {
		return 0, err
	}
	_, after, err := m.Errors(ctx, without, test, workers)
	return after - before, err
}

// sensitivity returns a pass on the training examples, with its gradient, and (H + damping)⁻¹∇L_test.
func (m *Learner) sensitivity(ctx context.Context, theta []float64, training, test *Examples, o InfluenceOptions) (*pass,
	[]float64, error) {
	if err := m.check(training); err != nil {
		return nil, nil, err
	}
	if len(training.Weights) > 0 {
		return nil, nil, fmt.Errorf("poison: influences of weighted examples are not defined here")
	}
	g, _, err := m.lossGradient(ctx, theta, test, o.Workers)
	if err != nil {
		return nil, nil, err
	}
	p := m.pass(training, o.Workers)
	if _, err := p.gradient(ctx, theta); err != nil {
		return nil, nil, err
	}
	if size := norm(p.grad); !(size < stationary) {
		return nil, nil, fmt.Errorf("poison: the gradient is %.3g, no minimum: train until it is below %g", size, stationary)
	}
	if o.Tolerance == 0 {
		o.Tolerance = 1e-8
	}
	s, err := p.conjugateGradients(ctx, g, o.Damping, o.Tolerance, cgSteps)
	return p, s, err
}

// lossGradient returns the gradient of the mean loss without regularisation, and the loss.
func (m *Learner) lossGradient(ctx context.Context, theta []float64, e *Examples, workers int) ([]float64, float64, error) {
	bare := *m
	bare.L2 = 0
	if err := bare.check(e); err != nil {
		return nil, 0, err
	}
	p := bare.pass(e, workers)
	loss, err := p.gradient(ctx, theta)
	return p.grad, loss, err
}

// The influence attack (Koh, Steinhardt and Liang 2018) inserts points and climbs the attacker's validation loss with the
// gradient that influence functions give at the minimum: after every step the model is trained to convergence. A few distinct
// points carry the whole weight and are inserted many times.
var influenceAttack = &Attack{
	Name:   "influence",
	Doc:    "inserts copies of a few points that climb the validation loss of a regression trained to convergence",
	Source: "Koh and Liang 2017; Koh, Steinhardt and Liang 2018",
	Params: []Param{
		{Name: "rate", Default: 0.03, Doc: "inserted points, as a share of the set"},
		{Name: "distinct", Default: 2, Doc: "distinct points among them"},
		{Name: "rounds", Default: 50, Doc: "steps"},
		{Name: "step", Default: 1, Doc: "length of the first step of a point; later ones are shorter"},
		{Name: "l2", Default: 0.01, Doc: "regularisation of the attacker's regression"},
		{Name: "holdout", Default: 0.3, Doc: "share of the set that validates when there are no validation data"},
	},
	run: runInfluence,
}

func runInfluence(a *attacking) error {
	budget, err := a.count(a.num("rate"))
	if err != nil || budget == 0 {
		return err
	}
	known, validation, err := a.split()
	if err != nil {
		return err
	}
	distinct := min(max(a.int("distinct"), 1), budget)
	e, from := a.withPoison(known, distinct)
	// Weights are those of the set that the victim will have: every known example once, every point as often as it is inserted.
	total := float64(from + budget)
	for i := range e.Labels {
		w := 1.0
		if k := i - from; k >= 0 {
			w = float64(copies(k, distinct, budget))
		}
		e.Weights = append(e.Weights, w/total)
	}
	m := &Learner{Inputs: a.set.Dim(), Classes: a.Classes, L2: a.num("l2")}
	if !(m.L2 > 0) {
		return fmt.Errorf("poison: %s: l2=%v: want a positive number", a.name, m.L2)
	}
	theta := m.Start(a.Seed)
	err = a.climb(e, from, func(dx []float64) (float64, error) {
		p := m.pass(e, a.Workers)
		if err := p.newton(a.ctx, theta, stationary); err != nil {
			return 0, err
		}
		g, loss, err := m.lossGradient(a.ctx, theta, validation, a.Workers)
		if err != nil {
			return 0, err
		}
		s, err := p.conjugateGradients(a.ctx, g, 0, 1e-6, cgSteps)
		if err != nil {
			return 0, err
		}
		p.mixedRows(from)
		if err := p.along(a.ctx, s); err != nil {
			return 0, err
		}
		clear(dx)
		kernel.Axpy(dx, p.mixed, -1)
		return loss, nil
	})
	if err != nil {
		return err
	}
	for k := range budget {
		a.insertRow(e, from+k%distinct)
	}
	return nil
}

// copies returns how often point k of some is inserted when points take turns until so many are.
func copies(k, points, total int) int { return (total - k + points - 1) / points }
