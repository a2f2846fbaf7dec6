package attacks

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// A Searcher holds a program, a problem and the buffers of searches on them, so that many short searches cost no
// allocation. It is not safe for concurrent use.
type Searcher struct {
	p         *prog.Program
	pr        *spec.Problem
	groups    []group // one per box that has cases
	groupOf   []int   // per box
	inputRows bool    // some row reads inputs
	steps     bool    // the network has step functions
	cost      int64   // multiply-adds of one lane forward
	elements  int     // numbers per lane
	buffers   map[int]*lanes
	values    [2]slab // node values and gradients, shared by all buffers but those of push
	one       [1]int

	// Candidates are confirmed here; see ConfirmOn.
	full  *prog.Program
	whole *spec.Problem

	run // of the current search
}

// group is a box with its cases.
type group struct {
	box    int
	cases  []int
	active []int // inputs with a box wider than a point
}

// run is the state of one search.
type run struct {
	ctx      context.Context
	rng      *rand.Rand
	deadline time.Time
	left     int64
	budget   int64 // what left was at the start
	over     bool
	best     *spec.Witness // confirmed, perhaps not AnyOrder
	failed   map[int]float64
	pushes   int
	pushing  bool
	caseBest []float64 // per case: largest float64 margin seen
	archive  []elite   // best points seen, best first
}

// elite is a point worth improving.
type elite struct {
	x         []float64
	group, cs int
	margin    float64
}

const eliteSize = 32

// NewSearcher prepares searches for counterexamples of pr on p. An error means that they do not fit.
func NewSearcher(p *prog.Program, pr *spec.Problem) (*Searcher, error) {
	if err := check(p, pr); err != nil {
		return nil, err
	}
	s := &Searcher{p: p, pr: pr, buffers: map[int]*lanes{}, groupOf: make([]int, len(pr.Boxes))}
	for b := range s.groupOf {
		s.groupOf[b] = -1
	}
	for ci := range pr.Cases {
		c := &pr.Cases[ci]
		if s.groupOf[c.Box] < 0 {
			s.groupOf[c.Box] = len(s.groups)
			s.groups = append(s.groups, group{box: c.Box, active: active(&pr.Boxes[c.Box])})
		}
		g := &s.groups[s.groupOf[c.Box]]
		g.cases = append(g.cases, ci)
		for k := range c.Rows {
			s.inputRows = s.inputRows || len(c.Rows[k].X) > 0
		}
	}
	for k := range p.Nodes {
		n := &p.Nodes[k]
		s.elements += n.N
		s.steps = s.steps || n.Kind == prog.Curve && n.Fn.Step()
		s.cost += 4*int64(n.N) + 60 // elementwise work and calls, which dominate in tiny networks
		for _, t := range n.Terms {
			out, _ := t.Map.Dims()
			row, _ := t.Map.Fan()
			s.cost += int64(out) * int64(row)
		}
	}
	return s, nil
}

func active(b *spec.Box) []int {
	var a []int
	for i := range b.InLower {
		if b.InLower[i] < b.InUpper[i] {
			a = append(a, i)
		}
	}
	return a
}

// ConfirmOn has candidates confirmed on p and pr instead of what is searched, for searches on a cheaper form of the same question:
// the same inputs and boxes, and a point violates the one if and only if it violates the other, up to rounding. Witnesses are then
// those of p and pr. It returns an error when p and pr do not fit.
//
// Sound because a candidate becomes a witness through spec.Problem.Confirm on p and pr alone.
func (s *Searcher) ConfirmOn(p *prog.Program, pr *spec.Problem) error {
	if err := check(p, pr); err != nil {
		return err
	}
	if pr.NumInputs != s.pr.NumInputs {
		return fmt.Errorf("attacks: %d inputs searched, %d confirmed", s.pr.NumInputs, pr.NumInputs)
	}
	s.full, s.whole = p, pr
	return nil
}

// Cost returns the price of one evaluation of the network in the unit of Options.Work.
func (s *Searcher) Cost() int64 { return s.cost }

