package verify

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/bab"
	"github.com/spai-project/certify/verify/verifytest"
)

// slowQuestion asks three cases about a random network of three layers of ReLUs: may an output fall below a limit, which is the
// least value that sampling finds less the given slack. With slack they hold, but only branch and bound shows it.
func slowQuestion(t *testing.T, seed uint64, slack float64) (*prog.Program, *spec.Problem) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 71))
	const inputs, width, outputs = 6, 11, 3
	b := prog.NewBuilder(inputs)
	dense := func(src, n int) int {
		in := b.N(src)
		w, c := make([]float64, n*in), make([]float64, n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64() * math.Sqrt(2/float64(in))))
		}
		for i := range c {
			c[i] = float64(float32(0.2 * r.NormFloat64()))
		}
		return b.Affine("", n, c, 0, prog.Term{Src: src, Map: prog.Dense(n, in, w)})
	}
	x := 0
	for range 3 {
		x = b.Relu("", dense(x, width))
	}
	p, err := b.Program(dense(x, outputs))
	if err != nil {
		t.Fatal(err)
	}
	box := spec.Box{}
	for range inputs {
		box.Lower, box.Upper = append(box.Lower, -1), append(box.Upper, 1)
		box.InLower, box.InUpper = append(box.InLower, -1), append(box.InUpper, 1)
	}
	least := []float64{math.Inf(1), math.Inf(1), math.Inf(1)}
	at := make([]float64, inputs)
	for range 3000 {
		for i := range at {
			at[i] = 2*r.Float64() - 1
		}
		for j, y := range p.Eval(at, 1, nil)[p.Output] {
			least[j] = min(least[j], y)
		}
	}
	q := &spec.Problem{NumInputs: inputs, NumOutputs: outputs, Boxes: []spec.Box{box}}
	for j, y := range least {
		limit := y - slack*float64(1+j) // some hold sooner than others
		q.Cases = append(q.Cases, spec.Case{Rows: []spec.Row{{Y: []spec.Coef{{Index: j, Value: 1}}, RHSLower: limit, RHSUpper: limit}}})
	}
	return p, q
}

func decideBy(t *testing.T, p *prog.Program, q *spec.Problem, o Options) *Result {
	t.Helper()
	o.Method, o.NoAttack = "relu-split", true
	r, err := Program(context.Background(), p, q, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func refinements(r *Result) int {
	n := 0
	for _, s := range r.Strategy {
		if strings.HasPrefix(s, "refined ") {
			n++
		}
	}
	return n
}

// TestRefinementChangesNoVerdict gives the first search next to nothing to do, so that refinements follow each other: the verdict is
// that of a search without them, and everything is the same for any number of workers.
func TestRefinementChangesNoVerdict(t *testing.T) {
	seen := map[Verdict]int{}
	several := 0
	for i, c := range []struct {
		seed  uint64
		slack float64
	}{{0, 1.2}, {0, 0.05}, {11, 0.05}, {2, 1.2}, {7, 1.2}, {4, 1.2}, {6, 1.2}, {6, 0.05}, {5, 1.2}, {0, 2.5}, {4, 2.5}} {
		if testing.Short() && i > 3 && i < 9 {
			continue
		}
		p, q := slowQuestion(t, c.seed, c.slack)
		want := decideBy(t, p, q, Options{Workers: 1})
		first := decideBy(t, p, q, Options{Workers: 1, firstWork: 1e3})
		n := refinements(first)
		t.Logf("%+v: %v after %d branches, with %d refinements after %d", c, want.Verdict, want.Stats.Branches, n, first.Stats.Branches)
		if first.Verdict != want.Verdict || first.Reason != want.Reason {
			t.Errorf("%+v: %v %q, without refinement %v %q", c, first.Verdict, first.Reason, want.Verdict, want.Reason)
		}
		if first.Stats.Branches < n { // a search that refinement follows had one at least
			t.Errorf("%+v: %d branches in all, and %d refinements", c, first.Stats.Branches, n)
		}
		if refinements(want) > 0 {
			t.Errorf("%+v: %q by default", c, want.Strategy)
		}
		if spent := first.Stats.Phases[phaseRefine]; (n > 0) != (spent > 0) {
			t.Errorf("%+v: %d refinements took %v s", c, n, spent)
		}
		seen[first.Verdict]++
		if n > 1 {
			several++
		}
		for _, workers := range []int{2, 3} {
			got := decideBy(t, p, q, Options{Workers: workers, firstWork: 1e3})
			a, b := *got, *first
			a.Stats.Wall, a.Stats.Phases, b.Stats.Wall, b.Stats.Phases = 0, nil, 0, nil
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%+v: %+v with %d workers, %+v with one", c, a, workers, b)
			}
		}
	}
	if several < 3 || seen[Holds] == 0 || seen[Violated] == 0 {
		t.Errorf("%d runs of several refinements, %v: the test has lost its grip", several, seen)
	}
}

// TestRefinedSearchAgainstOracle asks tiny questions of every shape whose first search ends at once.
func TestRefinedSearchAgainstOracle(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 100
	}
	seen := map[Verdict]int{}
	refined := 0
	for n := range seeds {
		in := verifytest.RandomInstance(n)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		r := decideBy(t, p, in.Problem, Options{Workers: 1 + int(n%2), Memory: 1 << 20, firstWork: 1})
		if r.Reason == bab.OutOfWork {
			t.Fatalf("seed %d: %v %q\n%v", n, r.Verdict, r.Reason, in)
		}
		if refinements(r) == 0 {
			continue
		}
		refined++
		seen[r.Verdict]++
		truth := verifytest.SolveExact(p, in.Problem)
		switch r.Verdict {
		case Holds:
			if truth.Sat && truth.Margin.Sign() > 0 {
				t.Fatalf("seed %d: holds, but case %d has a counterexample of margin %v\n%v", n, truth.Case, truth.Margin, in)
			}
		case Violated:
			if _, ok := in.Problem.Confirm(p, r.Witness.X); !ok || !truth.Sat {
				t.Fatalf("seed %d: violated, confirmed %v, truth %+v\n%v", n, ok, truth, in)
			}
		case Unknown:
			if by := decideBy(t, p, in.Problem, Options{Workers: 1, Memory: 1 << 20}); by.Verdict != Unknown {
				t.Errorf("seed %d: %q, without refinement %v", n, r.Reason, by.Verdict)
			}
		}
	}
	t.Logf("%d refined: %v", refined, seen)
	if refined < int(seeds)/50 || seen[Holds] == 0 {
		t.Error("the test has lost its grip")
	}
}

