package tape

import "github.com/spai-project/certify/internal/kernel"

// Dense records Y = Wᵀ·X + b on every row and copy: W is stored [in out], b is nil for none. A weight is a parameter or a
// derived value.
func (t *Tape[T]) Dense(x, w Value, b *Value, out int) Value {
	in := []Value{x, w}
	if b != nil {
		in = append(in, *b)
	}
	d := dense{t.Width(x), out, t.Copies(x)}
	return t.Record(out, d.copies, func() Op[T] { return denseOp[T]{d} }, in...)
}

// DenseTransposed records X = W·Y for the W [in out] of a dense layer: what takes a row of coefficients of its outputs to one of
// its inputs.
func (t *Tape[T]) DenseTransposed(y, w Value, in int) Value {
	d := dense{in, t.Width(y), t.Copies(y)}
	return t.Record(in, d.copies, func() Op[T] { return denseTransposedOp[T]{d} }, y, w)
}

type dense struct{ in, out, copies int }

func matrix[T kernel.Float](x []T, stride int) kernel.Matrix[T] {
	return kernel.Matrix[T]{Data: x, Stride: stride}
}

func transposed[T kernel.Float](x []T, stride int) kernel.Matrix[T] {
	return kernel.Matrix[T]{Data: x, Stride: stride, Trans: true}
}

type denseOp[T kernel.Float] struct{ dense }

func (d denseOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	R := c.Rows * d.copies
	if len(in) > 2 {
		for o, b := range in[2] {
			fill(out[o*R:][:R], b)
		}
	} else {
		clear(out)
	}
	c.Mul.Mul(d.out, R, d.in, 1, transposed(in[1], d.out), matrix(in[0], R), matrix(out, R))
}

func (d denseOp[T]) Backward(c *Context[T], _, dout []T, in, din [][]T) {
	R := c.Rows * d.copies
	if din[0] != nil {
		c.Mul.Mul(d.in, R, d.out, 1, matrix(in[1], d.out), matrix(dout, R), matrix(din[0], R))
	}
	if din[1] != nil {
		c.Mul.Mul(d.in, d.out, R, 1, matrix(in[0], R), transposed(dout, R), matrix(din[1], d.out))
	}
	if len(in) > 2 && din[2] != nil {
		for o := range din[2] {
			din[2][o] += sum(dout[o*R:][:R])
		}
	}
}

type denseTransposedOp[T kernel.Float] struct{ dense }

func (d denseTransposedOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	R := c.Rows * d.copies
	clear(out)
	c.Mul.Mul(d.in, R, d.out, 1, matrix(in[1], d.out), matrix(in[0], R), matrix(out, R))
}

func (d denseTransposedOp[T]) Backward(c *Context[T], _, dout []T, in, din [][]T) {
	R := c.Rows * d.copies
	if din[0] != nil {
		c.Mul.Mul(d.out, R, d.in, 1, transposed(in[1], d.out), matrix(dout, R), matrix(din[0], R))
	}
	if din[1] != nil {
		c.Mul.Mul(d.in, d.out, R, 1, matrix(dout, R), transposed(in[0], R), matrix(din[1], d.out))
	}
}

func fill[T kernel.Float](x []T, v T) {
	for i := range x {
		x[i] = v
	}
}

// sum adds numbers up in four interleaved sums, so that the additions need not wait for each other.
func sum[T kernel.Float](x []T) T {
	var s [4]T
	for ; len(x) >= 4; x = x[4:] {
		s[0] += x[0]
		s[1] += x[1]
		s[2] += x[2]
		s[3] += x[3]
	}
	for _, v := range x {
		s[0] += v
	}
	return s[0] + s[1] + (s[2] + s[3])
}
