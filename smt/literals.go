package smt

import (
	"slices"
	"sort"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// literals is the table between Boolean variables and what they mean.
type literals struct {
	neurons []relax.Split // ReLUs of open sign in the whole box that the output depends on; Sign is not used
	index   [][]int32     // by Relu node and element: place in neurons, −1
	phase   []z.Lit       // by neuron: z ≥ 0; its negation is z ≤ 0

	atoms [][]atom // by input, thresholds ascending

	rows     []*spec.Row // distinct rows of the cases
	row      []z.Lit     // by row: it holds
	cases    [][]int     // by case: its rows
	selector []z.Lit     // by case: it is the one that holds
}

// An atom is the literal x_i ≤ t; its negation is x_i ≥ t.
type atom struct {
	t   float64
	lit z.Lit
}

// declare makes the literals of a query, and the clauses between cases and rows.
func declare(q *Query, c *clauses) *literals {
	f := q.Frame
	p := f.Net.P
	l := &literals{index: make([][]int32, len(p.Nodes)), atoms: make([][]atom, len(f.Box.Lo)), cases: make([][]int, len(q.Cases))}
	needed := ancestors(p)
	for k := range p.Nodes {
		nd := &p.Nodes[k]
		if nd.Kind != prog.Relu {
			continue
		}
		l.index[k] = make([]int32, nd.N)
		for j := range l.index[k] {
			l.index[k][j] = -1
			if needed[k] && f.B.L[nd.Src][j] < 0 && f.B.U[nd.Src][j] > 0 {
				l.index[k][j] = int32(len(l.neurons))
				l.neurons = append(l.neurons, relax.Split{Act: int32(k), Elem: int32(j)})
				l.phase = append(l.phase, c.fresh())
			}
		}
	}
	some := make([]z.Lit, len(q.Cases))
	for i := range q.Cases {
		d := c.fresh()
		l.selector, some[i] = append(l.selector, d), d
		for j := range q.Cases[i].Rows {
			r := l.rowOf(&q.Cases[i].Rows[j], c)
			if !slices.Contains(l.cases[i], r) {
				l.cases[i] = append(l.cases[i], r)
				c.add([]z.Lit{d.Not(), l.row[r]})
			}
		}
	}
	c.add(some)
	return l
}

// ancestors marks the nodes that the output depends on.
func ancestors(p *prog.Program) []bool {
	m := make([]bool, len(p.Nodes))
	m[p.Output] = true
	for k := p.Output; k > 0; k-- {
		if !m[k] {
			continue
		}
		if p.Nodes[k].Kind != prog.Affine {
			m[p.Nodes[k].Src] = true
		}
		for _, t := range p.Nodes[k].Terms {
			m[t.Src] = true
		}
	}
	return m
}

// rowOf returns the number of a row. Rows with the same left-hand side imply each other in the order of their right-hand sides.
func (l *literals) rowOf(row *spec.Row, c *clauses) int {
	for i, o := range l.rows {
		if sameLeft(row, o) && row.RHSLower == o.RHSLower && row.RHSUpper == o.RHSUpper && row.Strict == o.Strict {
			return i
		}
	}
	m := c.fresh()
	for i, o := range l.rows {
		if !sameLeft(row, o) {
			continue
		}
		if implies(row, o) {
			c.add([]z.Lit{m.Not(), l.row[i]})
		} else if implies(o, row) {
			c.add([]z.Lit{l.row[i].Not(), m})
		}
	}
	l.rows, l.row = append(l.rows, row), append(l.row, m)
	return len(l.rows) - 1
}

// sameLeft reports whether two rows have the same exact coefficients.
func sameLeft(a, b *spec.Row) bool {
	exact := func(c []spec.Coef) bool { return !slices.ContainsFunc(c, func(c spec.Coef) bool { return c.Err != 0 }) }
	return slices.Equal(a.X, b.X) && slices.Equal(a.Y, b.Y) && exact(a.X) && exact(a.Y)
}

// implies reports whether a implies b, given that their left-hand sides are the same.
func implies(a, b *spec.Row) bool {
	return a.RHSUpper < b.RHSLower || a.RHSUpper == b.RHSLower && (a.Strict || !b.Strict)
}

// atom returns the literal x_i ≤ t. A new one is put in order with its neighbours: x_i ≤ t implies x_i ≤ t' for t < t'. An input
// that is t itself counts as x_i ≤ t there, so the implications lose no input.
func (l *literals) atom(i int, t float64, c *clauses) z.Lit {
	a := l.atoms[i]
	k := sort.Search(len(a), func(k int) bool { return a[k].t >= t })
	if k < len(a) && a[k].t == t {
		return a[k].lit
	}
	m := c.fresh()
	if k > 0 {
		c.add([]z.Lit{a[k-1].lit.Not(), m})
	}
	if k < len(a) {
		c.add([]z.Lit{m.Not(), a[k].lit})
	}
	l.atoms[i] = slices.Insert(a, k, atom{t, m})
	return m
}
