package kernel

import (
	"math"
	"testing"
)

// TestNaNStays: a coefficient that is not a number must reach the multipliers and the sums, never a bound.
func TestNaNStays(t *testing.T) { each(t, testNaNStays[float64], testNaNStays[float32]) }

func testNaNStays[T Float](t *testing.T) {
	for _, nan := range []T{T(math.NaN()), T(math.Copysign(math.NaN(), -1))} {
		for R := 1; R <= 40; R++ {
			a, ones, zero, first := make([]T, R), []T{1}, []T{0}, []int32{0}
			at := R / 2
			a[at] = nan
			nu, d, m, e := make([]T, R), make([]T, R), make([]T, R), make([]T, R)
			bad := func(what string, x []T) {
				for r, v := range x {
					if (v != v) != (r == at) {
						t.Fatalf("%s, R = %d: lane %d is %g", what, R, r, v)
					}
				}
				clear(x)
			}
			RelaxSharedRows(nu, d, a, nil, first, R, zero, zero, zero)
			bad("nu", nu)
			bad("d", d)
			RelaxLanesRows(nu, d, a, nil, make([]T, R), first, R, zero, zero)
			bad("nu of lanes", nu)
			bad("d of lanes", d)
			RelaxLinesRows(nu, d, m, a, R, Lines[T]{zero, zero, ones, ones})
			bad("nu of lines", nu)
			bad("d of lines", d)
			bad("m of lines", m)
			SumRows(d, e, a, R, zero, zero)
			bad("sum", d)
			bad("sum of magnitudes", e)
			AbsAxpy(e, a, 0)
			bad("AbsAxpy", e)
		}
	}
}

func TestRowsReject(t *testing.T) {
	x, one, idx := make([]float64, 16), []float64{1}, []int32{1}
	short := x[:15]
	for name, f := range map[string]func(){
		"list above":   func() { AddRows(x, x, []int32{2}, 8) },
		"list below":   func() { AddRows(x, x, []int32{-1}, 8) },
		"short nu":     func() { RelaxSharedRows(short, x, x, nil, idx, 8, one, one, one) },
		"short a":      func() { RelaxSharedRows(x, x, short, nil, idx, 8, one, one, one) },
		"short d":      func() { RelaxSharedRows(x, x[:7], x, nil, idx, 8, one, one, one) },
		"short save":   func() { RelaxSharedRows(x, x, x, x[:7], idx, 8, one, one, one) },
		"no slope":     func() { RelaxSharedRows(x, x, x, nil, idx, 8, nil, one, one) },
		"short slopes": func() { RelaxLanesRows(x, x, x, nil, x[:7], idx, 8, one, one) },
		"lines":        func() { RelaxLinesRows(x, x, x, x, 8, Lines[float64]{one, one, one, nil}) },
		"short lines":  func() { RelaxLinesRows(x[:7], x, x, x, 8, Lines[float64]{one, one, one, one}) },
		"short primal": func() { PrimalRows(short, x, x, idx, 8, one, one, one) },
		"short z":      func() { PrimalLanesRows(x, x, short, x, idx, 8, one, one) },
		"short ends":   func() { CornerRows(x, x, 8, one, nil) },
		"short corner": func() { CornerRows(x[:7], x, 8, one, one) },
		"short moment": func() { AdamRows(x, x, x[:7], x, x, idx, 8, AdamStep[float64]{}) },
		"adam list":    func() { AdamRows(x, x, x, x, short, idx, 8, AdamStep[float64]{}) },
		"short sum":    func() { SumRows(x, x, x[:7], 8, one, one) },
		"short e":      func() { SumRows(x, x[:7], x, 8, one, one) },
		"short single": func() { RelaxSharedRows(x[:7], x, x[:8], nil, []int32{0}, 8, one, one, one) },
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
