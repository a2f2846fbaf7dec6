package verify

import (
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

// Queries with many boxes are first met box by box on one worker each, on a network reduced to what varies in the box, with a
// bounded search; what stays open goes to solve, one box at a time on all workers.

const (
	// quickBranches is the number of branches a box may take in the first pass.
	quickBranches = 512
	// quickUnstable is the number of open ReLUs up to which inner neurons get backward passes in the first pass.
	quickUnstable = 1200
	// quickInputs is the number of varying inputs up to which a box has a first pass at all; beyond maxSplitInputs it is not
	// bisected there.
	quickInputs = 64
)

// quick tries to decide a group with the worker's own means. b holds interval bounds of the group's box.
func (r *run) quick(w *relax.Worker, g *group, b *relax.Bounds) *bab.Outcome {
	q, net, free := *g.query, r.net, []int(nil)
	n := varying(q.Box)
	if n > quickInputs {
		return &bab.Outcome{Reason: "budget", Bound: math.Inf(-1)}
	}
	if sp, ok := r.net.Specialize(q.Box, b); ok && !readsInputs(q.Cases) {
		net, free = sp.Net, sp.Free
		q.Net, q.Box, q.Free = net, sp.Box, len(free)
		w = relax.NewWorker(net)
		w.Stop = r.stopped
		b = net.NewBounds()
		net.IBP(q.Box, b)
	}
	f := net.NewFrame(q.Box, b, net.NewScale(b))
	if !net.Forward(f) {
		return &bab.Outcome{Reason: bab.Contradictory, Bound: math.Inf(-1)}
	}
	pool := &relax.Pool{W: []*relax.Worker{w}}
	if net.Unstable(f.B) <= quickUnstable && !net.Crown(r.ctx, pool, f, relax.Tightening{}) {
		return &bab.Outcome{Reason: bab.Contradictory, Bound: math.Inf(-1)}
	}
	f.SetScale(net.NewScale(f.B))
	alive := aliveRows(w, &q, f)
	if len(alive) == 0 {
		return &bab.Outcome{Status: bab.Closed}
	}
	if n > maxSplitInputs {
		return &bab.Outcome{Reason: "budget", Bound: math.Inf(-1)}
	}
	try := r.tryer.on(g.box)
	if free != nil {
		try = widened(try, g.query.Box, free)
	}
	return bab.InputSplit(r.ctx, &q, f, alive, &bab.Config{Pool: pool, Memory: r.opt.Memory, Try: try, Branches: quickBranches})
}

// readsInputs reports whether some row has coefficients on inputs.
func readsInputs(cases []spec.Case) bool {
	for i := range cases {
		for j := range cases[i].Rows {
			if len(cases[i].Rows[j].X) > 0 {
				return true
			}
		}
	}
	return false
}

// widened makes a check of points of box from one of points of a reduced network, whose first inputs are the given ones.
func widened(try func(x []float64) *spec.Witness, box relax.Box, free []int) func(x []float64) *spec.Witness {
	return func(x []float64) *spec.Witness {
		full := append([]float64(nil), box.Lo...)
		for i, at := range free {
			full[at] = x[i]
		}
		return try(full)
	}
}
