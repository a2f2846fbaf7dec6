package reluplex

import "math"

// A reason is an entry of the trail: why a bound held before.
type reason struct {
	v     int32
	upper bool
	old   levels
}

// lower asserts x_v ≥ b because of the given levels, if that is tighter; conflict says that no value is left, because of the
// levels returned.
func (e *engine) lower(v int, b float64, why levels) (set levels, conflict bool) {
	if !(b > e.sys.Lower(v)) || math.IsInf(b, 1) {
		return nil, false
	}
	if b > e.sys.Upper(v) {
		return why.union(e.whyHi[v]), true
	}
	e.reasons = append(e.reasons, reason{int32(v), false, e.whyLo[v]})
	e.sys.SetLower(v, b)
	if e.whyLo[v] = why; len(e.decisions) == 0 {
		e.groundLo[v] = b
	}
	e.changed(v)
	return nil, false
}

// upper is the mirror image of lower.
func (e *engine) upper(v int, b float64, why levels) (set levels, conflict bool) {
	if !(b < e.sys.Upper(v)) || math.IsInf(b, -1) {
		return nil, false
	}
	if b < e.sys.Lower(v) {
		return why.union(e.whyLo[v]), true
	}
	e.reasons = append(e.reasons, reason{int32(v), true, e.whyHi[v]})
	e.sys.SetUpper(v, b)
	if e.whyHi[v] = why; len(e.decisions) == 0 {
		e.groundHi[v] = b
	}
	e.changed(v)
	return nil, false
}

func (e *engine) changed(v int) {
	e.tightened = true
	for _, r := range e.rowsOf[v] {
		e.staleRows[r] = true
	}
	for _, p := range e.pairsOf[v] {
		e.stalePair[p] = true
	}
}

// sweeps bounds the rounds of propagation: bounds may creep on for ever.
const sweeps = 6

// propagate derives bounds from rows and pairs until nothing changes enough.
func (e *engine) propagate() (set levels, conflict bool) {
	if e.pending != nil {
		set, e.pending = *e.pending, nil
		return set, true
	}
	for range sweeps {
		busy := false
		for r, stale := range e.staleRows {
			if !stale {
				continue
			}
			e.staleRows[r], busy = false, true
			if set, conflict = e.rowBounds(r); conflict {
				return set, true
			}
		}
		for p, stale := range e.stalePair {
			if !stale {
				continue
			}
			e.stalePair[p], busy = false, true
			if set, conflict = e.pairBounds(p); conflict {
				return set, true
			}
		}
		if !busy {
			break
		}
	}
	return nil, false
}

// A term is a summand of a row: variable, coefficient, range of the product and why.
type term struct {
	v           int
	a           float64
	low, high   float64
	wLow, wHigh levels
}

// rowBounds is deriveLowerBound and deriveUpperBound on a row of the network, s = Σ a·x, solved for each of its variables.
//
// Sound because the sums are widened by a bound of their rounding ((n+8)·2⁻⁵² of the magnitudes) and quotients are rounded outward.
func (e *engine) rowBounds(r int) (set levels, conflict bool) {
	row := e.rows[r]
	e.terms = e.terms[:0]
	low, high, mag := 0.0, 0.0, 0.0
	add := func(v int, a float64) {
		l, h := a*e.sys.Lower(v), a*e.sys.Upper(v)
		t := term{v: v, a: a, low: l, high: h, wLow: e.whyLo[v], wHigh: e.whyHi[v]}
		if a < 0 {
			t.low, t.high, t.wLow, t.wHigh = h, l, t.wHigh, t.wLow
		}
		e.terms = append(e.terms, t)
		low += t.low
		high += t.high
		mag += max(math.Abs(l), math.Abs(h))
	}
	for k, j := range row.Idx {
		add(int(j), row.Val[k])
	}
	add(e.columns+r, -1)
	err := mag*float64(len(e.terms)+8)*0x1p-52 + 0x1p-1000
	for i, t := range e.terms {
		// a·x = −(sum of the others)
		atLeast, atMost := -(high-t.high)-err, -(low-t.low)+err
		if !(atLeast > t.low) && !(atMost < t.high) {
			continue
		}
		if t.a < 0 {
			atLeast, atMost = atMost, atLeast
		}
		lo, hi := down(atLeast/t.a), up(atMost/t.a)
		width := e.sys.Upper(t.v) - e.sys.Lower(t.v)
		if worth(lo-e.sys.Lower(t.v), width, lo, e.sys.Lower(t.v)) {
			if set, conflict = e.lower(t.v, lo, e.others(i, t.a > 0)); conflict {
				return set, true
			}
		}
		if worth(e.sys.Upper(t.v)-hi, width, -hi, -e.sys.Upper(t.v)) {
			if set, conflict = e.upper(t.v, hi, e.others(i, t.a < 0)); conflict {
				return set, true
			}
		}
	}
	return nil, false
}

// worth reports whether a bound is enough of an improvement: a part of the width, the end of the range, or a sign.
func worth(gain, width, now, before float64) bool {
	return gain > 0 && (gain > 1e-3*width || now >= 0 && before < 0 && gain > 1e-12)
}

// others is the union of the reasons of all terms but one: of their upper ends when high, else of their lower ends.
func (e *engine) others(but int, high bool) levels {
	var set levels
	for i := range e.terms {
		if i == but {
			continue
		}
		if high {
			set = set.union(e.terms[i].wHigh)
		} else {
			set = set.union(e.terms[i].wLow)
		}
	}
	return set
}
