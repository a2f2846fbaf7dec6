package attacks

import "math"

var _ = register("pgd", "projected sign-gradient ascent on the margin; the attacked case floats or is fixed per lane")
var _ = register("momentum", "sign-gradient ascent with normalised momentum (MI-FGSM)")
var _ = register("odi", "output-diversified starts: a few steps along a random direction of the outputs before pgd")

// Projected gradient ascent on the violation margin (Madry et al., "Towards deep learning models resistant to adversarial
// attacks"), with sign steps proportional to the box width of every input, on every lane at once. Steps decay
// geometrically. Starts may be output-diversified (Tashiro et al., "Diversity can be enhanced: output diversified
// initialization").

// pgdPlan says how pgd moves; lanes.step holds every lane's first step, in box widths.
type pgdPlan struct {
	steps    int
	decay    float64
	momentum bool // odd lanes accumulate normalised gradients
	smooth   bool // softmin over the rows instead of the worst row
	adaptive bool // Auto-PGD: steps, decay and momentum of its own
}

// pgd ascends from the lanes' points. Every visited point is a candidate; the last ones go to the archive. It returns false
// when the search is over.
func (s *Searcher) pgd(l *lanes, plan pgdPlan) bool {
	if plan.adaptive {
		return s.adaptive(l, plan.steps, plan.smooth)
	}
	if plan.momentum {
		if l.mom == nil {
			l.mom = make([]float64, len(l.x))
		}
		clear(l.mom)
	}
	for range plan.steps {
		if !s.evaluate(l) {
			return false
		}
		d := s.gradient(l, plan.smooth)
		if plan.momentum {
			d = l.accumulate(d)
		}
		l.signStep(d)
		for r := range l.step {
			l.step[r] *= plan.decay
		}
	}
	ok := s.evaluate(l)
	s.keepAll(l)
	return ok
}

// signStep moves every lane by its step along the signs of d, projected to box and grid.
func (l *lanes) signStep(d []float64) {
	R := l.R
	for i := 0; i < len(l.x); i += R {
		x, lo, hi, g := l.x[i:i+R], l.lo[i:i+R], l.hi[i:i+R], d[i:i+R]
		for r, step := range l.step {
			w := hi[r] - lo[r]
			if w == 0 || g[r] == 0 || g[r] != g[r] {
				continue
			}
			x[r] = float64(float32(min(max(x[r]+math.Copysign(step*w, g[r]), lo[r]), hi[r])))
		}
	}
}

// accumulate updates the momentum with d, normalised per lane, and returns the direction: momentum in odd lanes, d in even
// ones.
func (l *lanes) accumulate(d []float64) []float64 {
	norm := l.scratch
	clear(norm)
	for k, g := range d {
		norm[k%l.R] += math.Abs(g)
	}
	for r := range norm {
		if norm[r] > 0 {
			norm[r] = 1 / norm[r]
		}
	}
	for k, g := range d {
		r := k % l.R
		l.mom[k] = 0.75*l.mom[k] + g*norm[r]
		if r&1 == 1 {
			d[k] = l.mom[k]
		}
	}
	return d
}

// diversify moves the lanes for which use is true by sign steps along one random output direction each.
func (s *Searcher) diversify(l *lanes, steps int, use func(r int) bool) bool {
	saved := append([]float64(nil), l.step...)
	dir := make([]float64, len(l.c))
	for k := range dir {
		if use(k % l.R) {
			dir[k] = 2*s.rng.Float64() - 1
		}
	}
	for r := range l.step {
		l.step[r] = 0.25
	}
	for range steps {
		if !s.evaluate(l) {
			return false
		}
		s.spend(l.R)
		l.signStep(s.p.Gradient(dir, l.R, l.v, l.g))
	}
	copy(l.step, saved)
	return true
}

// jitter moves lane r to a uniform point within size box widths of its place.
func (s *Searcher) jitter(l *lanes, r int, size float64) {
	for i, k := 0, r; k < len(l.x); i, k = i+1, k+l.R {
		if w := l.hi[k] - l.lo[k]; w > 0 {
			l.put(i, r, l.x[k]+w*size*(2*s.rng.Float64()-1))
		}
	}
}
