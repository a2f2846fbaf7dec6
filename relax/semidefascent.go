package relax

import (
	"math"
)

// lifting is a worker's memory for semidefinite bounds.
type lifting struct {
	g, x, yw, h []float32 // inputs × rank, inputs × rank, open × rank, open × rank
	nx, ny      []float32 // norms: the multipliers of |ξ| ≤ 1 and |η| ≤ 1, doubled
	d0          float64   // the multiplier of the constant vector
	m1, m2      []float64 // Adam's moments of the slopes
	proof       proofMemory
	work        int64
}

const (
	liftFirst = 6    // sweep after which a proof is tried first; each one that fails makes the next ones rarer
	liftRate  = 0.15 // first step of slopes and multipliers …
	liftDecay = 0.95 // … and what is left of it after each sweep
	liftLook  = 4    // sweeps between two looks at whether the estimate will come above 0
)

// AscendLift improves s by at most sweeps sweeps and returns a rigorous lower bound of o's objective over the box and what s has
// decided, or −Inf where none above 0 was found. s.Value is an estimate of what the bound converges to.
//
// The vectors of the inputs and of the indicators are improved in turns (the mixing method, Wang, Chang and Kolter 2018: each
// becomes minus the direction of its own gradient), and between turns the slopes of the convex neurons and the multipliers of the
// decided ones make a step of Adam: at fixed vectors the value is linear in them.
func (w *Worker) AscendLift(l *Lift, o *LiftRow, s *LiftState, sweeps int) float64 {
	a := w.lifting(l)
	defer func() { w.Work += a.work }()
	rate, last, try, gap := liftRate, math.Inf(-1), liftFirst, 2
	for it := 1; it <= sweeps && !(w.Stop != nil && w.Stop()); it++ {
		a.sweep(l, o, s)
		if s.Value > 0 && (it >= try || it == sweeps) {
			if lb := a.prove(l, o, s); lb > 0 {
				return lb
			}
			try, gap = it+gap, gap+1
		}
		if it%liftLook == 0 {
			if s.Value < 0 && s.Value+liftLook*(s.Value-last) < 0 {
				break
			}
			last = s.Value
		}
		if it < sweeps {
			a.step(l, o, s, rate, it)
			rate *= liftDecay
		}
	}
	return math.Inf(-1)
}

// LiftBound returns a rigorous bound from where the last AscendLift has stopped, which was with s; it is worse than s.Value by a
// small share of the multipliers, and −Inf if they are no good yet.
func (w *Worker) LiftBound(l *Lift, o *LiftRow, s *LiftState) float64 {
	a := w.lift
	a.gather(l, o, s)
	for by := 1.001; by < 4; by = 1 + 4*(by-1) {
		if lb := a.evaluate(l, o, s, by); lb > math.Inf(-1) {
			return lb
		}
	}
	return math.Inf(-1)
}

// lifting returns w's memory, fit for l.
func (w *Worker) lifting(l *Lift) *lifting {
	if w.lift == nil {
		w.lift = new(lifting)
	}
	a, m, n := w.lift, len(l.open), len(l.cols)
	a.g, a.x = grow(a.g, n*liftRank), grow(a.x, n*liftRank)
	a.yw, a.h = grow(a.yw, m*liftRank), grow(a.h, m*liftRank)
	a.nx, a.ny = grow(a.nx, n), grow(a.ny, m)
	a.m1, a.m2, a.work = zeroed(a.m1, m), zeroed(a.m2, m), 0
	return a
}

// weights returns the coefficient of open neuron i's z in the linear part, and that of its η·z.
func (o *LiftRow) weights(s *LiftState, i int32) (lin, quad float64) {
	v := o.v[i]
	switch {
	case s.Fixed[i] > 0:
		return v - float64(s.slope[i]), 0
	case s.Fixed[i] < 0:
		return float64(s.slope[i]), 0
	case v < 0:
		return v / 2, v / 2
	}
	return v * float64(s.slope[i]), 0
}

