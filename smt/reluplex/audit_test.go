package reluplex

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/smt/simplex"
	"github.com/spai-project/certify/verify/verifytest"
)

// hardQuestion draws a dense network of two hidden layers and asks for an output a little below what samples show, mostly
// unsatisfiable but not without splits, or a little above: then only few inputs are counterexamples.
func hardQuestion(t *testing.T, seed uint64, above bool) (p *prog.Program, box spec.Box, c spec.Case) {
	r := rand.New(rand.NewPCG(seed, 7))
	n := 2 + r.IntN(2)
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
	b.Relu("", dense(2)) // nothing reads these neurons: decisions about them never matter
	for range 2 {
		last = b.Relu("", dense(4))
	}
	p, err := b.Program(dense(1))
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := make([]float64, n), make([]float64, n)
	for i := range lo {
		lo[i], hi[i] = -1, 1
	}
	least := math.Inf(1)
	x := make([]float64, n)
	for range 2000 {
		for i := range x {
			x[i] = 2*r.Float64() - 1
		}
		least = min(least, p.Eval(x, 1, nil)[p.Output][0])
	}
	rhs := least - math.Ldexp(1, -3-r.IntN(6))
	if above {
		rhs = least + math.Ldexp(1, -1-r.IntN(6))
	}
	c = spec.Case{Rows: []spec.Row{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: rhs, RHSUpper: rhs}}}
	return p, spec.Box{Lower: lo, Upper: hi}, c
}

// TestExplanations asks the exact oracle about every refutation: the decisions of the levels that it names, and no others, must
// exclude the case.
func TestExplanations(t *testing.T) {
	n := uint64(300)
	if testing.Short() {
		n = 100
	}
	refutations, partial := 0, 0
	for seed := range n {
		p, box, c := hardQuestion(t, seed, seed%4 != 0) // a subset of decisions says nothing where the case has no counterexample at all
		wide, first, err := verifytest.Observed(p)
		if err != nil {
			t.Fatal(err)
		}
		L, U := p.Enclose(box.Lower, box.Upper, prog.UnitReal)
		var at []int // output of wide, per pair
		for k := range p.Nodes {
			if nd := &p.Nodes[k]; nd.Kind == prog.Relu {
				for i := range nd.N {
					if L[nd.Src][i] < 0 && U[nd.Src][i] > 0 {
						at = append(at, first[k]+i)
					}
				}
			}
		}
		audit := func(e *engine, set levels) {
			if len(at) != len(e.pairs) {
				t.Fatalf("seed %d: %d pairs, expected %d", seed, len(e.pairs), len(at))
			}
			if e.stuck {
				return // an input was there but not confirmed; the search only looks for others
			}
			rows := append([]spec.Row(nil), c.Rows...)
			for l := 1; l <= len(e.decisions); l++ {
				if !set.has(l) {
					continue
				}
				d := e.decisions[l-1]
				v := 1.0 // inactive: z ≤ 0
				if d.active {
					v = -1
				}
				rows = append(rows, spec.Row{Y: []spec.Coef{{Index: at[d.pair], Value: v}}})
			}
			refutations++
			if set.count() < len(e.decisions) {
				partial++
			} else if refutations%4 != 0 {
				return // the oracle is slow
			}
			if set.count() > len(rows)-len(c.Rows) {
				t.Fatalf("seed %d: a reason names a level that is gone", seed)
			}
			prob := &spec.Problem{NumInputs: p.Nodes[0].N, NumOutputs: wide.Nodes[wide.Output].N,
				Boxes: []spec.Box{box}, Cases: []spec.Case{{Rows: rows}}}
			if truth := verifytest.SolveExact(wide, prob); truth.Sat {
				t.Fatalf("seed %d: levels %b of %d do not exclude %v", seed, set, len(e.decisions), truth.X)
			}
		}
		e := start(t, p, box.Lower, box.Upper, &c)
		e.cfg.refuted = audit
		r := rand.New(rand.NewPCG(seed, 8))
		for range r.IntN(8) { // decisions that need not matter
			if set, conflict := e.propagate(); conflict {
				e.backtrack(set)
				break
			}
			if b := r.IntN(len(e.pairs) + 1); b < len(e.pairs) && !e.decided(b) {
				e.decide(b, r.IntN(2) == 0)
			}
		}
		if reason := e.run(context.Background()); reason != "" && reason != incomplete {
			t.Fatalf("seed %d: %q", seed, reason)
		}
	}
	t.Logf("%d refutations, %d depend on a part of the decisions", refutations, partial)
	if refutations < int(n)*3/4 || partial < int(n)/10 {
		t.Error("too few")
	}
}

