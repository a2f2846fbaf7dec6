package reluplex

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/smt/simplex"
)

// What the tableau proves: reasons of failures, and phases that follow from its rows.

// explain returns levels whose decisions the last failure depends on: those of the bounds that the sum of its multipliers uses.
// Bounds whose replacement by the ones without any decision costs little are replaced, while the sum stays positive.
func (e *engine) explain() levels {
	lo, hi := e.sys.Bounds()
	for v := range lo {
		if lo[v] > hi[v] {
			return e.whyLo[v].union(e.whyHi[v])
		}
	}
	if e.sys.ExactRay() != nil {
		return upTo(len(e.decisions))
	}
	set, value := e.reduce(nil, e.sys.Ray(), 0)
	if !(value > 0) {
		return upTo(len(e.decisions)) // the exact evaluation alone proved it
	}
	return set
}

// A use of bounds in a sum: the variable, what replacing its bounds by the ground ones costs, and why they hold.
type use struct {
	v    int
	cost float64
	why  levels
}

// reduce evaluates the multipliers with as many ground bounds in place of present ones as leave the sum above need, the cheapest
// replacements first, and returns the levels that the rest depends on with the value. If the sum is not above need at all, the
// value says so.
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
	slices.SortFunc(uses, func(a, b use) int { return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.v, b.v)) })
	budget := (value - need) * 0.999
	kept := 0
	for kept < len(uses) && uses[kept].cost < budget {
		budget -= uses[kept].cost
		kept++
	}
	if kept == 0 {
		return union(uses), value
	}
	mixLo, mixHi := append(e.mixLo[:0], lo...), append(e.mixHi[:0], hi...)
	e.mixLo, e.mixHi = mixLo, mixHi
	for _, u := range uses[:kept] {
		mixLo[u.v], mixHi[u.v] = e.groundLo[u.v], e.groundHi[u.v]
	}
	if mixed := simplex.Least(e.sum, mixLo, mixHi); mixed > need {
		return union(uses[kept:]), mixed
	}
	return union(uses), value
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