// gather sets g to the gradients of the inputs' vectors.
func (w *lifting) gather(l *Lift, o *LiftRow, s *LiftState) {
	w.work += int64(len(l.b)) * liftRank
	clear(w.yw)
	for i := range int32(len(l.open)) {
		lin, quad := o.weights(s, i)
		y := w.yw[i*liftRank : (i+1)*liftRank]
		if quad != 0 {
			q := float32(quad)
			for k, v := range s.y[i*liftRank : (i+1)*liftRank] {
				y[k] = q * v
			}
		}
		y[0] += float32(lin)
	}
	clear(w.g)
	l.bwd.Mul(w.g, liftRank, w.yw, liftRank)
	for c, v := range o.scaled {
		g := w.g[c*liftRank : (c+1)*liftRank]
		g[0] += v
		w.nx[c] = norm(g)
	}
}

// sweep improves the inputs' vectors, then those of the concave neurons, and updates s.Value.
func (w *lifting) sweep(l *Lift, o *LiftRow, s *LiftState) {
	w.gather(l, o, s)
	w.work += int64(len(l.b)) * liftRank
	value, line := o.atMid, 0.0 // line: the linear part at the mean of the inputs' vectors
	for c, nx := range w.nx {
		x := w.x[c*liftRank : (c+1)*liftRank]
		copy(x, w.g[c*liftRank:])
		normalise(x, nx, -1)
		line += float64(o.scaled[c] * x[0])
	}
	clear(w.h)
	l.fwd.Mul(w.h, liftRank, w.x, liftRank)
	across := 0.0 // the linear part of the indicators
	sum := 0.0
	for i := range int32(len(l.open)) {
		lin, quad := o.weights(s, i)
		h := w.h[i*liftRank : (i+1)*liftRank]
		value += lin * l.centre[i]
		line += lin * float64(h[0])
		if quad == 0 {
			continue
		}
		y := s.y[i*liftRank : (i+1)*liftRank]
		q := float32(quad)
		for k, v := range h {
			y[k] = q * v
		}
		hy := quad * l.centre[i]
		y[0] += float32(hy)
		w.ny[i] = norm(y)
		normalise(y, w.ny[i], -1)
		across += hy * float64(y[0])
		sum += float64(w.ny[i])
	}
	s.Value = value + line - sum
	w.d0 = -(line + across) / 2
}

func norm(x []float32) float32 {
	s := float32(0)
	for _, v := range x {
		s += v * v
	}
	return float32(math.Sqrt(float64(s)))
}

// step moves slopes and multipliers: the derivative is what they multiply, at the mean of the vectors.
func (w *lifting) step(l *Lift, o *LiftRow, s *LiftState, rate float64, t int) {
	c1, ic2 := 1-math.Pow(adam1, float64(t)), 1/(1-math.Pow(adam2, float64(t)))
	for i := range s.Fixed {
		z := l.centre[i] + float64(w.h[i*liftRank])
		switch {
		case s.Fixed[i] != 0:
			d := adam(&w.m1[i], &w.m2[i], -float64(s.Fixed[i])*z, rate/c1, ic2)
			s.slope[i] = max(s.slope[i]+float32(d*math.Abs(o.v[i])), 0)
		case o.v[i] > 0:
			d := adam(&w.m1[i], &w.m2[i], o.v[i]*z, rate/c1, ic2)
			s.slope[i] = min(max(s.slope[i]+float32(d), 0), 1)
		}
	}
}

// LiftCorner writes the corner of the box that the vectors of the last AscendLift point to.
func (w *Worker) LiftCorner(l *Lift, x []float64) {
	copy(x, l.f.inC)
	for c, i := range l.cols {
		if w.lift.x[c*liftRank] < 0 {
			x[i] = l.f.Box.Lo[i]
		} else {
			x[i] = l.f.Box.Hi[i]
		}
	}
}

// Widest returns the concave neuron that is worth most to decide, −1 if none is left. Deciding it turns its vector y, which has
// the weight n, into ±e: to first order the value rises by n·(1−y₀) or by n·(1+y₀), and the product of the two counts.
func (w *Worker) Widest(o *LiftRow, s *LiftState) int32 {
	best, at := -1.0, int32(-1)
	for _, i := range o.concave {
		if s.Fixed[i] != 0 {
			continue
		}
		y, n := float64(s.y[i*liftRank]), float64(w.lift.ny[i])
		if score := n * n * max(1-y*y, 0); score > best {
			best, at = score, i
		}
	}
	return at
}
