package verify

import (
	"fmt"

	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

const (
	firstWork = 4e9 // multiply-adds of the first search: what most queries that need a search at all need
	moreWork  = 4   // factor between what is spent on one attempt and the next
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
// the search begins again with more to spend, and so on: bounds of inner neurons that take seconds often save what
// would take hours in the tree, and where they win little, no more than a part of the time was lost.
func (r *run) reluSplit(q *bab.Query, f *relax.Frame, alive []int32, cfg *bab.Config) *bab.Outcome {
	branches := 0
	for work := int64(firstWork); ; work *= moreWork {
		cfg.Work = work
		out := r.search(phaseReluSplit, bab.ReluSplit, q, f, alive, cfg)
		out.Branches += branches
		if out.Status != bab.Open || out.Reason != "budget" || r.ctx.Err() != nil {
			return out
		}
		branches, alive = out.Branches, out.Left
		var got bab.Refined
		ok := true
		r.in(phaseRefine, func() { got, ok = bab.Refine(r.ctx, r.pool, f, bab.Refinement{Work: 2 * work, Need: r.cone}) })
		if !ok || !r.ascend(f, cfg) {
			return &bab.Outcome{Reason: bab.Contradictory, Branches: branches, Bound: out.Bound}
		}
		r.note("%s", refinedText(got, r.net.Unstable(f.B)))
	}
}

func refinedText(d bab.Refined, unstable int) string {
	return fmt.Sprintf("refined %d neurons: %d became stable, widths to %.0f %%; %d unstable ReLUs", d.Neurons, d.Stable, 100*d.Width, unstable)
}
