package verify

import (
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

// liftRoot bounds the rows by semidefinite bounds, where the network has the shape for them and its ReLUs are to be split. It
// returns the search to go on with, nil for none, and what the bounds led to.
func (r *run) liftRoot(q *bab.Query, f *relax.Frame, alive []int32, cfg *bab.Config, split bool) (s *bab.LiftSearch, out *bab.Outcome) {
	if split || r.opt.Method != "" {
		return nil, nil
	}
	r.in(phaseLift, func() {
		if s = bab.NewLiftSearch(q, f, cfg); s != nil {
			out = s.Root(r.ctx, alive)
		}
	})
	if s != nil {
		r.note("one hidden layer: semidefinite bounds leave %d of %d cases, estimate %.4g", len(out.Left), len(alive), s.Least())
	}
	return s, out
}

// liftRun decides neurons under semidefinite bounds.
func (r *run) liftRun(s *bab.LiftSearch) (out *bab.Outcome) {
	r.in(phaseLift, func() { out = s.Run(r.ctx) })
	return out
}
