package bab

import (
	"context"
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// InputSplit refutes the query by bisecting the box along the inputs that vary: each sub-box is bounded afresh, shrunk by
// the planes its bounds give ("clipping": a counterexample satisfies every row, so A·x + c ≤ 0), and cut across the input
// with the largest |A_i|·width, the least |A_i| lifted to a fraction of the largest (cutAt).
//
// Sub-boxes are bounded on what is left of the network there (reducedbox.go) or, when the network does not reduce, on all of it
// (framebox.go). Work is dealt in rounds of tasks: a task searches the sub-trees of a few boxes depth first up to a fixed number
// of boxes and hands back what it left open, in order. Tasks do not see each other, so that the outcome is the same for any
// number of workers.
func InputSplit(ctx context.Context, q *Query, f0 *relax.Frame, alive []int32, cfg *Config) *Outcome {
	s := &inputSearch{q: q, root: f0, cfg: cfg, out: &Outcome{Bound: math.Inf(-1)}}
	for i := range q.Box.Lo {
		if q.Free > 0 && i >= q.Free {
			break
		}
		if q.Box.Varies(i) {
			s.dims = append(s.dims, i)
		}
	}
	for _, c := range alive {
		if len(q.Cases[c].Rows) == 0 {
			return s.stop("incomplete") // every input of the box satisfies the case: nothing to refute
		}
	}
	root := &boxBranch{alive: alive, volume: 1, bound: math.Inf(-1)}
	for _, i := range s.dims {
		root.lo, root.hi = append(root.lo, q.Box.Lo[i]), append(root.hi, q.Box.Hi[i])
	}
	if !cfg.Whole {
		root.in = s.reduceRoot(alive)
	}
	s.reduced = root.in != nil
	s.open = []*boxBranch{root}
	for _, w := range cfg.Pool.W {
		b := &boxScratch{s: s, w: w}
		if s.reduced {
			b.bounder = newReducedBounder(s)
		} else {
			b.bounder = newFrameBounder(s, w)
		}
		s.scratch = append(s.scratch, b)
	}
	return s.run(ctx)
}

type inputSearch struct {
	q       *Query
	root    *relax.Frame
	cfg     *Config
	dims    []int
	reduced bool
	scratch []*boxScratch // per worker
	open    []*boxBranch  // taken from the end
	out     *Outcome
	late    []*boxBranch // boxes whose bounds touch 0: searched when nothing else is open
	aside   []*boxBranch // single floats that no bound decides
	proved  float64
	since   int // boxes since the last pause
}

const (
	roundTasks = 32 // tasks of a round
	taskBoxes  = 64 // boxes a task bounds before it hands back the rest, when boxes are cheap
	pauseBoxes = 64 // cheap boxes between two pauses at least, and at most longPause
	longPause  = 1024
	maxAside   = 256 // undecidable points after which the search gives up
)

func (s *inputSearch) run(ctx context.Context) *Outcome {
	pr := &progress{emit: s.cfg.Trace}
	for len(s.open) > 0 || len(s.late) > 0 {
		if len(s.open) == 0 {
			s.open, s.late = s.late, nil
		}
		if ctx.Err() != nil {
			return s.stop("interrupted")
		}
		if s.cfg.Branches > 0 && s.out.Branches >= s.cfg.Branches {
			return s.stop("budget")
		}
		if w, stuck := s.round(ctx, s.pause()); w != nil {
			s.out.Status, s.out.Witness = Found, w
			return s.out
		} else if stuck != "" {
			return s.stop(stuck)
		}
		mem := s.memory()
		s.out.Peak = max(s.out.Peak, mem)
		if s.cfg.Memory > 0 && mem > s.cfg.Memory {
			return s.stop("memory")
		}
		pr.tick(trace.Event{Phase: "bab", Bound: s.least(), Open: len(s.open), Closed: s.out.Branches - len(s.open),
			Volume: fraction(s.proved, 1), Memory: mem})
	}
	if len(s.aside) > 0 {
		return s.stop("numerics")
	}
	s.out.Status = Closed
	return s.out
}

// memory estimates what the open boxes hold; neighbours share their network.
func (s *inputSearch) memory() int64 {
	mem := int64(0)
	var last *relax.Reduced
	for _, list := range [][]*boxBranch{s.open, s.late, s.aside} {
		for _, b := range list {
			if mem += b.bytes(); b.in != nil && b.in.r != last {
				last = b.in.r
				mem += last.Bytes()
			}
		}
	}
	return mem
}

// pause returns what the caller wants done beside the next round, if it is time for it: when boxes are cheap, once the search grew by
// an eighth, so that what the caller does, growing from call to call, stays in proportion.
func (s *inputSearch) pause() func() *spec.Witness {
	if s.cfg.Pause == nil || s.reduced && s.since < min(max(pauseBoxes, s.out.Branches/8), longPause) {
		return nil
	}
	s.since = 0
	return s.cfg.Pause
}

func (s *inputSearch) stop(why string) *Outcome {
	s.open = append(append(s.open, s.late...), s.aside...)
	s.out.Reason, s.out.Open, s.out.Bound, s.out.Volume = why, len(s.open), s.least(), fraction(s.proved, 1)
	return s.out
}

func (s *inputSearch) least() float64 {
	b := math.Inf(1)
	for _, o := range s.open {
		b = min(b, o.bound)
	}
	return b
}

// boxTask is the work of one worker in a round: from in, left is made.
type boxTask struct {
	in, left []*boxBranch
	aside    []*boxBranch
	late     []*boxBranch
	budget   int
	boxes    int
	proved   float64
	wit      *spec.Witness
	broken   bool
}

// tasks takes the boxes of a round: most from the end of the open list, where they are small, a quarter from its front, so that no
// part of the root box waits for ever while a search goes deep where a bound touches 0 and no split helps.
func (s *inputSearch) tasks() []*boxTask {
	n := min(len(s.open), roundTasks)
	budget := 1
	if s.reduced {
		budget = taskBoxes
		if n < roundTasks/2 {
			budget = 1 + n/2 // few boxes: hand them back soon, so that every worker has some
		}
	}
	old := 0
	if s.reduced && n < len(s.open) {
		old = n / 4
	}
	at := len(s.open) - (n - old)
	ts := make([]*boxTask, 0, n)
	for _, b := range append(s.open[:old:old], s.open[at:]...) {
		ts = append(ts, &boxTask{in: []*boxBranch{b}, budget: budget})
	}
	s.open = append([]*boxBranch(nil), s.open[old:at]...)
	return ts
}

// round runs the next tasks and puts what they left open back, in order. stuck says why the search cannot go on. beside, if not nil,
// is one task more, the first: its witness goes before those of boxes and ends the round, whose boxes then do not count, so that the
// outcome does not depend on how far they came.
func (s *inputSearch) round(ctx context.Context, beside func() *spec.Witness) (w *spec.Witness, stuck string) {
	ts := s.tasks()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	first := 0
	if beside != nil {
		first = 1
	}
	s.cfg.Pool.Each(first+len(ts), func(worker *relax.Worker, i int) {
		if i < first {
			if w = beside(); w != nil {
				cancel()
			}
			return
		}
		for _, b := range s.scratch {
			if b.w == worker {
				b.search(inner, ts[i-first])
			}
		}
	})
	if w != nil {
		return w, ""
	}
	for _, t := range ts {
		s.open = append(s.open, t.left...)
		s.late = append(s.late, t.late...)
		s.out.Branches += t.boxes
		s.since += t.boxes
		s.proved += t.proved
		if w == nil {
			w = t.wit
		}
		if s.aside = append(s.aside, t.aside...); len(s.aside) > maxAside && stuck == "" {
			stuck = "numerics"
		}
		if t.broken {
			stuck = Contradictory
		}
	}
	return w, stuck
}
