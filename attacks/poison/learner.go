package poison

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/seed"
)

// A Loss is what a Learner minimises on an example.
type Loss uint8

// The losses of logits z for label y.
const (
	Logistic Loss = iota // softmax cross-entropy
	Hinge                // max(0, 1 + max_{j≠y} z_j − z_y) (Crammer and Singer 2001)
)

// A Learner describes a classifier in float64 and its training objective Σ_i w_i·ℓ(z(x_i), y_i) + λ/2·‖θ‖², with w_i = 1/n unless
// said otherwise. Biases are part of θ and of its norm, so the objective of a linear Learner with λ > 0 is strongly convex.
//
// Without hidden layers it is multi-class logistic regression or a linear support vector machine. Hidden layers are tanh, which
// is smooth.
//
// θ holds, layer by layer, the weights [in out] and the biases [out].
type Learner struct {
	Inputs, Classes int
	Hidden          []int
	Loss            Loss
	L2              float64 // λ
}

// layer is an affine map of a Learner in θ.
type layer struct{ in, out, at int }

func (l layer) weights(theta []float64) []float64 { return theta[l.at : l.at+l.in*l.out] }
func (l layer) biases(theta []float64) []float64  { return theta[l.at+l.in*l.out:][:l.out] }

func (m *Learner) layers() []layer {
	var ls []layer
	at, in := 0, m.Inputs
	for _, out := range append(append([]int{}, m.Hidden...), m.Classes) {
		ls = append(ls, layer{in, out, at})
		at += (in + 1) * out
		in = out
	}
	return ls
}

// Size returns the number of parameters.
func (m *Learner) Size() int {
	ls := m.layers()
	last := ls[len(ls)-1]
	return last.at + (last.in+1)*last.out
}

// Start returns parameters to train from: zeros for a linear Learner, else normal weights of variance 1/fan-in and zero biases.
func (m *Learner) Start(root uint64) []float64 {
	theta := make([]float64, m.Size())
	if len(m.Hidden) == 0 {
		return theta
	}
	r := seed.Stream(root, "poison", "learner")
	for _, l := range m.layers() {
		w := l.weights(theta)
		for i := range w {
			w[i] = r.NormFloat64() / math.Sqrt(float64(l.in))
		}
	}
	return theta
}

// Examples are rows of inputs with labels and, if not empty, weights w_i.
type Examples struct {
	X       []float64
	Labels  []int
	Weights []float64
}

func (m *Learner) check(e *Examples) error {
	switch {
	case m.Inputs < 1 || m.Classes < 2 || !(m.L2 >= 0):
		return fmt.Errorf("poison: a learner with %d inputs, %d classes and λ = %v", m.Inputs, m.Classes, m.L2)
	case len(e.Labels) == 0 || len(e.X) != len(e.Labels)*m.Inputs || len(e.Weights) > 0 && len(e.Weights) != len(e.Labels):
		return fmt.Errorf("poison: %d numbers, %d labels and %d weights for examples of %d numbers", len(e.X), len(e.Labels),
			len(e.Weights), m.Inputs)
	}
	for _, y := range e.Labels {
		if y < 0 || y >= m.Classes {
			return fmt.Errorf("poison: label %d of a learner with %d classes", y, m.Classes)
		}
	}
	return nil
}

// Training says how a Learner is trained.
type Training struct {
	// Tolerance is the norm of the gradient at which Newton's method stops; 0: 1e-6.
	Tolerance float64
	// Steps and Rate are those of gradient descent, which trains what Newton's method does not: the hinge loss, hidden layers.
	// 0: 500 steps at rate 0.1.
	Steps int
	Rate  float64
	// From is where to start; nil: Start(Seed).
	From    []float64
	Seed    uint64
	Workers int
}

func (t Training) withDefaults(m *Learner) (Training, error) {
	if t.Tolerance == 0 {
		t.Tolerance = 1e-6
	}
	if t.Steps == 0 {
		t.Steps = 500
	}
	if t.Rate == 0 {
		t.Rate = 0.1
	}
	if !(t.Tolerance > 0) || t.Steps < 0 || !(t.Rate > 0) {
		return t, fmt.Errorf("poison: training to a gradient of %v, or by %d steps at rate %v", t.Tolerance, t.Steps, t.Rate)
	}
	if t.From == nil {
		t.From = m.Start(t.Seed)
	}
	if len(t.From) != m.Size() {
		return t, fmt.Errorf("poison: training from %d parameters, want %d", len(t.From), m.Size())
	}
	return t, nil
}

// ErrDiverged says that a loss was not finite.
var ErrDiverged = errors.New("poison: the training diverged")

// Fit trains: a linear logistic Learner with λ > 0 by Newton's method until the norm of the gradient is below the tolerance, any
// other by gradient descent on all examples at once.
func (m *Learner) Fit(ctx context.Context, e *Examples, t Training) (theta []float64, err error) {
	if err := m.check(e); err != nil {
		return nil, err
	}
	if t, err = t.withDefaults(m); err != nil {
		return nil, err
	}
	p := m.pass(e, t.Workers)
	theta = append([]float64{}, t.From...)
	if m.Loss == Logistic && len(m.Hidden) == 0 && m.L2 > 0 {
		return theta, p.newton(ctx, theta, t.Tolerance)
	}
	return theta, p.descend(ctx, theta, t.Steps, t.Rate, nil)
}

// Logits returns the logits of rows, Classes numbers each.
func (m *Learner) Logits(ctx context.Context, theta, x []float64, workers int) ([]float64, error) {
	e := &Examples{X: x, Labels: make([]int, len(x)/m.Inputs)}
	if len(e.Labels) == 0 {
		return nil, nil
	}
	if err := m.check(e); err != nil {
		return nil, err
	}
	p := m.pass(e, workers)
	if _, err := p.gradient(ctx, theta); err != nil {
		return nil, err
	}
	return p.act[len(p.act)-1], nil
}

// Errors returns for how many examples the largest logit, the first of several, is not that of the label, and the mean loss.
func (m *Learner) Errors(ctx context.Context, theta []float64, e *Examples, workers int) (wrong int, loss float64, err error) {
	if err := m.check(e); err != nil {
		return 0, 0, err
	}
	p := m.pass(&Examples{X: e.X, Labels: e.Labels}, workers)
	if _, err := p.gradient(ctx, theta); err != nil {
		return 0, 0, err
	}
	z := p.act[len(p.act)-1]
	for i, y := range e.Labels {
		if argmax(z[i*m.Classes:][:m.Classes]) != y {
			wrong++
		}
		loss += p.losses[i]
	}
	return wrong, loss / float64(len(e.Labels)), nil
}

// argmax returns the first index of a largest element.
func argmax[T float32 | float64](z []T) int {
	top := 0
	for j, v := range z {
		if v > z[top] {
			top = j
		}
	}
	return top
}
