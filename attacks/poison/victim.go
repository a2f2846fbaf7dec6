package poison

import (
	"context"
	"fmt"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// FeatureLayers returns the layers that a victim has before its last one when nobody says otherwise: two strided convolutions
// and a dense layer for pictures of at least 8×8, else a dense layer.
func FeatureLayers(shape []int) []train.Layer {
	if len(shape) != 3 || min(shape[1], shape[2]) < 8 {
		return []train.Layer{train.Dense{Out: 100}, train.ReLU{}}
	}
	return []train.Layer{train.Conv2D{Out: 16, Kernel: 4, Stride: 2, Pad: 1}, train.ReLU{},
		train.Conv2D{Out: 32, Kernel: 4, Stride: 2, Pad: 1}, train.ReLU{}, train.Dense{Out: 100}, train.ReLU{}}
}

// InputShape returns the shape that a network for items of a shape has: [C H W] and [d] stay, others become [d].
func InputShape(set *data.Set) []int {
	if len(set.Shape) == 3 {
		return set.Shape
	}
	return []int{set.Dim()}
}

// A Regression is a linear victim: logistic regression trained to convergence on inputs, or on the features of a network that it
// was given (transfer learning).
type Regression struct {
	learner  *Learner
	features *Split // nil: the inputs
	theta    []float64
	workers  int
}

// FitRegression trains one. features may be nil. λ must be positive.
func FitRegression(ctx context.Context, set *data.Set, features *Split, classes int, l2 float64, workers int) (*Regression,
	error) {
	classes, err := checked(set, classes)
	if err != nil {
		return nil, err
	}
	if !(l2 > 0) {
		return nil, fmt.Errorf("poison: a regression with λ = %v: want a positive number", l2)
	}
	r := &Regression{features: features, workers: workers}
	e, err := r.examples(ctx, set)
	if err != nil {
		return nil, err
	}
	r.learner = &Learner{Inputs: len(e.X) / len(e.Labels), Classes: classes, L2: l2}
	r.theta, err = r.learner.Fit(ctx, e, Training{Workers: workers})
	return r, err
}

func (r *Regression) examples(ctx context.Context, set *data.Set) (*Examples, error) {
	if r.features == nil {
		return examples(set), nil
	}
	x, err := r.features.featureRows(ctx, set.X, r.workers)
	return &Examples{X: x, Labels: set.Labels}, err
}

// Score returns the share of the items that are classified as their label, and the mean loss.
func (r *Regression) Score(ctx context.Context, set *data.Set) (accuracy, loss float64, err error) {
	e, err := r.examples(ctx, set)
	if err != nil {
		return 0, 0, err
	}
	wrong, loss, err := r.learner.Errors(ctx, r.theta, e, r.workers)
	return 1 - float64(wrong)/float64(len(e.Labels)), loss, err
}

// Classify returns the class of one input.
func (r *Regression) Classify(ctx context.Context, x []float64) (int, error) {
	if r.features != nil {
		var err error
		if x, err = r.features.featureRows(ctx, x, r.workers); err != nil {
			return 0, err
		}
	}
	z, err := r.learner.Logits(ctx, r.theta, x, r.workers)
	if err != nil {
		return 0, err
	}
	return argmax(z), nil
}
