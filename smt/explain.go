package smt

import (
	"cmp"
	"slices"

	"github.com/go-air/gini/z"
)

// A worth is a literal and what a bound loses without it. It belongs to a neuron's term, or, where neuron is −1, to an input's.
type worth struct {
	end
	cost   float64
	level  int32
	neuron int
}

// explain returns literals, all true (or the one that s.set assumes beyond them), that d shows to exclude each other; nil if d
// refutes nothing here. Sound because the set that is left is evaluated as it is, whatever was left out and why.
func (s *search) explain(d *dual) []z.Lit {
	for _, p := range s.parts {
		t := s.restrict(p)
		g := d.bound(t)
		if !d.refutes(g, s.rows) {
			continue
		}
		return s.minimise(d, p, t, g)
	}
	return nil
}

// restrict returns the set that the present literals describe, with the bounds of part p. It is overwritten by the next call.
func (s *search) restrict(p *part) *set {
	t := &s.scratch
	t.lo, t.hi = p.lo, p.hi
	t.sign = append(t.sign[:0], s.set.sign...)
	t.inLo, t.inHi = append(t.inLo[:0], s.set.inLo...), append(t.inHi[:0], s.set.inHi...)
	return t
}

// minimise leaves out literals as long as d refutes.
func (s *search) minimise(d *dual, p *part, t *set, g float64) []z.Lit {
	all := s.candidates(d, p, t)
	slices.SortFunc(all, func(a, b worth) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(b.level, a.level), cmp.Compare(a.lit, b.lit))
	})
	n := 0
	for rest := g; n < len(all) && rest >= all[n].cost; n++ {
		rest -= all[n].cost
		s.drop(t, p, &all[n])
	}
	for !d.refutes(d.bound(t), s.rows) { // rounding
		n--
		s.undrop(t, &all[n])
	}
	e := s.rowLiterals(d)
	for i := n; i < len(all); i++ {
		e = append(e, all[i].lit)
	}
	for _, w := range p.why {
		if slices.Contains(e, w.lit) {
			continue
		}
		if !slices.ContainsFunc(all[n:], func(o worth) bool { return o.neuron < 0 && o.input == w.input && o.upper == w.upper }) {
			e = append(e, w.lit) // otherwise it follows from a tighter one
		}
	}
	return e
}

// candidates lists the literals that the part does not contain already, with what d loses without them.
func (s *search) candidates(d *dual, p *part, t *set) []worth {
	all := s.worths[:0]
	for j, sign := range t.sign {
		if sign == 0 {
			continue
		}
		w := worth{end: end{lit: s.phaseLit(j, sign)}, neuron: j}
		if a, nu := d.a[j], d.nu[j]; a != 0 || nu != 0 {
			w.cost = neuronTerm(a, nu, t.lo[j], t.hi[j], sign) - neuronTerm(a, nu, t.lo[j], t.hi[j], 0)
		}
		all = append(all, w)
	}
	for _, e := range s.ends {
		i := e.input
		a, lo, hi := d.in[i], p.frame.Box.Lo[i], p.frame.Box.Hi[i]
		w := worth{end: e, neuron: -1}
		switch {
		case !e.upper && t.inLo[i] == lo, e.upper && t.inHi[i] == hi:
			continue // the part says as much
		case !e.upper && a > 0: // the least value is at one end
			w.cost = a*t.inLo[i] - a*lo
		case e.upper && a < 0:
			w.cost = a*t.inHi[i] - a*hi
		}
		all = append(all, w)
	}
	for i := range all {
		all[i].level = s.sat.level[all[i].lit.Var()]
	}
	s.worths = all
	return all
}

// drop takes a literal out of t, undrop puts it back.
func (s *search) drop(t *set, p *part, w *worth) {
	switch {
	case w.neuron >= 0:
		t.sign[w.neuron] = 0
	case w.upper:
		t.inHi[w.input] = p.frame.Box.Hi[w.input]
	default:
		t.inLo[w.input] = p.frame.Box.Lo[w.input]
	}
}

func (s *search) undrop(t *set, w *worth) {
	switch {
	case w.neuron >= 0:
		t.sign[w.neuron] = s.set.sign[w.neuron]
	case w.upper:
		t.inHi[w.input] = s.set.inHi[w.input]
	default:
		t.inLo[w.input] = s.set.inLo[w.input]
	}
}

// rowLiterals lists the literals of the rows of d.
func (s *search) rowLiterals(d *dual) []z.Lit {
	var e []z.Lit
	for _, r := range d.rows {
		e = append(e, s.row[r])
	}
	return e
}
