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

// reluBranch is an open sub-problem: a case, the row that is being pushed above zero, and the decided ReLUs.
type reluBranch struct {
	c, row int32
	splits []relax.Split // in the numbers of the query's network
	beta   []float32
	alpha  []uint8
	lb     float64
	next   relax.Split     // chosen ReLU to split, Sign 0 when none was found
	tree   *Tree           // what is recorded of it, nil for nothing
	at     *relax.Frame    // what it was last bounded against; alpha belongs to it
	idle   map[neuron]int8 // neurons whose bounds rest, see idleAfter
	rows   [][]int32       // per pre-activation node: elements whose bounds matter most to lb
}

// ReluSplit refutes the query by deciding unstable ReLUs. A decision enters as a multiplier β (β-CROWN, Wang et al. 2021) that
// is ascended together with the slopes α. Every branch first gets inner bounds of its own: those that matter most to its row are
// tightened on the inputs that satisfy its decisions and violate the row (relax.Refutation). Then a neuron is shortlisted by the
// error of its relaxation at the pseudo-primal point and chosen with one backward pass for each side (strong branching). Where
// sigmoids alone are left, there is nothing to split: inner bounds that assume the row itself (narrow.go) are what remains.
func ReluSplit(ctx context.Context, q *Query, f *relax.Frame, alive []int32, cfg *Config) *Outcome {
	if cfg.Trees == nil {
		f = f.DropInactive(nil)
	}
	s := &reluSearch{q: q, root: f, cfg: cfg, out: &Outcome{Bound: math.Inf(-1)}}
	s.steps, s.cands = cfg.Rule.Steps, cfg.Rule.Candidates
	if s.steps == 0 {
		s.steps = 12
	}
	if s.cands == 0 {
		s.cands = 6
	}
	for _, c := range alive {
		if len(q.Cases[c].Rows) == 0 {
			return s.stop("incomplete") // every input of the box satisfies the case: nothing to refute
		}
	}
	if w := s.start(ctx, alive); w != nil {
		s.out.Status, s.out.Witness = Found, w
		return s.out
	}
	return s.run(ctx)
}

type reluSearch struct {
	q     *Query
	root  *relax.Frame
	cfg   *Config
	steps int
	cands int
	open  []*reluBranch
	out   *Outcome
	// weight of closed sub-trees, for progress: a branch at depth d weighs 2^-d of its case.
	proved, total float64
}

func (s *reluSearch) row(b *reluBranch) *spec.Row { return &s.q.Cases[b.c].Rows[b.row] }

func (s *reluSearch) seed(w *relax.Worker, b *reluBranch, lane int) {
	Seed(w, s.root, s.row(b), lane)
}

// start bounds every row of every alive case at the root, with a longer ascent, and opens a branch on each surviving case's
// best row.
func (s *reluSearch) start(ctx context.Context, alive []int32) *spec.Witness {
	refs := s.q.rows(alive)
	const lanes = 32
	chunks := (len(refs) + lanes - 1) / lanes
	branches := make([]*reluBranch, len(refs))
	closed := make([]bool, len(refs))
	wit := newFound(len(refs))
	s.cfg.Pool.Each(chunks, func(w *relax.Worker, c int) {
		part := refs[c*lanes : min(len(refs), (c+1)*lanes)]
		bs := make([]*reluBranch, len(part))
		for i, ref := range part {
			bs[i] = &reluBranch{c: ref.c, row: ref.r, lb: math.Inf(-1), at: s.root}
			if s.cfg.Trees != nil {
				bs[i].tree = &Tree{Row: int(ref.r)}
			}
		}
		res := s.ascend(ctx, w, bs, relax.Steps{N: 60, RateA: 0.25, RateB: 0.25, Decay: 0.97, StallRounds: 8})
		for i := range part {
			branches[c*lanes+i], closed[c*lanes+i], wit.wit[c*lanes+i] = bs[i], res[i].closed, res[i].wit
		}
	})
	if w := wit.first(); w != nil {
		return w
	}
	k := 0
	for _, c := range alive {
		var best *reluBranch
		dead := false
		for range s.q.Cases[c].Rows {
			if closed[k] && !dead && s.cfg.Trees != nil {
				s.cfg.Trees[c] = branches[k].tree
			}
			dead = dead || closed[k]
			if best == nil || branches[k].lb > best.lb {
				best = branches[k]
			}
			k++
		}
		if best != nil && !dead && s.q.Net.Smooth() && s.q.Net.Unstable(s.root.B) == 0 {
			w, done := s.narrow(ctx, best)
			if w != nil {
				return w
			}
			dead = done
		}
		if best != nil && !dead {
			if s.cfg.Trees != nil {
				s.cfg.Trees[c] = best.tree
			}
			s.open = append(s.open, best)
		}
	}
	sort.SliceStable(s.open, func(i, j int) bool { return s.open[i].lb < s.open[j].lb })
	s.total = float64(len(s.open))
	return nil
}

