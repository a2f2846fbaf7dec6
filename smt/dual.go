package smt

import (
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// A dual is a vector of multipliers for an objective, Σ λ·row, with what is needed to evaluate its bound on any part of the
// box: see the inequality in package relax. Only neurons of open sign have terms; those of the others are 0 by the choice of
// their multipliers.
type dual struct {
	rows     []int     // whose objectives are added up; none: the literals of the set exclude each other by themselves
	constant float64   // biases and right-hand sides
	err      float64   // rounding of the coefficients, on the whole box
	in       []float64 // coefficients of the input
	a, nu    []float64 // by neuron
}

// take copies lane r of a pass over frame f. Objectives must have been seeded with the frame of the whole box, and f must measure
// rounding on the whole box (its scale), so that err holds there.
func (l *literals) take(w *relax.Worker, f *relax.Frame, r int, rows []int) *dual {
	d := &dual{rows: rows, constant: w.D[r], err: w.Err[r], in: make([]float64, len(l.atoms)),
		a: make([]float64, len(l.neurons)), nu: make([]float64, len(l.neurons))}
	in := w.Coef(0)
	for i := range d.in {
		d.in[i] = in[i*w.R+r]
	}
	w.EachMultiplier(f, r, func(act, elem int32, a, nu float64) {
		if i := l.index[act][elem]; i >= 0 {
			d.a[i], d.nu[i] = a, nu
		}
	})
	return d
}

// A set is a part of the box: bounds on the inputs and on the neurons' inputs, and the phases that are decided in it.
type set struct {
	inLo, inHi []float64 // by input
	lo, hi     []float64 // by neuron
	sign       []int8    // by neuron: +1 z ≥ 0, −1 z ≤ 0, 0 open
}

// neuronTerm is the least value of a·x − ν·z over x = max(z,0), lo ≤ z ≤ hi and the phase, rounded to nearest: it is attained
// at an end or at the kink.
func neuronTerm(a, nu, lo, hi float64, sign int8) float64 {
	switch {
	case sign > 0:
		lo = max(lo, 0)
	case sign < 0:
		hi = min(hi, 0)
	}
	switch {
	case lo > hi: // no such point, which is for others to find
		return math.Inf(-1)
	case lo >= 0:
		return min((a-nu)*lo, (a-nu)*hi)
	case hi <= 0:
		return min(-nu*lo, -nu*hi)
	}
	return min(-nu*lo, 0, (a-nu)*hi)
}

// inputTerm is the least value of a·x over lo ≤ x ≤ hi, rounded to nearest.
func inputTerm(a, lo, hi float64) float64 { return min(a*lo, a*hi) }

// bound evaluates d on s.
//
// Soundness: any multipliers bound the objective by the sum of the least values of all terms. Terms have at most three rounded
// operations each and the sum one for each of them, so their rounding is at most γ·Σ|term|; where z has other readers the
// stored multiplier is off by another unit of |ν·z| (relax.Worker.EachMultiplier). γ is doubled because the sum of sizes is
// rounded, too.
func (d *dual) bound(s *set) float64 {
	sum, size := d.constant, math.Abs(d.constant)
	for j, nu := range d.nu {
		a := d.a[j]
		if a == 0 && nu == 0 {
			continue
		}
		m := neuronTerm(a, nu, s.lo[j], s.hi[j], s.sign[j])
		sum += m
		size += math.Abs(m) + math.Abs(nu)*max(-s.lo[j], s.hi[j])
	}
	for i, a := range d.in {
		m := inputTerm(a, s.inLo[i], s.inHi[i])
		sum += m
		size += math.Abs(m)
	}
	err := d.err + 2*gamma(len(d.nu)+len(d.in)+8)*size
	g := math.Nextafter(sum-err*(1+0x1p-40), math.Inf(-1))
	if math.IsNaN(g) {
		return math.Inf(-1)
	}
	return g
}

// gamma returns an upper bound on n·u/(1−n·u), the relative error of n rounded steps.
func gamma(n int) float64 { x := float64(n) * 0x1p-53; return x / (1 - x) * (1 + 0x1p-50) }

// refutes reports whether the bound g of d excludes its rows (or, without rows, every point).
func (d *dual) refutes(g float64, rows []*spec.Row) bool {
	return g > 0 || g == 0 && len(d.rows) == 1 && rows[d.rows[0]].Strict
}
