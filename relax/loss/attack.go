package loss

import (
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
)

// attack records the point that PGD finds in the ball (Madry et al. 2018): from a random start, so many steps along the sign of the
// gradient of the clean cross-entropy, of max(1/4, 2/steps) times the radius. Gradients end there.
func (r *recorder[T]) attack() tape.Value {
	inner := tape.New[T](r.net.Inputs(), len(r.net.Weights))
	one := inner.Scalar()
	logits, _ := r.net.RecordBatch(inner, inner.Input())
	loss := inner.CrossEntropy(logits, one)
	a := pgd[T]{eps: r.reach, lower: T(r.Lower), upper: T(r.Upper), steps: r.Steps, seed: r.Seed, inner: inner, loss: loss, one: one}
	return r.RecordDead(r.net.Inputs(), 1, func() tape.Op[T] {
		own := a
		own.lane, own.random = tape.NewLane(inner), rand.NewPCG(0, 0)
		return &own
	}, r.x, r.Param(0, len(r.net.Weights)))
}

type pgd[T kernel.Float] struct {
	eps          tape.Scalar
	lower, upper T
	steps        int
	seed         uint64
	inner        *tape.Tape[T]
	loss         tape.Value
	one          tape.Scalar
	lane         *tape.Lane[T]
	random       *rand.PCG
	within       tape.Context[T]
}

func (a *pgd[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	x, eps := in[0], T(c.Scalar(a.eps))
	a.random.Seed(a.seed^c.Run*0x9e3779b97f4a7c15, c.Shard)
	for i, v := range x {
		u := T(a.random.Uint64()>>11) / (1 << 52) // in [0, 2)
		out[i] = min(max(v+eps*(u-1), a.lower), a.upper)
	}
	a.within.Inherit(c, a.inner)
	a.within.Set(a.one, 1)
	step := eps * T(max(0.25, 2/float64(a.steps)))
	for range a.steps {
		a.lane.Forward(&a.within, out, in[1], nil)
		a.lane.Seek(nil, nil, true)
		seed := a.lane.Grad(a.loss)
		for i := range seed {
			seed[i] = 1
		}
		a.lane.Backward(&a.within)
		for i, g := range a.lane.Grad(a.inner.Input()) {
			move := T(0)
			if g > 0 {
				move = step
			} else if g < 0 {
				move = -step
			}
			v := min(max(out[i]+move, x[i]-eps), x[i]+eps)
			out[i] = min(max(v, a.lower), a.upper)
		}
	}
}

func (a *pgd[T]) Backward(*tape.Context[T], []T, []T, [][]T, [][]T) {}
