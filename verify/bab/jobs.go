package bab

import (
	"context"
	"math"
	"sort"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

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
