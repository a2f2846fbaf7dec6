package tape

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// ReLU records max(x, 0), with derivative 0 at 0.
func (t *Tape[T]) ReLU(x Value) Value {
	return t.Record(t.Width(x), t.Copies(x), func() Op[T] { return reluOp[T]{} }, x)
}

type reluOp[T kernel.Float] struct{}

func (reluOp[T]) Forward(_ *Context[T], out []T, in [][]T) {
	x := in[0][:len(out)]
	for i, v := range x {
		out[i] = max(v, 0) // keeps NaN, so that a network that diverged shows it
	}
}

func (reluOp[T]) Backward(_ *Context[T], out, dout []T, _, din [][]T) {
	out, dout, d := out[:len(dout)], dout, din[0][:len(dout)]
	for i, v := range out {
		d[i] += keep(dout[i], v)
	}
}

// keep returns g where v is positive or NaN, and 0 elsewhere; v is not negative. Signs are as good as random, so a branch would be
// mispredicted: −bits is negative iff v is positive.
func keep[T kernel.Float](g, v T) T {
	mask := uint64(-int64(math.Float64bits(float64(v))) >> 63)
	return T(math.Float64frombits(math.Float64bits(float64(g)) & mask))
}
