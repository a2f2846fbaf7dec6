package simplex

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// The dual simplex with bound flipping on a System. One iteration takes a basic variable out of its bounds, and a nonbasic one that
// can move it back: in the words of Reluplex's calculus, Pivot₁ with a member of slack⁺ when it is too low, Pivot₂ with one of
// slack⁻ when it is too high, then Update to the violated bound. The ratio test passes variables whose whole range does not suffice:
// they move to their other bound (an Update each). If all of slack⁺ together does not suffice, the row has no solution (Failure).
//
// Without an objective, costs are made up at every start: the sign is what the bound asks for, the size differs from variable to
// variable, so that ties and with them cycles are rare.

const (
	tolViolation = 1e-9 // of bounds, in units of scale
	tolEntry     = 1e-9 // smaller entries are no candidates, relative to the largest of the row
	limitPivots  = 30   // pivots of a solve: 200 + this times rows and columns
)

// Repair moves the assignment into all bounds. Optimal: it is inside, in floats. Infeasible: some lower bound exceeds its upper one,
// or the Farkas value of Ray is positive; either way it is proved that no assignment is inside. Limit: neither. The error is ctx's.
func (s *System) Repair(ctx context.Context) (Status, error) {
	if s.crossed() {
		s.fail = failure{row: -1}
		return Infeasible, nil
	}
	s.exactRay = nil
	s.settle()
	s.makeCosts()
	status, err := s.dual(ctx, false)
	if status == Infeasible && err == nil && !s.proved() {
		s.refactor()
		s.makeCosts()
		if status, err = s.dual(ctx, false); status == Infeasible && !s.proved() {
			status = Limit
		}
	}
	return status, err
}

// proved evaluates the ray of the failure: in compensated floats, then exactly, then with exact multipliers.
func (s *System) proved() bool {
	y := s.Ray()
	if s.Bound(nil, y, s.lo, s.hi) > 0 {
		return true
	}
	if v := s.BoundExact(nil, Rationals(y), s.lo, s.hi); v != nil && v.Sign() > 0 {
		return true
	}
	s.exactRay = s.solveRay()
	if s.exactRay == nil {
		return false
	}
	v := s.BoundExact(nil, s.exactRay, s.lo, s.hi)
	return v != nil && v.Sign() > 0
}

// makeCosts invents costs for which the present basis is dual feasible.
func (s *System) makeCosts() {
	for j, v := range s.nonbasic {
		size := float64(uint32(v+1)*2654435769) * 0x1p-32 // Knuth's multiplicative hash
		switch x := s.x[v]; {
		case x == s.lo[v]:
			s.d[j] = 0.5 + size
		case x == s.hi[v]:
			s.d[j] = -0.5 - size
		default:
			s.d[j] = 0
		}
	}
}

// dual pivots until every basic variable is inside its bounds. costs says that s.d is an objective that matters.
func (s *System) dual(ctx context.Context, costs bool) (Status, error) {
	limit := s.stats.Pivots + 200 + limitPivots*(s.n+s.m)
	still := 0 // pivots in a row without dual progress
	defer func() { s.pinned = -1 }()
	for steps := 0; ; steps++ {
		if steps%contextEach == 0 && ctx.Err() != nil {
			return Limit, ctx.Err()
		}
		if s.stats.Pivots >= limit {
			return Limit, nil
		}
		if s.fresh >= checkEach {
			before := s.stats.Refactorisations
			if s.refresh(); s.stats.Refactorisations != before {
				if costs {
					return Limit, nil // the caller computes the costs anew
				}
				s.makeCosts()
			}
		}
		bland := still > blandAfter || limit-s.stats.Pivots < limitPivots*(s.n+s.m)/2
		i, low := s.violated(bland)
		if i < 0 {
			return Optimal, nil
		}
		q := s.enter(i, low, bland, costs)
		if q < 0 && s.pinned >= 0 {
			s.pinned = -1
			continue
		}
		if q < 0 {
			s.fail = failure{i, low}
			return Infeasible, nil
		}
		if math.Abs(s.d[q]) <= tolDual*math.Abs(s.row(i)[q]) {
			still++
		} else {
			still = 0
		}
		s.exchange(i, q, low)
	}
}

// violated chooses the basic variable with the largest violation, weighed by Devex, or the one of least index; −1 when there is none.
func (s *System) violated(bland bool) (row int, low bool) {
	row = -1
	best := 0.0
	for i, v := range s.basic {
		x, tol := s.x[v], tolViolation*s.scale[v]
		below := s.lo[v] - x
		gap := max(below, x-s.hi[v])
		if !(gap > tol) || gap <= 1e-12*math.Abs(x) {
			continue
		}
		if bland {
			if row < 0 || v < s.basic[row] {
				row, low = i, below > 0
			}
			continue
		}
		if p := gap / s.scale[v]; p*p > best*s.weight[i] {
			best, row, low = p*p/s.weight[i], i, below > 0
		}
	}
	return row, low
}

