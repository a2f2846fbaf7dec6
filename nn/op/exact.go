package op

import "math"

// Rounding counts the error of folded constants in prog's unit: rel bounds, in units of 2⁻⁵³, the relative error of every
// result so far when the operands were exact. It never over-claims exactness: a product, quotient or sum counts 0 only when
// its residual, computed exactly by FMA or two-sum, vanishes. bad is set when a relative bound would be false (overflow,
// underflow, NaN).
type rounding struct {
	rel int
	bad bool
}

const (
	tiny = 0x1p-900 // below this a residual could underflow
	huge = 0x1p900
)

func (e *rounding) check(v float64, residual float64) float64 {
	if residual != 0 {
		e.rel = max(e.rel, 1)
	}
	if a := math.Abs(v); !(a < huge) || a < tiny && a != 0 {
		e.bad = true
	}
	return v
}

// mul returns a·b rounded.
func (e *rounding) mul(a, b float64) float64 {
	p := a * b
	if p == 0 && a != 0 && b != 0 {
		e.bad = true
	}
	return e.check(p, math.FMA(a, b, -p))
}

// div returns a/b rounded.
func (e *rounding) div(a, b float64) float64 {
	q := a / b
	if b == 0 || q == 0 && a != 0 {
		e.bad = true
	}
	return e.check(q, math.FMA(q, b, -a))
}

// oneMinus returns 1−s rounded.
func (e *rounding) oneMinus(s float64) float64 {
	d := 1 - s
	// Two-sum: the residual of 1 + (−s) is exact in round-to-nearest.
	bb := d - 1
	return e.check(d, (1-(d-bb))+(-s-bb))
}
