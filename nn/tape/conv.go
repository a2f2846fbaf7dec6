package tape

import "github.com/spai-project/certify/internal/kernel"

// Convolution as matrix products (im2col; Chellapilla et al. 2006): what the kernel sees at each place of the output becomes a
// column, so that W[m×K] times the columns is the output. The rows are innermost, so a column's entries for all rows are
// neighbours and columns are made of whole copies. A few lines of the output are done at a time, and their columns are made
// again on the way back, which is cheaper than to keep them.

// A Geometry is the shape of a convolution with a square kernel: [C H W] to [Out OutH OutW].
type Geometry struct{ C, H, W, Out, Kernel, Stride, Pad int }

// OutH returns the number of lines of the output.
func (g Geometry) OutH() int { return (g.H+2*g.Pad-g.Kernel)/g.Stride + 1 }

// OutW returns the length of a line of the output.
func (g Geometry) OutW() int { return (g.W+2*g.Pad-g.Kernel)/g.Stride + 1 }

// Inputs returns the numbers of an input.
func (g Geometry) Inputs() int { return g.C * g.H * g.W }

// Outputs returns the numbers of an output.
func (g Geometry) Outputs() int { return g.Out * g.OutH() * g.OutW() }

// depth returns the length of a column, the K above.
func (g Geometry) depth() int { return g.C * g.Kernel * g.Kernel }

// Conv records a convolution on every row and copy, with W [Out C Kernel Kernel] and a bias per channel, nil for none.
func (t *Tape[T]) Conv(x, w Value, b *Value, g Geometry) Value {
	in := []Value{x, w}
	if b != nil {
		in = append(in, *b)
	}
	k := t.Copies(x)
	return t.Record(g.Outputs(), k, func() Op[T] { return convOp[T]{g, k} }, in...)
}

// ConvTransposed records the transpose of a convolution without its bias: what takes coefficients of its outputs to those of its
// inputs.
func (t *Tape[T]) ConvTransposed(y, w Value, g Geometry) Value {
	k := t.Copies(y)
	return t.Record(g.Inputs(), k, func() Op[T] { return convTransposedOp[T]{g, k} }, y, w)
}

type convOp[T kernel.Float] struct {
	Geometry
	copies int
}

func (l convOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	R := c.Rows * l.copies
	if plane := l.OutH() * l.OutW() * R; len(in) > 2 {
		for m, b := range in[2] {
			fill(out[m*plane:][:plane], b)
		}
	} else {
		clear(out)
	}
	convolve(c, l.Geometry, R, in[1], in[0], out)
}

func (l convOp[T]) Backward(c *Context[T], _, dout []T, in, din [][]T) {
	R := c.Rows * l.copies
	if din[0] != nil {
		convolveBack(c, l.Geometry, R, in[1], dout, din[0])
	}
	if din[1] != nil {
		correlate(c, l.Geometry, R, in[0], dout, din[1])
	}
	if len(in) > 2 && din[2] != nil {
		plane := l.OutH() * l.OutW() * R
		for m := range din[2] {
			din[2][m] += sum(dout[m*plane:][:plane])
		}
	}
}

type convTransposedOp[T kernel.Float] struct {
	Geometry
	copies int
}

func (l convTransposedOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	clear(out)
	convolveBack(c, l.Geometry, c.Rows*l.copies, in[1], in[0], out)
}

func (l convTransposedOp[T]) Backward(c *Context[T], _, dout []T, in, din [][]T) {
	R := c.Rows * l.copies
	if din[0] != nil {
		convolve(c, l.Geometry, R, in[1], dout, din[0])
	}
	if din[1] != nil {
		correlate(c, l.Geometry, R, dout, in[0], din[1])
	}
}

// columnNumbers is about how many numbers of columns are made at a time: they stay in the second cache.
const columnNumbers = 1 << 16

// each calls f for parts of the output: lines from one on, and the numbers that they have per channel.
func (g Geometry) each(R int, f func(line, lines, width int)) {
	perLine := g.OutW() * R
	step := max(columnNumbers/(g.depth()*perLine), 1)
	for line := 0; line < g.OutH(); line += step {
		lines := min(step, g.OutH()-line)
		f(line, lines, lines*perLine)
	}
}

