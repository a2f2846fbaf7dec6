package verify

import (
	"context"
	"math"
	"time"

	"github.com/spai-project/certify/attacks"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
	"github.com/spai-project/certify/verify/trace"
)

// maxSplitInputs is the number of varying inputs up to which bisecting the box is tried first.
const maxSplitInputs = 10

// solve decides one box of n.
func (r *run) solve(g *group, n int) *bab.Outcome {
	q := g.query
	free := varying(q.Box)
	method := r.opt.Method
	if method == "ibp" {
		return &bab.Outcome{Reason: "incomplete", Bound: math.Inf(-1)}
	}
	switch method {
	case methodReluplex:
		return r.reluplex(g, n)
	case methodSMT:
		return r.dpllt(g, n)
	}
	split := method == "input-split" || method == "" && free <= maxSplitInputs
	var f *relax.Frame
	var alive []int32
	if r.in(phaseRoot, func() { f, alive = r.rootFrame(q, free, split) }); f == nil {
		// the box has points, so bounds that exclude each other are a defect, not a proof
		return &bab.Outcome{Reason: bab.Contradictory, Bound: math.Inf(-1)}
	}
	if len(alive) == 0 {
		return &bab.Outcome{Status: bab.Closed}
	}
	cfg := &bab.Config{Pool: r.pool, Memory: r.opt.Memory, Try: r.tryer.on(g.box), Trace: r.progress, Pause: r.pause(split)}
	var lift *bab.LiftSearch
	branches := 0
	if !split && (method == "" || method == methodLift) {
		var out *bab.Outcome
		if lift, out = r.liftRoot(q, f, alive, cfg); out.Status != bab.Open {
			return out
		}
		alive = out.Left
	}
	if !r.attacked && !r.opt.NoAttack && !split { // bisecting a box costs less than a longer look: it comes later (pause)
		if r.secondAttack(false) {
			return &bab.Outcome{Status: bab.Found, Witness: r.res.Witness}
		}
	}
	if method == "crown" || method == methodLift && lift == nil {
		return &bab.Outcome{Reason: "incomplete", Bound: math.Inf(-1)}
	}
	if lift != nil {
		out := r.liftRun(lift, method == methodLift)
		if out.Status != bab.Open || method == methodLift || r.ctx.Err() != nil {
			return out
		}
		alive, branches = out.Left, out.Branches
	}
	if !split && !r.ascend(f, cfg) {
		return &bab.Outcome{Reason: bab.Contradictory, Bound: math.Inf(-1)}
	}
	if split {
		if n == 1 {
			r.note("input splitting: %d of %d inputs vary (rule: at most %d)", free, len(q.Box.Lo), maxSplitInputs)
		}
		return r.inputSplit(q, f, alive, cfg)
	}
	if n == 1 {
		r.note("ReLU splitting: %d inputs vary, %d unstable ReLUs", free, r.res.Stats.Unstable)
	}
	out := r.reluSplit(q, f, alive, cfg)
	out.Branches += branches
	if out.Status == bab.Open && out.Reason == "incomplete" && r.ctx.Err() == nil && free <= 200 {
		r.note("input splitting: no ReLU left to split")
		cfg.Pause = r.pause(true)
		return r.inputSplit(q, f, alive, cfg)
	}
	return out
}

// reducedBranches is the number of boxes that are bounded on reduced networks under binary32 semantics before the search begins
// anew on the whole one.
const reducedBranches = 20000

// inputSplit bisects the box. What is left of a network in a box adds the errors of binary32 up by their magnitudes, and keeps
// those of the box where it was reduced. That is a tenth of the price of bounds on the whole network, which weigh every error with
// its true effect in each box anew; where it does not do, they follow.
func (r *run) inputSplit(q *bab.Query, f *relax.Frame, alive []int32, cfg *bab.Config) *bab.Outcome {
	if r.opt.Semantics == Real {
		return r.search(phaseInputSplit, bab.InputSplit, q, f, alive, cfg)
	}
	first := *cfg
	first.Branches = reducedBranches
	out := r.search(phaseInputSplit, bab.InputSplit, q, f, alive, &first)
	if out.Status != bab.Open || r.ctx.Err() != nil {
		return out
	}
	r.note("input splitting on the whole network: errors are too large on what is left of it")
	cfg.Whole = true
	whole := r.search(phaseInputSplit, bab.InputSplit, q, f, alive, cfg)
	whole.Branches += out.Branches
	return whole
}

// search runs a branch and bound as a phase.
func (r *run) search(phase string, by func(context.Context, *bab.Query, *relax.Frame, []int32, *bab.Config) *bab.Outcome,
	q *bab.Query, f *relax.Frame, alive []int32, cfg *bab.Config) (out *bab.Outcome) {
	r.in(phase, func() { out = by(r.ctx, q, f, alive, cfg) })
	return out
}

