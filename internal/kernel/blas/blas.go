// Package blas lets gonum compute matrix products with internal/kernel. Everything else stays gonum's own.
package blas

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/spai-project/certify/internal/kernel"
)

// An Implementation is gonum's own BLAS with other Sgemm and Dgemm. It is safe for concurrent use and must not be copied.
// Results differ from gonum's in summation order and fused multiply-adds, within the bound that package kernel states.
type Implementation struct {
	gonum.Implementation
	pool32, pool64 sync.Pool
}

var (
	_ blas.Float64 = (*Implementation)(nil)
	_ blas.Float32 = (*Implementation)(nil)
)

// New returns an implementation.
func New() *Implementation {
	return &Implementation{
		pool32: sync.Pool{New: func() any { return new(kernel.Multiplier[float32]) }},
		pool64: sync.Pool{New: func() any { return new(kernel.Multiplier[float64]) }},
	}
}

// Register makes gonum use a new implementation for both precisions, in the whole process. Call it once, from a main
// package or a test, before other goroutines use gonum.
func Register() {
	impl := New()
	blas32.Use(impl)
	blas64.Use(impl)
}

// A shape is the part of the arguments of a product that does not depend on the precision.
type shape struct {
	tA, tB  blas.Transpose
	m, n, k int
	lda     int
	ldb     int
	ldc     int
}

// odd reports whether the arguments are for gonum to treat: it knows all the ways in which they can be wrong, and what an
// empty product means.
func (s shape) odd(a, b, c int) bool {
	if s.m <= 0 || s.n <= 0 || s.k <= 0 || s.ldc < s.n || c < (s.m-1)*s.ldc+s.n {
		return true
	}
	return !holds(s.tA, s.m, s.k, s.lda, a) || !holds(s.tB, s.k, s.n, s.ldb, b)
}

// holds reports whether a slice of the length is an m×n matrix with rows ld apart, or its transpose.
func holds(t blas.Transpose, m, n, ld, length int) bool {
	switch t {
	case blas.NoTrans:
	case blas.Trans, blas.ConjTrans:
		m, n = n, m
	default:
		return false
	}
	return ld >= n && length >= (m-1)*ld+n
}

// Dgemm computes C = alpha·op(A)·op(B) + beta·C; see blas.Float64Level3. It panics as gonum does.
func (i *Implementation) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	s := shape{tA, tB, m, n, k, lda, ldb, ldc}
	if alpha == 0 || s.odd(len(a), len(b), len(c)) {
		i.Implementation.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	g := i.pool64.Get().(*kernel.Multiplier[float64])
	defer i.pool64.Put(g)
	gemm(g, s, alpha, a, b, beta, c)
}

// Sgemm computes C = alpha·op(A)·op(B) + beta·C; see blas.Float32Level3. It panics as gonum does.
func (i *Implementation) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	s := shape{tA, tB, m, n, k, lda, ldb, ldc}
	if alpha == 0 || s.odd(len(a), len(b), len(c)) {
		i.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	g := i.pool32.Get().(*kernel.Multiplier[float32])
	defer i.pool32.Put(g)
	gemm(g, s, alpha, a, b, beta, c)
}

// gemm scales C, where beta = 0 forgets whatever is there, and adds the product.
func gemm[T kernel.Float](g *kernel.Multiplier[T], s shape, alpha T, a, b []T, beta T, c []T) {
	for r := range s.m {
		row := c[r*s.ldc : r*s.ldc+s.n]
		switch beta {
		case 0:
			clear(row)
		case 1:
		default:
			for j := range row {
				row[j] *= beta
			}
		}
	}
	g.Mul(s.m, s.n, s.k, alpha, kernel.Matrix[T]{Data: a, Stride: s.lda, Trans: s.tA != blas.NoTrans},
		kernel.Matrix[T]{Data: b, Stride: s.ldb, Trans: s.tB != blas.NoTrans}, kernel.Matrix[T]{Data: c, Stride: s.ldc})
}
