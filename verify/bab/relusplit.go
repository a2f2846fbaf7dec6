package bab

import (
	"context"
	"math"
	"sort"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// reluBranch is an open sub-problem: a case, the row that is being pushed above zero, and the decided ReLUs.
type reluBranch struct {
	c, row int32
	splits []relax.Split
	beta   []float32
	alpha  []uint8
	lb     float64
	next   relax.Split // chosen ReLU to split, Sign 0 when none was found
	at     *subFrame   // the bounds it was last bounded against; alpha belongs to it
}

// subFrame is the frame of a sub-tree: inner bounds under the splits of its root.
type subFrame struct {
	f     *relax.Frame
	depth int // splits of its root
}

// ReluSplit refutes the query by deciding unstable ReLUs. A decision enters as a multiplier β (β-CROWN, Wang et al. 2021) that
// is ascended together with the slopes α; neurons are shortlisted by the error of their relaxation at the pseudo-primal
// point and tried with one backward pass for each side (strong branching). Every few levels a branch gets inner bounds of its
// own, tightened under its decisions (relax.Frame.Sub), which the branches below share. Where sigmoids alone are left, there is
// nothing to split: bounds that assume the row itself (narrow.go) are what remains.
func ReluSplit(ctx context.Context, q *Query, f *relax.Frame, alive []int32, cfg *Config) *Outcome {
	s := &reluSearch{q: q, root: &subFrame{f: f}, cfg: cfg, out: &Outcome{Bound: math.Inf(-1)}}
	s.steps, s.cands = cfg.Rule.Steps, cfg.Rule.Candidates
	if s.steps == 0 {
		s.steps = 12
	}
	if s.cands == 0 {
		s.cands = 6
	}
	s.levels = levelsPerFrame(q.Net.Unstable(f.B))
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
	root  *subFrame
	cfg   *Config
	steps int
	cands int
	// levels is the number of splits after which a branch's inner bounds are tightened anew.
	levels       int
	split, frame gain
	open         []*reluBranch
	out          *Outcome
	// weight of closed sub-trees, for progress: a branch at depth d weighs 2^-d of its case.
	proved, total float64
}

func (s *reluSearch) row(b *reluBranch) *spec.Row { return &s.q.Cases[b.c].Rows[b.row] }

func (s *reluSearch) seed(w *relax.Worker, b *reluBranch, lane int) {
	Seed(w, s.root.f, s.row(b), lane)
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
		}
		res := s.ascend(ctx, w, bs, nil, relax.Steps{N: 60, RateA: 0.25, RateB: 0.25, Decay: 0.97, StallRounds: 8})
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
			dead = dead || closed[k]
			if best == nil || branches[k].lb > best.lb {
				best = branches[k]
			}
			k++
		}
		if best != nil && !dead && s.q.Net.Smooth() && s.q.Net.Unstable(s.root.f.B) == 0 {
			w, done := s.narrow(ctx, best)
			if w != nil {
				return w
			}
			dead = done
		}
		if best != nil && !dead {
			s.open = append(s.open, best)
		}
	}
	sort.SliceStable(s.open, func(i, j int) bool { return s.open[i].lb < s.open[j].lb })
	s.total = float64(len(s.open))
	return nil
}

type laneResult struct {
	closed bool
	wit    *spec.Witness
}

