package bab

import (
	"context"
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/smt/simplex"
)

// maxLeafSize bounds rows × columns of a leaf's linear program.
const maxLeafSize = 4 << 20

// leaf decides a branch whose every open ReLU is split: the network is linear there, so a linear program over the inputs, one
// row per split, has the exact minimum, and its multipliers are the β that prove it. The program is solved in floats; what
// closes the branch is the rigorous pass with those β, what violates is a confirmed input.
func (s *reluSearch) leaf(ctx context.Context, w *relax.Worker, b *reluBranch) (*spec.Witness, bool) {
	m, n := len(b.splits), len(s.q.Box.Lo)
	if ctx.Err() != nil || m*n > maxLeafSize {
		return nil, false
	}
	lp := &simplex.Problem{Lo: s.q.Box.Lo, Hi: s.q.Box.Hi, H: make([]float64, m), G: make([][]float64, m)}
	for j, sp := range b.splits {
		g, c := s.linear(w, b, j)
		// z = g·x + c;  z ≥ 0 is −g·x ≤ c,  z ≤ 0 is g·x ≤ −c
		if sp.Sign > 0 {
			for i := range g {
				g[i] = -g[i]
			}
			c = -c
		}
		lp.G[j], lp.H[j] = g, -c
	}
	lp.C, _ = s.linear(w, b, -1)
	var solver simplex.Solver
	sol, err := solver.Solve(ctx, lp, simplex.Options{})
	if err != nil {
		return nil, false
	}
	scale := []float64{1}
	if sol.Status == simplex.Infeasible {
		scale = []float64{1e2, 1e4, 1e6, 1e8} // any multiple of a ray is a valid multiplier
	}
	for _, f := range scale {
		beta := make([]float64, m)
		for j := range beta {
			beta[j] = max(f*sol.Mu[j], 0)
		}
		if lb := s.evaluate(w, b, beta); Refuted(s.row(b), lb) {
			b.tree.closed(w, b.at, 0)
			return nil, true
		} else if lb > b.lb {
			b.lb = lb
		}
	}
	if sol.Status == simplex.Optimal && s.cfg.Try != nil {
		return s.cfg.Try(sol.X), false
	}
	return nil, false
}

// linear returns the linear form g·x + c of split j's pre-activation (the row's objective for j < 0) with all splits fixed.
func (s *reluSearch) linear(w *relax.Worker, b *reluBranch, j int) (g []float64, c float64) {
	const R = 8
	w.On(b.at.Net)
	w.Begin(R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	splits[0], beta[0] = local(b.at, b.splits), make([]float64, len(b.splits))
	from := s.q.Net.P.Output
	if j >= 0 {
		sp := b.at.Net.Local(b.splits[j])
		from = s.q.Net.P.Nodes[sp.Act].Src
		w.Seed(from, int(sp.Elem), 0, 1)
	} else {
		s.seed(w, b, 0)
	}
	w.SetSplits(splits, beta)
	w.Run(b.at, from)
	g = make([]float64, len(s.q.Box.Lo))
	c = w.LinearForm(0, g)
	return g, c
}

// evaluate bounds the branch with the given multipliers.
func (s *reluSearch) evaluate(w *relax.Worker, b *reluBranch, beta []float64) float64 {
	const R = 8
	for _, v := range beta {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return math.Inf(-1)
		}
	}
	w.On(b.at.Net)
	w.Begin(R)
	splits, betas := make([][]relax.Split, R), make([][]float64, R)
	splits[0], betas[0] = local(b.at, b.splits), beta
	s.seed(w, b, 0)
	w.SetSplits(splits, betas)
	w.Run(b.at, s.q.Net.P.Output)
	return w.LB[0]
}
