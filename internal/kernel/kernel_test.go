package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// each runs the test of both element types under every implementation this machine has.
func each(t *testing.T, f64, f32 func(t *testing.T)) {
	for _, name := range Implementations() {
		for typ, f := range map[string]func(t *testing.T){"float64": f64, "float32": f32} {
			t.Run(name+"/"+typ, func(t *testing.T) {
				defer Use(name)()
				f(t)
			})
		}
	}
}

// unit returns the unit roundoff of T.
func unit[T Float]() float64 {
	if pick[T]()&1 == 1 {
		return 0x1p-24
	}
	return 0x1p-53
}

// within reports whether got, computed in T, and want, computed in float64, can both be within γ_{n+2}·mag of the true sum,
// mag being the sum of magnitudes; what underflows in float32 is below the constant.
func within[T Float](got T, want, mag float64, n int) bool {
	return math.Abs(float64(got)-want) <= float64(n+2)*(unit[T]()+0x1p-53)*1.01*mag+0x1p-130
}

func draw[T Float](t *rapid.T, n int, label string) []T {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, label), 1))
	x := make([]T, n)
	for i := range x {
		switch r.IntN(8) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = T(r.NormFloat64() * 1e9)
		default:
			x[i] = T(r.NormFloat64())
		}
	}
	return x
}

// wide returns a copy in float64.
func wide[T Float](x []T) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// naive is the definition; it also returns the sums of magnitudes.
func naive[T Float](m, R int, a func(i, t int) T, c []T, ldc int, b []T, rows []int) (out, mag []float64) {
	out, mag = wide(c), make([]float64, len(c))
	for i := 0; i < m; i++ {
		for r := 0; r < R; r++ {
			o := i*ldc + r
			mag[o] = math.Abs(out[o])
			for t, j := range rows {
				p := float64(a(i, t)) * float64(b[j*R+r])
				out[o] += p
				mag[o] += math.Abs(p)
			}
		}
	}
	return out, mag
}

func compare[T Float](t *rapid.T, c []T, want, mag []float64, k int) {
	for i := range c {
		if !within(c[i], want[i], mag[i], k) {
			t.Fatalf("element %d: %g, want %g (magnitude %g)", i, c[i], want[i], mag[i])
		}
	}
}

func TestMul(t *testing.T) { each(t, testMul[float64], testMul[float32]) }

func testMul[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, k := rapid.IntRange(0, 40).Draw(t, "m"), rapid.IntRange(0, 30).Draw(t, "k")
		if rapid.IntRange(0, 9).Draw(t, "deep") == 0 {
			k += blockK
		}
		R := 8 * rapid.IntRange(1, 17).Draw(t, "R/8")
		if rapid.IntRange(0, 9).Draw(t, "strips") == 0 {
			m, R = m+stripRows, R+4*stripLanes[T]()
		}
		ldc := R + rapid.IntRange(0, 9).Draw(t, "gap")
		w, b, c := draw[T](t, m*k, "w"), draw[T](t, k*R, "b"), draw[T](t, m*ldc, "c")
		rows := make([]int, k)
		for i := range rows {
			rows[i] = i
		}
		at := func(i, u int) T { return w[i*k+u] }
		want, mag := naive(m, R, at, c, ldc, b, rows)
		wantAbs, magAbs := naive(m, R, func(i, u int) T { return abs(at(i, u)) }, c, ldc, b, rows)
		got := append([]T(nil), c...)
		Pack(m, k, w, k, 1).Mul(got, ldc, b, R)
		compare(t, got, want, mag, k)
		got = append(got[:0], c...)
		PackAbs(m, k, w, k, 1).Mul(got, ldc, b, R)
		compare(t, got, wantAbs, magAbs, k)
		wt := make([]T, m*k)
		for i := range w {
			wt[i%k*m+i/k] = w[i]
		}
		got = append(got[:0], c...)
		View(m, k, wt).Mul(got, ldc, b, R)
		compare(t, got, want, mag, k)
	})
}

func TestMulRows(t *testing.T) { each(t, testMulRows[float64], testMulRows[float32]) }

func testMulRows[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, k := rapid.IntRange(1, 30).Draw(t, "m"), rapid.IntRange(1, 30).Draw(t, "k")
		R := 8 * rapid.IntRange(1, 12).Draw(t, "R/8")
		nb := rapid.IntRange(1, 20).Draw(t, "rows of b")
		off := rapid.IntRange(-5, 5).Draw(t, "off")
		t0 := rapid.IntRange(0, k).Draw(t, "t0")
		n := rapid.IntRange(0, k-t0).Draw(t, "n")
		idx, rows := make([]int32, n), make([]int, n)
		for i := range idx {
			rows[i] = rapid.IntRange(0, nb-1).Draw(t, "row")
			idx[i] = int32(rows[i] - off)
		}
		w, b, c := draw[T](t, m*k, "w"), draw[T](t, nb*R, "b"), draw[T](t, m*R, "c")
		want, mag := naive(m, R, func(i, u int) T { return w[i*k+t0+u] }, c, R, b, rows)
		idx = append(make([]int32, t0, k), idx...) // the entries before t0 may be anything
		if t0 > 0 {
			idx[0] = 1 << 20
		}
		p, list := Pack(m, k, w, k, 1), NewRows(idx, 1)
		for i := 0; i < p.Panels(); i++ {
			p.MulRows(i, c, R, b, off, list, t0, n, R)
		}
		compare(t, c, want, mag, k)
	})
}

func TestMulShifted(t *testing.T) { each(t, testMulShifted[float64], testMulShifted[float32]) }

