package bab

import (
	"context"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

const (
	narrowRounds = 40   // tightenings of one branch
	narrowSteps  = 10   // ascent steps per inner row
	narrowGain   = 0.03 // least part of the distance to 0 that a tightening has to win, else one more layer takes part
	narrowStop   = 0.01 // least part that it has to win with every layer
)

// narrow bounds a branch against inner bounds that hold only where its own row is satisfied: they tighten the row's relaxation, and
// that tightens them again. It begins with the last layer, where the row is nearest, and takes one more whenever the gain
// ceases. It reports whether the branch was refuted.
func (s *reluSearch) narrow(ctx context.Context, b *reluBranch) (*spec.Witness, bool) {
	w := s.cfg.Pool.W[0]
	pre := s.q.Net.Pre
	for depth, round := 1, 0; round < narrowRounds && len(pre) > 0; round++ {
		ref := &relax.Refutation{Row: s.row(b), From: b.at, Alpha: b.alpha, Bound: b.lb}
		var f *relax.Frame
		ok := false
		as(ctx, partTighten, func() {
			f, ok = b.at.Sub(ctx, s.cfg.Pool, relax.Tightening{Alpha: narrowSteps, First: pre[len(pre)-depth], Refute: ref})
		})
		if ctx.Err() != nil {
			return nil, false
		}
		if !ok {
			return nil, true // no input satisfies the row
		}
		before := b.lb
		b.alpha, b.at = b.at.MapAlpha(f, b.alpha), f
		res := s.ascend(ctx, w, []*reluBranch{b}, relax.Steps{N: 30, RateA: 0.15, RateB: 0.25, Decay: 0.95, StallRounds: 6})
		s.out.Branches++
		if res[0].wit != nil || res[0].closed {
			return res[0].wit, res[0].closed
		}
		switch gain := (b.lb - before) / -before; {
		case gain >= narrowGain:
		case depth < len(pre):
			depth++
		case gain < narrowStop:
			return nil, false
		}
	}
	return nil, false
}
