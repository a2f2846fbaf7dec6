package reluplex

import "math"

// The stack of decisions. A refuted branch comes back as the set of levels that its refutation depends on (the paper's decision
// levels of bounds, but as sets): levels above the highest one of the set are taken back without a look at their other side, and
// there the other phase is no longer a decision but follows from the rest of the set.

// A decision is a pair's phase, taken by ReluSplit.
type decision struct {
	pair   int
	active bool
}

// A step is an entry of the path to the present branch: a decision or a phase that followed from one's refutation, at its level.
type step struct {
	level int
	open  bool // the other side is still to come
}

// split is the rule ReluSplit: a branch for u(b) := 0, one for l(b) := 0, the one that the assignment leans to first. All counts of
// repairs start again. The answer is a reason to stop, if any.
func (e *engine) split(p int) string {
	if e.cfg.Splits > 0 && e.out.Splits >= e.cfg.Splits {
		return "budget"
	}
	e.out.Splits++
	clear(e.repairs)
	e.decide(p, e.sys.Value(e.pairs[p].f) > 0)
	return ""
}

// decide opens a level on which pair p has the given phase.
func (e *engine) decide(p int, active bool) {
	e.decisions = append(e.decisions, decision{p, active})
	level := len(e.decisions)
	e.out.Depth = max(e.out.Depth, level)
	e.sys.Push()
	e.marks = append(e.marks, len(e.reasons))
	e.path = append(e.path, step{level, true})
	if set, conflict := e.phase(p, active, levels(nil).with(level)); conflict {
		e.pending = &set
	}
}

// backtrack leaves a branch that was refuted by what the levels of set decided, and enters the other side of the highest of them;
// false when there is none: the case is refuted.
//
// Sound because the decision at the highest level L of set cannot hold together with those at the other levels of set: so its
// opposite follows from them, and that is the reason recorded for it.
func (e *engine) backtrack(set levels) bool {
	for {
		e.out.Branches++
		if e.cfg.refuted != nil {
			e.cfg.refuted(e, set)
		}
		for len(e.decisions) > 0 && !set.has(len(e.decisions)) {
			e.pop()
		}
		level := len(e.decisions)
		if level == 0 {
			return false
		}
		d := e.decisions[level-1]
		e.pop()
		clear(e.repairs)
		rest := set.without(level)
		e.path = append(e.path, step{level - 1, false})
		next, conflict := e.phase(d.pair, !d.active, rest)
		if !conflict {
			return true
		}
		set = next
	}
}

// pop takes back the last decision and everything that followed.
func (e *engine) pop() {
	level := len(e.decisions)
	e.sys.Pop()
	mark := e.marks[level-1]
	for i := len(e.reasons) - 1; i >= mark; i-- {
		r := e.reasons[i]
		if r.upper {
			e.whyHi[r.v] = r.old
		} else {
			e.whyLo[r.v] = r.old
		}
	}
	e.reasons, e.marks, e.decisions = e.reasons[:mark], e.marks[:level-1], e.decisions[:level-1]
	for len(e.path) > 0 && e.path[len(e.path)-1].level >= level {
		e.path = e.path[:len(e.path)-1]
	}
}

// volume is the fraction of the tree that is refuted: what is left is the present branch and the other sides of decisions.
func (e *engine) volume() float64 {
	left := math.Pow(0.5, float64(len(e.path)))
	for i, s := range e.path {
		if s.open {
			left += math.Pow(0.5, float64(i+1))
		}
	}
	return max(1-left, 0)
}

// open counts the branches left.
func (e *engine) open() int { return len(e.decisions) + 1 }
