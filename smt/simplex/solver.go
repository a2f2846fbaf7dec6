package simplex

import (
	"context"
	"math"
)

// Tolerances of the scaled problem (variables in [0,1], rows of length one, costs up to one). They steer the search only.
const (
	tolPrimal   = 1e-9
	tolDual     = 1e-9
	tolPivot    = 1e-9 // smaller entries of a pivot row count as zero
	goodPivot   = 1e-5 // preferred size of a pivot
	refactorAt  = 64   // pivots between refactorisations
	perturbAt   = 10   // pivots in a row without dual progress before costs are perturbed
	perturbMax  = 4    // perturbations per solve
	blandAfter  = 50   // pivots in a row without dual progress before Bland's rule
	contextEach = 16   // pivots between looks at the context
)

// A Solver holds the memory of solves; the zero value is ready. It is not safe for concurrent use.
type Solver struct {
	scaled
	kernel
	t     []float64 // structural variables, scaled to [0,1]
	s     []float64 // slacks
	r     []float64 // reduced costs, 0 for basic variables
	y     []float64 // multipliers of the rows (reduced costs of slacks), 0 for basic slacks; may be negative at topSlack
	upper []bool    // nonbasic variable at its upper bound
	top   []bool    // nonbasic slack at topSlack
	alpha []float64 // pivot row over the structural variables
	beta  []float64 // pivot row over the kernel's slacks
	w     []float64 // row of the leaving variable times the inverse
	u     []float64 // inverse times column of the entering variable
	dx    []float64 // change of the basic variables
	ratio ratioTest
	safe  Scratch
	run   run
}

// run is the state of one solve.
type run struct {
	p          *Problem
	opt        Options
	pivots     int
	ticks      int64
	fresh      int // pivots since the last refactorisation
	degenerate int // pivots since the last dual progress
	perturbed  bool
	perturbs   int
	tryAt      float64
	mu         []float64
}

// Solve minimises p. The error is ctx's, with a nil solution, or wraps ErrBadProblem. The result depends on the
// arguments only, not on earlier solves.
//
// Sound to use because Bound is DualBound of Mu; Status Optimal is only the float method's opinion.
func (sv *Solver) Solve(ctx context.Context, p *Problem, opt Options) (*Solution, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opt.MaxPivots == 0 {
		opt.MaxPivots = 100 + 20*(len(p.C)+len(p.G))
	}
	sv.run = run{p: p, opt: opt, tryAt: opt.Cutoff, mu: make([]float64, len(p.G))}
	sv.load(p)
	sv.start(opt.Warm)
	for {
		if sv.run.pivots%contextEach == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if status, done := sv.iterate(); done {
			return sv.solution(status), nil
		}
	}
}

// iterate does one pivot and reports whether the solve ended.
func (sv *Solver) iterate() (Status, bool) {
	run := &sv.run
	if run.fresh >= refactorAt {
		sv.refactor()
	}
	if run.degenerate >= perturbAt && !run.perturbed && run.perturbs < perturbMax {
		sv.perturb()
	}
	if sv.reachedCutoff() {
		return Cutoff, true
	}
	leave, violation, dir := sv.leaving()
	if leave < 0 {
		if run.fresh == 0 && !run.perturbed {
			return Optimal, true
		}
		sv.unperturb()
		sv.refactor()
		return 0, false
	}
	if run.pivots >= run.opt.MaxPivots || run.opt.MaxTicks > 0 && run.ticks >= run.opt.MaxTicks {
		return Limit, true
	}
	sv.pivotRow(leave, dir)
	enter := sv.entering(violation)
	if enter < 0 {
		if run.fresh > 0 {
			sv.refactor()
			return 0, false
		}
		if sv.provedEmpty(leave) {
			return Infeasible, true
		}
		return Limit, true
	}
	if !sv.consistent(leave, enter, dir) {
		if run.fresh > 0 {
			sv.refactor()
			return 0, false
		}
		return Limit, true
	}
	sv.step(leave, enter, dir)
	run.pivots++
	run.fresh++
	return 0, false
}

// leaving chooses the basic variable that is furthest out of its bounds (structural j, or n+i for the slack of row i),
// how far, and the direction back (+1: up); −1 when the point is feasible. Under Bland's rule it is the one of least index.
func (sv *Solver) leaving() (leave int, violation, dir float64) {
	leave, violation = -1, tolPrimal
	bland := sv.run.degenerate > blandAfter
	for _, j := range sv.cols {
		v := max(-sv.t[j], sv.t[j]-1)
		if bland && v > tolPrimal && (leave < 0 || j < leave) || !bland && v > violation {
			leave, violation, dir = j, v, 1
			if sv.t[j] > 1 {
				dir = -1
			}
		}
	}
	if bland && leave >= 0 {
		return leave, violation, dir
	}
	for i, v := range sv.s {
		if sv.rowAt[i] < 0 && -v > violation {
			leave, violation, dir = sv.n+i, -v, 1
			if bland {
				return leave, violation, dir
			}
		}
	}
	return leave, violation, dir
}

