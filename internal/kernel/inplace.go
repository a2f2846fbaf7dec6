package kernel

// MulInPlace computes C[m×R] += A·B[k×R] for A[i,t] = a[t*lda+i], the transpose of rows that begin at a distance of lda,
// without any copy: for matrices so small that a copy of A would cost as much as the product. Row i of C starts at c[i*R], row
// t of B at b[t*R]. R is a multiple of 8. It panics on any other R and on slices that are too short. c and b must not overlap.
func MulInPlace[T Float](m, k int, a []T, lda int, b, c []T, R int) {
	if m <= 0 || k <= 0 || R == 0 {
		return
	}
	if R < 0 || R%8 != 0 || lda < m {
		panic("kernel: lanes must be a multiple of 8 and rows must not overlap")
	}
	if len(a) < (k-1)*lda+m || len(b) < k*R || len(c) < m*R {
		tooShort()
	}
	n := (m + panelHeight - 1) / panelHeight
	for p, row := 0, 0; p < n; p++ {
		h := (m - row) / (n - p)
		panel(h, k, a[row:], lda, b, 0, nil, R, c[row*R:], R, R)
		row += h
	}
}
