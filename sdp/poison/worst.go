package poison

import "math"

// A worst finds, for a linear classifier, the item with the largest hinge loss that passes a filter. Without a range there is a
// closed form: in the plane of w and the slab's direction v, with w = w_v·v + w_⊥, the minimum of y·wᵀ(x − μ) over the sphere and
// the slab is at α·v − y·β·w_⊥/‖w_⊥‖ with α = clip(−y·r·w_v/‖w‖, ±s) and β = √(r² − α²). With a range, two multipliers are
// searched for; see boxed.
type worst struct {
	f     *Filter
	v     []float64 // unit
	norm  float64   // of μ_− − μ_+
	u     [2][]float64
	c     []float64
	other []float64 // room for mix
	mult  [2]Multipliers
}

// Multipliers certify the largest loss in one class: Slab belongs to ⟨x−μ, μ_−−μ_+⟩, Sphere to ‖x−μ‖² (only with a range). Every
// pair gives an upper bound; see Check.
type Multipliers struct{ Slab, Sphere float64 }

func newWorst(f *Filter) *worst {
	d := len(f.Centroid[0])
	w := &worst{f: f, c: make([]float64, d), other: make([]float64, d)}
	w.v, w.norm = f.direction()
	for j := range w.v {
		if w.norm > 0 {
			w.v[j] /= w.norm
		}
	}
	for k := range w.u {
		w.u[k] = make([]float64, len(w.v))
	}
	return w
}

// find returns the class of the worst item and its margin y(wᵀx + b), and writes the item to x. The multipliers of both classes
// are in w.mult afterwards.
func (w *worst) find(theta, x []float64) (k int, margin float64) {
	d := len(w.v)
	best := math.Inf(1)
	for c := range 2 {
		y := float64(2*c - 1)
		for j := range w.c {
			w.c[j] = -y * theta[j] // maximise cᵀu
		}
		if w.f.hasRange() {
			w.mult[c] = w.boxed(c, w.mult[c])
		} else {
			w.mult[c] = w.closed(c)
		}
		m := theta[d]
		for j, mu := range w.f.Centroid[c] {
			m += theta[j] * (mu + w.u[c][j])
		}
		if m *= y; m < best {
			best, k = m, c
		}
	}
	for j := range x {
		x[j] = w.f.Centroid[k][j] + w.u[k][j]
	}
	return k, best
}

// closed maximises cᵀu over the sphere and the slab of a class.
func (w *worst) closed(k int) Multipliers {
	r, s, u := w.f.Radius[k], w.f.Width[k], w.u[k]
	along, sq := 0.0, 0.0
	for j, c := range w.c {
		along += c * w.v[j]
		sq += c * c
	}
	if sq == 0 {
		clear(u)
		return Multipliers{}
	}
	alpha := r * along / math.Sqrt(sq)
	if math.Abs(alpha) <= s { // the slab is not in the way
		f := r / math.Sqrt(sq)
		for j, c := range w.c {
			u[j] = f * c
		}
		return Multipliers{}
	}
	alpha = math.Copysign(min(s, r), along)
	beta := math.Sqrt(max(0, (r-s)*(r+s)))
	perp := 0.0
	for j, c := range w.c {
		u[j] = c - along*w.v[j]
		perp += u[j] * u[j]
	}
	perp = math.Sqrt(perp)
	f := 0.0
	if perp > 0 {
		f = beta / perp
	}
	for j := range u {
		u[j] = alpha*w.v[j] + f*u[j]
	}
	t := along
	if beta > 0 {
		t = along - alpha*perp/beta
	}
	return Multipliers{Slab: t / w.norm}
}
