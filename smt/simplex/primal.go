package simplex

import (
	"context"
	"math"
	"math/big"
)

// The primal simplex on a System, for a new objective at an assignment inside the bounds: Devex prices, a ratio test in two passes
// (Harris), steps to the entering variable's own other bound, Bland's rule after a run of steps without progress.

// A Minimum is the answer of Minimize.
type Minimum struct {
	Status Status
	// Y are the multipliers of the rows: Bound(c, Y, lo, hi) is Bound. Nil unless Optimal.
	Y []float64
	// Bound is a rigorous lower bound on c·x inside the bounds; with free variables it may be −Inf where Exact is not.
	Bound float64
}

// Minimize moves the assignment to the least c·x, c one cost per structural variable, inside the bounds. Infeasible is proved as
// for Repair; Optimal and Unbounded are the float method's opinion, but Bound is rigorous. After a change of bounds the dual method
// goes on with the same costs where they are dual feasible; otherwise Repair and then the primal method. The error is ctx's.
func (s *System) Minimize(ctx context.Context, c []float64) (*Minimum, error) {
	s.setCosts(c)
	if s.crossed() || !s.dualFeasible() {
		status, err := s.Repair(ctx)
		if err != nil || status != Optimal {
			return &Minimum{Status: status, Bound: math.Inf(-1)}, err
		}
		return s.primal(ctx, c)
	}
	s.exactRay = nil
	status, err := s.dual(ctx, true)
	if err != nil {
		return nil, err
	}
	if status != Optimal { // stopped, or a failure that wants a proof
		if status, err = s.Repair(ctx); err != nil || status != Optimal {
			return &Minimum{Status: status, Bound: math.Inf(-1)}, err
		}
	}
	return s.primal(ctx, c)
}

// crossed reports whether some lower bound exceeds its upper one.
func (s *System) crossed() bool {
	for v := range s.lo {
		if !(s.lo[v] <= s.hi[v]) {
			return true
		}
	}
	return false
}

// setCosts computes the reduced costs of c.
func (s *System) setCosts(c []float64) {
	for j, v := range s.nonbasic {
		s.d[j] = 0
		if int(v) < s.n {
			s.d[j] = c[v]
		}
	}
	for i, v := range s.basic {
		if int(v) < s.n && c[v] != 0 {
			axpy(s.d, c[v], s.row(i))
		}
	}
}

// dualFeasible moves every nonbasic variable to the bound that its reduced cost asks for and reports whether all of them have one.
func (s *System) dualFeasible() bool {
	for j, v := range s.nonbasic {
		d := s.d[j]
		if d > tolDual && math.IsInf(s.lo[v], -1) || d < -tolDual && math.IsInf(s.hi[v], 1) {
			return false
		}
	}
	for j, v := range s.nonbasic {
		switch d := s.d[j]; {
		case d > tolDual:
			s.Update(int(v), s.lo[v])
		case d < -tolDual:
			s.Update(int(v), s.hi[v])
		default:
			s.Update(int(v), min(max(s.x[v], s.lo[v]), s.hi[v]))
		}
	}
	return true
}

// primal improves an assignment inside the bounds until no column does.
func (s *System) primal(ctx context.Context, c []float64) (*Minimum, error) {
	s.setCosts(c)
	s.resetPrices()
	limit := s.stats.Pivots + 200 + limitPivots*(s.n+s.m)
	still := 0
	for steps := 0; ; steps++ {
		if steps%contextEach == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.stats.Pivots >= limit || steps > 2*limit {
			return &Minimum{Status: Limit, Bound: math.Inf(-1)}, nil
		}
		if s.fresh >= checkEach {
			s.refresh()
			s.setCosts(c)
		}
		q := s.improving(still > blandAfter)
		if q < 0 {
			return s.minimum(c), nil
		}
		row, step := s.blocking(q, still > blandAfter)
		if math.IsInf(step, 1) {
			return &Minimum{Status: Unbounded, Bound: math.Inf(-1)}, nil
		}
		if still++; step*math.Abs(s.d[q]) > 1e-14 {
			still = 0
		}
		s.move(q, row, step)
	}
}

