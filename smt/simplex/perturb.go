package simplex

import "math/rand/v2"

// Cost perturbation. Many zero costs make the dual degenerate: breakpoints coincide, steps have length zero and the
// search wanders. Moving the reduced costs of nonbasic variables away from zero by small random amounts, always into the
// feasible side, gives every step a length. When the perturbed program is solved, the true costs return; recomputing then
// flips the few variables whose reduced cost changed sign, which keeps dual feasibility, and the search goes on from there.

const perturbation = 1e-6

// perturb moves the costs of the nonbasic variables. The amounts depend only on how often it was called in this solve.
func (sv *Solver) perturb() {
	run := &sv.run
	run.perturbs++
	run.perturbed = true
	run.degenerate = 0
	size := perturbation
	if sv.costScale == 0 {
		size = 0.1 // any objective will do
	}
	rng := rand.New(rand.NewPCG(uint64(run.perturbs), 0))
	for j := range sv.c {
		d := size * (0.5 + rng.Float64())
		if sv.colAt[j] >= 0 || sv.fixed[j] {
			continue
		}
		if sv.upper[j] {
			d = -d
		}
		sv.c[j] += d
		sv.r[j] += d
	}
}

// unperturb restores the true costs; the caller recomputes.
func (sv *Solver) unperturb() {
	if sv.run.perturbed && sv.costScale != 0 {
		sv.loadCosts(sv.run.p)
	}
	sv.run.perturbed = false
}
