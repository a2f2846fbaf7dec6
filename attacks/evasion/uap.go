package evasion

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/seed"
)

// Universal perturbations: one displacement that takes many inputs to their goals (Moosavi-Dezfooli et al., "Universal
// adversarial perturbations", 2017). Their algorithm adds up DeepFool's steps for one input after the other; ascent on a
// truncated loss over minibatches (Shafahi et al., "Universal adversarial training", 2020) fools more inputs with fewer
// gradients, and is what is here. Large steps matter: the first is the radius.

// UniversalOptions steer Universal. The zero value of all but Norm and Eps works.
type UniversalOptions struct {
	Norm   Norm    // Linf, L2 or L1
	Eps    float64 // the radius
	Passes int     // over the tasks; 0: 50
	Batch  int     // tasks of a step; 0: 32
	Seed   uint64  // results are a function of model, tasks and options, and of nothing else
}

// A Perturbation is what Universal found.
type Perturbation struct {
	V        []float64 // NumInputs; nil when not even the unperturbed inputs could be evaluated
	Distance float64   // of V in the norm, at most Eps
	// Fooled says by task whether x + V, moved into the task's box and onto the float32 grid, is within Eps and reaches the goal.
	Fooled             []bool
	Rate               float64 // the share of them
	Clean              float64 // the share that reaches its goal without a perturbation
	Queries, Gradients int     // points evaluated without and with gradient
}

// Universal looks for the displacement within Eps that takes most tasks to their goals and measures it on these tasks. It is an
// error when tasks do not fit the model; on cancellation of ctx it returns the best so far and ctx's error.
func Universal(ctx context.Context, model access.Gradients, tasks []Task, opt UniversalOptions) (Perturbation, error) {
	if !(opt.Eps >= 0) || math.IsInf(opt.Eps, 1) || opt.Norm > L1 || len(tasks) == 0 {
		return Perturbation{},
			fmt.Errorf("evasion: universal perturbations need tasks and a radius in linf, l2 or l1, not %d tasks and %v in %v",
				len(tasks), opt.Eps, opt.Norm)
	}
	in, out := model.Dims()
	e := &engine{m: &Method{Name: "universal"}, in: in, out: out, level: access.NeedGradients}
	u := &universal{model: model, tasks: tasks, opt: opt, in: in, out: out, draws: seed.Derive(opt.Seed, "evasion", "universal")}
	for i := range tasks {
		if err := e.check(i, &tasks[i]); err != nil {
			return Perturbation{}, err
		}
		lo, hi := region(&tasks[i], opt.Norm, opt.Eps)
		u.lo, u.hi = append(u.lo, lo), append(u.hi, hi)
	}
	if opt.Passes <= 0 {
		u.opt.Passes = 50
	}
	if opt.Batch <= 0 {
		u.opt.Batch = 32
	}
	u.ball = &Probe{X0: make([]float64, in), Lo: slices.Repeat([]float64{-opt.Eps}, in), Hi: slices.Repeat([]float64{opt.Eps}, in),
		Norm: opt.Norm, Rng: rand.New(rand.NewPCG(u.draws, 0))}
	err := u.run(ctx)
	return u.best, err
}

// universal is one search.
type universal struct {
	model   access.Gradients
	tasks   []Task
	opt     UniversalOptions
	in, out int
	ball    *Probe // for its geometry and random numbers
	lo, hi  [][]float64
	draws   uint64
	best    Perturbation
}

func (u *universal) run(ctx context.Context) error {
	v, step := make([]float64, u.in), make([]float64, u.in)
	if err := u.measure(ctx, v); err != nil {
		return err
	}
	u.best.Clean = u.best.Rate
	u.ball.uniform(v, u.opt.Eps)
	for pass := range u.opt.Passes {
		size := u.opt.Eps * (1 + math.Cos(math.Pi*float64(pass)/float64(u.opt.Passes))) / 2
		for part := range slices.Chunk(u.ball.Rng.Perm(len(u.tasks)), u.opt.Batch) {
			g, err := u.slope(ctx, part, v)
			if err != nil {
				return err
			}
			u.ball.ascend(step, g, v, size, 0.05)
			add(v, 1, step)
			u.ball.project(v, u.opt.Eps)
		}
		if err := u.measure(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// enough is the log-odds from which on an input is left alone.
const enough = 3

// slope returns the sum of the inputs' slopes of log-odds, each of length one: none of those that are far beyond their goal.
func (u *universal) slope(ctx context.Context, part []int, v []float64) ([]float64, error) {
	b := u.points(part, v)
	y, dx, g := make([]float64, b.N*u.out), make([]float64, b.N*u.in), make([]float64, u.in)
	rows := make([]float64, b.N*u.in)
	err := u.model.Gradients(ctx, b, y, func(k int, y, dy []float64) {
		at, end := k*u.in, (k+1)*u.in
		if LogOdds.Value(u.tasks[part[k]].Goal, b.X[at:end], y, dy, rows[at:end]) > enough {
			clear(dy)
			clear(rows[at:end])
		}
	}, dx)
	if err != nil {
		return nil, err
	}
	u.best.Gradients += b.N
	add(dx, 1, rows)
	for d := range slices.Chunk(dx, u.in) {
		if n := L2.length(d); n > 0 {
			add(g, 1/n, d)
		}
	}
	return g, nil
}

// points are the perturbed inputs of some tasks as the model sees them.
func (u *universal) points(part []int, v []float64) access.Batch {
	b := access.Batch{N: len(part)}
	for _, i := range part {
		for k, x := range u.tasks[i].X {
			b.X = append(b.X, float64(float32(min(max(x+v[k], u.lo[i][k]), u.hi[i][k]))))
		}
		u.draws++
		b.Draws = append(b.Draws, mix(u.draws))
	}
	return b
}

// measure counts the tasks that v takes to their goals and keeps v when they are the most so far.
func (u *universal) measure(ctx context.Context, v []float64) error {
	fooled, n := make([]bool, len(u.tasks)), 0
	order := make([]int, len(u.tasks))
	for i := range order {
		order[i] = i
	}
	for part := range slices.Chunk(order, 64) {
		b := u.points(part, v)
		y := make([]float64, b.N*u.out)
		if err := u.model.Scores(ctx, b, y); err != nil {
			return err
		}
		u.best.Queries += b.N
		for k, i := range part {
			x := b.X[k*u.in : (k+1)*u.in]
			m, _, _ := u.tasks[i].Goal.Margin(x, y[k*u.out:(k+1)*u.out])
			if m >= 0 && (u.opt.Norm == Linf || u.opt.Norm.Distance(x, u.tasks[i].X) <= u.opt.Eps) { // in Linf the box says it
				fooled[i] = true
				n++
			}
		}
	}
	if rate := float64(n) / float64(len(u.tasks)); u.best.V == nil || rate > u.best.Rate {
		u.best.V, u.best.Fooled, u.best.Rate, u.best.Distance = slices.Clone(v), fooled, rate, u.opt.Norm.Distance(v, u.ball.X0)
		if u.opt.Norm == Linf {
			u.best.Distance = Linf.length(v)
		}
	}
	return nil
}
