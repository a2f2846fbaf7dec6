package verify

import (
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

// group is a box with the cases on it that interval bounds did not refute.
type group struct {
	query *bab.Query
	box   int
}

// screen bounds every box by intervals, gives what is left of a query with several boxes to quick, and returns what is left then.
// Queries with thousands of tiny boxes (one per row of a table) mostly end here. A witness is that of the first box with one, so
// that it does not depend on the number of workers: boxes before it are always finished.
func (r *run) screen() (rest []*group, w *spec.Witness) {
	groups := byBox(r.bound)
	s := &screening{run: r, groups: groups, out: make([]*group, len(groups)), done: make([]*bab.Outcome, len(groups))}
	s.bounds.New = func() any { return r.net.NewBounds() }
	s.found.Store(int64(len(groups)))
	span := 64 // boxes per task: tiny nets make tiny tasks
	if s.quick = len(groups) > 1 && (r.opt.Method == "" || r.opt.Method == "input-split"); s.quick {
		span = 4
	}
	r.pool.Each((len(groups)+span-1)/span, func(w *relax.Worker, t int) {
		for i := t * span; i < min(len(groups), (t+1)*span); i++ {
			s.box(w, i)
		}
	})
	for i, g := range s.out {
		if o := s.done[i]; o != nil {
			r.res.Stats.Branches += o.Branches
			if o.Status == bab.Found {
				return nil, o.Witness
			}
		}
		if g != nil {
			rest = append(rest, g)
		}
	}
	r.boxes, r.proved = len(groups), float64(len(groups)-len(rest))
	r.note("intervals: %d of %d cases refuted", s.refuted.Load(), len(r.bound.Cases))
	if s.quick {
		r.note("first pass: %d of %d boxes left", len(rest), len(groups))
	}
	return rest, nil
}

// screening is the state of one screen.
type screening struct {
	*run
	quick          bool
	groups         [][]int
	out            []*group       // per box: what is left
	done           []*bab.Outcome // per box: of the first pass
	bounds         sync.Pool
	refuted, found atomic.Int64 // found: the least index of a box with a witness
}

// box screens box i.
func (s *screening) box(w *relax.Worker, i int) {
	r := s.run
	if r.ctx.Err() != nil || int64(i) > s.found.Load() {
		s.out[i] = r.group(s.groups[i])
		return
	}
	b := s.bounds.Get().(*relax.Bounds)
	defer s.bounds.Put(b)
	box := &r.bound.Boxes[r.bound.Cases[s.groups[i][0]].Box]
	r.net.IBP(relax.Box{Lo: box.Lower, Hi: box.Upper}, b)
	var left []int
	for _, c := range s.groups[i] {
		if !r.intervalRefutes(&r.bound.Cases[c], b) {
			left = append(left, c)
		}
	}
	s.refuted.Add(int64(len(s.groups[i]) - len(left)))
	if len(left) == 0 {
		return
	}
	s.out[i] = r.group(left)
	if !s.quick {
		return
	}
	o := r.quick(w, s.out[i], b)
	switch s.done[i] = o; o.Status {
	case bab.Closed:
		s.out[i] = nil
	case bab.Found:
		for at := s.found.Load(); int64(i) < at && !s.found.CompareAndSwap(at, int64(i)); at = s.found.Load() {
		}
	}
}

func (r *run) group(cases []int) *group {
	id := r.bound.Cases[cases[0]].Box
	box := &r.bound.Boxes[id]
	q := &bab.Query{Net: r.net, Box: relax.Box{Lo: box.Lower, Hi: box.Upper}}
	for _, c := range cases {
		q.Cases = append(q.Cases, r.bound.Cases[c])
	}
	return &group{query: q, box: id}
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
