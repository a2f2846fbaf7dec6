package attacks

import (
	"math"
	"slices"
)

var _ = register("shake", "for step functions: the found point on numbers of few digits, where sums are exact, and neighbours of it until every float32 execution agrees")

// shakes is how many neighbours of a found point are asked about.
const shakes = 12

// ask is confirm, in networks with step functions after a move to numbers of few digits.
func (s *Searcher) ask(ci int, x []float64) bool {
	if s.steps {
		x = slices.Clone(x)
		s.coarsen(ci, x)
	}
	return s.confirm(ci, x)
}

// shake looks for a point near the candidate x whose violation every float32 execution shows, in a network with step functions. There
// margin helps only once an argument at a jump no longer decides, so besides that no argument should lie at one. Sums over small
// integers are exact in any order, so points move to multiples of a large power of two; where scaled sums come close to a jump all the
// same, another point is as likely to be clear.
func (s *Searcher) shake(ci int, x []float64) bool {
	g := s.groupOf[s.pr.Cases[ci].Box]
	unit := s.coarsen(ci, x)
	if s.confirm(ci, x) || unit == 0 {
		return s.over
	}
	l := s.pushLanes()
	asked := 0
	for try := 0; asked < shakes && try < 4*shakes; try++ {
		share := math.Ldexp(1, -1-try%6)
		for r := range l.R {
			l.set(r, x)
			for _, i := range s.groups[g].active {
				if s.rng.Float64() < share {
					l.put(i, r, x[i]+unit*float64(s.rng.IntN(5)-2))
				}
			}
		}
		if !s.evaluate(l) {
			return s.over
		}
		for r := range l.R {
			if l.margin[r] >= 0 && asked < shakes {
				asked++
				if s.confirm(ci, l.get(make([]float64, len(x)), r)) {
					return true
				}
			}
		}
	}
	return false
}

// coarsen moves x, if it stays a candidate, to multiples of the largest power of two that will do, up to half the least width of the
// box, and returns that; 0 when none does.
func (s *Searcher) coarsen(ci int, x []float64) float64 {
	g := s.groupOf[s.pr.Cases[ci].Box]
	b := &s.pr.Boxes[s.groups[g].box]
	width := math.Inf(1)
	for _, i := range s.groups[g].active {
		width = min(width, float64(b.InUpper[i])-float64(b.InLower[i]))
	}
	if math.IsInf(width, 1) {
		return 0
	}
	_, e := math.Frexp(width / 2)
	l := s.pushLanes()
	unit := func(r int) float64 { return math.Ldexp(1, e-1-r) }
	for r := range l.R {
		l.setBox(r, s, g, ci)
		for i, v := range x {
			l.put(i, r, math.Round(v/unit(r))*unit(r))
		}
	}
	if !s.evaluate(l) {
		return 0
	}
	for r := range l.R {
		if l.margin[r] >= 0 {
			l.get(x, r)
			return unit(r)
		}
	}
	return 0
}
