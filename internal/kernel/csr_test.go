package kernel

import (
	"testing"

	"pgregory.net/rapid"
)

// drawCSR returns a random sparse matrix and its dense form.
func drawCSR[T Float](t *rapid.T, m, n int) (*CSR[T], []T) {
	ptr, idx := make([]int32, m+1), []int32(nil)
	for i := 0; i < m; i++ {
		for j := 0; j < n; j++ {
			if rapid.IntRange(0, 3).Draw(t, "present") == 0 {
				idx = append(idx, int32(j))
			}
		}
		ptr[i+1] = int32(len(idx))
	}
	val := draw[T](t, len(idx), "val")
	w := make([]T, m*n)
	for i := 0; i < m; i++ {
		for k := ptr[i]; k < ptr[i+1]; k++ {
			w[i*n+int(idx[k])] = val[k]
		}
	}
	return NewCSR(m, n, ptr, idx, val), w
}

func TestCSR(t *testing.T) { each(t, testCSR[float64], testCSR[float32]) }

func testCSR[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, n := rapid.IntRange(1, 9).Draw(t, "m"), rapid.IntRange(1, 9).Draw(t, "n")
		R := rapid.SampledFrom([]int{1, 8, 16, 24, 64, 120}).Draw(t, "R")
		s, w := drawCSR[T](t, m, n)
		all := func(k int) []int {
			r := make([]int, k)
			for i := range r {
				r[i] = i
			}
			return r
		}
		x, y, d, e := draw[T](t, n*R, "x"), draw[T](t, m*R, "y"), draw[T](t, m*R, "d"), draw[T](t, n*R, "e")
		cp := func(v []T) []T { return append([]T(nil), v...) }
		want, mag := naive(m, R, func(i, u int) T { return w[i*n+u] }, d, R, x, all(n))
		g := cp(d)
		s.Mul(g, x, R)
		compare(t, g, want, mag, n)
		want, mag = naive(m, R, func(i, u int) T { return abs(w[i*n+u]) }, d, R, x, all(n))
		g = cp(d)
		s.Abs().Mul(g, x, R)
		compare(t, g, want, mag, n)
		want, mag = naive(n, R, func(i, u int) T { return w[u*n+i] }, e, R, y, all(m))
		g = cp(e)
		s.Transpose().Mul(g, y, R)
		compare(t, g, want, mag, m)
		if R == 1 {
			g = cp(e)
			s.MulT(g, y)
			compare(t, g, want, mag, m)
		}
	})
}

func TestCSRRejects(t *testing.T) {
	for name, f := range map[string]func(){
		"column":  func() { NewCSR(1, 2, []int32{0, 1}, []int32{2}, []float64{1}) },
		"sign":    func() { NewCSR(1, 2, []int32{0, 1}, []int32{-1}, []float64{1}) },
		"pointer": func() { NewCSR(2, 2, []int32{0, 2, 1}, []int32{0}, []float64{1}) },
		"start":   func() { NewCSR(1, 2, []int32{1, 1}, []int32{0}, []float64{1}) },
		"lanes": func() {
			NewCSR(1, 1, []int32{0, 1}, []int32{0}, []float64{1}).Mul(make([]float64, 4), make([]float64, 4), 4)
		},
		"short": func() {
			NewCSR(1, 1, []int32{0, 1}, []int32{0}, []float64{1}).Mul(make([]float64, 7), make([]float64, 8), 8)
		},
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