// rootFrame bounds the whole box and lists the cases that remain; the frame is nil when bounds exclude each other.
func (r *run) rootFrame(q *bab.Query, free int, split bool) (*relax.Frame, []int32) {
	b := r.net.NewBounds()
	r.net.IBP(q.Box, b)
	f := r.net.NewFrame(q.Box, b, r.net.NewScale(b))
	if !r.rootBounds(f, free, split) {
		return nil, nil
	}
	f.SetScale(r.net.NewScale(f.B))
	r.res.Stats.Unstable = r.net.Unstable(f.B)
	return f, aliveRows(r.pool.W[0], q, f)
}

// varying counts the inputs that vary.
func varying(b relax.Box) int {
	free := 0
	for i := range b.Lo {
		if b.Varies(i) {
			free++
		}
	}
	return free
}

// rootBounds tightens the inner bounds once for the whole box; false means that bounds exclude each other.
func (r *run) rootBounds(f *relax.Frame, free int, split bool) bool {
	t := time.Now()
	defer func() {
		r.emit(trace.Event{Phase: "bounds", Text: "root bounds in " + time.Since(t).Round(time.Millisecond).String()})
	}()
	if free <= 64 {
		if !r.net.Forward(f) {
			return false
		}
	}
	if split && r.net.Unstable(f.B) > 3000 {
		return true // sub-boxes will be bounded afresh
	}
	return r.net.Crown(r.ctx, r.pool, f, relax.Tightening{Need: r.cone})
}

// innerSteps is the number of ascent steps per inner row at the root. Tangents need fewer than slopes: they start near their best,
// and bounds under a row (bab.ReluSplit) follow.
func (r *run) innerSteps() int {
	if r.net.Smooth() {
		return 5
	}
	return 12
}

// alphaRows is the number of open inner rows up to which they are ascended at the root.
const alphaRows = 3000

// alphaPays reports whether f has so few open inner rows that ascending them all is worth its price, whatever the deadline.
func (r *run) alphaPays(f *relax.Frame) bool { return r.net.Open(f.B) <= alphaRows }

// aliveRows bounds the rows with one backward pass each and lists the cases that remain.
func aliveRows(w *relax.Worker, q *bab.Query, f *relax.Frame) []int32 {
	var alive []int32
	for at := 0; at < len(q.Cases); at += 32 {
		part := q.Cases[at:min(len(q.Cases), at+32)]
		var rows []*spec.Row
		for i := range part {
			for j := range part[i].Rows {
				rows = append(rows, &part[i].Rows[j])
			}
		}
		lb := make([]float64, 0, len(rows))
		for lo := 0; lo < len(rows); lo += 64 {
			lane := rows[lo:min(len(rows), lo+64)]
			w.On(f.Net)
			w.Begin((len(lane) + 7) &^ 7)
			for k, row := range lane {
				bab.Seed(w, f, row, k)
			}
			w.Run(f, q.Net.P.Output)
			lb = append(lb, w.LB[:len(lane)]...)
		}
		k := 0
		for i := range part {
			dead := false
			for j := range part[i].Rows {
				dead = dead || bab.Refuted(&part[i].Rows[j], lb[k])
				k++
			}
			if !dead {
				alive = append(alive, int32(at+i))
			}
		}
	}
	return alive
}

// secondAttack is the longer look at what the root bounds left open.
func (r *run) secondAttack(beside bool) bool {
	r.attacked = true
	return r.attack(beside, func() attacks.Options {
		return attacks.Options{Seed: r.opt.Seed + 1, Work: r.evaluations(3000, attacks.DefaultWork), Time: r.attackTime()}
	})
}

// pause returns the function that interleaves attacks with branch and bound: the second one where it is still due, then after 4, 8,
// 16, … rounds, each with a fresh seed and twice the work of the one before. Boxes share the count. Bisection calls it beside the
// bounding of boxes.
func (r *run) pause(beside bool) func() *spec.Witness {
	if r.opt.NoAttack {
		return nil
	}
	return func() *spec.Witness {
		r.rounds++
		if !r.attacked && r.rounds >= 2 {
			if r.secondAttack(beside) {
				return r.res.Witness
			}
			return nil
		}
		if r.rounds < 4<<r.seed || r.attacker == nil {
			return nil
		}
		r.seed++
		if beside {
			return r.slice()
		}
		var w *spec.Witness
		r.in(phaseAttack, func() { w = r.slice() })
		return w
	}
}

// slice is an attack between rounds.
func (r *run) slice() *spec.Witness {
	o := attacks.Options{Seed: r.opt.Seed + 1 + r.seed, Work: r.evaluations(3000<<r.seed, 1e11), Time: r.attackTime()}
	if w := r.attacker.Search(r.ctx, o); w != nil && r.accept(w) {
		return w
	}
	return nil
}
