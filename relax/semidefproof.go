package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// The proof of a semidefinite bound. With ξ = (x − centre)/radius and η = 2y − 1, both in [−1,1], the objective is at least
//
//	C + p·ξ + q·η + ηᵀ·diag(m)·B·ξ
//
// and for any s > 0 and any d, D = diag(1/(4s²)) for the inputs, the homogeneous form (1,η,ξ) plus diag(d, D) is positive
// semidefinite if and only if its Schur complement
//
//	diag(d) + [0 qᵀ/2; q/2 0] − F·Fᵀ,   F = [pᵀ; diag(m)·B]·diag(s)
//
// is; then the form is at least −Σd − ΣD on the box. That is decided by Cholesky's method.
//
// Soundness. p, q, m and B are stored floats; what they differ from the true ones by is charged below as in Worker.Run, with
// the scale S of the hidden layer: |η| and |ξ| are at most 1. F·Fᵀ is computed with an error whose norm is at most γ·trace,
// because each entry errs by γ·√(T_jj·T_kk) at most (Cauchy and Schwarz). A factorisation in floats that runs to its end proves
// that the matrix plus γ·trace times the identity is positive semidefinite (Demmel 1989; Rump 2006). Both are subtracted from
// the diagonal beforehand, four times over, and sums of bounds are rounded up.

// proofMemory is what a proof needs.
type proofMemory struct {
	lin, quad []float64
	p, s, a   []float64
	f, t      []float64
	mul       kernel.Multiplier[float64]
}

// prove returns a rigorous bound from the vectors of the last sweep, −Inf if none. The multipliers are enlarged as far as
// the estimate allows with a bound above 0: that makes up for what the sweeps have not reached.
func (w *lifting) prove(l *Lift, o *LiftRow, s *LiftState) float64 {
	w.gather(l, o, s) // norms that belong to the present vectors of the neurons
	total := math.Max(w.d0, 0)
	for _, v := range w.nx {
		total += float64(v) / 2
	}
	for _, i := range o.concave {
		if s.Fixed[i] == 0 {
			total += float64(w.ny[i]) / 2
		}
	}
	return w.evaluate(l, o, s, 1+proofShare*max(s.Value, 0)/total)
}

// evaluate returns the bound with all multipliers times by, −Inf if the matrix is not shown to be positive semidefinite.
func (w *lifting) evaluate(l *Lift, o *LiftRow, s *LiftState, by float64) float64 {
	f, m := &w.proof, len(l.open)+len(l.active)
	f.lin, f.quad = grow(f.lin, m), grow(f.quad, m)
	var free []int32
	for i := range m {
		f.lin[i], f.quad[i] = o.v[i], 0
		if i < len(l.open) {
			f.lin[i], f.quad[i] = o.weights(s, int32(i))
		}
		if f.quad[i] != 0 {
			free = append(free, int32(i))
		}
	}
	c, charge := w.linear(l, o)
	sum := w.inputs(l, by)
	ok, d := w.schur(l, free, by)
	lb := down(c - (sum+d)*(1+1e-12) - charge)
	if !ok || !(math.Abs(lb) <= math.MaxFloat64) {
		return math.Inf(-1)
	}
	return lb
}

// linear sets p and returns the constant C, and the charge for everything that is rounded in C, p, q, m and B.
func (w *lifting) linear(l *Lift, o *LiftRow) (c, charge float64) {
	f, fr := &w.proof, l.f
	f.a = append(f.a[:0], o.g...)
	S := fr.S[l.pre]
	c = o.c
	e, mag := o.e, o.da+math.Abs(o.c)
	for i, v := range f.lin {
		if v != 0 {
			kernel.Axpy(f.a, l.row(i), v)
		}
		c += v * l.bias[i]
		e += (math.Abs(v) + math.Abs(f.quad[i])) * S[l.elem(i)]
		mag += math.Abs(v * l.bias[i])
	}
	for i, v := range f.a {
		c += v * fr.inC[i]
		mag += math.Abs(v) * fr.inMag[i]
	}
	f.p = grow(f.p, len(l.cols))
	for k, i := range l.cols {
		f.p[k] = f.a[i] * fr.inR[i]
	}
	n := fr.Net
	charge = 4*gamma(n.errUnits+len(f.a)+8)*e + 4*gamma(n.sumLen+len(f.lin)+len(f.a)+16)*mag + tinyError
	return c, charge * (1 + 1e-6)
}

// inputs sets s and returns an upper bound on ΣD.
func (w *lifting) inputs(l *Lift, by float64) float64 {
	f := &w.proof
	top := float32(0)
	for _, v := range w.nx {
		top = max(top, v)
	}
	f.s = grow(f.s, len(l.cols))
	sum := 0.0
	for i, v := range w.nx {
		s := 1 / math.Sqrt(2*by*float64(max(v, 1e-6*top, 1e-30)))
		f.s[i] = s
		sum += 1 / (4 * s * s)
	}
	return sum * (1 + 4*gamma(len(l.cols)+8))
}

// proofShare is the share of the estimate that multipliers may cost.
const proofShare = 0.9

// proofStrip is the number of rows of the complement that are computed at a time.
const proofStrip = 48

// schur decides whether the complement is positive semidefinite, and returns an upper bound on Σd.
func (w *lifting) schur(l *Lift, free []int32, by float64) (bool, float64) {
	f, n, k := &w.proof, len(free)+1, len(l.cols)
	f.f, f.t = grow(f.f, n*k), zeroed(f.t, n*n)
	for c, p := range f.p {
		f.f[c] = p * f.s[c]
	}
	for r, i := range free {
		row, b, m := f.f[(r+1)*k:(r+2)*k], l.b[int(i)*k:int(i+1)*k], f.quad[i]
		for c, v := range b {
			row[c] = m * v * f.s[c]
		}
	}
	all := kernel.Matrix[float64]{Data: f.f, Stride: k, Trans: true}
	for r := 0; r < n; r += proofStrip { // the lower half is enough
		h := min(proofStrip, n-r)
		part := kernel.Matrix[float64]{Data: f.f[r*k:], Stride: k}
		f.mul.Mul(h, r+h, k, -1, part, all, kernel.Matrix[float64]{Data: f.t[r*n:], Stride: n})
	}
	trace, sum := 0.0, 0.0
	for r := range n {
		d := w.d0 * by
		if r > 0 {
			i := free[r-1]
			q := f.quad[i] * l.centre[i]
			f.t[r*n] += q / 2
			trace += math.Abs(q)
			d = float64(w.ny[i]) / 2 * by
		}
		trace += math.Abs(d) + math.Abs(f.t[r*n+r])
		sum += d
		f.t[r*n+r] += d
	}
	shift := 4*gamma(n+k+16)*trace + 1e-200
	for r := range n {
		f.t[r*n+r] -= shift
	}
	return cholesky(f.t, n), sum + math.Abs(sum)*4*gamma(n+8) + trace*4*gamma(n+8)
}

// cholesky factorises the symmetric matrix whose lower half is in a, in place, and reports whether all pivots were positive.
func cholesky(a []float64, n int) bool {
	for i := range n {
		row := a[i*n : i*n+i+1]
		for j := range i {
			other := a[j*n : j*n+j+1]
			row[j] = (row[j] - kernel.Dot(row[:j], other)) / other[j]
		}
		v := row[i] - kernel.Dot(row[:i], row)
		if !(v > 0) || v > math.MaxFloat64 {
			return false
		}
		row[i] = math.Sqrt(v)
	}
	return true
}
