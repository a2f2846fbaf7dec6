package kernel

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMulInPlace(t *testing.T) { each(t, testMulInPlace[float64], testMulInPlace[float32]) }

func testMulInPlace[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, k, R := rapid.IntRange(0, 30).Draw(t, "m"), rapid.IntRange(0, 40).Draw(t, "k"), 8*rapid.IntRange(0, 18).Draw(t, "R/8")
		lda := m + rapid.IntRange(0, 9).Draw(t, "gap")
		a, b, c := draw[T](t, max(0, (k-1)*lda+m), "a"), draw[T](t, k*R, "b"), draw[T](t, m*R, "c")
		rows := make([]int, k)
		for i := range rows {
			rows[i] = i
		}
		want, mag := naive(m, R, func(i, u int) T { return a[u*lda+i] }, c, R, b, rows)
		MulInPlace(m, k, a, lda, b, c, R)
		compare(t, c, want, mag, k+2)
	})
}

func TestMulInPlaceRejects(t *testing.T) {
	x := func(n int) []float64 { return make([]float64, n) }
	for name, f := range map[string]func(){
		"a":     func() { MulInPlace(3, 2, x(5), 3, x(16), x(24), 8) },
		"b":     func() { MulInPlace(3, 2, x(6), 3, x(15), x(24), 8) },
		"c":     func() { MulInPlace(3, 2, x(6), 3, x(16), x(23), 8) },
		"rows":  func() { MulInPlace(3, 2, x(6), 2, x(16), x(24), 8) },
		"lanes": func() { MulInPlace(3, 2, x(6), 3, x(16), x(24), 7) },
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
