package simplex

import "math"

// start brings the solver to a dual feasible basis: the kernel of warm as far as it fits, else none.
func (sv *Solver) start(warm *Basis) {
	n, m := sv.n, sv.m
	sv.t, sv.r, sv.alpha = resize(sv.t, n), resize(sv.r, n), resize(sv.alpha, n)
	sv.s, sv.y = resize(sv.s, m), resize(sv.y, m)
	sv.upper, sv.top = resize(sv.upper, n), resize(sv.top, m)
	size := min(m, n) + 1
	sv.w, sv.u, sv.dx, sv.beta = resize(sv.w, size), resize(sv.u, size), resize(sv.dx, size), resize(sv.beta, size)
	var rows, cols []int
	if warm != nil {
		seen := make([]bool, m+n)
		keep := func(list []int32, base, limit int) (kept []int) {
			for _, v := range list {
				if v >= 0 && int(v) < limit && !seen[base+int(v)] && len(kept) < size-1 {
					seen[base+int(v)] = true
					kept = append(kept, int(v))
				}
			}
			return kept
		}
		rows, cols = keep(warm.Rows, 0, m), keep(warm.Cols, m, n)
		if len(warm.Upper) == n {
			copy(sv.upper, warm.Upper)
		}
	}
	sv.factor(&sv.scaled, rows, cols)
	sv.recompute()
}

// basis records where the solve stands.
func (sv *Solver) basis() *Basis {
	b := &Basis{Upper: append([]bool(nil), sv.upper...)}
	for a := range sv.k {
		b.Rows, b.Cols = append(b.Rows, int32(sv.rows[a])), append(b.Cols, int32(sv.cols[a]))
	}
	return b
}

// refactor inverts the kernel afresh and recomputes every number from the scaled problem.
func (sv *Solver) refactor() {
	rows, cols := append([]int(nil), sv.rows...), append([]int(nil), sv.cols...)
	sv.factor(&sv.scaled, rows, cols)
	sv.recompute()
}

// recompute derives multipliers and reduced costs, moves nonbasic variables to the bounds these ask for, and derives the
// point.
func (sv *Solver) recompute() {
	sv.run.fresh = 0
	clear(sv.y)
	copy(sv.r, sv.c)
	for p, j := range sv.cols {
		for a, v := range sv.invRow(p) {
			sv.y[sv.rows[a]] -= sv.c[j] * v
		}
	}
	for _, i := range sv.rows {
		axpy(sv.r, sv.y[i], sv.row(i))
	}
	clear(sv.top)
	for _, i := range sv.rows {
		sv.top[i] = sv.y[i] < -tolDual
		sv.s[i] = 0
		if sv.top[i] {
			sv.s[i] = sv.topSlack[i]
		}
	}
	for j := range sv.t {
		if sv.colAt[j] >= 0 {
			sv.r[j], sv.t[j] = 0, 0
			continue
		}
		if math.Abs(sv.r[j]) > tolDual {
			sv.upper[j] = sv.r[j] < 0
		}
		sv.t[j] = 0
		if sv.upper[j] && !sv.fixed[j] {
			sv.t[j] = 1
		}
	}
	sv.primal()
	sv.run.ticks += 2*int64(sv.k+1)*int64(sv.n) + int64(sv.m)*int64(sv.n) + int64(sv.k)*int64(sv.k)*int64(sv.k)
}

// primal computes the basic variables and slacks from the nonbasic ones; t is 0 at basic variables on entry.
func (sv *Solver) primal() {
	k := sv.k
	rhs := sv.dx[:k]
	for a, i := range sv.rows {
		rhs[a] = sv.h[i] - sv.s[i] - dot(sv.row(i), sv.t)
	}
	for p, j := range sv.cols {
		sv.t[j] = dot(sv.invRow(p), rhs)
	}
	for i := range sv.s {
		if sv.rowAt[i] < 0 {
			sv.s[i] = sv.h[i] - dot(sv.row(i), sv.t)
		}
	}
}

// consistent computes the entering column u and compares the pivot with the one of the pivot row.
func (sv *Solver) consistent(leave, enter int, dir float64) bool {
	k := sv.k
	want, got := 0.0, 0.0
	if enter < sv.n {
		want = dir * sv.alpha[enter]
		rhs := sv.dx[:k]
		for a, i := range sv.rows {
			rhs[a] = sv.g[i*sv.n+enter]
		}
		for p := range k {
			sv.u[p] = dot(sv.invRow(p), rhs)
		}
	} else {
		a := sv.rowAt[enter-sv.n]
		want = dir * sv.beta[a]
		for p := range k {
			sv.u[p] = sv.inv[p*sv.ld+a]
		}
	}
	if leave < sv.n {
		got = -sv.u[sv.colAt[leave]]
	} else {
		row := sv.row(leave - sv.n)
		for p, j := range sv.cols {
			got += row[j] * sv.u[p]
		}
		if enter < sv.n {
			got -= row[enter]
		}
	}
	return math.Abs(want) > tolPivot && math.Abs(got-want) <= 1e-6*math.Abs(want)+1e-11
}

