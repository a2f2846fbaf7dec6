package tape

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Interval bound propagation (Gowal et al. 2018) on boxes. A box of n numbers is a batch value of 2n: the n centres, then the n
// radii. An affine layer takes centres by W and radii by |W|, a monotone function takes the ends one by one.

// Ball records the box of radius eps around x, which is moved to [lower, upper] if it is not in it, cut to that in every number; the
// ends may be infinite. Gradients end here.
func (t *Tape[T]) Ball(x Value, eps Scalar, lower, upper float64) Value {
	return t.RecordDead(2*t.Width(x), 1, func() Op[T] { return ballOp[T]{eps, T(lower), T(upper)} }, x)
}

type ballOp[T kernel.Float] struct {
	eps          Scalar
	lower, upper T
}

func (b ballOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	n, eps := len(in[0]), T(c.Scalar(b.eps))
	for i, v := range in[0] {
		lo, hi := b.ends(v, eps)
		out[i], out[n+i] = (hi+lo)/2, (hi-lo)/2
	}
}

// ends returns the ends of an input's interval. Where x is not valid that is the valid number next to it.
func (b ballOp[T]) ends(x, eps T) (lo, hi T) {
	x = min(max(x, b.lower), b.upper)
	return max(x-eps, b.lower), min(x+eps, b.upper)
}

func (ballOp[T]) Backward(*Context[T], []T, []T, [][]T, [][]T) {}

// SmallBall records the box of radius part·(u−l)/2 around at, moved to lie in the box of radius eps around x that is cut to
// [lower, upper]: [l, u]. That is the region of SABR (Müller et al. 2023). Gradients end here.
func (t *Tape[T]) SmallBall(x, at Value, eps, part Scalar, lower, upper float64) Value {
	return t.RecordDead(2*t.Width(x), 1, func() Op[T] { return smallBallOp[T]{ballOp[T]{eps, T(lower), T(upper)}, part} }, x, at)
}

type smallBallOp[T kernel.Float] struct {
	ballOp[T]
	part Scalar
}

func (b smallBallOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	n, eps, part := len(in[0]), T(c.Scalar(b.eps)), T(c.Scalar(b.part))
	for i, v := range in[0] {
		lo, hi := b.ends(v, eps)
		r := part * (hi - lo) / 2
		out[i], out[n+i] = min(max(in[1][i], lo+r), hi-r), r
	}
}

// IntervalDense records a dense layer on a box: abs is |w|, b may be nil.
func (t *Tape[T]) IntervalDense(box, w, abs Value, b *Value, out int) Value {
	d := dense{t.Width(box) / 2, out, 1}
	return t.Record(2*out, 1, func() Op[T] { return &intervalOp[T]{center: denseOp[T]{d}, radius: denseOp[T]{d}} }, interval(box, w, abs, b)...)
}

// IntervalConv records a convolution on a box.
func (t *Tape[T]) IntervalConv(box, w, abs Value, b *Value, g Geometry) Value {
	l := convOp[T]{g, 1}
	return t.Record(2*g.Outputs(), 1, func() Op[T] { return &intervalOp[T]{center: l, radius: l} }, interval(box, w, abs, b)...)
}

func interval(box, w, abs Value, b *Value) []Value {
	in := []Value{box, w, abs}
	if b != nil {
		in = append(in, *b)
	}
	return in
}

// intervalOp takes centres through one linear operation and radii through another.
type intervalOp[T kernel.Float] struct {
	center, radius Op[T]
	in, din        [3][]T
}

// side returns the inputs of one of the two operations, in the first or second half of what the box has.
func side[T kernel.Float](to *[3][]T, second bool, in [][]T) [][]T {
	n := len(in[0]) / 2
	*to = [3][]T{in[0], in[1]}
	if second {
		to[1] = in[2]
		if in[0] != nil {
			to[0] = in[0][n:]
		}
		return to[:2]
	}
	if in[0] != nil {
		to[0] = in[0][:n]
	}
	if len(in) > 3 {
		to[2] = in[3]
		return to[:3]
	}
	return to[:2]
}

func (o *intervalOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	n := len(out) / 2
	o.center.Forward(c, out[:n], side(&o.in, false, in))
	o.radius.Forward(c, out[n:], side(&o.in, true, in))
}

func (o *intervalOp[T]) Backward(c *Context[T], out, dout []T, in, din [][]T) {
	n := len(out) / 2
	o.center.Backward(c, out[:n], dout[:n], side(&o.in, false, in), side(&o.din, false, din))
	o.radius.Backward(c, out[n:], dout[n:], side(&o.in, true, in), side(&o.din, true, din))
}

// IntervalReLU records max(x, 0) on a box.
func (t *Tape[T]) IntervalReLU(box Value) Value {
	return t.Record(t.Width(box), 1, func() Op[T] { return intervalReLUOp[T]{} }, box)
}

