package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// eachImpl runs f under every implementation this machine has.
func eachImpl(t *testing.T, f func(t *testing.T)) {
	for _, name := range Implementations() {
		t.Run(name, func(t *testing.T) {
			defer Use(name)()
			f(t)
		})
	}
}

// within reports whether got and want are both within γ_{n+2}·mag of the true sum, mag being the sum of magnitudes.
func within(got, want, mag float64, n int) bool {
	return math.Abs(got-want) <= 2*float64(n+2)*0x1p-53*1.01*mag
}

func draw(t *rapid.T, n int, label string) []float64 {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, label), 1))
	x := make([]float64, n)
	for i := range x {
		switch r.IntN(8) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = r.NormFloat64() * 1e9
		default:
			x[i] = r.NormFloat64()
		}
	}
	return x
}

// naive is the definition; it also returns the sums of magnitudes.
func naive(m, R int, a func(i, t int) float64, c []float64, ldc int, b []float64, rows []int) (out, mag []float64) {
	out, mag = append([]float64(nil), c...), make([]float64, len(c))
	for i := 0; i < m; i++ {
		for r := 0; r < R; r++ {
			o := i*ldc + r
			mag[o] = math.Abs(out[o])
			for t, j := range rows {
				p := a(i, t) * b[j*R+r]
				out[o] += p
				mag[o] += math.Abs(p)
			}
		}
	}
	return out, mag
}

func compare(t *rapid.T, c, want, mag []float64, k int) {
	for i := range c {
		if !within(c[i], want[i], mag[i], k) {
			t.Fatalf("element %d: %g, want %g (magnitude %g)", i, c[i], want[i], mag[i])
		}
	}
}

func TestMul(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			m, k := rapid.IntRange(0, 40).Draw(t, "m"), rapid.IntRange(0, 30).Draw(t, "k")
			if rapid.IntRange(0, 9).Draw(t, "deep") == 0 {
				k += blockK
			}
			R := 8 * rapid.IntRange(1, 17).Draw(t, "R/8")
			ldc := R + rapid.IntRange(0, 9).Draw(t, "gap")
			w, b, c := draw(t, m*k, "w"), draw(t, k*R, "b"), draw(t, m*ldc, "c")
			rows := make([]int, k)
			for i := range rows {
				rows[i] = i
			}
			at := func(i, u int) float64 { return w[i*k+u] }
			want, mag := naive(m, R, at, c, ldc, b, rows)
			wantAbs, magAbs := naive(m, R, func(i, u int) float64 { return math.Abs(at(i, u)) }, c, ldc, b, rows)
			got := append([]float64(nil), c...)
			Pack(m, k, w, k, 1).Mul(got, ldc, b, R)
			compare(t, got, want, mag, k)
			got = append(got[:0], c...)
			PackAbs(m, k, w, k, 1).Mul(got, ldc, b, R)
			compare(t, got, wantAbs, magAbs, k)
			wt := make([]float64, m*k)
			for i := range w {
				wt[i%k*m+i/k] = w[i]
			}
			got = append(got[:0], c...)
			View(m, k, wt).Mul(got, ldc, b, R)
			compare(t, got, want, mag, k)
		})
	})
}

func TestMulRows(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
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
			w, b, c := draw(t, m*k, "w"), draw(t, nb*R, "b"), draw(t, m*R, "c")
			want, mag := naive(m, R, func(i, u int) float64 { return w[i*k+t0+u] }, c, R, b, rows)
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
	})
}

func TestMulShifted(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			m, k := rapid.IntRange(1, 30).Draw(t, "m"), rapid.IntRange(1, 30).Draw(t, "k")
			R := 8 * rapid.IntRange(1, 12).Draw(t, "R/8")
			idx := make([]int32, k)
			b := draw(t, R+rapid.IntRange(0, 20).Draw(t, "spare"), "b")
			flat, rows := make([]float64, 0, k*R), make([]int, k)
			for i := range idx {
				idx[i] = int32(rapid.IntRange(0, len(b)-R).Draw(t, "at"))
				flat, rows[i] = append(flat, b[idx[i]:int(idx[i])+R]...), i
			}
			w, c := draw(t, m*k, "w"), draw(t, m*R, "c")
			want, mag := naive(m, R, func(i, u int) float64 { return w[i*k+u] }, c, R, flat, rows)
			Pack(m, k, w, k, 1).MulShifted(c, R, b, NewRows(idx, 4), R)
			compare(t, c, want, mag, k)
		})
	})
}

