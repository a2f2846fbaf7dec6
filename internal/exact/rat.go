// Package exact computes without rounding: rational vectors and linear programs for the oracles that everything fast is
// compared with. It is built to be obviously right on small problems, not to be quick on large ones.
package exact

import "math/big"

// Rat returns the exact value of a finite float64; it panics on NaN and infinities.
func Rat(x float64) *big.Rat {
	r := new(big.Rat).SetFloat64(x)
	if r == nil {
		panic("exact: not a finite number")
	}
	return r
}

// Rats returns the exact values of finite float64s as fresh numbers.
func Rats(x []float64) []*big.Rat {
	r := make([]*big.Rat, len(x))
	for i, v := range x {
		r[i] = Rat(v)
	}
	return r
}

// Zeros returns n fresh zeros.
func Zeros(n int) []*big.Rat {
	r := make([]*big.Rat, n)
	for i := range r {
		r[i] = new(big.Rat)
	}
	return r
}

// Dot returns Σ a_i·b_i as a fresh number; it panics when the lengths differ.
func Dot(a, b []*big.Rat) *big.Rat {
	if len(a) != len(b) {
		panic("exact: length mismatch")
	}
	sum, t := new(big.Rat), new(big.Rat)
	for i := range a {
		if a[i].Sign() != 0 && b[i].Sign() != 0 {
			sum.Add(sum, t.Mul(a[i], b[i]))
		}
	}
	return sum
}

// Sum returns Σ x_i of finite float64s without rounding.
func Sum(x ...float64) *big.Rat {
	sum := new(big.Rat)
	for _, v := range x {
		sum.Add(sum, Rat(v))
	}
	return sum
}

// MinBox returns min over lo ≤ x ≤ hi of a·x and a point where it is attained (shared with lo and hi, not copied).
func MinBox(a, lo, hi []*big.Rat) (*big.Rat, []*big.Rat) {
	x := make([]*big.Rat, len(a))
	for i := range a {
		x[i] = lo[i]
		if a[i].Sign() < 0 {
			x[i] = hi[i]
		}
	}
	return Dot(a, x), x
}
