//go:build !purego

package kernel

import "unsafe"

// The functions below hand the leading elements or lanes to the assembly and return how many: see vectorised.

// f64 and f32 return the address of the first element, as the type that T is in the branch where they are called.
func f64[T Float](x []T) *float64 { return (*float64)(unsafe.Pointer(unsafe.SliceData(x))) }
func f32[T Float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }

func axpy[T Float](dst, x []T, f T) int {
	n := vectorised[T](len(dst))
	if n == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		axpyF64AVX512(n, f64(dst), f64(x), float64(f))
	case f32AVX512:
		axpyF32AVX512(n, f32(dst), f32(x), float32(f))
	case f64AVX2:
		axpyF64AVX2(n, f64(dst), f64(x), float64(f))
	case f32AVX2:
		axpyF32AVX2(n, f32(dst), f32(x), float32(f))
	}
	return n
}

func absAxpy[T Float](dst, x []T, f T) int {
	n := vectorised[T](len(dst))
	if n == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		absAxpyF64AVX512(n, f64(dst), f64(x), float64(f))
	case f32AVX512:
		absAxpyF32AVX512(n, f32(dst), f32(x), float32(f))
	case f64AVX2:
		absAxpyF64AVX2(n, f64(dst), f64(x), float64(f))
	case f32AVX2:
		absAxpyF32AVX2(n, f32(dst), f32(x), float32(f))
	}
	return n
}

func signAxpy[T Float](dst, a []T, pos, neg T) int {
	n := vectorised[T](len(dst))
	if n == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		signAxpyF64AVX512(n, f64(dst), f64(a), float64(pos), float64(neg))
	case f32AVX512:
		signAxpyF32AVX512(n, f32(dst), f32(a), float32(pos), float32(neg))
	case f64AVX2:
		signAxpyF64AVX2(n, f64(dst), f64(a), float64(pos), float64(neg))
	case f32AVX2:
		signAxpyF32AVX2(n, f32(dst), f32(a), float32(pos), float32(neg))
	}
	return n
}

func dot[T Float](x, y []T) (sum T, done int) {
	n := vectorised[T](len(x))
	if n == 0 {
		return 0, 0
	}
	switch pick[T]() {
	case f64AVX512:
		sum = T(dotF64AVX512(n, f64(x), f64(y)))
	case f32AVX512:
		sum = T(dotF32AVX512(n, f32(x), f32(y)))
	case f64AVX2:
		sum = T(dotF64AVX2(n, f64(x), f64(y)))
	case f32AVX2:
		sum = T(dotF32AVX2(n, f32(x), f32(y)))
	}
	return sum, n
}

func absDot[T Float](x, y []T) (sum T, done int) {
	n := vectorised[T](len(x))
	if n == 0 {
		return 0, 0
	}
	switch pick[T]() {
	case f64AVX512:
		sum = T(absDotF64AVX512(n, f64(x), f64(y)))
	case f32AVX512:
		sum = T(absDotF32AVX512(n, f32(x), f32(y)))
	case f64AVX2:
		sum = T(absDotF64AVX2(n, f64(x), f64(y)))
	case f32AVX2:
		sum = T(absDotF32AVX2(n, f32(x), f32(y)))
	}
	return sum, n
}

// gather4 computes dst[t*ld+i] = src[i*rs+t] for i < 4 and the t < d that it handles.
func gather4[T Float](dst []T, ld int, src []T, rs, d int) int {
	n := d &^ 3
	if active == isaGo || n == 0 {
		return 0
	}
	if pick[T]()&1 == 1 {
		gather4F32AVX2(n, f32(dst), ld, f32(src), rs)
	} else {
		gather4F64AVX2(n, f64(dst), ld, f64(src), rs)
	}
	return n
}
