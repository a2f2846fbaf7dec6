package reluplex

import "math"

// The pairs R. A pair is decided when its bounds leave one linear piece: f ≤ 0 (SPLIT in the program of 2017: f is 0) or f − b ≤ 0
// (MERGE: f is b).

// decided reports whether pair p has a phase.
func (e *engine) decided(p int) bool {
	q := &e.pairs[p]
	return e.sys.Upper(q.f) <= 0 || e.sys.Upper(q.s) <= q.err
}

// phase asserts one side of a pair: active is b ≥ 0 and f = b, inactive b ≤ 0 and f = 0. Together the sides are all there is.
func (e *engine) phase(p int, active bool, why levels) (set levels, conflict bool) {
	q := &e.pairs[p]
	if active {
		if set, conflict = e.lower(q.b, -q.err, why); conflict {
			return set, true
		}
		return e.upper(q.s, q.err, why)
	}
	if set, conflict = e.upper(q.b, q.err, why); conflict {
		return set, true
	}
	return e.upper(q.f, 0, why)
}

// pairBounds moves bounds across a pair, b being known up to err:
//
//	u(b) < 0 or l(f − b) > 0   inactive
//	l(b) > 0 or l(f) > 0       active
//	f ≤ max(0, u(b)),  f ≥ l(b),  b ≤ u(f),  f − b ≤ max(0, −l(b))
func (e *engine) pairBounds(p int) (set levels, conflict bool) {
	q := &e.pairs[p]
	b, f, s := q.b, q.f, q.s
	grown := func(x float64) float64 {
		if q.err == 0 {
			return x
		}
		return up(x + q.err)
	}
	switch {
	case grown(e.sys.Upper(b)) <= 0:
		set, conflict = e.phase(p, false, e.whyHi[b])
	case e.sys.Upper(f) <= 0:
		set, conflict = e.phase(p, false, e.whyHi[f])
	case e.sys.Lower(s) > q.err:
		set, conflict = e.phase(p, false, e.whyLo[s])
	case -grown(-e.sys.Lower(b)) >= 0:
		set, conflict = e.phase(p, true, e.whyLo[b])
	case e.sys.Lower(f) > 0:
		set, conflict = e.phase(p, true, e.whyLo[f])
	}
	if conflict {
		return set, true
	}
	if set, conflict = e.upper(f, max(0, grown(e.sys.Upper(b))), e.whyHi[b]); conflict {
		return set, true
	}
	if set, conflict = e.lower(f, -grown(-e.sys.Lower(b)), e.whyLo[b]); conflict {
		return set, true
	}
	if set, conflict = e.upper(b, grown(e.sys.Upper(f)), e.whyHi[f]); conflict {
		return set, true
	}
	return e.upper(s, max(q.err, grown(-e.sys.Lower(b))), e.whyLo[b])
}

// broken returns the first pair that the assignment violates, α(f) ≠ max(0, α(b)); −1 when there is none.
func (e *engine) broken() int {
	for i := range e.pairs {
		q := &e.pairs[i]
		b, f := e.sys.Value(q.b), e.sys.Value(q.f)
		if math.Abs(f-max(0, b)) > tolPair*(1+math.Abs(b))+q.err {
			return i
		}
	}
	return -1
}

// fix repairs a violated pair: b follows f, or else f follows b, as the program of 2017 prefers. An update repairs a pair only when
// the other member stays where it is, so members that are basic and depend on the first are made nonbasic before (PivotForRelu).
func (e *engine) fix(p int) {
	q := &e.pairs[p]
	if e.sys.IsBasic(q.b) && e.sys.IsBasic(q.f) {
		e.pivotForRelu(q.b, q)
	}
	if e.dependent(q.b, q.f) {
		e.pivotForRelu(q.b, q)
	} else if e.dependent(q.f, q.b) {
		e.pivotForRelu(q.f, q)
	}
	e.out.Repairs++
	if !e.updateB(q) {
		e.updateF(q)
	}
}

// dependent reports whether v is basic and moves with nonbasic variable w.
func (e *engine) dependent(v, w int) bool {
	if !e.sys.IsBasic(v) || e.sys.IsBasic(w) {
		return false
	}
	row := e.sys.TableauRow(v)
	for j, x := range e.sys.Nonbasic() {
		if int(x) == w {
			return row[j] != 0
		}
	}
	return false
}

// updateB is the rule Update_b: b nonbasic, α(f) ≥ 0: b := α(f). It reports whether it applies.
func (e *engine) updateB(q *pair) bool {
	f := e.sys.Value(q.f)
	if e.sys.IsBasic(q.b) || f < 0 || f > e.sys.Upper(q.b) || f < e.sys.Lower(q.b) {
		return false
	}
	e.sys.Update(q.b, f)
	e.sys.Pin(q.b)
	return true
}

// updateF is the rule Update_f: f nonbasic: f := max(0, α(b)).
func (e *engine) updateF(q *pair) bool {
	if e.sys.IsBasic(q.f) {
		return false
	}
	e.sys.Update(q.f, max(0, e.sys.Value(q.b)))
	e.sys.Pin(q.f)
	return true
}

// pivotForRelu is the rule PivotForRelu: v, a basic member of pair q, is exchanged with a nonbasic variable of its row: the slack of
// the pair if it can be, else the one with the largest entry that is no member itself.
func (e *engine) pivotForRelu(v int, q *pair) {
	best, size := -1, 1e-6
	row := e.sys.TableauRow(v)
	for j, w := range e.sys.Nonbasic() {
		a := math.Abs(row[j])
		if int(w) == q.s && a > 1e-4 {
			best = j
			break
		}
		if w := int(w); w != q.b && w != q.f && e.sys.Lower(w) < e.sys.Upper(w) && a > size {
			best, size = j, a
		}
	}
	if best >= 0 {
		e.sys.Pivot(v, int(e.sys.Nonbasic()[best]))
	}
}
