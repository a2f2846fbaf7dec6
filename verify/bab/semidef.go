package bab

import (
	"context"
	"math"
	"slices"
	"sort"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// liftSweeps is the number of sweeps that a branch may take; most end long before.
const liftSweeps = 60

// A LiftSearch refutes cases on a network with one hidden layer by semidefinite bounds (relax.Lift): on the whole box at first
// (Root), then by deciding the neurons whose indicators are furthest from a sign (Run).
type LiftSearch struct {
	q             *Query
	f             *relax.Frame
	l             *relax.Lift
	cfg           *Config
	refs          []rowRef         // the rows to refute
	rows          []*relax.LiftRow // the same, passed back to the hidden layer
	open          []*liftBranch
	out           *Outcome
	proved, total float64
}

// liftBranch is an open sub-problem.
type liftBranch struct {
	c, row int32 // the case, and the row among those of the search
	depth  int
	s      *relax.LiftState
	lb     float64 // a rigorous bound
	next   int32   // open neuron to decide, −1 when none is left
}

// NewLiftSearch prepares a search on f, a frame of the query's network. It returns nil where there are no such bounds, where rows
// alone would take more than the memory, and where a case has no rows: all inputs satisfy it, and there is nothing to refute.
func NewLiftSearch(q *Query, f *relax.Frame, alive []int32, cfg *Config) *LiftSearch {
	if !q.Net.Liftable() || slices.ContainsFunc(alive, func(c int32) bool { return len(q.Cases[c].Rows) == 0 }) {
		return nil
	}
	l, refs := relax.NewLift(f), q.rows(alive)
	if l == nil || cfg.Memory > 0 && int64(len(refs)) > cfg.Memory/l.RowBytes() {
		return nil
	}
	return &LiftSearch{q: q, f: f, l: l, cfg: cfg, refs: refs, out: &Outcome{Bound: math.Inf(-1)}}
}

// Root bounds the rows of the cases on the whole box. The outcome's Left lists the cases that are still open.
func (s *LiftSearch) Root(ctx context.Context) *Outcome {
	refs := s.refs
	s.rows = make([]*relax.LiftRow, len(refs))
	branches := make([]*liftBranch, len(refs))
	wit := newFound(len(refs))
	s.cfg.Pool.Each(len(refs), func(w *relax.Worker, i int) {
		s.rows[i] = s.l.Row(w, s.spec(int32(i)))
		b := &liftBranch{c: refs[i].c, row: int32(i), s: s.l.Start()}
		if closed := s.bound(ctx, w, b, &wit.wit[i]); !closed {
			if b.lb = math.Inf(-1); ctx.Err() == nil {
				b.lb = w.LiftBound(s.l, s.rows[i], b.s)
			}
			branches[i] = b
		}
	})
	s.out.Branches = len(refs)
	if s.out.Witness = wit.first(); s.out.Witness != nil {
		s.out.Status = Found
		return s.out
	}
	for i := 0; i < len(refs); {
		var best *liftBranch
		dead := false
		for c := refs[i].c; i < len(refs) && refs[i].c == c; i++ {
			b := branches[i]
			dead = dead || b == nil
			if !dead && (best == nil || b.s.Value > best.s.Value) {
				best = b
			}
		}
		if !dead {
			s.open = append(s.open, best)
		}
	}
	sort.SliceStable(s.open, func(i, j int) bool { return s.open[i].s.Value < s.open[j].s.Value })
	s.total = float64(len(s.open))
	if len(s.open) == 0 {
		s.out.Status = Closed
		return s.out
	}
	return s.Stop("incomplete")
}

// promising is the share of the distance to 0 that linear bounds leave and semidefinite ones may leave of it at most.
const promising = 0.5

// Promising reports whether the estimates of all cases that are left are much better than linear bounds: where they are not,
// other searches do more branches in the same time, and bounds of their inner neurons shrink with the branch.
func (s *LiftSearch) Promising(ctx context.Context) bool {
	good := make([]bool, len(s.open))
	s.cfg.Pool.Each(len(s.open), func(w *relax.Worker, i int) {
		b := s.open[i]
		a := relax.NewAscent(w, s.f, 8)
		a.Run(s.f, s.q.Net.P.Output, 8, nil, func(w *relax.Worker) { Seed(w, s.f, s.spec(b.row), 0) },
			relax.Steps{N: 20, RateA: 0.25, Decay: 0.95, Done: func([]float64) bool { return ctx.Err() != nil }})
		good[i] = b.s.Value > promising*a.Best[0]
	})
	return !slices.Contains(good, false)
}

// least is the smallest estimate of a bound over the open branches.
func (s *LiftSearch) least() float64 {
	v := math.Inf(1)
	for _, b := range s.open {
		v = min(v, b.s.Value)
	}
	return v
}

// spec is the row of the query behind a row of the search.
func (s *LiftSearch) spec(row int32) *spec.Row { return &s.q.Cases[s.refs[row].c].Rows[s.refs[row].r] }

// bound ascends a branch and reports whether it is refuted; else it tries the input that the vectors point to and chooses what
// to decide next.
func (s *LiftSearch) bound(ctx context.Context, w *relax.Worker, b *liftBranch, wit **spec.Witness) (closed bool) {
	o := s.rows[b.row]
	as(ctx, partLift, func() { closed = w.AscendLift(s.l, o, b.s, liftSweeps) > 0 })
	if closed || ctx.Err() != nil || math.IsInf(b.s.Value, -1) { // without a sweep there is nothing to look at
		return closed
	}
	if s.cfg.Try != nil {
		x := make([]float64, len(s.q.Box.Lo))
		w.LiftCorner(s.l, x)
		as(ctx, partTry, func() { *wit = s.cfg.Try(x) })
	}
	b.next = w.Widest(o, b.s)
	return false
}

// Run decides neurons until every case that Root left open is refuted. The outcome is Open ("incomplete") when a branch has no
// neuron left to decide.
func (s *LiftSearch) Run(ctx context.Context) *Outcome {
	pr := &progress{emit: s.cfg.Trace}
	work := s.cfg.Pool.Work() + s.cfg.Work
	for len(s.open) > 0 {
		if ctx.Err() != nil {
			return s.Stop("interrupted")
		}
		if s.cfg.Work > 0 && s.cfg.Pool.Work() >= work {
			return s.Stop(OutOfWork)
		}
		if s.cfg.Pause != nil {
			if s.out.Witness = s.cfg.Pause(); s.out.Witness != nil {
				s.out.Status = Found
				return s.out
			}
		}
		if done := s.round(ctx); done != nil {
			return done
		}
		mem := int64(0)
		if len(s.open) > 0 {
			mem = int64(len(s.open)) * s.open[0].s.Bytes()
		}
		s.out.Peak = max(s.out.Peak, mem)
		if s.cfg.Memory > 0 && mem > s.cfg.Memory {
			return s.Stop("memory")
		}
		pr.tick(trace.Event{Phase: "bab", Bound: s.least(), Open: len(s.open), Closed: s.out.Branches - len(s.open),
			Volume: fraction(s.proved, s.total), Memory: mem})
	}
	s.out.Status, s.out.Reason, s.out.Left = Closed, "", nil
	return s.out
}

// round splits the last open branches and puts what they leave open in their place, in order. It returns an outcome when the
// search ends.
func (s *LiftSearch) round(ctx context.Context) *Outcome {
	n := min(len(s.open), roundBranches)
	batch := append([]*liftBranch(nil), s.open[len(s.open)-n:]...)
	for _, b := range batch {
		if b.next < 0 {
			return s.Stop("incomplete")
		}
	}
	kids := make([]*liftBranch, 2*n)
	closed := make([]bool, 2*n)
	wit := newFound(2 * n)
	s.cfg.Pool.Each(2*n, func(w *relax.Worker, i int) {
		b := batch[i/2]
		kids[i] = &liftBranch{c: b.c, row: b.row, depth: b.depth + 1, lb: b.lb, s: b.s.Decide(b.next, int8(1-2*(i%2)))}
		closed[i] = s.bound(ctx, w, kids[i], &wit.wit[i])
	})
	if s.out.Witness = wit.first(); s.out.Witness != nil {
		s.out.Status = Found
		return s.out
	}
	if ctx.Err() != nil { // a bound was cut short
		return s.Stop("interrupted")
	}
	s.open = s.open[:len(s.open)-n]
	s.out.Branches += 2 * n
	for i, b := range batch {
		s.proved += b.weight()
		left := make([]*liftBranch, 0, 2)
		for k := 2 * i; k < 2*i+2; k++ {
			if !closed[k] {
				left = append(left, kids[k])
				s.proved -= kids[k].weight()
			}
		}
		if len(left) == 2 && left[0].s.Value < left[1].s.Value { // the weaker one last: a counterexample would be there
			left[0], left[1] = left[1], left[0]
		}
		s.open = append(s.open, left...)
	}
	return nil
}

func (b *liftBranch) weight() float64 { return math.Pow(0.5, float64(b.depth)) }

// Stop is the outcome of a search that ends here.
func (s *LiftSearch) Stop(why string) *Outcome {
	s.out.Reason, s.out.Open, s.out.Volume = why, len(s.open), fraction(s.proved, s.total)
	s.out.Left, s.out.Bound = nil, math.Inf(1)
	for _, b := range s.open {
		s.out.Bound = min(s.out.Bound, b.lb)
		s.out.Left = append(s.out.Left, b.c)
	}
	slices.Sort(s.out.Left)
	s.out.Left = slices.Compact(s.out.Left)
	return s.out
}
