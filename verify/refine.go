package verify

import (
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

const (
	firstWork = 4e9 // multiply-adds of the first search: most queries that need a search end in it
	moreWork  = 4   // factor between what one attempt may take and the next
	// A refinement that grew trees of exhaustedLeaves leaves on average and won less than exhaustedGain is the last one.
	exhaustedLeaves = 20
	exhaustedGain   = 0.03
)

// ascend tightens the inner bounds of f with slopes of their own per row, if that pays, and records what neurons cost each other. It
// reports false when bounds exclude each other.
func (r *run) ascend(f *relax.Frame, cfg *bab.Config) bool {
	if !r.alphaPays(f) {
		return true
	}
	ok := true
	cfg.Influence = relax.NewInfluence(f)
	r.in(phaseAlpha, func() {
		ok = r.net.Crown(r.ctx, r.pool, f, relax.Tightening{Alpha: r.innerSteps(), Need: r.cone, Record: cfg.Influence})
	})
	return ok
}

// reluSplit decides by splitting ReLUs. A search that does not end soon is stopped, inner bounds are refined (bab.Refine), and
// it begins again with more to spend, and so on until refinement wins no more: seconds spent on the bounds of inner neurons
// often save hours in the tree, and where they win little, no more than a part of the time is lost.
func (r *run) reluSplit(q *bab.Query, f *relax.Frame, alive []int32, cfg *bab.Config) *bab.Outcome {
	work, last := r.opt.firstWork, !bab.CanRefine(f)
	if work == 0 {
		work = firstWork
	}
	for branches := 0; ; work *= moreWork {
		if cfg.Work = work; last {
			cfg.Work = 0
		}
		out := r.search(phaseReluSplit, bab.ReluSplit, q, f, alive, cfg)
		out.Branches += branches
		if out.Status != bab.Open || out.Reason != bab.OutOfWork || r.ctx.Err() != nil {
			return out
		}
		branches, alive = out.Branches, out.Left
		var got bab.Refined
		ok := true
		r.in(phaseRefine, func() { got, ok = bab.Refine(r.ctx, r.pool, f, bab.Refinement{Work: 2 * work, Need: r.cone}) })
		if !ok || !r.ascend(f, cfg) {
			return &bab.Outcome{Reason: bab.Contradictory, Branches: branches, Bound: out.Bound}
		}
		r.note("refined %d neurons by %.1f leaves each: %d became stable, widths fell to %.0f %%; %d unstable ReLUs remain",
			got.Neurons, got.Leaves, got.Stable, 100*got.Width, r.net.Unstable(f.B))
		last = got.Neurons == 0 || got.Leaves >= exhaustedLeaves && got.Width > 1-exhaustedGain && float64(got.Stable) < exhaustedGain*float64(got.Neurons)
	}
}
