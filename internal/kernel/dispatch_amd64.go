//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

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
func panel(h, k int, a []float64, as int, b []float64, off int, idx []int32, ldb int, c []float64, ldc, R int) {
	if h == 0 || k == 0 || R == 0 {
		return
	}
	var ip *int32
	if idx != nil {
		ip = &idx[0]
	}
	switch active {
	case isaAVX512:
		panel512(h, k, &a[0], as, b, off, ip, ldb, c, ldc, R)
	case isaAVX2:
		for i := 0; i < h; {
			n := (h - i + (h-i-1)/6) / ((h-i-1)/6 + 1) // the rest in equal parts of at most 6
			panel2(n, k, &a[i], as, b, off, ip, ldb, c[i*ldc:], ldc, R)
			i += n
		}
	default:
		refTile(h, k, a, as, b, off, idx, ldb, c, ldc, R)
	}
}

// panel512 covers the lanes with the widest tiles that the height allows.
func panel512(h, k int, a *float64, as int, b []float64, off int, idx *int32, ldb int, c []float64, ldc, R int) {
	r := 0
	if h <= 2 {
		for ; R-r >= 64; r += 64 {
			tile64AVX512(h, k, a, as, &b[r], off, idx, ldb, &c[r], ldc)
		}
	}
	if h <= 6 {
		for ; R-r >= 32; r += 32 {
			tile32AVX512(h, k, a, as, &b[r], off, idx, ldb, &c[r], ldc)
		}
	}
	for ; R-r >= 16; r += 16 {
		tile16AVX512(h, k, a, as, &b[r], off, idx, ldb, &c[r], ldc)
	}
	if r < R {
		tile8AVX512(h, k, a, as, &b[r], off, idx, ldb, &c[r], ldc)
	}
}

func panel2(h, k int, a *float64, as int, b []float64, off int, idx *int32, ldb int, c []float64, ldc, R int) {
	r := 0
	if h <= 2 {
		for ; R-r >= 16; r += 16 {
			tile16AVX2(h, k, a, as, &b[r], off, idx, ldb, &c[r], ldc)
		}
	}
	for ; r < R; r += 8 {
		tile8AVX2(h, k, a, as, &b[r], off, idx, ldb, &c[r], ldc)
	}
}

func axpy(n int, dst, x []float64, f float64) int {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			axpyAVX512(n, &dst[0], &x[0], f)
		}
		return n
	case isaAVX2:
		if n &^= 3; n > 0 {
			axpyAVX2(n, &dst[0], &x[0], f)
		}
		return n
	}
	return 0
}

func absAxpy(n int, dst, x []float64, f float64) int {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			absAxpyAVX512(n, &dst[0], &x[0], f)
		}
		return n
	case isaAVX2:
		if n &^= 3; n > 0 {
			absAxpyAVX2(n, &dst[0], &x[0], f)
		}
		return n
	}
	return 0
}

func signAxpy(n int, dst, a []float64, pos, neg float64) int {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			signAxpyAVX512(n, &dst[0], &a[0], pos, neg)
		}
		return n
	case isaAVX2:
		if n &^= 3; n > 0 {
			signAxpyAVX2(n, &dst[0], &a[0], pos, neg)
		}
		return n
	}
	return 0
}

func relax(n int, nu, d, e, a []float64, alpha, slope, t, S float64) int {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			relaxAVX512(n, &nu[0], &d[0], &e[0], &a[0], alpha, slope, t, S)
		}
		return n
	case isaAVX2:
		if n &^= 3; n > 0 {
			relaxAVX2(n, &nu[0], &d[0], &e[0], &a[0], alpha, slope, t, S)
		}
		return n
	}
	return 0
}

func relaxLanes(n int, nu, d, e, a, alpha, slope, t, S []float64) int {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			relaxLanesAVX512(n, &nu[0], &d[0], &e[0], &a[0], &alpha[0], &slope[0], &t[0], &S[0])
		}
		return n
	case isaAVX2:
		if n &^= 3; n > 0 {
			relaxLanesAVX2(n, &nu[0], &d[0], &e[0], &a[0], &alpha[0], &slope[0], &t[0], &S[0])
		}
		return n
	}
	return 0
}

func dot(n int, x, y []float64) (float64, int) {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			return dotAVX512(n, &x[0], &y[0]), n
		}
	case isaAVX2:
		if n &^= 3; n > 0 {
			return dotAVX2(n, &x[0], &y[0]), n
		}
	}
	return 0, 0
}

func absDot(n int, x, y []float64) (float64, int) {
	switch active {
	case isaAVX512:
		if n &^= 7; n > 0 {
			return absDotAVX512(n, &x[0], &y[0]), n
		}
	case isaAVX2:
		if n &^= 3; n > 0 {
			return absDotAVX2(n, &x[0], &y[0]), n
		}
	}
	return 0, 0
}
