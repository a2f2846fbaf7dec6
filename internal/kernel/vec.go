package kernel

import "math"

// need panics unless every slice has n elements: the assembly does not look at lengths.
func need(n int, xs ...[]float64) {
	for _, x := range xs {
		if len(x) < n {
			panic("kernel: slice too short")
		}
	}
}

// Axpy computes dst[i] += f·x[i]. It panics if x is shorter than dst. dst and x may be the same slice.
func Axpy(dst, x []float64, f float64) {
	need(len(dst), x)
	for i := axpy(len(dst), dst, x, f); i < len(dst); i++ {
		dst[i] += f * x[i]
	}
}

// AbsAxpy computes dst[i] += f·|x[i]|. It panics if x is shorter than dst.
func AbsAxpy(dst, x []float64, f float64) {
	need(len(dst), x)
	for i := absAxpy(len(dst), dst, x, f); i < len(dst); i++ {
		dst[i] += f * math.Abs(x[i])
	}
}

// SignAxpy computes dst[i] += pos·a[i] where a[i] >= 0 and neg·a[i] elsewhere: with pos = lower and neg = upper it adds
// the minimum of a·x over the interval. It panics if a is shorter than dst.
func SignAxpy(dst, a []float64, pos, neg float64) {
	need(len(dst), a)
	for i := signAxpy(len(dst), dst, a, pos, neg); i < len(dst); i++ {
		f := pos
		if a[i] < 0 {
			f = neg
		}
		dst[i] += f * a[i]
	}
}

// Relax is the backward pass through one neuron for len(a) lanes of coefficients a: it computes
// nu += (a >= 0 ? alpha : slope)·a, d += min(a,0)·t and e += |a|·S. It panics if nu, d or e is shorter than a.
// None of the slices may overlap.
func Relax(nu, d, e, a []float64, alpha, slope, t, S float64) {
	n := len(a)
	need(n, nu, d, e)
	for i := relax(n, nu, d, e, a, alpha, slope, t, S); i < n; i++ {
		relaxOne(&nu[i], &d[i], &e[i], a[i], alpha, slope, t, S)
	}
}

// RelaxLanes is Relax with one value of every parameter per lane (lanes that are different sub-domains).
func RelaxLanes(nu, d, e, a, alpha, slope, t, S []float64) {
	n := len(a)
	need(n, nu, d, e, alpha, slope, t, S)
	for i := relaxLanes(n, nu, d, e, a, alpha, slope, t, S); i < n; i++ {
		relaxOne(&nu[i], &d[i], &e[i], a[i], alpha[i], slope[i], t[i], S[i])
	}
}

func relaxOne(nu, d, e *float64, a, alpha, slope, t, S float64) {
	if a < 0 {
		*nu += slope * a
		*d += a * t
		*e += -a * S
		return
	}
	*nu += alpha * a
	*e += a * S
}

// Dot returns Σ x[i]·y[i]. It panics if y is shorter than x.
func Dot(x, y []float64) float64 {
	need(len(x), y)
	s, i := dot(len(x), x, y)
	for ; i < len(x); i++ {
		s += x[i] * y[i]
	}
	return s
}

// AbsDot returns Σ |x[i]|·y[i]. It panics if y is shorter than x.
func AbsDot(x, y []float64) float64 {
	need(len(x), y)
	s, i := absDot(len(x), x, y)
	for ; i < len(x); i++ {
		s += math.Abs(x[i]) * y[i]
	}
	return s
}
