package kolter

import (
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
)

// ErrUnsupported is wrapped by errors about networks that have no dual network here.
var ErrUnsupported = errors.New("kolter: only networks of affine maps and ReLUs have this bound")

// A Net is a network whose margins can be bounded. It is immutable and safe for concurrent use.
type Net struct{ net *relax.Net }

// New prepares a program. It returns an error that wraps ErrUnsupported when a node is neither affine nor a ReLU.
func New(p *prog.Program) (*Net, error) {
	for k := range p.Nodes {
		switch nd := &p.Nodes[k]; nd.Kind {
		case prog.Input, prog.Affine, prog.Relu:
		default:
			return nil, fmt.Errorf("%w; node %d %q is a %v", ErrUnsupported, k, nd.Name, nd.Kind)
		}
	}
	return &Net{relax.NewNet(p)}, nil
}

// A Region is the set of inputs that a bound is about: what lies in Box and, if Ball is not nil, in Ball.
type Region struct {
	Box  relax.Box
	Ball *relax.Ball
}

// A Solver bounds margins over one region after the other. It serves one goroutine at a time.
type Solver struct {
	n *Net
	w *relax.Worker
	b *relax.Bounds
	f *relax.Frame
	// stop, if not nil, ends the work between layers: bounds are then −Inf.
	stop func() bool
}

// NewSolver returns a solver.
func (n *Net) NewSolver() *Solver {
	return &Solver{n: n, w: relax.NewWorker(n.net), b: n.net.NewBounds()}
}

// lanes is the number of rows of the dual network that are worked on together.
const lanes = 64

// Margins writes lower bounds on score[label] − score[t] over the region into lower[t], for every class t; the label's own
// entry is 0. The label wins everywhere in the region if all others are positive. stop, if not nil, is asked now and then; once
// it reports true, bounds are −Inf.
//
// Soundness: each pass is package relax's inequality with every rounding charged, for any slopes in [0, 1]; a layer's bounds are
// bounds of the same kind on earlier layers. Interval arithmetic is rounded outward.
func (s *Solver) Margins(r *Region, label int, lower []float64, stop func() bool) {
	s.stop, s.w.Stop = stop, stop
	s.layers(r)
	s.f.Margins(s.w, label, lower)
}

// layers bounds the inputs of all ReLUs, in order.
func (s *Solver) layers(r *Region) {
	net := s.n.net
	net.IBP(r.Box, s.b)
	s.f = net.NewFrame(r.Box, s.b, net.NewScale(s.b))
	s.f.Parallel, s.f.Ball = true, r.Ball
	for k := range net.P.Nodes {
		if k > 0 {
			s.f.Interval(k)
		}
		if len(net.Acts[k]) == 0 {
			continue
		}
		if net.P.Nodes[k].Kind == prog.Affine && !(r.Ball == nil && first(net.P, k)) {
			s.rows(k)
		}
		s.f.Refresh(k)
	}
}

// first reports whether node k reads the input alone, through one map: there interval arithmetic is the dual network's bound.
func first(p *prog.Program, k int) bool {
	t := p.Nodes[k].Terms
	return len(t) == 1 && t[0].Src == 0
}

// rows bounds the elements of node k whose sign is open, each from both sides: two lanes for a row.
func (s *Solver) rows(k int) {
	net := s.n.net
	open := s.f.OpenRows(k, nil)
	net.ByPixel(k, open)
	L, U := s.b.L[k], s.b.U[k]
	for len(open) > 0 {
		part := open[:min(lanes/2, len(open))]
		open = open[len(part):]
		s.w.Begin((2*len(part) + 7) &^ 7)
		s.w.PlanWindows(k, part)
		for i, j := range part {
			s.w.SeedRow(s.f, k, int(j), 2*i, 1)
			s.w.SeedRow(s.f, k, int(j), 2*i+1, -1)
		}
		s.w.Run(s.f, k)
		for i, j := range part {
			if lo, hi := s.w.LB[2*i], -s.w.LB[2*i+1]; !math.IsInf(lo, -1) && !math.IsInf(hi, 1) {
				L[j], U[j] = lo, hi
			}
		}
	}
}
