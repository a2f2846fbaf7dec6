package smt

import (
	"github.com/go-air/gini"
	"github.com/go-air/gini/z"
)

// clauses is the Boolean side: a store of clauses and their unit propagation, both gini's, under a list of decisions.
//
// gini knows test scopes, but a scope opened after another keeps literals that were implied below it, and leaving a scope after
// a conflict derives clauses that nobody asked for, at level 0 too, where it cannot. So there is at most one scope, all
// decisions are assumed in it at once, and after a conflict the store is built anew. That is no great loss: propagation is not
// what takes time.
type clauses struct {
	sat  *gini.Gini
	all  [][]z.Lit // every clause, to build the store anew
	open bool      // a scope is open
	bad  bool      // the store met a conflict
	vars int
	size int     // literals in all
	lits []z.Lit // scratch

	// The trail of the last propagation: decision level and place of every variable; 0 and −1 where it holds without decisions.
	level, place []int32
	trail        []z.Lit
}

func newClauses() *clauses {
	c := &clauses{trail: make([]z.Lit, 0, 64), sat: gini.New()}
	c.fresh() // never assigned: so gini never takes an assignment for a model and checks it
	return c
}

// fresh returns the positive literal of a new variable.
func (c *clauses) fresh() z.Lit {
	c.vars++
	c.sat.Lit()
	for len(c.level) <= c.vars {
		c.level, c.place = append(c.level, 0), append(c.place, -1)
	}
	return z.Var(c.vars).Pos()
}

// build makes a store of all clauses.
func (c *clauses) build() {
	c.sat = gini.New()
	c.open, c.bad = false, false
	for range c.vars {
		c.sat.Lit()
	}
	for _, m := range c.all {
		c.put(m)
	}
}

func (c *clauses) put(m []z.Lit) {
	for _, l := range m {
		c.sat.Add(l)
	}
	c.sat.Add(z.LitNull)
}

// close leaves the scope.
func (c *clauses) close() {
	switch {
	case c.bad:
		c.build()
	case c.open:
		c.sat.Untest()
		c.open = false
	}
}

// add stores a clause, which is kept. What propagate found is void.
func (c *clauses) add(m []z.Lit) {
	c.close()
	c.all = append(c.all, m)
	c.size += len(m)
	c.put(m)
}

// propagate assigns the decisions and what follows from them. It returns true and fills the trail, or false and those decisions
// that exclude each other; none where the clauses do by themselves.
func (c *clauses) propagate(decisions []z.Lit) (ok bool, conflict []z.Lit) {
	c.close()
	c.sat.Assume(decisions...)
	res, trail := c.sat.Test(c.trail)
	c.open = true
	if res < 0 {
		c.bad = true
		return false, c.sat.Why(nil)
	}
	for v := range c.level {
		c.level[v], c.place[v] = 0, -1
	}
	c.trail = trail
	level := int32(0)
	at := make(map[z.Lit]int32, len(decisions))
	for i, d := range decisions {
		if _, twice := at[d]; !twice {
			at[d] = int32(i + 1)
		}
	}
	for i, m := range trail {
		if l, decided := at[m]; decided && len(c.reasons(m)) == 0 {
			level = l
		}
		c.level[m.Var()], c.place[m.Var()] = level, int32(i)
	}
	return true, nil
}

// reasons returns the true literals that m was propagated from; none for a decision. The slice is overwritten by the next call.
func (c *clauses) reasons(m z.Lit) []z.Lit {
	c.lits = c.sat.Reasons(c.lits, m)
	return c.lits
}

// value is +1 where m is true, −1 where it is false, 0 where it is open.
func (c *clauses) value(m z.Lit) int {
	switch {
	case c.sat.Value(m):
		return 1
	case c.sat.Value(m.Not()):
		return -1
	}
	return 0
}
