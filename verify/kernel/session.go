package kernel

import (
	"crypto/sha256"
	"math"
	"math/big"
)

// This file is for writers of proofs, who ask what pieces prove before they put them together. Check uses none of it.

// Cases returns the box of every case, −1 for cases that are empty, and the number of rows.
func (p *Problem) Cases() (boxes, rows []int) {
	for _, c := range p.cases {
		boxes, rows = append(boxes, c.box), append(rows, len(c.rows))
	}
	return boxes, rows
}

// Hashes returns the SHA-256 of model and question.
func (p *Problem) Hashes() (model, question [sha256.Size]byte) { return p.hashes[0], p.hashes[1] }

// Root returns the interval bounds over a box.
func (p *Problem) Root(box int) (b *Bounds, err error) {
	defer door(&err)
	return p.net.root(p.boxes[box].lo, p.boxes[box].hi, p.Semantics == 1), nil
}

// Interval returns numbers near the bounds before element j of Relu r, or of input j for r = −1. They serve heuristics.
func (b *Bounds) Interval(r, j int) (lo, hi float64) {
	k := 0
	if r >= 0 {
		k = b.fr.net.nodes[b.fr.net.relus[r]].src
	}
	return math.Ldexp(float64(b.lo[k][j]), -b.fr.exp[k]), math.Ldexp(float64(b.hi[k][j]), -b.fr.exp[k])
}

// Fresh returns bounds whose nodes are narrowed by those of the input, as every node of a proof but splits and clips finds them.
func (b *Bounds) Fresh() (nb *Bounds, err error) {
	defer door(&err)
	return b.fresh(), nil
}

// IsEmpty reports whether the bounds contradict each other.
func (b *Bounds) IsEmpty() bool { return b.empty }

// SplitInput returns the bounds of one child of a split of input d at num·2^-exp.
func (b *Bounds) SplitInput(d int, num int64, exp int, above bool) (child *Bounds, err error) {
	defer door(&err)
	return b.splitInput(d, scaled(big.NewInt(num), exp), above), nil
}

// A Target names what a tree is for: Case, or if Relu ≥ 0 the bound of one side of an element, in Case or, if that is −1,
// without rows.
type Target struct{ Case, Relu, Elem, Side int }

// A Session lets a writer of proofs ask what pieces prove. It is not safe for concurrent use.
type Session struct {
	e     *evaluator
	goals []*goal // per case
	size  []int
}

// NewSession returns a session on p. It fails where a row has numbers that no proof could use.
func (p *Problem) NewSession() (s *Session, err error) {
	defer door(&err)
	s = newSession(p.net)
	for _, c := range p.cases {
		s.goals = append(s.goals, refute(c.rows))
	}
	return s, nil
}

func newSession(n *network) *Session {
	s := &Session{e: newEvaluator(n, &budget{limit: math.MaxInt64})}
	for _, k := range n.relus {
		s.size = append(s.size, n.nodes[k].n)
	}
	return s
}

// Sizes returns the number of elements of every Relu of the session's network.
func (s *Session) Sizes() []int { return s.size }

// Reduce returns a session on the network that remains for case c on the set that b describes, whose only case is that one, and the
// bounds there.
func (s *Session) Reduce(b *Bounds, c int) (r *Session, nb *Bounds, err error) {
	defer door(&err)
	n, nb, g := s.e.reduce(b.fresh(), s.goals[c], 0)
	r = newSession(n)
	r.goals = []*goal{g}
	return r, nb, nil
}

func (s *Session) walk(t Target, data []byte) (*walker, *goal) {
	w, g := &walker{in: &reader{data: data}, eval: s.e}, &goal{}
	s.e.plane, s.e.into = nil, nil
	if s.e.budget.work = 0; t.Case >= 0 {
		g = s.goals[t.Case]
	}
	if t.Relu >= 0 {
		k := s.e.net.nodes[s.e.net.relus[t.Relu]].src
		g = &goal{rows: g.rows, bound: sideOf(k, t.Elem, t.Side), node: k}
	}
	return w, g
}

