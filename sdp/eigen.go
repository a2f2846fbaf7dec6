package sdp

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/spai-project/certify/internal/kernel"
)

// A DualObjective is the bound that Raghunathan, Steinhardt and Liang train with: for any c,
//
//	SDP ≤ D·λ_max⁺(M − diag(c)) + Σ max(c_i, 0),   M = [[0, A], [Aᵀ, 0]],  A = [1ᵀB; B],  B = diag(v)·W,  D = 1+m+d,
//
// with the subgradient that the top eigenvector u = (u_0, u_y, u_t) gives. The eigenvalue is a Lanczos estimate: good for training,
// never for a certificate.
type DualObjective struct {
	D, M  int       // inputs, hidden units
	Steps int       // of Lanczos; 0: 80
	top   []float64 // the last eigenvector, where the next search starts
}

// AddGradient returns the objective at w ([d][m], as nn/train stores it), v (m numbers) and c (1+m+d numbers: the constant, hidden units,
// inputs) and adds scale times its subgradient to gw, gv and gc.
func (o *DualObjective) AddGradient(w, v, c, gw, gv, gc []float64, scale float64) float64 {
	n := 1 + o.M + o.D
	value := 0.0
	for i, x := range c[:n] {
		if x > 0 {
			value += x
			gc[i] += scale
		}
	}
	lambda := o.eigen(w, v, c)
	if lambda <= 0 {
		return value
	}
	u, s := o.top, scale*float64(n)
	for i := range n {
		gc[i] -= s * u[i] * u[i]
	}
	y, t := u[1:1+o.M], u[1+o.M:]
	wt := make([]float64, o.M) // W·u_t
	for l, x := range t {
		kernel.Axpy(wt, w[l*o.M:(l+1)*o.M], x)
	}
	z := make([]float64, o.M)
	for k := range z {
		gv[k] += 2 * s * (u[0] + y[k]) * wt[k]
		z[k] = 2 * s * v[k] * (u[0] + y[k])
	}
	for l, x := range t {
		kernel.Axpy(gw[l*o.M:(l+1)*o.M], z, x)
	}
	return value + float64(n)*lambda
}

// apply sets dst to (M − diag(c))·q.
func (o *DualObjective) apply(dst, q, w, v, c []float64) {
	m := o.M
	z := make([]float64, m)
	for k := range z {
		z[k] = v[k] * (q[0] + q[1+k])
	}
	y := dst[1 : 1+m]
	clear(y)
	for l := range o.D {
		row := w[l*m : (l+1)*m]
		dst[1+m+l] = kernel.Dot(row, z) - c[1+m+l]*q[1+m+l]
		kernel.Axpy(y, row, q[1+m+l])
	}
	dst[0] = -c[0] * q[0]
	for k := range y {
		y[k] *= v[k]
		dst[0] += y[k]
		y[k] -= c[1+k] * q[1+k]
	}
}

// eigen sets top to a unit vector near the top eigenvector and returns its Rayleigh quotient, by Lanczos with full
// reorthogonalisation.
func (o *DualObjective) eigen(w, v, c []float64) float64 {
	n := 1 + o.M + o.D
	steps := o.Steps
	if steps <= 0 {
		steps = 80
	}
	steps = min(steps, n)
	q := make([]float64, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range q {
		q[i] = r.NormFloat64() / math.Sqrt(float64(n))
		if len(o.top) == n {
			q[i] = o.top[i] + q[i]*1e-3
		}
	}
	unitRow(q, q)
	basis := [][]float64{q}
	alpha, beta := []float64{}, []float64{}
	for len(alpha) < steps {
		j := len(alpha)
		next := make([]float64, n)
		o.apply(next, basis[j], w, v, c)
		alpha = append(alpha, kernel.Dot(basis[j], next))
		for range 2 {
			for _, b := range basis {
				kernel.Axpy(next, b, -kernel.Dot(b, next))
			}
		}
		size := unitRow(next, next)
		if size <= 1e-14*(math.Abs(alpha[0])+1e-300) {
			break
		}
		beta, basis = append(beta, size), append(basis, next)
	}
	k := len(alpha)
	tri := mat.NewSymDense(k, nil)
	for i := range k {
		tri.SetSym(i, i, alpha[i])
		if i+1 < k {
			tri.SetSym(i, i+1, beta[i])
		}
	}
	var e mat.EigenSym
	if !e.Factorize(tri, true) {
		return 0
	}
	var vec mat.Dense
	e.VectorsTo(&vec)
	o.top = make([]float64, n)
	for i := range k {
		kernel.Axpy(o.top, basis[i], vec.At(i, k-1))
	}
	unitRow(o.top, o.top)
	return e.Values(nil)[k-1]
}
