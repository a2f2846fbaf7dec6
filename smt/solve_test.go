package smt

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// TestRows: equal rows are one literal, and rows with the same left-hand side imply each other in the right direction.
func TestRows(t *testing.T) {
	row := func(c, lower, upper float64, strict bool) spec.Row {
		return spec.Row{Y: []spec.Coef{{Index: 0, Value: c}}, RHSLower: lower, RHSUpper: upper, Strict: strict}
	}
	for _, c := range []struct {
		a, b       spec.Row
		same       bool
		ab, ba     bool
		difference string
	}{
		{row(1, 2, 2, false), row(1, 2, 2, false), true, true, true, "none"},
		{row(1, 2, 2, false), row(1, 3, 3, false), false, true, false, "right-hand side"},
		{row(1, 2, 2, false), row(2, 3, 3, false), false, false, false, "coefficient"},
		{row(1, 2, 2, true), row(1, 2, 2, false), false, true, false, "strictness"},
		{row(1, 2, 2.5, false), row(1, 2.25, 3, false), false, false, false, "right-hand sides whose decimals overlap"},
		{row(1, 2, 2.5, false), row(1, 2.5, 3, false), false, true, false, "right-hand sides whose decimals touch"},
		{row(1, 2, 2.5, false), row(1, 2.5, 3, true), false, false, false, "a strict row that is touched"},
		{spec.Row{Y: []spec.Coef{{Index: 0, Value: 1, Err: 0.1}}, RHSLower: 2, RHSUpper: 2},
			spec.Row{Y: []spec.Coef{{Index: 0, Value: 1, Err: 0.1}}, RHSLower: 3, RHSUpper: 3},
			false, false, false, "rounded coefficients"},
	} {
		s := newClauses()
		l := &literals{}
		i, j := l.rowOf(&c.a, s), l.rowOf(&c.b, s)
		if (i == j) != c.same {
			t.Errorf("%s: same literal %v", c.difference, i == j)
		}
		implied := func(a, b z.Lit) bool {
			ok, _ := s.propagate([]z.Lit{a})
			return ok && s.value(b) > 0
		}
		if ab, ba := implied(l.row[i], l.row[j]), implied(l.row[j], l.row[i]); ab != c.ab || ba != c.ba {
			t.Errorf("%s: implications %v %v, want %v %v", c.difference, ab, ba, c.ab, c.ba)
		}
	}
}

// TestAtoms: thresholds imply each other in order, however they came.
func TestAtoms(t *testing.T) {
	s := newClauses()
	l := &literals{atoms: make([][]atom, 1)}
	lit := map[float64]z.Lit{}
	order := []float64{0.5, 0.25, 0.75, 0.375, 0.625}
	for _, v := range order {
		lit[v] = l.atom(0, v, s)
	}
	if l.atom(0, 0.375, s) != lit[0.375] || len(l.atoms[0]) != len(order) {
		t.Error("an atom twice")
	}
	for _, v := range order {
		for _, true_ := range []bool{true, false} {
			m := lit[v]
			if !true_ {
				m = m.Not()
			}
			s.propagate([]z.Lit{m})
			for _, o := range order {
				want := 0
				if true_ && o >= v {
					want = 1
				} else if !true_ && o <= v {
					want = -1
				}
				if got := s.value(lit[o]); got != want {
					t.Errorf("x ≤ %v is %v: x ≤ %v is %d, want %d", v, true_, o, got, want)
				}
			}
		}
	}
}

// TestStops: unsupported nodes, budgets, memory, the context and cases without rows leave the question open, with the reason.
func TestStops(t *testing.T) {
	b := prog.NewBuilder(1)
	sigmoid, err := b.Program(b.Sigmoid("s1", 0))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	row := spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: -1, RHSUpper: -1}
	q := &Query{Frame: rootFrame(sigmoid, relax.Box{Lo: []float64{0}, Hi: []float64{1}}),
		Cases: []spec.Case{{Rows: []spec.Row{row}}}}
	if out := Solve(ctx, q, &Config{}); out.Status != Open || !strings.Contains(out.Reason, `"s1"`) || out.Open != 1 {
		t.Errorf("%+v", out)
	}
	rule := Rule{Steps: 1, Candidates: 1, Atoms: 1}
	for seed, nodes := uint64(70_000), 0; nodes < 12; seed++ { // a question that takes some nodes
		p, box, cases := hardQuestion(t, seed)
		q = &Query{Frame: rootFrame(p, box), Cases: cases}
		nodes = Solve(ctx, q, &Config{Rule: rule}).Nodes
	}
	if out := Solve(ctx, q, &Config{Rule: rule, Nodes: 5}); out.Status != Open || out.Reason != "budget" || out.Nodes != 5 {
		t.Errorf("%+v", out)
	}
	if out := Solve(ctx, q, &Config{Rule: rule, Memory: 100}); out.Status != Open || out.Reason != "memory" {
		t.Errorf("%+v", out)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if out := Solve(done, q, &Config{Rule: rule}); out.Status != Open || out.Reason != "interrupted" || out.Open == 0 {
		t.Errorf("%+v", out)
	}
	first := Solve(ctx, q, &Config{Rule: rule})
	for workers := range 3 {
		again := Solve(ctx, q, &Config{Rule: rule, Pool: relax.NewPool(q.Frame.Net, 1+workers)})
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%+v, then %+v with %d workers", first, again, 1+workers)
		}
	}
	q.Cases = append(q.Cases, spec.Case{})
	if out := Solve(ctx, q, &Config{Rule: rule}); out.Status != Open || out.Reason != "incomplete" {
		t.Errorf("a case without rows: %+v", out)
	}
	q.Cases = nil
	if out := Solve(ctx, q, &Config{}); out.Status != Closed {
		t.Errorf("no case: %+v", out)
	}
}

