package verify

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// maxPeeled bounds the number of cases that one case may become.
const maxPeeled = 16

// peel restates a question about outputs that are the ReLU of an affine node as one about that node: the relaxation of the last
// activation, and its splits, disappear. With y = max(z,0) and c > 0,
//
//	c·y_i − c·y_j ≤ 0   is   z_i ≤ 0 or z_i − z_j ≤ 0         (strictly: z_j > 0 and z_i − z_j < 0)
//	c·y_i ≤ r           is   c·z_i ≤ r, never when r < 0
//	−c·y_i ≤ −r         is   −c·z_i ≤ −r, always when r ≤ 0
//
// It returns nil when the network does not end like that or some row is of another form.
func peel(p *prog.Program, q *spec.Problem) (*prog.Program, *spec.Problem) {
	out := &p.Nodes[p.Output]
	if out.Kind != prog.Relu || p.Nodes[out.Src].Kind != prog.Affine {
		return nil, nil
	}
	inner := &prog.Program{Nodes: p.Nodes, Output: out.Src, Binary32: p.Binary32}
	cases := make([]spec.Case, 0, len(q.Cases))
	seen := map[string]bool{} // "z_t ≤ 0" comes from every case about class t
	for i := range q.Cases {
		alts, ok := peelCase(&q.Cases[i])
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
func peelCase(c *spec.Case) ([]spec.Case, bool) {
	alts := []spec.Case{{Box: c.Box}}
	for i := range c.Rows {
		options, ok := peelRow(&c.Rows[i])
		if !ok || len(alts)*len(options) > maxPeeled {
			return nil, false
		}
		var next []spec.Case
		for _, a := range alts {
			for _, o := range options {
				next = append(next, spec.Case{Box: c.Box, Rows: append(append([]spec.Row(nil), a.Rows...), o...)})
			}
		}
		alts = next
	}
	return alts, true
}

// peelRow restates one row as a disjunction (none: never satisfied) of conjunctions (empty: always satisfied).
func peelRow(r *spec.Row) (options [][]spec.Row, ok bool) {
	if len(r.X) > 0 {
		return nil, false
	}
	for _, c := range r.Y {
		if c.Err != 0 || c.Value == 0 || math.IsNaN(c.Value) {
			return nil, false
		}
	}
	same := []spec.Row{*r}
	switch len(r.Y) {
	case 1:
		switch {
		case r.Y[0].Value > 0 && r.RHSLower >= 0 && !(r.Strict && r.RHSLower == 0):
			return [][]spec.Row{same}, true
		case r.Y[0].Value > 0 && r.RHSUpper < 0:
			return nil, true
		case r.Y[0].Value < 0 && r.RHSUpper < 0:
			return [][]spec.Row{same}, true
		case r.Y[0].Value < 0 && r.RHSLower >= 0 && !r.Strict:
			return [][]spec.Row{nil}, true
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
			positive := spec.Row{Y: []spec.Coef{b}, Strict: true}
			return [][]spec.Row{{positive, *r}}, true
		}
		return [][]spec.Row{{{Y: []spec.Coef{a}}}, same}, true
	}
	return nil, false
}
