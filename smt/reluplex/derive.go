package reluplex

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/smt/simplex"
)

// What the tableau proves: reasons of failures, and phases that follow from its rows.

// explain returns levels whose decisions the last failure depends on: those of the bounds that the sum of its multipliers uses.
// Bounds whose replacement by the ones without any decision costs little are replaced, while the sum stays positive. It evaluates the
// sum itself; proved is false when that proves nothing, whatever the simplex method said.
func (e *engine) explain() (set levels, proved bool) {
	lo, hi := e.sys.Bounds()
	for v := range lo {
		if lo[v] > hi[v] {
			return e.whyLo[v].union(e.whyHi[v]), true
		}
	}
	y := e.sys.ExactRay()
	if y == nil {
		ray := e.sys.Ray()
		if set, value := e.reduce(nil, ray, 0); value > 0 {
			return set, true
		}
		y = simplex.Rationals(ray)
	}
	value := e.sys.BoundExact(nil, y, lo, hi)
	return upTo(len(e.decisions)), value != nil && value.Sign() > 0
}

// A use of bounds in a sum: the variable, what replacing its bounds by the ground ones costs, and why they hold.
type use struct {
	v    int
	cost float64
	why  levels
}

// reduce evaluates the multipliers with ground bounds in place of the present ones of as many levels as leave the sum above need, and
// returns the levels that the rest depends on with the value. If the sum is not above need at all, the value says so.
//
// Sound because the value returned is that of the bounds whose levels are returned: ground bounds depend on none.
func (e *engine) reduce(c, y []float64, need float64) (levels, float64) {
	lo, hi := e.sys.Bounds()
	e.sum = e.sys.Terms(e.sum[:0], c, y)
	value := simplex.Least(e.sum, lo, hi)
	if !(value > need) {
		return nil, value
	}
	uses := e.uses[:0]
	for i := range e.sum {
		t := &e.sum[i]
		v := t.Var
		why, moved := e.whyLo[v], lo[v]-e.groundLo[v]
		switch {
		case t.High <= 0:
			why, moved = e.whyHi[v], e.groundHi[v]-hi[v]
		case t.Low < 0:
			why, moved = why.union(e.whyHi[v]), max(moved, e.groundHi[v]-hi[v])
		}
		if why != nil {
			uses = append(uses, use{v, max(math.Abs(t.Low), math.Abs(t.High)) * moved, why})
		}
	}
	e.uses = uses
	uses, kept := e.dropLevels(uses, (value-need)*0.999)
	if kept == len(uses) {
		return union(uses), value
	}
	mixLo, mixHi := append(e.mixLo[:0], lo...), append(e.mixHi[:0], hi...)
	e.mixLo, e.mixHi = mixLo, mixHi
	for _, u := range uses[kept:] {
		mixLo[u.v], mixHi[u.v] = e.groundLo[u.v], e.groundHi[u.v]
	}
	if mixed := simplex.Least(e.sum, mixLo, mixHi); mixed > need {
		return union(uses[:kept]), mixed
	}
	return union(uses), value
}

// dropLevels moves to the end the uses that depend on levels which the budget can do without, cheapest levels first, and returns how
// many are kept.
func (e *engine) dropLevels(uses []use, budget float64) ([]use, int) {
	order, cost := e.order[:0], append(e.levelCost[:0], make([]float64, len(e.decisions)+1)...)
	for l := 1; l <= len(e.decisions); l++ {
		order = append(order, l)
		for i := range uses {
			if uses[i].why.has(l) {
				cost[l] += uses[i].cost
			}
		}
	}
	e.order, e.levelCost = order, cost
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(cost[a], cost[b]) })
	kept := len(uses)
	for _, l := range order {
		sum := 0.0
		for i := range uses[:kept] {
			if uses[i].why.has(l) {
				sum += uses[i].cost
			}
		}
		if sum >= budget {
			continue
		}
		budget -= sum
		for i := 0; i < kept; {
			if !uses[i].why.has(l) {
				i++
				continue
			}
			kept--
			uses[i], uses[kept] = uses[kept], uses[i]
		}
	}
	return uses, kept
}

func union(uses []use) levels {
	var set levels
	for _, u := range uses {
		set = set.union(u.why)
	}
	return set
}

// derive is deriveLowerBound and deriveUpperBound on the rows of the tableau whose basic variable belongs to an undecided pair: where
// the row's range fixes the phase, or cuts a tenth off the range of b, that is proved with the row's multipliers and asserted. It
// reports whether something was.
func (e *engine) derive() bool {
	e.tightened = false
	any := false
	for p := range e.pairs {
		for _, v := range []int{e.pairs[p].b, e.pairs[p].f} {
			if !e.decided(p) && e.pending == nil && e.sys.IsBasic(v) {
				low, high := e.rowRange(v)
				any = e.derived(v, low, 1) || any
				any = e.derived(v, -high, -1) || any
			}
		}
	}
	return any
}

// derived proves and asserts sign·v ≥ about low where that gains enough.
func (e *engine) derived(v int, low, sign float64) bool {
	now, width := e.sys.Lower(v), e.sys.Upper(v)-e.sys.Lower(v)
	if sign < 0 {
		now = -e.sys.Upper(v)
	}
	need := now + 0.1*width
	if now < 0 && low > 0 {
		need = 0
	}
	if !(low > need) {
		return false
	}
	clear(e.y)
	e.costs[v] = sign
	e.sys.RowMultipliers(e.y, v, sign)
	set, value := e.reduce(e.costs, e.y, need)
	e.costs[v] = 0
	if !(value > need) {
		return false
	}
	var conflict levels
	var bad bool
	if sign > 0 {
		conflict, bad = e.lower(v, value, set)
	} else {
		conflict, bad = e.upper(v, -value, set)
	}
	if bad {
		e.pending = &conflict
	}
	return true
}

// rowRange is the range of basic variable v that its row of the tableau leaves, in floats.
func (e *engine) rowRange(v int) (low, high float64) {
	row := e.sys.TableauRow(v)
	for j, w := range e.sys.Nonbasic() {
		a := row[j]
		switch {
		case a > 0:
			low += a * e.sys.Lower(int(w))
			high += a * e.sys.Upper(int(w))
		case a < 0:
			low += a * e.sys.Upper(int(w))
			high += a * e.sys.Lower(int(w))
		}
	}
	return low, high
}