// ascend bounds the branches, one lane each, from the slopes in alpha (nil: defaults) and their own β; it updates lb, alpha,
// beta and next of every branch that stays open.
func (s *reluSearch) ascend(ctx context.Context, w *relax.Worker, bs []*reluBranch, alpha [][]uint8, o relax.Steps) []laneResult {
	R := (len(bs) + 7) &^ 7
	out := s.q.Net.P.Output
	f := bs[0].at.f
	a := relax.NewAscent(w, f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	for i, b := range bs {
		splits[i], beta[i] = b.splits, make([]float64, len(b.splits))
		for j := range b.beta {
			beta[i][j] = float64(b.beta[j])
		}
		if alpha != nil && alpha[i] != nil {
			a.UnpackAlpha(alpha[i], i, R)
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
	a.Run(f, out, R, splits, seed, o)
	res := make([]laneResult, len(bs))
	if ctx.Err() != nil {
		return res
	}
	x := make([]float64, len(s.q.Box.Lo))
	var cands [][]relax.Open
	var lanes []int
	for i, b := range bs {
		b.lb = max(b.lb, a.Best[i])
		if Refuted(s.row(b), b.lb) {
			res[i].closed = true
			continue
		}
		b.beta = b.beta[:0]
		for _, v := range beta[i] {
			b.beta = append(b.beta, float32(v))
		}
		b.alpha = a.PackAlpha(nil, i, R)
		b.next = relax.Split{}
		if s.cfg.Try != nil {
			w.Corner(i, x)
			res[i].wit = s.cfg.Try(x)
		}
		cands, lanes = append(cands, shortlist(w, f, i, s.cands)), append(lanes, i)
	}
	for n, i := range lanes {
		if len(cands[n]) == 0 {
			cands[n] = s.revive(w, bs[i])
		}
	}
	if ctx.Err() == nil {
		s.choose(w, bs, lanes, cands, res)
	}
	return res
}

func (s *reluSearch) run(ctx context.Context) *Outcome {
	pr := &progress{emit: s.cfg.Trace}
	for len(s.open) > 0 {
		if ctx.Err() != nil {
			return s.stop("interrupted")
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
			Volume: s.proved / s.total, Memory: mem})
	}
	s.out.Status = Closed
	return s.out
}

func (s *reluSearch) memory() int64 {
	if len(s.open) == 0 {
		return 0
	}
	b := s.open[len(s.open)-1]
	m := int64(len(s.open)) * int64(len(b.alpha)+16*len(b.splits)+160)
	var last *subFrame
	for _, o := range s.open {
		if o.at != last && o.at != s.root {
			m += o.at.f.Bytes()
		}
		last = o.at
	}
	return m
}

func (s *reluSearch) stop(why string) *Outcome {
	s.out.Reason, s.out.Open, s.out.Bound = why, len(s.open), s.least()
	return s.out
}

func (s *reluSearch) least() float64 {
	b := math.Inf(1)
	for _, o := range s.open {
		b = min(b, o.lb)
	}
	return b
}

// expand makes and bounds both children of each branch; children that stay open are returned.
func (s *reluSearch) expand(ctx context.Context, w *relax.Worker, part []*reluBranch, won *gain) ([]*reluBranch, *spec.Witness) {
	var kids []*reluBranch
	var alpha [][]uint8
	for _, b := range part {
		if b.next.Sign == 0 {
			if wit, closed := s.leaf(ctx, w, b); wit != nil {
				return nil, wit
			} else if !closed {
				kids = append(kids, b)
				alpha = append(alpha, b.alpha)
			}
			continue
		}
		for _, sign := range []int8{1, -1} {
			k := &reluBranch{c: b.c, row: b.row, lb: b.lb, at: b.at}
			sp := b.next
			sp.Sign = sign
			k.splits = append(append(k.splits, b.splits...), sp)
			k.beta = append(append(k.beta, b.beta...), 0)
			kids = append(kids, k)
			alpha = append(alpha, b.alpha)
		}
	}
	if len(kids) == 0 {
		return nil, nil
	}
	before := make([]float64, len(kids))
	for i, k := range kids {
		before[i] = k.lb
	}
	res := s.ascend(ctx, w, kids, alpha, relax.Steps{N: s.steps, RateA: 0.08, RateB: 0.5, Decay: 0.95})
	open := kids[:0]
	for i, k := range kids {
		won.add(before[i], k.lb, res[i].closed)
		if res[i].wit != nil {
			return nil, res[i].wit
		}
		if res[i].closed {
			continue
		}
		if k.next.Sign == 0 && ctx.Err() == nil {
			wit, closed := s.leaf(ctx, w, k)
			if wit != nil {
				return nil, wit
			}
			if closed {
				continue
			}
		}
		open = append(open, k)
	}
	return open, nil
}
