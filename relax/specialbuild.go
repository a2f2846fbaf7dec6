package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// The nodes of a reduced network (specialize.go): rows and columns that vary, with what is constant as inputs or coefficients.

// build emits the reduced program, nil where a bound is not finite. Maps that read the input are made last, when it is known
// how many inputs there are.
func (s *specializer) build(free int) *prog.Program {
	s.nodes = []prog.Node{{Kind: prog.Input, Name: "input"}}
	var late []lateTerm
	for k := 1; k < len(s.n.P.Nodes); k++ {
		nd := &s.n.P.Nodes[k]
		rows := s.rows(k)
		if len(rows) == 0 {
			continue
		}
		switch nd.Kind {
		case prog.Affine:
			late = append(late, s.affine(k, nd, rows)...)
		case prog.Product:
			late = append(late, s.product(k, nd, rows)...)
		default:
			s.add(k, prog.Node{Kind: nd.Kind, Fn: nd.Fn, N: len(rows), Name: nd.Name, Src: s.at[nd.Src]})
		}
	}
	out := s.n.P.Output
	late = append(late, s.choose(out, allRows(s.n.P.Nodes[out].N), "output")...)
	s.nodes[0].N = len(s.lo)
	for i, v := range s.lo {
		if math.IsInf(v, 0) || math.IsInf(s.hi[i], 0) || math.IsNaN(v) || math.IsNaN(s.hi[i]) {
			return nil
		}
	}
	for _, t := range late {
		s.nodes[t.node].Terms = append(s.nodes[t.node].Terms, prog.Term{Src: 0, Map: t.linear(len(s.lo))})
	}
	p := &prog.Program{Nodes: s.nodes, Output: len(s.nodes) - 1}
	if p.Check() != nil {
		return nil
	}
	return p
}

func allRows(n int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = i
	}
	return r
}

func (s *specializer) add(k int, nd prog.Node) {
	s.nodes = append(s.nodes, nd)
	s.at[k] = len(s.nodes) - 1
}

// A lateTerm is a term of a reduced node that reads the inputs: entries (row, column, value) in row order.
type lateTerm struct {
	node int
	rows int
	ptr  []int32
	idx  []int32
	val  []float64
}

func (t *lateTerm) add(j int32, v float64) { t.idx, t.val = append(t.idx, j), append(t.val, v) }
func (t *lateTerm) end()                   { t.ptr = append(t.ptr, int32(len(t.idx))) }
func (t *lateTerm) linear(n int) prog.Linear {
	if 2*len(t.idx) > t.rows*n {
		w := make([]float64, t.rows*n)
		for i := range t.rows {
			for e := t.ptr[i]; e < t.ptr[i+1]; e++ {
				w[i*n+int(t.idx[e])] += t.val[e]
			}
		}
		return prog.Dense(t.rows, n, w)
	}
	return prog.Sparse(t.rows, n, t.ptr, t.idx, t.val)
}

// choose emits an affine node that holds the given elements of node k, fixed ones as inputs of their own.
func (s *specializer) choose(k int, rows []int, name string) []lateTerm {
	sel, any := make([]int32, len(rows)), false
	t := lateTerm{node: len(s.nodes), rows: len(rows), ptr: []int32{0}}
	for i, j := range rows {
		sel[i] = -1
		switch {
		case s.fixed[k][j] || s.idx[k][j] < 0:
			t.add(s.constant(s.b.L[k][j], s.b.U[k][j]), 1)
		case k == 0:
			t.add(s.idx[0][j], 1)
		default:
			sel[i], any = s.idx[k][j], true
		}
		t.end()
	}
	nd := prog.Node{Kind: prog.Affine, N: len(rows), Name: name}
	if any {
		nd.Terms = []prog.Term{{Src: s.at[k], Map: prog.Index(len(s.rows(k)), sel)}}
	}
	s.nodes = append(s.nodes, nd)
	if len(t.idx) == 0 {
		return nil
	}
	return []lateTerm{t}
}

// affine emits the rows of an affine node that vary: what fixed elements add to a row becomes an input of its own.
//
// Soundness of that input's interval: a row's constant part is bias + Σ w·x over fixed x ∈ c ± r; the computed centre errs by at
// most γ·(|bias| + Σ|w||c|), γ covering the coefficients' own error, and the radius is Σ|w|·r, both rounded outward.
func (s *specializer) affine(k int, nd *prog.Node, rows []int) []lateTerm {
	red := prog.Node{Kind: prog.Affine, N: len(rows), Name: nd.Name, Rel: nd.Rel}
	in := lateTerm{node: len(s.nodes), rows: len(rows), ptr: []int32{0}}
	sums := make([]rowSum, len(rows))
	if nd.Bias != nil {
		red.Bias = make([]float64, len(rows))
		for i, j := range rows {
			sums[i].c, sums[i].mag = nd.Bias[j], math.Abs(nd.Bias[j])
		}
	}
	for _, t := range nd.Terms {
		s.part(t, rows, &red, sums)
	}
	g := 2 * gamma(s.n.rowFan[k]+nd.Rel+8)
	for i := range sums {
		q := &sums[i]
		for e, c := range q.idx {
			in.add(c, q.val[e])
		}
		switch {
		case q.touched:
			r := q.r + g*(q.mag+q.r) + 1e-300
			r += r * 4 * unit
			in.add(s.constant(down(q.c-r), up(q.c+r)), 1)
		case nd.Bias != nil:
			red.Bias[i] = q.c
		}
		in.end()
	}
	s.add(k, red)
	if len(in.idx) == 0 {
		return nil
	}
	return []lateTerm{in}
}