// pivotRow computes dir times the derivatives of the leaving variable with respect to the nonbasic ones: alpha over the
// structural variables, beta over the kernel's slacks.
func (sv *Solver) pivotRow(leave int, dir float64) {
	k := sv.k
	clear(sv.alpha)
	if leave < sv.n {
		copy(sv.w[:k], sv.invRow(sv.colAt[leave]))
		for a := range k {
			sv.w[a] = -sv.w[a]
		}
	} else {
		row := sv.row(leave - sv.n)
		clear(sv.w[:k])
		for p, j := range sv.cols {
			if g := row[j]; g != 0 {
				axpy(sv.w[:k], g, sv.invRow(p))
			}
		}
		axpy(sv.alpha, -dir, row)
	}
	// For a slack, ds/dt = w·G_K − row with w = row_J·inverse; for a variable, dt/dt' = −inverse row·G_K, hence the sign.
	for a, i := range sv.rows {
		sv.beta[a] = dir * sv.w[a]
		if sv.w[a] != 0 {
			axpy(sv.alpha, dir*sv.w[a], sv.row(i))
		}
	}
	sv.run.ticks += int64(k+1)*int64(sv.n) + int64(k)*int64(k)
}

// reachedCutoff reports whether the rigorous bound of the current multipliers reaches the cutoff; then run.mu holds them.
func (sv *Solver) reachedCutoff() bool {
	run := &sv.run
	if !run.opt.UseCutoff || sv.costScale == 0 {
		return false
	}
	value := sv.offset // the objective at a basic point equals the dual objective
	for j, t := range sv.t {
		value += sv.c[j] * t / sv.costScale
	}
	if !(value > run.tryAt) {
		return false
	}
	sv.multipliers(run.mu)
	p := run.p
	if sv.safe.DualBound(p.C, p.G, p.H, p.Lo, p.Hi, run.mu) >= run.opt.Cutoff {
		return true
	}
	run.tryAt = value + math.Abs(value-run.opt.Cutoff) + 1e-12*math.Abs(value)
	return false
}

// provedEmpty reads a Farkas ray off the pivot row, which no nonbasic variable can repair, into run.mu and evaluates it.
func (sv *Solver) provedEmpty(leave int) bool {
	run := &sv.run
	clear(run.mu)
	for a, i := range sv.rows {
		run.mu[i] = max(0, -sv.beta[a]) * sv.rowScale[i]
	}
	if leave >= sv.n {
		run.mu[leave-sv.n] = sv.rowScale[leave-sv.n]
	}
	p := run.p
	return sv.safe.DualBound(nil, p.G, p.H, p.Lo, p.Hi, run.mu) > 0
}

// multipliers writes the current dual solution in the caller's units.
func (sv *Solver) multipliers(mu []float64) {
	clear(mu)
	if sv.costScale == 0 {
		return
	}
	for _, i := range sv.rows {
		mu[i] = max(0, sv.y[i]) * sv.rowScale[i] / sv.costScale
	}
}

// solution packs the result; run.mu is already set for Infeasible and Cutoff.
func (sv *Solver) solution(status Status) *Solution {
	run, p := &sv.run, sv.run.p
	s := &Solution{Status: status, Mu: run.mu, Pivots: run.pivots, Ticks: run.ticks, Basis: sv.basis()}
	c := p.C
	switch status {
	case Infeasible:
		c = nil
	case Optimal, Limit:
		sv.multipliers(s.Mu)
	}
	s.Bound = sv.safe.DualBound(c, p.G, p.H, p.Lo, p.Hi, s.Mu)
	s.X = make([]float64, sv.n)
	for j, t := range sv.t {
		x := p.Lo[j] + t*(p.Hi[j]-p.Lo[j])
		if sv.colAt[j] < 0 && sv.upper[j] {
			x = p.Hi[j]
		}
		s.X[j] = min(max(x, p.Lo[j]), p.Hi[j])
		s.Objective += p.C[j] * s.X[j]
	}
	return s
}

func axpy(dst []float64, a float64, x []float64) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += a * x[i]
	}
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
