package access

import (
	"context"
	"fmt"
)

// BPDA is a transform whose way back is another's: the outputs of forward, the gradient of backward at the same input and draw,
// which should be a smooth function close to forward; nil is the identity. Behind Compose it is backward pass differentiable
// approximation (Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security", 2018): the model stays as it
// is, only the search sees through what has no gradient. It is an error if the two differ in size.
func BPDA(forward, backward Transform) (Transform, error) {
	in, out := forward.Dims()
	if backward == nil {
		if in != out {
			return nil, fmt.Errorf("access: BPDA: a transform of %d inputs to %d outputs has no identity to stand in", in, out)
		}
		return &bpda{forward, nil}, nil
	}
	if bin, bout := backward.Dims(); bin != in || bout != out {
		return nil, fmt.Errorf("access: BPDA: the transform has %d inputs and %d outputs, its stand-in %d and %d", in, out, bin,
			bout)
	}
	return &bpda{forward, backward}, nil
}

type bpda struct{ forward, backward Transform }

func (t *bpda) Dims() (inputs, outputs int) { return t.forward.Dims() }

func (t *bpda) Forward(dst, x []float64, draw uint64) { t.forward.Forward(dst, x, draw) }

func (t *bpda) Pull(dx, x, dy []float64, draw uint64) {
	if t.backward == nil {
		copy(dx, dy)
		return
	}
	t.backward.Pull(dx, x, dy, draw)
}

// WithGradients gives a model the gradients of another, at the same input but for the model's own outputs: BPDA for a model that
// is known by its scores only. It is an error if the two differ in size.
func WithGradients(m Scores, standIn Gradients) (Gradients, error) {
	in, out := m.Dims()
	if sin, sout := standIn.Dims(); sin != in || sout != out {
		return nil, fmt.Errorf("access: the model has %d inputs and %d outputs, its stand-in %d and %d", in, out, sin, sout)
	}
	return &withGradients{m, standIn}, nil
}

type withGradients struct {
	m       Scores
	standIn Gradients
}

func (w *withGradients) Dims() (inputs, outputs int) { return w.m.Dims() }

func (w *withGradients) Scores(ctx context.Context, b Batch, y []float64) error {
	return w.m.Scores(ctx, b, y)
}

func (w *withGradients) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64),
	dx []float64) error {
	if err := w.m.Scores(ctx, b, y); err != nil {
		return err
	}
	_, out := w.Dims()
	own := make([]float64, b.N*out)
	return w.standIn.Gradients(ctx, b, own, func(i int, _, dy []float64) { pull(i, y[i*out:(i+1)*out], dy) }, dx)
}
