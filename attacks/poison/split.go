package poison

import (
	"context"
	"fmt"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// A Split is a network that can be looked into before its last layer: Full is Head after Features, and computes the same.
type Split struct {
	Full     *train.Net[float32]
	Features *train.Net[float32] // without the last layer; its "logits" are the features
	Head     *train.Net[float32] // the last layer, dense
}

// NewSplit returns a network of some layers and a dense last one, drawn from a seed.
func NewSplit(root uint64, input []int, features []train.Layer, classes int) (*Split, error) {
	all := append(append([]train.Layer{}, features...), train.Dense{Out: classes})
	full, err := train.New[float32](root, input, all...)
	if err != nil {
		return nil, err
	}
	f, err := train.New[float32](root, input, features...)
	if err != nil {
		return nil, err
	}
	h, err := train.New[float32](root, []int{f.Classes()}, train.Dense{Out: classes})
	if err != nil {
		return nil, err
	}
	s := &Split{full, f, h}
	s.Sync()
	return s, nil
}

// Sync copies the parameters of Full to Features and Head: to be called after every change of them.
func (s *Split) Sync() {
	n := copy(s.Features.Weights, s.Full.Weights)
	copy(s.Head.Weights, s.Full.Weights[n:])
}

// Clone returns a Split with parameters of its own.
func (s *Split) Clone() *Split { return &Split{s.Full.Clone(), s.Features.Clone(), s.Head.Clone()} }

// Fit trains the network on a set.
func (s *Split) Fit(ctx context.Context, set *data.Set, r train.Recipe, h train.Hooks[float32]) (train.Progress, error) {
	p, err := train.Fit(ctx, s.Full, &train.Samples[float32]{X: narrow(set.X), Labels: set.Labels}, r, h)
	s.Sync()
	return p, err
}

// featureRows returns the features of rows of inputs.
func (s *Split) featureRows(ctx context.Context, x []float64, workers int) ([]float64, error) {
	f, err := s.Features.Logits(ctx, narrow(x), workers)
	return widen(f), err
}

// Predict returns the class of the largest logit, the first of several, for every item.
func (s *Split) Predict(ctx context.Context, x []float64, workers int) ([]int, error) {
	if len(x)%s.Full.Inputs() != 0 {
		return nil, fmt.Errorf("poison: %d numbers are not rows of %d", len(x), s.Full.Inputs())
	}
	z, err := s.Full.Logits(ctx, narrow(x), workers)
	if err != nil {
		return nil, err
	}
	var classes []int
	for c := s.Full.Classes(); len(z) > 0; z = z[c:] {
		classes = append(classes, argmax(z[:c]))
	}
	return classes, nil
}

// Accuracy returns the share of the items that are classified as their label.
func (s *Split) Accuracy(ctx context.Context, set *data.Set, workers int) (float64, error) {
	p, err := s.Predict(ctx, set.X, workers)
	if err != nil {
		return 0, err
	}
	right := 0
	for i, y := range set.Labels {
		if p[i] == y {
			right++
		}
	}
	return float64(right) / float64(len(set.Labels)), nil
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
