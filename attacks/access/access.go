// Package access says how much of a model an attacker sees: labels, scores, or gradients too. Attacks (attacks/evasion) are
// written against these interfaces, so that a network, a defended network, a randomised one and a remote one are attacked by
// the same code.
//
// Points are float64 numbers, n×d row-major. Every call takes one random number for every point: a randomised model draws from
// that and from nothing else, so results depend neither on the batch a point is in nor on the number of workers.
package access

import "context"

// A Batch is N points of a model's input.
type Batch struct {
	N     int
	X     []float64 // N×inputs, row-major
	Draws []uint64  // N, one seed for every point; only randomised models read it
}

// Labels is a model that answers with a class only.
type Labels interface {
	// Dims returns the number of inputs and of scores or classes.
	Dims() (inputs, classes int)
	// Labels stores the class of every point. Implementations are safe for concurrent use.
	Labels(ctx context.Context, b Batch, labels []int) error
}

// Scores is a model that answers with its outputs: one score for every class (logits, not probabilities), or the outputs of a
// network that is no classifier.
type Scores interface {
	// Dims returns the number of inputs and of outputs.
	Dims() (inputs, outputs int)
	// Scores stores the outputs of every point, N×outputs. Implementations are safe for concurrent use.
	Scores(ctx context.Context, b Batch, y []float64) error
}

// Gradients is a model that can be differentiated.
type Gradients interface {
	Scores
	// Gradients stores the outputs y (N×outputs) and the products dx = Jᵀ·dy (N×inputs), J being the Jacobian at every point.
	// After the outputs of point i are known, pull fills its dy (zero at the call) from its y; it is called from one goroutine. A
	// model that averages over draws asks it several times for a point, with the outputs of each draw.
	Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error
}

// Level is how much of a model an attack needs.
type Level uint8

// The levels, from least to most.
const (
	NeedLabels Level = iota
	NeedScores
	NeedGradients
)

func (l Level) String() string { return [...]string{"labels", "scores", "gradients"}[l] }

// Argmax returns the index of the largest score, the first of equal ones.
func Argmax(y []float64) int {
	best := 0
	for j := range y {
		if y[j] > y[best] {
			best = j
		}
	}
	return best
}

// OnlyLabels hides the scores of a model.
func OnlyLabels(m Scores) Labels { return &onlyLabels{m} }

type onlyLabels struct{ m Scores }

func (o *onlyLabels) Dims() (inputs, classes int) { return o.m.Dims() }

func (o *onlyLabels) Labels(ctx context.Context, b Batch, labels []int) error {
	_, c := o.m.Dims()
	y := make([]float64, b.N*c)
	if err := o.m.Scores(ctx, b, y); err != nil {
		return err
	}
	for i := range labels {
		labels[i] = Argmax(y[i*c : (i+1)*c])
	}
	return nil
}

// OnlyScores hides the gradients of a model.
func OnlyScores(m Scores) Scores { return &onlyScores{m} }

type onlyScores struct{ m Scores }

func (o *onlyScores) Dims() (inputs, outputs int) { return o.m.Dims() }

func (o *onlyScores) Scores(ctx context.Context, b Batch, y []float64) error {
	return o.m.Scores(ctx, b, y)
}
