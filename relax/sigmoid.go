package relax

import "math"

// sigma evaluates 1/(1+e^{-z}). math.Exp is accurate to under one unit in the last place; with the addition and the
// division the relative error is below 8 units of 2⁻⁵³ (for z very negative e^{-z} may overflow to +Inf, result 0).
func sigma(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// sigmoidEnclosure returns lo ≤ σ(z) ≤ hi.
func sigmoidEnclosure(z float64) (lo, hi float64) {
	v := sigma(z)
	e := v*16*unit + 1e-300
	return max(v-e, 0), min(v+e, 1)
}

// sigmaSlopeRange returns an enclosure of σ'(z) = σ(z)(1−σ(z)).
func sigmaSlopeRange(z float64) (lo, hi float64) {
	a, b := sigmoidEnclosure(z)
	c, d := sigmoidEnclosure(-z)
	return a * c * (1 - 4*unit), b*d*(1+4*unit) + 1e-300
}

// sigmoidLines returns lines kl·z+tl ≤ σ(z) ≤ ku·z+tu valid on [l,u]. at ∈ [0,1] moves the tangent point of a tangent
// line through the interval; 0.5 is its middle.
//
// By symmetry σ(−z) = 1 − σ(z) the upper line is the mirrored lower line of [−u, −l].
func sigmoidLines(l, u, at float64) (kl, tl, ku, tu float64) {
	kl, tl = sigmoidLower(l, u, at)
	k, t := sigmoidLower(-u, -l, 1-at)
	// σ(z) = 1 − σ(−z) ≤ 1 − (k·(−z) + t) = k·z + (1 − t)
	return kl, tl, k, up(1 - t)
}

// sigmoidLower returns a line below σ on [l,u]: a slope picked by the usual rules (chord where σ is concave enough, else a
// tangent on the convex side), and the intercept lowered until the stored line is provably below.
func sigmoidLower(l, u, at float64) (k, t float64) {
	if !(u-l > 1e-12) {
		lo, _ := sigmoidEnclosure(l)
		return 0, lo // σ is increasing: σ(z) ≥ σ(l)
	}
	sl, su := sigma(l), sigma(u)
	chord := (su - sl) / (u - l)
	dl := sl * (1 - sl)
	switch {
	case l >= 0, dl >= chord && u > 0:
		k = max(chord, 0) // concave from l, or the chord at l is below the curve's own slope
	case u <= 0:
		p := l + at*(u-l)
		s := sigma(p)
		k = s * (1 - s)
	default:
		// tangent at p ≤ 0 that passes below (u, σ(u)); p in the middle, where that is allowed, leaves the least area
		p := min(leftTangent(l, u, su), l+at*(u-l))
		s := sigma(p)
		k = s * (1 - s)
	}
	return k, sigmoidMinResidual(l, u, k)
}

// leftTangent finds by bisection the p in [l,0] whose tangent meets (u, su); any p is valid, this is only a good one.
func leftTangent(l, u, su float64) float64 {
	lo, hi := l, 0.0
	for i := 0; i < 40; i++ {
		p := (lo + hi) / 2
		s := sigma(p)
		if s+s*(1-s)*(u-p) <= su {
			lo = p
		} else {
			hi = p
		}
	}
	return lo
}

// sigmoidMinResidual returns a lower bound on min over [l,u] of σ(z) − k·z, for k ≥ 0.
//
// Soundness: on z ≥ 0 σ is concave, so the minimum over [max(l,0),u] is at an end. On z ≤ 0 σ is convex: it lies above its
// tangent at any p, so σ(z) − kz ≥ σ(p) − kp − |σ'(p) − k|·(longest distance to p), with σ(p), σ'(p) enclosed outward.
func sigmoidMinResidual(l, u, k float64) float64 {
	m := math.Inf(1)
	at := func(z float64) {
		lo, _ := sigmoidEnclosure(z)
		v := lo - k*z
		m = min(m, v-(math.Abs(k*z)+lo)*4*unit-1e-300)
	}
	at(l)
	at(u)
	if l < 0 {
		e := min(u, 0)
		at(e)
		// stationary point of σ(z) − kz on the convex branch: σ(1−σ) = k with σ ≤ 1/2
		p := e
		if k < 0.25 {
			q := math.Sqrt(max(0, 1-4*k))
			s := (1 - q) / 2
			if k < 1e-4 {
				s = k * (1 + k) // series, no cancellation
			}
			p = math.Log(s / (1 - s))
		}
		p = min(max(p, l), e)
		if math.IsNaN(p) {
			p = e
		}
		lo, _ := sigmoidEnclosure(p)
		d0, d1 := sigmaSlopeRange(p)
		// for z ≥ p the tangent's excess slope is at least d0−k, for z ≤ p at most d1−k
		right := min(0, d0-k) * (e - p)
		left := min(0, k-d1) * (p - l)
		v := lo - k*p + min(left, right)
		m = min(m, v-(math.Abs(k*p)+lo+math.Abs(left)+math.Abs(right))*8*unit-1e-300)
	}
	return m
}