// roundBranches is the number of branches taken per round. With one worker or many the same ones are taken.
const roundBranches = 16

func (s *reluSearch) run(ctx context.Context) *Outcome {
	pr := &progress{emit: s.cfg.Trace}
	work := s.cfg.Pool.Work() + s.cfg.Work
	for len(s.open) > 0 {
		if ctx.Err() != nil {
			return s.stop("interrupted")
		}
		if s.cfg.Work > 0 && s.cfg.Pool.Work() >= work {
			return s.stop(OutOfWork)
		}
		if s.cfg.Pause != nil {
			if w := s.cfg.Pause(); w != nil {
				s.out.Status, s.out.Witness = Found, w
				return s.out
			}
		}
		w, why := s.round(ctx)
		if w != nil {
			s.out.Status, s.out.Witness = Found, w
			return s.out
		}
		if why != "" {
			return s.stop(why)
		}
		mem := s.memory()
		s.out.Peak = max(s.out.Peak, mem)
		if s.cfg.Memory > 0 && mem > s.cfg.Memory {
			return s.stop("memory")
		}
		pr.tick(trace.Event{Phase: "bab", Bound: s.least(), Open: len(s.open), Closed: s.out.Branches - len(s.open),
			Volume: fraction(s.proved, s.total), Memory: mem})
	}
	s.out.Status = Closed
	return s.out
}

// round expands the last open branches and puts what they leave open in their place, in order.
func (s *reluSearch) round(ctx context.Context) (*spec.Witness, string) {
	n := min(len(s.open), roundBranches)
	batch := append([]*reluBranch(nil), s.open[len(s.open)-n:]...)
	s.open = s.open[:len(s.open)-n]
	done := make([]expansion, n)
	if n == 1 { // nothing to share out but the rows of its frame
		done[0] = s.expand(ctx, s.cfg.Pool.W[0], s.cfg.Pool, batch[0])
	} else {
		s.cfg.Pool.Each(n, func(w *relax.Worker, i int) {
			done[i] = s.expand(ctx, w, &relax.Pool{W: []*relax.Worker{w}}, batch[i])
		})
	}
	why := ""
	for i, d := range done {
		switch {
		case d.wit != nil:
			return d.wit, ""
		case d.undone:
			s.open = append(s.open, batch[i])
			continue
		case d.why != "":
			why = d.why
		}
		s.out.Branches += d.bounded
		s.proved += batch[i].weight()
		for _, k := range d.kids {
			s.proved -= k.weight()
		}
		s.open = append(s.open, d.kids...)
	}
	return nil, why
}

func (b *reluBranch) weight() float64 { return math.Pow(0.5, float64(len(b.splits))) }

func (s *reluSearch) memory() int64 {
	if len(s.open) == 0 {
		return 0
	}
	b := s.open[len(s.open)-1]
	rows := 0
	for _, r := range b.rows {
		rows += len(r)
	}
	m := int64(len(s.open)) * int64(len(b.alpha)+16*len(b.splits)+4*rows+24*len(b.rows)+16*len(b.idle)+160)
	var last *relax.Frame
	for _, o := range s.open {
		if o.at != last && o.at != s.root {
			m += o.at.Bytes()
		}
		last = o.at
	}
	return m
}

func (s *reluSearch) stop(why string) *Outcome {
	s.out.Reason, s.out.Open, s.out.Bound, s.out.Volume = why, len(s.open), s.least(), fraction(s.proved, s.total)
	for _, b := range s.open {
		s.out.Left = append(s.out.Left, b.c)
	}
	slices.Sort(s.out.Left)
	s.out.Left = slices.Compact(s.out.Left)
	return s.out
}

func (s *reluSearch) least() float64 {
	b := math.Inf(1)
	for _, o := range s.open {
		b = min(b, o.lb)
	}
	return b
}
