package tape

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Add records a + b.
func (t *Tape[T]) Add(a, b Value) Value {
	return t.Record(t.Width(a), t.Copies(a), func() Op[T] { return addOp[T]{} }, a, b)
}

type addOp[T kernel.Float] struct{}

func (addOp[T]) Forward(_ *Context[T], out []T, in [][]T) {
	copy(out, in[0])
	kernel.Axpy(out, in[1], 1)
}

func (addOp[T]) Backward(_ *Context[T], _, dout []T, _, din [][]T) {
	for _, d := range din {
		if d != nil {
			kernel.Axpy(d, dout, 1)
		}
	}
}

// Blend records alpha·a + beta·b. A term whose factor is 0 counts as 0 even if it is not finite.
func (t *Tape[T]) Blend(a Value, alpha Scalar, b Value, beta Scalar) Value {
	return t.Record(t.Width(a), t.Copies(a), func() Op[T] { return blendOp[T]{alpha, beta} }, a, b)
}

type blendOp[T kernel.Float] struct{ alpha, beta Scalar }

func (o blendOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	clear(out)
	for i, s := range [2]Scalar{o.alpha, o.beta} {
		if f := T(c.Scalar(s)); f != 0 {
			kernel.Axpy(out, in[i], f)
		}
	}
}

func (o blendOp[T]) Backward(c *Context[T], _, dout []T, _, din [][]T) {
	for i, s := range [2]Scalar{o.alpha, o.beta} {
		if f := T(c.Scalar(s)); f != 0 && din[i] != nil {
			kernel.Axpy(din[i], dout, f)
		}
	}
}

// PowerProduct records a^alpha·b^beta of numbers that are not negative.
func (t *Tape[T]) PowerProduct(a Value, alpha Scalar, b Value, beta Scalar) Value {
	return t.Record(t.Width(a), t.Copies(a), func() Op[T] { return powerOp[T]{alpha, beta} }, a, b)
}

type powerOp[T kernel.Float] struct{ alpha, beta Scalar }

// tiny keeps the derivative of a power below 1 finite at 0.
const tiny = 1e-12

func (o powerOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	p, q := c.Scalar(o.alpha), c.Scalar(o.beta)
	for i := range out {
		out[i] = T(math.Pow(float64(in[0][i])+tiny, p) * math.Pow(float64(in[1][i])+tiny, q))
	}
}

func (o powerOp[T]) Backward(c *Context[T], out, dout []T, in, din [][]T) {
	for k, s := range [2]Scalar{o.alpha, o.beta} {
		if din[k] == nil {
			continue
		}
		p := c.Scalar(s)
		for i, g := range dout {
			din[k][i] += T(float64(g) * float64(out[i]) * p / (float64(in[k][i]) + tiny))
		}
	}
}
