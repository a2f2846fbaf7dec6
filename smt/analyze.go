package smt

import (
	"slices"

	"github.com/go-air/gini/z"
)

// A conflict is resolved to what follows from it: literals that exclude each other, one of them alone on the highest level.
//
// firstUIP replaces literals of the highest level by the reasons they were propagated from, the latest first, until one of that
// level is left: the first unique implication point (Marques-Silva and Sakallah, GRASP, 1999; Moskewicz et al., Chaff, 2001). e
// holds true literals of the last propagation; those that hold without decisions are left out of the result. top is the highest
// level, that of the result's first literal: its negation follows as soon as that decision is undone.
//
// The search goes back by that decision only, not as far as the negation would follow (chronological backtracking: Nadel and
// Ryvchin, SAT 2018). Decisions in between were chosen for reasons that still hold; dropping them made trees of boxes several
// times as large.
func (c *clauses) firstUIP(e []z.Lit) (lits []z.Lit, top int) {
	for _, m := range e {
		top = max(top, int(c.level[m.Var()]))
	}
	if top == 0 {
		return nil, 0
	}
	seen := make([]bool, c.vars+1)
	var heap []z.Lit // literals of the highest level to be resolved, by place
	below := []z.Lit{z.LitNull}
	visit := func(m z.Lit) {
		v := m.Var()
		switch l := int(c.level[v]); {
		case seen[v] || l == 0:
		case l == top:
			heap = append(heap, m)
		default:
			below = append(below, m)
		}
		seen[v] = true
	}
	for _, m := range e {
		visit(m)
	}
	for len(heap) > 1 {
		last := 0
		for i, m := range heap {
			if c.place[m.Var()] > c.place[heap[last].Var()] {
				last = i
			}
		}
		m := heap[last]
		heap = slices.Delete(heap, last, last+1)
		for _, r := range c.reasons(m) {
			visit(r)
		}
	}
	below[0] = heap[0]
	return below, top
}

// highest returns the level of the last decision listed, 0 for none.
func highest(decisions, conflict []z.Lit) (top int) {
	for i, d := range decisions {
		if slices.Contains(conflict, d) {
			top = i + 1
		}
	}
	return top
}

// negate returns the clause that excludes e.
func negate(e []z.Lit) []z.Lit {
	m := make([]z.Lit, len(e))
	for i, l := range e {
		m[i] = l.Not()
	}
	return m
}
