package smt

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/verifytest"
)

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
	var err error
	if a.wide, a.first, err = verifytest.Observed(p); err != nil {
		t.Fatal(err)
	}
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
	return &spec.Problem{NumInputs: len(lo), NumOutputs: a.wide.Nodes[a.wide.Output].N, Boxes: []spec.Box{box},
		Cases: []spec.Case{{Rows: rows}}}, true
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

// hardQuestion draws a dense network of two hidden layers and asks in two or three cases, some of which share a row, for
// outputs a little above or below what samples show.
func hardQuestion(t testing.TB, seed uint64) (p *prog.Program, box relax.Box, cases []spec.Case) {
	r := rand.New(rand.NewPCG(seed, 7))
	n := 1 + r.IntN(3)
	b := prog.NewBuilder(n)
	last := 0
	dense := func(m int) int {
		w, bias := make([]float64, m*b.N(last)), make([]float64, m)
		for i := range w {
			w[i] = math.Ldexp(float64(r.IntN(33)-16), -4)
		}
		for i := range bias {
			bias[i] = math.Ldexp(float64(r.IntN(17)-8), -4)
		}
		return b.Affine("", m, bias, 0, prog.Term{Src: last, Map: prog.Dense(m, b.N(last), w)})
	}
	b.Relu("", dense(2)) // nothing reads these neurons
	pre := 0
	for range 2 {
		pre = dense(4)
		last = b.Relu("", pre)
	}
	out := dense(2)
	if r.IntN(2) == 0 { // what ReLUs read is read elsewhere, too
		skip := make([]float64, 2*b.N(pre))
		for i := range skip {
			skip[i] = math.Ldexp(float64(r.IntN(33)-16), -4)
		}
		out = b.Affine("", 2, nil, 0, prog.Term{Src: out, Map: prog.Dense(2, 2, []float64{1, 0, 0, 1})},
			prog.Term{Src: pre, Map: prog.Dense(2, b.N(pre), skip)})
	}
	p, err := b.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	box = relax.Box{Lo: make([]float64, n), Hi: make([]float64, n)}
	for i := range n {
		box.Lo[i], box.Hi[i] = -1, 1
	}
	row := func(c0, c1 float64) spec.Row {
		least := math.Inf(1)
		x := make([]float64, n)
		for range 500 {
			for i := range x {
				x[i] = 2*r.Float64() - 1
			}
			y := p.Eval(x, 1, nil)[p.Output]
			least = min(least, c0*y[0]+c1*y[1])
		}
		rhs := least + math.Ldexp(1, -1-r.IntN(5))
		if r.IntN(4) == 0 {
			rhs = least - math.Ldexp(1, -3-r.IntN(6))
		}
		return spec.Row{Y: []spec.Coef{{Index: 0, Value: c0}, {Index: 1, Value: c1}}, RHSLower: rhs, RHSUpper: rhs}
	}
	common := row(1, float64(r.IntN(3)-1))
	for range 2 + r.IntN(2) {
		c := spec.Case{Rows: []spec.Row{row(float64(r.IntN(3)-1), 1)}}
		if r.IntN(2) == 0 {
			c.Rows = append(c.Rows, common)
		}
		cases = append(cases, c)
	}
	return p, box, cases
}

var auditRules = []Rule{{}, {Steps: 1, Candidates: 1}, {Steps: 1, Candidates: 1, Atoms: 1}, {Steps: 3, Candidates: 2, Atoms: 2}}

// TestExplanations asks the exact oracle about the explanations of many searches, those of random questions and of harder ones.
// Candidates are never confirmed, so that questions with counterexamples are searched to the end: there a missing literal
// shows. The same explanations with a literal removed at random must often be found wrong, or the audit would not see a wrong
// one.
func TestExplanations(t *testing.T) {
	n := uint64(1000)
	if testing.Short() {
		n = 200
	}
	var c auditCount
	for seed := range n {
		in := verifytest.RandomInstance(900_000 + seed)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		for b := range in.Problem.Boxes {
			q := &Query{Frame: rootFrame(p, relax.Box{Lo: in.Problem.Boxes[b].Lower, Hi: in.Problem.Boxes[b].Upper})}
			for _, c := range in.Problem.Cases {
				if c.Box == b {
					q.Cases = append(q.Cases, c)
				}
			}
			c.audit(t, q, seed)
		}
	}
	for seed := range n / 20 {
		p, box, cases := hardQuestion(t, seed)
		c.audit(t, &Query{Frame: rootFrame(p, box), Cases: cases}, seed)
	}
	t.Logf("%+v", c)
	if c.all < int(n) || c.short < int(n)/20 || c.parts < int(n)/20 || c.satisfiable < int(n)/4 || c.caught < c.removed/3 {
		t.Error("too few")
	}
}

// auditCount counts explanations: those with fewer literals than decisions, those from bounds of a part, those in questions
// that have a counterexample, literals removed and explanations found wrong without one.
type auditCount struct{ all, short, parts, satisfiable, removed, caught int }

func (c *auditCount) audit(t *testing.T, q *Query, seed uint64) {
	a := newAuditor(t, q.Frame.Net.P, q.Frame.Box)
	r := rand.New(rand.NewPCG(seed, 9))
	seen := 0
	out := Solve(context.Background(), q, &Config{Rule: auditRules[seed%4], Nodes: 60, learned: func(s *search, e []z.Lit) {
		if seen++; seen > 20 && r.IntN(8) > 0 {
			return // the oracle is slow
		}
		c.all++
		if len(e) < len(s.decisions) {
			c.short++
		}
		if len(s.parts) > 1 {
			c.parts++
		}
		if why := a.wrong(s.literals, e); why != "" {
			t.Fatalf("seed %d, rule %+v: %s", seed, s.cfg.Rule, why)
		}
		if len(e) < 2 || r.IntN(8) > 0 {
			return
		}
		c.removed++
		i := r.IntN(len(e))
		if a.wrong(s.literals, slices.Delete(slices.Clone(e), i, i+1)) != "" {
			c.caught++
		}
	}})
	if out.Status == Open {
		c.satisfiable += seen
	}
}

// rootFrame bounds a box by intervals.
func rootFrame(p *prog.Program, box relax.Box) *relax.Frame {
	net := relax.NewNet(p)
	bounds := net.NewBounds()
	net.IBP(box, bounds)
	return net.NewFrame(box, bounds, net.NewScale(bounds))
}

// TestMultipliersAreComplete: evaluated where they come from, multipliers give the bound of the pass, rounding aside.
func TestMultipliersAreComplete(t *testing.T) {
	compared := 0
	for seed := range uint64(300) {
		p, box, cases := hardQuestion(t, 5000+seed)
		q := &Query{Frame: rootFrame(p, box), Cases: cases}
		Solve(context.Background(), q, &Config{Rule: auditRules[seed%4], Nodes: 20, learned: func(s *search, e []z.Lit) {
			rows := make([]int, len(s.rows))
			for i := range rows {
				rows[i] = i
			}
			if s.crossing() != nil || s.narrow(context.Background()) != nil {
				return
			}
			l := s.ascend(rows, false)
			if l.row < 0 {
				return
			}
			compared++
			got, want := l.d.bound(s.restrict(s.top())), s.w.LB[l.lane]
			if size := 1 + math.Abs(want); got < want-1e-9*size {
				t.Fatalf("seed %d: bound %v, the pass says %v", seed, got, want)
			}
		}})
	}
	t.Logf("%d bounds compared", compared)
	if compared < 300 {
		t.Error("too few")
	}
}
