package prog

import (
	"math"
	"slices"
)

// Simplify returns a program with fewer and cheaper nodes whose output agrees with p's, as real functions, at every
// output element for which keep is true (nil: all of them); the other output elements may be anything. The input and the
// output keep their lengths, nodes in between are renumbered, and p is not changed; maps are
// shared. It panics if keep has another length than the output.
//
// It drops nodes that the output does not need, stores dense maps with few nonzeros sparsely, folds permutations,
// selections and scalings (at most one nonzero per row) into the neighbouring map, and keeps only the needed rows where
// few are needed. No rewrite adds coefficients up. Coefficients that are multiplied are rounded, and a bias that passes
// through a map is summed in twice the working precision; Node.Rel grows accordingly, and a fold whose error cannot be
// bounded by a small Rel is left undone.
//
// The result stands for the same real function. A fold that cannot carry what a binary32 execution rounds (Node.Rounding) is left
// undone as well, so that the result's Rounding covers the executions of p.
//
// Sound because every rewrite is an identity between real maps for the true coefficients, and each stored coefficient
// differs from its true value by at most Rel·2⁻⁵³ of itself (relProduct, biasSum.result).
func Simplify(p *Program, keep []bool) *Program {
	if keep != nil && len(keep) != p.Nodes[p.Output].N {
		panic("prog: Simplify: keep has the wrong length")
	}
	s := &simplifier{nodes: slices.Clone(p.Nodes), out: p.Output, binary32: p.Binary32}
	for k := range s.nodes {
		s.nodes[k].Terms = slices.Clone(s.nodes[k].Terms)
	}
	s.sparsify()
	for s.dropDead(); s.foldAll(); s.dropDead() {
	}
	if keep != nil {
		s.restrict(keep)
		s.sparsify()
	}
	return s.compact()
}

// A simplifier holds the nodes being rewritten. Indices stay fixed until compact; dead nodes have no terms.
type simplifier struct {
	nodes []Node
	out   int
	// binary32 is the program's.
	binary32 bool
	uses     []int  // references to each node, the output's included
	solid    []bool // nodes that something other than an affine node refers to
}

// sources calls f with a pointer to every reference of a node.
func (n *Node) sources(f func(src *int)) {
	switch n.Kind {
	case Affine:
		for t := range n.Terms {
			f(&n.Terms[t].Src)
		}
	case Product:
		f(&n.Src)
		f(&n.Src2)
	case Relu, Sigmoid, Curve:
		f(&n.Src)
	}
}

// reachable marks the nodes that the output depends on, and the input.
func (s *simplifier) reachable() []bool {
	live := make([]bool, len(s.nodes))
	live[0], live[s.out] = true, true
	for k := len(s.nodes) - 1; k > 0; k-- {
		if live[k] {
			s.nodes[k].sources(func(src *int) { live[*src] = true })
		}
	}
	return live
}

// dropDead empties unreachable nodes and counts the references among the others.
func (s *simplifier) dropDead() {
	live := s.reachable()
	s.uses, s.solid = make([]int, len(s.nodes)), make([]bool, len(s.nodes))
	s.uses[s.out], s.solid[s.out] = 1, true
	for k := range s.nodes {
		n := &s.nodes[k]
		if !live[k] {
			n.Kind, n.Terms, n.Bias = Affine, nil, nil
			continue
		}
		n.sources(func(src *int) {
			s.uses[*src]++
			s.solid[*src] = s.solid[*src] || n.Kind != Affine
		})
	}
}

// compact removes unreachable nodes and renumbers.
func (s *simplifier) compact() *Program {
	live := s.reachable()
	at := make([]int, len(s.nodes))
	var out []Node
	for k, n := range s.nodes {
		if live[k] {
			n.sources(func(src *int) { *src = at[*src] })
			at[k] = len(out)
			out = append(out, n)
		}
	}
	return &Program{Nodes: out, Output: at[s.out], Binary32: s.binary32}
}

// sparsify replaces dense maps of which less than a quarter is nonzero.
func (s *simplifier) sparsify() {
	for k := range s.nodes {
		for t := range s.nodes[k].Terms {
			m := &s.nodes[k].Terms[t].Map
			if d, ok := (*m).(*denseMap); ok && d.nonzeros() < len(d.w)/4 {
				*m = toSparse(d)
			}
		}
	}
}

func (d *denseMap) nonzeros() int {
	n := 0
	for _, v := range d.w {
		if v != 0 {
			n++
		}
	}
	return n
}

