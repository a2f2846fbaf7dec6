package loss

import (
	"errors"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
)

// taps records TAPS (Mao et al. 2023): the box of inputs goes through the first Split layers by intervals; in the box that comes out, an
// attack of its own for every other class looks for the largest lead over the label through the remaining layers. These leads are
// estimates from below where the intervals' are bounds from above, and the loss is the product of both cross-entropies.
func (r *recorder[T]) taps(b boxes) (tape.Value, error) {
	last, K := len(r.stages), r.net.Classes()
	if r.Split < 1 || r.Split >= last {
		return tape.Value{}, errors.New("split must leave layers before and after it")
	}
	for _, s := range r.stages[r.Split:] {
		if s.Layer == (train.BatchNorm{}) {
			return tape.Value{}, errors.New("there must be no batch normalisation after the split")
		}
	}
	box := b.after[r.Split-1]
	n := r.Width(box) / 2
	inner := tape.New[T](n, len(r.net.Weights))
	logits := r.net.RecordStages(inner, inner.Input(), make([]tape.Value, last), r.Split, last)
	points := r.Record(n, K, func() tape.Op[T] {
		return &latentOp[T]{K: K, steps: r.Steps, seed: r.Seed, inner: inner, logits: logits, lane: tape.NewLane(inner), random: rand.NewPCG(0, 0)}
	}, box, r.Param(0, len(r.net.Weights)))
	reached := r.net.RecordStages(r.Tape, points, make([]tape.Value, last), r.Split, last)
	leads := r.Record(K, 1, func() tape.Op[T] { return leadOp[T]{K} }, reached)
	return r.Record(1, 1, func() tape.Op[T] { return productOp[T]{r.alpha} }, r.CrossEntropy(b.margins, r.one),
		r.CrossEntropy(leads, r.one)), nil
}

// latentOp finds a point of the box for every class, by PGD on the lead of the class over the label. On the way back a point moves with
// the ends of the box that it is near to: the gradient of the upper end grows from 0 in the middle to 1 at that end, likewise
// below (the gradient connector of the paper with c = ½).
type latentOp[T kernel.Float] struct {
	K, steps int
	seed     uint64
	inner    *tape.Tape[T]
	logits   tape.Value
	lane     *tape.Lane[T]
	random   *rand.PCG
	within   tape.Context[T]
}

func (o *latentOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R := c.Rows
	n := len(in[0]) / 2
	o.random.Seed(o.seed^c.Run*0x9e3779b97f4a7c15, ^c.Shard)
	each := func(f func(at int, m, rad T)) { // the copies of a number of a row lie R apart
		for i, m := range in[0][:n] {
			for k := range o.K {
				f((i/R*o.K+k)*R+i%R, m, in[0][n+i])
			}
		}
	}
	each(func(at int, m, rad T) {
		u := T(o.random.Uint64()>>11)/(1<<52) - 1
		out[at] = m + u*rad
	})
	o.within.Inherit(c, o.inner)
	o.within.Rows = R * o.K
	part := T(max(0.25, 2/float64(o.steps)))
	for range o.steps {
		o.lane.Forward(&o.within, out, in[1], nil)
		o.lane.Seek(nil, nil, true)
		seed := o.lane.Grad(o.logits)
		for k := range o.K {
			for r, y := range c.Labels {
				if k != y {
					seed[(k*o.K+k)*R+r], seed[(y*o.K+k)*R+r] = 1, -1
				}
			}
		}
		o.lane.Backward(&o.within)
		g := o.lane.Grad(o.inner.Input())
		each(func(at int, m, rad T) {
			move := part * rad
			if g[at] < 0 {
				move = -move
			} else if g[at] == 0 {
				move = 0
			}
			out[at] = min(max(out[at]+move, m-rad), m+rad)
		})
	}
}

func (o *latentOp[T]) Backward(c *tape.Context[T], out, dout []T, in, din [][]T) {
	if din[0] == nil {
		return
	}
	R := c.Rows
	n := len(in[0]) / 2
	for i, m := range in[0][:n] {
		rad := in[0][n+i]
		for k := range o.K {
			at := (i/R*o.K+k)*R + i%R
			g, off := dout[at], T(0) // where between the middle, 0, and the ends, ±1, the point is
			if rad > 0 {
				off = (out[at] - m) / rad
			}
			// The upper end m+rad gets max(off, 0)·g and the lower end m−rad gets max(−off, 0)·g.
			up, down := max(off, 0)*g, max(-off, 0)*g
			din[0][i] += up + down
			din[0][n+i] += up - down
		}
	}
}

// leadOp takes class k of copy k, less the label.
type leadOp[T kernel.Float] struct{ K int }

func (o leadOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	for k := range o.K {
		for r, y := range c.Labels {
			out[k*c.Rows+r] = in[0][(k*o.K+k)*c.Rows+r] - in[0][(y*o.K+k)*c.Rows+r]
		}
	}
}

func (o leadOp[T]) Backward(c *tape.Context[T], _, dout []T, _, din [][]T) {
	for k := range o.K {
		for r, y := range c.Labels {
			g := dout[k*c.Rows+r]
			din[0][(k*o.K+k)*c.Rows+r] += g
			din[0][(y*o.K+k)*c.Rows+r] -= g
		}
	}
}

// productOp is a·b, whose gradient counts b·∂a 2α times and a·∂b 2(1−α) times: for α = ½ it is that of the product.
type productOp[T kernel.Float] struct{ alpha tape.Scalar }

func (o productOp[T]) Forward(_ *tape.Context[T], out []T, in [][]T) {
	for i := range out {
		out[i] = in[0][i] * in[1][i]
	}
}

func (o productOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	alpha := T(c.Scalar(o.alpha))
	for i, g := range dout {
		din[0][i] += 2 * alpha * in[1][i] * g
		din[1][i] += 2 * (1 - alpha) * in[0][i] * g
	}
}