// TestNothingToRefine: with one layer of ReLUs there are no inner bounds that ReLUs decide, so the first search has all the time.
func TestNothingToRefine(t *testing.T) {
	in, err := verifytest.ParseInstance("node input 2\nnode affine 4\nterm 0 dense 4 2 1 1 -1 -1 1 -1 -1 1\nnode relu 1\nnode affine 1\n" +
		"term 2 dense 1 4 1 1 1 1\noutput 3\nbox -1 1 -1 1\ncase 0\nrow y0 -1 <= -2.00001\n")
	if err != nil {
		t.Fatal(err)
	}
	p, err := in.Net.Program()
	if err != nil {
		t.Fatal(err)
	}
	r := decideBy(t, p, in.Problem, Options{Workers: 1, firstWork: 1})
	if r.Verdict != Holds || refinements(r) > 0 || r.Stats.Branches < 2 {
		t.Errorf("%v %q after %d branches, %q", r.Verdict, r.Reason, r.Stats.Branches, r.Strategy)
	}
}

// TestCancelRefinement: a run that is cancelled while it refines returns in time and says so. A loaded machine may be late once.
func TestCancelRefinement(t *testing.T) {
	p, q := slowQuestion(t, 2, 0.3)
	refined, late := 0, []time.Duration{}
	for _, after := range []time.Duration{0, 1, 2, 3, 5, 10, 30, 100} {
		ctx, cancel := context.WithCancel(context.Background())
		var at time.Time
		timer := time.AfterFunc(after*time.Millisecond, func() { at = time.Now(); cancel() })
		r, err := Program(ctx, p, q, Options{Method: "relu-split", NoAttack: true, Workers: 2, firstWork: 1e3})
		done := time.Now()
		if timer.Stop() || err != nil || r.Verdict != Unknown || r.Reason != "interrupted" {
			t.Fatalf("after %d ms: %v %+v", after, err, r)
		}
		late = append(late, done.Sub(at))
		refined = max(refined, refinements(r))
	}
	t.Logf("late by %v, %d refinements", late, refined)
	if slices.Min(late) > 100*time.Millisecond || refined == 0 {
		t.Errorf("late by %v, %d refinements", late, refined)
	}
}
