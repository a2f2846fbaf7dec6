package poison

import (
	"context"
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
)

// Back-gradient optimisation (Muñoz-González et al. 2017) differentiates the validation loss through the training itself: T steps
// θ_{t+1} = θ_t − α·∇L(θ_t) are taken forward, and then backward, from dθ = ∇L_val(θ_T), with
//
//	dx ← dx − α·(∂_x∇_θ L)ᵀdθ,   dθ ← dθ − α·H·dθ   at θ_t, for t = T−1 … 0.
//
// So the points are attacked for what training reaches in T steps, which need not be a minimum. The paper walks back along
// recomputed parameters and takes differences for H·dθ; here the parameters are kept and both products are exact, so dx is the
// derivative of what was computed.
var backGradient = &Attack{
	Name:   "backgradient",
	Doc:    "inserts points that climb the validation loss through the steps of the training",
	Source: "Muñoz-González et al. 2017",
	Params: []Param{
		{Name: "rate", Default: 0.1, Doc: "inserted points, as a share of the set"},
		{Name: "model", Words: []string{"logistic", "hinge", "mlp"}, Doc: "what is trained"},
		{Name: "hidden", Default: 10, Doc: "hidden units of mlp"},
		{Name: "steps", Default: 100, Doc: "T, steps of the training"},
		{Name: "lr", Default: 0.1, Doc: "α, their rate"},
		{Name: "rounds", Default: 50, Doc: "steps of the points"},
		{Name: "step", Default: 1, Doc: "length of the first step of a point; later ones are shorter"},
		{Name: "l2", Default: 0.01, Doc: "regularisation of the training"},
		{Name: "holdout", Default: 0.5, Doc: "share of the set that validates when there are no validation data"},
	},
	run: runBackGradient,
}

func runBackGradient(a *attacking) error {
	budget, err := a.count(a.num("rate"))
	if err != nil || budget == 0 {
		return err
	}
	m := &Learner{Inputs: a.set.Dim(), Classes: a.Classes, L2: a.num("l2")}
	switch a.int("model") {
	case 1:
		m.Loss = Hinge
	case 2:
		if m.Hidden = []int{a.int("hidden")}; m.Hidden[0] < 1 || m.Hidden[0] > 1<<16 {
			return fmt.Errorf("poison: %s: hidden=%v", a.name, a.num("hidden"))
		}
	}
	steps := a.int("steps")
	if steps < 1 || !(a.num("lr") > 0) || !(m.L2 >= 0) {
		return fmt.Errorf("poison: %s: steps=%v, lr=%v, l2=%v", a.name, a.num("steps"), a.num("lr"), m.L2)
	}
	if steps >= pathNumbers/m.Size() {
		return fmt.Errorf("poison: %s: steps=%d of %d parameters: more than %d numbers to keep", a.name, steps, m.Size(),
			pathNumbers)
	}
	known, validation, err := a.split()
	if err != nil {
		return err
	}
	e, from := a.withPoison(known, budget)
	back := m.newReversal(e, validation, from, steps, a.num("lr"), a.Workers)
	start := m.Start(a.Seed)
	if err := a.climb(e, from, func(dx []float64) (float64, error) { return back.run(a.ctx, start, dx) }); err != nil {
		return err
	}
	for k := range budget {
		a.insertRow(e, from+k)
	}
	return nil
}

// pathNumbers bounds the parameters that are kept: 2 GiB.
const pathNumbers = 1 << 28

// A reversal differentiates through training.
type reversal struct {
	m                    *Learner
	training, validation *pass
	path                 [][]float64 // θ_0 … θ_T
	rate                 float64
}

// newReversal prepares to train on examples for some steps, and to differentiate the loss on the validation examples with respect
// to the inputs of the training examples from the given one on. Both must fit.
func (m *Learner) newReversal(e, validation *Examples, from, steps int, rate float64, workers int) *reversal {
	bare := *m
	bare.L2 = 0
	r := &reversal{m: m, training: m.pass(e, workers), validation: bare.pass(validation, workers), rate: rate}
	r.training.mixedRows(from)
	for range steps + 1 {
		r.path = append(r.path, make([]float64, m.Size()))
	}
	return r
}

// run trains from start and returns the validation loss, and its gradient in dx.
func (r *reversal) run(ctx context.Context, start, dx []float64) (float64, error) {
	steps := len(r.path) - 1
	theta := append([]float64{}, start...)
	copy(r.path[0], start)
	if err := r.training.descend(ctx, theta, steps, r.rate, func(t int) { copy(r.path[t], theta) }); err != nil {
		return 0, err
	}
	copy(r.path[steps], theta)
	loss, err := r.validation.gradient(ctx, r.path[steps])
	if err != nil {
		return 0, err
	}
	dtheta := append([]float64{}, r.validation.grad...)
	clear(dx)
	for t := steps - 1; t >= 0; t-- {
		if _, err := r.training.gradient(ctx, r.path[t]); err != nil {
			return 0, err
		}
		if err := r.training.along(ctx, dtheta); err != nil {
			return 0, err
		}
		kernel.Axpy(dx, r.training.mixed, -r.rate)
		kernel.Axpy(dtheta, r.training.product, -r.rate)
	}
	return loss, nil
}
