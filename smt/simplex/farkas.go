package simplex

import (
	"math"
	"math/big"
)

// What multipliers prove. For any y, on s = A·x,
//
//	c·(x,s) = (c_x + Aᵀy)·x + (c_s − y)·s
//
// whose least value over the bounds is a sum over variables (Neumaier and Shcherbina 2004). With c = 0 the left side is 0, so a
// positive value says that no assignment is inside the bounds (Farkas).

// Ray returns the multipliers of the last Infeasible: those of the row that cannot be repaired. They are zero where bounds crossed.
// Where floats prove nothing, ExactRay holds what does.
func (s *System) Ray() []float64 {
	y := make([]float64, s.m)
	if i := s.fail.row; i >= 0 {
		sign := -1.0
		if s.fail.low {
			sign = 1
		}
		s.rowMultipliers(y, i, sign)
	}
	return y
}

// ExactRay returns the multipliers of the last Infeasible in rationals if they were needed, else nil.
func (s *System) ExactRay() []*big.Rat { return s.exactRay }

// RowMultipliers adds to y the multipliers that express sign·v, v basic, by the nonbasic variables: with them and c = sign·e_v the
// coefficients of all basic variables in Bound's sum vanish but for rounding.
func (s *System) RowMultipliers(y []float64, v int, sign float64) {
	s.rowMultipliers(y, int(^s.at[v]), -sign)
}

// rowMultipliers adds the y for which Aᵀy·x − y·s is sign·(basic[i] − its tableau row).
func (s *System) rowMultipliers(y []float64, i int, sign float64) {
	if v := int(s.basic[i]); v >= s.n {
		y[v-s.n] -= sign
	}
	row := s.row(i)
	largest := 0.0
	for _, f := range row {
		largest = max(largest, math.Abs(f))
	}
	for j, f := range row {
		if v := int(s.nonbasic[j]); v >= s.n && math.Abs(f) > 1e-14*largest {
			y[v-s.n] += sign * f
		}
	}
}

// Bound returns a lower bound, rounded outward, on c·(x,s) over all assignments inside lo and hi; c has at most one cost per
// variable, nil is zero. It is −Inf when nothing can be said. A positive value for c = nil proves that there is no assignment.
//
// Sound because the sum above is an identity, and because each coefficient is enclosed, each product taken at the worse end and
// every sum bounded from below.
func (s *System) Bound(c, y, lo, hi []float64) float64 {
	s.sum = s.Terms(s.sum[:0], c, y)
	return Least(s.sum, lo, hi)
}

// A Term is a summand of Bound's sum: a variable and an enclosure of its coefficient.
type Term struct {
	Var       int
	Low, High float64
}

// Least returns a lower bound, rounded outward, on a sum of terms for values inside lo and hi; −Inf when nothing can be said.
func Least(terms []Term, lo, hi []float64) float64 {
	var total accumulator
	for i := range terms {
		t := &terms[i]
		total.addLower(leastProduct(t.Low, t.High, lo[t.Var], hi[t.Var]))
	}
	return total.lower()
}

// leastProduct bounds a·x from below for a in [low,high], x in [lo,hi].
func leastProduct(low, high, lo, hi float64) float64 {
	if low == high {
		if low >= 0 {
			return lowerProduct(low, lo)
		}
		return lowerProduct(low, hi)
	}
	return min(lowerProduct(low, lo), lowerProduct(low, hi), lowerProduct(high, lo), lowerProduct(high, hi))
}

// Terms appends to dst the terms of Bound's sum whose coefficients may differ from zero, by variable.
func (s *System) Terms(dst []Term, c, y []float64) []Term {
	f := func(v int, low, high float64) { dst = append(dst, Term{v, low, high}) }
	safe := &s.safe
	safe.reset(s.n)
	if len(safe.touched) < s.n {
		safe.touched = make([]bool, s.n)
	}
	copy(safe.sum, c)
	terms := 1
	for r, m := range y {
		if m == 0 {
			continue
		}
		if !finite(m) {
			return append(dst[:0], Term{0, math.Inf(-1), math.Inf(1)})
		}
		safe.addSparse(m, s.a[r])
		terms++
	}
	for v := range s.n {
		if !safe.touched[v] {
			if safe.sum[v] != 0 { // a cost and nothing else
				f(v, safe.sum[v], safe.sum[v])
			}
			continue
		}
		e := safe.mag[v]*(float64(2*terms+4)*ulp*1.001) + float64(terms)*tiny
		low, high := below(safe.sum[v], safe.err[v]-e), -below(-safe.sum[v], -safe.err[v]-e)
		if !finite(low) || !finite(high) {
			low, high = math.Inf(-1), math.Inf(1)
		}
		f(v, low, high)
	}
	for r, m := range y {
		cost := 0.0
		if s.n+r < len(c) {
			cost = c[s.n+r]
		}
		switch t := cost - m; {
		case cost == 0 || m == 0:
			if t != 0 {
				f(s.n+r, t, t)
			}
		case t == 0:
		default:
			f(s.n+r, math.Nextafter(t, math.Inf(-1)), math.Nextafter(t, math.Inf(1)))
		}
	}
	return dst
}

