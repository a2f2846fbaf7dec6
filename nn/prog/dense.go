package prog

import (
	"math"
	"sync"

	"github.com/spai-project/certify/internal/kernel"
)

// denseMap is a dense row-major matrix. The packed copies that the SIMD kernels read are made on first use.
type denseMap struct {
	m, n     int
	w        []float64
	fwd, bwd lazyPack // W and Wᵀ
	abs      lazyPack // |W|
	absT     lazyPack // |W|ᵀ, for Transpose
}

// packLimit bounds the number of elements for which packed copies are kept: beyond it Wᵀ is read in place and |W| is
// packed a few rows at a time, so that a network of a gigabyte is not held four times.
const packLimit = 1 << 25

// viewLimit is the number of elements up to which a row-major matrix is as fast in place as packed (it fits the
// second-level cache); measured by internal/kernel's BenchmarkGemm/View.
const viewLimit = 1 << 16

// lazyPack is a packed matrix built at most once.
type lazyPack struct {
	once sync.Once
	p    *kernel.Packed[float64]
}

func (l *lazyPack) get(build func() *kernel.Packed[float64]) *kernel.Packed[float64] {
	l.once.Do(func() { l.p = build() })
	return l.p
}

// Dense returns the map of a row-major m×n matrix; w is kept, not copied.
func Dense(m, n int, w []float64) Linear {
	if len(w) != m*n {
		panic("prog: Dense: length mismatch")
	}
	return &denseMap{m: m, n: n, w: w}
}

func (d *denseMap) Dims() (out, in int) { return d.m, d.n }
func (d *denseMap) Fan() (row, col int) { return d.n, d.m }

// weights returns row i of the matrix.
func (d *denseMap) weights(i int) []float64 { return d.w[i*d.n : (i+1)*d.n] }

func (d *denseMap) Forward(dst, x []float64, R int) {
	if R%8 != 0 {
		forEachLane(dst, x, d.m, d.n, R, func(dst, x []float64) {
			for i := range dst {
				dst[i] += kernel.Dot(d.weights(i), x)
			}
		})
		return
	}
	d.fwd.get(func() *kernel.Packed[float64] { return kernel.Pack(d.m, d.n, d.w, d.n, 1) }).Mul(dst, R, x, R)
}

func (d *denseMap) ForwardAbs(dst, x []float64, R int) {
	if R%8 != 0 {
		forEachLane(dst, x, d.m, d.n, R, func(dst, x []float64) {
			for i := range dst {
				dst[i] += kernel.AbsDot(d.weights(i), x)
			}
		})
		return
	}
	if len(d.w) > packLimit {
		d.forwardAbsInParts(dst, x, R)
		return
	}
	d.abs.get(func() *kernel.Packed[float64] { return kernel.PackAbs(d.m, d.n, d.w, d.n, 1) }).Mul(dst, R, x, R)
}

// forwardAbsInParts packs |W| a few rows at a time and forgets it.
func (d *denseMap) forwardAbsInParts(dst, x []float64, R int) {
	const rows = 120
	for i := 0; i < d.m; i += rows {
		m := min(rows, d.m-i)
		kernel.PackAbs(m, d.n, d.w[i*d.n:], d.n, 1).Mul(dst[i*R:], R, x, R)
	}
}

func (d *denseMap) Backward(dst, y []float64, R int) {
	if R%8 != 0 {
		forEachLane(dst, y, d.n, d.m, R, func(dst, y []float64) {
			for i, s := range y {
				if s != 0 {
					kernel.Axpy(dst, d.weights(i), s)
				}
			}
		})
		return
	}
	d.bwd.get(func() *kernel.Packed[float64] {
		if len(d.w) <= viewLimit || len(d.w) > packLimit {
			return kernel.View(d.n, d.m, d.w)
		}
		return kernel.Pack(d.n, d.m, d.w, 1, d.n)
	}).Mul(dst, R, y, R)
}

// backwardAbs computes dst[In×R] += |M|ᵀ·y[Out×R].
func (d *denseMap) backwardAbs(dst, y []float64, R int) {
	if R%8 != 0 || len(d.w) > packLimit {
		for i := 0; i < d.m; i++ {
			for j, v := range d.weights(i) {
				kernel.Axpy(dst[j*R:j*R+R], y[i*R:i*R+R], math.Abs(v))
			}
		}
		return
	}
	d.absT.get(func() *kernel.Packed[float64] { return kernel.PackAbs(d.n, d.m, d.w, 1, d.n) }).Mul(dst, R, y, R)
}

func (d *denseMap) Row(dst []float64, R, r, i int, s float64) {
	if R == 1 {
		kernel.Axpy(dst[:d.n], d.weights(i), s)
		return
	}
	for j, v := range d.weights(i) {
		dst[j*R+r] += s * v
	}
}

// row calls f for the entries of row i.
func (d *denseMap) row(i int, f func(j int, v float64)) {
	for j, v := range d.weights(i) {
		f(j, v)
	}
}

// column calls f for the entries of column j by increasing row.
func (d *denseMap) column(j int, f func(i int, v float64)) {
	for i := 0; i < d.m; i++ {
		f(i, d.w[i*d.n+j])
	}
}

func (d *denseMap) Each(f func(i, j int, v float64)) {
	for i := 0; i < d.m; i++ {
		for j, v := range d.weights(i) {
			if v != 0 {
				f(i, j, v)
			}
		}
	}
}

// forEachLane runs a vector operation on every lane of an m×R destination and an n×R source: directly when R is 1,
// through copies for the widths that no kernel serves.
func forEachLane(dst, x []float64, m, n, R int, f func(dst, x []float64)) {
	if R == 1 {
		f(dst[:m], x[:n])
		return
	}
	d, s := make([]float64, m), make([]float64, n)
	for r := 0; r < R; r++ {
		for i := range d {
			d[i] = dst[i*R+r]
		}
		for j := range s {
			s[j] = x[j*R+r]
		}
		f(d, s)
		for i := range d {
			dst[i*R+r] = d[i]
		}
	}
}
