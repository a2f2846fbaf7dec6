package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Compose is a model behind transforms, the first of which sees the input. Its gradient is the true one: through a step that
// rounds it is zero. It is an error if the numbers of inputs and outputs do not fit.
func Compose(m Gradients, pre ...Transform) (Gradients, error) {
	stages := make([]Gradients, 0, len(pre)+1)
	for _, t := range pre {
		stages = append(stages, Lift(t))
	}
	return Chain(append(stages, m)...)
}

// Latent is the model that judges what a generator makes of a point z of its latent space: attacks then search among the
// generator's pictures, not around one (Zhao, Dua and Singh, "Generating natural adversarial examples", 2018; Song et al.,
// "Constructing unrestricted adversarial examples with generative models", 2018). The box of z is the caller's.
func Latent(generator, m Gradients) (Gradients, error) { return Chain(generator, m) }

// Chain is the composition of models, the first of which sees the input. Stage k draws from the k-th seed derived from a point's
// draw.
func Chain(stages ...Gradients) (Gradients, error) {
	if len(stages) == 0 {
		return nil, errors.New("access: a chain without a stage")
	}
	for k := 1; k < len(stages); k++ {
		_, out := stages[k-1].Dims()
		if in, _ := stages[k].Dims(); in != out {
			return nil, fmt.Errorf("access: stage %d has %d outputs, the next wants %d inputs", k-1, out, in)
		}
	}
	return &chain{stages: stages}, nil
}

type chain struct {
	stages []Gradients
	pool   sync.Pool
}

// links holds what lies between the stages: x[k] and dx[k] are the inputs of stage k and their gradients; those of stage 0 are
// the caller's.
type links struct {
	x, dx [][]float64
	draws [][]uint64
	again []float64 // outputs that a stage computes a second time on the way back
}

func (c *chain) Dims() (inputs, outputs int) {
	inputs, _ = c.stages[0].Dims()
	_, outputs = c.stages[len(c.stages)-1].Dims()
	return inputs, outputs
}

// batch returns the inputs of stage k.
func (w *links) batch(b Batch, k int) Batch {
	x := b.X
	if k > 0 {
		x = w.x[k]
	}
	return Batch{N: b.N, X: x, Draws: w.draws[k]}
}

// forward runs all stages but the last.
func (c *chain) forward(ctx context.Context, w *links, b Batch) error {
	if err := b.drawn(); err != nil {
		return err
	}
	for k, s := range c.stages {
		w.draws[k] = grow(w.draws[k], b.N)
		for i, d := range b.Draws {
			w.draws[k][i] = fork(d, uint64(k))
		}
		if k+1 == len(c.stages) {
			return nil
		}
		_, out := s.Dims()
		w.x[k+1] = grow(w.x[k+1], b.N*out)
		if err := s.Scores(ctx, w.batch(b, k), w.x[k+1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *chain) links() *links {
	if w, ok := c.pool.Get().(*links); ok {
		return w
	}
	n := len(c.stages)
	return &links{x: make([][]float64, n), dx: make([][]float64, n), draws: make([][]uint64, n)}
}

func (c *chain) Scores(ctx context.Context, b Batch, y []float64) error {
	w := c.links()
	defer c.pool.Put(w)
	if err := c.forward(ctx, w, b); err != nil {
		return err
	}
	last := len(c.stages) - 1
	return c.stages[last].Scores(ctx, w.batch(b, last), y)
}

func (c *chain) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	w := c.links()
	defer c.pool.Put(w)
	if err := c.forward(ctx, w, b); err != nil {
		return err
	}
	for k := len(c.stages) - 1; k >= 0; k-- {
		in, out := c.stages[k].Dims()
		d := dx
		if k > 0 {
			w.dx[k] = grow(w.dx[k], b.N*in)
			d = w.dx[k]
		}
		if err := c.back(ctx, w, b, k, out, y, pull, d); err != nil {
			return err
		}
	}
	return nil
}

// back takes the gradient through stage k.
func (c *chain) back(ctx context.Context, w *links, b Batch, k, out int, y []float64, pull func(i int, y, dy []float64),
	dx []float64) error {
	s := c.stages[k]
	if k == len(c.stages)-1 {
		return s.Gradients(ctx, w.batch(b, k), y, pull, dx)
	}
	dy := w.dx[k+1]
	if t, ok := s.(backward); ok {
		return t.back(ctx, w.batch(b, k), dy, dx)
	}
	w.again = grow(w.again, b.N*out)
	return s.Gradients(ctx, w.batch(b, k), w.again, func(i int, _, d []float64) { copy(d, dy[i*out:(i+1)*out]) }, dx)
}

// grow returns s with length n, reallocated when it is too small; its contents mean nothing.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