// A rowSum collects a row of a reduced affine node: its entries on free inputs, and centre, radius and magnitude of what is
// constant; touched says that something besides the bias is.
type rowSum struct {
	idx       []int32
	val       []float64
	c, r, mag float64
	touched   bool
}

// part adds a term to the reduced node: its entries in the given rows, those on fixed elements to the rows' constants.
func (s *specializer) part(t prog.Term, rows []int, red *prog.Node, sums []rowSum) {
	fixed, idx := s.fixed[t.Src], s.idx[t.Src]
	m := s.n.P.Nodes[t.Src].N
	s.sc.c, s.sc.r = grow(s.sc.c, m), grow(s.sc.r, m)
	varies := false
	for j, fx := range fixed {
		varies = varies || !fx
		if fx {
			s.sc.c[j], s.sc.r[j] = centreRadius(s.value(t.Src, j))
		}
	}
	row := prog.RowReader(t.Map)
	if !varies {
		for i, j := range rows {
			row(j, func(j int, v float64) { sums[i].constant(v, s.sc.c[j], s.sc.r[j]) })
		}
		return
	}
	fan, _ := t.Map.Fan()
	sub := lateTerm{rows: len(rows), ptr: []int32{0}}
	if t.Src != 0 {
		sub.idx, sub.val = make([]int32, 0, fan*len(rows)), make([]float64, 0, fan*len(rows))
	}
	for i, j := range rows {
		q := &sums[i]
		row(j, func(j int, v float64) {
			switch {
			case v == 0:
			case fixed[j]:
				q.constant(v, s.sc.c[j], s.sc.r[j])
			case t.Src == 0:
				q.idx, q.val = append(q.idx, idx[j]), append(q.val, v)
			default:
				sub.add(idx[j], v)
			}
		})
		sub.end()
	}
	if len(sub.idx) > 0 {
		src := s.at[t.Src]
		red.Terms = append(red.Terms, prog.Term{Src: src, Map: sub.linear(s.nodes[src].N)})
	}
}

// constant adds v times a value in c ± r.
func (q *rowSum) constant(v, c, r float64) {
	if v == 0 || c == 0 && r == 0 {
		return
	}
	q.touched = true
	q.c += v * c
	q.mag += math.Abs(v * c)
	q.r += math.Abs(v) * r
}

// value returns the interval of a fixed element as its readers see it.
func (s *specializer) value(k, j int) (lo, hi float64) {
	if s.n.P.Nodes[k].Kind == prog.Relu && s.b.U[s.n.P.Nodes[k].Src][j] <= 0 {
		return 0, 0
	}
	return s.b.L[k][j], s.b.U[k][j]
}

// product emits a product's elements that vary: affine where one factor is a constant known to a few units in the last place.
func (s *specializer) product(k int, nd *prog.Node, rows []int) []lateTerm {
	x, y := nd.Src, nd.Src2
	if d, rel, ok := s.factors(y, rows); ok {
		return s.scale(k, x, rows, d, rel)
	}
	if d, rel, ok := s.factors(x, rows); ok {
		return s.scale(k, y, rows, d, rel)
	}
	late := s.choose(x, rows, nd.Name)
	xs := len(s.nodes) - 1
	late = append(late, s.choose(y, rows, nd.Name)...)
	s.add(k, prog.Node{Kind: prog.Product, N: len(rows), Name: nd.Name, Src: xs, Src2: len(s.nodes) - 1})
	return late
}

// maxFactorRel is the largest relative error, in units of 2⁻⁵³, with which a constant factor becomes a coefficient.
const maxFactorRel = 32

// factors returns the constants that the given elements of node k are, if all are known well enough.
func (s *specializer) factors(k int, rows []int) (d []float64, rel int, ok bool) {
	d = make([]float64, len(rows))
	for i, j := range rows {
		if !s.fixed[k][j] {
			return nil, 0, false
		}
		l, u := s.value(k, j)
		c, r := centreRadius(l, u)
		if d[i] = c; r > 0 {
			q := math.Ceil(r/math.Abs(c)/unit) + 1
			if !(q <= maxFactorRel) || !(math.Abs(c) > 1e-100) {
				return nil, 0, false
			}
			rel = max(rel, int(q))
		}
		if !(math.Abs(c) < 1e100) {
			return nil, 0, false
		}
	}
	return d, rel, true
}

// scale emits diag(d)·(elements of node k).
func (s *specializer) scale(k, src int, rows []int, d []float64, rel int) []lateTerm {
	t := lateTerm{node: len(s.nodes), rows: len(rows), ptr: []int32{0}}
	for i, j := range rows {
		if s.idx[src][j] >= 0 && d[i] != 0 {
			t.add(s.idx[src][j], d[i])
		}
		t.end()
	}
	nd := prog.Node{Kind: prog.Affine, N: len(rows), Name: s.n.P.Nodes[k].Name, Rel: rel}
	if src == 0 {
		s.add(k, nd)
		return []lateTerm{t}
	}
	nd.Terms = []prog.Term{{Src: s.at[src], Map: t.linear(s.nodes[s.at[src]].N)}}
	s.add(k, nd)
	return nil
}
