package sdp

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Schur reports whether it has proved the matrix
//
//	[ R   B       ]
//	[ Bᵀ  diag(t) ]
//
// positive semidefinite, and every symmetric matrix whose rows differ from its rows by at most slackR (first p rows) and slackT (last
// d rows) in the sum of absolute differences. r is row-major p×p, of which the lower triangle is read, b row-major p×d; both are kept.
// Nil slacks are zero. It costs p²·d + p³/3 multiply-adds instead of (p+d)³/3. False means nothing.
//
// Sound because the slacks may be taken off the diagonal, after which, for t > 0, the matrix is semidefinite where R − B·diag(t)⁻¹·Bᵀ
// is; a column of zeros needs t ≥ 0 only. The complement is computed as R − C·Cᵀ with C_ij = B_ij/√t_j within three roundings, so an
// entry errs by at most γ_{d+16}·(|R| + |C||C|ᵀ), of which the row sums are Σ_j|R_ij| + |C|(|C|ᵀ1).
func (q *Prover) Schur(p, d int, r, b, t, slackR, slackT []float64) bool {
	if p > maxDim || d > maxDim {
		return false
	}
	if !q.columns(p, d, b, t, slackT) {
		return false
	}
	q.rows, q.r = grow(q.rows, p), grow(q.r, p*p)
	copy(q.r, r[:p*p])
	q.rowSums(p, d)
	g := gamma(d+16) * loose * loose
	for i := range q.rows {
		q.rows[i] = q.rows[i]*g + 0x1p-800
		if slackR != nil {
			if !(slackR[i] >= 0) {
				return false
			}
			q.rows[i] = up(q.rows[i] + slackR[i])
		}
	}
	c := kernel.Matrix[float64]{Data: q.b, Stride: max(d, 1)}
	ct := c
	ct.Trans = true
	const strip = 2 * blockSize
	for i := 0; i < p && d > 0; i += strip {
		h := min(strip, p-i)
		c.Data = q.b[i*d:]
		q.mul.Mul(h, i+h, d, -1, c, ct, kernel.Matrix[float64]{Data: q.r[i*p:], Stride: p})
	}
	return q.Semidefinite(p, q.r, q.rows)
}

// columns sets q.b to C. It reports false where that cannot be.
func (q *Prover) columns(p, d int, b, t, slackT []float64) bool {
	q.b, q.scale, q.sum = grow(q.b, p*d), grow(q.scale, d), grow(q.sum, d)
	clear(q.sum)
	for i := range p {
		for j, v := range b[i*d : (i+1)*d] {
			q.sum[j] = max(q.sum[j], math.Abs(v))
			if !(math.Abs(v) <= largest) {
				return false
			}
		}
	}
	for j, v := range t[:d] {
		if slackT != nil {
			if !(slackT[j] >= 0) {
				return false
			}
			if slackT[j] > 0 {
				v = down(v - slackT[j])
			}
		}
		switch {
		case q.sum[j] == 0 && v >= 0:
			q.scale[j] = 0
		case v >= 1/largest && v <= largest:
			q.scale[j] = 1 / math.Sqrt(v)
		default:
			return false
		}
	}
	for i := range p {
		c := q.b[i*d : (i+1)*d]
		for j, v := range b[i*d : (i+1)*d] {
			c[j] = v * q.scale[j]
		}
	}
	return true
}

// rowSums sets q.rows to Σ_j|R_ij| + |C|(|C|ᵀ1).
func (q *Prover) rowSums(p, d int) {
	clear(q.sum)
	for i := range p {
		kernel.AbsAxpy(q.sum, q.b[i*d:(i+1)*d], 1)
	}
	for i := range p {
		q.rows[i] = kernel.AbsDot(q.b[i*d:(i+1)*d], q.sum)
	}
	for i := range p {
		for j, v := range q.r[i*p : i*p+i] {
			q.rows[i] += math.Abs(v)
			q.rows[j] += math.Abs(v)
		}
		q.rows[i] += math.Abs(q.r[i*p+i])
	}
}

// Bipartite reports whether it has proved diag(y, t) − [[0, A], [Aᵀ, 0]] positive semidefinite, see Schur; a is row-major p×d. It is
// cheapest when p ≤ d.
func (q *Prover) Bipartite(p, d int, a, y, t, slackY, slackT []float64) bool {
	r := make([]float64, p*p)
	for i, v := range y[:p] {
		r[i*p+i] = v
	}
	return q.Schur(p, d, r, a, t, slackY, slackT)
}
