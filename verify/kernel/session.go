package kernel

import (
	"crypto/sha256"
	"math"
	"math/big"
)

// This file is for writers of proofs, who ask what pieces prove before they put them together. Check uses none of it.

// Sizes returns the number of elements of every Relu.
func (p *Problem) Sizes() (n []int) {
	for _, k := range p.net.relus {
		n = append(n, p.net.nodes[k].n)
	}
	return n
}

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
	p *Problem
	e *evaluator
}

// NewSession returns a session on p.
func (p *Problem) NewSession() *Session { return &Session{p, newEvaluator(p.net, math.MaxInt64)} }

func (s *Session) walk(t Target, data []byte) (*walker, *goal) {
	w, g := &walker{in: &reader{data: data}, eval: s.e}, &goal{}
	if s.e.work = 0; t.Case >= 0 {
		g.rows = s.p.cases[t.Case].rows
	}
	if t.Relu >= 0 {
		g.bound = sideOf(s.p.net.nodes[s.p.net.relus[t.Relu]].src, t.Elem, t.Side)
	}
	return w, g
}

// Tree returns what the encoded tree proves for t on the set that b describes: a lower bound of the named side (of minus
// the element for the upper one), nil when all leaves are empty; for a case just no error.
func (s *Session) Tree(b *Bounds, t Target, data []byte) (v *big.Rat, err error) {
	defer door(&err)
	w, g := s.walk(t, data)
	return w.tree(b, g, 0, 0), nil
}

// Bounds returns b narrowed by encoded bounds, which may use the rows of case c (−1: none).
func (s *Session) Bounds(b *Bounds, c int, data []byte) (nb *Bounds, err error) {
	defer door(&err)
	w, g := s.walk(Target{Case: c, Relu: -1}, data)
	return w.bounds(b, g.rows, 0, 0), nil
}
