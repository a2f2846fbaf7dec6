package poison

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
)

// reduce projects centred rows on their first dims principal directions and, if they shall be white, scales these to variance 1.
// Directions without variance are left out, so there may be fewer.
func reduce(ctx context.Context, x []float64, width, dims int, white bool, workers int, r *rand.Rand) (z []float64, kept int,
	err error) {
	n := len(x) / width
	mean := make([]float64, width)
	for i := range n {
		kernel.Axpy(mean, x[i*width:][:width], 1/float64(n))
	}
	cov, err := moments(ctx, x, mean, width, workers)
	if err != nil {
		return nil, 0, err
	}
	axes, values, err := principal(ctx, cov, width, dims, r)
	if err != nil {
		return nil, 0, err
	}
	for kept < len(values) && values[kept] > 1e-10*values[0] && values[kept] > 0 {
		kept++
	}
	z = make([]float64, n*kept)
	for k := range kept {
		axis, scale := axes[k*width:][:width], 1.0
		if white {
			scale = math.Sqrt(float64(n) / values[k])
		}
		for i := range n {
			z[i*kept+k] = (kernel.Dot(x[i*width:][:width], axis) - kernel.Dot(mean, axis)) * scale
		}
	}
	return z, kept, nil
}

// independent rotates whitened rows to independent components: FastICA with the symmetric update W ← E[tanh(Wz)zᵀ] −
// E[1−tanh²(Wz)]·W, made orthogonal again as (WWᵀ)^(−½)W (Hyvärinen 1999). It stops when W settles, or after 200 rounds.
func independent(ctx context.Context, z []float64, dims int, r *rand.Rand) ([]float64, error) {
	n := len(z) / dims
	w := make([]float64, dims*dims)
	for i := range w {
		w[i] = r.NormFloat64()
	}
	orthonormal(w, dims)
	var mul kernel.Multiplier[float64]
	s, next := make([]float64, n*dims), make([]float64, dims*dims)
	for range 200 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		clear(s)
		mul.Mul(n, dims, dims, 1, rows(z, dims), columns(w, dims), rows(s, dims))
		slope := make([]float64, dims)
		for i, v := range s {
			s[i] = math.Tanh(v)
			slope[i%dims] += (1 - s[i]*s[i]) / float64(n)
		}
		clear(next)
		mul.Mul(dims, dims, n, 1/float64(n), columns(s, dims), rows(z, dims), rows(next, dims))
		for k := range dims {
			kernel.Axpy(next[k*dims:][:dims], w[k*dims:][:dims], -slope[k])
		}
		decorrelate(next, dims)
		moved := 0.0
		for k := range dims {
			moved = max(moved, 1-math.Abs(kernel.Dot(next[k*dims:][:dims], w[k*dims:][:dims])))
		}
		copy(w, next)
		if moved < 1e-6 {
			break
		}
	}
	clear(s)
	mul.Mul(n, dims, dims, 1, rows(z, dims), columns(w, dims), rows(s, dims))
	return s, nil
}

// decorrelate replaces W by (WWᵀ)^(−½)W.
func decorrelate(w []float64, n int) {
	var mul kernel.Multiplier[float64]
	a := make([]float64, n*n)
	mul.Mul(n, n, n, 1, rows(w, n), columns(w, n), rows(a, n))
	v, values := jacobi(a, n)
	scaled, root, out := make([]float64, n*n), make([]float64, n*n), make([]float64, n*n)
	for k, e := range values {
		if e > 0 {
			kernel.Axpy(scaled[k*n:][:n], v[k*n:][:n], 1/math.Sqrt(e))
		}
	}
	mul.Mul(n, n, n, 1, columns(v, n), rows(scaled, n), rows(root, n))
	mul.Mul(n, n, n, 1, rows(root, n), rows(w, n), rows(out, n))
	copy(w, out)
}
