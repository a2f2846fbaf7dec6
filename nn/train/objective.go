package train

import (
	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
)

// A State is a training after a whole number of epochs.
type State[T kernel.Float] struct {
	Epoch     int // epochs done
	Step      int // steps done
	Weights   []T
	Optimiser []T // its moments
}

// An Objective records what a training minimises.
type Objective[T kernel.Float] interface {
	Record(t *tape.Tape[T], net *Net[T]) (Recorded, error)
}

// Recorded is an Objective on a tape.
type Recorded struct {
	Loss   tape.Value // of every row; batches weigh it
	Logits tape.Value // of the clean rows
	// Worst, if not nil, holds logits such that a row counts as certified in training when that of its label is the largest: what a
	// bound says that others can reach.
	Worst *tape.Value
	// Margins says that rows must have labels, over which bounds are taken: probabilities alone are an error.
	Margins bool
	// Begin, if not nil, is called before every step to set scalars. It returns the radius of the step, for Progress.
	Begin func(m Moment, set func(tape.Scalar, float64)) (eps float64)
}

// A Moment is a point in a training.
type Moment struct {
	Epochs float64 // done, with the part of the running one
	All    int     // epochs of the training
	Step   int     // steps done
}

// crossEntropy is the Objective of a plain training.
type crossEntropy[T kernel.Float] struct{ temperature float64 }

func (o crossEntropy[T]) Record(t *tape.Tape[T], net *Net[T]) (Recorded, error) {
	temperature := t.Scalar()
	logits, _ := net.RecordBatch(t, t.Input())
	return Recorded{Loss: t.CrossEntropy(logits, temperature), Logits: logits,
		Begin: func(_ Moment, set func(tape.Scalar, float64)) float64 {
			set(temperature, o.temperature)
			return 0
		}}, nil
}
