package smt

import (
	"context"
	"slices"

	"github.com/go-air/gini/z"
)

const (
	maxAtomInputs = 10      // varying inputs up to which inputs are split at all
	maxRecent     = 3       // multipliers kept per row
	minWidth      = 0x1p-16 // of an interval that is split, as a part of the box's
)

// check looks at the present set with the theory, cheapest first: bounds that cross, multipliers of earlier nodes, an ascent,
// phases tried on both sides, and a linear program where every phase is decided. It returns explanations (literals that exclude
// each other) and a literal to decide next, 0 where there is none or where it pays to look at what the explanations imply
// first.
func (s *search) check(ctx context.Context) (found [][]z.Lit, next z.Lit) {
	if e := s.crossing(); e != nil {
		return [][]z.Lit{e}, z.LitNull
	}
	c, rows := s.targets()
	if len(rows) == 0 {
		s.try(centre(s.set.inLo, s.set.inHi)) // a case without rows: any input is a counterexample
		return nil, z.LitNull
	}
	found, rows = s.inherit(rows)
	if len(found) > 0 && (c >= 0 || len(rows) == 0) {
		return found, z.LitNull
	}
	if e := s.narrow(ctx); e != nil || s.fault != "" || ctx.Err() != nil {
		return extend(found, e), z.LitNull
	}
	l := s.ascend(rows, c >= 0)
	found = append(found, l.found...)
	if s.out.Status == Found || ctx.Err() != nil || len(l.found) > 0 && c >= 0 || l.row < 0 {
		return found, z.LitNull
	}
	if i, t, ok := s.cut(l); ok {
		m := s.atom(i, t, s.sat)
		if l.d.in[i] < 0 { // the side with the least value first
			m = m.Not()
		}
		return found, m
	}
	if c < 0 {
		return found, s.nextCase()
	}
	if s.undecided() < 0 {
		e := s.leaf(ctx, c)
		return append(found, e...), z.LitNull
	}
	if e := s.refine(ctx, l); e != nil || ctx.Err() != nil {
		return extend(found, e), z.LitNull
	}
	if l = s.ascend([]int{l.row}, true); s.out.Status == Found || len(l.found) > 0 || l.row < 0 {
		return append(found, l.found...), z.LitNull
	}
	if s.undecided() < 0 {
		return append(found, s.leaf(ctx, c)...), z.LitNull
	}
	e, next := s.branch(l)
	return append(found, e...), next
}

// extend appends e if it is an explanation.
func extend(found [][]z.Lit, e []z.Lit) [][]z.Lit {
	if e == nil {
		return found
	}
	return append(found, e)
}

// crossing explains a phase that the bounds of some part exclude.
func (s *search) crossing() []z.Lit {
	for j, sign := range s.set.sign {
		if sign == 0 {
			continue
		}
		for _, p := range s.parts {
			if sign > 0 && p.hi[j] < 0 || sign < 0 && p.lo[j] > 0 {
				e := []z.Lit{s.phaseLit(j, sign)}
				for _, w := range p.why {
					e = append(e, w.lit)
				}
				return e
			}
		}
	}
	return nil
}

// targets returns the case to refute and its rows, or −1 and the rows of all cases that are left.
func (s *search) targets() (c int, rows []int) {
	for i, d := range s.selector {
		if s.sat.value(d) > 0 {
			return i, s.cases[i]
		}
	}
	for i, d := range s.selector {
		if s.sat.value(d) == 0 {
			if len(s.cases[i]) == 0 {
				return i, nil
			}
			for _, r := range s.cases[i] {
				if !slices.Contains(rows, r) {
					rows = append(rows, r)
				}
			}
		}
	}
	return -1, rows
}

// nextCase returns the selector of the case that is least refuted.
func (s *search) nextCase() z.Lit {
	best, least := z.LitNull, 0.0
	for i, d := range s.selector {
		if s.sat.value(d) != 0 {
			continue
		}
		b := s.bounds[s.cases[i][0]]
		for _, r := range s.cases[i] {
			b = max(b, s.bounds[r])
		}
		if best == z.LitNull || b < least {
			best, least = d, b
		}
	}
	return best
}

// inherit refutes rows with the multipliers that refuted them last, and returns the rows that are left.
func (s *search) inherit(rows []int) (found [][]z.Lit, left []int) {
	top := s.parts[len(s.parts)-1]
	for _, r := range rows {
		k := slices.IndexFunc(s.recent[r], func(d *dual) bool { return d.refutes(d.bound(s.restrict(top)), s.rows) })
		if k < 0 {
			left = append(left, r)
			continue
		}
		d := s.recent[r][k]
		s.remember(r, d)
		s.out.Inherited++
		found = append(found, s.explain(d))
	}
	return found, left
}

// remember puts d in front of the multipliers of row r.
func (s *search) remember(r int, d *dual) {
	list := slices.DeleteFunc(s.recent[r], func(o *dual) bool { return o == d })
	list = slices.Insert(list, 0, d)
	s.recent[r] = list[:min(len(list), maxRecent)]
}

// undecided returns a neuron of open sign whose phase is not decided, the widest; −1 where there is none.
func (s *search) undecided() int {
	p := s.parts[len(s.parts)-1]
	best, width := -1, 0.0
	for j, sign := range s.set.sign {
		if w := p.hi[j] - p.lo[j]; sign == 0 && p.lo[j] < 0 && p.hi[j] > 0 && w > width {
			best, width = j, w
		}
	}
	return best
}

// cut chooses an input to split and where: where few inputs vary and many ReLUs are open. Halving a box bounds every neuron of it
// anew; deciding a phase concerns one.
func (s *search) cut(l *look) (i int, t float64, ok bool) {
	atoms := s.cfg.Rule.Atoms
	if atoms == 0 {
		atoms = 8
	}
	if len(s.free) == 0 || len(s.free) > maxAtomInputs {
		return 0, 0, false
	}
	p := s.parts[len(s.parts)-1]
	open := 0
	for j, sign := range s.set.sign {
		if sign == 0 && p.lo[j] < 0 && p.hi[j] > 0 {
			open++
		}
	}
	if open <= atoms*len(s.free) {
		return 0, 0, false
	}
	best := -1.0
	for _, k := range s.free {
		lo, hi := s.set.inLo[k], s.set.inHi[k]
		m := lo + (hi-lo)/2
		if hi-lo <= minWidth*(s.q.Frame.Box.Hi[k]-s.q.Frame.Box.Lo[k]) {
			continue
		}
		if w := max(l.d.in[k], -l.d.in[k]) * (hi - lo); lo < m && m < hi && w > best {
			i, t, best = k, m, w
		}
	}
	return i, t, best >= 0
}

// try asks about an input and reports whether it ends the search.
func (s *search) try(x []float64) bool {
	if s.cfg.Try == nil {
		return false
	}
	if w := s.cfg.Try(x); w != nil {
		s.out.Status, s.out.Witness = Found, w
		return true
	}
	return false
}

func centre(lo, hi []float64) []float64 {
	x := make([]float64, len(lo))
	for i := range x {
		x[i] = lo[i] + (hi[i]-lo[i])/2
	}
	return x
}
