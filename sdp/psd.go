package sdp

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// A Prover proves matrices positive semidefinite. It keeps its scratch memory between calls; the zero value is ready. It serves one
// goroutine at a time.
type Prover struct {
	mul   kernel.Multiplier[float64]
	panel []float64
	rows  []float64
	scale []float64
	b     []float64
	r     []float64
	sum   []float64
}

// blockSize is the number of columns that are factored together.
const blockSize = 64

// largest is the largest magnitude on the diagonal of a matrix that is looked at: nothing overflows unseen, and what underflows is
// far below the terms added for it.
const largest = 0x1p400

// Semidefinite reports whether it has proved that every symmetric matrix S with Σ_j |S_ij − A_ij| ≤ slack_i for all i is positive
// semidefinite. a is A, row-major n×n, of which the lower triangle is read; it is overwritten. A nil slack is zero. False means
// nothing: a matrix whose smallest eigenvalue is 0, or hardly above, is never accepted. It panics if slices are too short.
//
// Sound because S ⪰ A − diag(slack) (the difference is diagonally dominant), and a Cholesky factorisation of A' = A − diag(slack) − σI
// that runs to completion computes R with RᵀR = A' + Δ, |Δ_ij| ≤ γ_N·Σ_k|R_ki||R_kj|, where N bounds the roundings that a summand
// passes in any order of summation (Higham, Accuracy and Stability, ch. 10). From i = j, Σ_k R_kj² ≤ A'_jj/(1−γ_N), hence ‖Δ‖₂ ≤
// γ_N/(1−γ_N)·tr A' and A' ⪰ −σI for σ no less than that (Rump, "Verification of positive definiteness", 2006).
func (p *Prover) Semidefinite(n int, a, slack []float64) bool {
	a = a[:n*n]
	if n > maxDim {
		return false
	}
	trace := 0.0
	for i := range n {
		d := a[i*n+i]
		if !(d <= largest) || !(d >= 0) {
			return false
		}
		trace += d
	}
	g := gamma(roundings(n))
	shift := g / (1 - g) * trace * loose
	// A product, quotient or square root that underflows errs by 2⁻¹⁰⁷⁴ at most, times an entry of R.
	shift += float64(n) * float64(n) * 0x1p-800
	for i := range n {
		d := &a[i*n+i]
		if slack != nil {
			if !(slack[i] >= 0) {
				return false
			}
			*d = down(*d - slack[i])
		}
		*d = down(*d - shift)
	}
	return p.factor(n, a)
}

// roundings bounds the roundings that a summand of an entry passes in factor: its product, the sum over its block, the sums of the
// blocks, subtraction, quotient or square root (twice).
func roundings(n int) int { return 2*n + 16 }

// factor overwrites the lower triangle of a with its Cholesky factor and reports whether every pivot was positive.
func (p *Prover) factor(n int, a []float64) bool {
	for k := 0; k < n; k += blockSize {
		w := min(blockSize, n-k)
		for i := k; i < n; i++ {
			row := a[i*n+k : i*n+k+w]
			for j := range min(w, i-k) {
				above := a[(k+j)*n+k : (k+j)*n+k+w]
				row[j] = (row[j] - kernel.Dot(row[:j], above[:j])) / above[j]
			}
			if j := i - k; j < w {
				d := row[j] - kernel.Dot(row[:j], row[:j])
				if !(d > 0) {
					return false
				}
				row[j] = math.Sqrt(d)
			}
		}
		p.trailing(n, k, w, a)
	}
	return true
}

// trailing subtracts the part of columns k…k+w−1 from what is right of them, in strips of rows: little is computed above the diagonal.
func (p *Prover) trailing(n, k, w int, a []float64) {
	first := k + w
	p.panel = grow(p.panel, (n-first)*w)
	for i := first; i < n; i++ {
		copy(p.panel[(i-first)*w:][:w], a[i*n+k:])
	}
	const strip = 2 * blockSize
	for i := first; i < n; i += strip {
		h := min(strip, n-i)
		p.mul.Mul(h, i+h-first, w, -1, kernel.Matrix[float64]{Data: p.panel[(i-first)*w:], Stride: w},
			kernel.Matrix[float64]{Data: p.panel, Stride: w, Trans: true}, kernel.Matrix[float64]{Data: a[i*n+first:], Stride: n})
	}
}

// grow returns a slice of n numbers, x's memory if that is enough.
func grow(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}
