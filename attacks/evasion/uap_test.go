package evasion

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
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

// sweeps counts, for every sweep over n points of a model of two classes, those of class 1.
type sweeps struct {
	*surface
	n, seen, hits int
	counts        []int
}

func (s *sweeps) Scores(ctx context.Context, b access.Batch, y []float64) error {
	err := s.surface.Scores(ctx, b, y)
	for i := range b.N {
		if y[2*i] <= y[2*i+1] {
			s.hits++
		}
		if s.seen++; s.seen%s.n == 0 {
			s.counts, s.hits = append(s.counts, s.hits), 0
		}
	}
	return err
}

// TestUniversalBest: of what every pass leaves, the best is kept, here on ripples that big steps jump over; the search leaves a place
// that is flat; and rows that read inputs count.
func TestUniversalBest(t *testing.T) {
	at := func(x ...float64) Task {
		return Task{X: x, Lower: slices.Repeat([]float64{-2}, len(x)), Upper: slices.Repeat([]float64{2}, len(x)), Goal: Untargeted(0, 2)}
	}
	ripples := &surface{2, func(x, g []float64) float64 {
		g[0], g[1] = 20*math.Cos(20*x[0]), -30*math.Sin(30*x[1])
		return math.Sin(20*x[0]) + math.Cos(30*x[1])
	}}
	rng := rand.New(rand.NewPCG(16, 16))
	var tasks []Task
	for range 70 {
		tasks = append(tasks, at(float64(float32(rng.Float64())), float64(float32(rng.Float64()))))
	}
	later := 0
	for seed := range uint64(5) {
		model := &sweeps{surface: ripples, n: len(tasks)}
		r, err := Universal(context.Background(), model, tasks, UniversalOptions{Norm: L2, Eps: 0.3, Passes: 6, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if best := slices.Max(model.counts); len(model.counts) != 7 || r.Rate != float64(best)/float64(len(tasks)) {
			t.Errorf("rate %v, the passes left %v of %d", r.Rate, model.counts, len(tasks))
		} else if model.counts[6] < best {
			later++
		}
	}
	if later == 0 {
		t.Error("the last pass was always the best")
	}
	r, err := Universal(context.Background(), ellipsoid([]float64{1, 2}), []Task{at(0, 0), at(0, 0)}, UniversalOptions{Norm: L2, Eps: 0.8})
	if err != nil || r.Rate != 1 {
		t.Errorf("from a flat place: rate %v, %v", r.Rate, err)
	}
	b := newBinary(t, rand.New(rand.NewPCG(17, 1)), 10)
	model, task := b.polyhedron(t)
	r, err = Universal(context.Background(), model, []Task{task}, UniversalOptions{Norm: Linf, Eps: 1.001 * b.distance(Linf)})
	if err != nil || r.Rate != 1 {
		t.Errorf("a row that reads an input: rate %v, %v", r.Rate, err)
	}
}

// TestUniversalTruncated: three inputs are content with a short displacement, two need nearly all of the radius in another direction; who
// has enough must not pull on.
func TestUniversalTruncated(t *testing.T) {
	model := affine(t, [][]float64{{0, 0}, {100, 0}, {0, 100}}, []float64{0, -10, -95})
	all := Untargeted(0, 3)
	var tasks []Task
	for k := range 5 {
		tasks = append(tasks, Task{X: []float64{0, 0}, Goal: all.Case(k / 3)})
	}
	r, err := Universal(context.Background(), model, tasks, UniversalOptions{Norm: L2, Eps: 1})
	if err != nil || r.Rate != 1 {
		t.Errorf("rate %v, %v", r.Rate, err)
	}
}

// TestUniversalScales: an input that is out of reach but whose scores are steep does not drown the others.
func TestUniversalScales(t *testing.T) {
	model := affine(t, [][]float64{{0, 0}, {0.5, 0}, {0, 100}}, []float64{0, -0.4, -200})
	all := Untargeted(0, 3)
	var tasks []Task
	for k := range 4 {
		tasks = append(tasks, Task{X: []float64{0, 0}, Goal: all.Case(k / 3)})
	}
	r, err := Universal(context.Background(), model, tasks, UniversalOptions{Norm: L2, Eps: 1})
	if err != nil || r.Rate != 0.75 {
		t.Errorf("rate %v, %v", r.Rate, err)
	}
}

// TestUniversalRounding: a point that only rounding to float32 takes to the goal is out of the ball and does not count.
func TestUniversalRounding(t *testing.T) {
	model := affine(t, [][]float64{{0}, {1}}, []float64{0, -1024 - 0x1p-14})
	task := []Task{{X: []float64{1024}, Goal: Untargeted(0, 2)}} // the next float32 number is 2⁻¹³ away
	r, err := Universal(context.Background(), model, task, UniversalOptions{Norm: L2, Eps: 0.99 * 0x1p-13})
	if err != nil || r.Rate != 0 {
		t.Errorf("rate %v, %v", r.Rate, err)
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
