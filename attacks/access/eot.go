package access

import (
	"context"
	"fmt"
	"sync"
)

// EOT averages a randomised model over n fresh draws for every point: expectation over transformation (Athalye, Engstrom, Ilyas
// and Kwok, "Synthesizing robust adversarial examples", 2018). Outputs are the means over the draws. Gradients are those of the
// expected loss: pull is asked once for every draw, with that draw's outputs, and the products are averaged. A point costs n
// evaluations.
func EOT(m Gradients, n int) (Gradients, error) {
	if n < 1 {
		return nil, fmt.Errorf("access: EOT over %d draws: want at least one", n)
	}
	return &eot{m: m, n: n}, nil
}

type eot struct {
	m    Gradients
	n    int
	pool sync.Pool
}

type repeated struct {
	x, y, dx []float64
	draws    []uint64
}

func (e *eot) Dims() (inputs, outputs int) { return e.m.Dims() }

// repeat puts n copies of every point one after the other, each with a draw of its own.
func (e *eot) repeat(b Batch) (*repeated, Batch, error) {
	if err := b.drawn(); err != nil {
		return nil, Batch{}, err
	}
	w, _ := e.pool.Get().(*repeated)
	if w == nil {
		w = &repeated{}
	}
	in, out := e.Dims()
	w.x, w.draws = w.x[:0], w.draws[:0]
	for i, d := range b.Draws {
		for k := range e.n {
			w.x = append(w.x, b.X[i*in:(i+1)*in]...)
			w.draws = append(w.draws, fork(d, uint64(k)))
		}
	}
	w.y = grow(w.y, b.N*e.n*out)
	return w, Batch{N: b.N * e.n, X: w.x, Draws: w.draws}, nil
}

// mean averages every n rows of src into one of dst.
func (e *eot) mean(dst, src []float64, width int) {
	clear(dst)
	for r := range len(src) / width {
		row := dst[r/e.n*width:][:width]
		for j, v := range src[r*width : (r+1)*width] {
			row[j] += v
		}
	}
	for j := range dst {
		dst[j] /= float64(e.n)
	}
}

func (e *eot) Scores(ctx context.Context, b Batch, y []float64) error {
	w, all, err := e.repeat(b)
	if err != nil {
		return err
	}
	defer e.pool.Put(w)
	if err := e.m.Scores(ctx, all, w.y); err != nil {
		return err
	}
	_, out := e.Dims()
	e.mean(y, w.y, out)
	return nil
}

func (e *eot) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	w, all, err := e.repeat(b)
	if err != nil {
		return err
	}
	defer e.pool.Put(w)
	in, out := e.Dims()
	w.dx = grow(w.dx, all.N*in)
	each := func(i int, y, dy []float64) { pull(i/e.n, y, dy) }
	if err := e.m.Gradients(ctx, all, w.y, each, w.dx); err != nil {
		return err
	}
	e.mean(y, w.y, out)
	e.mean(dx, w.dx, in)
	return nil
}
