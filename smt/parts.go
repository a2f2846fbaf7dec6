package smt

import (
	"context"
	"slices"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/relax"
)

// A part is a piece of the box with bounds of its own: the box itself, or what literals leave of it.
type part struct {
	frame  *relax.Frame
	lo, hi []float64 // by neuron
	why    []end     // the literals that describe it: atoms, phases, a row
}

// An end is an end of an input's interval and the atom that put it there, or, where input is −1, another literal of a part.
type end struct {
	lit   z.Lit
	input int
	upper bool
}

func (s *search) top() *part { return s.parts[len(s.parts)-1] }

// partOf copies what evaluations need of a frame.
func (s *search) partOf(f *relax.Frame, why []end) *part {
	p := &part{frame: f, why: why, lo: make([]float64, len(s.neurons)), hi: make([]float64, len(s.neurons))}
	for i, n := range s.neurons {
		src := f.Net.P.Nodes[n.Act].Src
		p.lo[i], p.hi[i] = f.B.L[src][n.Elem], f.B.U[src][n.Elem]
	}
	return p
}

// contradictory is the reason of a search that met bounds excluding each other on a box.
const contradictory = "internal error: contradictory bounds"

// narrow bounds the neurons anew where atoms have made the box smaller since it was last done. It returns an explanation when the
// bounds exclude each other; where nothing but atoms is behind them, the part has points, and that is a defect and no proof.
func (s *search) narrow(ctx context.Context) []z.Lit {
	top := s.top()
	if slices.Equal(s.set.inLo, top.frame.Box.Lo) && slices.Equal(s.set.inHi, top.frame.Box.Hi) {
		return nil
	}
	n := s.q.Frame.Net
	b := n.NewBounds()
	b.Copy(top.frame.B)
	f := n.NewFrame(relax.Box{Lo: slices.Clone(s.set.inLo), Hi: slices.Clone(s.set.inHi)}, b, s.q.Frame.S)
	f.SetBox()
	why := slices.Clone(s.ends)
	for _, w := range top.why {
		if w.input < 0 {
			why = append(why, w)
		}
	}
	return s.push(f, n.Forward(f) && n.Crown(ctx, s.pool, f, relax.Tightening{}), why)
}

// refine bounds the neurons that matter most to a row anew, on the inputs that satisfy the decided phases and the row: every
// decided phase and the row become reasons.
func (s *search) refine(ctx context.Context, l *look) []z.Lit {
	top := s.top()
	h := &s.warm[l.row]
	why := []end{{s.row[l.row], -1, false}}
	for _, w := range top.why {
		if w.input >= 0 {
			why = append(why, w)
		}
	}
	decided, at := s.splits()
	beta := make([]float32, len(at))
	for k, j := range at {
		why = append(why, end{s.phaseLit(j, s.set.sign[j]), -1, false})
		beta[k] = h.beta[j]
	}
	for _, w := range top.why {
		if w.input < 0 && !slices.Contains(why, w) {
			why = append(why, w)
		}
	}
	f, ok := top.frame.Sub(ctx, s.pool, relax.Tightening{Alpha: refineSteps, Splits: decided,
		Refute: &relax.Refutation{Row: s.rows[l.row], From: top.frame, Alpha: h.alpha, Beta: beta, Bound: s.bounds[l.row],
			Only: s.important(l)}})
	if ok {
		h.alpha = top.frame.MapAlpha(f, h.alpha)
		h.frame = f
	}
	return s.push(f, ok, why)
}

const (
	refineSteps = 6   // ascent steps per inner row of a part
	leastShare  = 0.1 // of the largest possible error of a neuron, from which on it is bounded anew
)

// important lists, per node, the neurons that can cost the row's bound the most.
func (s *search) important(l *look) [][]int32 {
	rows := make([][]int32, len(s.q.Frame.Net.P.Nodes))
	most := 0.0
	s.w.EachOpen(s.top().frame, l.lane, func(o relax.Open) { most = max(most, o.Intercept) })
	s.w.EachOpen(s.top().frame, l.lane, func(o relax.Open) {
		if o.Intercept > 0 && o.Intercept >= leastShare*most {
			src := s.q.Frame.Net.P.Nodes[o.Act].Src
			rows[src] = append(rows[src], o.Elem)
		}
	})
	return rows
}

// crossed reports whether the bounds of some neuron exclude each other: a decided phase can do that to one that is not bounded
// anew.
func (s *search) crossed(f *relax.Frame) bool {
	for _, n := range s.neurons {
		src := f.Net.P.Nodes[n.Act].Src
		if f.B.L[src][n.Elem] > f.B.U[src][n.Elem] {
			return true
		}
	}
	return false
}

// push makes a part of f, or explains why it is empty.
func (s *search) push(f *relax.Frame, ok bool, why []end) []z.Lit {
	s.out.Parts++
	if !ok || s.crossed(f) {
		proof := false
		var e []z.Lit
		for _, w := range why {
			proof = proof || w.input < 0
			e = append(e, w.lit)
		}
		if !proof {
			s.fault = contradictory
		}
		return e
	}
	s.keepInactive(f)
	s.parts = append(s.parts, s.partOf(f, why))
	return nil
}

// keepInactive makes neurons that are inactive in the whole box inactive in f. A neuron whose input can only be 0 in f would be
// taken for active there, and its multiplier, which is not kept, would be wrong elsewhere.
func (s *search) keepInactive(f *relax.Frame) {
	root := s.q.Frame.B
	for _, k := range f.Net.Pre {
		changed := false
		for j, u := range root.U[k] {
			if u <= 0 && root.L[k][j] < 0 && f.B.L[k][j] >= 0 {
				f.B.L[k][j] = root.L[k][j]
				changed = true
			}
		}
		if changed {
			f.Refresh(k)
		}
	}
}
