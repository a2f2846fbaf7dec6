package attacks

import "math"

var _ = register("adaptive", "sign-gradient ascent with momentum whose steps halve, from the best point, where progress is poor (Auto-PGD)")

// Auto-PGD (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks") on every
// lane at once; attacks/evasion has it for one input and any norm.

// adapt is what adaptive keeps per lane, and per element of every lane.
type adapt struct {
	eta, best, before []float64 // step in box widths; best margin; best margin at the last checkpoint
	rises             []int
	halved            []bool
	prev, at, dir     []float64 // the point before; the best point; the direction there
}

// adaptive ascends from the lanes' points. Every visited point is a candidate; the best ones go to the archive. It returns false when the
// search is over.
func (s *Searcher) adaptive(l *lanes, steps int, smooth bool) bool {
	if l.adapt == nil {
		l.adapt = &adapt{eta: make([]float64, l.R), best: make([]float64, l.R), before: make([]float64, l.R), rises: make([]int, l.R),
			halved: make([]bool, l.R), prev: make([]float64, len(l.x)), at: make([]float64, len(l.x)), dir: make([]float64, len(l.x))}
	}
	a := l.adapt
	if !s.evaluate(l) {
		return false
	}
	d := s.gradient(l, smooth)
	copy(a.prev, l.x)
	copy(a.at, l.x)
	copy(a.dir, d)
	for r, m := range l.margin {
		a.eta[r], a.best[r], a.before[r], a.rises[r], a.halved[r] = 1, m, m, 0, false
	}
	span := max(steps*22/100, 1)
	check := span
	last := append([]float64(nil), l.margin...)
	for k := range steps {
		momentum := 0.75
		if k == 0 {
			momentum = 1
		}
		l.momentumStep(d, momentum)
		if !s.evaluate(l) {
			return false
		}
		d = s.gradient(l, smooth)
		for r, m := range l.margin {
			if m > last[r] {
				a.rises[r]++
			}
			last[r] = m
			if m > a.best[r] {
				a.best[r] = m
				for q := r; q < len(l.x); q += l.R {
					a.at[q], a.dir[q] = l.x[q], d[q]
				}
			}
		}
		if k+1 == check {
			l.checkpoint(d, span)
			span = max(span-max(steps*3/100, 1), steps*6/100, 1)
			check += span
		}
	}
	copy(l.x, a.at)
	copy(l.margin, a.best)
	s.keepAll(l)
	return true
}

// momentumStep moves every lane by its step along the signs of d, and a quarter as far as it moved before, projected to box and grid.
func (l *lanes) momentumStep(d []float64, momentum float64) {
	a, R := l.adapt, l.R
	for k, x := range l.x {
		lo, hi := l.lo[k], l.hi[k]
		w := hi - lo
		if w == 0 {
			continue
		}
		z := x
		if g := d[k]; g != 0 && g == g {
			z = min(max(x+math.Copysign(a.eta[k%R]*w, g), lo), hi)
		}
		next := x + momentum*(z-x) + (1-momentum)*(x-a.prev[k])
		a.prev[k], l.x[k] = x, float64(float32(min(max(next, lo), hi)))
	}
}

// checkpoint halves the step of lanes that rose in less than three quarters of the last span steps, or whose best point has not improved
// since the last checkpoint, and puts them back on it; d becomes the direction there.
func (l *lanes) checkpoint(d []float64, span int) {
	a := l.adapt
	for r := range l.R {
		poor := 4*a.rises[r] <= 3*span || !a.halved[r] && a.best[r] <= a.before[r]
		a.halved[r], a.before[r], a.rises[r] = poor, a.best[r], 0
		if !poor {
			continue
		}
		a.eta[r] /= 2
		for q := r; q < len(l.x); q += l.R {
			l.x[q], a.prev[q], d[q] = a.at[q], a.at[q], a.dir[q]
		}
	}
}