// addSparse adds m times a row.
func (s *Scratch) addSparse(m float64, row Row) {
	for k, j := range row.Idx {
		g := row.Val[k]
		p := float64(m * g) // the conversion forbids fusing with the sum below
		pe := math.FMA(m, g, -p)
		a := s.sum[j]
		t := a + p
		z := t - a
		te := (a - (t - z)) + (p - z)
		s.sum[j] = t
		s.err[j] += pe + te
		s.mag[j] += math.Abs(pe) + math.Abs(te)
		s.touched[j] = true
	}
}

// BoundExact is Bound without rounding, for rational multipliers: the least value, nil when it is −∞.
func (s *System) BoundExact(c []float64, y []*big.Rat, lo, hi []float64) *big.Rat {
	// In integers: y over one denominator, floats as mantissas and exponents. The common denominator comes back at the end.
	den := commonDenominator(y)
	coef := make([]dyadic, s.n+s.m)
	for v, f := range c {
		coef[v].addProduct(den, f)
	}
	for r, q := range y {
		if q.Sign() == 0 {
			continue
		}
		k := new(big.Int).Quo(den, q.Denom())
		k.Mul(k, q.Num())
		for i, j := range s.a[r].Idx {
			coef[j].addProduct(k, s.a[r].Val[i])
		}
		coef[s.n+r].addProduct(k, -1)
	}
	var sum dyadic
	for v := range coef {
		b := lo[v]
		switch coef[v].m.Sign() {
		case 0:
			continue
		case -1:
			b = hi[v]
		}
		if !finite(b) {
			return nil
		}
		sum.addDyadicProduct(&coef[v], b)
	}
	r := sum.rat()
	return r.Quo(r, new(big.Rat).SetInt(den))
}

func commonDenominator(y []*big.Rat) *big.Int {
	den, g := big.NewInt(1), new(big.Int)
	for _, q := range y {
		g.GCD(nil, nil, den, q.Denom())
		den.Mul(den, new(big.Int).Quo(q.Denom(), g))
	}
	return den
}

// Rationals returns the exact values of multipliers; those that are not finite become 0.
func Rationals(y []float64) []*big.Rat {
	out := make([]*big.Rat, len(y))
	for i, v := range y {
		if out[i] = new(big.Rat).SetFloat64(v); out[i] == nil {
			out[i] = new(big.Rat)
		}
	}
	return out
}

// dyadic is m·2^e; the zero value is 0.
type dyadic struct {
	m big.Int
	e int
}

// mantissa returns integers with f = m·2^e.
func mantissa(f float64) (m int64, e int) {
	frac, exp := math.Frexp(f)
	return int64(frac * (1 << 53)), exp - 53
}

// addProduct adds k·f.
func (d *dyadic) addProduct(k *big.Int, f float64) {
	m, e := mantissa(f)
	var t big.Int
	d.add(t.Mul(k, t.SetInt64(m)), e)
}

// addDyadicProduct adds p·f.
func (d *dyadic) addDyadicProduct(p *dyadic, f float64) {
	m, e := mantissa(f)
	var t big.Int
	d.add(t.Mul(&p.m, t.SetInt64(m)), p.e+e)
}

// add adds m·2^e; m is overwritten.
func (d *dyadic) add(m *big.Int, e int) {
	switch {
	case m.Sign() == 0:
		return
	case d.m.Sign() == 0:
		d.e = e
	case e < d.e:
		d.m.Lsh(&d.m, uint(d.e-e))
		d.e = e
	case e > d.e:
		m.Lsh(m, uint(e-d.e))
	}
	d.m.Add(&d.m, m)
}

func (d *dyadic) rat() *big.Rat {
	r, one := new(big.Rat), big.NewInt(1)
	if d.e >= 0 {
		return r.SetInt(new(big.Int).Lsh(&d.m, uint(d.e)))
	}
	return r.SetFrac(&d.m, one.Lsh(one, uint(-d.e)))
}