// enter chooses the entering column for row i, moving those that the ratio test passes to their other bound; −1 for Failure.
func (s *System) enter(i int, low, bland, costs bool) int {
	s.collect(i, low)
	if len(s.ratios) == 0 {
		return -1
	}
	if bland {
		return s.leastIndex(costs)
	}
	slices.SortFunc(s.ratios, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.ratio, b.ratio), cmp.Compare(a.size, b.size), cmp.Compare(s.nonbasic[a.col], s.nonbasic[b.col]))
	})
	v := s.basic[i]
	slope := s.x[v] - s.hi[v]
	if low {
		slope = s.lo[v] - s.x[v]
	}
	last, largest := -1, 0.0
	for k, c := range s.ratios {
		largest = max(largest, c.pivot)
		if last < 0 {
			if slope -= c.size * c.room; slope < 0 {
				last = k
			}
		}
	}
	if last < 0 {
		if slope > 0 {
			return -1 // all of them moved and still violated
		}
		last = len(s.ratios) - 1
	}
	best := s.near(last, largest)
	for _, c := range s.ratios[:min(best, last)] {
		s.toOtherBound(c.col, low == (s.row(i)[c.col] > 0))
	}
	return s.ratios[best].col
}

// near picks the entering candidate at or before the one where the slope turns: the largest entry among those whose ratio differs by
// no more than the tolerance (Harris), else an earlier one if that is much larger: a shorter step, but a valid one.
func (s *System) near(last int, largest float64) int {
	best := last
	for q := last - 1; q >= 0 && (s.ratios[last].ratio-s.ratios[q].ratio)*s.ratios[q].size <= tolDual; q-- {
		if s.ratios[q].pivot > s.ratios[best].pivot {
			best = q
		}
	}
	for q := best - 1; q >= 0 && s.ratios[best].pivot < goodPivot*largest; q-- {
		if s.ratios[q].pivot > 1e3*s.ratios[best].pivot {
			best = q
		}
	}
	return best
}

// collect gathers slack⁺ of row i when it is too low, slack⁻ when it is too high: the columns that can move it back. Without entries
// of decent size the small ones count too.
func (s *System) collect(i int, low bool) {
	s.ratios = s.ratios[:0]
	row := s.row(i)
	largest := 0.0
	for j, f := range row {
		if v := s.nonbasic[j]; s.lo[v] < s.hi[v] {
			largest = max(largest, math.Abs(f)*s.scale[v])
		}
	}
	for j, f := range row {
		v := s.nonbasic[j]
		size := math.Abs(f)
		if size*s.scale[v] <= tolEntry*largest {
			continue
		}
		room := s.x[v] - s.lo[v]
		if low == (f > 0) { // the variable has to grow
			room = s.hi[v] - s.x[v]
		}
		if !(room > 0) || s.lo[v] == s.hi[v] || int(v) == s.pinned {
			continue
		}
		d := s.d[j]
		if (low == (f > 0)) != (d > 0) {
			d = 0
		}
		s.ratios = append(s.ratios, candidate{j, math.Abs(d) / size, size, size * s.scale[v], room})
	}
}

// leastIndex is Bland's choice: the variable of least index; with costs that matter, among those of least ratio.
func (s *System) leastIndex(costs bool) int {
	best := s.ratios[0]
	for _, c := range s.ratios[1:] {
		first := s.nonbasic[c.col] < s.nonbasic[best.col]
		if costs && (c.ratio < best.ratio-1e-14 || c.ratio <= best.ratio && first) || !costs && first {
			best = c
		}
	}
	return best.col
}

// toOtherBound moves a nonbasic variable to its upper or lower bound.
func (s *System) toOtherBound(col int, up bool) {
	v := s.nonbasic[col]
	s.stats.Flips++
	if up {
		s.Update(int(v), s.hi[v])
	} else {
		s.Update(int(v), s.lo[v])
	}
}

// exchange moves the entering variable until the leaving one meets its bound, and pivots.
func (s *System) exchange(i, q int, low bool) {
	v, w := s.basic[i], s.nonbasic[q]
	target := s.hi[v]
	if low {
		target = s.lo[v]
	}
	s.Update(int(w), s.x[w]+(target-s.x[v])/s.row(i)[q])
	s.x[v] = target
	s.pivot(i, q)
}