// step does the dual and the primal update and exchanges leave and enter in the kernel; u holds the entering column.
func (sv *Solver) step(leave, enter int, dir float64) {
	sv.dualStep(leave, enter, dir)
	sv.flip()
	sv.primalStep(leave, enter, dir)
	sv.exchange(leave, enter, dir)
	sv.run.ticks += 2 * int64(sv.k) * int64(sv.k)
}

// dualStep moves the reduced costs so that the entering one becomes zero.
func (sv *Solver) dualStep(leave, enter int, dir float64) {
	var tau float64
	if enter < sv.n {
		tau = sv.r[enter] / sv.alpha[enter]
	} else {
		tau = sv.y[enter-sv.n] / sv.beta[sv.rowAt[enter-sv.n]]
	}
	tau = max(tau, 0)
	if tau > 1e-12 {
		sv.run.degenerate = 0
	} else {
		sv.run.degenerate++
	}
	if tau != 0 {
		axpy(sv.r, -tau, sv.alpha)
		for a, i := range sv.rows {
			sv.y[i] -= tau * sv.beta[a]
		}
	}
	for _, j := range sv.cols {
		sv.r[j] = 0
	}
	if enter < sv.n {
		sv.r[enter] = 0
	} else {
		sv.y[enter-sv.n] = 0
	}
	if leave < sv.n {
		sv.r[leave] = dir * tau
	} else {
		sv.y[leave-sv.n] = tau
	}
}

// flip moves the variables passed by the ratio test to their other bounds and lets the basic ones follow.
func (sv *Solver) flip() {
	if len(sv.ratio.flips) == 0 {
		return
	}
	k := sv.k
	clear(sv.dx[:k])
	rhs := sv.dx[:k]
	for _, b := range sv.ratio.flips {
		if b.index >= sv.n {
			i := b.index - sv.n
			sv.top[i] = !sv.top[i]
			old := sv.s[i]
			sv.s[i] = 0
			if sv.top[i] {
				sv.s[i] = sv.topSlack[i]
			}
			rhs[sv.rowAt[i]] -= sv.s[i] - old
			continue
		}
		j := b.index
		sv.upper[j] = !sv.upper[j]
		old := sv.t[j]
		sv.t[j] = 0
		if sv.upper[j] {
			sv.t[j] = 1
		}
		sv.moveSlacks(j, sv.t[j]-old)
		for a, i := range sv.rows {
			rhs[a] -= sv.g[i*sv.n+j] * (sv.t[j] - old)
		}
	}
	for p, j := range sv.cols {
		d := dot(sv.invRow(p), rhs)
		sv.t[j] += d
		sv.moveSlacks(j, d)
	}
}

// moveSlacks lets the basic slacks follow a change of variable j.
func (sv *Solver) moveSlacks(j int, d float64) {
	if d == 0 {
		return
	}
	at := j
	for i := range sv.s {
		if sv.rowAt[i] < 0 {
			sv.s[i] -= sv.g[at] * d
		}
		at += sv.n
	}
	sv.run.ticks += int64(sv.m)
}

// primalStep moves the entering variable until the leaving one reaches its bound.
func (sv *Solver) primalStep(leave, enter int, dir float64) {
	target, value := 0.0, 0.0
	if leave < sv.n {
		value = sv.t[leave]
		if dir < 0 {
			target = 1
		}
	} else {
		value = sv.s[leave-sv.n]
	}
	var slope float64
	if enter < sv.n {
		slope = dir * sv.alpha[enter]
	} else {
		slope = dir * sv.beta[sv.rowAt[enter-sv.n]]
	}
	d := (target - value) / slope
	for p, j := range sv.cols {
		sv.t[j] -= sv.u[p] * d
		sv.moveSlacks(j, -sv.u[p]*d)
	}
	if enter < sv.n {
		sv.t[enter] += d
		sv.moveSlacks(enter, d)
	} else {
		sv.s[enter-sv.n] += d
	}
	if leave < sv.n {
		sv.t[leave], sv.upper[leave] = target, dir < 0
	} else {
		sv.s[leave-sv.n], sv.top[leave-sv.n] = 0, false
	}
}

// exchange updates the kernel.
func (sv *Solver) exchange(leave, enter int, dir float64) {
	switch slackLeaves, slackEnters := leave >= sv.n, enter >= sv.n; {
	case slackLeaves && slackEnters:
		sv.replaceRow(sv.rowAt[enter-sv.n], leave-sv.n, sv.w)
	case slackLeaves:
		sv.grow(leave-sv.n, enter, sv.u, sv.w, -dir*sv.alpha[enter])
	case slackEnters:
		sv.shrink(sv.rowAt[enter-sv.n], sv.colAt[leave])
	default:
		sv.replaceCol(sv.colAt[leave], enter, sv.u)
	}
}
