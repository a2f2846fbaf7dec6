package kernel

// refTile computes C[h×R] += A[h×k]·B for any R: A[i,t] is a[t*as+i]; row t of B starts at b[(off+idx[t])*ldb], or at
// b[(off+t)*ldb] when idx is nil; row i of C at c[i*ldc]. It is the reference of every tile.
func refTile[T Float](h, k int, a []T, as int, b []T, off int, idx []int32, ldb int, c []T, ldc, R int) {
	for i := 0; i < h; i++ {
		ci := c[i*ldc : i*ldc+R]
		for r := 0; r < R; {
			if R-r >= 4 {
				refRow4(ci[r:r+4], k, a[i:], as, b[r:], off, idx, ldb)
				r += 4
				continue
			}
			s := T(0)
			for t := 0; t < k; t++ {
				s += a[t*as+i] * b[refRow(off, t, idx)*ldb+r]
			}
			ci[r] += s
			r++
		}
	}
}

func refRow(off, t int, idx []int32) int {
	if idx == nil {
		return off + t
	}
	return off + int(idx[t])
}

// refRow4 is one row of A times four lanes, with the sums in registers.
func refRow4[T Float](c []T, k int, a []T, as int, b []T, off int, idx []int32, ldb int) {
	var s0, s1, s2, s3 T
	for t := 0; t < k; t++ {
		j := refRow(off, t, idx) * ldb
		v, x := a[t*as], b[j:j+4:j+4]
		s0 += v * x[0]
		s1 += v * x[1]
		s2 += v * x[2]
		s3 += v * x[3]
	}
	c[0] += s0
	c[1] += s1
	c[2] += s2
	c[3] += s3
}
