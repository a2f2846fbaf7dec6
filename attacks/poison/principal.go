package poison

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
)

// moments returns Σ (x−m)(x−m)ᵀ of rows, [width width]. m may be nil for 0.
func moments(ctx context.Context, x, m []float64, width, workers int) ([]float64, error) {
	n := len(x) / width
	shards := (n + 1023) / 1024
	sums := make([][]float64, min(shards, 16)) // each takes every 16th shard, in order
	err := each(ctx, workers, len(sums), func(_, first int) {
		var mul kernel.Multiplier[float64]
		s, c := make([]float64, width*width), make([]float64, 0, 1024*width)
		for shard := first; shard < shards; shard += len(sums) {
			c = append(c[:0], x[shard*1024*width:min((shard+1)*1024, n)*width]...)
			if m != nil {
				for k := range c {
					c[k] -= m[k%width]
				}
			}
			mul.Mul(width, width, len(c)/width, 1, columns(c, width), rows(c, width), rows(s, width))
		}
		sums[first] = s
	})
	if err != nil {
		return nil, err
	}
	total := make([]float64, width*width)
	for _, s := range sums {
		kernel.Axpy(total, s, 1)
	}
	return total, nil
}

// principal returns the k eigenvectors of a symmetric positive semidefinite matrix with the largest eigenvalues, one row each,
// and the eigenvalues, by orthogonal iteration on a few vectors more than are wanted. It stops when the eigenvalues settle, or
// after 1000 steps: directions of equal eigenvalues are then any of their plane.
func principal(ctx context.Context, a []float64, width, k int, r *rand.Rand) (vectors, values []float64, err error) {
	k = min(k, width)
	b := min(width, k+8)
	q, next := make([]float64, b*width), make([]float64, b*width)
	for i := range q {
		q[i] = r.NormFloat64()
	}
	orthonormal(q, width)
	var mul kernel.Multiplier[float64]
	small, last := make([]float64, b*b), make([]float64, b)
	for range 1000 {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		clear(next)
		mul.Mul(b, width, width, 1, rows(q, width), rows(a, width), rows(next, width))
		// Rayleigh and Ritz: the best directions in the span are the eigenvectors of QAQᵀ.
		clear(small)
		mul.Mul(b, b, width, 1, rows(q, width), columns(next, width), rows(small, b))
		rotation, ritz := jacobi(small, b)
		clear(q)
		mul.Mul(b, width, b, 1, rows(rotation, b), rows(next, width), rows(q, width))
		orthonormal(q, width)
		settled := true
		for i, v := range ritz {
			settled = settled && (i >= k || math.Abs(v-last[i]) <= 1e-13*math.Abs(ritz[0]))
		}
		copy(last, ritz)
		if settled {
			break
		}
	}
	return q[:k*width], last[:k], nil
}

// orthonormal makes rows orthonormal by Gram and Schmidt, twice for the digits. Rows that depend on earlier ones become 0.
func orthonormal(q []float64, width int) {
	for i := 0; i < len(q); i += width {
		v := q[i : i+width]
		size := norm(v)
		for range 2 {
			for j := 0; j < i; j += width {
				kernel.Axpy(v, q[j:j+width], -kernel.Dot(v, q[j:j+width]))
			}
		}
		left := norm(v)
		if !(left > 1e-12*size) {
			clear(v)
			continue
		}
		for k := range v {
			v[k] /= left
		}
	}
}

// jacobi returns the eigenvectors of a symmetric matrix [n n], one row each, by decreasing eigenvalue, and the eigenvalues, by
// cyclic rotations. It destroys the matrix.
func jacobi(a []float64, n int) (vectors, values []float64) {
	v := make([]float64, n*n)
	for i := range n {
		v[i*n+i] = 1
	}
	for range 60 {
		off, all := 0.0, 0.0
		for i := range n {
			for j := range n {
				all += a[i*n+j] * a[i*n+j]
				if i != j {
					off += a[i*n+j] * a[i*n+j]
				}
			}
		}
		if off <= 1e-30*all {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, v, n, p, q)
			}
		}
	}
	order := byScore(n, func(i int) float64 { return -a[i*n+i] })
	for _, i := range order {
		vectors, values = append(vectors, v[i*n:][:n]...), append(values, a[i*n+i])
	}
	return vectors, values
}

// rotate makes element (p, q) of a symmetric matrix 0 and applies the rotation to the rows of v.
func rotate(a, v []float64, n, p, q int) {
	if a[p*n+q] == 0 {
		return
	}
	theta := (a[q*n+q] - a[p*n+p]) / (2 * a[p*n+q])
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for k := range n {
		x, y := a[k*n+p], a[k*n+q]
		a[k*n+p], a[k*n+q] = c*x-s*y, s*x+c*y
	}
	for k := range n {
		x, y := a[p*n+k], a[q*n+k]
		a[p*n+k], a[q*n+k] = c*x-s*y, s*x+c*y
		x, y = v[p*n+k], v[q*n+k]
		v[p*n+k], v[q*n+k] = c*x-s*y, s*x+c*y
	}
}
