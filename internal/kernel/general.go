package kernel

import (
	"slices"
	"unsafe"
)

// A Multiplier computes products of matrices that are used once, packing both as it goes. It keeps the room for that
// between calls, so it allocates only when it meets a larger product than before. The zero value is ready. It serves one
// goroutine at a time.
type Multiplier[T Float] struct {
	a, b, c []T
}

// blockA is the number of bytes of A that are packed at a time: they stay near while the strips of B go by. Fewer
// would fit the second cache better, but then every strip is copied more often; see BenchmarkGemm.
const blockA = 1 << 20

// A Matrix is a row-major matrix whose rows begin at a distance of Stride, or the transpose of one.
type Matrix[T Float] struct {
	Data   []T
	Stride int
	Trans  bool
}

// strides returns the distances between rows and between columns.
func (a Matrix[T]) strides() (row, col int) {
	if a.Trans {
		return 1, a.Stride
	}
	return a.Stride, 1
}

// fits panics unless a m×n matrix is inside the data.
func (a Matrix[T]) fits(m, n int) {
	if a.Trans {
		m, n = n, m
	}
	if m < 0 || n < 0 || a.Stride < max(1, n) || m > 0 && n > 0 && len(a.Data) < (m-1)*a.Stride+n {
		panic("kernel: matrix too short")
	}
}

// Mul computes C[m×n] += alpha·A[m×k]·B[k×n] for any m, n and k; C is not transposed. It panics if a matrix is not inside
// its data. c must not overlap the others.
func (g *Multiplier[T]) Mul(m, n, k int, alpha T, a, b, c Matrix[T]) {
	a.fits(m, k)
	b.fits(k, n)
	c.fits(m, n)
	if c.Trans {
		panic("kernel: Mul: transposed result")
	}
	if m == 0 || n == 0 || k == 0 {
		return
	}
	strip, depth := stripLanes[T](), passDepth(k, passLimit())
	var x T
	rows := passDepth(m, blockA/(depth*int(unsafe.Sizeof(x))))
	g.a = slices.Grow(g.a[:0], rows*depth)[:rows*depth]
	g.b = slices.Grow(g.b[:0], depth*strip)[:depth*strip]
	g.c = slices.Grow(g.c[:0], panelHeight*strip)[:panelHeight*strip]
	for t := 0; t < k; t += depth {
		d := min(depth, k-t)
		for i := 0; i < m; i += rows {
			h := min(rows, m-i)
			g.packA(a, i, h, t, d, alpha)
			j := 0
			if !b.Trans && (n <= 4*strip || h < stripRows) { // rows of B are close enough, or too seldom read, for a copy
				j = n &^ 7
				g.direct(b, t, d, c.Data[i*c.Stride:], c.Stride, h, j)
			}
			for ; j < n; j += strip {
				g.strip(b, t, d, j, min(strip, n-j), c.Data[i*c.Stride+j:], c.Stride, h)
			}
		}
	}
}

// packA packs the rows i..i+h-1 and columns t..t+d-1 of alpha·A into panels, one after the other.
func (g *Multiplier[T]) packA(a Matrix[T], i, h, t, d int, alpha T) {
	rs, cs := a.strides()
	split(h, func(row, ph int) {
		dst := g.a[row*d : (row+ph)*d]
		gather(dst, ph, a.Data[(i+row)*rs+t*cs:], rs, cs, ph, d)
		if alpha != 1 {
			for x := range dst {
				dst[x] *= alpha
			}
		}
	})
}

// Transpose writes dst[j*ldd+i] = src[i*lds+j] for i < m and j < n. It panics if a slice is too short or rows overlap. dst and
// src must not overlap.
func Transpose[T Float](dst []T, ldd int, src []T, lds, m, n int) {
	if m <= 0 || n <= 0 {
		return
	}
	if ldd < m || lds < n || len(src) < (m-1)*lds+n {
		tooShort()
	}
	gather(dst, ldd, src, lds, 1, m, n)
}

// gather writes dst[t*ld+i] = src[i*rs+t*cs] for i < h and t < d, where rs or cs is 1.
func gather[T Float](dst []T, ld int, src []T, rs, cs, h, d int) {
	if len(dst) < (d-1)*ld+h {
		tooShort() // also what the assembly relies on
	}
	if rs == 1 {
		copyStrip(dst, ld, src, cs, d, h)
		return
	}
	i := 0
	for ; i+4 <= h; i += 4 {
		rows := src[i*rs : (i+3)*rs+d]
		for t := gather4(dst[i:], ld, rows, rs, d); t < d; t++ {
			p := dst[t*ld+i : t*ld+i+4 : t*ld+i+4]
			p[0], p[1], p[2], p[3] = rows[t], rows[rs+t], rows[2*rs+t], rows[3*rs+t]
		}
	}
	for ; i < h; i++ {
		for t, v := range src[i*rs:][:d] {
			dst[t*ld+i] = v
		}
	}
}

// direct adds the product of the packed rows of A with the first w columns of B, a multiple of 8, to the h rows of c.
func (g *Multiplier[T]) direct(b Matrix[T], t, d int, c []T, ldc, h, w int) {
	split(h, func(row, ph int) {
		panel(ph, d, g.a[row*d:], ph, b.Data[t*b.Stride:], 0, nil, b.Stride, c[row*ldc:], ldc, w)
	})
}

// strip adds the product of the packed rows of A with w columns of B from j on to the h rows of c.
func (g *Multiplier[T]) strip(b Matrix[T], t, d, j, w int, c []T, ldc, h int) {
	lanes := (w + 7) &^ 7 // the tiles want eight: what stands in the columns too many does not matter
	rs, cs := b.strides()
	gather(g.b, lanes, b.Data[t*rs+j*cs:], cs, rs, w, d)
	split(h, func(row, ph int) {
		p := g.a[row*d:]
		if lanes == w {
			panel(ph, d, p, ph, g.b, 0, nil, lanes, c[row*ldc:], ldc, lanes)
			return
		}
		clear(g.c[:ph*lanes])
		panel(ph, d, p, ph, g.b, 0, nil, lanes, g.c, lanes, lanes)
		for i := range ph {
			Axpy(c[(row+i)*ldc:][:w], g.c[i*lanes:], 1)
		}
	})
}
