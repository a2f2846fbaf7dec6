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
// own, tightened under its decisions (relax.Frame.Sub), which the branches below share.
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

// revive looks for neurons to split when the bound depends on none: the objective is constant on the branch (two outputs both
// cut off at 0, say) and what is left is whether the decided signs can occur together. Multipliers of 1 make that the objective.
func (s *reluSearch) revive(w *relax.Worker, b *reluBranch) []relax.Open {
	const R = 8
	f := b.at.f
	a := relax.NewAscent(w, f, R)
	a.UnpackAlpha(b.alpha, 0, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	splits[0], beta[0] = b.splits, make([]float64, len(b.splits))
	for j := range b.beta {
		b.beta[j] = max(b.beta[j], 1)
		beta[0][j] = float64(b.beta[j])
	}
	a.SetSplits(splits, beta)
	a.Run(f, s.q.Net.P.Output, R, splits, func(w *relax.Worker) { s.seed(w, b, 0) }, relax.Steps{N: 1, Final: true})
	return shortlist(w, f, 0, s.cands)
}

// shortlist picks the k/2 neurons with the largest relaxation error at the pseudo-primal point and the k/2 with the largest
// possible one.
func shortlist(w *relax.Worker, f *relax.Frame, lane, k int) []relax.Open {
	var all []relax.Open
	w.EachOpen(f, lane, func(o relax.Open) { all = append(all, o) })
	if len(all) <= k {
		return all
	}
	half := k / 2
	sort.SliceStable(all, func(i, j int) bool { return all[i].Gap > all[j].Gap })
	rest := all[half:]
	sort.SliceStable(rest, func(i, j int) bool { return rest[i].Intercept > rest[j].Intercept })
	return all[:k]
}

// choose strong-branches: every candidate of every open lane is bounded on both sides with the lane's present slopes and
// multipliers, one backward pass for all. The candidate whose weaker side is best wins; a candidate with both sides refuted
// closes the branch.
func (s *reluSearch) choose(w *relax.Worker, bs []*reluBranch, lanes []int, cands [][]relax.Open, res []laneResult) {
	type probe struct{ lane, cand, sign int }
	var probes []probe
	for n, i := range lanes {
		if len(cands[n]) == 1 {
			bs[i].next = cands[n][0].Split
			continue
		}
		for c := range cands[n] {
			probes = append(probes, probe{n, c, 1}, probe{n, c, -1})
		}
	}
	lb := make([]float64, len(probes))
	const batch = 64
	for at := 0; at < len(probes); at += batch {
		part := probes[at:min(len(probes), at+batch)]
		R := (len(part) + 7) &^ 7
		f := bs[0].at.f
		a := relax.NewAscent(w, f, R)
		splits, beta := make([][]relax.Split, R), make([][]float64, R)
		for r, p := range part {
			b := bs[lanes[p.lane]]
			c := cands[p.lane][p.cand].Split
			c.Sign = int8(p.sign)
			splits[r] = append(append(splits[r], b.splits...), c)
			beta[r] = make([]float64, len(splits[r]))
			for j, v := range b.beta {
				beta[r][j] = float64(v)
			}
			a.UnpackAlpha(b.alpha, r, R)
		}
		a.SetSplits(splits, beta)
		a.Run(f, s.q.Net.P.Output, R, splits, func(w *relax.Worker) {
			for r, p := range part {
				s.seed(w, bs[lanes[p.lane]], r)
			}
		}, relax.Steps{N: 1})
		copy(lb[at:], a.Best[:len(part)])
	}
	best := make([]float64, len(lanes))
	for i := range best {
		best[i] = math.Inf(-1)
	}
	for i := 0; i < len(probes); i += 2 {
		p := probes[i]
		b := bs[lanes[p.lane]]
		lo, hi := min(lb[i], lb[i+1]), max(lb[i], lb[i+1])
		if Refuted(s.row(b), lo) {
			res[lanes[p.lane]].closed = true
		}
		score := min(lo, 0) + 0.1*min(hi, 0)
		if score > best[p.lane] {
			best[p.lane] = score
			b.next = cands[p.lane][p.cand].Split
		}
	}
	for n, i := range lanes {
		if len(cands[n]) > 0 {
			bs[i].next.Sign = 1
		}
	}
}

const (
	roundJobs  = 8  // jobs per round
	chunkNodes = 16 // branches expanded together, two lanes each
	jobNodes   = 64 // branches a job expands before it hands back what is open
	tightSteps = 6  // ascent steps per inner row of a sub-frame
)

// levelsPerFrame balances the price of a sub-frame (two rows of tightSteps iterations per unstable neuron, half the depth on
// average) with that of the branches that will share it.
func levelsPerFrame(unstable int) int {
	const lanesPerBranch = 2*2*12 + 12
	cost := float64(unstable) * (1 + 2*tightSteps) / lanesPerBranch
	return min(max(int(math.Ceil(math.Log2(cost+1))), 3), 9)
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

// job is a set of branches that share a frame, expanded by one worker.
type job struct {
	nodes   []*reluBranch
	kids    []*reluBranch
	wit     *spec.Witness
	undone  bool
	bounded int
	split   gain // of splitting, per child
	frame   gain // of sub-frames
}

// gain averages how much of the distance to 0 a step won: 1 when it closed the branch.
type gain struct{ sum, n float64 }

func (g *gain) add(before, after float64, closed bool) {
	g.n++
	switch {
	case closed:
		g.sum++
	case before < 0 && after > before:
		g.sum += min((after-before)/-before, 1)
	}
}

func (g *gain) merge(h gain) { g.sum, g.n = g.sum+h.sum, g.n+h.n }

func (g *gain) mean() float64 { return g.sum / max(g.n, 1) }

// take removes the next jobs from the end of the open list: runs of branches with one frame, or a single branch that is due
// for a frame of its own.
func (s *reluSearch) take() []*job {
	var jobs []*job
	for len(jobs) < roundJobs && len(s.open) > 0 {
		n := len(s.open)
		lo := n - 1
		for !s.due(s.open[n-1]) && lo > 0 && n-lo < chunkNodes && s.open[lo-1].at == s.open[lo].at && !s.due(s.open[lo-1]) {
			lo--
		}
		jobs = append(jobs, &job{nodes: append([]*reluBranch(nil), s.open[lo:]...)})
		s.open = s.open[:lo]
	}
	return jobs
}

// due reports whether a branch is to get inner bounds of its own.
func (s *reluSearch) due(b *reluBranch) bool { return len(b.splits)-b.at.depth >= s.levels }

// round runs the next jobs and puts what they leave open back, in order.
func (s *reluSearch) round(ctx context.Context) (*spec.Witness, string) {
	jobs := s.take()
	s.cfg.Pool.Each(len(jobs), func(w *relax.Worker, i int) { s.work(ctx, w, jobs[i]) })
	for _, j := range jobs {
		if j.wit != nil {
			return j.wit, ""
		}
	}
	why := ""
	for i := len(jobs) - 1; i >= 0; i-- {
		j := jobs[i]
		s.out.Branches += j.bounded
		s.split.merge(j.split)
		s.frame.merge(j.frame)
		if j.undone {
			s.open = append(s.open, j.nodes...)
			continue
		}
		for _, b := range j.nodes {
			s.proved += math.Pow(0.5, float64(len(b.splits)))
		}
		for _, k := range j.kids {
			s.proved -= math.Pow(0.5, float64(len(k.splits)))
			if k.next.Sign == 0 {
				why = "incomplete"
			}
		}
		s.open = append(s.open, j.kids...)
	}
	s.adapt()
	return nil, why
}

// adapt moves the number of levels between sub-frames: a sub-frame is worth its price, which levelsPerFrame made that of the
// branches below it, when it wins as much as a split, for a split doubles the work.
func (s *reluSearch) adapt() {
	if s.frame.n < 8 {
		return
	}
	switch g := s.frame.mean(); {
	case g < s.split.mean():
		s.levels = min(s.levels+2, 1000)
	case g > 2*s.split.mean():
		s.levels = max(s.levels-1, 3)
	}
	s.frame, s.split = gain{}, gain{}
}

// work expands a job's branches until they are closed, due for frames of their own, or jobNodes were expanded.
func (s *reluSearch) work(ctx context.Context, w *relax.Worker, j *job) {
	nodes := j.nodes
	if s.due(nodes[0]) {
		open, wit := s.reframe(ctx, w, nodes[0])
		j.bounded++
		if len(open) == 0 {
			j.frame.add(0, 0, true)
		} else {
			j.frame.add(nodes[0].lb, open[0].lb, false)
		}
		if j.wit = wit; wit != nil {
			return
		}
		nodes = open
	}
	var out []*reluBranch
	for expanded := 0; len(nodes) > 0; {
		if ctx.Err() != nil {
			j.undone = true
			return
		}
		n := min(len(nodes), chunkNodes)
		if expanded += n; expanded > jobNodes {
			break
		}
		kids, wit := s.expand(ctx, w, nodes[len(nodes)-n:], &j.split)
		j.bounded += 2 * n
		if j.wit = wit; wit != nil {
			return
		}
		nodes = nodes[:len(nodes)-n]
		for _, k := range kids {
			if s.due(k) || k.next.Sign == 0 {
				out = append(out, k)
			} else {
				nodes = append(nodes, k)
			}
		}
	}
	if ctx.Err() != nil {
		j.undone = true
		return
	}
	j.kids = append(out, nodes...)
	// the weakest bounds come last and are taken first: they are where a counterexample would be
	sort.SliceStable(j.kids, func(a, b int) bool {
		if x, y := s.due(j.kids[a]), s.due(j.kids[b]); x != y {
			return x
		}
		return j.kids[a].lb > j.kids[b].lb
	})
}

// reframe gives a branch inner bounds under its own splits and bounds it against them. It returns the branch if it stays open.
func (s *reluSearch) reframe(ctx context.Context, w *relax.Worker, b *reluBranch) ([]*reluBranch, *spec.Witness) {
	f, ok := b.at.f.Sub(ctx, &relax.Pool{W: []*relax.Worker{w}}, b.splits, tightSteps)
	if !ok {
		return nil, nil // no input satisfies the splits
	}
	if ctx.Err() != nil {
		return []*reluBranch{b}, nil
	}
	k := *b
	k.alpha = b.at.f.MapAlpha(f, b.alpha)
	k.at = &subFrame{f: f, depth: len(b.splits)}
	kids := []*reluBranch{&k}
	res := s.ascend(ctx, w, kids, [][]uint8{k.alpha}, relax.Steps{N: s.steps, RateA: 0.08, RateB: 0.5, Decay: 0.95})
	switch {
	case ctx.Err() != nil:
		return []*reluBranch{b}, nil
	case res[0].wit != nil:
		return nil, res[0].wit
	case res[0].closed:
		return nil, nil
	}
	return kids, nil
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
