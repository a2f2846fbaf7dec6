package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// A Norm measures perturbations of the input.
type Norm uint8

// The norms of balls that are no boxes.
const (
	L2 Norm = iota
	L1
)

// A Ball is the set of inputs whose distance from X is at most Eps. A frame with a ball bounds what is in its box and in
// the ball; X is in the box.
type Ball struct {
	Norm Norm
	X    []float64
	Eps  float64
}

// concretize replaces the terms that the batch's input coefficients a have on the box by those on the ball: a·X, and Eps times
// the dual norm of a (Wong and Kolter 2018).
//
// Soundness: a·δ ≥ −‖a‖_*·‖δ‖ (Hölder). The rounding of a·X is relative to Σ|a||X|, which is at most what the box charges; that
// of the norm is relative to it and added; the constant covers squares that underflow.
func (b *Ball) concretize(w *Worker) {
	R, a := w.R, w.Coef(0)
	tmp, rad := w.tmp, w.rad
	clear(tmp)
	clear(rad)
	w.each(0, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := a[i*R : i*R+R]
			kernel.Axpy(tmp, row, b.X[i])
			for r, v := range row {
				if b.Norm == L2 {
					rad[r] += v * v
				} else {
					rad[r] = max(rad[r], math.Abs(v))
				}
			}
		}
	})
	eps := b.Eps * (1 + gamma(len(b.X)+8))
	for r, v := range rad {
		if b.Norm == L2 {
			v = math.Sqrt(v)
		}
		rad[r] = eps * (v + 1e-150)
	}
}

// Interval overwrites the bounds of node k by interval arithmetic on those of its sources.
func (f *Frame) Interval(k int) { f.Net.ibpNode(k, f.B, &f.sc, false) }
