package attacks

import "math"

var _ = register("refine", "monotone gradient ascent from the best points, step adapted per lane, softmin over the rows")
var _ = register("es", "(1+1) evolution strategy from the best points, for few inputs; needs no gradient")

// load fills the lanes with the best archived points, repeated in order; copies are jittered. It reports whether there were any.
func (s *Searcher) load(l *lanes, from, n int, jitter float64) bool {
	n = min(n, len(s.archive)-from)
	if n <= 0 {
		return false
	}
	for r := range l.R {
		e := &s.archive[from+r%n]
		l.setBox(r, s, e.group, -1)
		l.set(r, e.x)
		if r >= n {
			s.jitter(l, r, jitter)
		}
	}
	return true
}

// backup and restore keep every lane's best point and margin during a monotone search.
func (l *lanes) backup(margin []float64) {
	if l.save == nil {
		l.save = make([]float64, len(l.x))
	}
	copy(l.save, l.x)
	copy(margin, l.margin)
}

// accept keeps improved lanes and takes back the others, returning per lane in up whether it improved.
func (l *lanes) accept(margin []float64, up []bool) {
	for r := range up {
		up[r] = l.margin[r] > margin[r]
		if up[r] {
			margin[r] = l.margin[r]
		}
	}
	for k := range l.x {
		if up[k%l.R] {
			l.save[k] = l.x[k]
		} else {
			l.x[k] = l.save[k]
		}
	}
	copy(l.margin, margin)
}

// refine runs monotone ascent from the lanes' points: direction is the gradient in box widths, normalised, components that
// point out of the box removed; the step grows on success and halves on failure; a lane whose step died is jittered.
func (s *Searcher) refine(l *lanes, steps int) bool {
	for r := range l.step {
		l.step[r] = 0.1
	}
	margin, up := make([]float64, l.R), make([]bool, l.R)
	if !s.evaluate(l) {
		return false
	}
	l.backup(margin)
	dir := make([]float64, len(l.x))
	copy(dir, s.gradient(l, true))
	for range steps {
		l.gradientStep(dir)
		if !s.evaluate(l) {
			return false
		}
		d := s.gradient(l, true)
		for r := range up {
			up[r] = l.margin[r] > margin[r]
			if up[r] {
				l.step[r] = min(l.step[r]*1.5, 0.5)
			} else if l.step[r] /= 2; l.step[r] < 1e-5 {
				l.step[r] = 0.1 // nothing left along this direction: try another from a random one
				for k := r; k < len(dir); k += l.R {
					dir[k] = s.rng.NormFloat64()
				}
			}
		}
		for k, g := range d {
			if up[k%l.R] {
				dir[k] = g
			}
		}
		l.accept(margin, up)
	}
	s.keepAll(l)
	return true
}

// gradientStep moves lane r by step[r] (box widths, Euclidean over the free inputs scaled to the largest) along dir.
func (l *lanes) gradientStep(dir []float64) {
	R := l.R
	top := l.scratch
	clear(top)
	for k, g := range dir {
		w := l.hi[k] - l.lo[k]
		if w > 0 && !(g > 0 && l.x[k] >= l.hi[k]) && !(g < 0 && l.x[k] <= l.lo[k]) {
			top[k%R] = max(top[k%R], math.Abs(g*w))
		}
	}
	for k, g := range dir {
		r := k % R
		w := l.hi[k] - l.lo[k]
		if w > 0 && top[r] > 0 {
			l.x[k] = float64(float32(min(max(l.x[k]+l.step[r]*w*(g*w/top[r]), l.lo[k]), l.hi[k])))
		}
	}
}

// evolve runs a (1+1) evolution strategy in every lane: Gaussian steps on a random subset of the free inputs, step size grown
// by 1.5 on success and shrunk by 0.9 on failure.
func (s *Searcher) evolve(l *lanes, steps int) bool {
	for r := range l.step {
		l.step[r] = 0.1
	}
	margin, up := make([]float64, l.R), make([]bool, l.R)
	if !s.evaluate(l) {
		return false
	}
	l.backup(margin)
	for range steps {
		for r := range l.R {
			act := s.groups[l.group[r]].active
			if len(act) == 0 {
				continue
			}
			sure := s.rng.IntN(len(act))
			for a, i := range act {
				if a == sure || s.rng.IntN(3) > 0 {
					q := i*l.R + r
					l.put(i, r, l.x[q]+(l.hi[q]-l.lo[q])*l.step[r]*s.rng.NormFloat64())
				}
			}
		}
		if !s.evaluate(l) {
			return false
		}
		for r := range up {
			if l.margin[r] > margin[r] {
				l.step[r] = min(l.step[r]*1.5, 0.5)
			} else if l.step[r] *= 0.9; l.step[r] < 1e-6 {
				l.step[r] = 0.1
			}
		}
		l.accept(margin, up)
	}
	s.keepAll(l)
	return true
}
