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
// with the largest |A_i|·width, |A_i| not below 0.3 of the largest.
//
// Sub-boxes are bounded on what is left of the network there (reducedbox.go) or, when the network does not reduce, on all of it
// (framebox.go). Work is dealt in rounds of tasks: a task searches the sub-trees of a few boxes depth first up to a fixed number
// of boxes and hands back what it left open, in order. Tasks do not see each other, so that the outcome is the same for any
// number of workers.
func InputSplit(ctx context.Context, q *Query, f0 *relax.Frame, alive []int32, cfg *Config) *Outcome {
	s := &inputSearch{q: q, root: f0, cfg: cfg, out: &Outcome{Bound: math.Inf(-1)}}
	for i := range q.Box.Lo {
		if q.Box.Hi[i]-q.Box.Lo[i] > 1e-6*max(math.Abs(q.Box.Lo[i]), math.Abs(q.Box.Hi[i])) {
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
	root.in = s.reduceRoot(alive)
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
	aside   []*boxBranch // single floats that no bound decides
	proved  float64
	since   int // boxes since the last pause
}

const (
	roundTasks = 32 // tasks of a round
	taskBoxes  = 64 // boxes a task bounds before it hands back the rest, when boxes are cheap
	pauseBoxes = 64 // cheap boxes between two pauses at least
	maxAside   = 64 // undecidable points after which the search gives up
)

func (s *inputSearch) run(ctx context.Context) *Outcome {
	pr := &progress{emit: s.cfg.Trace}
	for len(s.open) > 0 {
		if ctx.Err() != nil {
			return s.stop("interrupted")
		}
		if w := s.pause(); w != nil {
			s.out.Status, s.out.Witness = Found, w
			return s.out
		}
		if w, stuck := s.round(ctx); w != nil {
			s.out.Status, s.out.Witness = Found, w
			return s.out
		} else if stuck != "" {
			return s.stop(stuck)
		}
		mem := int64(0)
		for _, b := range s.open {
			mem += b.bytes()
		}
		s.out.Peak = max(s.out.Peak, mem)
		if s.cfg.Memory > 0 && mem > s.cfg.Memory {
			return s.stop("memory")
		}
		pr.tick(trace.Event{Phase: "bab", Bound: s.least(), Open: len(s.open), Closed: s.out.Branches - len(s.open), Volume: s.proved, Memory: mem})
	}
	if len(s.aside) > 0 {
		return s.stop("numerics")
	}
	s.out.Status = Closed
	return s.out
}

// pause lets the caller do something else between rounds: when boxes are cheap, once the search grew by an eighth, so that what the
// caller does, growing from call to call, stays in proportion.
func (s *inputSearch) pause() *spec.Witness {
	if s.cfg.Pause == nil || s.reduced && s.since < max(pauseBoxes, s.out.Branches/8) {
		return nil
	}
	s.since = 0
	return s.cfg.Pause()
}

func (s *inputSearch) stop(why string) *Outcome {
	s.open = append(s.open, s.aside...)
	s.out.Reason, s.out.Open, s.out.Bound = why, len(s.open), s.least()
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
	budget   int
	boxes    int
	proved   float64
	wit      *spec.Witness
	broken   bool
}

// tasks takes the boxes of a round from the end of the open list.
func (s *inputSearch) tasks() []*boxTask {
	n := min(len(s.open), roundTasks)
	budget := 1
	if s.reduced {
		budget = taskBoxes
		if n < roundTasks/2 {
			budget = 1 + n/2 // few boxes: hand them back soon, so that every worker has some
		}
	}
	ts := make([]*boxTask, n)
	at := len(s.open) - n
	for i := range ts {
		ts[i] = &boxTask{in: []*boxBranch{s.open[at+i]}, budget: budget}
	}
	s.open = s.open[:at]
	return ts
}

// round runs the next tasks and puts what they left open back, in order. stuck says why the search cannot go on.
func (s *inputSearch) round(ctx context.Context) (w *spec.Witness, stuck string) {
	ts := s.tasks()
	s.cfg.Pool.Each(len(ts), func(w *relax.Worker, i int) {
		for _, b := range s.scratch {
			if b.w == w {
				b.search(ctx, ts[i])
			}
		}
	})
	for _, t := range ts {
		s.open = append(s.open, t.left...)
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

// boxScratch is what one worker needs to treat boxes.
type boxScratch struct {
	s       *inputSearch
	w       *relax.Worker
	bounder boxBounder
	x, v    []float64 // a candidate: every input, and those that vary
	lo, hi  []float64
}

// A boxBounder bounds the rows of the alive cases on a box.
type boxBounder interface {
	// bound returns the planes below the rows of b's alive cases, in order of case and row; they are valid until the next call.
	// It reports false when bounds exclude each other.
	bound(ctx context.Context, b *boxBranch) ([]plane, bool)
	// promising reports whether x, inputs that vary, is worth a try as a counterexample.
	promising(b *boxBranch, x []float64) bool
	// inherit returns what the parts of b that stay open, all within lo…hi, take over from the last bound.
	inherit(b *boxBranch, alive []int32, lo, hi []float64) *inherited
}

// search treats the boxes of a task and their parts, the last first.
func (b *boxScratch) search(ctx context.Context, t *boxTask) {
	t.left = append(t.left, t.in...)
	for len(t.left) > 0 && t.boxes < t.budget {
		if ctx.Err() != nil {
			return
		}
		n := len(t.left) - 1
		box := t.left[n]
		kids, wit, stuck := b.treat(ctx, box)
		if wit != nil {
			t.wit = wit
			return
		}
		if ctx.Err() != nil {
			return // bounds may be those of an abandoned pass; the box stays open
		}
		t.boxes++
		if stuck == Contradictory {
			t.broken = true
			return
		}
		t.left = t.left[:n]
		if stuck != "" {
			t.aside = append(t.aside, box)
			continue
		}
		t.proved += box.volume
		for _, k := range kids {
			if k != nil {
				t.proved -= k.volume
				t.left = append(t.left, k)
			}
		}
	}
}

// treat bounds one box and returns its open parts (nil entries are refuted), a witness, or why it is stuck.
func (b *boxScratch) treat(ctx context.Context, box *boxBranch) (kids [2]*boxBranch, wit *spec.Witness, stuck string) {
	planes, ok := b.bounder.bound(ctx, box)
	if !ok {
		return kids, nil, Contradictory
	}
	alive, bound := b.s.aliveOf(box, planes)
	if len(alive) == 0 {
		return kids, nil, ""
	}
	box.bound = max(box.bound, bound)
	if wit := b.try(box, planes, alive); wit != nil {
		return kids, wit, ""
	}
	b.lo, b.hi = append(b.lo[:0], box.lo...), append(b.hi[:0], box.hi...)
	if alive = b.s.clip(box, planes, alive, b.lo, b.hi); len(alive) == 0 {
		return kids, nil, ""
	}
	dim := cutAt(planes, alive, b.lo, b.hi)
	if dim < 0 {
		return kids, nil, "numerics"
	}
	in := b.bounder.inherit(box, alive, b.lo, b.hi)
	mid := b.lo[dim] + (b.hi[dim]-b.lo[dim])/2
	for side := range kids {
		k := &boxBranch{lo: append([]float64(nil), b.lo...), hi: append([]float64(nil), b.hi...), bound: box.bound, volume: box.volume / 2,
			depth: box.depth + 1, in: in}
		if side == 0 {
			k.hi[dim] = mid
		} else {
			k.lo[dim] = mid
		}
		if k.alive = b.s.clip(box, planes, alive, k.lo, k.hi); len(k.alive) > 0 {
			kids[side] = k
		}
	}
	return kids, nil, ""
}

// try offers the corner where the weakest row's plane is least, and the middle.
func (b *boxScratch) try(box *boxBranch, planes []plane, alive []int32) *spec.Witness {
	s := b.s
	if s.cfg.Try == nil || !s.reduced && box.depth%2 == 1 {
		return nil
	}
	worst := -1
	eachAlive(planes, alive, func(i int) {
		if worst < 0 || planes[i].lb < planes[worst].lb {
			worst = i
		}
	})
	b.v = grow(b.v, len(s.dims))
	for d := range b.v {
		b.v[d] = box.lo[d]
		if planes[worst].a[d] < 0 {
			b.v[d] = box.hi[d]
		}
	}
	if wit := b.offer(box); wit != nil || !s.reduced {
		return wit
	}
	for d := range b.v {
		b.v[d] = box.lo[d] + (box.hi[d]-box.lo[d])/2
	}
	return b.offer(box)
}

// offer tries the varying inputs v.
func (b *boxScratch) offer(box *boxBranch) *spec.Witness {
	if !b.bounder.promising(box, b.v) {
		return nil
	}
	if b.x == nil {
		b.x = append(b.x, b.s.q.Box.Lo...)
	}
	for d, i := range b.s.dims {
		b.x[i] = b.v[d]
	}
	return b.s.cfg.Try(b.x)
}

func grow(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}
