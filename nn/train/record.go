package train

import (
	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
)

// Record records the net on rows of inputs and returns its logits. The tape's parameters are the net's Weights.
func (n *Net[T]) Record(t *tape.Tape[T], x tape.Value) tape.Value {
	for i := range n.stages {
		s := &n.stages[i]
		switch l := s.Layer.(type) {
		case Dense:
			w, b := Affine(t, s)
			x = t.Dense(x, w, &b, l.Out)
		case Conv2D:
			w, b := Affine(t, s)
			x = t.Conv(x, w, &b, l.Geometry(s.In))
		case ReLU:
			x = t.ReLU(x)
		}
	}
	return x
}

// Affine returns the weight and the bias of a stage as values of a tape.
func Affine[T kernel.Float](t *tape.Tape[T], s *Stage) (w, b tape.Value) {
	size := s.weights()
	return t.Param(s.From, size), t.Param(s.From+size, s.Bias)
}
