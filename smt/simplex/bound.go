package simplex

import "math"

// A safe dual bound. The sums are compensated: every rounding error of a product (through the fused multiply-add) and of
// a sum (through Knuth's TwoSum) is itself a float64 and is added up; only the sum of those errors is rounded, and its
// error is bounded a priori. (Where the compiler may fuse x·y+z, a conversion keeps the product apart.) The result is
// within about one unit in the last place of the exact value.

const (
	ulp = 0x1p-53
	// tiny exceeds the error of the fused multiply-add residual of a product that underflows.
	tiny = 0x1p-1073
)

// DualBound returns a lower bound, rounded outward, on min over Lo ≤ x ≤ Hi of (c + Gᵀmu)·x − mu·h: by weak duality also
// on the minimum of c·x over the box and the rows G·x ≤ h. It is −Inf when numbers overflow or mu has a negative or NaN
// entry. With c zero (or nil) a positive value proves that no point of the box satisfies the rows.
//
// Sound because for mu ≥ 0 and G·x ≤ h, c·x ≥ c·x + mu·(G·x − h) ≥ the minimum over the box, and because each
// coefficient is enclosed in an interval, each product taken at the worse end and every sum bounded from below.
func DualBound(c []float64, G [][]float64, h, lo, hi, mu []float64) float64 {
	var s Scratch
	return s.DualBound(c, G, h, lo, hi, mu)
}

// Scratch is memory reused between evaluations of dual bounds; the zero value is ready. Not safe for concurrent use.
type Scratch struct {
	sum, err, mag []float64
	touched       []bool // sparse rows only: has a summand
}

// DualBound is the function DualBound without allocation.
func (s *Scratch) DualBound(c []float64, G [][]float64, h, lo, hi, mu []float64) float64 {
	n := len(lo)
	s.reset(n)
	if c != nil {
		copy(s.sum, c)
	}
	var total accumulator
	terms := 1
	for i, m := range mu {
		if !(m >= 0) {
			return math.Inf(-1)
		}
		if m != 0 {
			s.addRow(m, G[i])
			total.addProduct(-m, h[i])
			terms++
		}
	}
	for j := range n {
		// |err| was summed with at most 2·terms roundings; mag carries the same relative error.
		e := s.mag[j]*(float64(2*terms+4)*ulp*1.001) + float64(terms)*tiny
		low := below(s.sum[j], s.err[j]-e)
		high := -below(-s.sum[j], -s.err[j]-e)
		total.addLower(min(lowerProduct(low, lo[j]), lowerProduct(low, hi[j]),
			lowerProduct(high, lo[j]), lowerProduct(high, hi[j])))
	}
	return total.lower()
}

func (s *Scratch) reset(n int) {
	if cap(s.sum) < n {
		s.sum, s.err, s.mag = make([]float64, n), make([]float64, n), make([]float64, n)
	}
	s.sum, s.err, s.mag = s.sum[:n], s.err[:n], s.mag[:n]
	clear(s.sum)
	clear(s.err)
	clear(s.mag)
	clear(s.touched)
}

// addRow adds m·g to the coefficients.
func (s *Scratch) addRow(m float64, g []float64) {
	sum, err, mag := s.sum, s.err[:len(s.sum)], s.mag[:len(s.sum)]
	g = g[:len(sum)]
	for j, a := range sum {
		p := float64(m * g[j]) // the conversion forbids fusing with the sum below
		pe := math.FMA(m, g[j], -p)
		t := a + p
		z := t - a
		te := (a - (t - z)) + (p - z)
		sum[j] = t
		err[j] += pe + te
		mag[j] += math.Abs(pe) + math.Abs(te)
	}
}

// below returns a float64 ≤ a + b', where b is b' rounded once to nearest.
func below(a, b float64) float64 {
	return math.Nextafter(a+math.Nextafter(b, math.Inf(-1)), math.Inf(-1))
}

// lowerProduct returns a float64 ≤ a·b, equal to it when the product is exact and not tiny.
func lowerProduct(a, b float64) float64 {
	p := float64(a * b)
	if a == 0 || b == 0 {
		return 0
	}
	if math.Abs(p) < 0x1p-960 || math.FMA(a, b, -p) < 0 {
		return math.Nextafter(p, math.Inf(-1))
	}
	return p
}

// accumulator bounds a sum from below.
type accumulator struct {
	sum, err, mag float64
	terms         int
}

// addProduct adds a·b.
func (t *accumulator) addProduct(a, b float64) {
	p := float64(a * b)
	t.addError(math.FMA(a, b, -p))
	t.addLower(p)
}

// addLower adds v.
func (t *accumulator) addLower(v float64) {
	s := t.sum + v
	z := s - t.sum
	t.addError((t.sum - (s - z)) + (v - z))
	t.sum = s
}

// lowerDot returns a float64 ≤ a·b.
func lowerDot(a, b []float64) float64 {
	var t accumulator
	for i, v := range a {
		t.addProduct(v, b[i])
	}
	return t.lower()
}

func (t *accumulator) addError(e float64) {
	t.err += e
	t.mag += math.Abs(e)
	t.terms++
}

// lower returns a float64 ≤ the exact sum, −Inf when something overflowed.
func (t *accumulator) lower() float64 {
	e := t.mag*(float64(t.terms+4)*ulp*1.001) + float64(t.terms)*tiny
	v := below(t.sum, t.err-e)
	if !finite(v) || !finite(t.err) {
		return math.Inf(-1)
	}
	return v
}