type intervalReLUOp[T kernel.Float] struct{}

func (intervalReLUOp[T]) Forward(_ *Context[T], out []T, in [][]T) {
	n := len(out) / 2
	c, r, c2, r2 := in[0][:n], in[0][n:][:n], out[:n], out[n:][:n]
	for i, m := range c {
		lo, hi := max(m-r[i], 0), max(m+r[i], 0)
		c2[i], r2[i] = (hi+lo)/2, (hi-lo)/2
	}
}

func (intervalReLUOp[T]) Backward(_ *Context[T], out, dout []T, _, din [][]T) {
	n := len(out) / 2
	c, r, gc, gr := out[:n], out[n:][:n], dout[:n], dout[n:][:n]
	dc, dr := din[0][:n], din[0][n:][:n]
	for i, m := range c {
		lo := keep((gc[i]-gr[i])/2, m-r[i]) // of the lower end, which is positive iff that of the output is
		hi := keep((gc[i]+gr[i])/2, m+r[i])
		dc[i] += lo + hi
		dr[i] += hi - lo
	}
}

// IntervalMargins records the largest logits that others can reach over that of the label: number k of a row is the largest value
// of z_k − z_label over the box for z = Wᵀ·h + b, and 0 for the label. The difference of two logits is bounded as one function
// and not as that of two bounds. b may be nil.
func (t *Tape[T]) IntervalMargins(box, w Value, b *Value, classes int) Value {
	in := []Value{box, w}
	if b != nil {
		in = append(in, *b)
	}
	return t.Record(classes, 1, func() Op[T] { return &marginsOp[T]{classes: classes} }, in...)
}

type marginsOp[T kernel.Float] struct {
	classes                 int
	wt, dwt                 []T // Wᵀ, and its gradient
	c, r, dc, dr, diff, pos []T // of one row
}

// begin makes room and transposes the weights.
func (o *marginsOp[T]) begin(w []T) (n int) {
	n = len(w) / o.classes
	if len(o.wt) == 0 {
		o.wt, o.dwt = make([]T, len(w)), make([]T, len(w))
		for _, p := range []*[]T{&o.c, &o.r, &o.dc, &o.dr, &o.diff, &o.pos} {
			*p = make([]T, n)
		}
	}
	kernel.Transpose(o.wt, n, w, o.classes, n, o.classes)
	return n
}

// row takes one row out of the box.
func (o *marginsOp[T]) row(box []T, n, R, row int) {
	for i := range n {
		o.c[i], o.r[i] = box[i*R+row], box[(n+i)*R+row]
	}
}

// difference puts W_k − W_y into diff.
func (o *marginsOp[T]) difference(n, k, y int) []T {
	copy(o.diff, o.wt[k*n:][:n])
	kernel.Axpy(o.diff, o.wt[y*n:][:n], -1)
	return o.diff
}

func (o *marginsOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	n := o.begin(in[1])
	for row, y := range c.Labels {
		o.row(in[0], n, c.Rows, row)
		for k := range o.classes {
			if k == y {
				out[k*c.Rows+row] = 0
				continue
			}
			d := o.difference(n, k, y)
			v := kernel.Dot(d, o.c) + kernel.AbsDot(d, o.r)
			if len(in) > 2 {
				v += in[2][k] - in[2][y]
			}
			out[k*c.Rows+row] = v
		}
	}
}

func (o *marginsOp[T]) Backward(c *Context[T], _, dout []T, in, din [][]T) {
	n := o.begin(in[1])
	clear(o.dwt)
	for row, y := range c.Labels {
		o.row(in[0], n, c.Rows, row)
		clear(o.dc)
		clear(o.dr)
		for k := range o.classes {
			g := dout[k*c.Rows+row]
			if k == y || g == 0 {
				continue
			}
			d := o.difference(n, k, y)
			kernel.Axpy(o.dc, d, g)
			kernel.AbsAxpy(o.dr, d, g)
			if din[1] != nil {
				for i, v := range d { // where v is 0 the sign is +, as in Abs
					o.pos[i] = o.c[i] + o.r[i]*T(math.Copysign(1, float64(v)))
				}
				kernel.Axpy(o.dwt[k*n:][:n], o.pos, g)
				kernel.Axpy(o.dwt[y*n:][:n], o.pos, -g)
			}
			if len(in) > 2 && din[2] != nil {
				din[2][k] += g
				din[2][y] -= g
			}
		}
		if din[0] != nil {
			for i := range n {
				din[0][i*c.Rows+row] += o.dc[i]
				din[0][(n+i)*c.Rows+row] += o.dr[i]
			}
		}
	}
	if din[1] != nil {
		for k := range o.classes {
			for i, v := range o.dwt[k*n:][:n] {
				din[1][i*o.classes+k] += v
			}
		}
	}
}
