package sdp

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/relax"
)

// A Deep is the semidefinite relaxation of what is left of a network on a box (Raghunathan, Steinhardt and Liang, "Semidefinite
// relaxations for certifying robustness to adversarial examples", 2018): inputs and open ReLUs are the variables, stable neurons have
// been substituted. Variables are v_i = a_i + r_i·ζ_i with ζ_i ∈ [−1,1], inputs first, then the neurons level by level; neuron q is
// h_q = relu(z_q) for z_q = ctr_q + Σ w_qi·ζ_i + δ, |δ| ≤ err_q, over variables of earlier levels. In real arithmetic these numbers are
// exact: what their computation rounds is in err. A Deep is immutable and safe for concurrent use.
type Deep struct {
	p, n   int
	a, r   []float64 // p+n
	ctr    []float64 // per neuron
	err    []float64
	s, t   []float64 // upper line: h ≤ s·z + t
	top    []float64 // upper bound on h
	alpha  []float64 // a lower line h ≥ alpha·z, 0 or 1
	levels []deepLevel
	objs   []deepRow
}

// A deepLevel is the neurons first…first+n−1, whose rows read the first cols variables.
type deepLevel struct {
	first, n, cols int
	w              []float64
	fwd, bwd       *kernel.Packed[float32] // for the search
}

func (l *deepLevel) pack() {
	w := make([]float32, len(l.w))
	for i, v := range l.w {
		w[i] = float32(v)
	}
	l.fwd, l.bwd = kernel.Pack(l.n, l.cols, w, l.cols, 1), kernel.Pack(l.cols, l.n, w, 1, l.cols)
}

// A deepRow is the affine function ctr + Σ w_i·ζ_i ± err of all variables.
type deepRow struct {
	ctr, err float64
	w        []float64
}

// maxLifted bounds the variables that are looked at: matrices are dense.
const maxLifted = 6000

// NewDeep prepares the box lo…hi of a reduced network on which its neurons have the bounds L, U: all of the box that r was made for, or
// a part of it that branch and bound is at (relax.Cell knows both). The error wraps ErrShape for networks with neurons other than ReLU
// and for too large ones.
func NewDeep(r *relax.Reduced, lo, hi, L, U []float64) (*Deep, error) {
	d := &Deep{p: r.Inputs(), n: r.Neurons()}
	size := d.p + d.n
	if size > maxLifted {
		return nil, fmt.Errorf("%w: %d variables, more than %d", ErrShape, size, maxLifted)
	}
	d.a, d.r = make([]float64, size), make([]float64, size)
	for i := range d.p {
		d.a[i], d.r[i] = centreRadius(lo[i], hi[i])
	}
	d.ctr, d.err, d.s, d.t = make([]float64, d.n), make([]float64, d.n), make([]float64, d.n), make([]float64, d.n)
	d.top, d.alpha = make([]float64, d.n), make([]float64, d.n)
	for q := range d.n {
		if r.Smooth(q) {
			return nil, fmt.Errorf("%w: a Sigmoid is left", ErrShape)
		}
		d.neuron(q, L[q], U[q])
	}
	first := 0
	for k, n := range r.Levels() {
		l := deepLevel{first: first, n: n, cols: d.p + first, w: make([]float64, n*(d.p+first))}
		for i, row := range r.Level(k) {
			d.ctr[first+i], d.err[first+i] = d.row(row, l.w[i*l.cols:(i+1)*l.cols])
		}
		l.pack()
		d.levels = append(d.levels, l)
		first += n
	}
	for _, row := range r.Level(len(d.levels)) {
		o := deepRow{w: make([]float64, size)}
		o.ctr, o.err = d.row(row, o.w)
		d.objs = append(d.objs, o)
	}
	return d, nil
}

