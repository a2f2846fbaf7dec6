package evasion

import (
	"cmp"
	"math"
	"slices"
)

// cross stores in d the shortest displacement in the norm (Linf, L2 or L1) with w·d = t and x + d in the box [lo, hi], which
// holds x; when the box is too small for that, the displacement that comes closest to it: every coordinate at its end. It reports
// whether the hyperplane is within the box.  All coordinates move along their slope. In Linf and L2 coordinate i moves by
// min(λ·v_i, room_i), with v_i = 1 and |w_i|, so that what is reached is an increasing concave piecewise linear function of λ:
// Newton's method from λ = 0 never overshoots it and ends exactly, as soon as a step meets no new room. In L1 the largest slopes
// go first, to their ends.
func (n Norm) cross(d, x, lo, hi, w []float64, t float64) bool {
	clear(d)
	if t == 0 {
		return true
	}
	if n == L1 {
		return crossL1(d, x, lo, hi, w, t)
	}
	lambda, reached := 0.0, 0.0
	for {
		slope := 0.0
		reached = 0
		for i, s := range w {
			v, room := n.speed(s), room(x[i], lo[i], hi[i], s*t)
			if a := math.Abs(s); lambda*v < room {
				reached += a * lambda * v
				slope += a * v
			} else {
				reached += a * room
			}
		}
		next := lambda + (math.Abs(t)-reached)/slope
		if !(slope > 0) || !(next > lambda) { // no room left, or there
			break
		}
		lambda = next
	}
	for i, s := range w {
		d[i] = math.Copysign(min(lambda*n.speed(s), room(x[i], lo[i], hi[i], s*t)), s*t)
	}
	return reached >= math.Abs(t)*(1-1e-12)
}

// speed is how a coordinate of slope s moves for every unit of the multiplier.
func (n Norm) speed(s float64) float64 {
	if n == L2 || s == 0 {
		return math.Abs(s)
	}
	return 1
}

// room is how far x can move in the direction of sign; none for 0.
func room(x, lo, hi, sign float64) float64 {
	switch {
	case sign > 0:
		return hi - x
	case sign < 0:
		return x - lo
	}
	return 0
}

func crossL1(d, x, lo, hi, w []float64, t float64) bool {
	order := make([]int, 0, len(w))
	for i, s := range w {
		if room(x[i], lo[i], hi[i], s*t) > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(math.Abs(w[j]), math.Abs(w[i])), cmp.Compare(i, j))
	})
	left := math.Abs(t)
	for _, i := range order {
		s, r := math.Abs(w[i]), room(x[i], lo[i], hi[i], w[i]*t)
		if s*r >= left {
			d[i] = math.Copysign(left/s, w[i]*t)
			return true
		}
		d[i] = math.Copysign(r, w[i]*t)
		left -= s * r
	}
	return left <= math.Abs(t)*1e-12
}

// length is the norm (Linf, L2 or L1) of a displacement.
func (n Norm) length(d []float64) float64 {
	switch n {
	case Linf:
		return L1.dual(d)
	case L1:
		return Linf.dual(d)
	}
	return L2.dual(d)
}