// Tree returns a number near what the last leaf of the encoded tree proves for t on the set that b describes: a lower bound of the
// named side (of minus the element for the upper one) or of the weighted rows of a case. Without an error all leaves do what they must.
func (s *Session) Tree(b *Bounds, t Target, data []byte) (v float64, err error) {
	w, g := s.walk(t, data)
	defer func() { v = w.value.float() }()
	defer door(&err)
	w.tree(b, g, 0, 0)
	return 0, nil
}

// Clip returns b narrowed by encoded multipliers of rows and Relus of case c.
func (s *Session) Clip(b *Bounds, c int, data []byte) (nb *Bounds, err error) {
	defer door(&err)
	w, g := s.walk(Target{Case: c, Relu: -1}, data)
	return w.clip(b, g), nil
}

// Form returns the form that encoded multipliers of rows and Relus prove for case c: its coefficients and its least value.
func (s *Session) Form(b *Bounds, c int, data []byte) (form []float64, least float64, err error) {
	defer door(&err)
	w, g := s.walk(Target{Case: c, Relu: -1}, data)
	o, _ := w.objective(g, nil)
	w.evaluate(b.fresh(), o)
	form = make([]float64, s.e.net.nodes[0].n)
	if s.e.used[0] {
		for d, a := range s.e.acc[0] {
			form[d] = math.Ldexp(a.float(), -s.e.exp[0])
		}
	}
	return form, w.value.float(), nil
}

// Lean returns b narrowed by an encoded node of that kind, without its kind, for case c.
func (s *Session) Lean(b *Bounds, c int, data []byte) (nb *Bounds, err error) {
	defer door(&err)
	w, g := s.walk(Target{Case: c, Relu: -1}, data)
	return w.lean(b.fresh(), g, 0, 0), nil
}

// Rank says of every element of every Relu how much its bounds may matter for case c on the set that b describes: the size of its
// triangle times the weight with which it reaches the rows. Numbers of one Relu compare with each other only.
func (s *Session) Rank(b *Bounds, c int) [][]float64 {
	n := s.e.net
	weight := make([][]float64, len(n.nodes))
	for k := range weight {
		weight[k] = make([]float64, n.nodes[k].n)
	}
	for _, r := range s.goals[c].rows {
		for _, sd := range r.seeds {
			v, _ := sd.c.Float64()
			weight[sd.node][sd.elem] += math.Abs(v)
		}
	}
	rank := make([][]float64, len(n.relus))
	for k := len(n.nodes) - 1; k >= 0; k-- {
		nd := &n.nodes[k]
		for i := range nd.terms {
			t := &nd.terms[i]
			unit := math.Ldexp(1, -t.w.exp)
			for _, r := range t.runs {
				for x := range r.n {
					weight[t.src][r.in+x*r.si] += math.Abs(float64(t.w.v[r.w+x*r.sw])) * unit * weight[k][r.out+x*r.so]
				}
			}
		}
		if nd.kind == relu {
			rank[nd.relu] = make([]float64, nd.n)
			for j, w := range weight[k] {
				lo, hi := b.Interval(nd.relu, j)
				if hi > 0 {
					weight[nd.src][j] += w
				}
				if hi > 0 && lo < 0 {
					rank[nd.relu][j] = w * -lo * hi / (hi - lo)
				}
			}
		}
	}
	return rank
}

// Bounds returns b narrowed by encoded bounds, which may use the rows of case c (−1: none).
func (s *Session) Bounds(b *Bounds, c int, data []byte) (nb *Bounds, err error) {
	defer door(&err)
	w, g := s.walk(Target{Case: c, Relu: -1}, data)
	return w.bounds(b.fresh(), g.rows, 0, 0), nil
}