// neuron sets the range and the lines of neuron q from the bounds of z_q.
//
// Sound because relu is convex, so that a line above it at both ends is above it between them, also where the ends are rounded
// outwards.
func (d *Deep) neuron(q int, l, u float64) {
	d.top[q] = max(u, 0)
	d.a[d.p+q], d.r[d.p+q] = centreRadius(max(l, 0), max(u, 0))
	switch {
	case u <= 0:
	case l >= 0:
		d.s[q], d.alpha[q] = 1, 1
	default:
		s := u / (u - l)
		if !(s >= 0 && s <= 1) {
			s = 1
		}
		d.s[q], d.t[q] = s, max(up(-s*l), up(math.FMA(-s, u, u)), 0)
		if u > -l {
			d.alpha[q] = 1
		}
	}
}

// centreRadius returns c, r with [l,u] ⊆ [c−r, c+r] in real arithmetic.
func centreRadius(l, u float64) (c, r float64) {
	c = l + (u-l)/2
	if r = max(u-c, c-l); r > 0 {
		r = up(up(r))
	}
	return c, r
}

// row writes a row over ζ and returns its constant and what it is off by.
func (d *Deep) row(row relax.Row, w []float64) (ctr, err float64) {
	mag := 0.0
	for k, c := range row.Idx {
		v := row.Val[k]
		if c == 0 {
			ctr += v
			mag += math.Abs(v)
			continue
		}
		i := int(c) - 1
		ctr += v * d.a[i]
		w[i] += v * d.r[i]
		mag += math.Abs(v) * (math.Abs(d.a[i]) + d.r[i])
	}
	return ctr, up((row.Err+mag*gamma(len(row.Idx)+8))*loose) + 0x1p-800
}

// Objectives returns the number of objectives.
func (d *Deep) Objectives() int { return len(d.objs) }

// multipliers are a dual point: λ of h(z−h) = 0, μ ≥ 0 of h ≥ z, τ ≥ 0 of h ≤ s·z + t.
type multipliers struct{ lambda, mu, tau []float64 }

// A form2 is c0 + gᵀζ + ½ζᵀHζ with H_qi = h_q·w_qi for the rows of the levels, and H_qq = diag_q.
//
//	−objective ≤ −o + Σ λ·h(z−h) + μ(h−z) + τ(s·z+t−h)     (the sums are ≥ 0, up to err)
//
// with h = a + r·ζ. Magnitudes bound what the computation of an entry rounds.
type form2 struct {
	c0, c0Err float64
	g, gMag   []float64
	h, diag   []float64
	rho, mag  []float64 // coefficients of z, and their magnitudes
}

// form computes the Lagrangian of objective o.
//
// Sound because c0Err holds, beside rounding, the most that δ can contribute: |λ|·top + μ + τ·s for each unit of err.
func (d *Deep) form(o *deepRow, m *multipliers, f *form2) {
	f.g, f.gMag, f.h, f.diag = grow(f.g, d.p+d.n), grow(f.gMag, d.p+d.n), grow(f.h, d.n), grow(f.diag, d.n)
	f.rho, f.mag = grow(f.rho, d.n), grow(f.mag, d.n)
	c0, mag, slack := -o.ctr, math.Abs(o.ctr), o.err
	for i, v := range o.w {
		f.g[i], f.gMag[i] = -v, math.Abs(v)
	}
	for q := range d.n {
		i := d.p + q
		l, mu, tau, a, r := m.lambda[q], m.mu[q], m.tau[q], d.a[i], d.r[i]
		f.rho[q] = tau*d.s[q] - mu + l*a
		f.mag[q] = tau*d.s[q] + mu + math.Abs(l*a)
		c0 += d.ctr[q]*f.rho[q] - l*a*a + tau*d.t[q] + (mu-tau)*a
		mag += math.Abs(d.ctr[q])*f.mag[q] + math.Abs(l*a*a) + tau*d.t[q] + (mu+tau)*math.Abs(a)
		slack += d.err[q] * (math.Abs(l)*d.top[q] + mu + tau*d.s[q])
		f.g[i] += r * (l*(d.ctr[q]-2*a) + mu - tau)
		f.gMag[i] += r * (math.Abs(l)*(math.Abs(d.ctr[q])+2*math.Abs(a)) + mu + tau)
		f.h[q], f.diag[q] = l*r, -2*l*r*r
	}
	for k := range d.levels {
		l := &d.levels[k]
		for i := range l.n {
			row := l.w[i*l.cols : (i+1)*l.cols]
			kernel.Axpy(f.g[:l.cols], row, f.rho[l.first+i])
			kernel.AbsAxpy(f.gMag[:l.cols], row, f.mag[l.first+i])
		}
	}
	f.c0 = c0
	f.c0Err = up((slack+mag*gamma(5*d.n+16))*loose) + 0x1p-800
}

