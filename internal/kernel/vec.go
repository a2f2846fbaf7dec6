package kernel

// tooShort is the panic of every function whose slices do not hold what its shape says: the assembly does not look at lengths.
func tooShort() { panic("kernel: slice too short") }

// abs is the absolute value; negating is exact, and the comparison lets NaN through. The sign of zero stays.
func abs[T Float](x T) T {
	if x < 0 {
		return -x
	}
	return x
}

// Axpy computes dst[i] += f·x[i]. It panics if x is shorter than dst. dst and x may be the same slice.
func Axpy[T Float](dst, x []T, f T) {
	if len(x) < len(dst) {
		tooShort()
	}
	for i := axpy(dst, x, f); i < len(dst); i++ {
		dst[i] += f * x[i]
	}
}

// AbsAxpy computes dst[i] += f·|x[i]|. It panics if x is shorter than dst.
func AbsAxpy[T Float](dst, x []T, f T) {
	if len(x) < len(dst) {
		tooShort()
	}
	for i := absAxpy(dst, x, f); i < len(dst); i++ {
		dst[i] += f * abs(x[i])
	}
}

// SignAxpy computes dst[i] += pos·a[i] where a[i] >= 0 and neg·a[i] elsewhere: with pos = lower and neg = upper it adds
// the minimum of a·x over the interval. It panics if a is shorter than dst.
func SignAxpy[T Float](dst, a []T, pos, neg T) {
	if len(a) < len(dst) {
		tooShort()
	}
	for i := signAxpy(dst, a, pos, neg); i < len(dst); i++ {
		f := pos
		if a[i] < 0 {
			f = neg
		}
		dst[i] += f * a[i]
	}
}

// Dot returns Σ x[i]·y[i]. It panics if y is shorter than x.
func Dot[T Float](x, y []T) T {
	if len(y) < len(x) {
		tooShort()
	}
	s, i := dot(x, y)
	for ; i < len(x); i++ {
		s += x[i] * y[i]
	}
	return s
}

// AbsDot returns Σ |x[i]|·y[i]. It panics if y is shorter than x.
func AbsDot[T Float](x, y []T) T {
	if len(y) < len(x) {
		tooShort()
	}
	s, i := absDot(x, y)
	for ; i < len(x); i++ {
		s += abs(x[i]) * y[i]
	}
	return s
}
