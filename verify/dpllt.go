package verify

import (
	"math"

	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/smt"
	"github.com/spai-project/certify/verify/bab"
)

// methodSMT is the value of Options.Method that puts the DPLL(T) of package smt in the place of branch and bound.
const methodSMT = "smt"

// dpllt decides one box of n by DPLL(T), from the same bounds of the whole box that branch and bound starts from.
func (r *run) dpllt(g *group, n int) *bab.Outcome {
	q := g.query
	var f *relax.Frame
	r.in(phaseRoot, func() { f, _ = r.rootFrame(q, varying(q.Box), false) })
	if f == nil || !r.ascend(f, &bab.Config{}) {
		return &bab.Outcome{Reason: bab.Contradictory, Bound: math.Inf(-1)}
	}
	var out *smt.Outcome
	r.in(phaseSMT, func() {
		out = smt.Solve(r.ctx, &smt.Query{Frame: f, Cases: q.Cases}, &smt.Config{Pool: r.pool, Memory: r.opt.Memory,
			Try: r.tryer.on(g.box), Trace: r.progress, Pause: r.pause(false), Rule: r.opt.smtRule})
	})
	if n <= 4 {
		r.note("DPLL(T): %d nodes, %d decisions, %d conflicts, %d by clauses alone, "+
			"%d no-goods of %.1f literals, %d backjumps, depth %d",
			out.Nodes, out.Decisions, out.Conflicts, out.Boolean, out.Clauses,
			float64(out.Literals)/float64(max(out.Clauses, 1)), out.Backjumps, out.Depth)
	}
	return &bab.Outcome{Status: bab.Status(out.Status), Reason: out.Reason, Witness: out.Witness, Bound: math.Inf(-1),
		Volume: out.Volume, Branches: out.Nodes, Open: out.Open, Peak: out.Peak}
}
