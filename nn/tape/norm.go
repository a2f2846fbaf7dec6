package tape

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Batch normalisation (Ioffe and Szegedy 2015) is an affine map per channel, y = scale·x + shift, whose scale and shift are a shard
// value: those of the rows at hand in training, so that the bounds of the same rows can use them too, or those of a population.
// The statistics of a shard, not of the whole batch, normalise it.

// NormEpsilon is added to variances.
const NormEpsilon = 1e-5

// BatchNorm records scale and shift for x, which has one run of numbers per channel, from the mean and the variance of every channel
// over the shard: 4·channels numbers, the scales γ/σ, the shifts β − μ·γ/σ, the means and the variances.
func (t *Tape[T]) BatchNorm(x, gamma, beta Value) Value {
	return t.RecordShard(4*t.Width(gamma), func() Op[T] { return batchNormOp[T]{} }, x, gamma, beta)
}

type batchNormOp[T kernel.Float] struct{}

func (batchNormOp[T]) Forward(_ *Context[T], out []T, in [][]T) {
	x, gamma, beta := in[0], in[1], in[2]
	C := len(gamma)
	n := len(x) / C
	for c := range C {
		run := x[c*n:][:n]
		mean := float64(sum(run)) / float64(n)
		square := T(0)
		for _, v := range run {
			d := v - T(mean)
			square += d * d
		}
		variance := float64(square) / float64(n)
		scale := float64(gamma[c]) / math.Sqrt(variance+NormEpsilon)
		out[c], out[C+c] = T(scale), T(float64(beta[c])-mean*scale)
		out[2*C+c], out[3*C+c] = T(mean), T(variance)
	}
}

func (batchNormOp[T]) Backward(_ *Context[T], out, dout []T, in, din [][]T) {
	x, gamma := in[0], in[1]
	C := len(gamma)
	n := len(x) / C
	for c := range C {
		mean, deviation := float64(out[2*C+c]), math.Sqrt(float64(out[3*C+c])+NormEpsilon)
		// shift = β − μ·scale
		dshift := float64(dout[C+c])
		dscale := float64(dout[c]) - mean*dshift
		if din[1] != nil {
			din[1][c] += T(dscale / deviation)
			din[2][c] += T(dshift)
		}
		if din[0] == nil {
			continue
		}
		// scale = γ·(v+ε)^−½: ∂scale/∂v = −½·scale/(v+ε); ∂v/∂x = 2(x−μ)/n, ∂μ/∂x = 1/n
		scale := float64(out[c])
		dv := T(-dscale * scale / (deviation * deviation) / float64(n))
		dm := T(-dshift * scale / float64(n))
		run, d := x[c*n:][:n], din[0][c*n:][:n]
		for i, v := range run {
			d[i] += dv*(v-T(mean)) + dm
		}
	}
}

// PopulationNorm records scale and shift from known means and variances: 2·channels numbers.
func (t *Tape[T]) PopulationNorm(gamma, beta, mean, variance Value) Value {
	return t.RecordShard(2*t.Width(gamma), func() Op[T] { return populationOp[T]{} }, gamma, beta, mean, variance)
}

type populationOp[T kernel.Float] struct{}

func (populationOp[T]) Forward(_ *Context[T], out []T, in [][]T) {
	C := len(in[0])
	for c, g := range in[0] {
		scale := float64(g) / math.Sqrt(float64(in[3][c])+NormEpsilon)
		out[c], out[C+c] = T(scale), T(float64(in[1][c])-float64(in[2][c])*scale)
	}
}

func (populationOp[T]) Backward(_ *Context[T], _, dout []T, in, din [][]T) {
	C := len(in[0])
	for c := range C {
		if din[0] != nil {
			din[0][c] += T((float64(dout[c]) - float64(in[2][c])*float64(dout[C+c])) / math.Sqrt(float64(in[3][c])+NormEpsilon))
			din[1][c] += dout[C+c]
		}
	}
}

// Normalise records scale·x + shift per channel, for the values of a BatchNorm or PopulationNorm.
func (t *Tape[T]) Normalise(x, norm Value, channels int) Value {
	return t.Record(t.Width(x), 1, func() Op[T] { return normaliseOp[T]{channels} }, x, norm)
}

type normaliseOp[T kernel.Float] struct{ channels int }

func (o normaliseOp[T]) Forward(_ *Context[T], out []T, in [][]T) { o.forward(out, in[0], in[1], true) }

func (o normaliseOp[T]) forward(out, x, norm []T, shift bool) {
	n := len(x) / o.channels
	for c := range o.channels {
		s, b := norm[c], norm[o.channels+c]
		if !shift {
			s, b = max(s, -s), 0
		}
		to := out[c*n:][:n]
		for i, v := range x[c*n:][:n] {
			to[i] = s*v + b
		}
	}
}

func (o normaliseOp[T]) Backward(_ *Context[T], _, dout []T, in, din [][]T) {
	o.backward(dout, in[0], in[1], din[0], din[1], true)
}

func (o normaliseOp[T]) backward(dout, x, norm, dx, dnorm []T, shift bool) {
	n := len(x) / o.channels
	for c := range o.channels {
		s, sign := norm[c], T(1)
		if !shift && s < 0 {
			s, sign = -s, -1
		}
		g := dout[c*n:][:n]
		if dx != nil {
			kernel.Axpy(dx[c*n:][:n], g, s)
		}
		if dnorm != nil {
			dnorm[c] += sign * kernel.Dot(g, x[c*n:][:n])
			if shift {
				dnorm[o.channels+c] += sum(g)
			}
		}
	}
}

// IntervalNormalise records Normalise on a box: radii are scaled by |scale|.
func (t *Tape[T]) IntervalNormalise(box, norm Value, channels int) Value {
	return t.Record(t.Width(box), 1, func() Op[T] { return intervalNormaliseOp[T]{normaliseOp[T]{channels}} }, box, norm)
}

type intervalNormaliseOp[T kernel.Float] struct{ normaliseOp[T] }

func (o intervalNormaliseOp[T]) Forward(_ *Context[T], out []T, in [][]T) {
	n := len(out) / 2
	o.forward(out[:n], in[0][:n], in[1], true)
	o.forward(out[n:], in[0][n:], in[1], false)
}

func (o intervalNormaliseOp[T]) Backward(_ *Context[T], _, dout []T, in, din [][]T) {
	n := len(dout) / 2
	var dc, dr []T
	if din[0] != nil {
		dc, dr = din[0][:n], din[0][n:]
	}
	o.backward(dout[:n], in[0][:n], in[1], dc, din[1], true)
	o.backward(dout[n:], in[0][n:], in[1], dr, din[1], false)
}
