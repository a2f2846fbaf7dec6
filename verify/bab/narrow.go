package bab

import (
	"context"
	"fmt"
	"os"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

const (
	narrowRounds = 12   // tightenings of one branch
	narrowSteps  = 10   // ascent steps per inner row
	narrowGain   = 0.03 // least part of the distance to 0 that a tightening has to win
)

// narrow bounds a branch against inner bounds that hold only where its own row is satisfied: that tightens the inner bounds,
// those tighten the row's relaxation, as long as it pays. It reports whether the branch was refuted.
func (s *reluSearch) narrow(ctx context.Context, b *reluBranch) (*spec.Witness, bool) {
	w := s.cfg.Pool.W[0]
	for range narrowRounds {
		f, ok := b.at.f.Under(ctx, s.cfg.Pool, s.constraint(b), narrowSteps)
		if ctx.Err() != nil {
			return nil, false
		}
		if !ok {
			return nil, true // no input satisfies the row
		}
		before := b.lb
		b.alpha = b.at.f.MapAlpha(f, b.alpha)
		if os.Getenv("DBG") != "" {
			for _, k := range s.q.Net.Pre {
				a0, a1 := 0.0, 0.0
				for j := range f.B.L[k] {
					a0 += b.at.f.B.U[k][j] - b.at.f.B.L[k][j]
					a1 += f.B.U[k][j] - f.B.L[k][j]
				}
				fmt.Fprintf(os.Stderr, "layer %d %.3f %.3f  ", k, a0/200, a1/200)
			}
		}
		b.at = &subFrame{f: f, depth: b.at.depth}
		res := s.ascend(ctx, w, []*reluBranch{b}, [][]uint8{b.alpha}, relax.Steps{N: 30, RateA: 0.15, RateB: 0.25, Decay: 0.95, StallRounds: 6})
		s.out.Branches++
		if os.Getenv("DBG") != "" {
			fmt.Fprintln(os.Stderr, "lb", b.lb, "before", before)
		}
		if res[0].wit != nil || res[0].closed {
			return res[0].wit, res[0].closed
		}
		if b.lb-before < -narrowGain*before {
			return nil, false
		}
	}
	return nil, false
}

// constraint is the branch's row as what a counterexample satisfies.
func (s *reluSearch) constraint(b *reluBranch) *relax.Constraint {
	row, f := s.row(b), b.at.f
	out := f.Net.P.Output
	c := &relax.Constraint{C: -row.RHSUpper - SlackOf(row, f.B, out), Width: 5}
	for _, t := range row.X {
		c.Terms = append(c.Terms, relax.ConstraintTerm{Node: 0, Elem: t.Index, Value: t.Value})
	}
	for _, t := range row.Y {
		c.Terms = append(c.Terms, relax.ConstraintTerm{Node: out, Elem: t.Index, Value: t.Value})
	}
	return c
}