// foldAll tries every fold once and reports whether any was made. It ends because every fold either removes a node or
// moves a reference nearer to the input.
func (s *simplifier) foldAll() bool {
	changed := false
	for k := range s.nodes {
		n := &s.nodes[k]
		if n.Kind != Affine {
			if k > 0 {
				n.sources(func(src *int) { changed = s.skipCopy(src) || changed })
			}
			continue
		}
		for t := 0; t < len(n.Terms); t++ {
			if s.foldTerm(k, t) {
				changed = true
				s.dropDead()
				break
			}
		}
	}
	return s.skipCopy(&s.out) || changed
}

// skipCopy redirects a reference to a node that is a mere copy of another.
func (s *simplifier) skipCopy(src *int) bool {
	n := &s.nodes[*src]
	if n.Kind != Affine || len(n.Terms) != 1 || n.Rel != 0 || n.Rounding.Steps != 0 || !isZero(n.Bias) {
		return false
	}
	if q, ok := asMono(n.Terms[0].Map); !ok || !q.isIdentity() {
		return false
	}
	*src = n.Terms[0].Src
	s.dropDead()
	return true
}

func isZero(b []float64) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// foldTerm merges term t of affine node k with the affine node it reads, if one of the two maps has at most one nonzero
// per row and every error stays within relLimit.
func (s *simplifier) foldTerm(k, t int) bool {
	n := &s.nodes[k]
	a := &s.nodes[n.Terms[t].Src]
	if a.Kind != Affine {
		return false
	}
	var terms []Term
	var round Rounding
	exact, carried := true, false
	add := func(src int, c composed, ok bool) bool {
		terms, exact = append(terms, Term{src, c.m}), exact && c.exact
		return ok
	}
	if q, ok := asMono(n.Terms[t].Map); ok && s.uses[n.Terms[t].Src] == 1 {
		if round, carried = foldRounding(n, a, q, false); !carried {
			return false
		}
		for _, at := range a.Terms {
			c, ok := q.after(at.Map)
			if !add(at.Src, c, ok) {
				return false
			}
		}
	} else if q, ok := s.monoNode(n.Terms[t].Src); ok {
		if round, carried = foldRounding(n, a, q, true); !carried {
			return false
		}
		c, ok := q.before(n.Terms[t].Map)
		if !add(a.Terms[0].Src, c, ok) {
			return false
		}
	} else {
		return false
	}
	rel := relProduct(n.Rel, a.Rel, exact)
	if len(n.Terms) > 1 {
		rel = max(rel, n.Rel)
	}
	bias, biasRel, ok := passBias(n, t, a, &round)
	if rel = max(rel, biasRel); !ok || rel > relLimit {
		return false
	}
	n.Terms = slices.Concat(n.Terms[:t], terms, n.Terms[t+1:])
	n.Bias, n.Rel, n.Rounding = bias, rel, round
	return true
}

// monoNode returns the map of a node that is a single term with at most one nonzero per row and that only affine nodes
// read, so that folding it into all of them makes it disappear.
func (s *simplifier) monoNode(k int) (*mono, bool) {
	if n := &s.nodes[k]; s.solid[k] || len(n.Terms) != 1 {
		return nil, false
	}
	return asMono(s.nodes[k].Terms[0].Map)
}

// passWork bounds the number of map entries that a fold may walk to pass a bias through it.
const passWork = 1 << 24

// passBias returns the bias of n after its term t has absorbed node a: n.Bias + Map·a.Bias, with its relative error. Where the node
// rounds, round receives the magnitudes of what was added up.
func passBias(n *Node, t int, a *Node, round *Rounding) (bias []float64, rel int, ok bool) {
	if isZero(a.Bias) && a.Rounding.BiasMag == nil {
		round.BiasMag = n.Rounding.BiasMag
		if isZero(n.Bias) {
			return nil, 0, true
		}
		return n.Bias, n.Rel, true
	}
	m, isOurs := n.Terms[t].Map.(adjoint)
	if !isOurs {
		return nil, 0, false
	}
	if fan, _ := m.Fan(); fan*n.N > passWork {
		return nil, 0, false
	}
	bias = make([]float64, n.N)
	if round.Steps > 0 {
		round.BiasMag = make([]float64, n.N)
	}
	product := relProduct(n.Rel, a.Rel, true)
	for i := range bias {
		var sum biasSum
		if n.Bias != nil {
			sum.add(1, n.Bias[i], n.Rel)
		}
		mag := n.biasMag(i)
		m.row(i, func(j int, v float64) {
			if a.Bias != nil {
				sum.add(v, a.Bias[j], product)
			}
			mag += math.Abs(v) * a.biasMag(j)
		})
		if round.BiasMag != nil {
			round.BiasMag[i] = mag * (1 + 0x1p-30) // of the roundings of this sum, whose length is below 2²⁰
		}
		r := 0
		if bias[i], r, ok = sum.result(); !ok {
			return nil, 0, false
		}
		rel = max(rel, r)
	}
	return bias, rel, true
}
