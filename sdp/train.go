package sdp

import (
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
)

// A Regulariser adds the semidefinite bound of TwoLayer to a training loss: R(W,V) = Σ_{i>j} λ_ij·Bound_ij, where Bound_ij bounds how much
// the scores' difference changes for each unit of ε (Raghunathan, Steinhardt and Liang 2018). The relaxation is solved in factored
// form, 2·⟨A, X·Yᵀ⟩ over rows of length 1, a few sweeps a step from where the last step ended; by Danskin's theorem the gradient at
// the optimum is that of the objective with X and Y fixed, so it needs no eigenvector. The value is an estimate from below: what is
// trained is certified by TwoLayer afterwards.
//
// It serves one goroutine at a time, and a step allocates nothing after the first.
type Regulariser[T kernel.Float] struct {
	d, m, k, rank int
	sweeps, group int
	next          int
	pairs         []regPair[T]
	z, u, yt      []T
	v             []T
	values        []float64
	mul           kernel.Multiplier[T]
}

// A regPair is the primal solution of a pair: x holds the constant's row, then a row for each hidden unit; y one for each input.
type regPair[T kernel.Float] struct {
	i, j int
	x, y []T
}

// RegulariserOptions steer a Regulariser. The zero value is the default.
type RegulariserOptions struct {
	Rank   int // rounded up to a multiple of 8; 0: 16
	Sweeps int // in a step; 0: 1
	Pairs  int // looked at in a step, in turn, and weighted so that R is estimated without bias over a round; 0: all
	Seed   uint64
}

// NewRegulariser returns one for networks with d inputs, m hidden units and k classes.
func NewRegulariser[T kernel.Float](d, m, k int, o RegulariserOptions) *Regulariser[T] {
	rank := (max(o.Rank, 0) + rankMultiple - 1) / rankMultiple * rankMultiple
	if rank == 0 {
		rank = 16
	}
	r := &Regulariser[T]{d: d, m: m, k: k, rank: rank, sweeps: max(o.Sweeps, 1), z: make([]T, m*rank), u: make([]T, m*rank),
		yt: make([]T, d*rank), v: make([]T, m), values: make([]float64, k*(k-1)/2)}
	random := rand.New(rand.NewPCG(o.Seed, 2))
	rows := func(n int) []T {
		x := make([]T, n*rank)
		randomRows(x, rank, random)
		return x
	}
	for i := range k {
		for j := range i {
			r.pairs = append(r.pairs, regPair[T]{i, j, rows(m + 1), rows(d)})
		}
	}
	if r.group = o.Pairs; r.group <= 0 || r.group > len(r.pairs) {
		r.group = len(r.pairs)
	}
	return r
}

// AddGradient improves the primal solutions for the weights w, [d][m], and v, [m][k] row-major, as nn/train stores the weights of dense
// layers; adds ∂R/∂w to gw and ∂R/∂v to gv; and returns an estimate of R. lambda has a weight λ_ij for every pair i > j of classes, at
// i(i−1)/2+j: how much the loss grows with Bound_ij. It panics if slices are too short.
func (r *Regulariser[T]) AddGradient(w, v, gw, gv, lambda []T) (value float64) {
	weight := float64(len(r.pairs)) / float64(r.group)
	for range r.group {
		at := r.next
		p := &r.pairs[at]
		r.next = (r.next + 1) % len(r.pairs)
		for i := range r.v {
			r.v[i] = v[i*r.k+p.i] - v[i*r.k+p.j]
		}
		for range r.sweeps {
			r.improve(p, w)
		}
		r.values[at] = r.add(p, gw, gv, lambda[at]*T(weight))
		value += weight * float64(lambda[at]) * r.values[at]
	}
	return value
}

// Values returns the last estimate of every Bound_ij, 0 before the first; they are overwritten by the next AddGradient.
func (r *Regulariser[T]) Values() []float64 { return r.values }

// improve does a sweep and leaves W·Y in u: rows of Y along Wᵀ·diag(v)·(X+1x₀ᵀ), rows of X along v_k·(W·Y)_k and their sum.
func (r *Regulariser[T]) improve(p *regPair[T], w []T) {
	r.lift(p, 1)
	clear(r.yt)
	r.mul.Mul(r.d, r.rank, r.m, 1, matrix(w, r.m), matrix(r.z, r.rank), matrix(r.yt, r.rank))
	for l := range r.d {
		unitRow(p.y[l*r.rank:(l+1)*r.rank], r.yt[l*r.rank:(l+1)*r.rank])
	}
	clear(r.u)
	wt := matrix(w, r.m)
	wt.Trans = true
	r.mul.Mul(r.m, r.rank, r.d, 1, wt, matrix(p.y, r.rank), matrix(r.u, r.rank))
	first, row := r.yt[:r.rank], r.z[:r.rank]
	clear(first)
	for k, v := range r.v {
		for i, x := range r.u[k*r.rank : (k+1)*r.rank] {
			row[i] = v * x
			first[i] += v * x
		}
		unitRow(p.x[(k+1)*r.rank:(k+2)*r.rank], row)
	}
	unitRow(p.x[:r.rank], first)
}

// lift sets z to f·v_k·(x_k + x_0).
func (r *Regulariser[T]) lift(p *regPair[T], f T) {
	for k, v := range r.v {
		z, x := r.z[k*r.rank:(k+1)*r.rank], p.x[(k+1)*r.rank:(k+2)*r.rank]
		for i := range z {
			z[i] = f * v * (x[i] + p.x[i])
		}
	}
}

// add adds the gradient of ½⟨A, X·Yᵀ⟩ = ½·Σ_k v_k·⟨x_0+x_k, u_k⟩ with u = W·Y from improve, times scale, and returns its value.
func (r *Regulariser[T]) add(p *regPair[T], gw, gv []T, scale T) float64 {
	value := 0.0
	for k, v := range r.v {
		u, x := r.u[k*r.rank:(k+1)*r.rank], p.x[(k+1)*r.rank:(k+2)*r.rank]
		g := (kernel.Dot(u, x) + kernel.Dot(u, p.x[:r.rank])) / 2
		value += float64(v) * float64(g)
		gv[k*r.k+p.i] += scale * g
		gv[k*r.k+p.j] -= scale * g
	}
	r.lift(p, scale/2)
	z := matrix(r.z, r.rank)
	z.Trans = true
	r.mul.Mul(r.d, r.m, r.rank, 1, matrix(p.y, r.rank), z, matrix(gw, r.m))
	return value
}

func matrix[T kernel.Float](x []T, stride int) kernel.Matrix[T] {
	return kernel.Matrix[T]{Data: x, Stride: stride}
}