// convolve adds the convolution of x to y.
func convolve[T kernel.Float](c *Context[T], g Geometry, R int, w, x, y []T) {
	plane, depth := g.OutH()*g.OutW()*R, g.depth()
	g.each(R, func(line, lines, width int) {
		col := c.Room(0, depth*width)
		columns(g, x, col, R, line, lines)
		c.Mul.Mul(g.Out, width, depth, 1, matrix(w, depth), matrix(col, width), matrix(y[line*g.OutW()*R:], plane))
	})
}

// convolveBack adds the transpose of the convolution of y to x.
func convolveBack[T kernel.Float](c *Context[T], g Geometry, R int, w, y, x []T) {
	plane, depth := g.OutH()*g.OutW()*R, g.depth()
	g.each(R, func(line, lines, width int) {
		col := c.Room(0, depth*width)
		clear(col)
		c.Mul.Mul(depth, width, g.Out, 1, transposed(w, depth), matrix(y[line*g.OutW()*R:], plane), matrix(col, width))
		scatter(g, x, col, R, line, lines)
	})
}

// correlate adds to dw the gradient of the weights for inputs x and gradients y of the outputs.
func correlate[T kernel.Float](c *Context[T], g Geometry, R int, x, y, dw []T) {
	plane, depth := g.OutH()*g.OutW()*R, g.depth()
	g.each(R, func(line, lines, width int) {
		col := c.Room(0, depth*width)
		columns(g, x, col, R, line, lines)
		c.Mul.Mul(g.Out, depth, width, 1, matrix(y[line*g.OutW()*R:], plane), transposed(col, width), matrix(dw, depth))
	})
}

// columns writes the columns of some lines of the output: row (c,ky,kx) of col holds the pixel that each place sees there.
func columns[T kernel.Float](g Geometry, x, col []T, R, line, lines int) {
	g.runs(R, line, lines, func(at, to, n int) {
		if at < 0 {
			clear(col[to : to+n])
		} else {
			copy(col[to:to+n], x[at:])
		}
	})
}

// scatter adds the columns up where columns took them from.
func scatter[T kernel.Float](g Geometry, x, col []T, R, line, lines int) {
	g.runs(R, line, lines, func(at, to, n int) {
		if at >= 0 {
			kernel.Axpy(x[at:at+n], col[to:], 1)
		}
	})
}

// runs calls f for the parts of the columns of some lines of the output: the n entries from to on belong to the inputs from
// at on, or to padding where at is negative.
func (g Geometry) runs(R, line, lines int, f func(at, to, n int)) {
	to, width := 0, g.OutW()
	run := func(at, places int) {
		if places > 0 {
			f(at, to, places*R)
			to += places * R
		}
	}
	for column := range g.C * g.Kernel * g.Kernel {
		c, ky, kx := column/(g.Kernel*g.Kernel), column/g.Kernel%g.Kernel, column%g.Kernel
		lo, hi := g.inside(kx, width)
		for oy := line; oy < line+lines; oy++ {
			y := oy*g.Stride + ky - g.Pad
			if y < 0 || y >= g.H || lo == hi {
				run(-1, width)
				continue
			}
			run(-1, lo)
			at := ((c*g.H+y)*g.W + lo*g.Stride + kx - g.Pad) * R
			if g.Stride == 1 {
				run(at, hi-lo)
			} else {
				for range hi - lo {
					f(at, to, R)
					to += R
					at += g.Stride * R
				}
			}
			run(-1, width-hi)
		}
	}
}

// inside returns the range of the outputs of a line of some width whose kernel column kx is not in the padding.
func (g Geometry) inside(kx, width int) (lo, hi int) {
	if left := g.Pad - kx; left > 0 {
		lo = min((left+g.Stride-1)/g.Stride, width)
	}
	if last := g.W - 1 + g.Pad - kx; last >= 0 {
		hi = min(last/g.Stride+1, width)
	}
	return lo, max(lo, hi)
}
