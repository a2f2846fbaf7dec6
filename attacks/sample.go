package attacks

import (
	"cmp"
	"math"
	"slices"
)

var _ = register("probe", "centre, lower and upper ends and random corners of every box")
var _ = register("corners", "all corners of a box with few free inputs")
var _ = register("sample", "low-discrepancy, corner and face points")

// probes evaluates the elementary points of the given groups: centre, lower end, upper end, then random corners up to count
// points each, and archives them.
func (s *Searcher) probes(groups []int, count int) bool {
	l := s.lanes(min(64, len(groups)*count))
	r := 0
	for k := range count {
		for _, g := range groups {
			l.setBox(r, s, g, -1)
			switch k {
			case 0:
				l.centre(r)
			case 1:
				l.corner(r, func(int) bool { return false })
			case 2:
				l.corner(r, func(int) bool { return true })
			default:
				l.corner(r, func(int) bool { return s.rng.Uint64()&1 == 1 })
			}
			if r++; r == l.R {
				if r = 0; !s.flush(l, l.R) {
					return false
				}
			}
		}
	}
	return r == 0 || s.flush(l, r)
}

// flush evaluates the first n lanes (the others repeat lane 0) and archives them.
func (s *Searcher) flush(l *lanes, n int) bool {
	for r := n; r < l.R; r++ {
		l.setBox(r, s, l.group[0], l.target[0])
		for k := 0; k < len(l.x); k += l.R {
			l.x[k+r] = l.x[k]
		}
	}
	ok := s.evaluate(l)
	for r := range n {
		s.keep(l, r)
	}
	return ok
}

// corners evaluates all corners of a group with at most limit free inputs.
func (s *Searcher) corners(g, limit int) bool {
	act := s.groups[g].active
	if len(act) > limit {
		return true
	}
	l := s.lanes(64)
	pos := map[int]int{}
	for b, i := range act {
		pos[i] = b
	}
	r := 0
	for mask := range 1 << len(act) {
		l.setBox(r, s, g, -1)
		l.corner(r, func(i int) bool { return mask>>pos[i]&1 == 1 })
		if r++; r == l.R {
			if r = 0; !s.flush(l, l.R) {
				return false
			}
		}
	}
	return r == 0 || s.flush(l, r)
}

// sample evaluates count points of a group, in equal parts: a Kronecker sequence (generalised golden ratio) shifted by
// shift, points with about half of the inputs at an end, and points with most inputs at an end.
func (s *Searcher) sample(g, count, shift int) bool {
	act := s.groups[g].active
	l := s.lanes(64)
	alpha := kronecker(len(act))
	r := 0
	for k := range count {
		l.setBox(r, s, g, -1)
		if k < l.R {
			l.centre(r)
		}
		for a, i := range act {
			t := math.Mod(0.5+float64(k+shift+1)*alpha[a], 1)
			switch u := s.rng.Float64(); {
			case k%3 == 1 && u < 0.5, k%3 == 2 && u < 0.85:
				t = math.Round(t)
			}
			q := i*l.R + r
			l.put(i, r, l.lo[q]+(l.hi[q]-l.lo[q])*t)
		}
		if r++; r == l.R {
			if r = 0; !s.flush(l, l.R) {
				return false
			}
		}
	}
	return r == 0 || s.flush(l, r)
}

// kronecker returns d numbers φ^−1 … φ^−d, φ the positive root of φ^(d+1) = φ + 1: rotations with low discrepancy.
func kronecker(d int) []float64 {
	phi := 2.0
	for range 60 {
		phi = math.Pow(1+phi, 1/float64(d+1))
	}
	a := make([]float64, d)
	for i := range a {
		a[i] = math.Mod(math.Pow(phi, -float64(i+1)), 1)
	}
	return a
}

// ranked returns the groups in order of the best margin seen in any of their cases, at most limit of them.
func (s *Searcher) ranked(limit int) []int {
	best := make([]float64, len(s.groups))
	order := make([]int, len(s.groups))
	for g := range s.groups {
		order[g], best[g] = g, math.Inf(-1)
		for _, ci := range s.groups[g].cases {
			best[g] = max(best[g], s.caseBest[ci])
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(best[b], best[a]) })
	return order[:min(limit, len(order))]
}
