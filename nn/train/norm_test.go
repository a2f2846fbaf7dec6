package train

import (
	"math"
	"slices"
	"testing"
)

// normed returns a small net with batch normalisation, trained a little.
func normed(t *testing.T) (*Net[float64], *Samples[float64]) {
	t.Helper()
	net := mustNew[float64](t, 2, []int{1, 4, 4}, Conv2D{Out: 3, Kernel: 3}, BatchNorm{}, ReLU{}, Dense{5}, BatchNorm{}, ReLU{}, Dense{3})
	const rows = 96
	data := &Samples[float64]{X: normal[float64](7, rows*16)}
	for i := range rows {
		data.Labels = append(data.Labels, i%3)
	}
	if _, err := Fit(ctx, net, data, Recipe{Epochs: 2, Batch: 48, LR: 0.05, Shard: 24}, Hooks[float64]{}); err != nil {
		t.Fatal(err)
	}
	return net, data
}

// TestPopulation compares the first layer's statistics with those of all rows: the mean is that of the shards, and the variance
// follows from the law of total variance for shards of equal length.
func TestPopulation(t *testing.T) {
	net, data := normed(t)
	conv, err := New[float64](0, []int{1, 4, 4}, Conv2D{Out: 3, Kernel: 3})
	if err != nil {
		t.Fatal(err)
	}
	copy(conv.Weights, net.Weights)
	y, err := conv.Logits(ctx, data.X, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := net.stages[1]
	for c := range 3 {
		mean, square, n := 0.0, 0.0, 0.0
		for r := range 96 {
			for _, v := range y[r*12+c*4:][:4] {
				mean, square, n = mean+v, square+v*v, n+1
			}
		}
		mean /= n
		variance := square/n - mean*mean
		near(t, "mean and variance", []float64{net.Weights[s.From+6+c], net.Weights[s.From+9+c]}, []float64{mean, variance}, 1e-12)
	}
}

// TestFolded wants the folded net and its graph to compute what the net does.
func TestFolded(t *testing.T) {
	net, data := normed(t)
	x := data.X[:10*16]
	want, err := net.Logits(ctx, x, 1)
	if err != nil {
		t.Fatal(err)
	}
	folded := net.Folded()
	got, err := folded.Logits(ctx, x, 1)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "folded", got, want, 1e-12)
	if n := len(folded.stages); n != 5 || len(folded.params) != 6 {
		t.Errorf("the folded net has %d stages and %d tensors", n, len(folded.params))
	}
	g, err := net.Graph()
	if err != nil {
		t.Fatal(err)
	}
	y, err := g.EvalFlat(x[:16])
	if err != nil {
		t.Fatal(err)
	}
	near(t, "graph", y, want[:3], 1e-5)
}

// TestResume wants a training that went on from a state to end with the same bytes, and states of other trainings refused.
func TestResume(t *testing.T) {
	for _, o := range []Optimiser{Adam{}, SGD{Momentum: 0.9}} {
		data := &Samples[float32]{X: normal[float32](1, 50*6), Labels: make([]int, 50)}
		for i := range data.Labels {
			data.Labels[i] = i % 3
		}
		recipe := Recipe{Epochs: 4, Batch: 16, Optimiser: o, Seed: 5, Noise: 0.1, Clip: 0.5, L1: 1e-3, Schedule: Cosine()}
		layers := []Layer{Dense{8}, BatchNorm{}, ReLU{}, Dense{3}}
		var half State[float32]
		whole := mustNew[float32](t, 1, []int{6}, layers...)
		keep := func(s State[float32], _ Progress) error {
			if s.Epoch == 2 {
				half = State[float32]{s.Epoch, s.Step, slices.Clone(s.Weights), slices.Clone(s.Optimiser)}
			}
			return nil
		}
		if _, err := Fit(ctx, whole, data, recipe, Hooks[float32]{Epoch: keep}); err != nil {
			t.Fatal(err)
		}
		rest := mustNew[float32](t, 9, []int{6}, layers...)
		p, err := Fit(ctx, rest, data, recipe, Hooks[float32]{Resume: &half})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rest.Weights, whole.Weights) || p.Step != 16 {
			t.Errorf("%T: resumed after half the training, the weights are others; step %d", o, p.Step)
		}
		half.Optimiser = half.Optimiser[1:]
		if _, err := Fit(ctx, rest, data, recipe, Hooks[float32]{Resume: &half}); err == nil {
			t.Errorf("%T: a state with too few moments: accepted", o)
		}
	}
}

// TestClip wants a gradient that is longer than Clip to be scaled down to it: with plain gradient descent, the step has that length.
func TestClip(t *testing.T) {
	net := mustNew[float64](t, 1, []int{4}, Dense{2})
	before := slices.Clone(net.Weights)
	data := &Samples[float64]{X: []float64{100, -200, 300, 400}, Labels: []int{0}}
	if p, err := net.Logits(ctx, data.X, 1); err != nil || p[0] > p[1] {
		data.Labels[0] = 1 // the wrong class, so that the gradient is long
	}
	if _, err := Fit(ctx, net, data, Recipe{Batch: 1, Optimiser: SGD{}, LR: 1, Clip: 0.25}, Hooks[float64]{}); err != nil {
		t.Fatal(err)
	}
	square := 0.0
	for i, v := range net.Weights {
		square += (v - before[i]) * (v - before[i])
	}
	near(t, "length of the step", []float64{math.Sqrt(square)}, []float64{0.25}, 1e-12)
}
