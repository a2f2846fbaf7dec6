package evasion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/train"
)

// An ATN is an adversarial transformation network (Baluja and Fischer, "Learning to attack: adversarial transformation networks",
// 2018): a network that was trained against one model to turn inputs into adversarial ones in a single pass, without the model.
type ATN struct {
	net *train.Net[float64]
	eps float64
}

// ATNOptions say how one is trained. Zeros stand for the values in brackets.
type ATNOptions struct {
	Eps     float64 // radius in the largest norm
	Hidden  []int   // units of the layers between (128)
	Steps   int     // of Adam (1000)
	Batch   int     // inputs of a step (64)
	Rate    float64 // learning rate (2e-3)
	Seed    uint64
	Workers int // 0: the processors; results do not depend on it
}

func (o ATNOptions) withDefaults() (ATNOptions, error) {
	if o.Hidden == nil {
		o.Hidden = []int{128}
	}
	if o.Steps == 0 {
		o.Steps = 1000
	}
	if o.Batch == 0 {
		o.Batch = 64
	}
	if o.Rate == 0 {
		o.Rate = 2e-3
	}
	if !(o.Eps >= 0 && o.Rate > 0) || math.IsInf(o.Eps+o.Rate, 1) || o.Steps < 0 || o.Batch < 0 || o.Workers < 0 {
		return o, fmt.Errorf("evasion: an ATN with %+v", o)
	}
	return o, nil
}

// TrainATN trains one on tasks, climbing the logarithm of the probability to reach the goal, which leaves what is reached alone.
// The tasks' goals must not read inputs. On cancellation it returns the error of ctx.
func TrainATN(ctx context.Context, m access.Gradients, tasks []Task, o ATNOptions) (*ATN, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	in, out := m.Dims()
	if len(tasks) == 0 {
		return nil, errors.New("evasion: an ATN needs tasks to learn from")
	}
	for i := range tasks {
		if err := (&engine{in: in, out: out, level: access.NeedGradients, m: &Method{Name: "ATN"}}).check(i,
			&tasks[i]); err != nil {
			return nil, err
		}
		if tasks[i].Goal.readsInputs() {
			return nil, fmt.Errorf("evasion: task %d: an ATN cannot learn goals that read inputs", i)
		}
	}
	var layers []train.Layer
	for _, n := range o.Hidden {
		layers = append(layers, train.Dense{Out: n}, train.ReLU{})
	}
	root := seed.Derive(o.Seed, "evasion", "atn")
	a := &ATN{eps: o.Eps}
	if a.net, err = train.New[float64](root, []int{in}, append(layers, train.Dense{Out: in})...); err != nil {
		return nil, err
	}
	l := &atnTraining{a: a, m: m, o: o, pass: a.net.NewPass(o.Workers), opt: newAdam(len(a.net.Weights))}
	rng := seed.Stream(root, "batches")
	batch := make([]Task, min(o.Batch, len(tasks)))
	draws := make([]uint64, len(batch))
	for step := range o.Steps {
		for i := range batch {
			batch[i], draws[i] = tasks[rng.IntN(len(tasks))], rng.Uint64()
		}
		if err := l.step(ctx, step, batch, draws); err != nil {
			return nil, err
		}
	}
	return a, nil
}

type atnTraining struct {
	a    *ATN
	m    access.Gradients
	o    ATNOptions
	pass *train.Pass[float64]
	opt  *adam
}

func (l *atnTraining) step(ctx context.Context, step int, batch []Task, draws []uint64) error {
	x, slope, err := l.a.forward(ctx, l.pass, batch)
	if err != nil {
		return err
	}
	_, out := l.m.Dims()
	y, dx := make([]float64, len(batch)*out), make([]float64, len(x))
	climb := func(i int, y, dy []float64) {
		v := LogOdds.Value(batch[i].Goal, nil, y, dy, nil)
		for j := range dy {
			dy[j] /= 1 + math.Exp(v) // the gradient of log p, p being the probability of which v is the log-odds
		}
	}
	if err := l.m.Gradients(ctx, access.Batch{N: len(batch), X: x, Draws: draws}, y, climb, dx); err != nil {
		return err
	}
	for i := range dx {
		dx[i] *= slope[i] / float64(len(batch))
	}
	g, err := l.pass.Backward(ctx, dx, nil)
	if err != nil {
		return err
	}
	rate := l.o.Rate * (1 + math.Cos(math.Pi*float64(step)/float64(l.o.Steps))) / 2
	l.opt.descend(l.a.net.Weights, g, -rate) // it climbs
	return nil
}

// forward returns the points made of the tasks' inputs and how they change with the outputs of the network: between the ends of
// ball and box along a tanh.
func (a *ATN) forward(ctx context.Context, pass *train.Pass[float64], tasks []Task) (x, slope []float64, err error) {
	for i := range tasks {
		x = append(x, tasks[i].X...)
	}
	g, err := pass.Forward(ctx, slices.Clone(x)) // which must stay as it is until Backward
	if err != nil {
		return nil, nil, err
	}
	slope = make([]float64, len(x))
	for i := range tasks {
		lo, hi := region(&tasks[i], Linf, a.eps)
		for k := range lo {
			j := i*len(lo) + k
			h := math.Tanh(g[j])
			half := (hi[k] - lo[k]) / 2
			x[j] = lo[k] + half + half*h
			slope[j] = half * (1 - h*h)
		}
	}
	return x, slope, nil
}

// Perturb returns a point for every task, on the float32 grid inside its box and the ball, whether it reaches the goal or not.
func (a *ATN) Perturb(ctx context.Context, tasks []Task) ([][]float64, error) {
	in := a.net.Inputs()
	for i := range tasks {
		if len(tasks[i].X) != in {
			return nil, fmt.Errorf("evasion: task %d has %d inputs, the ATN %d", i, len(tasks[i].X), in)
		}
	}
	x, _, err := a.forward(ctx, a.net.NewPass(0), tasks)
	if err != nil {
		return nil, err
	}
	points := make([][]float64, len(tasks))
	for i := range tasks {
		lo, hi := region(&tasks[i], Linf, a.eps)
		points[i] = x[i*in : (i+1)*in : (i+1)*in]
		(&Probe{Lo: lo, Hi: hi}).Snap(points[i])
	}
	return points, nil
}
