package evasion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/train"
)

// SubstituteOptions say how a substitute is trained. Zeros stand for the values in brackets.
type SubstituteOptions struct {
	Hidden       []int     // units of the layers between (200, 200)
	Rounds       int       // of training; before each but the first the points are augmented (6)
	Epochs       int       // of a round (10)
	Last         int       // epochs of the last round (50)
	Batch        int       // points of a step (32)
	Rate         float64   // learning rate of Adam (2e-3)
	Step         float64   // of the augmentation, λ, in units of the inputs (0.1)
	Flip         int       // rounds after which the sign of the step changes, τ (3)
	Full         int       // augmentations that take every point, σ (3)
	Sample       int       // points that a later augmentation takes, κ (400)
	Lower, Upper []float64 // the valid inputs; nil: every finite float32
	Queries      int       // labels that may be asked for; 0: no limit
	Seed         uint64
	Workers      int // 0: the processors; results do not depend on it
}

func (o SubstituteOptions) withDefaults() (SubstituteOptions, error) {
	if o.Hidden == nil {
		o.Hidden = []int{200, 200}
	}
	for _, d := range []struct {
		v *int
		n int
	}{{&o.Rounds, 6}, {&o.Epochs, 10}, {&o.Last, 50}, {&o.Batch, 32}, {&o.Flip, 3}, {&o.Full, 3}, {&o.Sample, 400}} {
		if *d.v == 0 {
			*d.v = d.n
		}
		if *d.v < 0 {
			return o, fmt.Errorf("evasion: a substitute with %+v", o)
		}
	}
	if o.Rate == 0 {
		o.Rate = 2e-3
	}
	if o.Step == 0 {
		o.Step = 0.1
	}
	if !(o.Rate > 0 && finite(o.Rate) && finite(o.Step)) || o.Queries < 0 || o.Workers < 0 {
		return o, fmt.Errorf("evasion: a substitute with %+v", o)
	}
	return o, nil
}

// TrainSubstitute trains a network to answer like a model of which only labels are seen (Papernot, McDaniel, Goodfellow, Jha,
// Celik and Swami, "Practical black-box attacks against machine learning", 2017), so that attacks with gradients can be made
// against the one and transferred to the other: see Options.Surrogate. It starts from a few inputs, asks for their labels,
// trains, and adds to every point x the point x + λ·sign of the gradient of the substitute's score for the label of x: so
// questions are asked where the substitute varies. Of later rounds a sample of the points is taken, all with equal probability.
//
// It returns the substitute and the number of labels asked for, which is right beside an error too. On cancellation the error
// is that of ctx.
func TrainSubstitute(ctx context.Context, oracle access.Labels, seeds [][]float64, o SubstituteOptions) (m access.Gradients,
	queries int, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, 0, err
	}
	in, classes := oracle.Dims()
	if len(seeds) == 0 {
		return nil, 0, errors.New("evasion: a substitute needs inputs to start from")
	}
	box := Task{Lower: o.Lower, Upper: o.Upper, Goal: &Goal{outputs: classes}}
	for i, x := range seeds {
		box.X = x
		e := &engine{in: in, out: classes, level: access.NeedGradients, m: &Method{Name: "substitute"}}
		if err := e.check(i, &box); err != nil {
			return nil, 0, err
		}
	}
	var layers []train.Layer
	for _, n := range o.Hidden {
		layers = append(layers, train.Dense{Out: n}, train.ReLU{})
	}
	root := seed.Derive(o.Seed, "evasion", "substitute")
	s := &substitute{o: o, oracle: oracle, in: in, classes: classes, root: root, rng: seed.Stream(root, "points")}
	s.lo, s.hi = region(&box, Linf, math.Inf(1))
	if s.net, err = train.New[float64](root, []int{in}, append(layers, train.Dense{Out: classes})...); err != nil {
		return nil, 0, err
	}
	var points []float64
	for _, x := range seeds {
		points = append(points, x...)
	}
	for round := range o.Rounds {
		if round > 0 {
			if points, err = s.augment(ctx, m, round-1); err != nil {
				return nil, s.asked, err
			}
		}
		if err = s.ask(ctx, points); err != nil {
			return nil, s.asked, err
		}
		if m, err = s.fit(ctx, round); err != nil {
			return nil, s.asked, err
		}
	}
	return m, s.asked, nil
}

type substitute struct {
	o           SubstituteOptions
	oracle      access.Labels
	in, classes int
	lo, hi      []float64
	root        uint64
	rng         *rand.Rand
	net         *train.Net[float64]
	data        train.Samples[float64]
	asked       int
}

// ask labels points, as many as the budget allows, and adds them.
func (s *substitute) ask(ctx context.Context, points []float64) error {
	n := len(points) / s.in
	if s.o.Queries > 0 {
		n = min(n, s.o.Queries-s.asked)
	}
	if n == 0 {
		return nil
	}
	points = points[:n*s.in]
	draws, labels := make([]uint64, n), make([]int, n)
	for i := range draws {
		draws[i] = s.rng.Uint64()
	}
	for i := range n {
		(&Probe{Lo: s.lo, Hi: s.hi}).Snap(points[i*s.in : (i+1)*s.in])
	}
	s.asked += n
	if err := s.oracle.Labels(ctx, access.Batch{N: n, X: points, Draws: draws}, labels); err != nil {
		return err
	}
	s.data.X, s.data.Labels = append(s.data.X, points...), append(s.data.Labels, labels...)
	return nil
}

// fit trains on from where the round before ended.
func (s *substitute) fit(ctx context.Context, round int) (access.Gradients, error) {
	r := train.Recipe{Epochs: s.o.Epochs, Batch: s.o.Batch, LR: s.o.Rate, Seed: s.root + uint64(round), Workers: s.o.Workers}
	if round == s.o.Rounds-1 {
		r.Epochs, r.Schedule = s.o.Last, train.Cosine()
	}
	if _, err := train.Fit(ctx, s.net, &s.data, r, train.Hooks[float64]{}); err != nil {
		return nil, err
	}
	g, err := s.net.Graph()
	if err != nil {
		return nil, err
	}
	p, err := g.Lower()
	if err != nil {
		return nil, err
	}
	return access.Program(p), nil
}

// augment returns a new point for every point, or for a sample of them.
func (s *substitute) augment(ctx context.Context, m access.Gradients, round int) ([]float64, error) {
	n := len(s.data.Labels)
	if s.o.Queries > 0 && s.asked >= s.o.Queries {
		return nil, nil
	}
	chosen := make([]int, 0, n)
	for i := range n {
		if round < s.o.Full || len(chosen) < s.o.Sample {
			chosen = append(chosen, i)
		} else if k := s.rng.IntN(i + 1); k < s.o.Sample {
			chosen[k] = i
		}
	}
	points := make([]float64, 0, len(chosen)*s.in)
	for _, i := range chosen {
		points = append(points, s.data.X[i*s.in:(i+1)*s.in]...)
	}
	dx := make([]float64, len(points))
	score := func(k int, _, dy []float64) { dy[s.data.Labels[chosen[k]]] = 1 }
	b := access.Batch{N: len(chosen), X: points, Draws: make([]uint64, len(chosen))}
	if err := m.Gradients(ctx, b, make([]float64, len(chosen)*s.classes), score, dx); err != nil {
		return nil, err
	}
	step := s.o.Step
	if round/s.o.Flip%2 == 1 {
		step = -step
	}
	for i, g := range dx {
		if g != 0 {
			points[i] += math.Copysign(step, step*g)
		}
	}
	return points, nil
}
