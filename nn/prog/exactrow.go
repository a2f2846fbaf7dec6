package prog

import "math"

// exactly handles an affine node all of whose sums are exact in every execution: sources that are points, numbers that are multiples
// of one power of two, and sums below 2²⁴ of its units, as in the layers of ±1 of binarised networks and over pixels. s holds Σ|M|·|x|
// plus the magnitudes of the constants, e.mid the sums. It reports false, and changes nothing, where that does not hold.
//
// Sound because every product, every partial sum in any order and every value between folded maps is a multiple of the unit, or of one
// that is larger against its own magnitude, and at most 2²⁴ of them: binary32 holds it exactly, and it is no subnormal number.
func (e *enclosure) exactly(k int, n *Node, s []float64) bool {
	if n.Rel != 0 || n.Rounding.BiasMag != nil || e.wild[k] {
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
	fits := func() bool { return w >= 0x1p-60 && x >= 0x1p-60 && b >= 0x1p-100 && top < 0x1p24*min(w*x, b) }
	row := []float64(nil)
	for _, t := range n.Terms { // one row says no for nearly every network of ordinary weights
		row = append(row[:0], make([]float64, e.p.Nodes[t.Src].N)...)
		t.Map.Row(row, 1, 0, 0, 1)
		for _, v := range row {
			w = min(w, unitOf(v))
		}
	}
	if !fits() {
		return false
	}
	for _, t := range n.Terms {
		t.Map.Each(func(_, _ int, v float64) { w = min(w, unitOf(v)) })
	}
	if !fits() {
		return false
	}
	e.local[k] = make([]float64, n.N)
	for i, v := range e.mid[k] {
		e.L[k][i], e.U[k][i], e.rad[k][i] = v, v, 0
	}
	return true
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
