package poison

import (
	"fmt"
	"math"
	"math/big"
	"slices"
)

// A RefusedError says why a certificate is refused.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "poison: refused: " + e.Reason }

func refusef(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// A Holding is what Check found out about a certificate that holds.
type Holding struct {
	Bound float64 // U(θ), rounded upward
	Clean float64 // the mean clean hinge loss of θ, rounded upward
	Worst float64 // the largest hinge loss of an item that passes the defence, rounded upward
}

// Check evaluates a certificate on the clean data that it names, and returns a *RefusedError unless it holds: the data are
// those of the hash, the defence is the recorded percentiles of these data, ‖θ‖² ≤ ρ² and U(θ) ≤ Bound. It shares no
// arithmetic with the search.
//
// Sound, because every quantity is rounded towards refusal: sums by a-priori bounds of their error, single operations to the next
// float64. The largest loss comes from weak duality, which holds for whatever multipliers were recorded.
func (c *Certificate) Check(b *Binary) (*Holding, error) {
	if c.Data.Items != b.Len() || c.Data.Dim != b.D {
		return nil, refusef("it is about %d items of %d values, the data are %d of %d", c.Data.Items, c.Data.Dim, b.Len(), b.D)
	}
	if h := b.Hash(); c.Data.SHA256 != h {
		return nil, refusef("the data have the SHA-256 %s, it names %s", h, c.Data.SHA256)
	}
	f, err := c.Filter.filter()
	if err != nil {
		return nil, refusef("%v", err)
	}
	if len(c.Theta) != b.D+1 || len(f.Centroid[0]) != b.D || len(f.Centroid[1]) != b.D {
		return nil, refusef("θ or a centroid has the wrong length")
	}
	if !(c.Epsilon >= 0) || !(c.NormSquared >= 0) || !(c.Bound >= 0) {
		return nil, refusef("ε, ρ² or the bound is negative")
	}
	if err := checkFilter(b, f); err != nil {
		return nil, err
	}
	if n := sumSquaresUp(c.Theta); !(n <= c.NormSquared) {
		return nil, refusef("‖θ‖² may be %v, above %v", n, c.NormSquared)
	}
	h, err := c.hold(b, f)
	if err != nil {
		return nil, err
	}
	if !(h.Bound <= c.Bound) {
		return nil, refusef("U(θ) may be %v, the claim is %v", h.Bound, c.Bound)
	}
	return h, nil
}

// evaluate returns U(θ), rounded upward, with the filter as recorded.
func (c *Certificate) evaluate(b *Binary, f *Filter) (float64, error) {
	h, err := c.hold(b, f)
	if err != nil {
		return 0, err
	}
	return h.Bound, nil
}

// hold evaluates U(θ), rounding upward.
func (c *Certificate) hold(b *Binary, f *Filter) (*Holding, error) {
	h := &Holding{}
	sum := 0.0
	for i, y := range b.Y {
		sum = addUp(sum, lossUp(c.Theta, b.Row(i), y))
	}
	h.Clean = divUp(sum, float64(b.Len()))
	reach := *f
	if f.Moving {
		reach.Radius = movedUp(b, f, c.Epsilon)
	}
	for k := range 2 {
		worst, err := worstUp(&reach, c.Theta, k, Multipliers(c.Multipliers[k]))
		if err != nil {
			return nil, err
		}
		h.Worst = max(h.Worst, worst)
	}
	h.Bound = addUp(h.Clean, mulUp(c.Epsilon, h.Worst))
	if h.Bound-h.Bound != 0 {
		return nil, refusef("U(θ) is not finite")
	}
	return h, nil
}

// movedUp returns r·(1 + εn/n_y), rounded upward: how far from the clean centroid an item can be that is within r of the
// centroid of clean and poisoned data; see Filter.widened.
func movedUp(b *Binary, f *Filter, epsilon float64) (radius [2]float64) {
	positive := 0
	for _, y := range b.Y {
		if y > 0 {
			positive++
		}
	}
	for k, n := range [2]int{b.Len() - positive, positive} {
		part := divUp(mulUp(epsilon, float64(b.Len())), float64(n))
		radius[k] = mulUp(f.Radius[k], addUp(1, part))
	}
	return radius
}

// lossUp returns max(0, 1 − y(wᵀx + b)), rounded upward.
func lossUp(theta, x []float64, y int8) float64 {
	return max(0, marginUp(theta, x, float64(y)))
}

// marginUp returns 1 − y(wᵀx + b), rounded upward.
func marginUp(theta, x []float64, y float64) float64 {
	d := len(x)
	s, e := dot(theta[:d], x)
	return addUp(addUp(addUp(-y*s, e), 1), -y*theta[d])
}

// worstUp bounds the loss of an item of class k that passes the filter. With u = x − μ, c = −y·w, δ = μ_− − μ_+, and any t and ν,
//
//	−y·wᵀu = (c − tδ − ν)ᵀu + t·δᵀu + νᵀu ≤ r·‖c − tδ − ν‖ + |t|·s·‖δ‖ + Σ_j max(ν_j(Low − μ_j), ν_j(High − μ_j)).
//
// t is recorded, ν follows from the recorded λ: the part of c − tδ − 2λu that the range cuts off. The floats t and ν are exact in
// this inequality; c − tδ − ν is enclosed.
func worstUp(f *Filter, theta []float64, k int, m Multipliers) (float64, error) {
	d := len(f.Centroid[k])
	mu, y := f.Centroid[k], 2*float64(k)-1
	rangeSum, resid, delta := 0.0, 0.0, 0.0
	for j := range d {
		dlo, dhi := subDown(f.Centroid[0][j], f.Centroid[1][j]), subUp(f.Centroid[0][j], f.Centroid[1][j])
		dmax := max(math.Abs(dlo), math.Abs(dhi))
		delta = addUp(delta, mulUp(dmax, dmax))
		tlo, thi := mulDown(m.Slab, dlo), mulUp(m.Slab, dlo)
		tlo, thi = min(tlo, mulDown(m.Slab, dhi)), max(thi, mulUp(m.Slab, dhi))
		lo, hi := subDown(-y*theta[j], thi), subUp(-y*theta[j], tlo) // of c − tδ
		nu := 0.0
		if f.hasRange() {
			nu = cut(f, mu[j], (lo+hi)/2, m.Sphere)
			rangeSum = addUp(rangeSum, edgeUp(f, mu[j], nu))
			if math.IsInf(f.Radius[k], 1) { // what is left must be nothing: the range takes the worse end of it
				rangeSum = addUp(rangeSum, max(edgeUp(f, mu[j], subDown(lo, nu)), edgeUp(f, mu[j], subUp(hi, nu)), 0))
				continue
			}
		}
		r := max(math.Abs(subDown(lo, nu)), math.Abs(subUp(hi, nu)))
		resid = addUp(resid, mulUp(r, r))
	}
	bound := rangeSum
	if !math.IsInf(f.Radius[k], 1) {
		bound = addUp(bound, mulUp(f.Radius[k], sqrtUp(resid)))
	}
	if m.Slab != 0 {
		bound = addUp(bound, mulUp(mulUp(math.Abs(m.Slab), f.Width[k]), sqrtUp(delta)))
	}
	bound = addUp(bound, marginUp(theta, mu, y))
	if bound-bound != 0 {
		return 0, refusef("the largest loss in class %+v is not bounded by the recorded multipliers", y)
	}
	return max(0, bound), nil
}

// cut returns the part of a = c − tδ that the range takes from the sphere: a − 2λ·clip(a/2λ), 0 inside. Any value is valid.
func cut(f *Filter, mu, a, lam float64) float64 {
	u := min(max(a, 2*lam*(f.Low-mu)), 2*lam*(f.High-mu))
	nu := a - u
	if nu-nu != 0 || nu > 0 && math.IsInf(f.High, 1) || nu < 0 && math.IsInf(f.Low, -1) {
		return 0
	}
	return nu
}

// edgeUp returns the largest ν·u with Low − μ ≤ u ≤ High − μ, rounded upward.
func edgeUp(f *Filter, mu, nu float64) float64 {
	switch {
	case nu > 0:
		return mulUp(nu, subUp(f.High, mu))
	case nu < 0:
		return mulUp(nu, subDown(f.Low, mu))
	}
	return 0
}

// checkFilter recomputes the defence from the data. A centroid must be the mean, to within two spacings of float64, exact sums
// deciding. A radius must be at least its percentile, and at most radiusSlack more.
func checkFilter(b *Binary, f *Filter) error {
	for k := range 2 {
		if j := wrongMean(b, int8(2*k-1), f.Centroid[k]); j >= 0 {
			return refusef("feature %d of the centroid of class %+d is not the mean of the data", j, 2*k-1)
		}
		if f.SpherePercent > 0 {
			lo, hi := distances(b, k, func(x []float64) (float64, float64) { return lengthBounds(x, f.Centroid[k]) })
			if err := checkPercentile("radius", f, k, f.Radius[k], f.SpherePercent, lo, hi); err != nil {
				return err
			}
		}
		if f.SlabPercent > 0 {
			w := newProjection(f)
			lo, hi := distances(b, k, func(x []float64) (float64, float64) { return w.bounds(x, f.Centroid[k]) })
			if err := checkPercentile("width", f, k, f.Width[k], f.SlabPercent, lo, hi); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPercentile wants the value between the percentile's upper bound and radiusSlack above its lower bound.
func checkPercentile(what string, f *Filter, k int, value, percent float64, lo, hi []float64) error {
	least, most := percentileBound(hi, percent, true), percentileBound(lo, percent, false)
	if !(value >= least && value <= most+f.slack(most, radiusSlack)) {
		return refusef("the %s of class %+d is recorded as %v, the data have %v", what, 2*k-1, value, least)
	}
	return nil
}

// distances returns, for the items of a class, sorted lower and sorted upper bounds of a distance. The i-th of either bounds the
// i-th smallest distance.
func distances(b *Binary, k int, bounds func(x []float64) (lo, hi float64)) (lo, hi []float64) {
	for i, y := range b.Y {
		if class(y) == k {
			l, h := bounds(b.Row(i))
			lo, hi = append(lo, l), append(hi, h)
		}
	}
	slices.Sort(lo)
	slices.Sort(hi)
	return lo, hi
}

// percentileBound interpolates between the order statistics of sorted bounds, upward or downward. The position is exact.
func percentileBound(v []float64, percent float64, upward bool) float64 {
	at := new(big.Rat).SetFloat64(percent)
	at.Mul(at, big.NewRat(int64(len(v)-1), 100))
	whole := new(big.Int).Quo(at.Num(), at.Denom())
	i := int(whole.Int64())
	if i >= len(v)-1 {
		return v[len(v)-1]
	}
	at.Sub(at, new(big.Rat).SetInt(whole))
	part, _ := at.Float64()
	if upward {
		return addUp(v[i], mulUp(subUp(v[i+1], v[i]), min(1, up(part))))
	}
	return addDown(v[i], mulDown(subDown(v[i+1], v[i]), max(0, down(part))))
}

// lengthBounds encloses ‖x − μ‖.
func lengthBounds(x, mu []float64) (lo, hi float64) {
	for j, v := range x {
		a, b := subDown(v, mu[j]), subUp(v, mu[j])
		most := max(math.Abs(a), math.Abs(b))
		least := max(0, a, -b)
		lo, hi = max(0, addDown(lo, mulDown(least, least))), addUp(hi, mulUp(most, most))
	}
	return sqrtDown(lo), sqrtUp(hi)
}

// A projection encloses |⟨x − μ, δ⟩|/‖δ‖.
type projection struct {
	delta          []float64 // the rounded difference of the centroids
	err            []float64 // bounds of its errors
	normLo, normHi float64
}

func newProjection(f *Filter) *projection {
	p := &projection{}
	p.normLo, p.normHi = lengthBounds(f.Centroid[0], f.Centroid[1])
	for j, m := range f.Centroid[0] {
		d := m - f.Centroid[1][j]
		p.delta = append(p.delta, d)
		p.err = append(p.err, subUp(up(math.Abs(d)), math.Abs(d)))
	}
	return p
}

// bounds encloses by running error bounds: a = x − μ and δ are each wrong by at most one spacing, so a·δ is by what follows.
func (p *projection) bounds(x, mu []float64) (lo, hi float64) {
	diff := make([]float64, len(x))
	extra := 0.0
	for j, v := range x {
		a := v - mu[j]
		ea := subUp(up(math.Abs(a)), math.Abs(a))
		diff[j] = a
		extra = addUp(extra, addUp(mulUp(math.Abs(a), p.err[j]), mulUp(ea, addUp(math.Abs(p.delta[j]), p.err[j]))))
	}
	s, e := dot(diff, p.delta)
	e = addUp(e, extra)
	hi = divUp(addUp(math.Abs(s), e), p.normLo)
	lo = divDown(max(0, subDown(math.Abs(s), e)), p.normHi)
	return lo, hi
}

// wrongMean returns the first feature whose recorded mean is not within two spacings of float64 of the exact mean of the class,
// −1 if there is none.
func wrongMean(b *Binary, y int8, mean []float64) int {
	// Sums of at most 2^53 finite float64 need no more than 2098+53 bits.
	const bits = 2200
	var sums []*big.Float
	for range b.D {
		sums = append(sums, new(big.Float).SetPrec(bits))
	}
	n := 0
	v := new(big.Float)
	for i, l := range b.Y {
		if l != y {
			continue
		}
		n++
		for j, x := range b.Row(i) {
			if x != 0 {
				sums[j].Add(sums[j], v.SetFloat64(x))
			}
		}
	}
	for j, s := range sums {
		m := mean[j]
		lo := new(big.Float).SetPrec(bits).SetFloat64(down(down(m)))
		hi := new(big.Float).SetPrec(bits).SetFloat64(up(up(m)))
		count := new(big.Float).SetInt64(int64(n))
		if n == 0 || s.Cmp(lo.Mul(lo, count)) < 0 || s.Cmp(hi.Mul(hi, count)) > 0 {
			return j
		}
	}
	return -1
}
