package evasion

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestUniversal: for inputs of one linear classifier the steepest displacement is the best for all, and takes exactly those to
// their goal whose margin it bridges.
func TestUniversal(t *testing.T) {
	for _, norm := range []Norm{Linf, L2, L1} {
		rng := rand.New(rand.NewPCG(12, uint64(norm)))
		b := newBinary(t, rng, 20)
		var tasks []Task
		var bridge []float64 // the least radius for each
		for k := range 100 {
			task := b.task()
			if task.X = slices.Clone(b.x); k > 0 {
				for i := range task.X {
					task.X[i] = math.Round((0.4+0.2*rng.Float64())*256) / 256
				}
			}
			other := &binary{w: b.w, c: b.c, x: task.X}
			if other.margin() > 0 {
				tasks, bridge = append(tasks, task), append(bridge, other.distance(norm))
			}
		}
		eps := slices.Sorted(slices.Values(bridge))[len(bridge)/2]
		model := &tally{model: b.model}
		opt := UniversalOptions{Norm: norm, Eps: eps, Seed: 5}
		r, err := Universal(context.Background(), model, tasks, opt)
		if err != nil {
			t.Fatal(err)
		}
		fooled := 0
		for i, f := range r.Fooled {
			if norm != L1 && f != (bridge[i] <= eps) && math.Abs(bridge[i]/eps-1) > 0.01 {
				t.Errorf("%v: input %d at %v of the radius: %v", norm, i, bridge[i]/eps, f)
			}
			if f && bridge[i] > eps*(1+1e-6) {
				t.Errorf("%v: input %d is fooled at %v of its distance", norm, i, eps/bridge[i])
			}
			if f {
				fooled++
			}
		}
		if want := float64(fooled) / float64(len(tasks)); r.Rate != want || r.Rate < 0.4 || r.Clean != 0 {
			t.Errorf("%v: rate %v of %v, clean %v", norm, r.Rate, want, r.Clean)
		}
		if r.Distance > eps || r.Distance < norm.length(r.V) {
			t.Errorf("%v: at %v, measured %v, radius %v", norm, r.Distance, norm.length(r.V), eps)
		}
		if r.Queries != model.queries || r.Gradients != model.gradients || r.Gradients != 50*len(tasks) {
			t.Errorf("%v: %d queries and %d gradients, the model was asked %d and %d", norm, r.Queries, r.Gradients, model.queries,
				model.gradients)
		}
		again, err := Universal(context.Background(), b.model, tasks, opt)
		if err != nil || !slices.Equal(again.V, r.V) || again.Rate != r.Rate {
			t.Errorf("%v: another run differs", norm)
		}
	}
}

func TestUniversalErrors(t *testing.T) {
	b := newBinary(t, rand.New(rand.NewPCG(13, 1)), 4)
	run := func(ctx context.Context, tasks []Task, opt UniversalOptions) (Perturbation, error) {
		return Universal(ctx, b.model, tasks, opt)
	}
	one := []Task{b.task()}
	for _, c := range []struct {
		tasks []Task
		opt   UniversalOptions
	}{{one, UniversalOptions{Norm: L0, Eps: 1}}, {one, UniversalOptions{Eps: math.Inf(1)}}, {one, UniversalOptions{Eps: math.NaN()}},
		{one, UniversalOptions{Eps: -1}},
		{nil, UniversalOptions{Eps: 1}}, {[]Task{{X: []float64{1}, Goal: Untargeted(0, 2)}}, UniversalOptions{Eps: 1}}} {
		if _, err := run(context.Background(), c.tasks, c.opt); err == nil {
			t.Errorf("%d tasks, %+v: no error", len(c.tasks), c.opt)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := run(ctx, one, UniversalOptions{Eps: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if r, err := run(context.Background(), one, UniversalOptions{}); err != nil || r.Distance != 0 || r.Rate != 0 {
		t.Errorf("radius 0: %+v, %v", r, err)
	}
}
