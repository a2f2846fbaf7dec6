package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// Lines for the elementwise functions of Curve nodes. A slope is picked by the usual rules; the
// intercept is then moved until the stored line is provably on its side, so any slope is sound (as for the sigmoid).

// curveLines returns lines kl·z+tl ≤ φ(z) ≤ ku·z+tu valid on [l,u]; where φ has no bounds there, the intercepts are infinite.
func curveLines(fn prog.Fn, l, u float64) (kl, tl, ku, tu float64) {
	lo, hi := fn.Image(l, u)
	if math.IsInf(lo, -1) || math.IsInf(hi, 1) || !(u-l <= math.MaxFloat64) {
		return 0, math.Inf(-1), 0, math.Inf(1)
	}
	if l == u || fn.Step() {
		return 0, lo, 0, hi
	}
	c := side{fn, 1}
	kl = c.slope(l, u)
	tl = c.least(l, u, kl)
	c.sign = -1
	ku = -c.slope(l, u)
	tu = -c.least(l, u, -ku)
	if !(math.Abs(kl) <= math.MaxFloat64) || math.IsNaN(tl) {
		kl, tl = 0, lo
	}
	if !(math.Abs(ku) <= math.MaxFloat64) || math.IsNaN(tu) {
		ku, tu = 0, hi
	}
	return kl, tl, ku, tu
}

// A side is sign·φ, so that lines above φ are lines below −φ.
type side struct {
	fn   prog.Fn
	sign float64
}

// at returns lo ≤ sign·φ(z) ≤ hi.
func (c side) at(z float64) (lo, hi float64) {
	lo, hi = c.fn.At(z)
	if c.sign < 0 {
		lo, hi = -hi, -lo
	}
	return lo, hi
}

// convex reports whether sign·φ is convex where z has the given sign.
func (c side) convex(at int) bool { return c.fn.Convex(at) == (c.sign > 0) }

// slope picks the slope of a line below sign·φ on [l,u]: the chord where it is concave, a tangent where it is convex, and the
// tangent through the concave end where it is both.
func (c side) slope(l, u float64) float64 {
	left, right := c.convex(-1), c.convex(1)
	chord := c.sign * (c.fn.Value(u) - c.fn.Value(l)) / (u - l)
	switch {
	case l >= 0 && right, u <= 0 && left, left && right:
		return c.sign * c.fn.Slope(l+(u-l)/2)
	case l >= 0 || u <= 0 || left == right:
		return chord
	case right: // concave left of 0: a line from l touches the convex side
		return c.touch(l, u, chord)
	}
	return c.touch(u, l, chord)
}

// touch finds by bisection the tangent from the curve's point at end to its convex side, which reaches to far; any slope is
// valid, this is only a good one.
func (c side) touch(end, far, chord float64) float64 {
	v := c.sign * c.fn.Value(end)
	a, b := 0.0, far
	for range 40 {
		p := (a + b) / 2
		if c.sign*c.fn.Value(p)+c.sign*c.fn.Slope(p)*(end-p) >= v {
			a = p // the tangent at p passes above the end: move on
		} else {
			b = p
		}
	}
	if b == far {
		return chord
	}
	return c.sign * c.fn.Slope(b)
}

// least returns a lower bound on sign·φ(z) − k·z over [l,u].
//
// Soundness: on a concave piece the minimum is at an end. On a convex piece sign·φ lies above its tangent at any p, so the
// function is at least its value at p minus the longest distance on either side times what the slope there lacks. All
// evaluations are enclosed; every rounded step is charged with units of the magnitudes involved.
func (c side) least(l, u, k float64) float64 {
	m := min(c.end(l, k), c.end(u, k))
	if l < 0 {
		m = min(m, c.piece(l, min(u, 0), k, c.convex(-1)))
	}
	if u > 0 {
		m = min(m, c.piece(max(l, 0), u, k, c.convex(1)))
	}
	return m
}

// end is a lower bound on sign·φ(z) − k·z at the float z.
func (c side) end(z, k float64) float64 {
	lo, _ := c.at(z)
	return lo - k*z - (math.Abs(k*z)+math.Abs(lo))*4*unit - 1e-300
}

// piece is least on an interval on one side of 0.
func (c side) piece(l, u, k float64, convex bool) float64 {
	m := min(c.end(l, k), c.end(u, k))
	if !convex {
		return m
	}
	p := min(max(c.stationary(l, u, k), l), u)
	d := c.sign * c.fn.Slope(p)
	e := math.Abs(d)*32*unit + 1e-300
	right := min(0, d-e-k) * (u - p)
	left := min(0, k-d-e) * (p - l)
	lo, _ := c.at(p)
	v := lo - k*p + min(left, right)
	return min(m, v-(math.Abs(k*p)+math.Abs(lo)+math.Abs(left)+math.Abs(right)+math.Abs(k)*(u-l)+math.Abs(d)*(u-l))*8*unit-1e-300)
}

// stationary returns a point near which sign·φ' = k; any point is valid.
func (c side) stationary(l, u, k float64) float64 {
	k *= c.sign
	p := l + (u-l)/2
	switch c.fn {
	case prog.Square:
		p = k / 2
	case prog.Cube:
		p = math.Copysign(math.Sqrt(max(k, 0)/3), l+u)
	case prog.Reciprocal:
		p = math.Copysign(1/math.Sqrt(max(-k, 1e-300)), l+u)
	case prog.Exp:
		p = math.Log(max(k, 1e-300))
	}
	if math.IsNaN(p) {
		return l + (u-l)/2
	}
	return p
}

func (f *Frame) refreshCurve(act, k int) {
	cf := f.curve[act]
	nd := &f.Net.P.Nodes[act]
	if cf == nil {
		cf = newPlanes(nd.N, false)
		f.curve[act] = cf
	}
	for j, l := range f.B.L[k] {
		cf.kl[j], cf.tl[j], cf.ku[j], cf.tu[j] = curveLines(nd.Fn, l, f.B.U[k][j])
	}
}
