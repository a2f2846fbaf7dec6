package smt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/verifytest"
)

// observed is the program whose output is p's followed by every ReLU's input, so that phases are rows over the output. first has, per
// Relu node, where its inputs begin.
func observed(t testing.TB, p *prog.Program) (wide *prog.Program, first []int) {
	b := prog.NewBuilder(p.Nodes[0].N)
	for k := 1; k < len(p.Nodes); k++ {
		switch n := &p.Nodes[k]; n.Kind {
		case prog.Affine:
			b.Affine(n.Name, n.N, n.Bias, n.Rel, n.Terms...)
		case prog.Relu:
			b.Relu(n.Name, n.Src)
		}
	}
	first = make([]int, len(p.Nodes))
	total := p.Nodes[p.Output].N
	for k := range p.Nodes {
		if p.Nodes[k].Kind == prog.Relu {
			first[k] = total
			total += p.Nodes[k].N
		}
	}
	part := func(src, at int) prog.Term {
		idx := make([]int32, total)
		for i := range idx {
			if idx[i] = -1; i >= at && i < at+p.Nodes[src].N {
				idx[i] = int32(i - at)
			}
		}
		return prog.Term{Src: src, Map: prog.Index(p.Nodes[src].N, idx)}
	}
	terms := []prog.Term{part(p.Output, 0)}
	for k := range p.Nodes {
		if p.Nodes[k].Kind == prog.Relu {
			terms = append(terms, part(p.Nodes[k].Src, first[k]))
		}
	}
	wide, err := b.Program(b.Affine("observed", total, nil, 0, terms...))
	if err != nil {
		t.Fatal(err)
	}
	return wide, first
}

// auditor asks the exact oracle whether literals exclude each other.
type auditor struct {
	t     testing.TB
	p     *prog.Program
	wide  *prog.Program
	first []int
	box   relax.Box
}

func newAuditor(t testing.TB, p *prog.Program, box relax.Box) *auditor {
	a := &auditor{t: t, p: p, box: box}
	a.wide, a.first = observed(t, p)
	return a
}

// question is the conjunction of the literals as a problem about the observed program. ok is false when the atoms leave no input.
func (a *auditor) question(l *literals, e []z.Lit) (prob *spec.Problem, ok bool) {
	lo, hi := slices.Clone(a.box.Lo), slices.Clone(a.box.Hi)
	var rows []spec.Row
	for _, m := range e {
		known := false
		for j, q := range l.phase {
			if q.Var() != m.Var() {
				continue
			}
			known = true
			v := 1.0
			if m.IsPos() {
				v = -1
			}
			n := l.neurons[j]
			rows = append(rows, spec.Row{Y: []spec.Coef{{Index: a.first[n.Act] + int(n.Elem), Value: v}}})
		}
		for r, q := range l.row {
			if q.Var() == m.Var() {
				known = true
				if !m.IsPos() {
					a.t.Fatal("an explanation says that a row does not hold")
				}
				rows = append(rows, *l.rows[r])
			}
		}
		for i := range l.atoms {
			for _, q := range l.atoms[i] {
				if q.lit.Var() != m.Var() {
					continue
				}
				known = true
				if m.IsPos() {
					hi[i] = min(hi[i], q.t)
				} else {
					lo[i] = max(lo[i], q.t)
				}
			}
		}
		if !known {
			a.t.Fatalf("an explanation names a literal that means nothing to the theory: %v", m)
		}
	}
	for i := range lo {
		if lo[i] > hi[i] {
			return nil, false
		}
	}
	box := spec.Box{Lower: lo, Upper: hi}
	return &spec.Problem{NumInputs: len(lo), NumOutputs: a.wide.Nodes[a.wide.Output].N, Boxes: []spec.Box{box}, Cases: []spec.Case{{Rows: rows}}}, true
}

// wrong returns what is wrong with an explanation, or "".
func (a *auditor) wrong(l *literals, e []z.Lit) string {
	prob, ok := a.question(l, e)
	if !ok {
		return ""
	}
	touches := slices.ContainsFunc(prob.Cases[0].Rows, func(r spec.Row) bool { return r.Strict })
	if truth := verifytest.SolveExact(a.wide, prob); truth.Sat && (truth.Margin == nil || truth.Margin.Sign() > 0 || !touches) {
		return fmt.Sprintf("%v holds for all of %v with margin %v", truth.X, prob.Cases[0].Rows, truth.Margin)
	}
	return ""
}

// TestExplanations asks the exact oracle about every explanation of many searches. Candidates are never confirmed, so that questions
// with counterexamples are searched to the end: there a missing literal shows.
func TestExplanations(t *testing.T) {
	n := uint64(2000)
	if testing.Short() {
		n = 200
	}
	rules := []Rule{{}, {Steps: 1, Candidates: 1}, {Steps: 1, Candidates: 1, Atoms: 1}, {Steps: 3, Candidates: 2, Atoms: 2}}
	audited, short, sat := 0, 0, 0
	for seed := range n {
		in := verifytest.RandomInstance(900_000 + seed)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		for b := range in.Problem.Boxes {
			audit1(t, p, in, b, rules[seed%4], seed, &audited, &short, &sat)
		}
	}
	t.Logf("%d explanations, %d leave out decisions, %d in questions with a counterexample", audited, short, sat)
	if audited < int(n) || short < int(n)/20 || sat < int(n)/10 {
		t.Error("too few")
	}
}

func audit1(t *testing.T, p *prog.Program, in *verifytest.Instance, b int, rule Rule, seed uint64, audited, short, sat *int) {
	box := relax.Box{Lo: in.Problem.Boxes[b].Lower, Hi: in.Problem.Boxes[b].Upper}
	q := &Query{Frame: rootFrame(p, box)}
	for _, c := range in.Problem.Cases {
		if c.Box == b {
			q.Cases = append(q.Cases, c)
		}
	}
	a := newAuditor(t, p, box)
	seen := 0
	out := Solve(context.Background(), q, &Config{Rule: rule, Nodes: 60, learned: func(s *search, e []z.Lit) {
		if seen++; seen > 20 {
			return // the oracle is slow
		}
		*audited++
		if len(e) < len(s.decisions) {
			*short++
		}
		if why := a.wrong(s.literals, e); why != "" {
			t.Fatalf("seed %d box %d: %s\n%v", seed, b, why, in)
		}
	}})
	if out.Status == Open {
		*sat += min(seen, 20)
	}
}

// rootFrame bounds a box by intervals.
func rootFrame(p *prog.Program, box relax.Box) *relax.Frame {
	net := relax.NewNet(p)
	bounds := net.NewBounds()
	net.IBP(box, bounds)
	return net.NewFrame(box, bounds, net.NewScale(bounds))
}

var _ = rand.New
