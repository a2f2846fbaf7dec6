package simplex

import "math"

// ratioTest is the long-step (bound flipping) dual ratio test: the dual objective is concave and piecewise linear along
// the ray of the leaving variable, with one breakpoint per nonbasic variable that would lose dual feasibility; its slope
// starts at the violation and drops by |alpha|·range at each. The step goes to the breakpoint where the slope turns
// negative, and the variables passed on the way flip to their other bound.
type ratioTest struct {
	heap  []breakpoint // candidates not yet passed, least ratio first
	flips []breakpoint // passed
}

// A breakpoint is a nonbasic variable (structural j, or n+i for a slack) with its dual ratio.
type breakpoint struct {
	index int
	ratio float64
	size  float64 // |alpha|
}

// entering returns the variable that becomes basic (j, or n+i), leaving in ratio.flips those that flip, or −1 when no
// choice repairs the violation.
func (sv *Solver) entering(violation float64) int {
	rt := &sv.ratio
	sv.collect()
	rt.flips = rt.flips[:0]
	if len(rt.heap) == 0 {
		return -1
	}
	if sv.run.degenerate > blandAfter {
		return rt.leastIndex()
	}
	rt.heapify()
	slope := violation
	for len(rt.heap) > 0 {
		b := rt.pop()
		rt.flips = append(rt.flips, b)
		if slope -= b.size * sv.rangeOf(b.index); slope < 0 {
			break
		}
	}
	if slope > tolPrimal {
		return -1 // all of them flipped and still violated
	}
	return rt.choose()
}

// collect gathers the nonbasic variables that can move the leaving variable towards its bound.
func (sv *Solver) collect() {
	rt := &sv.ratio
	rt.heap = rt.heap[:0]
	add := func(index int, a, r float64, up bool) {
		if up {
			a, r = -a, -r
		}
		if a > tolPivot {
			rt.heap = append(rt.heap, breakpoint{index, max(0, r) / a, a})
		}
	}
	for j, a := range sv.alpha {
		if sv.colAt[j] < 0 && !sv.fixed[j] && math.Abs(a) > tolPivot {
			add(j, a, sv.r[j], sv.upper[j])
		}
	}
	for a, i := range sv.rows {
		add(sv.n+i, sv.beta[a], sv.y[i], sv.top[i])
	}
}

func (sv *Solver) rangeOf(index int) float64 {
	if index < sv.n {
		return 1
	}
	return sv.topSlack[index-sv.n]
}

// choose picks the entering variable near the last breakpoint passed: the largest pivot among those whose ratio differs
// from it by less than the dual tolerance allows (Harris), and an earlier breakpoint, which is a shorter but equally
// valid step, when all of these are small. What it picks and everything after it leaves flips.
func (rt *ratioTest) choose() int {
	last := len(rt.flips) - 1
	limit := rt.flips[last].ratio
	best := last
	for q := last - 1; q >= 0 && (limit-rt.flips[q].ratio)*rt.flips[q].size <= tolDual; q-- {
		if rt.flips[q].size > rt.flips[best].size {
			best = q
		}
	}
	chosen := rt.flips[best]
	rt.flips = rt.flips[:last] // the crossing breakpoint itself stays where it is
	if best != last {
		rt.flips = append(rt.flips[:best], rt.flips[best+1:]...)
		return chosen.index
	}
	for len(rt.heap) > 0 && chosen.size < goodPivot {
		b := rt.pop()
		if (b.ratio-limit)*b.size > tolDual {
			break
		}
		if b.size > chosen.size {
			chosen = b
		}
	}
	for q := len(rt.flips) - 1; q >= 0 && chosen.size < goodPivot; q-- {
		if rt.flips[q].size > 1e3*chosen.size {
			chosen, rt.flips = rt.flips[q], rt.flips[:q]
			break
		}
	}
	return chosen.index
}

// leastIndex is Bland's choice: least ratio, then least index.
func (rt *ratioTest) leastIndex() int {
	best := rt.heap[0]
	for _, b := range rt.heap[1:] {
		if b.ratio < best.ratio-1e-14 || b.ratio <= best.ratio && b.index < best.index {
			best = b
		}
	}
	return best.index
}

func (rt *ratioTest) heapify() {
	for i := len(rt.heap)/2 - 1; i >= 0; i-- {
		rt.down(i)
	}
}

func (rt *ratioTest) pop() breakpoint {
	b := rt.heap[0]
	last := len(rt.heap) - 1
	rt.heap[0] = rt.heap[last]
	rt.heap = rt.heap[:last]
	rt.down(0)
	return b
}

// down restores the heap order below i: by ratio, larger pivots later among equals, then by index so that the result is
// reproducible.
func (rt *ratioTest) down(i int) {
	h := rt.heap
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && before(h[c+1], h[c]) {
			c++
		}
		if !before(h[c], h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

func before(a, b breakpoint) bool {
	if a.ratio != b.ratio {
		return a.ratio < b.ratio
	}
	if a.size != b.size {
		return a.size < b.size
	}
	return a.index < b.index
}
