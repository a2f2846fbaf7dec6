package bab

import (
	"context"
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

const (
	tightSteps = 6    // ascent steps per inner row of a branch's frame
	childRate  = 0.08 // first step of the slopes in branches, which inherit good ones
)

// expansion is what expanding a branch led to.
type expansion struct {
	kids    []*reluBranch
	wit     *spec.Witness
	why     string // the branch cannot be treated further
	undone  bool   // stopped by the context
	bounded int
}

// expand gives a branch inner bounds of its own, bounds it against them, and, if it stays open, splits it into children that
// are bounded against the same ones.
func (s *reluSearch) expand(ctx context.Context, w *relax.Worker, pool *relax.Pool, b *reluBranch) (e expansion) {
	e.bounded = 1
	k, closed := b, false
	if s.cfg.Trees == nil {
		if k, closed = s.reframe(ctx, w, pool, b); closed {
			return e
		}
	}
	steps := relax.Steps{N: s.steps, RateA: childRate, RateB: 0.5, Decay: 0.95}
	res := s.ascend(ctx, w, []*reluBranch{k}, steps)
	if ctx.Err() != nil {
		e.undone = true
		return e
	}
	if e.wit = res[0].wit; e.wit != nil || res[0].closed {
		return e
	}
	as(ctx, partBranch, func() { closed = s.choose(w, k, res[0].cands) })
	if closed || ctx.Err() != nil {
		e.undone = !closed
		return e
	}
	if k.next.Sign == 0 {
		as(ctx, partLeaf, func() { e.wit, closed = s.leaf(ctx, w, k) })
		if e.wit == nil && !closed {
			e.kids, e.why, e.undone = []*reluBranch{k}, "incomplete", ctx.Err() != nil
		}
		return e
	}
	kids := []*reluBranch{k.child(1), k.child(-1)}
	kids[1].tree, kids[0].tree = k.tree.split(k.at.Net.Original(k.next))
	res = s.ascend(ctx, w, kids, steps)
	e.bounded += 2
	if ctx.Err() != nil {
		e.undone = true
		return e
	}
	for i, c := range kids {
		if e.wit = res[i].wit; e.wit != nil {
			return e
		}
		if !res[i].closed {
			e.kids = append(e.kids, c)
		}
	}
	// the weaker bound comes last and is taken first: that is where a counterexample would be
	if len(e.kids) == 2 && e.kids[0].lb < e.kids[1].lb {
		e.kids[0], e.kids[1] = e.kids[1], e.kids[0]
	}
	return e
}

// child is the branch with the chosen ReLU decided.
func (b *reluBranch) child(sign int8) *reluBranch {
	k := &reluBranch{c: b.c, row: b.row, lb: b.lb, at: b.at, alpha: b.alpha, idle: b.idle}
	sp := b.at.Net.Original(b.next)
	sp.Sign = sign
	k.splits = append(append(k.splits, b.splits...), sp)
	k.beta = append(append(k.beta, b.beta...), 0)
	return k
}

// reframe returns the branch with a frame of its own, or reports that no input of it violates the row.
//
// Soundness: a branch has to be refuted only where its splits hold and its row is violated, so bounds that hold there suffice.
func (s *reluSearch) reframe(ctx context.Context, w *relax.Worker, pool *relax.Pool, b *reluBranch) (*reluBranch, bool) {
	ref := &relax.Refutation{Row: s.row(b), From: b.at, Alpha: b.alpha, Beta: b.beta, Bound: b.lb, Only: b.rows}
	var f *relax.Frame
	ok := false
	as(ctx, partTighten, func() {
		f, ok = b.at.Sub(ctx, pool, relax.Tightening{Alpha: tightSteps, Splits: local(b.at, b.splits), Refute: ref})
	})
	if !ok {
		return nil, true
	}
	k := *b
	k.idle = b.idleAfter(f)
	f = f.DropInactive(b.splits)
	k.at, k.alpha = f, b.at.MapAlpha(f, b.alpha)
	k.beta = append([]float32(nil), b.beta...)
	return &k, false
}

type laneResult struct {
	closed bool
	wit    *spec.Witness
	cands  []relax.Open
}

// ascend bounds branches that share a frame, one lane each, from their slopes (default ones where alpha is nil) and
// multipliers; it updates lb, alpha, beta and rows of every branch that stays open.
func (s *reluSearch) ascend(ctx context.Context, w *relax.Worker, bs []*reluBranch, o relax.Steps) []laneResult {
	R := (len(bs) + 7) &^ 7
	f := bs[0].at
	a := relax.NewAscent(w, f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	for i, b := range bs {
		splits[i], beta[i] = local(f, b.splits), widen(b.beta)
		if b.alpha != nil {
			a.UnpackAlpha(b.alpha, i, R)
		}
	}
	a.SetSplits(splits, beta)
	seed := func(w *relax.Worker) {
		for i, b := range bs {
			s.seed(w, b, i)
		}
	}
	o.Final = true
	o.Done = func(best []float64) bool {
		if ctx.Err() != nil {
			return true
		}
		for i, b := range bs {
			if !Refuted(s.row(b), best[i]) {
				return false
			}
		}
		return true
	}
	as(ctx, partAscend, func() { a.Run(f, s.q.Net.P.Output, R, splits, seed, o) })
	res := make([]laneResult, len(bs))
	if ctx.Err() != nil {
		return res
	}
	x := make([]float64, len(s.q.Box.Lo))
	var passed []*reluBranch // refuted by an earlier iteration than the last
	for i, b := range bs {
		b.lb = max(b.lb, a.Best[i])
		if Refuted(s.row(b), b.lb) {
			if res[i].closed = true; b.tree != nil && Refuted(s.row(b), w.LB[i]) {
				b.tree.closed(w, f, i)
			} else if b.tree != nil {
				passed = append(passed, b)
			}
			continue
		}
		b.beta = narrowed(beta[i])
		b.alpha = a.PackAlpha(nil, i, R)
		if s.cfg.Try != nil {
			w.Corner(i, x)
			as(ctx, partTry, func() { res[i].wit = s.cfg.Try(x) })
		}
		var all []relax.Open
		w.EachOpen(f, i, func(o relax.Open) { all = append(all, o) })
		s.cfg.Influence.SetTotals(f, all)
		b.rows = s.important(b, all)
		res[i].cands = shortlist(all, s.cands)
	}
	for _, b := range passed { // alone, it stops where it is refuted
		s.ascend(ctx, w, []*reluBranch{{c: b.c, row: b.row, splits: b.splits, beta: b.beta, alpha: b.alpha, lb: math.Inf(-1), at: b.at, tree: b.tree}}, o)
	}
	return res
}

// local numbers splits as the frame's network does.
func local(f *relax.Frame, splits []relax.Split) []relax.Split {
	out := make([]relax.Split, len(splits))
	for i, s := range splits {
		out[i] = f.Net.Local(s)
	}
	return out
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
