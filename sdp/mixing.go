package sdp

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
)

// A mixing maximises 2·⟨A, X·Yᵀ⟩ over matrices X (p×rank) and Y (d×rank) with rows of length 1: the relaxation max ⟨M, P⟩ over P ⪰ 0
// with P_ii ≤ 1, for M = [[0, A], [Aᵀ, 0]], in factored form P = ZZᵀ (Burer and Monteiro 2003). A sweep sets Y to the normalised rows
// of AᵀX and X to those of A·Y, each the exact maximiser given the other (the "mixing method", Wang, Chang and Kolter 2017). At a
// fixed point the lengths before normalisation are the dual solution. Nothing here is rigorous.
type mixing struct {
	p, d, rank int
	a, at      *kernel.Packed[float64]
	x, y       []float64 // row-major p×rank, d×rank
	cx, cy     []float64 // lengths
	x1, y1     []float64
}

// rankMultiple is what the kernels want of a rank.
const rankMultiple = 8

// newMixing starts at random rows; a is row-major p×d and may be forgotten afterwards.
func newMixing(p, d, rank int, a []float64, seed uint64) *mixing {
	s := &mixing{p: p, d: d, rank: rank, cx: make([]float64, p), cy: make([]float64, d)}
	s.x, s.y = make([]float64, p*rank), make([]float64, d*rank)
	s.x1, s.y1 = make([]float64, p*rank), make([]float64, d*rank)
	s.load(a)
	randomRows(s.x, rank, rand.New(rand.NewPCG(seed, 0)))
	randomRows(s.y, rank, rand.New(rand.NewPCG(seed, 1)))
	return s
}

// load replaces the matrix.
func (s *mixing) load(a []float64) {
	s.a, s.at = kernel.Pack(s.p, s.d, a, s.d, 1), kernel.Pack(s.d, s.p, a, 1, s.d)
}

// randomRows fills x with rows of length 1.
func randomRows[T kernel.Float](x []T, rank int, r *rand.Rand) {
	for i := range x {
		x[i] = T(r.NormFloat64())
	}
	for i := 0; i < len(x); i += rank {
		unitRow(x[i:i+rank], x[i:i+rank])
	}
}

// unitRow sets dst to v/‖v‖ and returns ‖v‖; where v is 0 it leaves dst alone.
func unitRow[T kernel.Float](dst, v []T) float64 {
	n := math.Sqrt(float64(kernel.Dot(v, v)))
	if n > 0 {
		f := T(1 / n)
		for i, x := range v {
			dst[i] = x * f
		}
	}
	return n
}

// sweep improves Y, then X, and returns Σ of the dual solution: an estimate of the optimum.
func (s *mixing) sweep() float64 {
	total := project(s.y, s.y1, s.cy, s.at, s.x, s.rank)
	return total + project(s.x, s.x1, s.cx, s.a, s.y, s.rank)
}

// project sets dst to the normalised rows of m·src, c to their lengths, and returns Σc.
func project(dst, tmp, c []float64, m *kernel.Packed[float64], src []float64, rank int) float64 {
	clear(tmp)
	m.Mul(tmp, rank, src, rank)
	total := 0.0
	for i := range c {
		c[i] = unitRow(dst[i*rank:(i+1)*rank], tmp[i*rank:(i+1)*rank])
		total += c[i]
	}
	return total
}

// run sweeps until the lengths change by less than tol of their sum in a sweep, max sweeps at most. It returns the number of sweeps.
func (s *mixing) run(ctx context.Context, max int, tol float64) (int, error) {
	before := 0.0
	for i := range max {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		now := s.sweep()
		if now-before <= tol*now {
			return i + 1, nil
		}
		before = now
	}
	return max, nil
}
