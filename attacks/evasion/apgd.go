package evasion

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Auto-PGD (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks", 2020; for
// L1 "Mind the box: l1-APGD for sparse adversarial attacks on image classifiers", 2021): projected gradient ascent with momentum whose
// step is halved, and whose search goes back to the best point, when progress between checkpoints was poor. Nothing to tune but the
// number of steps.

var _ = register(&Method{Name: "apgd", Doc: "gradient ascent with momentum and steps that adapt themselves (Auto-PGD)",
	Source: "Croce, Hein: Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks, 2020",
	Needs:  access.NeedGradients, Norms: []Norm{Linf, L2, L1},
	Params: []Param{{Name: "steps", Default: 100, Doc: "gradient steps of a start"}, {Name: "restarts", Default: 1, Doc: "random starts"}, lossParam(CrossEntropy)},
	run: func(p *Probe) {
		for range max(1, p.Int("restarts")) {
			if !p.apgd(p.Goal, Loss(p.Int("loss")), max(2, p.Int("steps"))) {
				return
			}
		}
	}})

var _ = register(&Method{Name: "apgd-t", Doc: "Auto-PGD towards every other class, or polyhedron, in the order of their margins",
	Source: "Croce, Hein: Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks, 2020",
	Needs:  access.NeedGradients, Norms: []Norm{Linf, L2, L1},
	Params: []Param{{Name: "steps", Default: 100, Doc: "gradient steps of a target"}, {Name: "restarts", Default: 1, Doc: "random starts per target"},
		{Name: "targets", Default: 9, Doc: "targets tried"}, lossParam(DLR)},
	run: func(p *Probe) {
		cases := p.ranked(p.Int("targets"))
		for range max(1, p.Int("restarts")) {
			for _, k := range cases {
				if !p.apgd(p.Goal.Case(k), Loss(p.Int("loss")), max(2, p.Int("steps"))) {
					return
				}
			}
		}
	}})

// ranked returns up to n cases of the goal, those with the largest margins at X0 first.
func (p *Probe) ranked(n int) []int {
	order := make([]int, p.Goal.Cases())
	margin := make([]float64, len(order))
	for k := range order {
		order[k] = k
		if p.Y0 != nil {
			margin[k], _ = p.Goal.margin(k, p.X0, p.Y0)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(margin[b], margin[a]) })
	return order[:min(max(n, 1), len(order))]
}

// ascent is the state of one Auto-PGD run.
type ascent struct {
	p          *Probe
	goal       *Goal
	loss       Loss
	eps        float64 // radius now
	eta        float64 // step
	share      float64 // L1: the share of coordinates that move
	x, prev, z []float64
	dir, gBest []float64
	xBest      []float64
	best       float64
	f          []float64 // loss after every step
	bestAt     float64   // best loss at the last checkpoint
	halved     bool      // at the last checkpoint
}

// apgd runs from a random start. It returns false when the attack must return.
func (p *Probe) apgd(g *Goal, l Loss, steps int) bool {
	n := len(p.X0)
	a := &ascent{p: p, goal: g, loss: l, eps: p.Radius(), x: make([]float64, n), prev: make([]float64, n), z: make([]float64, n),
		dir: make([]float64, n), gBest: make([]float64, n), xBest: make([]float64, n)}
	a.start()
	if p.Norm != L1 {
		return a.run(steps)
	}
	for i, share := range []float64{0.3, 0.3, 0.4} { // shrinking radii, as in the L1 paper: outside the ball progress is easier
		a.eps = p.Radius() * float64(3-i)
		if i > 0 {
			copy(a.x, a.xBest)
		}
		p.project(a.x, a.eps)
		if !a.run(max(2, int(share*float64(steps)))) {
			return false
		}
	}
	return true
}

// start draws the first point: on the surface of the ball.
func (a *ascent) start() {
	p := a.p
	switch p.Norm {
	case Linf:
		top := 0.0
		for i := range a.x {
			a.x[i] = 2*p.Rng.Float64() - 1
			top = max(top, math.Abs(a.x[i]))
		}
		for i, x0 := range p.X0 {
			a.x[i] = x0 + a.eps*a.x[i]/top
		}
	default:
		s := 0.0
		for i := range a.x {
			a.x[i] = p.Rng.NormFloat64()
			s += a.x[i] * a.x[i]
		}
		for i, x0 := range p.X0 {
			a.x[i] = x0 + a.eps*a.x[i]/math.Sqrt(s)
		}
	}
	p.project(a.x, a.eps)
}

func (a *ascent) run(steps int) bool {
	p := a.p
	a.eta, a.share, a.best, a.f, a.halved = 2*a.eps, 0.2, math.Inf(-1), a.f[:0], false
	if p.Norm == L1 {
		a.eta = a.eps
	}
	first, shrink, least := max(int(0.22*float64(steps)), 1), max(int(0.03*float64(steps)), 1), max(int(0.06*float64(steps)), 1)
	if p.Norm == L1 {
		first, shrink = max(int(0.04*float64(steps)), 1), 0
	}
	v, g, _, ok := p.GradientOf(a.goal, a.loss, a.x)
	if !ok {
		return false
	}
	a.bestAt = v
	a.record(v, g)
	copy(a.prev, a.x)
	check, span := first, first
	for k := range steps {
		a.move(g, k == 0)
		if v, g, _, ok = p.GradientOf(a.goal, a.loss, a.x); !ok {
			return false
		}
		a.record(v, g)
		if k+1 == check {
			if a.checkpoint(span) {
				copy(a.x, a.xBest)
				copy(a.prev, a.xBest)
				g = a.gBest
			}
			span = max(span-shrink, least)
			check += span
		}
	}
	return true
}

// record remembers the loss v and its gradient g at x.
func (a *ascent) record(v float64, g []float64) {
	a.f = append(a.f, v)
	if v > a.best {
		a.best = v
		copy(a.xBest, a.x)
		copy(a.gBest, g)
	}
}

// move steps from x with momentum 0.75, none at first.
func (a *ascent) move(g []float64, first bool) {
	p, m := a.p, 0.75
	if first {
		m = 1
	}
	p.ascend(a.dir, g, a.x, a.eta, a.share)
	for i, x := range a.x {
		a.z[i] = x + a.dir[i]
	}
	p.project(a.z, a.eps)
	if p.Norm == L1 { // without momentum, as in its paper
		copy(a.prev, a.x)
		copy(a.x, a.z)
		return
	}
	for i, x := range a.x {
		next := x + m*(a.z[i]-x) + (1-m)*(x-a.prev[i])
		a.prev[i], a.x[i] = x, next
	}
	p.project(a.x, a.eps)
}

// checkpoint judges the last span steps; true: the step was shortened, go back to the best point.
func (a *ascent) checkpoint(span int) bool {
	if a.p.Norm == L1 {
		return a.checkpointL1()
	}
	rises := 0
	for k := len(a.f) - span; k < len(a.f); k++ {
		if a.f[k] > a.f[k-1] {
			rises++
		}
	}
	poor := float64(rises) <= 0.75*float64(span) || !a.halved && a.best <= a.bestAt
	a.halved, a.bestAt = poor, a.best
	if poor {
		a.eta /= 2
	}
	return poor
}

// checkpointL1 sets the share of coordinates that move by how sparse the best point is, and shortens the step when that has settled.
func (a *ascent) checkpointL1() bool {
	moved := 0.0
	for i, x := range a.xBest {
		if x != a.p.X0[i] {
			moved++
		}
	}
	share := max(moved/float64(len(a.x))/1.5, 1/float64(len(a.x)))
	settled := share >= 0.95*a.share
	a.share = share
	if !settled {
		a.eta = a.eps
		return false
	}
	a.eta = max(a.eta/1.5, a.eps/10)
	return true
}
