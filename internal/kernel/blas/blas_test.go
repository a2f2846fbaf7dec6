package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/blas/gonum"
	"gonum.org/v1/gonum/mat"
)

var transposes = []blas.Transpose{blas.NoTrans, blas.Trans, blas.ConjTrans}

// TestGemm compares both precisions with gonum's Dgemm for all transposes, shapes and scalars, within γ_{k+4}·(|A||B| + |C|)
// of either side.
func TestGemm(t *testing.T) {
	impl, native := New(), gonum.Implementation{}
	for _, tA := range transposes {
		for _, tB := range transposes {
			for n := range 40 {
				r := rand.New(rand.NewPCG(uint64(n), 3))
				s := shape{tA, tB, r.IntN(30), r.IntN(70), r.IntN(40), 70, 75, 72}
				alpha, beta := []float64{1, 0, -2, 0.5}[r.IntN(4)], []float64{1, 0, 0.25}[r.IntN(3)]
				a, b, c := fill(r, 70*70), fill(r, 75*75), fill(r, 72*72)
				want, mag, got := clone(c), absolute(c), clone(c)
				native.Dgemm(tA, tB, s.m, s.n, s.k, alpha, a, s.lda, b, s.ldb, beta, want, s.ldc)
				native.Dgemm(tA, tB, s.m, s.n, s.k, math.Abs(alpha), absolute(a), s.lda, absolute(b), s.ldb, beta, mag, s.ldc)
				impl.Dgemm(tA, tB, s.m, s.n, s.k, alpha, a, s.lda, b, s.ldb, beta, got, s.ldc)
				got32 := narrow(c)
				impl.Sgemm(tA, tB, s.m, s.n, s.k, float32(alpha), narrow(a), s.lda, narrow(b), s.ldb, float32(beta), got32, s.ldc)
				units := float64(s.k+4) * 1.01
				for i := range want {
					if math.Abs(got[i]-want[i]) > 2*units*0x1p-53*mag[i] {
						t.Fatalf("%v %g %g: Dgemm element %d: %g, want %g", s, alpha, beta, i, got[i], want[i])
					}
					if math.Abs(float64(got32[i])-want[i]) > units*(0x1p-24+0x1p-53)*mag[i] {
						t.Fatalf("%v %g %g: Sgemm element %d: %g, want %g", s, alpha, beta, i, got32[i], want[i])
					}
				}
			}
		}
	}
}

// fill returns float32 numbers, so that both precisions see the same.
func fill(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(float32(r.NormFloat64()))
	}
	return x
}

func clone(x []float64) []float64 { return append([]float64(nil), x...) }

func absolute(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Abs(v)
	}
	return y
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// TestForgets: beta = 0 forgets what C held, also what is not a number.
func TestForgets(t *testing.T) {
	c := []float64{math.NaN()}
	New().Dgemm(blas.NoTrans, blas.NoTrans, 1, 1, 1, 2, []float64{3}, 1, []float64{5}, 1, 0, c, 1)
	if c[0] != 30 {
		t.Errorf("%g", c[0])
	}
}

// TestPanics: wrong arguments are refused as gonum refuses them.
func TestPanics(t *testing.T) {
	x, y := make([]float64, 6), make([]float32, 6)
	impl := New()
	for name, f := range map[string]func(){
		"transpose": func() { impl.Dgemm('x', blas.NoTrans, 2, 2, 2, 1, x, 2, x, 2, 1, x, 2) },
		"negative":  func() { impl.Dgemm(blas.NoTrans, blas.NoTrans, -1, 2, 2, 1, x, 2, x, 2, 1, x, 2) },
		"lda":       func() { impl.Dgemm(blas.NoTrans, blas.NoTrans, 2, 2, 2, 1, x, 1, x, 2, 1, x, 2) },
		"short a":   func() { impl.Sgemm(blas.NoTrans, blas.NoTrans, 2, 2, 3, 1, y[:5], 3, y, 2, 1, y, 2) },
		"short b":   func() { impl.Sgemm(blas.NoTrans, blas.Trans, 2, 3, 2, 1, y, 2, y[:5], 2, 1, y, 3) },
		"short c":   func() { impl.Sgemm(blas.NoTrans, blas.NoTrans, 2, 3, 1, 1, y, 1, y, 3, 1, y[:5], 3) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

// TestRegister: gonum's matrices go through the kernels once they are registered.
func TestRegister(t *testing.T) {
	old := blas64.Implementation()
	defer blas64.Use(old)
	Register()
	if _, ok := blas64.Implementation().(*Implementation); !ok {
		t.Fatal("not registered")
	}
	a := mat.NewDense(2, 2, []float64{1, 2, 3, 4})
	var c mat.Dense
	c.Mul(a, a.T())
	if want := mat.NewDense(2, 2, []float64{5, 11, 11, 25}); !mat.Equal(&c, want) {
		t.Errorf("%v", mat.Formatted(&c))
	}
}

func BenchmarkDgemm(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{32, 256} {
		x, y, z := fill(r, n*n), fill(r, n*n), fill(r, n*n)
		for name, impl := range map[string]blas.Float64{"gonum": gonum.Implementation{}, "kernel": New()} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					impl.Dgemm(blas.NoTrans, blas.NoTrans, n, n, n, 1, x, n, y, n, 0, z, n)
				}
				b.ReportMetric(2*float64(n*n*n)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GF/s")
			})
		}
	}
}
