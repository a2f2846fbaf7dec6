package prog

import "math"

// Fn names the elementwise function of a Curve node. Each is a step function, or smooth where it is defined and convex or concave
// on either side of 0, which is all that its bounds need.
type Fn uint8

const (
	// Square is z².
	Square Fn = iota
	// Cube is z³.
	Cube
	// Reciprocal is 1/z, undefined at 0: nothing is known of it over an interval that contains 0.
	Reciprocal
	// Exp is e^z.
	Exp
	// Sign is −1, 0 or 1.
	Sign
	// Floor is the largest integer ≤ z.
	Floor
)

func (f Fn) String() string {
	return [...]string{"Square", "Cube", "Reciprocal", "Exp", "Sign", "Floor"}[f]
}

// Step reports whether the function is a nondecreasing step function.
func (f Fn) Step() bool { return f == Sign || f == Floor }

// Value evaluates the function in round-to-nearest float64.
func (f Fn) Value(z float64) float64 {
	switch f {
	case Square:
		return z * z
	case Cube:
		return z * z * z
	case Exp:
		return math.Exp(z)
	case Sign:
		if z > 0 {
			return 1
		} else if z < 0 {
			return -1
		}
		return z // 0 or NaN
	case Floor:
		return math.Floor(z)
	}
	return 1 / z
}

// Slope evaluates the derivative in round-to-nearest float64; where it is a finite normal number it errs by less than 16 units
// of 2⁻⁵³ relative to itself. It is 0 for step functions, at their jumps too.
func (f Fn) Slope(z float64) float64 {
	switch f {
	case Square:
		return 2 * z
	case Cube:
		return 3 * (z * z)
	case Exp:
		return math.Exp(z)
	case Sign, Floor:
		return 0
	}
	return -1 / (z * z)
}

// guideWidth is how far from a jump, in mean magnitudes of the layer's arguments, the stand-in of Sign is steep.
const guideWidth = 0.1

// guide adds to d the gradient g of a step function's results, times the slope of a smooth function in its place, for R lanes of
// arguments z: the straight-through estimator of Bengio, Léonard and Courville ("Estimating or propagating gradients through
// stochastic neurons", 2013) and of the attack BPDA. For Sign that is 1/(1 + (z/τ)²)/τ, whose width τ follows the layer: only arguments
// near their jump, by the layer's own measure, can be moved across it.
func (f Fn) guide(d, g, z []float64, R int) {
	if f != Sign {
		for i, v := range g {
			d[i] += v
		}
		return
	}
	var room [64]float64
	tau := room[:]
	if R > len(tau) {
		tau = make([]float64, R)
	}
	for i, v := range z {
		tau[i%R] += math.Abs(v)
	}
	for r := range R {
		tau[r] = max(tau[r]*guideWidth*float64(R)/float64(len(z)), 1e-30)
	}
	for i, v := range z {
		t := tau[i%R]
		q := v / t
		d[i] += g[i] / ((1 + q*q) * t)
	}
}

// Convex reports whether the function is convex on z ≥ 0 (side > 0) or on z ≤ 0 (side < 0); where it is not, it is concave.
func (f Fn) Convex(side int) bool { return f == Square || f == Exp || side > 0 }

const (
	// curveRel bounds the relative error of Value: two roundings, or math.Exp's 8 units in the last place.
	curveRel = 0x1p-49
	// curveTiny covers results among the subnormal numbers, and Cube's z² there: |z|·2⁻¹⁰⁷⁴ with |z| < 2⁻⁵¹⁰.
	curveTiny = 0x1p-1070
	// curveUlps·u bounds the relative error of a runtime's result, an assumption like sigmoidUlps.
	curveUlps = 8
)

// At returns lo ≤ φ(z) ≤ hi for the real function at the float z; φ is defined there.
func (f Fn) At(z float64) (lo, hi float64) {
	v := f.Value(z)
	if v == 0 && z == 0 || f.Step() {
		return v, v
	}
	e := math.Abs(v)*curveRel + curveTiny
	return v - e, v + e
}

// Image returns an interval that contains φ(z) for every real z in [l, u]: all numbers where nothing can be said.
//
// Sound because Cube, Exp and the step functions increase, Reciprocal decreases on either side of 0, and Square does so in |z|.
func (f Fn) Image(l, u float64) (lo, hi float64) {
	switch {
	case !(l <= u) || f == Reciprocal && l <= 0 && u >= 0:
		return math.Inf(-1), math.Inf(1)
	case f == Cube || f == Exp || f.Step():
		lo, _ = f.At(l)
		_, hi = f.At(u)
	case f == Square && l < 0 && u > 0:
		_, a := f.At(l)
		_, b := f.At(u)
		return 0, max(a, b)
	case f == Square && l >= 0:
		lo, _ = f.At(l)
		_, hi = f.At(u)
	default: // decreasing
		lo, _ = f.At(u)
		_, hi = f.At(l)
	}
	if f == Square || f == Exp || l >= 0 {
		lo = max(lo, 0)
	} else if u <= 0 {
		hi = min(hi, 0)
	}
	if !(lo <= hi) { // ∞ − ∞
		return math.Inf(-1), math.Inf(1)
	}
	return lo, hi
}

// bend returns an upper bound on |φ”|/2 over [l, u], +Inf where there is none: 0 for a step function only where it is constant.
func (f Fn) bend(l, u float64) float64 {
	switch {
	case f.Step():
		if f.Value(l) == f.Value(u) {
			return 0
		}
		return math.Inf(1)
	case f == Square:
		return 1
	case f == Cube:
		return 3 * max(math.Abs(l), math.Abs(u)) * (1 + 0x1p-50)
	case f == Exp:
		return math.Exp(u) * (0.5 + 0x1p-48)
	case l <= 0 && u >= 0:
		return math.Inf(1)
	}
	z := min(math.Abs(l), math.Abs(u))
	return 1/(z*z*z)*(1+0x1p-49) + curveTiny
}

// ProductImage returns the hull of x·y over two intervals, outward; all numbers where a product is not a number.
func ProductImage(xl, xu, yl, yu float64) (lo, hi float64) {
	a, b, c, d := xl*yl, xl*yu, xu*yl, xu*yu
	lo, hi = min(a, b, c, d), max(a, b, c, d)
	if !(lo <= hi) {
		return math.Inf(-1), math.Inf(1)
	}
	lo, hi = math.Nextafter(lo, math.Inf(-1)), math.Nextafter(hi, math.Inf(1))
	if xl >= 0 && yl >= 0 || xu <= 0 && yu <= 0 {
		lo = max(lo, 0)
	}
	if xl >= 0 && yu <= 0 || xu <= 0 && yl >= 0 {
		hi = min(hi, 0)
	}
	return lo, hi
}
