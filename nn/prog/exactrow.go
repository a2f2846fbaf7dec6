package prog

import "math"

// exactly handles an affine node all of whose sums are exact in every execution: sources that are points, numbers that are multiples
// of one power of two, and sums below 2²⁴ of its units, as in the layers of ±1 of binarised networks and over pixels. s holds Σ|M|·|x|
// plus the magnitudes of the constants, e.mid the sums. It reports false, and changes nothing, where that does not hold.
//
// Sound because every product, every partial sum in any order and every value between folded maps is a multiple of the unit, or of one
// that is larger against its own magnitude, and at most 2²⁴ of them: binary32 holds it exactly. It is no subnormal number and
// does not overflow, with room for what is scaled between folded maps.
func (e *enclosure) exactly(k int, n *Node, s []float64) bool {
	if n.Rel != 0 || n.Rounding.BiasMag != nil || n.Rounding.Merged || e.wild[k] {
		return false
	}
	x := math.Inf(1) // unit of the sources
	for _, t := range n.Terms {
		for j, r := range e.rad[t.Src] {
			v := e.mid[t.Src][j]
			if r != 0 || e.L[t.Src][j] != v || e.U[t.Src][j] != v {
				return false
			}
			x = min(x, unitOf(v))
		}
	}
	top := 0.0
	for _, v := range s {
		top = max(top, v)
	}
	w, b := math.Inf(1), math.Inf(1)
	for _, v := range n.Bias {
		b = min(b, unitOf(v))
	}
	least := max(0x1p-60, top/(0x1p24*x)) // below that the sums are too large for their unit
	for _, t := range n.Terms {
		w = min(w, unitOfMap(t.Map, least))
	}
	if !(w >= 0x1p-60 && x >= 0x1p-60 && w*x >= 0x1p-100 && b >= 0x1p-100 && top < min(limit32, 0x1p24*min(w*x, b))) {
		return false
	}
	e.local[k] = make([]float64, n.N)
	for i, v := range e.mid[k] {
		e.L[k][i], e.U[k][i], e.rad[k][i] = v, v, 0
	}
	return true
}

// unitOfMap returns the largest power of two that every coefficient is a multiple of, +Inf for none, 0 where that is below least
// and for maps whose coefficients would have to be enumerated.
func unitOfMap(m Linear, least float64) float64 {
	switch m := m.(type) {
	case *denseMap:
		return unitOfAll(m.w, least)
	case *convMap:
		return unitOfAll(m.w, least)
	case *sparseMap:
		return m.unit(least)
	case diagMap:
		return m.unit(least)
	}
	return 0
}

func (s *sparseMap) unit(least float64) float64 {
	w := math.Inf(1)
	for i := range s.m {
		_, val := s.csr.Row(i)
		if w = min(w, unitOfAll(val, least)); w == 0 {
			break
		}
	}
	return w
}

// unitOfAll is the least unitOf, 0 below the given one: most lists show that with their first numbers.
func unitOfAll(list []float64, least float64) float64 {
	w := math.Inf(1)
	for _, v := range list {
		if w = min(w, unitOf(v)); w < least {
			return 0
		}
	}
	return w
}

// unitOf returns the largest power of two that v is a multiple of, +Inf for 0.
func unitOf(v float64) float64 {
	if v == 0 {
		return math.Inf(1)
	}
	f, e := math.Frexp(v)
	m := uint64(math.Abs(math.Ldexp(f, 53)))
	return math.Ldexp(float64(m&-m), e-53)
}
