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

// LiftSteps configures an ascent.
type LiftSteps struct {
	N     int // sweeps at most
	First int // sweep after which a proof is tried first
}

// AscendLift improves s and returns a rigorous lower bound of o's objective over the box and s.Fixed, or −Inf if none above 0 was
// found. s.Value is an estimate of what the bound converges to.
//
// The vectors of the inputs and of the indicators are improved in turns (the mixing method, Wang, Chang and Kolter 2018: each is
// minus the direction of its own gradient), and between turns the slopes of the convex neurons and the multipliers of the decided
// ones make a step of Adam: at fixed vectors the value is linear in them.
func (wk *Worker) AscendLift(l *Lift, o *LiftRow, s *LiftState, steps LiftSteps) float64 {
	if wk.lift == nil {
		wk.lift = new(lifting)
	}
	w := wk.lift
	w.begin(l)
	defer func() { wk.Work += w.work }()
	rate := 0.15
	last := math.Inf(-1)
	for it := 1; it <= steps.N; it++ {
		if wk.Stop != nil && wk.Stop() {
			break
		}
		w.sweep(l, o, s)
		if it >= steps.First && s.Value > 0 {
			if lb := w.prove(l, o, s, 0.9); lb > 0 {
				return lb
			}
		}
		if it%10 == 0 {
			if s.Value < 0 && s.Value < last+1e-3*math.Abs(last) { // it rises no more
				break
			}
			last = s.Value
		}
		if it < steps.N {
			w.step(l, o, s, rate, it)
			rate *= 0.95
		}
	}
	return math.Inf(-1)
}

func (w *lifting) begin(l *Lift) {
	m, n := len(l.open), len(l.cols)
	w.g, w.x = grow(w.g, n*liftRank), grow(w.x, n*liftRank)
	w.yw, w.h = grow(w.yw, m*liftRank), grow(w.h, m*liftRank)
	w.nx, w.ny = grow(w.nx, n), grow(w.ny, m)
	w.m1, w.m2, w.work = zeroed(w.m1, m), zeroed(w.m2, m), 0
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
func (wk *Worker) LiftCorner(l *Lift, x []float64) {
	w := wk.lift
	copy(x, l.f.inC)
	for c, i := range l.cols {
		if w.x[c*liftRank] < 0 {
			x[i] = l.f.Box.Lo[i]
		} else {
			x[i] = l.f.Box.Hi[i]
		}
	}
}

// Widest returns the concave neuron that is worth most to decide: the weight of its indicator times how far its vector is from a
// sign. It returns −1 when none is left.
func (wk *Worker) Widest(o *LiftRow, s *LiftState) int32 {
	best, at := -1.0, int32(-1)
	for _, i := range o.concave {
		if s.Fixed[i] != 0 {
			continue
		}
		y := float64(s.y[i*liftRank])
		if score := float64(wk.lift.ny[i]) * (1 - y*y); score > best {
			best, at = score, i
		}
	}
	return at
}
