package access

import (
	"context"
	"fmt"
	"math"
)

// A Transform is a step in front of a model, or between its layers: a preprocessing defence, a generator, an encoding. One that
// draws random numbers takes them from draw and from nothing else. Implementations are safe for concurrent use.
type Transform interface {
	// Dims returns the number of inputs and of outputs.
	Dims() (inputs, outputs int)
	// Forward stores the transform of x in dst.
	Forward(dst, x []float64, draw uint64)
	// Pull stores Jᵀ·dy in dx, J being the true Jacobian at x under the same draw: zero almost everywhere for what rounds.
	Pull(dx, x, dy []float64, draw uint64)
}

// fork derives the k-th seed from a draw (splitmix64).
func fork(draw, k uint64) uint64 {
	z := draw + (k+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// backward is what Chain asks of a stage that can go back without going forward again.
type backward interface {
	back(ctx context.Context, b Batch, dy, dx []float64) error
}

// Lift makes a model of a transform.
func Lift(t Transform) Gradients { return &lifted{t} }

type lifted struct{ t Transform }

func (l *lifted) Dims() (inputs, outputs int) { return l.t.Dims() }

func (l *lifted) Scores(ctx context.Context, b Batch, y []float64) error {
	if err := b.drawn(); err != nil {
		return err
	}
	in, out := l.t.Dims()
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.t.Forward(y[i*out:(i+1)*out], b.X[i*in:(i+1)*in], b.Draws[i])
	}
	return nil
}

func (l *lifted) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	if err := l.Scores(ctx, b, y); err != nil {
		return err
	}
	_, out := l.t.Dims()
	dy := make([]float64, b.N*out)
	for i := range b.N {
		pull(i, y[i*out:(i+1)*out], dy[i*out:(i+1)*out])
	}
	return l.back(ctx, b, dy, dx)
}

func (l *lifted) back(ctx context.Context, b Batch, dy, dx []float64) error {
	in, out := l.t.Dims()
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.t.Pull(dx[i*in:(i+1)*in], b.X[i*in:(i+1)*in], dy[i*out:(i+1)*out], b.Draws[i])
	}
	return nil
}

// drawn reports a batch without a draw for every point.
func (b *Batch) drawn() error {
	if len(b.Draws) != b.N {
		return fmt.Errorf("access: %d random numbers for %d points: a model that may be randomised needs one for each",
			len(b.Draws), b.N)
	}
	return nil
}

// Layer makes a transform of a deterministic network, such as a stand-in for BPDA that was trained. It evaluates point by point;
// in front of a model, Chain is faster. Where the network cannot be evaluated the outputs are NaN, which the model behind it
// reports.
func Layer(m Gradients) Transform { return &layer{m} }

type layer struct{ m Gradients }

func (l *layer) Dims() (inputs, outputs int) { return l.m.Dims() }

func (l *layer) Forward(dst, x []float64, draw uint64) {
	if err := l.m.Scores(context.Background(), Batch{N: 1, X: x, Draws: []uint64{draw}}, dst); err != nil {
		fill(dst, math.NaN())
	}
}

func (l *layer) Pull(dx, x, dy []float64, draw uint64) {
	y := make([]float64, len(dy))
	give := func(_ int, _, d []float64) { copy(d, dy) }
	if err := l.m.Gradients(context.Background(), Batch{N: 1, X: x, Draws: []uint64{draw}}, y, give, dx); err != nil {
		fill(dx, math.NaN())
	}
}

func fill(dst []float64, v float64) {
	for i := range dst {
		dst[i] = v
	}
}
