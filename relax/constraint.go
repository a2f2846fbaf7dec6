package relax

import (
	"context"
	"math"
)

// A Constraint is Σ Value·v + C ≤ 0 over elements of the network: what a counterexample has to satisfy. Inner bounds need to hold
// for such inputs only, and that makes them much tighter: any multiple γ ≥ 0 of the constraint may be added to the objective
// of an inner row (INVPROP, Kotha et al. 2023), so the row's pass starts at the constraint, above the row's own layer.
type Constraint struct {
	Terms []ConstraintTerm
	C     float64
	Width float64 // the width of the sum's range, roughly: the unit of multipliers (Worker.Width)
}

// ConstraintTerm is a coefficient of one element of a node.
type ConstraintTerm struct {
	Node, Elem int
	Value      float64
}

// top returns the last node that c reads.
func (c *Constraint) top() int {
	k := 0
	for _, t := range c.Terms {
		k = max(k, t.Node)
	}
	return k
}

// seedConstraint adds γ times the constraint to every lane.
//
// Soundness: where the constraint holds the addition is ≤ 0 for γ ≥ 0, so what bounds the sum from below bounds the objective.
// The product γ·Value is rounded once, and its sum with other coefficients of the element once: charged.
func (w *Worker) seedConstraint(f *Frame, c *Constraint, gamma []float64) {
	for r, g := range gamma {
		if g == 0 {
			continue
		}
		for _, t := range c.Terms {
			v := g * t.Value
			w.Seed(t.Node, t.Elem, r, v)
			w.Charge(r, 2*math.Abs(v)*f.S[t.Node][t.Elem])
		}
		w.AddConst(r, g*c.C)
	}
	w.self = true // the constraint's own value is its gradient
}

// moveConstraint makes one Adam step on the multipliers' logarithms, because their size is known only roughly: the gradient by γ is
// the constraint's value at the pseudo-primal.
func (a *Ascent) moveConstraint(c *Constraint, rate, ic2 float64) {
	w := a.W
	R := w.R
	for r := range a.gamma {
		g := c.C
		for _, t := range c.Terms {
			g += t.Value * w.val[t.Node][t.Elem*R+r]
		}
		g *= a.gamma[r]
		a.mG[r] = adam1*a.mG[r] + (1-adam1)*g
		a.vG[r] = adam2*a.vG[r] + (1-adam2)*g*g
		a.gamma[r] *= math.Exp(rate * a.mG[r] / (math.Sqrt(a.vG[r]*ic2) + adamEps))
	}
}

// SetConstraint lets the lanes add multiples of c, at first those in start, one per lane; it keeps start.
func (a *Ascent) SetConstraint(c *Constraint, start []float64) {
	a.con, a.gamma = c, start
	a.mG, a.vG = make([]float64, len(start)), make([]float64, len(start))
}

// Under returns the frame for the inputs of f's box that satisfy c (and f's own constraint, if any): the inner bounds of node first and
// after are tightened anew, steps ascent steps each, at least 2. It reports false when there is no such input. f is not changed.
//
// Soundness: every bound of f holds for those inputs, and Crown only intersects with bounds that hold for them, because the passes
// use nothing but lines that are valid within f's bounds and multiples of c. An interval that becomes empty proves the set empty.
func (f *Frame) Under(ctx context.Context, p *Pool, c *Constraint, first, steps int) (*Frame, bool) {
	n := f.Net
	b := n.NewBounds()
	b.Copy(f.B)
	g := n.NewFrame(f.Box, b, f.S)
	g.Con = c
	if !n.Crown(ctx, p, g, Tightening{Alpha: steps, First: first}) {
		return nil, false
	}
	return g, true
}

// startShare is the first multiplier of a row in units of its width by that of the constraint: small, because rows far below the
// constraint hardly feel it, and growing is as easy as shrinking.
const startShare = 0.3

// startConstraint returns the first multipliers of a batch of rows of node k.
func (f *Frame) startConstraint(k int, part []int32, R int) []float64 {
	u := make([]float64, R)
	for i, j := range part {
		v := startShare * (f.B.U[k][j] - f.B.L[k][j]) / f.Con.Width
		if !(v < math.Inf(1)) {
			v = 0
		}
		u[2*i], u[2*i+1] = v, v
	}
	return u
}

// Width estimates the width of the range of c's sum over f's box by one backward pass; it is above 0.
func (w *Worker) Width(f *Frame, c *Constraint) float64 {
	const R = 8
	w.Begin(R)
	for _, t := range c.Terms {
		w.Seed(t.Node, t.Elem, 0, t.Value)
		w.Seed(t.Node, t.Elem, 1, -t.Value)
	}
	w.Run(f, c.top())
	if v := -w.LB[0] - w.LB[1]; v > 1e-12 {
		return v
	}
	return 1e-12
}