// improving chooses the entering column, −1 at a minimum.
func (s *System) improving(bland bool) int {
	q, best := -1, 0.0
	for j, v := range s.nonbasic {
		d := s.d[j]
		if !(d > tolDual && s.x[v] > s.lo[v]) && !(d < -tolDual && s.x[v] < s.hi[v]) {
			continue
		}
		if bland {
			if q < 0 || v < s.nonbasic[q] {
				q = j
			}
		} else if d*d > best*s.price[j] {
			q, best = j, d*d/s.price[j]
		}
	}
	return q
}

// blocking returns the row whose variable meets a bound first when column q moves, and the step; row −1 when the entering variable
// meets its own. +Inf: nothing does.
func (s *System) blocking(q int, bland bool) (row int, step float64) {
	v := s.nonbasic[q]
	dir, own := 1.0, s.hi[v]-s.x[v]
	if s.d[q] > 0 {
		dir, own = -1, s.x[v]-s.lo[v]
	}
	largest := 0.0
	for i := range s.basic {
		largest = max(largest, math.Abs(s.t[i*s.n+q])/s.scale[s.basic[i]])
	}
	room := func(i int) (ratio, size, slack float64) {
		f := dir * s.t[i*s.n+q]
		b := s.basic[i]
		size = math.Abs(f)
		if size <= tolEntry*largest*s.scale[b] {
			return math.Inf(1), 0, 0
		}
		gap := s.x[b] - s.lo[b]
		if f > 0 {
			gap = s.hi[b] - s.x[b]
		}
		return max(gap, 0) / size, size / s.scale[b], tolViolation * s.scale[b] / size
	}
	relaxed := own
	for i := range s.basic {
		ratio, _, slack := room(i)
		if bland {
			slack = 0
		}
		relaxed = min(relaxed, ratio+slack)
	}
	row, step = -1, own
	best := 0.0
	for i := range s.basic {
		ratio, size, _ := room(i)
		if ratio > relaxed || bland && row >= 0 && s.basic[i] > s.basic[row] {
			continue
		}
		if bland || size > best {
			row, step, best = i, ratio, size
		}
	}
	return row, step
}

// move takes the step, and pivots when another variable than the entering one met its bound.
func (s *System) move(q, row int, step float64) {
	v := s.nonbasic[q]
	up := s.d[q] < 0
	if row < 0 {
		s.toOtherBound(q, up)
		return
	}
	if !up {
		step = -step
	}
	s.Update(int(v), s.x[v]+step)
	b := s.basic[row]
	target := s.lo[b]
	if up == (s.t[row*s.n+q] > 0) {
		target = s.hi[b]
	}
	s.x[b] = target
	s.devexPrices(row, q)
	s.pivot(row, q)
}

// devexPrices updates the reference weights of the columns before the pivot.
func (s *System) devexPrices(row, q int) {
	line := s.row(row)
	p := line[q]
	for j, f := range line {
		if f != 0 && j != q {
			s.price[j] = max(s.price[j], f/p*f/p*s.price[q])
		}
	}
	if s.price[q] = max(s.price[q]/(p*p), 1); s.price[q] > maxWeight {
		s.resetPrices()
	}
}

func (s *System) resetPrices() {
	for j := range s.price {
		s.price[j] = 1
	}
}

// minimum packs the answer: the multiplier of a row is the reduced cost of its variable, negated.
func (s *System) minimum(c []float64) *Minimum {
	y := make([]float64, s.m)
	for j, v := range s.nonbasic {
		if int(v) >= s.n {
			y[int(v)-s.n] = -s.d[j]
		}
	}
	return &Minimum{Status: Optimal, Y: y, Bound: s.Bound(c, y, s.lo, s.hi)}
}

// ExactMultipliers returns the exact multipliers of the present basis for costs c; nil when it is singular or too large. At an
// optimal basis BoundExact with them is the minimum.
func (s *System) ExactMultipliers(c []float64) []*big.Rat { return s.solveMultipliers(c) }
