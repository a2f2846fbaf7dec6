package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// A layer is a random instance for the passes over rows: n listed rows of R lanes among total.
type layer[T Float] struct {
	R, n, total  int
	idx          []int32
	nu, a, z     []T // total rows
	slopes, save []T // n rows
	slope, s, tt []T // n numbers
	d, m         []T // R lanes
}

func drawLayer[T Float](t *rapid.T) layer[T] {
	l := layer[T]{R: rapid.SampledFrom([]int{0, 1, 3, 7, 8, 16, 24, 40, 64, 100, 128, 130, 200}).Draw(t, "R")}
	l.total = rapid.IntRange(1, 9).Draw(t, "total")
	l.n = rapid.IntRange(0, l.total).Draw(t, "n")
	for _, j := range rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 2)).Perm(l.total)[:l.n] {
		l.idx = append(l.idx, int32(j))
	}
	all, listed := l.total*l.R, l.n*l.R
	l.nu, l.a, l.z = draw[T](t, all, "nu"), draw[T](t, all, "a"), draw[T](t, all, "z")
	l.slopes, l.save = draw[T](t, listed, "slopes"), draw[T](t, listed, "save")
	l.slope, l.s, l.tt = draw[T](t, l.n, "slope"), draw[T](t, l.n, "s"), draw[T](t, l.n, "t")
	l.d, l.m = draw[T](t, l.R, "d"), draw[T](t, l.R, "m")
	for i, j := range l.idx { // products that cancel
		if l.R > 0 && rapid.Bool().Draw(t, "cancel") {
			o := int(j) * l.R
			l.nu[o] = -l.a[o] * bySign(l.a[o], l.slope[i], l.s[i])
		}
	}
	if all > 0 && rapid.Bool().Draw(t, "signed zero") {
		l.a[0] = T(math.Copysign(0, -1))
	}
	return l
}

func clone[T any](x []T) []T { return append([]T(nil), x...) }

// A total is an expected value, the magnitude of what was added, and the number of additions.
type total struct {
	v, mag float64
	n      int
}

func start[T Float](c T) total { return total{float64(c), math.Abs(float64(c)), 1} }

func (s *total) add(x float64) { s.v, s.mag, s.n = s.v+x, s.mag+math.Abs(x), s.n+1 }

func check[T Float](t *rapid.T, what string, got T, want total) {
	if !within(got, want.v, want.mag, want.n) {
		t.Fatalf("%s: %g, want %g (magnitude %g)", what, got, want.v, want.mag)
	}
}

// once fails unless got is c + a·b with one rounding: half a unit in the last place, a little more for float32.
func once[T Float](t *rapid.T, got, c, a, b T) {
	exact := new(big.Float).SetPrec(3000).SetFloat64(float64(a))
	exact.Mul(exact, big.NewFloat(float64(b))).Add(exact, big.NewFloat(float64(c)))
	err := exact.Sub(exact, big.NewFloat(float64(got)))
	e, _ := err.Abs(err).Float64()
	if e > unit[T]()*(1+0x1p-20)*math.Abs(float64(got)) {
		t.Fatalf("%g + %g·%g: %g errs by %g", c, a, b, got, e)
	}
}

// untouched fails unless the rows that are not listed, and nothing else, are as before.
func (l layer[T]) untouched(t *rapid.T, got, before []T) {
	listed := make([]bool, l.total)
	for _, j := range l.idx {
		listed[j] = true
	}
	for o := range got {
		if !listed[o/l.R] && math.Float64bits(float64(got[o])) != math.Float64bits(float64(before[o])) {
			t.Fatalf("row %d was touched", o/l.R)
		}
	}
}

func TestRelaxRows(t *testing.T) { each(t, testRelaxRows[float64], testRelaxRows[float32]) }

func testRelaxRows[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayer[T](t)
		for _, perLane := range []bool{false, true} {
			for _, keep := range []bool{false, true} {
				var save []T
				if keep {
					save = clone(l.save)
				}
				nu, d := clone(l.nu), clone(l.d)
				if perLane {
					RelaxLanesRows(nu, d, l.a, save, l.slopes, l.idx, l.R, l.s, l.tt)
				} else {
					RelaxSharedRows(nu, d, l.a, save, l.idx, l.R, l.slope, l.s, l.tt)
				}
				l.checkRelax(t, nu, d, save, perLane)
			}
		}
		nu := clone(l.nu)
		AddRows(nu, l.a, l.idx, l.R)
		for _, j := range l.idx {
			for o := int(j) * l.R; o < int(j+1)*l.R; o++ {
				w := start(l.nu[o])
				w.add(float64(l.a[o]))
				check(t, "AddRows", nu[o], w)
			}
		}
		l.untouched(t, nu, l.nu)
	})
}

func (l layer[T]) checkRelax(t *rapid.T, nu, d, save []T, perLane bool) {
	l.untouched(t, nu, l.nu)
	for r := range l.R {
		dw := start(l.d[r])
		for i, j := range l.idx {
			o := int(j)*l.R + r
			lower := l.slope[i]
			if perLane {
				lower = l.slopes[i*l.R+r]
			}
			a := float64(l.a[o])
			w := start(l.nu[o])
			w.add(a * float64(bySign(l.a[o], lower, l.s[i])))
			check(t, "nu", nu[o], w)
			once(t, nu[o], l.nu[o], l.a[o], bySign(l.a[o], lower, l.s[i]))
			dw.add(min(a, 0) * float64(l.tt[i]))
			if save != nil && save[i*l.R+r] != l.a[o] {
				t.Fatal("save differs from a")
			}
		}
		check(t, "d", d[r], dw)
	}
}

func TestLinesRows(t *testing.T) { each(t, testLinesRows[float64], testLinesRows[float32]) }

