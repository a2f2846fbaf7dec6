package train

import "github.com/spai-project/certify/internal/kernel"

// Convolution as matrix products (im2col; Chellapilla et al. 2006): what the kernel sees at each place of the output becomes a
// column, so that W[m×K] times the columns is the output. Here the rows of the shard are innermost, pixel i of row r at i*R+r:
// then a column's entries for all rows are neighbours, columns are made of whole copies, and products need no rearranging. A few
// lines of the output are done at a time, and their columns are made again on the way back, which is cheaper than to keep them.

// geometry is a convolution's shape: [c h w] to [m oh ow].
type geometry struct{ c, h, w, m, k, stride, pad, oh, ow int }

func (c Conv2D) geometry(in []int) geometry {
	g := geometry{c: in[0], h: in[1], w: in[2], m: c.Out, k: c.Kernel, stride: max(c.Stride, 1), pad: c.Pad}
	g.oh, g.ow = (g.h+2*g.pad-g.k)/g.stride+1, (g.w+2*g.pad-g.k)/g.stride+1
	return g
}

type conv[T kernel.Float] struct{ geometry }

// columnNumbers is about how many numbers of columns are made at a time: they stay in the second cache.
const columnNumbers = 1 << 16

// each calls f for parts of the output: lines from one on, and the numbers that they have per channel.
func (l conv[T]) each(rows int, f func(line, lines, width int)) {
	perLine := l.ow * rows
	step := max(columnNumbers/(l.depth()*perLine), 1)
	for line := 0; line < l.oh; line += step {
		lines := min(step, l.oh-line)
		f(line, lines, lines*perLine)
	}
}

// depth returns the length of a column, the K above.
func (l conv[T]) depth() int { return l.c * l.k * l.k }

func (l conv[T]) Forward(w, in, out []T, rows int, s *scratch[T]) {
	inputs, outputs, depth := l.c*l.h*l.w, l.m*l.oh*l.ow, l.depth()
	x, y := room(&s.x, inputs*rows), room(&s.y, outputs*rows)
	kernel.Transpose(x, rows, in, inputs, rows, inputs)
	plane := l.oh * l.ow * rows
	for m, b := range w[l.m*depth:] {
		fill(y[m*plane:][:plane], b)
	}
	l.each(rows, func(line, lines, width int) {
		col := room(&s.col, depth*width)
		l.columns(x, col, rows, line, lines)
		s.mul.Mul(l.m, width, depth, 1, matrix(w, depth), matrix(col, width), matrix(y[line*l.ow*rows:], plane))
	})
	kernel.Transpose(out, outputs, y, rows, outputs, rows)
}

func (l conv[T]) Backward(w, in, _, dout, din, dw []T, rows int, s *scratch[T]) {
	inputs, outputs, depth := l.c*l.h*l.w, l.m*l.oh*l.ow, l.depth()
	plane := l.oh * l.ow * rows
	dy := room(&s.y, outputs*rows)
	kernel.Transpose(dy, rows, dout, outputs, rows, outputs)
	if dw != nil {
		x, ones := room(&s.x, inputs*rows), room(&s.ones, plane)
		kernel.Transpose(x, rows, in, inputs, rows, inputs)
		fill(ones, 1)
		bias := dw[l.m*depth:]
		for m := range bias {
			bias[m] += kernel.Dot(dy[m*plane:][:plane], ones)
		}
		l.each(rows, func(line, lines, width int) {
			col := room(&s.col, depth*width)
			l.columns(x, col, rows, line, lines)
			s.mul.Mul(l.m, depth, width, 1, matrix(dy[line*l.ow*rows:], plane), transposed(col, width), matrix(dw, depth))
		})
	}
	if din != nil {
		dx := room(&s.x, inputs*rows)
		clear(dx)
		l.each(rows, func(line, lines, width int) {
			col := room(&s.col, depth*width)
			clear(col)
			s.mul.Mul(depth, width, l.m, 1, transposed(w, depth), matrix(dy[line*l.ow*rows:], plane), matrix(col, width))
			l.scatter(dx, col, rows, line, lines)
		})
		kernel.Transpose(din, inputs, dx, rows, inputs, rows)
	}
}

// columns writes the columns of some lines of the output: row (c,ky,kx) of col holds the pixel that each place sees there.
func (l conv[T]) columns(x, col []T, rows, line, lines int) {
	l.runs(rows, line, lines, func(at, to, n int) {
		if at < 0 {
			clear(col[to : to+n])
		} else {
			copy(col[to:to+n], x[at:])
		}
	})
}

// scatter adds the columns up where columns took them from.
func (l conv[T]) scatter(dx, col []T, rows, line, lines int) {
	l.runs(rows, line, lines, func(at, to, n int) {
		if at >= 0 {
			kernel.Axpy(dx[at:at+n], col[to:], 1)
		}
	})
}

// runs calls f for the parts of the columns of some lines of the output: the n entries from to on belong to the inputs from
// at on, or to padding where at is negative.
func (l conv[T]) runs(rows, line, lines int, f func(at, to, n int)) {
	to := 0
	run := func(at, places int) {
		f(at, to, places*rows)
		to += places * rows
	}
	for c := range l.c {
		for ky := range l.k {
			for kx := range l.k {
				lo, hi := l.inside(kx)
				for oy := line; oy < line+lines; oy++ {
					y := oy*l.stride + ky - l.pad
					if y < 0 || y >= l.h || lo == hi {
						run(-1, l.ow)
						continue
					}
					run(-1, lo)
					at := ((c*l.h+y)*l.w + lo*l.stride + kx - l.pad) * rows
					if l.stride == 1 {
						run(at, hi-lo)
					} else {
						for range hi - lo {
							run(at, 1)
							at += l.stride * rows
						}
					}
					run(-1, l.ow-hi)
				}
			}
		}
	}
}

// inside returns the range of the outputs of a line whose kernel column kx is not in the padding.
func (l conv[T]) inside(kx int) (lo, hi int) {
	if left := l.pad - kx; left > 0 {
		lo = min((left+l.stride-1)/l.stride, l.ow)
	}
	if last := l.w - 1 + l.pad - kx; last >= 0 {
		hi = min(last/l.stride+1, l.ow)
	}
	return lo, max(lo, hi)
}

func fill[T kernel.Float](x []T, v T) {
	for i := range x {
		x[i] = v
	}
}
