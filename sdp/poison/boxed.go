package poison

import "math"

// boxed maximises cᵀu over the sphere, the slab and the range of a class by its Lagrangian. With multipliers λ ≥ 0 of the sphere
// and τ of the slab's unit direction v, the maximiser is u(λ, τ) = clip((c − τv)/(2λ), lo − μ, hi − μ). For given τ, ‖u‖ falls
// with λ, so ‖u‖ = r is found by bisection; ⟨v, u⟩ falls with τ, which is found by bisection around that. The search begins at
// the multipliers of the last call, which are near when θ has moved little.
func (w *worst) boxed(k int, last Multipliers) Multipliers {
	s := w.f.Width[k]
	lam := last.Sphere
	along := func(tau float64) float64 {
		lam = w.sphere(k, tau, lam)
		dot := 0.0
		for j, u := range w.u[k] {
			dot += u * w.v[j]
		}
		return dot
	}
	tau := 0.0
	if a := along(0); !math.IsInf(s, 1) && math.Abs(a) > s {
		target := math.Copysign(s, a)
		tau = last.Slab * w.norm
		if tau == 0 || tau > 0 != (a > 0) {
			tau = math.Copysign(1e-3, a)
		}
		beyond := 0.0
		beyond, tau = bisect(tau, 30, func(t float64) bool { return (along(t)-target)*math.Copysign(1, a) > 0 })
		w.mix(k, along(beyond), target, func() float64 { return along(tau) })
	}
	m := Multipliers{Sphere: lam}
	if w.norm > 0 {
		m.Slab = tau / w.norm
	}
	return m
}

// mix leaves in w.u the point between the present one and the next one whose ⟨v, u⟩ is the target. Where the maximiser jumps,
// as it does without a sphere, neither end is near the maximum, but a point between them is.
func (w *worst) mix(k int, present, target float64, next func() float64) {
	copy(w.other, w.u[k])
	other := next()
	share := 0.0
	if present != other {
		share = min(max((target-other)/(present-other), 0), 1)
	}
	for j, u := range w.u[k] {
		w.u[k][j] = u + share*(w.other[j]-u)
	}
}

// sphere finds λ for a given τ and leaves the maximiser in w.u.
func (w *worst) sphere(k int, tau, last float64) float64 {
	r := w.f.Radius[k]
	long := func(lam float64) bool { w.point(k, tau, lam); return !math.IsInf(r, 1) && norm(w.u[k]) > r }
	const least = 1e-12
	if !long(least) {
		return least
	}
	if last <= least {
		last = 1e-3
	}
	_, lam := bisect(last, 30, long)
	long(lam)
	return lam
}

// point writes the maximiser for given multipliers to w.u.
func (w *worst) point(k int, tau, lam float64) {
	for j, c := range w.c {
		mu := w.f.Centroid[k][j]
		w.u[k][j] = min(max((c-w.v[j]*tau)/(2*lam), w.f.Low-mu), w.f.High-mu)
	}
}

// bisect finds where below turns false when its argument grows in magnitude; start may be negative. It returns the ends of the
// bracket: below is true at lo and false at hi.
func bisect(start float64, steps int, below func(float64) bool) (lo, hi float64) {
	lo, hi = start, start
	factor := 2.0
	if below(start) {
		for hi = start * factor; below(hi) && factor < 1e60; hi *= factor {
			lo, factor = hi, factor*factor
		}
	} else {
		for lo = start / factor; !below(lo) && factor < 1e60; lo /= factor {
			hi, factor = lo, factor*factor
		}
	}
	for range steps {
		mid := lo + (hi-lo)/2
		if hi/lo > 4 { // halve the logarithm first
			mid = math.Copysign(math.Sqrt(math.Abs(lo))*math.Sqrt(math.Abs(hi)), hi)
		}
		if below(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, hi
}

func norm(v []float64) float64 {
	sq := 0.0
	for _, x := range v {
		sq += x * x
	}
	return math.Sqrt(sq)
}
