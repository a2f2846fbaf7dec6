package train

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// relu works in place where it may: in and out can be the same slice, and so can dout and din, because what backward needs
// to know of an input is whether its output is positive.
type relu[T kernel.Float] struct{ size int }

func (l relu[T]) Forward(_, in, out []T, rows int, _ *scratch[T]) {
	in, out = in[:rows*l.size], out[:rows*l.size]
	for i, v := range in {
		out[i] = max(v, 0) // keeps NaN, so that a network that diverged shows it
	}
}

func (l relu[T]) Backward(_, _, out, dout, din, _ []T, rows int, _ *scratch[T]) {
	if din == nil {
		return
	}
	n := rows * l.size
	out, dout, din = out[:n], dout[:n], din[:n]
	for i, v := range out {
		// The signs are as good as random, so a branch would be mispredicted: −bits is negative iff v is positive (or NaN).
		mask := uint64(-int64(math.Float64bits(float64(v))) >> 63)
		din[i] = T(math.Float64frombits(math.Float64bits(float64(dout[i])) & mask))
	}
}
