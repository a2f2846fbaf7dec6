package spec

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// maxPeeled bounds the number of cases that one case may become.
const maxPeeled = 16

// Peel restates a question about a network that ends in a ReLU or a Softmax as one about what that is applied to: the relaxation of
// the last activation, and its splits, disappear, and so does the saturation of its gradient. An input violates the one if and only if
// it violates the other; a Softmax keeps the order in real arithmetic only, so it is left on programs for binary32. It returns nil when
// the network does not end like that or some row is of another form.
//
// Sound because with y = max(z,0) and c > 0, where peelCase says what becomes of several rows,
//
//	c·y_i − c·y_j ≤ 0   is   z_i ≤ 0 or z_i − z_j ≤ 0         (strictly: z_j > 0 and z_i − z_j < 0)
//	c·y_i ≤ r           is   c·z_i ≤ r, never when r < 0
//	−c·y_i ≤ −r         is   −c·z_i ≤ −r, always when r ≤ 0
//
// and the Softmax of a group of elements keeps their order, strictly.
func Peel(p *prog.Program, q *Problem) (*prog.Program, *Problem) {
	out := &p.Nodes[p.Output]
	if out.Kind == prog.Relu && p.Nodes[out.Src].Kind == prog.Affine {
		return peelTo(p, out.Src, q, peelRelu)
	}
	if p.Binary32 { // a runtime may round two elements of a Softmax to the same number
		return nil, nil
	}
	if src, group := softmaxGroups(p); group != nil {
		return peelTo(p, src, q, func(r *Row) ([][]Row, bool) { return peelSoftmax(r, group) })
	}
	return nil, nil
}

// peelTo restates q about node src by the rule for a row.
func peelTo(p *prog.Program, src int, q *Problem, rule func(r *Row) ([][]Row, bool)) (*prog.Program, *Problem) {
	inner := &prog.Program{Nodes: p.Nodes[:src+1], Output: src, Binary32: p.Binary32}
	cases := make([]Case, 0, len(q.Cases))
	seen := map[string]bool{} // "z_t ≤ 0" comes from every case about class t
	for i := range q.Cases {
		alts, ok := peelCase(&q.Cases[i], rule)
		if !ok {
			return nil, nil
		}
		for _, a := range alts {
			if key := fmt.Sprint(a); !seen[key] {
				seen[key] = true
				cases = append(cases, a)
			}
		}
	}
	r := *q
	r.Cases = cases
	return inner, &r
}

// peelCase restates one case as a disjunction.
func peelCase(c *Case, rule func(r *Row) ([][]Row, bool)) ([]Case, bool) {
	alts := []Case{{Box: c.Box}}
	for i := range c.Rows {
		options, ok := rule(&c.Rows[i])
		if !ok || len(alts)*len(options) > maxPeeled {
			return nil, false
		}
		var next []Case
		for _, a := range alts {
			for _, o := range options {
				next = append(next, Case{Box: c.Box, Rows: append(append([]Row(nil), a.Rows...), o...)})
			}
		}
		alts = next
	}
	return alts, true
}

// peelRelu restates one row as a disjunction (none: never satisfied) of conjunctions (empty: always satisfied).
func peelRelu(r *Row) (options [][]Row, ok bool) {
	if len(r.X) > 0 {
		return nil, false
	}
	for _, c := range r.Y {
		if c.Err != 0 || c.Value == 0 || math.IsNaN(c.Value) {
			return nil, false
		}
	}
	same := []Row{*r}
	switch len(r.Y) {
	case 1:
		switch {
		case r.Y[0].Value > 0 && r.RHSLower >= 0 && !(r.Strict && r.RHSLower == 0):
			return [][]Row{same}, true
		case r.Y[0].Value > 0 && r.RHSUpper < 0:
			return nil, true
		case r.Y[0].Value < 0 && r.RHSUpper < 0:
			return [][]Row{same}, true
		case r.Y[0].Value < 0 && r.RHSLower >= 0 && !r.Strict:
			return [][]Row{nil}, true
		}
	case 2:
		a, b := r.Y[0], r.Y[1]
		if a.Value < 0 {
			a, b = b, a
		}
		if a.Value <= 0 || b.Value != -a.Value || a.Index == b.Index || r.RHSLower != 0 || r.RHSUpper != 0 {
			return nil, false
		}
		if r.Strict {
			positive := Row{Y: []Coef{b}, Strict: true}
			return [][]Row{{positive, *r}}, true
		}
		return [][]Row{{{Y: []Coef{a}}}, same}, true
	}
	return nil, false
}
