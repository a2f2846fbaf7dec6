package evasion

import (
	"math"
)

// reached stores whether points, which are snapped, reach the goal. It asks for labels, unless the goal needs outputs.
func (p *Probe) reached(dst []bool, xs ...[]float64) (reached []bool, ok bool) {
	if p.Goal.Classes() {
		return p.ReachedAll(dst, xs...)
	}
	y, ok := p.ScoresAll(xs...)
	if !ok {
		return dst, false
	}
	out := len(y) / len(xs)
	for i, x := range xs {
		m, _, _ := p.Goal.Margin(x, y[i*out:(i+1)*out])
		dst = append(dst, m >= 0)
	}
	return dst, true
}

// hits is reached for one point.
func (p *Probe) hits(x []float64) (hit, ok bool) {
	var one [1]bool
	r, ok := p.reached(one[:0], x)
	return ok && r[0], ok
}

// toward stores the point at the share t of the way from X0 to x; for Linf, x with its perturbation cut to that share of its size.
func (p *Probe) toward(dst, x []float64, t float64) {
	if p.Norm == Linf {
		size := 0.0
		for i, v := range x {
			size = max(size, math.Abs(v-p.X0[i]))
		}
		for i, v := range x {
			dst[i] = p.X0[i] + min(max(v-p.X0[i], -t*size), t*size)
		}
		return
	}
	for i, v := range x {
		dst[i] = p.X0[i] + t*(v-p.X0[i])
	}
}

// bisect moves x, which reaches the goal, towards X0, which does not, to a point that reaches it while one closer by less than a share
// tol of its own distance does not.
func (p *Probe) bisect(x []float64, tol float64) (ok bool) {
	lo, hi := 0.0, 1.0
	y := make([]float64, len(x))
	far := make([]float64, len(x))
	copy(far, x)
	for hi-lo > tol*hi && hi > 0x1p-120 {
		mid := (lo + hi) / 2
		if mid == lo || mid == hi {
			break
		}
		p.toward(y, far, mid)
		hit, ok := p.hits(y)
		if !ok {
			return false
		}
		if hit {
			hi = mid
			copy(x, y)
		} else {
			lo = mid
		}
	}
	return true
}

// startTries is how many random points are asked for one that reaches the goal, in batches of startBatch.
const startTries, startBatch = 1000, 10

// begin returns a point near the decision boundary that reaches the goal. It returns false when there is none, or the attack must
// return.
func (p *Probe) begin() (x []float64, ok bool) {
	if x, ok = p.start(true); !ok {
		return nil, false
	}
	return x, p.bisect(x, 1e-3)
}

// start returns a point that reaches the goal: Start when it does, else a random one; of the first batch of those in which some do it
// is the first, or with near the one that bisection brings closest. It returns false when there is none, or the attack must return.
func (p *Probe) start(near bool) (x []float64, ok bool) {
	if p.Start != nil {
		x = append(x, p.Start...)
		if hit, ok := p.hits(x); hit || !ok {
			return x, ok
		}
		x = nil
	}
	points := rows(startBatch, len(p.X0))
	var hits []bool
	for try := 0; try < startTries; try += startBatch {
		for k, y := range points {
			p.noise(y, try+k)
		}
		if hits, ok = p.reached(hits[:0], points...); !ok {
			return nil, false
		}
		best := math.Inf(1)
		for k, y := range points {
			if !hits[k] {
				continue
			}
			if !near {
				return y, true
			}
			if !p.bisect(y, 0.02) {
				return nil, false
			}
			if d := p.Norm.Distance(y, p.X0); d < best {
				best, x = d, y
			}
		}
		if x != nil {
			return x, true
		}
	}
	return nil, false
}

// noise stores the k-th random point of a search for starts. They differ in kind, because to a network noise of one kind is all of one
// class: uniform, ends of the ranges, both constant on tiles of several sizes, all at one level, and the opposite of the input. In
// ranges without an end they lie around the input, further and further.
func (p *Probe) noise(x []float64, k int) {
	n := len(x)
	side := [...]int{0, 7, 4, 14, 2}[k/4%5]
	tile, count := tiles(p.Shape, n, side)
	level := make([]float64, count)
	for i := range level {
		level[i] = p.Rng.Float64()
		if k%4 == 1 {
			level[i] = math.Round(level[i])
		}
	}
	one := p.Rng.Float64()
	for i, x0 := range p.X0 {
		lo, hi := p.Lo[i], p.Hi[i]
		reach := max(1, math.Abs(x0)) * math.Exp2(float64(k%400)/8-2)
		if lo < -1e30 {
			lo = max(lo, x0-reach)
		}
		if hi > 1e30 {
			hi = min(hi, x0+reach)
		}
		switch k % 4 {
		case 0, 1:
			x[i] = lo + (hi-lo)*level[tile[i]]
		case 2:
			x[i] = lo + (hi-lo)*one
		case 3:
			x[i] = lo + (hi - x0) + (level[tile[i]]-0.5)*(hi-lo)*one
		}
	}
}
