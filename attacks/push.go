package attacks

import (
	"math"

	"github.com/spai-project/certify/nn/spec"
)

var _ = register("push", "monotone line searches that widen a found violation until every float32 execution shows it")

const maxPushes = 6 // line-search rounds after candidates that were not confirmed for every float32 execution

// candidate handles lane r of l, whose float64 margin is not negative. It returns true when the search is over: a witness for
// every float32 execution was found, or enough was tried to turn a lesser one into such a one.
func (s *Searcher) candidate(l *lanes, r int) bool {
	ci := l.cs[r]
	if last, ok := s.failed[ci]; s.pushing || ok && !(l.margin[r] > 1.5*last+math.SmallestNonzeroFloat64) {
		return false
	}
	x := l.get(make([]float64, s.pr.NumInputs), r)
	s.failed[ci] = l.margin[r]
	s.pushing = true
	done := s.ask(ci, x) || s.push(ci, x, l.margin[r])
	s.pushing = false
	s.pushes++
	if done || s.best != nil && s.pushes >= maxPushes {
		s.over = true
	}
	return s.over
}

// confirm asks for the verdict on one point, keeps it if it is the best, and reports whether the search has its witness.
func (s *Searcher) confirm(ci int, x []float64) bool {
	var w *spec.Witness
	var ok bool
	if s.full != nil {
		w, ok = s.whole.Confirm(s.full, x)
	} else {
		w, ok = s.pr.ConfirmCase(s.p, ci, x)
	}
	if !ok {
		return false
	}
	if s.best == nil && !w.AnyOrder { // a witness is there: what is left to gain is worth some more work, not all of it
		s.left = min(s.left, 4*(s.budget-s.left)+DefaultWork)
	}
	if better(w, s.best) {
		s.best = w
	}
	if w.AnyOrder {
		s.over = true
	}
	return w.AnyOrder
}

func better(w, old *spec.Witness) bool {
	return old == nil || w.AnyOrder && !old.AnyOrder || w.AnyOrder == old.AnyOrder && w.Margin > old.Margin
}

// push climbs the margin of one case from x: eight step lengths at once along the gradient and its signs, the best is taken.
// It asks for confirmation whenever the margin has doubled, and at the end. True: confirmed for every float32 execution.
func (s *Searcher) push(ci int, x []float64, margin float64) bool {
	l := s.pushLanes()
	g := s.groupOf[s.pr.Cases[ci].Box]
	for r := range l.R {
		l.setBox(r, s, g, ci)
		l.set(r, x)
	}
	if !s.evaluate(l) {
		return false
	}
	asked, size := margin, 1.0/16
	dir := make([]float64, len(x))
	s.direction(dir, l, 0)
	for range 40 {
		for r := range l.R {
			l.set(r, x)
			l.along(r, dir, size*math.Ldexp(1, 2-r/2*2), r&1 == 0)
		}
		if !s.evaluate(l) {
			break
		}
		b := 0
		for r, m := range l.margin {
			if m > l.margin[b] {
				b = r
			}
		}
		if !(l.margin[b] > margin) {
			if size /= 64; size < 1e-6 {
				break
			}
			continue
		}
		margin, size = l.margin[b], size*math.Ldexp(1, 2-b/2*2)
		size = min(size, 0.25)
		l.get(x, b)
		if margin >= 2*asked || asked <= 0 {
			if asked = margin; s.ask(ci, x) {
				return true
			}
		}
		s.direction(dir, l, b)
	}
	s.failed[ci] = max(s.failed[ci], margin)
	if s.steps {
		return s.shake(ci, x)
	}
	return s.confirm(ci, x)
}

// pushLanes is a workspace of its own: the caller's lanes are in use.
func (s *Searcher) pushLanes() *lanes {
	if s.buffers[-8] == nil {
		s.buffers[-8] = newLanes(s.p, 8, s.p.NewValues(8), s.p.NewValues(8))
	}
	return s.buffers[-8]
}

// direction stores lane r's smooth gradient.
func (s *Searcher) direction(dir []float64, l *lanes, r int) {
	d := s.gradient(l, true)
	for i := range dir {
		dir[i] = d[i*l.R+r]
	}
}

// along moves lane r by size box widths along dir: every input by its sign, or in proportion, the largest by size.
func (l *lanes) along(r int, dir []float64, size float64, sign bool) {
	top := 0.0
	for i, g := range dir {
		k := i*l.R + r
		top = max(top, math.Abs(g*(l.hi[k]-l.lo[k])))
	}
	if !(top > 0) {
		return
	}
	for i, g := range dir {
		k := i*l.R + r
		w := l.hi[k] - l.lo[k]
		switch {
		case g == 0:
		case sign:
			l.put(i, r, l.x[k]+math.Copysign(size*w, g))
		default:
			l.put(i, r, l.x[k]+size*w*(g*w/top))
		}
	}
}
