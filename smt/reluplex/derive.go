package reluplex

import (
	"math"
	"slices"
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

// A use of a bound: the variable, its coefficient in the sum, and what replacing the bound by the ground one costs.
type use struct {
	v    int
	a    float64
	cost float64
	why  levels
}

// reduce evaluates the multipliers with as many ground bounds in place of present ones as leave the sum above need, and returns the
// levels that the rest depends on with the value. If the sum is not above need at all, the value says so.
func (e *engine) reduce(c, y []float64, need float64) (levels, float64) {
	lo, hi := e.sys.Bounds()
	value := e.sys.Bound(c, y, lo, hi)
	if !(value > need) {
		return nil, value
	}
	var uses []use
	e.sys.EachTerm(c, y, func(v int, low, high float64) {
		why, moved := e.whyLo[v], lo[v]-e.groundLo[v]
		if high <= 0 {
			why, moved = e.whyHi[v], e.ground[v]-hi[v]
		} else if low < 0 {
			why, moved = why.union(e.whyHi[v]), max(moved, e.ground[v]-hi[v])
		}
		if why != nil {
			uses = append(uses, use{v, low, max(math.Abs(low), math.Abs(high)) * moved, why})
		}
	})
	slices.SortStableFunc(uses, func(a, b use) int {
		switch {
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	mixLo, mixHi := slices.Clone(lo), slices.Clone(hi)
	budget := (value - need) * 0.999
	kept := len(uses)
	for i, u := range uses {
		if budget -= u.cost; budget <= 0 {
			kept = i
			break
		}
		mixLo[u.v], mixHi[u.v] = e.groundLo[u.v], e.ground[u.v]
	}
	if kept == 0 || len(uses) == 0 {
		return union(uses), value
	}
	if mixed := e.sys.Bound(c, y, mixLo, mixHi); mixed > need {
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

// derive looks at the rows of the tableau whose basic variable belongs to an undecided pair: where deriveLowerBound or
// deriveUpperBound fixes its phase, that is proved with the row's multipliers and asserted. It reports whether something was.
func (e *engine) derive() bool {
	e.tightened = false
	any := false
	for p := range e.pairs {
		if e.decided(p) {
			continue
		}
		q := &e.pairs[p]
		any = e.impliedPhase(p, q.b, q.err, q.err) || any
		if !e.decided(p) {
			any = e.impliedPhase(p, q.f, 0, -1) || any
		}
	}
	return any
}

// impliedPhase tries to prove v ≥ atLeast (then p is active) or v ≤ −below (then p is inactive) from v's row; below < 0: not tried.
func (e *engine) impliedPhase(p, v int, atLeast, below float64) bool {
	if !e.sys.IsBasic(v) {
		return false
	}
	low, high := e.rowRange(v)
	for _, active := range []bool{true, false} {
		sign, need := 1.0, atLeast
		switch {
		case active && !(low > atLeast):
			continue
		case !active && (below < 0 || !(high < -below)):
			continue
		case !active:
			sign, need = -1, below
		}
		y, c := make([]float64, e.sys.Rows()), make([]float64, e.sys.Columns()+e.sys.Rows())
		c[v] = sign
		e.sys.RowMultipliers(y, v, sign)
		set, value := e.reduce(c, y, need)
		if !(value > need) {
			continue
		}
		if conflict, bad := e.phase(p, active, set); bad {
			e.pending = &conflict
		}
		return true
	}
	return false
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