// TestOverflow: where magnitudes leave no room for bounds there is no answer.
func TestOverflow(t *testing.T) {
	b := prog.NewBuilder(1)
	x := b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, 1, []float64{1e200})})
	p, err := b.Program(b.Affine("", 1, nil, 0, prog.Term{Src: b.Relu("", x), Map: prog.Dense(1, 1, []float64{1e200})}))
	if err != nil {
		t.Fatal(err)
	}
	row := spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: -1, RHSUpper: -1}
	q := &Query{Frame: rootFrame(p, relax.Box{Lo: []float64{-1}, Hi: []float64{1}}), Cases: []spec.Case{{Rows: []spec.Row{row}}}}
	if out := Solve(context.Background(), q, &Config{}); out.Status != Open || !strings.Contains(out.Reason, "overflow") {
		t.Errorf("%+v", out)
	}
}

// TestNeuronTerm compares with a fine grid: the least value is found, and never a greater one.
func TestNeuronTerm(t *testing.T) {
	values := []float64{-2, -1, -0.25, 0, 0.5, 1, 3}
	for _, a := range values {
		for _, nu := range values {
			for i, lo := range values {
				for _, hi := range values[i:] {
					for _, sign := range []int8{-1, 0, 1} {
						want := math.Inf(1)
						for k := range 101 {
							z := lo + (hi-lo)*float64(k)/100
							if float64(sign)*z < 0 {
								continue
							}
							want = min(want, a*max(z, 0)-nu*z)
						}
						if lo <= 0 && hi >= 0 {
							want = min(want, 0)
						}
						got := neuronTerm(a, nu, lo, hi, sign)
						if math.IsInf(want, 1) {
							if !math.IsInf(got, -1) {
								t.Errorf("an empty set has the least value %v", got)
							}
						} else if got > want+1e-12 || got < want-1e-12 {
							t.Errorf("a %v ν %v [%v,%v] sign %d: %v, want %v", a, nu, lo, hi, sign, got, want)
						}
					}
				}
			}
		}
	}
}

// TestInactiveStaysInactive: a neuron that is inactive in the whole box and whose input can only be 0 in a part has no multiplier
// there, as in the box.
func TestInactiveStaysInactive(t *testing.T) {
	b := prog.NewBuilder(1)
	p, err := b.Program(b.Affine("", 1, nil, 0, prog.Term{Src: b.Relu("", 0), Map: prog.Dense(1, 1, []float64{1})}))
	if err != nil {
		t.Fatal(err)
	}
	row := spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: -1, RHSUpper: -1}
	q := &Query{Frame: rootFrame(p, relax.Box{Lo: []float64{-1}, Hi: []float64{0}}), Cases: []spec.Case{{Rows: []spec.Row{row}}}}
	s := newSearch(q, &Config{}, &Outcome{})
	s.propagate()
	m := s.atom(0, 0, s.sat) // x ≥ 0 leaves 0
	s.decisions = append(s.decisions, m.Not())
	s.propagate()
	if e := s.narrow(context.Background()); e != nil || len(s.parts) != 2 {
		t.Fatalf("%v, %d parts", e, len(s.parts))
	}
	s.w.Begin(1)
	s.w.On(s.top().frame.Net)
	s.w.Seed(p.Output, 0, 0, 1)
	s.w.Run(s.top().frame, p.Output)
	s.w.EachMultiplier(s.top().frame, 0, func(_, _ int32, a, nu float64) {
		if nu != 0 {
			t.Errorf("multiplier %v", nu)
		}
	})
}