// TestFix: after Update_b or Update_f the pair holds.
func TestFix(t *testing.T) {
	fixed, left := 0, 0
	for seed := range uint64(200) {
		p, box, c := hardQuestion(t, 10_000+seed, false)
		e := start(t, p, box.Lower, box.Upper, &c)
		if e == nil {
			continue
		}
		for range 5 {
			if _, err := e.repair(context.Background()); err != nil {
				t.Fatal(err)
			}
			b := e.broken()
			if b < 0 {
				break
			}
			before := e.out.Repairs
			if e.fix(b); e.out.Repairs == before {
				t.Fatal("a repair is not counted")
			}
			if q := e.pairs[b]; math.Abs(e.sys.Value(q.f)-max(0, e.sys.Value(q.b))) < 1e-9 {
				fixed++
			} else {
				left++
			}
		}
	}
	t.Logf("%d pairs fixed, %d not", fixed, left)
	if fixed < 100 || left*10 > fixed {
		t.Error("repairs do not repair")
	}
}

// start returns an engine before its first rule, nil when the encoding overflows.
func start(t *testing.T, p *prog.Program, lo, hi []float64, c *spec.Case) *engine {
	L, U := p.Enclose(lo, hi, prog.UnitReal)
	l := place(p, c, L, U)
	enc, ok := encode(p, c, l, L, U)
	if !ok {
		return nil
	}
	if enc.columns+len(enc.rows) != l.width+l.height || len(enc.lo) != l.width+l.height {
		t.Fatalf("%d columns and %d rows, laid out %d and %d", enc.columns, len(enc.rows), l.width, l.height)
	}
	sys, err := simplex.NewSystem(enc.columns, enc.rows)
	if err != nil {
		t.Fatal(err)
	}
	return newEngine(enc, sys, &Config{Threshold: 5}, &Outcome{})
}

// single asks whether the only output of a program can be at most rhs.
func single(p *prog.Program, lo, hi []float64, v, rhs float64, cfg *Config) *Outcome {
	row := spec.Row{Y: []spec.Coef{{Index: 0, Value: v}}, RHSLower: rhs, RHSUpper: rhs}
	return Solve(context.Background(), &Query{Program: p, Lower: lo, Upper: hi, Cases: []spec.Case{{Rows: []spec.Row{row}}}}, cfg)
}

// TestInexactCoefficients: a coefficient known to 2⁻¹³ is taken adversely, before a ReLU and behind.
func TestInexactCoefficients(t *testing.T) {
	for _, behind := range []int{0, 1 << 40} {
		b := prog.NewBuilder(2)
		one := []float64{1, 0x1p-6, 1, -0x1p-6}
		z := b.Affine("", 2, []float64{0, 0}, 1<<40-behind, prog.Term{Src: 0, Map: prog.Dense(2, 2, one)})
		y := b.Affine("", 1, nil, behind, prog.Term{Src: b.Relu("", z), Map: prog.Dense(1, 2, []float64{0.5, 0.5})})
		p, err := b.Program(y)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := []float64{1, -1}, []float64{1, 1}
		if out := single(p, lo, hi, 1, 1-0x1p-14, &Config{}); out.Status == Closed {
			t.Errorf("rel behind %v: closed, but a true coefficient may be less by 2⁻¹³", behind)
		}
		if out := single(p, lo, hi, 1, 1-0x1p-8, &Config{}); out.Status != Closed {
			t.Errorf("rel behind %v: %v (%s)", behind, out.Status, out.Reason)
		}
	}
}

// TestSharedColumns: two terms on one source whose sum is rounded.
func TestSharedColumns(t *testing.T) {
	b := prog.NewBuilder(2)
	y := b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, 2, []float64{1, -1})}, prog.Term{Src: 0, Map: prog.Dense(1, 2, []float64{0x1p-60, 0})})
	p, err := b.Program(y)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0x1p45, 0x1p45} // y is 2⁻¹⁵
	if out := single(p, x, x, -1, -0x1p-16, &Config{}); out.Status == Closed {
		t.Error("closed, but y = 2⁻¹⁵ ≥ 2⁻¹⁶")
	}
	if out := single(p, x, x, -1, -1, &Config{}); out.Status != Closed {
		t.Errorf("y ≥ 1: %v (%s)", out.Status, out.Reason)
	}
}

