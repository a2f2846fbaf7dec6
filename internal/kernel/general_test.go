package kernel

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMultiplier(t *testing.T) { each(t, testMultiplier[float64], testMultiplier[float32]) }

func testMultiplier[T Float](t *testing.T) {
	var g Multiplier[T] // shared, so that room is reused
	rapid.Check(t, func(t *rapid.T) {
		size := func(name string) int {
			return rapid.OneOf(rapid.IntRange(0, 20), rapid.SampledFrom([]int{32, 33, 64, 131, 1100, 2*stripDepth + 1})).Draw(t, name)
		}
		m, n, k := size("m"), size("n"), size("k")
		if m == 1100 && k > 20 { // more rows than a block of A holds
			k = 2*stripDepth + 1
			n = min(n, 9)
		}
		if m*n*k > 1e6 && m != 1100 {
			n = 1 + n%7
		}
		if m*n*k > 3e6 {
			k = 1 + k%7
		}
		a, at := drawMatrix[T](t, m, k, true)
		b, bt := drawMatrix[T](t, k, n, true)
		c, _ := drawMatrix[T](t, m, n, false)
		alpha := rapid.SampledFrom([]T{1, -1, 0, 0.75}).Draw(t, "alpha")
		flat, rows := make([]T, k*n), make([]int, k)
		for i := range rows {
			rows[i] = i
			for j := range n {
				flat[i*n+j] = bt(i, j)
			}
		}
		want, mag := naive(m, n, func(i, u int) T { return alpha * at(i, u) }, c.Data, c.Stride, flat, rows)
		g.Mul(m, n, k, alpha, a, b, c)
		compare(t, c.Data, want, mag, k+2)
	})
}

// drawMatrix returns a random m×n matrix in a layout of its own, and what reads it.
func drawMatrix[T Float](t *rapid.T, m, n int, trans bool) (Matrix[T], func(i, j int) T) {
	a := Matrix[T]{Trans: trans && rapid.Bool().Draw(t, "transposed")}
	rows, cols := m, n
	if a.Trans {
		rows, cols = n, m
	}
	a.Stride = max(1, cols) + rapid.IntRange(0, 3).Draw(t, "gap")
	a.Data = draw[T](t, max(0, (rows-1)*a.Stride+cols), "data")
	rs, cs := a.strides()
	return a, func(i, j int) T { return a.Data[i*rs+j*cs] }
}

func TestMultiplierRejects(t *testing.T) {
	var g Multiplier[float64]
	x := func(n, stride int, trans bool) Matrix[float64] {
		return Matrix[float64]{make([]float64, n), stride, trans}
	}
	ok := x(6, 3, false)
	for name, f := range map[string]func(){
		"a":        func() { g.Mul(2, 3, 3, 1, x(5, 3, false), x(9, 3, false), ok) },
		"b":        func() { g.Mul(2, 3, 3, 1, ok, x(8, 3, false), ok) },
		"c":        func() { g.Mul(2, 3, 3, 1, ok, x(9, 3, false), x(5, 3, false)) },
		"stride":   func() { g.Mul(2, 3, 3, 1, x(99, 2, false), x(9, 3, false), ok) },
		"trans":    func() { g.Mul(2, 3, 3, 1, x(6, 3, true), x(9, 3, false), ok) },
		"result":   func() { g.Mul(2, 3, 3, 1, ok, x(9, 3, false), x(9, 3, true)) },
		"negative": func() { g.Mul(-1, 3, 3, 1, ok, x(9, 3, false), ok) },
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

func TestTranspose(t *testing.T) { each(t, testTranspose[float64], testTranspose[float32]) }

// testTranspose also wants everything between the columns of the result to stay as it was.
func testTranspose[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, n := rapid.IntRange(0, 20).Draw(t, "m"), rapid.IntRange(0, 20).Draw(t, "n")
		lds, ldd := n+rapid.IntRange(0, 3).Draw(t, "gap"), m+rapid.IntRange(0, 3).Draw(t, "gap of the result")
		src, dst := draw[T](t, max(0, (m-1)*lds+n), "data"), draw[T](t, max(0, (n-1)*ldd+m), "result")
		want := slices.Clone(dst)
		for i := range m {
			for j := range n {
				want[j*ldd+i] = src[i*lds+j]
			}
		}
		if Transpose(dst, ldd, src, lds, m, n); !slices.Equal(dst, want) {
			t.Fatalf("%d×%d: %v, want %v", m, n, dst, want)
		}
	})
	for name, f := range map[string]func(){
		"src":  func() { Transpose(make([]T, 6), 2, make([]T, 5), 3, 2, 3) },
		"dst":  func() { Transpose(make([]T, 5), 2, make([]T, 6), 3, 2, 3) },
		"rows": func() { Transpose(make([]T, 9), 2, make([]T, 9), 2, 2, 3) },
		"cols": func() { Transpose(make([]T, 9), 1, make([]T, 9), 3, 2, 3) },
		"line": func() { Transpose(make([]T, 2), 3, make([]T, 3), 1, 3, 1) },
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

func TestMultiplierAllocatesOnce(t *testing.T) {
	var g Multiplier[float32]
	a, c := Matrix[float32]{make([]float32, 70*70), 70, false}, Matrix[float32]{make([]float32, 70*70), 70, false}
	g.Mul(70, 70, 70, 1, a, a, c)
	if n := testing.AllocsPerRun(10, func() { g.Mul(70, 70, 70, 1, a, a, c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