func testLinesRows[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayer[T](t)
		lines := Lines[T]{l.slope, l.s, l.tt, draw[T](t, l.n, "tu")}
		nu, d, m, v := clone(l.nu), clone(l.d), clone(l.m), clone(l.z)
		RelaxLinesRows(nu, d, m, l.a, l.R, lines)
		PrimalLinesRows(v, l.a, l.z, l.R, lines)
		x := clone(l.z)
		CornerRows(x, l.a, l.R, lines.KL, lines.KU)
		for r := range l.R {
			dw, mw := start(l.d[r]), start(l.m[r])
			for i := range l.n {
				o := i*l.R + r
				k, c, end := lines.KL[i], lines.TL[i], lines.KL[i]
				if l.a[o] < 0 {
					k, c, end = lines.KU[i], lines.TU[i], lines.KU[i]
				}
				a := float64(l.a[o])
				w := start(l.nu[o])
				w.add(a * float64(k))
				check(t, "nu", nu[o], w)
				once(t, nu[o], l.nu[o], l.a[o], k)
				dw.add(a * float64(c))
				mw.add(math.Abs(a * float64(c)))
				pw := start(c)
				pw.add(float64(k) * float64(l.z[o]))
				check(t, "v", v[o], pw)
				if x[o] != end {
					t.Fatalf("corner %g, want %g", x[o], end)
				}
			}
			check(t, "d", d[r], dw)
			check(t, "m", m[r], mw)
		}
		for o := l.n * l.R; o < len(nu); o++ {
			if nu[o] != l.nu[o] || v[o] != l.z[o] || x[o] != l.z[o] {
				t.Fatal("wrote behind the rows")
			}
		}
	})
}

func TestPrimalRows(t *testing.T) { each(t, testPrimalRows[float64], testPrimalRows[float32]) }

func testPrimalRows[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayer[T](t)
		shared, lanes := clone(l.nu), clone(l.nu)
		PrimalRows(shared, l.save, l.z, l.idx, l.R, l.slope, l.s, l.tt)
		PrimalLanesRows(lanes, l.save, l.z, l.slopes, l.idx, l.R, l.s, l.tt)
		l.untouched(t, shared, l.nu)
		l.untouched(t, lanes, l.nu)
		for i, j := range l.idx {
			for r := range l.R {
				o := int(j)*l.R + r
				z := float64(l.z[o])
				for _, c := range []struct {
					v, slope T
				}{{shared[o], l.slope[i]}, {lanes[o], l.slopes[i*l.R+r]}} {
					w := start(T(0))
					if l.save[i*l.R+r] >= 0 {
						w.add(float64(c.slope) * z)
					} else {
						w = start(l.tt[i])
						w.add(float64(l.s[i]) * z)
					}
					check(t, "v", c.v, w)
				}
			}
		}
	})
}

func TestSumRows(t *testing.T) { each(t, testSumRows[float64], testSumRows[float32]) }

func testSumRows[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayer[T](t)
		d, e, alone := clone(l.d), clone(l.m), clone(l.m)
		SumRows(d, e, l.a, l.R, l.slope, l.s)
		SumRows(nil, alone, l.a, l.R, nil, l.s)
		for r := range l.R {
			dw, ew := start(l.d[r]), start(l.m[r])
			for i := range l.n {
				a := float64(l.a[i*l.R+r])
				dw.add(a * float64(l.slope[i]))
				ew.add(math.Abs(a) * float64(l.s[i]))
			}
			check(t, "d", d[r], dw)
			check(t, "e", e[r], ew)
			check(t, "e alone", alone[r], ew)
		}
	})
}

func TestAdamRows(t *testing.T) { each(t, testAdamRows[float64], testAdamRows[float32]) }

func testAdamRows[T Float](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayer[T](t)
		listed := l.n * l.R
		alpha, m, v := make([]T, listed), make([]T, listed), make([]T, listed)
		for i := range alpha {
			alpha[i] = abs(l.slopes[i]) / (1 + abs(l.slopes[i]))
			if i%3 > 0 {
				m[i], v[i] = l.save[i]/4, l.save[i]*l.save[i]
			}
			if l.a[i] == 0 && m[i] == 0 {
				alpha[i] = 7 // no gradient ever: must stay
			}
		}
		step := AdamStep[T]{Beta1: 0.9, Beta2: 0.999, Rate: 0.25, Correct2: 3, Epsilon: 1e-8}
		al, mm, vv := clone(alpha), clone(m), clone(v)
		AdamRows(al, mm, vv, l.a[:listed], l.z, l.idx, l.R, step)
		b1, c1 := float64(step.Beta1), float64(1-step.Beta1)
		b2, c2 := float64(step.Beta2), float64(1-step.Beta2)
		for i, j := range l.idx {
			for r := range l.R {
				o := i*l.R + r
				g := max(float64(l.a[o]), 0) * float64(l.z[int(j)*l.R+r])
				mw := total{b1 * float64(m[o]), math.Abs(b1 * float64(m[o])), 2}
				mw.add(c1 * g)
				check(t, "m", mm[o], mw)
				vw := total{b2 * float64(v[o]), b2 * float64(v[o]), 4}
				vw.add(c2 * g * g)
				check(t, "v", vv[o], vw)
				// The quotient has a relative error of its own from the stored moments on; 16 units cover its six steps.
				q := float64(step.Rate) * float64(mm[o]) / (math.Sqrt(float64(vv[o])*3) + float64(step.Epsilon))
				want := total{float64(alpha[o]), float64(alpha[o]) + math.Abs(q), 16}
				if mm[o] != 0 {
					want.v = min(max(float64(alpha[o])+q, 0), 1)
				}
				check(t, "alpha", al[o], want)
			}
		}
	})
}
