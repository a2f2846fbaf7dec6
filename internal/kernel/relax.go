package kernel

import (
	"math"
	"unsafe"
)

// The backward passes of bound propagation through activations. a are the coefficients of a linear form on the outputs of
// a layer, ν (nu) become those on its inputs, and d collects constants, for R lanes that are different linear forms or
// sub-domains. A NaN among the coefficients reaches ν, so that it cannot end as a bound.
//
// ν = fl(ν + k·a) has one rounding in every implementation: its error is then a unit of |ν|, which callers charge, also where
// the product cancels against what another consumer of the neuron's input left in ν.

// Lines are the lower lines KL·z + TL and upper lines KU·z + TU of a layer, one of each per row.
type Lines[T Float] struct{ KL, TL, KU, TU []T }

// rows returns the number of rows. It panics if the slices do not have the same length.
func (l Lines[T]) rows() int {
	n := len(l.KL)
	if len(l.TL) != n || len(l.KU) != n || len(l.TU) != n {
		panic("kernel: Lines: length mismatch")
	}
	return n
}

// inside panics unless every row of the list lies in n elements of R lanes.
func inside(idx []int32, n, R int) {
	for limit := uint(n / R); len(idx) > 0; idx = idx[1:] {
		if uint(int(idx[0])) >= limit {
			panic("kernel: row outside the lanes")
		}
	}
}

// AddRows computes nu[j*R+r] += a[j*R+r] for every row j of the list and all R lanes. It panics if a row is not in both
// slices. nu and a must not overlap, and no row may be listed twice.
func AddRows[T Float](nu, a []T, idx []int32, R int) {
	if len(idx) == 0 || R <= 0 {
		return
	}
	inside(idx, min(len(nu), len(a)), R)
	for r := addRows(nu, a, idx, R); r < R; r++ {
		for _, j := range idx {
			o := int(j)*R + r
			nu[o] += a[o]
		}
	}
}

// RelaxSharedRows is the backward pass through the unstable ReLUs idx of a layer with one lower slope for all lanes: neuron
// idx[i] has its R lanes at idx[i]*R of nu and a, the lower line slope[i]·z and the upper line s[i]·z + t[i]. Per lane
// nu += slope·max(a,0) + s·min(a,0) and d += t·min(a,0). If save is not nil, the lanes of a are copied to save[i*R:]. It panics
// on anything outside the slices. None of the slices may overlap, and no neuron may be listed twice.
func RelaxSharedRows[T Float](nu, d, a, save []T, idx []int32, R int, slope, s, t []T) {
	n := len(idx)
	if n == 0 || R <= 0 {
		return
	}
	if len(d) < R || len(slope) < n || len(s) < n || len(t) < n || save != nil && len(save) < n*R {
		tooShort()
	}
	inside(idx, min(len(nu), len(a)), R)
	done := relaxSharedVec(nu, d, a, save, idx, R, slope, s, t)
	if done == R {
		return
	}
	for i, j := range idx {
		o := int(j) * R
		for r := done; r < R; r++ {
			relaxOne(&nu[o+r], &d[r], a[o+r], slope[i], s[i], t[i])
		}
		if save != nil {
			copy(save[i*R+done:i*R+R], a[o+done:o+R])
		}
	}
}

// RelaxLanesRows is RelaxSharedRows with a lower slope per lane: slope[i*R+r].
func RelaxLanesRows[T Float](nu, d, a, save, slope []T, idx []int32, R int, s, t []T) {
	n := len(idx)
	if n == 0 || R <= 0 {
		return
	}
	if len(d) < R || len(slope) < n*R || len(s) < n || len(t) < n || save != nil && len(save) < n*R {
		tooShort()
	}
	inside(idx, min(len(nu), len(a)), R)
	done := relaxLanesVec(nu, d, a, save, slope, idx, R, s, t)
	if done == R {
		return
	}
	for i, j := range idx {
		o := int(j) * R
		for r := done; r < R; r++ {
			relaxOne(&nu[o+r], &d[r], a[o+r], slope[i*R+r], s[i], t[i])
		}
		if save != nil {
			copy(save[i*R+done:i*R+R], a[o+done:o+R])
		}
	}
}

func relaxOne[T Float](nu, d *T, a, slope, s, t T) {
	q := min(a, 0)
	if a < 0 {
		slope = s
	}
	*nu = fma(slope, a, *nu)
	*d += t * q
}

// fma returns x·y + z with one rounding; for float32 it goes through float64, where the product is exact, and errs by at
// most 2⁻²⁴ + 2⁻⁵³ relatively.
func fma[T Float](x, y, z T) T {
	if unsafe.Sizeof(x) == 4 {
		return T(float64(x)*float64(y) + float64(z))
	}
	return T(math.FMA(float64(x), float64(y), float64(z)))
}

// RelaxLinesRows is the backward pass through consecutive neurons: neuron i has its R lanes at i*R of nu and a, and the lines i
// of l. With (k, t) = (KL, TL) where a >= 0 and (KU, TU) elsewhere, nu += k·a, d += t·a and m += |t·a|. It panics on anything
// outside the slices. None of the slices may overlap.
func RelaxLinesRows[T Float](nu, d, m, a []T, R int, l Lines[T]) {
	n := l.rows()
	if n == 0 || R <= 0 {
		return
	}
	if len(nu) < n*R || len(a) < n*R || len(d) < R || len(m) < R {
		tooShort()
	}
	done := relaxLinesVec(nu, d, m, a, R, l)
	if done == R {
		return
	}
	for i := range l.KL {
		for r := done; r < R; r++ {
			v, k, t := a[i*R+r], l.KL[i], l.TL[i]
			if v < 0 {
				k, t = l.KU[i], l.TU[i]
			}
			nu[i*R+r] = fma(k, v, nu[i*R+r])
			c := t * v
			d[r] += c
			m[r] += abs(c)
		}
	}
}

// SumRows adds up rows of lanes against two vectors: d[r] += Σ_i a[i*R+r]·b[i] and e[r] += Σ_i |a[i*R+r]|·S[i] over the
// len(S) rows. b nil leaves d alone, which may then be nil too. It panics on anything outside the slices. None of the
// slices may overlap.
func SumRows[T Float](d, e, a []T, R int, b, S []T) {
	n := len(S)
	if n == 0 || R <= 0 {
		return
	}
	if len(e) < R || len(a) < n*R || b != nil && (len(b) < n || len(d) < R) {
		tooShort()
	}
	done := sumRows(d, e, a, R, b, S)
	if done == R {
		return
	}
	for i, f := range S {
		for r := done; r < R; r++ {
			v := a[i*R+r]
			e[r] += abs(v) * f
			if b != nil {
				d[r] += v * b[i]
			}
		}
	}
}