// TestStops: unsupported nodes, budgets, memory and the context leave the question open, with the reason.
func TestStops(t *testing.T) {
	b := prog.NewBuilder(1)
	sigmoid, err := b.Program(b.Sigmoid("s1", 0))
	if err != nil {
		t.Fatal(err)
	}
	if out := single(sigmoid, []float64{0}, []float64{1}, 1, -1, &Config{}); out.Status != Open || !strings.Contains(out.Reason, `"s1"`) {
		t.Errorf("%+v", out)
	}
	var q *Query
	for seed, splits := uint64(20_000), 0; splits < 8; seed++ { // a question that takes some splits
		p, box, c := hardQuestion(t, seed, false)
		q = &Query{Program: p, Lower: box.Lower, Upper: box.Upper, Cases: []spec.Case{c}}
		splits = Solve(context.Background(), q, &Config{}).Splits
	}
	if out := Solve(context.Background(), q, &Config{Splits: 2}); out.Status != Open || out.Reason != "budget" || out.Splits != 2 ||
		!(out.Volume > 0 && out.Volume < 1) && out.Branches > 0 {
		t.Errorf("%+v", out)
	}
	if out := Solve(context.Background(), q, &Config{Memory: 100}); out.Status != Open || out.Reason != "memory" {
		t.Errorf("%+v", out)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	if out := Solve(ctx, q, &Config{}); out.Status != Open || out.Reason != "interrupted" || out.Open == 0 {
		t.Errorf("%+v", out)
	}
	first := Solve(context.Background(), q, &Config{})
	for range 3 {
		if again := Solve(context.Background(), q, &Config{}); !reflect.DeepEqual(first, again) {
			t.Errorf("%+v, then %+v", first, again)
		}
	}
}

// TestPairReasons: what crosses a pair carries the reason of the bound that it came from.
func TestPairReasons(t *testing.T) {
	b := prog.NewBuilder(1)
	p, err := b.Program(b.Relu("", 0))
	if err != nil {
		t.Fatal(err)
	}
	low, high := levels(nil).with(1), levels(nil).with(2)
	for _, c := range []struct {
		name   string
		assert func(e *engine, q *pair)
		check  func(e *engine, q *pair) (bound, want float64, why, reason levels)
	}{
		{"f ≥ l(b)", func(e *engine, q *pair) { e.lower(q.b, 0.5, low) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Lower(q.f), 0.5, e.whyLo[q.f], low
			}},
		{"f ≤ u(b)", func(e *engine, q *pair) { e.upper(q.b, 0.5, high) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.f), 0.5, e.whyHi[q.f], high
			}},
		{"b ≤ u(f)", func(e *engine, q *pair) { e.upper(q.f, 0.5, high) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.b), 0.5, e.whyHi[q.b], high
			}},
		{"f − b ≤ −l(b)", func(e *engine, q *pair) { e.lower(q.b, -0.5, low) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.s), 0.5, e.whyHi[q.s], low
			}},
		{"l(b) > 0 is active", func(e *engine, q *pair) { e.lower(q.b, 0.5, low) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.s), 0, e.whyHi[q.s], low
			}},
		{"u(b) < 0 is inactive", func(e *engine, q *pair) { e.upper(q.b, -0.5, high) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.f), 0, e.whyHi[q.f], high
			}},
		{"l(f) > 0 is active", func(e *engine, q *pair) { e.lower(q.f, 0.5, low) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.s), 0, e.whyHi[q.s], low
			}},
		{"l(f − b) > 0 is inactive", func(e *engine, q *pair) { e.lower(q.s, 0.5, low) },
			func(e *engine, q *pair) (float64, float64, levels, levels) {
				return e.sys.Upper(q.f), 0, e.whyHi[q.f], low
			}},
	} {
		e := start(t, p, []float64{-1}, []float64{1}, &spec.Case{})
		for range 2 { // the levels that the reasons name
			e.sys.Push()
			e.marks = append(e.marks, 0)
			e.decisions = append(e.decisions, decision{})
		}
		q := &e.pairs[0]
		other := levels(nil).with(3)
		e.upper(q.b, 0.9, other) // bounds that are not the reason
		e.lower(q.b, -0.9, other)
		c.assert(e, q)
		if set, conflict := e.pairBounds(0); conflict {
			t.Errorf("%s: conflict %b", c.name, set)
		}
		if bound, want, why, reason := c.check(e, q); bound != want || !reflect.DeepEqual(why, reason) {
			t.Errorf("%s: bound %v, want %v, because of %b, want %b", c.name, bound, want, why, reason)
		}
	}
}
