package verify

import (
	"math"

	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

// methodLift is the name of the search on semidefinite bounds alone.
const methodLift = "semidefinite"

// liftRoot bounds the rows by semidefinite bounds on the whole box, where the network has the shape for them. It returns the
// search to go on with, nil for none, and what the bounds led to.
func (r *run) liftRoot(q *bab.Query, f *relax.Frame, alive []int32, cfg *bab.Config) (s *bab.LiftSearch, out *bab.Outcome) {
	r.in(phaseLift, func() {
		if s = bab.NewLiftSearch(q, f, alive, cfg); s != nil {
			out = s.Root(r.ctx)
		}
	})
	if s == nil {
		return nil, &bab.Outcome{Reason: "incomplete", Bound: math.Inf(-1), Left: alive}
	}
	r.note("semidefinite bounds (rule: one hidden layer): %d of %d cases left", len(out.Left), len(alive))
	return s, out
}

// liftRun decides neurons under semidefinite bounds, where these are much better than linear ones or if nothing else may follow.
func (r *run) liftRun(s *bab.LiftSearch, always bool) (out *bab.Outcome) {
	r.in(phaseLift, func() {
		if always || s.Promising(r.ctx) {
			r.note("deciding indicators: semidefinite bounds close half of what linear ones leave, or more")
			out = s.Run(r.ctx)
		} else {
			out = s.Stop("incomplete")
		}
	})
	return out
}
