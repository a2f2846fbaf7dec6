package verify

import (
	"sync"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

// group is a box with the cases on it that interval bounds did not refute.
type group struct {
	query *bab.Query
	box   int
	cases []int // indices into Problem.Cases, parallel to query.Cases
}

// screen bounds every box by intervals and keeps what that does not refute. Queries with thousands of tiny boxes (one per
// row of a table) mostly end here.
func (r *run) screen() []*group {
	groups := byBox(r.bound, allInts(len(r.bound.Cases)))
	out := make([]*group, len(groups))
	bounds := sync.Pool{New: func() any { return r.net.NewBounds() }}
	refuted := 0
	var mu sync.Mutex
	const span = 64 // boxes per task: tiny nets make tiny tasks
	r.pool.Each((len(groups)+span-1)/span, func(w *relax.Worker, t int) {
		b := bounds.Get().(*relax.Bounds)
		defer bounds.Put(b)
		for i := t * span; i < min(len(groups), (t+1)*span); i++ {
			if r.ctx.Err() != nil {
				out[i] = r.group(groups[i])
				continue
			}
			box := &r.bound.Boxes[r.bound.Cases[groups[i][0]].Box]
			r.net.IBP(relax.Box{Lo: box.Lower, Hi: box.Upper}, b)
			var left []int
			for _, c := range groups[i] {
				if !r.intervalRefutes(&r.bound.Cases[c], b) {
					left = append(left, c)
				}
			}
			if len(left) > 0 {
				out[i] = r.group(left)
			}
			mu.Lock()
			refuted += len(groups[i]) - len(left)
			mu.Unlock()
		}
	})
	var rest []*group
	open := 0
	for _, g := range out {
		if g != nil {
			rest = append(rest, g)
			open += len(g.cases)
		}
	}
	r.note("intervals: %d of %d cases refuted, %d boxes left", refuted, len(r.bound.Cases), len(rest))
	return rest
}

func (r *run) group(cases []int) *group {
	id := r.bound.Cases[cases[0]].Box
	box := &r.bound.Boxes[id]
	q := &bab.Query{Net: r.net, Box: relax.Box{Lo: box.Lower, Hi: box.Upper}}
	for _, c := range cases {
		q.Cases = append(q.Cases, r.bound.Cases[c])
	}
	return &group{query: q, box: id, cases: cases}
}

// intervalRefutes reports whether the bounds exclude some row of the case.
//
// Soundness: each product's least value is taken over both ends; the sum's rounding is charged with n+4 units of the sum of
// magnitudes, the decimals' own error with SlackOf.
func (r *run) intervalRefutes(c *spec.Case, b *relax.Bounds) bool {
	out := r.prog.Output
	for i := range c.Rows {
		row := &c.Rows[i]
		lb, mag := -row.RHSUpper, abs(row.RHSUpper)
		add := func(v, l, u float64) {
			lb += min(v*l, v*u)
			mag += max(abs(v*l), abs(v*u))
		}
		for _, t := range row.X {
			add(t.Value, b.L[0][t.Index], b.U[0][t.Index])
		}
		for _, t := range row.Y {
			add(t.Value, b.L[out][t.Index], b.U[out][t.Index])
		}
		n := float64(len(row.X) + len(row.Y) + 4)
		if bab.Refuted(row, lb-mag*n*0x1p-52-relax.SlackOf(row, b, out)-1e-300) {
			return true
		}
	}
	return false
}

func abs(x float64) float64 { return max(x, -x) }
