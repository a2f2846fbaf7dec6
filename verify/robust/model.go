package robust

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/verify"
)

// A Model is a classifier made ready to be asked many times. It is safe for concurrent use.
type Model struct {
	Graph     *nn.Graph // without a final Softmax where that was cut off
	Semantics verify.Semantics
	// Cut is true when the file ends in a Softmax that was left out: verdicts are about the scores below it, which real arithmetic
	// orders in the same way, and attacks see gradients that do not vanish.
	Cut bool
	// Unverifiable says why nothing can be proved about the network, nil when something can. It can be attacked all the same.
	Unverifiable error

	file   *nn.Graph     // with a final Softmax
	proof  *prog.Program // for proofs, nil when Unverifiable
	replay *prog.Program // for gradients and rigorous replays, nil when the network cannot be lowered at all
	scores access.Scores // an access.Gradients when there is a program
}

// NewModel prepares a network. It is an error that wraps ErrInput when the network is no classifier: less than two outputs.
func NewModel(g *nn.Graph, s verify.Semantics) (*Model, error) {
	if n := g.NumOutputs(); n < 2 {
		return nil, fmt.Errorf("%w: the network has %d output; a classifier has one score for each of two or more classes", ErrInput, n)
	}
	m := &Model{Graph: g, Semantics: s, file: g}
	if s == verify.Real {
		m.Graph, m.Cut = g.Logits()
	}
	p, res, err := verify.Lower(m.Graph, s)
	switch {
	case err != nil:
		m.Unverifiable = err
		m.scores = access.Graph(m.Graph)
		return m, nil
	case res != nil:
		m.Unverifiable = fmt.Errorf("robust: %s", res.Reason)
		if p, err = m.Graph.Lower(); err != nil {
			return nil, err
		}
	default:
		m.proof = p
	}
	m.replay, m.scores = p, access.Program(p)
	return m, nil
}

// Access returns what attacks may ask of the network: an access.Gradients where it can be lowered.
func (m *Model) Access() access.Scores { return m.scores }

// Inputs returns the number of inputs.
func (m *Model) Inputs() int { return m.Graph.NumInputs() }

// Classes returns the number of classes.
func (m *Model) Classes() int { return m.Graph.NumOutputs() }

// Outputs evaluates the whole file in float64, a Softmax that was left out included: what a counterexample file must say of the
// outputs.
func (m *Model) Outputs(x []float64) ([]float64, error) { return m.file.EvalFlat(x) }

// Scores evaluates the network in float64.
func (m *Model) Scores(x []float64) ([]float64, error) {
	if m.replay == nil {
		return m.Graph.EvalFlat(x)
	}
	y := m.replay.Eval(x, 1, nil)[m.replay.Output]
	for k, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: output %d of the network is %v", ErrInput, k, v)
		}
	}
	return y, nil
}

// rival returns the class with the largest score beside the label, the first of equal ones, and how far the label is above it.
func rival(y []float64, label int) (class int, margin float64) {
	class = -1
	for j, v := range y {
		if j != label && (class < 0 || v > y[class]) {
			class = j
		}
	}
	return class, y[label] - y[class]
}