// A deepProver proves values of a Deep's relaxation.
type deepProver struct {
	prover Prover
	f      form2
	r, b   []float64
	t      []float64
	sr, st []float64
}

// value returns c0 + ½Σκ, rounded up, as an upper bound on −objective, and whether diag(κ) − M was proved positive semidefinite for M =
// [[0, gᵀ], [g, H]]; κ has an entry for the constant, then one for each variable. f has been computed for the multipliers.
//
// Sound because ζ_i² ≤ 1 and κ ≥ 0: c0 + gᵀζ + ½ζᵀHζ = c0 + ½(1,ζ)ᵀM(1,ζ) ≤ c0 + ½(κ_0 + Σκ_iζ_i²).
func (w *deepProver) value(d *Deep, kappa []float64) (float64, bool) {
	if !w.prove(d, kappa) {
		return math.Inf(1), false
	}
	sum := 0.0
	for _, k := range kappa {
		sum = up(sum + k)
	}
	v := up(up(w.f.c0+sum/2) + w.f.c0Err)
	return v, !math.IsNaN(v)
}

// prove fills in the matrix, constant and neurons first, the inputs as the diagonal block, with what each entry may be off by.
func (w *deepProver) prove(d *Deep, kappa []float64) bool {
	f, n := &w.f, d.n+1
	w.r, w.b, w.t = grow(w.r, n*n), grow(w.b, n*d.p), grow(w.t, d.p)
	w.sr, w.st = grow(w.sr, n), grow(w.st, d.p)
	clear(w.r)
	clear(w.sr)
	clear(w.st)
	for _, k := range kappa {
		if !(k >= 0) {
			return false
		}
	}
	each := gamma(d.n+8) * loose
	w.r[0] = kappa[0]
	for i := range d.p {
		w.t[i], w.b[i] = kappa[1+i], -f.g[i]
		w.st[i] = each * f.gMag[i]
		w.sr[0] += w.st[i]
	}
	for q := range d.n {
		i := d.p + q
		w.r[(q+1)*n] = -f.g[i]
		w.r[(q+1)*n+q+1] = kappa[1+i] - f.diag[q]
		e := each * f.gMag[i]
		w.sr[0] += e
		w.sr[q+1] += e + gamma(4)*(kappa[1+i]+math.Abs(f.diag[q]))
	}
	for k := range d.levels {
		l := &d.levels[k]
		for j := range l.n {
			q := l.first + j
			row := l.w[j*l.cols : (j+1)*l.cols]
			h := f.h[q]
			b := w.b[(q+1)*d.p : (q+2)*d.p]
			for i, v := range row[:d.p] {
				b[i] = -h * v
				e := gamma(4) * math.Abs(b[i])
				w.st[i] += e
				w.sr[q+1] += e
			}
			for i, v := range row[d.p:] {
				x := -h * v
				w.r[(q+1)*n+i+1] += x
				e := gamma(4) * math.Abs(x)
				w.sr[q+1] += e
				w.sr[i+1] += e
			}
		}
	}
	for i := range w.sr {
		w.sr[i] = w.sr[i]*loose + 0x1p-800
	}
	for i := range w.st {
		w.st[i] = w.st[i]*loose + 0x1p-800
	}
	return w.prover.Schur(n, d.p, w.r, w.b, w.t, w.sr, w.st)
}
