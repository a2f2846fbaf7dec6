package verify

import (
	"math"

	"github.com/spai-project/certify/smt/reluplex"
	"github.com/spai-project/certify/verify/bab"
)

// methodReluplex is the value of Options.Method that puts smt/reluplex in the place of branch and bound.
const methodReluplex = "reluplex"

// reluplex decides one box of n with the solver of Katz et al. (2017).
func (r *run) reluplex(g *group, n int) *bab.Outcome {
	q := &reluplex.Query{Program: r.prog, Lower: g.query.Box.Lo, Upper: g.query.Box.Hi, Cases: g.query.Cases}
	var out *reluplex.Outcome
	r.in(phaseReluplex, func() {
		out = reluplex.Solve(r.ctx, q, &reluplex.Config{Memory: r.opt.Memory, Try: r.tryer.on(g.box), Trace: r.progress})
	})
	if n <= 4 {
		r.note("Reluplex: %d splits, %d repairs, %d pivots, at most %d decisions at once", out.Splits, out.Repairs, out.Pivots, out.Depth)
	}
	return &bab.Outcome{Status: bab.Status(out.Status), Reason: out.Reason, Witness: out.Witness, Bound: math.Inf(-1), Volume: out.Volume,
		Branches: out.Branches, Open: out.Open, Peak: out.Peak}
}