func (s *Searcher) start(ctx context.Context, opt Options) {
	s.run = run{ctx: ctx, rng: rand.New(rand.NewPCG(opt.Seed, 0x61747461636b73)), left: opt.Work,
		failed: map[int]float64{}, caseBest: s.caseBest, archive: s.archive[:0]}
	if s.left == 0 {
		s.left = DefaultWork
	}
	s.budget = s.left
	if opt.Time > 0 {
		s.deadline = time.Now().Add(opt.Time)
	}
	if s.caseBest == nil {
		s.caseBest = make([]float64, len(s.pr.Cases))
	}
	for i := range s.caseBest {
		s.caseBest[i] = math.Inf(-1)
	}
}

// sparseWork is the number of multiply-adds per element below which a network is read from memory rather than computed: more lanes
// then bring more cache misses and first touches, and save nothing.
const sparseWork = 32

// lanes returns the workspace for about R lanes: fewer when the network is so large that one step would take long.
func (s *Searcher) lanes(R int) *lanes {
	room := 4 << 20
	if s.cost < sparseWork*int64(s.elements) {
		room = 1 << 18
	}
	for R > 8 && (int64(R)*s.cost > 2e8 || R*s.elements > room) {
		R /= 2
	}
	R = (R + 7) &^ 7
	if s.buffers[R] == nil {
		s.buffers[R] = newLanes(s.p, R, s.values[0].cut(s.p, R), s.values[1].cut(s.p, R))
	}
	return s.buffers[R]
}

// spend takes the price of one pass over R lanes from the budget and reports whether the search goes on.
func (s *Searcher) spend(R int) bool {
	s.left -= int64(R) * s.cost
	if s.left < 0 || s.ctx.Err() != nil || !s.deadline.IsZero() && time.Now().After(s.deadline) {
		s.over = true
	}
	return !s.over
}

func (s *Searcher) single(ci int) []int {
	s.one[0] = ci
	return s.one[:]
}

// keep offers lane r to the archive of best points.
func (s *Searcher) keep(l *lanes, r int) {
	m := l.margin[r]
	n := len(s.archive)
	if n == eliteSize && !(m > s.archive[n-1].margin) || math.IsInf(m, -1) {
		return
	}
	var e elite
	if n == eliteSize {
		e = s.archive[n-1]
		s.archive = s.archive[:n-1]
	} else if cap(s.archive) > n {
		e = s.archive[:n+1][n]
	}
	if len(e.x) != s.pr.NumInputs {
		e.x = make([]float64, s.pr.NumInputs)
	}
	l.get(e.x, r)
	e.group, e.cs, e.margin = l.group[r], l.cs[r], m
	at, _ := slices.BinarySearchFunc(s.archive, m, func(a elite, m float64) int {
		if a.margin >= m {
			return -1
		}
		return 1
	})
	s.archive = slices.Insert(s.archive, at, e)
}

// keepAll offers every lane to the archive.
func (s *Searcher) keepAll(l *lanes) {
	for r := range l.R {
		s.keep(l, r)
	}
}

// Search runs the portfolio; see the package function.
func (s *Searcher) Search(ctx context.Context, opt Options) *spec.Witness {
	s.start(ctx, opt)
	if len(s.groups) == 0 {
		return nil
	}
	s.portfolio(opt)
	return s.best
}

// From runs short gradient searches from given points; see SearchFrom.
func (s *Searcher) From(ctx context.Context, caseIndex int, starts [][]float64, opt Options) (*spec.Witness, error) {
	if caseIndex < 0 || caseIndex >= len(s.pr.Cases) {
		return nil, fmt.Errorf("attacks: case %d of %d", caseIndex, len(s.pr.Cases))
	}
	s.start(ctx, opt)
	steps := opt.Steps
	if steps == 0 {
		steps = 12
	}
	for len(starts) > 0 && !s.over {
		l := s.lanes(min(len(starts), 64))
		g := s.groupOf[s.pr.Cases[caseIndex].Box]
		n := min(len(starts), l.R)
		for r := range l.R {
			l.setBox(r, s, g, caseIndex)
			x := starts[r%n]
			if len(x) != s.pr.NumInputs {
				return nil, fmt.Errorf("attacks: start with %d inputs, want %d", len(x), s.pr.NumInputs)
			}
			l.set(r, x)
			if r >= n {
				s.jitter(l, r, 0.05)
			}
			l.step[r] = [...]float64{0.1, 0.02, 0.3, 0.05}[r/n%4]
		}
		s.pgd(l, pgdPlan{steps: steps, decay: 0.8})
		starts = starts[n:]
	}
	return s.best, nil
}
