package evasion

import (
	"cmp"
	"math"
	"slices"
)

// project moves x, in place, to the nearest point (in L2) of the ball of radius eps around X0 in the probe's norm, cut with the box.
// For L2 and L1 it aims half a part in a million inside, so that rounding to float32 does not leave the ball.
func (p *Probe) project(x []float64, eps float64) {
	switch {
	case math.IsInf(eps, 1):
	case p.Norm == Linf:
		for i, x0 := range p.X0 {
			x[i] = min(max(x[i], x0-eps), x0+eps)
		}
	case p.Norm == L0:
		p.keepLargest(x, int(eps))
	default:
		p.shrink(x, eps*(1-0x1p-21))
	}
	for i := range x {
		x[i] = min(max(x[i], p.Lo[i]), p.Hi[i])
	}
}

// shrink finds the multiplier λ ≥ 0 of the ball at which x0 + clip(step(x − x0, λ)) has norm eps, by bisection; the projection onto
// ball and box is of that form, with step d/(1+λ) for L2 and soft thresholding by λ for L1, because both constraints are separable.
func (p *Probe) shrink(x []float64, eps float64) {
	lo, hi := 0.0, 0.0 // of λ
	for i, v := range x {
		d := math.Abs(v - p.X0[i])
		if p.Norm == L2 {
			hi += d * d
		} else {
			hi = max(hi, d)
		}
	}
	if p.Norm == L2 {
		hi = math.Sqrt(hi)/max(eps, math.SmallestNonzeroFloat64) - 1 // without box
	}
	if hi <= 0 || p.size(x, 0) <= eps {
		return
	}
	if p.Norm == L2 && p.size(x, hi) >= eps*(1-0x1p-20) { // the box does not matter
		lo = hi
	}
	for range 60 {
		if hi-lo <= 1e-9*hi {
			break
		}
		if m := (lo + hi) / 2; p.size(x, m) > eps {
			lo = m
		} else {
			hi = m
		}
	}
	for i, v := range x {
		x[i] = p.X0[i] + p.step(v-p.X0[i], hi)
	}
}

// step is the unconstrained answer for one coordinate.
func (p *Probe) step(d, lambda float64) float64 {
	if p.Norm == L2 {
		return d / (1 + lambda)
	}
	return math.Copysign(max(math.Abs(d)-lambda, 0), d)
}

// size is the norm at multiplier λ.
func (p *Probe) size(x []float64, lambda float64) float64 {
	s := 0.0
	for i, v := range x {
		x0 := p.X0[i]
		d := min(max(p.step(v-x0, lambda), p.Lo[i]-x0), p.Hi[i]-x0)
		if p.Norm == L2 {
			s += d * d
		} else {
			s += math.Abs(d)
		}
	}
	if p.Norm == L2 {
		return math.Sqrt(s)
	}
	return s
}

// keepLargest resets all but the k coordinates that moved most.
func (p *Probe) keepLargest(x []float64, k int) {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(math.Abs(x[b]-p.X0[b]), math.Abs(x[a]-p.X0[a])) })
	for _, i := range order[min(k, len(order)):] {
		x[i] = p.X0[i]
	}
}

// ascend stores the steepest step of length size in the probe's norm along the gradient g, for one input: signs for Linf, the
// gradient itself for L2, for L1 and L0 the share of the coordinates with the largest slope and room.
func (p *Probe) ascend(dst, g, x []float64, size, share float64) {
	clear(dst)
	switch p.Norm {
	case Linf:
		for i, v := range g {
			if v != 0 {
				dst[i] = math.Copysign(size, v)
			}
		}
	case L2:
		if n := math.Sqrt(dot(g, g)); n > 0 {
			for i, v := range g {
				dst[i] = size * v / n
			}
		}
	default:
		p.ascendSparse(dst, g, x, size, share)
	}
}

// ascendSparse moves the k = share·n coordinates with the largest slopes that have room, for L1 in proportion to their slopes (equal
// parts, as published, cannot move weight from one chosen coordinate to another), to their ends for L0. For L1 those without room are
// pushed as well, so that the projection does not pull them back in.
func (p *Probe) ascendSparse(dst, g, x []float64, size, share float64) {
	order := make([]int, len(g))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(math.Abs(g[b]), math.Abs(g[a])) })
	k := max(1, int(math.Ceil(share*float64(len(g)))))
	if p.Norm == L0 {
		k = int(size)
	}
	sum := 0.0
	for _, i := range order {
		if k == 0 || g[i] == 0 {
			break
		}
		room := g[i] > 0 && x[i] < p.Hi[i] || g[i] < 0 && x[i] > p.Lo[i]
		switch {
		case p.Norm == L1:
			dst[i] = g[i]
			sum += math.Abs(g[i])
		case room:
			dst[i] = math.Copysign(p.Hi[i]-p.Lo[i], g[i])
		}
		if room {
			k--
		}
	}
	for i := range dst {
		if p.Norm == L1 && dst[i] != 0 {
			dst[i] *= size / sum
		}
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// uniform stores a point drawn uniformly from the ball of radius eps (for L0: a random choice of coordinates at random values), cut
// with the box.
func (p *Probe) uniform(x []float64, eps float64) {
	n := len(x)
	switch p.Norm {
	case Linf:
		for i, x0 := range p.X0 {
			lo, hi := max(p.Lo[i], x0-eps), min(p.Hi[i], x0+eps)
			x[i] = lo + (hi-lo)*p.Rng.Float64()
		}
		return
	case L2: // drop two coordinates of a point of the sphere in n+2 dimensions (Voelker et al., 2017)
		a, b := p.Rng.NormFloat64(), p.Rng.NormFloat64()
		s := a*a + b*b
		for i := range x {
			x[i] = p.Rng.NormFloat64()
			s += x[i] * x[i]
		}
		for i, x0 := range p.X0 {
			x[i] = x0 + eps*x[i]/math.Sqrt(s)
		}
	case L1: // n of n+1 exponential spacings, signed
		s := p.Rng.ExpFloat64()
		for i := range x {
			x[i] = p.Rng.ExpFloat64()
			s += x[i]
		}
		for i, x0 := range p.X0 {
			e := eps * x[i] / s
			if p.Rng.Uint64()&1 == 0 {
				e = -e
			}
			x[i] = x0 + e
		}
	case L0:
		copy(x, p.X0)
		for range min(int(eps), n) {
			i := p.Rng.IntN(n)
			x[i] = p.Lo[i] + (p.Hi[i]-p.Lo[i])*p.Rng.Float64()
		}
	}
	p.project(x, eps)
}
