package train

import "github.com/spai-project/certify/internal/kernel"

// Convolution as matrix products (im2col; Chellapilla et al. 2006): for a few images at a time, what the kernel sees at each
// place becomes a column, so that W[out×K] times these columns is the output. The columns are made again on the way back,
// which is cheaper than keeping them for a whole batch.

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

// images returns the number of images whose columns are made at a time, and the numbers of a column and of an output plane.
func (l conv[T]) images() (images, depth, plane int) {
	depth, plane = l.c*l.k*l.k, l.oh*l.ow
	return max(columnNumbers/(depth*plane), 1), depth, plane
}

func (l conv[T]) forward(w, in, out []T, rows int, s *scratch[T]) {
	images, depth, plane := l.images()
	weight, bias := w[:l.m*depth], w[l.m*depth:]
	for r := 0; r < rows; r += images {
		n := min(images, rows-r)
		width := n * plane
		col := room(&s.col, depth*width)
		l.columns(in[r*l.c*l.h*l.w:], n, col)
		y := room(&s.side, l.m*width)
		for m, b := range bias {
			fill(y[m*width:][:width], b)
		}
		s.mul.Mul(l.m, width, depth, 1, matrix(weight, depth), matrix(col, width), matrix(y, width))
		l.planes(out[r*l.m*plane:], y, n, func(o, y []T) { copy(o, y) })
	}
}

func (l conv[T]) backward(w, in, _, dout, din, dw []T, rows int, s *scratch[T]) {
	images, depth, plane := l.images()
	for r := 0; r < rows; r += images {
		n := min(images, rows-r)
		width := n * plane
		col := room(&s.col, depth*width)
		dy := room(&s.side, l.m*width)
		l.planes(dout[r*l.m*plane:], dy, n, func(o, y []T) { copy(y, o) })
		if dw != nil {
			l.columns(in[r*l.c*l.h*l.w:], n, col)
			s.mul.Mul(l.m, depth, width, 1, matrix(dy, width), transposed(col, width), matrix(dw, depth))
			bias, ones := dw[l.m*depth:], room(&s.ones, width)
			fill(ones, 1)
			for m := range bias {
				bias[m] += kernel.Dot(dy[m*width:][:width], ones)
			}
		}
		if din != nil {
			clear(col)
			s.mul.Mul(depth, width, l.m, 1, transposed(w, depth), matrix(dy, width), matrix(col, width))
			l.scatter(din[r*l.c*l.h*l.w:], n, col)
		}
	}
}

// planes calls move for every plane of the n images in out, [n m plane], and its place in y, [m n plane].
func (l conv[T]) planes(out, y []T, n int, move func(out, y []T)) {
	plane := l.oh * l.ow
	for i := range n {
		for m := range l.m {
			move(out[(i*l.m+m)*plane:][:plane], y[(m*n+i)*plane:][:plane])
		}
	}
}

// columns writes the columns of n images: row (c,ky,kx) of col holds, image by image, the pixel that each place of the
// output sees there.
func (l conv[T]) columns(in []T, n int, col []T) {
	l.each(n, func(at, row, from, lo, hi int) {
		dst := col[row:][:l.ow]
		if lo >= hi {
			clear(dst)
			return
		}
		clear(dst[:lo])
		clear(dst[hi:])
		src := in[at:]
		if l.stride == 1 {
			copy(dst[lo:hi], src[from:])
			return
		}
		for x := lo; x < hi; x++ {
			dst[x] = src[from]
			from += l.stride
		}
	})
}

// scatter adds the columns up where columns took them from, and overwrites the n images in.
func (l conv[T]) scatter(in []T, n int, col []T) {
	clear(in[:n*l.c*l.h*l.w])
	l.each(n, func(at, row, from, lo, hi int) {
		dst, src := in[at:], col[row:][:l.ow]
		for x := lo; x < hi; x++ {
			dst[from] += src[x]
			from += l.stride
		}
	})
}

// each calls f for every line of outputs of n images and every (c,ky,kx). Column entries row+lo … row+hi−1 belong to the
// inputs from at+from on, a stride apart; the rest of the line sees padding.
func (l conv[T]) each(n int, f func(at, row, from, lo, hi int)) {
	plane, row := l.oh*l.ow, 0
	for c := range l.c {
		for ky := range l.k {
			for kx := range l.k {
				lo, hi := l.inside(kx)
				for i := range n {
					at := (i*l.c + c) * l.h * l.w
					for oy := range l.oh {
						if y := oy*l.stride + ky - l.pad; y < 0 || y >= l.h {
							f(0, row+oy*l.ow, 0, 0, 0)
						} else {
							f(at+y*l.w, row+oy*l.ow, lo*l.stride+kx-l.pad, lo, hi)
						}
					}
					row += plane
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
