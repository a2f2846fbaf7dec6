package evasion

import (
	"math"
	"slices"
)

// project moves x, in place, to the nearest point (in L2) of the ball of radius eps around X0 in the probe's norm, cut with the box.
// For L2 and L1 it aims half a part in a million inside, so that rounding to float32 does not leave the ball.
func (p *Probe) project(x []float64, eps float64) {
	for i := range x {
		x[i] = min(max(x[i], p.Lo[i]), p.Hi[i])
	}
	if math.IsInf(eps, 1) {
		return
	}
	switch p.Norm {
	case Linf:
		for i, x0 := range p.X0 {
			x[i] = min(max(x[i], x0-eps), x0+eps)
		}
	case L2:
		p.shrink(x, eps*(1-0x1p-21), func(d, lambda float64) float64 { return d / (1 + lambda) })
	case L1:
		p.shrink(x, eps*(1-0x1p-21), func(d, lambda float64) float64 { return math.Copysign(max(math.Abs(d)-lambda, 0), d) })
	case L0:
		p.keepLargest(x, int(eps))
	}
}

// shrink finds the multiplier λ ≥ 0 of the ball at which x0 + clip(step(d, λ)) has norm eps, by bisection: the projection onto ball
// and box is of that form because both are separable but for the one constraint.
func (p *Probe) shrink(x []float64, eps float64, step func(d, lambda float64) float64) {
	size := func(lambda float64) float64 {
		s := 0.0
		for i, v := range x {
			d := step(v-p.X0[i], lambda)
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
	now := size(0)
	if now <= eps {
		return
	}
	var lambda float64
	if p.Norm == L2 { // inside the box already, and the box holds X0: scaling stays inside
		lambda = now/max(eps, math.SmallestNonzeroFloat64) - 1
	} else {
		lo, hi := 0.0, 0.0
		for i, v := range x {
			hi = max(hi, math.Abs(v-p.X0[i]))
		}
		for range 60 {
			if lambda = (lo + hi) / 2; size(lambda) > eps {
				lo = lambda
			} else {
				hi = lambda
			}
		}
		lambda = hi
	}
	for i, v := range x {
		x[i] = p.X0[i] + step(v-p.X0[i], lambda)
	}
}

// keepLargest resets all but the k coordinates that moved most.
func (p *Probe) keepLargest(x []float64, k int) {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		da, db := math.Abs(x[a]-p.X0[a]), math.Abs(x[b]-p.X0[b])
		switch {
		case da > db:
			return -1
		case da < db:
			return 1
		}
		return 0
	})
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

// ascendSparse moves the k = share·n coordinates with the largest slopes that have room, in equal parts for L1, to their ends for L0.
func (p *Probe) ascendSparse(dst, g, x []float64, size, share float64) {
	var order []int
	for i, v := range g {
		if v > 0 && x[i] < p.Hi[i] || v < 0 && x[i] > p.Lo[i] {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch da, db := math.Abs(g[a]), math.Abs(g[b]); {
		case da > db:
			return -1
		case da < db:
			return 1
		}
		return 0
	})
	k := int(math.Ceil(share * float64(len(g))))
	if p.Norm == L0 {
		k = int(size)
	}
	k = max(1, min(k, len(order)))
	for _, i := range order[:min(k, len(order))] {
		if p.Norm == L0 {
			dst[i] = math.Copysign(p.Hi[i]-p.Lo[i], g[i])
		} else {
			dst[i] = math.Copysign(size/float64(k), g[i])
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
