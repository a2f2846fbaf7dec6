package sdp

import "math"

// A Ball is a set of vectors z: within Rho of Centre in the norm L2 and within [L, U] elementwise. All ends are finite.
type Ball struct {
	Centre []float64
	Rho    float64
	L, U   []float64
}

// Offset returns h with Σ c_i·relu(z_i) ≥ Σ g_i·z_i + h for every z of the ball: the offset of SDP-CROWN (Chiu and Zhang, "SDP-CROWN:
// efficient bound propagation for neural network verification with tightness of semidefinite programming", 2025), valid for any
// lambda ≥ 0,
//
//	h = −λ·ρ²/2 + Σ_i min over [L_i, U_i] of c_i·relu(z) − g_i·z + λ/2·(z − Centre_i)²
//
// which at λ = 0 is the offset over the box, and without the box the published closed form. −Inf where a number is out of range.
//
// Sound because λ/2·(‖z − Centre‖² − ρ²) ≤ 0 in the ball, whatever λ ≥ 0 is, and the rest is a sum of functions of one variable; see
// least.
func (b *Ball) Offset(c, g []float64, lambda float64) float64 {
	if !(lambda >= 0) {
		return math.Inf(-1)
	}
	h, mag := 0.0, lambda*b.Rho*b.Rho/2
	h = -mag
	for i, l := range b.L {
		m := math.Inf(1)
		u, x := b.U[i], b.Centre[i]
		if u >= 0 {
			m = least(c[i], g[i], x, max(l, 0), u, lambda)
		}
		if l <= 0 {
			m = min(m, least(0, g[i], x, l, min(u, 0), lambda))
		}
		h += m
		mag += math.Abs(m)
	}
	h = down(h - up(mag*gamma(len(b.L)+8)*loose+0x1p-800))
	if !(mag <= largest) {
		return math.Inf(-1)
	}
	return h
}

// least returns a lower bound on (c−g)·z + λ/2·(z−x)² over lo ≤ z ≤ hi.
//
// Sound because a convex function is above its tangent at any point of the interval, here the computed minimiser: f(z) ≥ f(y) +
// f'(y)·(z−y), where the computed f'(y) is off by at most e and the computed f(y) by at most r.
func least(c, g, x, lo, hi, lambda float64) float64 {
	s := c - g
	y := x
	if lambda > 0 {
		y = x - s/lambda
	}
	if !(y > lo) || lambda == 0 && s > 0 { // also where y is not a number
		y = lo
	} else if y > hi || lambda == 0 && s < 0 {
		y = hi
	}
	d := s + lambda*(y-x)
	size := math.Abs(c) + math.Abs(g) + lambda*(math.Abs(y)+math.Abs(x))
	e := gamma(6)*size + 0x1p-900
	f := s*y + lambda/2*(y-x)*(y-x)
	r := gamma(10)*(size*(math.Abs(y)+math.Abs(x))) + 0x1p-900
	left, right := y-lo, hi-y
	slope := max(d*left, -d*right, 0) + e*max(left, right)
	return f - (r+slope)*(1+16*unit) - math.Abs(f)*4*unit
}

// Best returns the largest offset that a search over λ finds, and the λ: h is concave in λ. It is no less than the offset over the box.
func (b *Ball) Best(c, g []float64) (h, lambda float64) {
	h = b.Offset(c, g, 0)
	size := 0.0
	for i := range b.L {
		size += c[i]*c[i] + g[i]*g[i]
	}
	size = math.Sqrt(size)
	if size == 0 || !(b.Rho > 0) || math.IsInf(size, 0) {
		return h, 0
	}
	at := func(t float64) float64 {
		l := math.Exp(t) * size / b.Rho
		v := b.Offset(c, g, l)
		if v > h {
			h, lambda = v, l
		}
		return v
	}
	const phi = 0.6180339887498949
	lo, hi := -14.0, 4.0
	p, q := hi-phi*(hi-lo), lo+phi*(hi-lo)
	fp, fq := at(p), at(q)
	for hi-lo > 0.01 {
		if fp > fq {
			hi, q, fq = q, p, fp
			p = hi - phi*(hi-lo)
			fp = at(p)
		} else {
			lo, p, fp = p, q, fq
			q = lo + phi*(hi-lo)
			fq = at(q)
		}
	}
	return h, lambda
}
