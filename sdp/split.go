package sdp

import (
	"context"
	"fmt"
	"math"

	"github.com/spai-project/certify/relax"
)

// SplitOptions steer Split. The zero value is the default.
type SplitOptions struct {
	Deep  DeepOptions // of every part; Enough and From are set
	Nodes int         // parts bounded at most; 0: 200
	// Try, if set, is asked about candidate inputs (of the varying ones, in the box); true ends the search: one was confirmed.
	Try func(x []float64) bool
}

// SplitResult says how a search ended.
type SplitResult struct {
	Bound float64 // rigorous lower bound on the objective over the box
	Nodes int     // parts bounded
	Found bool    // Try confirmed a candidate
}

// Split bounds objective obj over the box lo…hi of a reduced network, where its neurons have the bounds L, U, by branch and bound: a
// part whose bound is not above enough is divided by the sign of a neuron, whose multipliers its parts inherit. It ends when all parts
// are above enough, when a candidate is confirmed, at the limit of nodes, or with ctx, whose error is returned with the bound so far.
//
// Sound because the two parts cover the part, the bound of each is DeepWorker.Bound's, and a part whose bounds exclude each other is
// empty; what is not closed counts with the bound it has.
func Split(ctx context.Context, r *relax.Reduced, lo, hi, L, U []float64, obj int, enough float64, o SplitOptions) (SplitResult, error) {
	if o.Nodes <= 0 {
		o.Nodes = 200
	}
	s := &splitter{r: r, lo: lo, hi: hi, obj: obj, enough: enough, o: o}
	s.open = []splitPart{{l: L, u: U, bound: math.Inf(-1)}}
	closed := math.Inf(1)
	var err error
	for len(s.open) > 0 && s.nodes < o.Nodes && !s.found {
		part := s.open[len(s.open)-1] // depth first: the dual point is near
		s.open = s.open[:len(s.open)-1]
		var bound float64
		if bound, err = s.expand(ctx, part); err != nil {
			s.open = append(s.open, part)
			break
		}
		closed = min(closed, bound)
	}
	for _, p := range s.open {
		closed = min(closed, p.bound)
	}
	return SplitResult{Bound: closed, Nodes: s.nodes, Found: s.found}, err
}

// SplitMargins is DeepMargins with Split for the classes that linear relaxation leaves open: o.Nodes limits each. Classes after one that
// stays open, or for which o.Try confirms a candidate (here a whole input), are not looked at further.
func SplitMargins(ctx context.Context, net *relax.Net, lo, hi []float64, label int, o SplitOptions) (margins []float64, found bool, err error) {
	out := net.P.Nodes[net.P.Output].N
	if len(lo) != net.P.Nodes[0].N || len(hi) != len(lo) || label < 0 || label >= out {
		return nil, false, fmt.Errorf("%w: %d and %d inputs, label %d", ErrShape, len(lo), len(hi), label)
	}
	margins = make([]float64, out)
	for j := range margins {
		margins[j] = math.Inf(-1)
	}
	margins[label] = math.Inf(1)
	b, err := reduceBox(ctx, net, lo, hi, label, margins)
	if err != nil {
		return margins, false, err
	}
	if try := o.Try; try != nil {
		x := append([]float64(nil), lo...)
		o.Try = func(z []float64) bool {
			for i, k := range b.dims {
				x[k] = min(max(z[i], lo[k]), hi[k])
			}
			return try(x)
		}
	}
	for _, j := range hardest(margins, label) {
		res, err := Split(ctx, b.r, b.lo, b.hi, b.l, b.u, objective(j, label), 0, o)
		margins[j] = max(margins[j], res.Bound)
		if err != nil || res.Found || margins[j] <= 0 {
			return margins, res.Found, err
		}
	}
	return margins, false, nil
}

// splitPart is the subset of the box on which neurons have these bounds.
type splitPart struct {
	l, u  []float64
	from  *DeepPoint
	bound float64 // of the part it was divided from
}

type splitter struct {
	r      *relax.Reduced
	lo, hi []float64
	obj    int
	enough float64
	o      SplitOptions
	open   []splitPart
	nodes  int
	found  bool
	cell   relax.Cell
	w      DeepWorker
}

// expand bounds a part and, where that is not enough, adds its parts to open. It returns the least bound of what needs no more work.
func (s *splitter) expand(ctx context.Context, part splitPart) (float64, error) {
	s.nodes++
	s.cell.Enter(s.r, s.lo, s.hi, part.l, part.u)
	if !s.cell.Neurons() {
		return math.Inf(1), nil
	}
	L, U := s.cell.Bounds()
	d, err := NewDeep(s.r, s.lo, s.hi, L, U)
	if err != nil {
		return 0, err
	}
	o := s.o.Deep
	o.Enough, o.From = &s.enough, part.from
	bound, err := s.w.Bound(ctx, d, s.obj, o)
	if bound = max(bound, part.bound); err != nil || bound > s.enough {
		return bound, err
	}
	if s.o.Try != nil && s.o.Try(s.w.Input(nil)) {
		s.found = true
		return bound, nil
	}
	q := s.w.widest(L, U)
	if q < 0 {
		return bound, nil
	}
	off := splitPart{append([]float64(nil), L...), append([]float64(nil), U...), s.w.Point(), bound}
	on := splitPart{append([]float64(nil), L...), append([]float64(nil), U...), off.from, bound}
	off.u[q], on.l[q] = 0, 0
	s.open = append(s.open, off, on)
	return math.Inf(1), nil
}

// Input appends the mean of the primal solution of the last Bound to dst: an input that the relaxation holds for bad.
func (w *DeepWorker) Input(dst []float64) []float64 {
	for i := range w.d.p {
		x := w.d.r[i] * min(max(float64(w.v[i*w.rank]), -1), 1)
		dst = append(dst, w.d.a[i]+x)
	}
	return dst
}

// widest returns the undecided neuron whose mean output is furthest above relu of its mean input, in units of the objective; −1 where
// all are decided.
func (w *DeepWorker) widest(L, U []float64) int {
	best, at := -1.0, -1
	for q := range w.d.n {
		if L[q] >= 0 || U[q] <= 0 {
			continue
		}
		z := float64(w.z[q*w.rank])
		h := w.gl[1][q] + z
		if gap := w.scale[q] * max(h-max(z, 0), 0); gap > best {
			best, at = gap, q
		}
	}
	return at
}