func testMulShifted[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, k := rapid.IntRange(1, 30).Draw(t, "m"), rapid.IntRange(1, 30).Draw(t, "k")
		R := 8 * rapid.IntRange(1, 12).Draw(t, "R/8")
		idx := make([]int32, k)
		b := draw[T](t, R+rapid.IntRange(0, 20).Draw(t, "spare"), "b")
		flat, rows := make([]T, 0, k*R), make([]int, k)
		for i := range idx {
			idx[i] = int32(rapid.IntRange(0, len(b)-R).Draw(t, "at"))
			flat, rows[i] = append(flat, b[idx[i]:int(idx[i])+R]...), i
		}
		w, c := draw[T](t, m*k, "w"), draw[T](t, m*R, "c")
		want, mag := naive(m, R, func(i, u int) T { return w[i*k+u] }, c, R, flat, rows)
		Pack(m, k, w, k, 1).MulShifted(c, R, b, NewRows(idx, 4), R)
		compare(t, c, want, mag, k)
	})
}

func TestMulRowsRejectsOutside(t *testing.T) {
	p := Pack(1, 2, []float64{1, 2}, 2, 1)
	c, b := make([]float64, 8), make([]float64, 16)
	bad := map[string]func(){
		"above": func() { p.MulRows(0, c, 8, b, 1, NewRows([]int32{0, 1}, 1), 0, 2, 8) },
		"below": func() { p.MulRows(0, c, 8, b, -1, NewRows([]int32{0, 1}, 1), 0, 2, 8) },
		"deep":  func() { p.MulRows(0, c, 8, b, 0, NewRows([]int32{0, 1}, 1), 1, 2, 8) },
		"lanes": func() { p.MulRows(0, c, 8, b, 0, NewRows([]int32{0}, 1), 0, 1, 7) },
		"shift": func() { p.MulShifted(c, 8, b, NewRows([]int32{0, 9}, 1), 8) },
		"c":     func() { p.Mul(c[:7:7], 8, b, 8) },
		"b":     func() { p.Mul(c, 8, b[:15], 8) },
		"pitch": func() { p.Mul(c, 7, b, 8) },
		"y":     func() { Dot(b, c) },
		"x":     func() { Axpy(b, c, 1) },
		"slope": func() { RelaxLanesRows(c, c, c, nil, c[:7], []int32{0}, 8, c, c) },
	}
	for name, f := range bad {
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

func TestVectors(t *testing.T) { each(t, testVectors[float64], testVectors[float32]) }

func testVectors[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 150).Draw(t, "n")
		x, y, f := draw[T](t, n, "x"), draw[T](t, n, "y"), draw[T](t, 2, "f")
		base := draw[T](t, n+1, "base")
		after := base[n]
		cp := func() []T { return append([]T(nil), base...)[:n] }
		near := func(what string, got []T, i int, a, b T) {
			c, p := float64(base[i]), float64(a)*float64(b)
			if !within(got[i], c+p, math.Abs(c)+math.Abs(p), 1) {
				t.Fatalf("%s: %g, want %g + %g·%g", what, got[i], c, a, b)
			}
		}
		ax, ab, sg, same := cp(), cp(), cp(), cp()
		Axpy(ax, x, f[0])
		AbsAxpy(ab, x, f[0])
		SignAxpy(sg, x, f[0], f[1])
		Axpy(same, same, f[1])
		for i, v := range x {
			near("Axpy", ax, i, v, f[0])
			near("AbsAxpy", ab, i, abs(v), f[0])
			near("SignAxpy", sg, i, v, bySign(v, f[0], f[1]))
			near("Axpy in place", same, i, base[i], f[1])
		}
		for _, v := range [][]T{ax, ab, sg, same} {
			if v[:n+1][n] != after {
				t.Fatal("wrote behind the end")
			}
		}
		var dt, da, mag float64
		for i := range x {
			p := float64(x[i]) * float64(y[i])
			dt, da, mag = dt+p, da+float64(abs(x[i]))*float64(y[i]), mag+math.Abs(p)
		}
		if got := Dot(x, y); !within(got, dt, mag, n) {
			t.Fatalf("Dot %g, want %g", got, dt)
		}
		if got := AbsDot(x, y); !within(got, da, mag, n) {
			t.Fatalf("AbsDot %g, want %g", got, da)
		}
	})
}

func bySign[T Float](a, pos, neg T) T {
	if a < 0 {
		return neg
	}
	return pos
}

func TestNoAllocation(t *testing.T) { each(t, testNoAllocation[float64], testNoAllocation[float32]) }

func testNoAllocation[T Float](t *testing.T) {
	p, rows := Pack(13, 5, make([]T, 65), 5, 1), NewRows([]int32{0, 1, 2, 3, 4}, 1)
	idx := []int32{0, 2}
	var x [16 * 24]T
	c, b := x[:13*24], make([]T, 16*24)
	if n := testing.AllocsPerRun(10, func() {
		p.Mul(c, 24, b, 24)
		p.MulRows(0, c, 24, b, 0, rows, 0, 5, 24)
		Axpy(c[:24], b[:24], 2)
		_ = Dot(c, c)
		RelaxSharedRows(c, x[13*24:], b, nil, idx, 24, b[24:], b[24:], b[24:])
		RelaxLanesRows(c, x[13*24:], b, nil, b[24:], idx, 24, b[24:], b[24:])
		CornerRows(c, b, 24, b[24:26], b[48:50])
		AdamRows(c, c[48:], c[96:], b, b[48:], idx, 24, AdamStep[T]{Rate: 1})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
