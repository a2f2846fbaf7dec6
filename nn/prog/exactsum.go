package prog

import "math"

// relLimit is the largest Node.Rel that a rewrite may produce: beyond it (cancellation in a bias) nodes stay separate.
const relLimit = 64

// A biasSum accumulates a sum of products in twice the working precision together with a bound on how far the true sum
// can be from what it returns, when every product has its own relative error (Ogita, Rump and Oishi's Dot2, SIAM J. Sci.
// Comput. 26(6), 2005).
type biasSum struct {
	hi, lo  float64
	mag     float64 // Σ |products|
	relMag  float64 // Σ rel·|products|
	n       int
	inexact bool // some rounding error was not zero
	failed  bool // overflow or underflow: nothing can be said
}

// add adds a·b whose true value differs from it by at most rel·2⁻⁵³·|a·b|.
func (s *biasSum) add(a, b float64, rel int) {
	if a == 0 || b == 0 {
		return
	}
	p := a * b
	e := 0.0
	if math.Abs(a) != 1 && math.Abs(b) != 1 {
		if !(math.Abs(p) >= minNormalProduct) {
			s.failed = true
		}
		e = math.FMA(a, b, -p)
	}
	h := s.hi + p
	t := h - s.hi
	q := (s.hi - (h - t)) + (p - t) // hi + p = h + q exactly
	s.hi = h
	if q != 0 || e != 0 {
		s.inexact = true
		s.lo += q + e
	}
	s.mag += math.Abs(p)
	s.relMag += float64(rel) * math.Abs(p)
	s.n++
}

// result returns the sum and its error bound in units of 2⁻⁵³ relative to it; ok is false if there is none up to relLimit.
// Sound because |true − value| <= u|value| (last rounding) + γ_n²·Σ|p| (Dot2) + u·Σ rel|p| (the inputs), each of which is
// taken with a factor that covers the rounding of the bound itself.
func (s *biasSum) result() (value float64, rel int, ok bool) {
	v := s.hi + s.lo
	if s.failed || s.n > 1<<20 || math.IsNaN(v) || math.IsInf(v, 0) || math.IsInf(s.relMag, 0) {
		return 0, 0, false
	}
	if !s.inexact && s.relMag == 0 {
		return v, 0, true
	}
	const u, slack = 0x1p-53, 1 + 0x1p-30
	err := s.relMag * slack // units of u from here
	if s.inexact {
		g := float64(s.n) * u * slack
		err += math.Abs(v) + 2*g*g/u*s.mag
	}
	r := math.Ceil(err / math.Abs(v))
	if !(r <= relLimit) {
		return 0, 0, false
	}
	return v, int(r), true
}

// relProduct bounds the relative error of a product of two coefficients with errors a and b: the first-order sum, one
// more if the product itself was rounded, and one more for all terms of higher order unless there are none.
func relProduct(a, b int, exact bool) int {
	r, parts := a+b, 0
	if !exact {
		r++
		parts++
	}
	if a > 0 {
		parts++
	}
	if b > 0 {
		parts++
	}
	if parts > 1 {
		r++
	}
	return r
}
