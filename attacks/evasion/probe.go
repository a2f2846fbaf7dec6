package evasion

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/attacks/access"
)

// A Probe is an attack's access to the model for one input, within its budget. Its methods return false when the attack must
// return: the goal is reached within Options.Eps, the budget is spent, or the call was cancelled. What was found is kept by the
// probe. Slices that methods return are valid until the next call.
type Probe struct {
	X0     []float64 // the input, NumInputs, not to be changed
	Lo, Hi []float64 // the box that points are moved into, float32 numbers; for Linf cut with the ball unless the attack is minimal
	Norm   Norm
	Eps    float64 // +Inf: as small as possible
	Goal   *Goal
	Rng    *rand.Rand
	Level  access.Level // what the model allows, at least what the method needs
	Y0     []float64    // outputs at X0; nil when only labels are seen
	Label0 int          // class at X0
	Shape  []int        // of the input, at least one dimension; pictures are [channels height width]
	Start  []float64    // a point that reaches the goal, as the caller says; nil when none is known

	least            float64   // margin from which on a point counts as found, where scores are seen; at least 0
	ballLo, ballHi   []float64 // the valid inputs, for Linf cut with the ball
	rangeLo, rangeHi []float64 // the valid inputs

	params map[string]float64
	yield  func(*request) bool
	req    request
	task   *running
	stop   bool
}

// request is what an attack waits for.
type request struct {
	level access.Level
	n     int
	x     []float64
	y, dx []float64
	label []int
	pull  func(i int, y, dy []float64)
}

// Float returns a parameter as a number.
func (p *Probe) Float(name string) float64 { return p.params[name] }

// Int returns a parameter as an integer.
func (p *Probe) Int(name string) int { return int(p.params[name]) }

// Done reports whether the attack must return.
func (p *Probe) Done() bool { return p.stop }

// Best returns the closest point found that reaches the goal, and its distance; nil, +Inf when there is none.
func (p *Probe) Best() (x []float64, distance float64) {
	b := &p.task.best
	if b.x == nil {
		return nil, math.Inf(1)
	}
	return b.x, b.distance
}

// Reach returns the largest coordinate-wise room: how far any point of the box lies from X0 in the norm.
func (p *Probe) Reach() float64 {
	far := make([]float64, len(p.X0))
	for i, x := range p.X0 {
		far[i] = p.Hi[i]
		if x-p.Lo[i] > p.Hi[i]-x {
			far[i] = p.Lo[i]
		}
	}
	return p.Norm.Distance(far, p.X0)
}

// Radius returns Eps, or Reach when that is smaller.
func (p *Probe) Radius() float64 {
	if math.IsInf(p.Eps, 1) {
		return p.Reach()
	}
	return p.Eps
}

// Left returns how many queries the budget still allows.
func (p *Probe) Left() int {
	if n := p.task.e.opt.Queries; n > 0 {
		return n - p.task.used.Queries
	}
	return math.MaxInt
}

// Snap moves x, in place, into the box and onto the float32 grid: what every method does with the points it is given.
func (p *Probe) Snap(x []float64) {
	for i, v := range x {
		if !(v >= p.Lo[i]) { // NaN too
			v = p.Lo[i]
		} else if v > p.Hi[i] {
			v = p.Hi[i]
		}
		x[i] = float64(float32(v))
	}
}

// Scores evaluates the model at x, which is snapped.
func (p *Probe) Scores(x []float64) (y []float64, ok bool) {
	if !p.ask(access.NeedScores, nil, x) {
		return nil, false
	}
	return p.req.y, true
}

// ScoresAll evaluates the model at several points, which are snapped; the outputs lie one after the other.
func (p *Probe) ScoresAll(xs ...[]float64) (y []float64, ok bool) {
	if !p.ask(access.NeedScores, nil, xs...) {
		return nil, false
	}
	return p.req.y, true
}

// Reached asks for the label at x, which is snapped, and reports whether it reaches the goal.
func (p *Probe) Reached(x []float64) (reached, ok bool) {
	if !p.ask(access.NeedLabels, nil, x) {
		return false, false
	}
	return p.Goal.ReachedBy(p.req.label[0]), true
}

// ReachedAll is Reached for several points; the answers are added to dst.
func (p *Probe) ReachedAll(dst []bool, xs ...[]float64) (reached []bool, ok bool) {
	if !p.ask(access.NeedLabels, nil, xs...) {
		return dst, false
	}
	for _, l := range p.req.label {
		dst = append(dst, p.Goal.ReachedBy(l))
	}
	return dst, true
}

// Gradient evaluates the model at x, which is snapped, and returns the loss there, its gradient by the input, and the outputs. Of a
// model that averages over draws, it is the mean loss.
func (p *Probe) Gradient(l Loss, x []float64) (v float64, dx, y []float64, ok bool) {
	return p.GradientOf(p.Goal, l, x)
}

// GradientOf is Gradient for another goal than the probe's, such as one of its cases.
func (p *Probe) GradientOf(g *Goal, l Loss, x []float64) (v float64, dx, y []float64, ok bool) {
	var rows []float64
	if g.readsInputs() {
		rows = make([]float64, len(x))
	}
	draws := 0.0
	ok = p.ask(access.NeedGradients, func(_ int, y, dy []float64) { v, draws = v+l.Value(g, x, y, dy, rows), draws+1 }, x)
	if !ok {
		return 0, nil, nil, false
	}
	for i := range rows {
		p.req.dx[i] += rows[i] / draws
	}
	return v / draws, p.req.dx, p.req.y, true
}

// Pull evaluates the model at several points, which are snapped, and returns the outputs and Jᵀ·dy, one after the other; pull
// fills the dy of point i, zero at the call, from its outputs.
func (p *Probe) Pull(pull func(i int, y, dy []float64), xs ...[]float64) (y, dx []float64, ok bool) {
	if !p.ask(access.NeedGradients, pull, xs...) {
		return nil, nil, false
	}
	return p.req.y, p.req.dx, true
}

// Jacobian evaluates the model at x, which is snapped, and the gradients of the given outputs, one after the other, each counted
// as one gradient.
func (p *Probe) Jacobian(x []float64, outputs []int) (y, rows []float64, ok bool) {
	xs := make([][]float64, len(outputs))
	for i := range xs {
		xs[i] = x
	}
	if !p.ask(access.NeedGradients, func(i int, _, dy []float64) { dy[outputs[i]] = 1 }, xs...) {
		return nil, nil, false
	}
	return p.req.y[:len(p.req.y)/len(outputs)], p.req.dx, true
}

// ask has points evaluated and looks at every one of them as a candidate.
func (p *Probe) ask(level access.Level, pull func(i int, y, dy []float64), xs ...[]float64) bool {
	if p.stop || len(xs) == 0 {
		return false
	}
	r := &p.req
	r.level, r.n, r.pull, r.x = level, len(xs), pull, r.x[:0]
	for _, x := range xs {
		p.Snap(x)
		r.x = append(r.x, x...)
	}
	if !p.task.pay(r) || !p.yield(r) {
		p.stop = true
		return false
	}
	for i := range xs {
		p.task.look(p, i)
	}
	// A call that ended the search is answered all the same only when nothing was found.
	return !p.stop
}

// readsInputs reports whether a row of the goal reads inputs.
func (g *Goal) readsInputs() bool {
	for _, rows := range g.cases {
		for k := range rows {
			if len(rows[k].X) > 0 {
				return true
			}
		}
	}
	return false
}
