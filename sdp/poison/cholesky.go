package poison

import "math"

// factorise overwrites the lower triangle of a positive definite matrix by Cholesky's factor. The order of operations is fixed,
// so equal matrices have equal factors on every machine without fused products. A pivot below 1e−12 becomes that: what follows
// is then no solution, but still the same function of the matrix.
func factorise(a []float64, n int) {
	for i := range n {
		for j := range i + 1 {
			sum := a[i*n+j]
			for t, v := range a[i*n : i*n+j] {
				sum -= v * a[j*n+t]
			}
			if i == j {
				a[i*n+i] = math.Sqrt(max(sum, 1e-12))
			} else {
				a[i*n+j] = sum / a[j*n+j]
			}
		}
	}
}

// substitute overwrites y, n rows of k, by the solution of A·X = Y, given A's factor.
func substitute(a, y []float64, n, k int) {
	for c := range k {
		for i := range n {
			sum := y[i*k+c]
			for t := range i {
				sum -= a[i*n+t] * y[t*k+c]
			}
			y[i*k+c] = sum / a[i*n+i]
		}
		for i := n - 1; i >= 0; i-- {
			v := y[i*k+c] / a[i*n+i]
			y[i*k+c] = v
			for t, f := range a[i*n : i*n+i] { // by rows, which lie together
				y[t*k+c] -= f * v
			}
		}
	}
}
