package tape

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Abs is the derivation |w|. Its derivative at 0 is 1, one of the subgradients, so that a weight of 0 learns too.
type Abs[T kernel.Float] struct{}

// Forward writes |in|.
func (Abs[T]) Forward(out, in []T) {
	out = out[:len(in)]
	for i, v := range in {
		out[i] = T(math.Abs(float64(v)))
	}
}

// Backward adds dout with the signs of in.
func (Abs[T]) Backward(_, dout, in, din []T) {
	dout, din = dout[:len(in)], din[:len(in)]
	for i, v := range in {
		din[i] += dout[i] * T(math.Copysign(1, float64(v)))
	}
}
