package robust

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/spec"
)

// A Domain says which inputs are valid and what a radius means. The zero value: every finite input, radii in the network's units.
type Domain struct {
	// Lower and Upper bound the valid inputs: one number for every input, or one for all; nil for no bound.
	Lower, Upper []float64
	// Unit says how far a radius of 1 reaches in every input, or in all: 1/std for inputs that were divided by std. nil: 1.
	Unit []float64
}

// at returns v[i] of a list with one entry for all or for each, none without entries.
func at(v []float64, i int, none float64) float64 {
	switch len(v) {
	case 0:
		return none
	case 1:
		return v[0]
	}
	return v[i]
}

// constant returns the one value of a list that has only one.
func constant(v []float64, none float64) (float64, bool) {
	c := at(v, 0, none)
	for _, w := range v {
		if w != c {
			return 0, false
		}
	}
	return c, true
}

// Check returns an error that wraps ErrInput when the domain does not fit n inputs.
func (d *Domain) Check(n int) error {
	for _, l := range []struct {
		what string
		v    []float64
	}{{"lower bounds", d.Lower}, {"upper bounds", d.Upper}, {"units", d.Unit}} {
		if len(l.v) > 1 && len(l.v) != n {
			return fmt.Errorf("%w: %d %s for %d inputs", ErrInput, len(l.v), l.what, n)
		}
	}
	for i := range n {
		lo, hi, u := at(d.Lower, i, math.Inf(-1)), at(d.Upper, i, math.Inf(1)), at(d.Unit, i, 1)
		if !(lo <= hi) {
			return fmt.Errorf("%w: the valid range of input %d is [%v, %v]", ErrInput, i, lo, hi)
		}
		if !(u > 0 && u <= 0x1p100) {
			return fmt.Errorf("%w: the unit of input %d is %v", ErrInput, i, u)
		}
	}
	return nil
}

// checkEps returns an error that wraps ErrInput unless eps is a radius.
func checkEps(eps float64) error {
	if !(eps >= 0 && eps <= math.MaxFloat32) {
		return fmt.Errorf("%w: the radius %v", ErrInput, eps)
	}
	return nil
}

// inside returns an error that wraps ErrInput unless x holds valid float32 numbers.
func (d *Domain) inside(x []float64) error {
	for i, v := range x {
		lo, hi := at(d.Lower, i, math.Inf(-1)), at(d.Upper, i, math.Inf(1))
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return fmt.Errorf("%w: element %d is %v", ErrInput, i, v)
		case float64(float32(v)) != v:
			return fmt.Errorf("%w: element %d is %v, which is no float32 number", ErrInput, i, v)
		case !(lo <= v && v <= hi):
			return fmt.Errorf("%w: element %d is %v, outside the valid range [%v, %v]", ErrInput, i, v, lo, hi)
		}
	}
	return nil
}

// uniform returns the one valid range of a domain whose balls need no rounding.
func (d *Domain) uniform() (lo, hi float64, ok bool) {
	lo, one := constant(d.Lower, math.Inf(-1))
	hi, two := constant(d.Upper, math.Inf(1))
	unit, three := constant(d.Unit, 1)
	return lo, hi, one && two && three && unit == 1
}

// Problem is the question whether a valid input within eps of x in every coordinate makes another class score at least as much as
// the label. With one range and unit for all inputs its box is exactly that; else its ends are rounded outward, so that a proof
// covers the ball.
func (d *Domain) Problem(x []float64, eps float64, label, classes int) *spec.Problem {
	if lo, hi, ok := d.uniform(); ok {
		return spec.LinfBall(x, eps, lo, hi, label, classes)
	}
	lower, upper := make([]float64, len(x)), make([]float64, len(x))
	for i, v := range x {
		r := timesUp(eps, at(d.Unit, i, 1))
		lower[i] = max(-plusUp(-v, r), at(d.Lower, i, math.Inf(-1)))
		upper[i] = min(plusUp(v, r), at(d.Upper, i, math.Inf(1)))
	}
	var cases [][]spec.Row
	for j := range classes {
		if j != label {
			cases = append(cases, []spec.Row{{Y: []spec.Coef{{Index: label, Value: 1}, {Index: j, Value: -1}}}})
		}
	}
	return spec.FromBox(lower, upper, cases, classes)
}

// distance returns how far x lies from x0 in units of the radius, rounded up.
func (d *Domain) distance(norm evasion.Norm, x, x0 []float64) float64 {
	if norm != evasion.Linf {
		unit, _ := constant(d.Unit, 1)
		if norm == evasion.L0 {
			unit = 1
		}
		return overUp(norm.Distance(x, x0), unit)
	}
	most := 0.0
	for i, v := range x {
		if v != x0[i] {
			most = max(most, overUp(plusUp(max(v, x0[i]), -min(v, x0[i])), at(d.Unit, i, 1)))
		}
	}
	return most
}

// plusUp returns a + b rounded up.
func plusUp(a, b float64) float64 {
	s := a + b
	t := s - a
	if (a-(s-t))+(b-t) > 0 {
		return math.Nextafter(s, math.Inf(1))
	}
	return s
}

// timesUp returns a·b rounded up, for positive factors.
func timesUp(a, b float64) float64 {
	p := a * b
	if math.FMA(a, b, -p) > 0 || p < 0x1p-900 && a != 0 { // below, the remainder may be lost
		return math.Nextafter(p, math.Inf(1))
	}
	return p
}

// overUp returns a/b rounded up, for a ≥ 0 and b > 0.
func overUp(a, b float64) float64 {
	q := a / b
	if math.FMA(q, b, -a) < 0 || q < 0x1p-900 && a != 0 {
		return math.Nextafter(q, math.Inf(1))
	}
	return q
}
