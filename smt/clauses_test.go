package smt

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-air/gini/z"
)

// holds reports whether the clauses and literals have a common model, by trying all of them.
func holds(vars int, all [][]z.Lit, lits []z.Lit) bool {
	for m := range 1 << vars {
		value := func(l z.Lit) bool { return (m>>(l.Var()-1)&1 == 1) == l.IsPos() }
		if !slices.ContainsFunc(lits, func(l z.Lit) bool { return !value(l) }) &&
			!slices.ContainsFunc(all, func(c []z.Lit) bool { return !slices.ContainsFunc(c, value) }) {
			return true
		}
	}
	return false
}

// TestClauses draws clauses, decisions and explanations in turn and compares with all models: what is propagated follows from the
// decisions of its level, reasons imply, conflicts conflict, and what an explanation is resolved to follows from it.
func TestClauses(t *testing.T) {
	rounds := uint64(3000)
	if testing.Short() {
		rounds = 300
	}
	propagated, conflicts, resolved, shorter, closed := 0, 0, 0, 0, 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(seed, 3))
		c := newClauses()
		n := 3 + r.IntN(7)
		for range n {
			c.fresh()
		}
		literal := func() z.Lit {
			l := z.Var(2 + r.IntN(n)).Pos()
			if r.IntN(2) == 0 {
				l = l.Not()
			}
			return l
		}
		several := func(k int) []z.Lit {
			var m []z.Lit
			for range k {
				m = append(m, literal())
			}
			return m
		}
		for range 12 {
			for range r.IntN(4) {
				c.add(several(1 + r.IntN(4)))
			}
			decisions := several(r.IntN(5))
			slices.Sort(decisions)
			decisions = slices.CompactFunc(decisions, func(a, b z.Lit) bool { return a.Var() == b.Var() })
			r.Shuffle(len(decisions), func(i, j int) { decisions[i], decisions[j] = decisions[j], decisions[i] })
			ok, conflict := c.propagate(decisions)
			if !ok {
				conflicts++
				if slices.ContainsFunc(conflict, func(l z.Lit) bool { return !slices.Contains(decisions, l) }) {
					t.Fatalf("seed %d: %v is said to conflict, decided are %v", seed, conflict, decisions)
				}
				if holds(c.vars, c.all, conflict) {
					t.Fatalf("seed %d: %v does not conflict with %v", seed, conflict, c.all)
				}
				if len(conflict) == 0 {
					closed++
					break
				}
				c.add(negate(conflict))
				continue
			}
			for _, d := range decisions {
				if c.value(d) != 1 {
					t.Fatalf("seed %d: decision %v is not true", seed, d)
				}
			}
			var held []z.Lit
			for v := 2; v <= c.vars; v++ {
				l := z.Var(v).Pos()
				if c.value(l) == 0 {
					continue
				}
				if c.value(l) < 0 {
					l = l.Not()
				}
				held = append(held, l)
				propagated++
				if holds(c.vars, c.all, append(slices.Clone(decisions[:c.level[v]]), l.Not())) {
					t.Fatalf("seed %d: %v does not follow from %v by %v", seed, l, decisions[:c.level[v]], c.all)
				}
				if why := c.reasons(l); len(why) > 0 && holds(c.vars, c.all, append(slices.Clone(why), l.Not())) {
					t.Fatalf("seed %d: %v does not follow from its reasons %v", seed, l, why)
				}
			}
			if len(held) == 0 {
				continue
			}
			var e []z.Lit
			for range 1 + r.IntN(4) {
				if l := held[r.IntN(len(held))]; !slices.Contains(e, l) {
					e = append(e, l)
				}
			}
			u, top := c.firstUIP(e)
			if len(u) == 0 {
				if slices.ContainsFunc(e, func(l z.Lit) bool { return c.level[l.Var()] > 0 }) {
					t.Fatalf("seed %d: %v is resolved to nothing", seed, e)
				}
				break // the search would end here
			}
			resolved++
			if len(u) < len(e) {
				shorter++
			}
			for i, l := range u {
				if level := int(c.level[l.Var()]); c.value(l) != 1 || (level == top) != (i == 0) || level == 0 || level > top {
					t.Fatalf("seed %d: literal %d of %v has level %d of %d", seed, i, u, level, top)
				}
			}
			c.add(negate(e))
			if holds(c.vars, c.all, u) {
				t.Fatalf("seed %d: %v does not follow from %v", seed, u, e)
			}
			c.add(negate(u))
			if ok, conflict := c.propagate(decisions[:top-1]); ok && c.value(u[0]) != -1 {
				t.Fatalf("seed %d: %v does not follow below its level", seed, u[0].Not())
			} else if !ok && holds(c.vars, c.all, conflict) {
				t.Fatalf("seed %d: %v does not conflict", seed, conflict)
			}
		}
	}
	t.Logf("%d literals, %d conflicts, %d of them final, %d explanations, %d shorter when resolved",
		propagated, conflicts, closed, resolved, shorter)
	if propagated < 5*int(rounds) || conflicts < int(rounds)/2 || closed < int(rounds)/20 || shorter < int(rounds)/20 {
		t.Error("too few")
	}
}
