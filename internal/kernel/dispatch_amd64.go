//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

func detect() isa {
	switch x := &cpu.X86; {
	case x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512VL && x.HasFMA && x.HasAVX2:
		return isaAVX512
	case x.HasAVX2 && x.HasFMA:
		return isaAVX2
	}
	return isaGo
}

// panel computes C[h×R] += A[h×k]·B with R a multiple of 8; see refTile for the addressing. The caller has checked that
// every element that is touched exists.
func panel[T Float](h, k int, a []T, as int, b []T, off int, idx []int32, ldb int, c []T, ldc, R int) {
	if h == 0 || k == 0 || R == 0 {
		return
	}
	if active == isaGo {
		refTile(h, k, a, as, b, off, idx, ldb, c, ldc, R)
		return
	}
	ip, size := unsafe.SliceData(idx), int(unsafe.Sizeof(a[0]))
	if active == isaAVX512 {
		panel512[T](h, k, addr(a, 0), as, addr(b, 0), off, ip, ldb, addr(c, 0), ldc, R)
		return
	}
	top := 6 // rows of a tile of two vectors
	if R*size == 32 {
		top = 12
	}
	for i := 0; i < h; {
		n := (h - i + (h-i-1)/top) / ((h-i-1)/top + 1) // the rest in equal parts of at most top
		panel2[T](n, k, addr(a, i), as, addr(b, 0), off, ip, ldb, addr(c, i*ldc), ldc, R)
		i += n
	}
}

// addr returns the address of x[i].
func addr[T Float](x []T, i int) unsafe.Pointer { return unsafe.Pointer(&x[i]) }

// panel512 covers the lanes with the widest tiles that the height allows.
func panel512[T Float](h, k int, a unsafe.Pointer, as int, b unsafe.Pointer, off int, idx *int32, ldb int, c unsafe.Pointer, ldc, R int) {
	var x T
	size := int(unsafe.Sizeof(x))
	w := 64 / size
	for r := 0; r < R; {
		bp, cp := unsafe.Add(b, r*size), unsafe.Add(c, r*size)
		switch rest := R - r; {
		case h <= 2 && rest >= 8*w:
			r += 8 * w
			if size == 4 {
				tile128F32AVX512(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
			} else {
				tile64F64AVX512(h, k, (*float64)(a), as, (*float64)(bp), off, idx, ldb, (*float64)(cp), ldc)
			}
		case h <= 6 && rest >= 4*w:
			r += 4 * w
			if size == 4 {
				tile64F32AVX512(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
			} else {
				tile32F64AVX512(h, k, (*float64)(a), as, (*float64)(bp), off, idx, ldb, (*float64)(cp), ldc)
			}
		case rest >= 2*w:
			r += 2 * w
			if size == 4 {
				tile32F32AVX512(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
			} else {
				tile16F64AVX512(h, k, (*float64)(a), as, (*float64)(bp), off, idx, ldb, (*float64)(cp), ldc)
			}
		case rest >= w:
			r += w
			if size == 4 {
				tile16F32AVX512(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
			} else {
				tile8F64AVX512(h, k, (*float64)(a), as, (*float64)(bp), off, idx, ldb, (*float64)(cp), ldc)
			}
		default: // eight lanes of float32
			r += 8
			tile8F32AVX2(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
		}
	}
}

// panel2 covers the lanes with tiles of AVX2.
func panel2[T Float](h, k int, a unsafe.Pointer, as int, b unsafe.Pointer, off int, idx *int32, ldb int, c unsafe.Pointer, ldc, R int) {
	var x T
	size := int(unsafe.Sizeof(x))
	w := 32 / size
	for r := 0; r < R; {
		bp, cp := unsafe.Add(b, r*size), unsafe.Add(c, r*size)
		switch rest := R - r; {
		case h <= 2 && rest >= 4*w:
			r += 4 * w
			if size == 4 {
				tile32F32AVX2(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
			} else {
				tile16F64AVX2(h, k, (*float64)(a), as, (*float64)(bp), off, idx, ldb, (*float64)(cp), ldc)
			}
		case rest >= 2*w:
			r += 2 * w
			if size == 4 {
				tile16F32AVX2(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
			} else {
				tile8F64AVX2(h, k, (*float64)(a), as, (*float64)(bp), off, idx, ldb, (*float64)(cp), ldc)
			}
		default: // eight lanes of float32
			r += 8
			tile8F32AVX2(h, k, (*float32)(a), as, (*float32)(bp), off, idx, ldb, (*float32)(cp), ldc)
		}
	}
}