func TestMulRowsRejectsOutside(t *testing.T) {
	p := Pack(1, 2, []float64{1, 2}, 2, 1)
	c, b := make([]float64, 8), make([]float64, 16)
	bad := map[string]func(){
		"above":  func() { p.MulRows(0, c, 8, b, 1, NewRows([]int32{0, 1}, 1), 0, 2, 8) },
		"below":  func() { p.MulRows(0, c, 8, b, -1, NewRows([]int32{0, 1}, 1), 0, 2, 8) },
		"deep":   func() { p.MulRows(0, c, 8, b, 0, NewRows([]int32{0, 1}, 1), 1, 2, 8) },
		"lanes":  func() { p.MulRows(0, c, 8, b, 0, NewRows([]int32{0}, 1), 0, 1, 7) },
		"shift":  func() { p.MulShifted(c, 8, b, NewRows([]int32{0, 9}, 1), 8) },
		"c":      func() { p.Mul(c[:7:7], 8, b, 8) },
		"b":      func() { p.Mul(c, 8, b[:15], 8) },
		"pitch":  func() { p.Mul(c, 7, b, 8) },
		"y":      func() { Dot(b, c) },
		"x":      func() { Axpy(b, c, 1) },
		"lanesS": func() { RelaxLanes(c, c, c, c, c, c, c, c[:7]) },
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

func TestVectors(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			n := rapid.IntRange(0, 150).Draw(t, "n")
			v := make([][]float64, 8)
			for i := range v {
				v[i] = draw(t, n, "v")
			}
			s := draw(t, 4, "s")
			cp := func(i int) []float64 { return append([]float64(nil), v[i]...) }
			near := func(what string, got, c, a, b float64) {
				if !within(got, c+a*b, math.Abs(c)+math.Abs(a*b), 1) {
					t.Fatalf("%s: %g, want %g + %g·%g", what, got, c, a, b)
				}
			}
			sel := func(a, pos, neg float64) float64 {
				if a < 0 {
					return neg
				}
				return pos
			}
			ax, ab, sg := cp(0), cp(0), cp(0)
			Axpy(ax, v[1], s[0])
			AbsAxpy(ab, v[1], s[0])
			SignAxpy(sg, v[1], s[0], s[1])
			nu, d, e := cp(0), cp(1), cp(2)
			Relax(nu, d, e, v[3], s[0], s[1], s[2], s[3])
			nl, dl, el := cp(0), cp(1), cp(2)
			RelaxLanes(nl, dl, el, v[3], v[4], v[5], v[6], v[7])
			var dt, da, md float64
			for i := 0; i < n; i++ {
				x, a := v[1][i], v[3][i]
				near("axpy", ax[i], v[0][i], x, s[0])
				near("absAxpy", ab[i], v[0][i], math.Abs(x), s[0])
				near("signAxpy", sg[i], v[0][i], x, sel(x, s[0], s[1]))
				near("nu", nu[i], v[0][i], a, sel(a, s[0], s[1]))
				near("d", d[i], v[1][i], min(a, 0), s[2])
				near("e", e[i], v[2][i], math.Abs(a), s[3])
				near("nu lanes", nl[i], v[0][i], a, sel(a, v[4][i], v[5][i]))
				near("d lanes", dl[i], v[1][i], min(a, 0), v[6][i])
				near("e lanes", el[i], v[2][i], math.Abs(a), v[7][i])
				dt += x * a
				da += math.Abs(x) * a
				md += math.Abs(x * a)
			}
			if got := Dot(v[1], v[3]); !within(got, dt, md, n) {
				t.Fatalf("dot %g, want %g", got, dt)
			}
			if got := AbsDot(v[1], v[3]); !within(got, da, md, n) {
				t.Fatalf("absDot %g, want %g", got, da)
			}
		})
	})
}

func TestNoAllocation(t *testing.T) {
	p, rows := Pack(13, 5, make([]float64, 65), 5, 1), NewRows([]int32{0, 1, 2, 3, 4}, 1)
	eachImpl(t, func(t *testing.T) {
		if n := testing.AllocsPerRun(10, func() {
			var c [13 * 24]float64
			var b [5 * 24]float64
			p.Mul(c[:], 24, b[:], 24)
			p.MulRows(0, c[:], 24, b[:], 0, rows, 0, 5, 24)
			Axpy(c[:24], b[:24], 2)
			_ = Dot(c[:], c[:])
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkGemm(b *testing.B) {
	for _, s := range [][3]int{{50, 50, 64}, {50, 50, 8}, {5, 50, 64}, {256, 256, 32}, {1024, 784, 64}, {16, 144, 8}} {
		m, k, R := s[0], s[1], s[2]
		w := make([]float64, m*k)
		for i := range w {
			w[i] = rand.NormFloat64()
		}
		p, view := Pack(m, k, w, k, 1), View(k, m, w)
		x, y := make([]float64, k*R), make([]float64, m*R)
		for i := range x {
			x[i] = rand.NormFloat64()
		}
		for _, name := range Implementations() {
			run := func(what string, f func()) {
				b.Run(fmt.Sprintf("%s/%dx%dx%d/%s", what, m, k, R, name), func(b *testing.B) {
					defer Use(name)()
					for b.Loop() {
						f()
					}
					b.ReportMetric(2*float64(m)*float64(k)*float64(R)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "gflops")
				})
			}
			run("Packed", func() { p.Mul(y, R, x, R) })
			run("View", func() { view.Mul(x, R, y, R); x[0] = 1 })
		}
	}
}
