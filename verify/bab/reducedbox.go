package bab

import (
	"context"
	"math"

	"github.com/spai-project/certify/relax"
)

// inherited is what the parts of a box know from it: the network left there, the bounds of its neurons, and which row each
// objective is.
type inherited struct {
	r    *relax.Reduced
	L, U []float64
	refs []rowRef
}

func (in *inherited) bytes() int64 {
	if in == nil {
		return 0
	}
	return int64(16 * len(in.L))
}

// reduceRoot reduces the network on the root box, nil when it does not reduce.
func (s *inputSearch) reduceRoot(alive []int32) *inherited {
	in := &inherited{refs: s.q.rows(alive)}
	out := s.q.Net.P.Output
	objs := make([]relax.Objective, len(in.refs))
	for i, ref := range in.refs {
		row, o := &s.q.Cases[ref.c].Rows[ref.r], &objs[i]
		for _, c := range row.X {
			o.Terms = append(o.Terms, relax.ObjectiveTerm{Node: 0, Elem: c.Index, Coef: c.Value})
		}
		for _, c := range row.Y {
			o.Terms = append(o.Terms, relax.ObjectiveTerm{Node: out, Elem: c.Index, Coef: c.Value})
		}
		o.Const, o.Slack = -row.RHSUpper, relax.SlackOf(row, s.root.B, out)
	}
	if in.r, in.L, in.U = s.root.Reduce(s.dims, objs); in.r == nil {
		return nil
	}
	return in
}

// reducedBounder bounds boxes on the network left at an ancestor.
type reducedBounder struct {
	s      *inputSearch
	ctx    context.Context // of the present bound
	cell   relax.Cell
	objs   []int32
	out    []relax.Plane
	planes []plane
	y      []float64
}

func newReducedBounder(s *inputSearch) *reducedBounder {
	b := &reducedBounder{s: s}
	b.cell.Stop = func() bool { return b.ctx.Err() != nil }
	return b
}

func (b *reducedBounder) bound(ctx context.Context, box *boxBranch) ([]plane, bool) {
	in := box.in
	b.ctx = ctx
	b.cell.Enter(in.r, box.lo, box.hi, in.L, in.U)
	if !b.cell.Neurons() {
		return nil, false
	}
	b.list(in, box.alive)
	b.cell.Objectives(b.objs, b.out[:len(b.objs)])
	for i := range b.planes {
		b.planes[i].lb = b.out[i].LB
	}
	return b.planes, true
}

// list sets objs to the objectives of the alive cases and planes to as many.
func (b *reducedBounder) list(in *inherited, alive []int32) {
	b.objs, b.planes = in.objectives(b.objs[:0], alive), b.planes[:0]
	for n, i := range b.objs {
		if n == len(b.out) {
			b.out = append(b.out, relax.Plane{A: make([]float64, len(b.s.dims))})
			b.y = append(b.y, 0)
		}
		b.planes = append(b.planes, plane{row: in.refs[i], a: b.out[n].A})
	}
}

// objectives appends the indices of the rows of the alive cases.
func (in *inherited) objectives(dst, alive []int32) []int32 {
	a := 0
	for i, ref := range in.refs {
		for a < len(alive) && alive[a] < ref.c {
			a++
		}
		if a < len(alive) && alive[a] == ref.c {
			dst = append(dst, int32(i))
		}
	}
	return dst
}

// promising evaluates what is left of the network.
func (b *reducedBounder) promising(box *boxBranch, x []float64) bool {
	b.cell.Eval(x, b.objs, b.y)
	for i := 0; i < len(b.planes); {
		c, worst := b.planes[i].row.c, math.Inf(-1)
		for ; i < len(b.planes) && b.planes[i].row.c == c; i++ {
			worst = max(worst, b.y[i])
		}
		if worst <= 0 {
			return true
		}
	}
	return false
}

// reduceBelow is the share of open ReLUs at which the network is reduced again.
const reduceBelow = 0.65

func (b *reducedBounder) inherit(box *boxBranch, alive []int32, lo, hi []float64) *inherited {
	in := box.in
	L, U := b.cell.Bounds()
	next := &inherited{r: in.r, refs: in.refs}
	if float64(b.cell.Open()) <= reduceBelow*float64(in.r.Relus())-2 {
		objs := in.objectives(nil, alive)
		if r, from := b.cell.Reduce(lo, hi, objs); r != nil {
			next.r, next.refs = r, make([]rowRef, len(objs))
			for i, o := range objs {
				next.refs[i] = in.refs[o]
			}
			next.L, next.U = make([]float64, len(from)), make([]float64, len(from))
			for i, q := range from {
				next.L[i], next.U[i] = L[q], U[q]
			}
			return next
		}
	}
	next.L, next.U = append([]float64(nil), L...), append([]float64(nil), U...)
	return next
}
