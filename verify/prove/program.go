package prove

import (
	"errors"
	"math"

	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/smt/simplex"
	"github.com/spai-project/certify/verify/cert"
)

var errOpen = errors.New("no ReLU left to split")

// program refutes a branch on which no ReLU that matters is open: rows and decisions are linear there, and a linear program finds
// the multipliers of all of them that exclude each other.
func (l *leaner) program(b *branch) (*cert.Node, error) {
	rows := l.p.Cases[l.at[l.c]].Rows
	f := l.frame(b.kb, l.box, b.splits, b.wide)
	weights, beta := make([]float64, len(rows)), make([]float64, len(b.splits))
	form := func(row, split int) (g []float64, c float64) {
		clear(weights)
		if row >= 0 {
			weights[row] = 1
		}
		l.pass(f, b, weights, make([]float64, len(b.splits)), split)
		g = make([]float64, len(l.box.Lo))
		return g, l.w.LinearForm(0, g)
	}
	lp := &simplex.Problem{Lo: l.box.Lo, Hi: l.box.Hi}
	lp.C, _ = form(l.index, -1)
	for i := range rows {
		if i != l.index {
			g, c := form(i, -1)
			lp.G, lp.H = append(lp.G, g), append(lp.H, -c)
		}
	}
	for j := range b.splits { // −sign·z ≤ 0
		g, c := form(-1, j)
		lp.G, lp.H = append(lp.G, g), append(lp.H, -c)
	}
	var solver simplex.Solver
	sol, err := solver.Solve(l.ctx, lp, simplex.Options{})
	if err != nil {
		return nil, errOpen
	}
	scales := []float64{1}
	if sol.Status == simplex.Infeasible {
		scales = []float64{1, 1e2, 1e4, 1e6}
	}
	for _, scale := range scales {
		mu := sol.Mu
		for i := range rows {
			if weights[i] = 1; i != l.index {
				weights[i], mu = max(scale*mu[0], 0), mu[1:]
			}
		}
		for j := range beta {
			beta[j] = max(scale*mu[j], 0)
		}
		if !finite(weights) || !finite(beta) || l.pass(f, b, weights, beta, -1) <= 0 {
			continue
		}
		if n, err := l.b.Leaf(b.kb, l.c, &cert.Plan{Lambda: weights, Nu: l.w.Multipliers(f, 0)}); err == nil {
			return n, nil
		}
	}
	return nil, errOpen
}

// pass bounds the weighted rows, or for split ≥ 0 minus sign times that decided element, with multipliers of the decisions.
func (l *leaner) pass(f *relax.Frame, b *branch, weights, beta []float64, split int) float64 {
	const R = 8
	w := l.w
	w.On(f.Net)
	w.Begin(R)
	from := l.full.Output
	if split >= 0 {
		s := b.splits[split]
		from = l.full.Nodes[s.Act].Src
		w.Seed(from, int(s.Elem), 0, -float64(s.Sign))
	}
	for i := range weights {
		if weights[i] > 0 {
			w.SeedObjective(f, &l.p.Cases[l.at[l.c]].Rows[i], 0, weights[i])
		}
	}
	splits, betas := make([][]relax.Split, R), make([][]float64, R)
	splits[0], betas[0] = b.splits, beta
	w.SetSplits(splits, betas)
	w.Run(f, from)
	return w.LB[0]
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
