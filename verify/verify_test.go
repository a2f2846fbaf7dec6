package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/trace"
	"github.com/spai-project/certify/verify/verifytest"
)

// methods are all values of Options.Method, and what each may leave undecided.
var methods = []string{"", "attack", "ibp", "crown", "alpha", "input-split", "relu-split", "semidefinite", "reluplex", "smt"}

func count(short, long uint64) uint64 {
	if testing.Short() {
		return short
	}
	return long
}

func program(t *testing.T, in *verifytest.Instance) *prog.Program {
	t.Helper()
	p, err := in.Net.Program()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t *testing.T, text string) *verifytest.Instance {
	t.Helper()
	in, err := verifytest.ParseInstance(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return in
}

func decide(t *testing.T, in *verifytest.Instance, opt verify.Options) *verify.Result {
	t.Helper()
	r, err := verify.Program(context.Background(), program(t, in), in.Problem, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hard returns a question that no method decides within seconds: a random network with the given inputs and a threshold just
// beyond the least value that sampling finds.
func hard(t *testing.T, inputs, width int) *verifytest.Instance {
	t.Helper()
	r := seed.Stream(7, "hard", fmt.Sprint(inputs))
	n := &verifytest.Net{Nodes: []verifytest.NetNode{{Kind: prog.Input, N: inputs}}}
	layer := func(out int) {
		src := len(n.Nodes) - 1
		in := n.Nodes[src].N
		node := verifytest.NetNode{Kind: prog.Affine, N: out}
		m := verifytest.NetMap{Kind: verifytest.Dense, Out: out, In: in}
		for range out {
			node.Bias = append(node.Bias, float64(float32(r.NormFloat64()*0.3)))
			for range in {
				m.W = append(m.W, float64(float32(r.NormFloat64()*math.Sqrt(2/float64(in)))))
			}
		}
		node.Terms = []verifytest.NetTerm{{Src: src, Map: m}}
		n.Nodes = append(n.Nodes, node)
	}
	for range 4 {
		layer(width)
		n.Nodes = append(n.Nodes, verifytest.NetNode{Kind: prog.Relu, N: width, Src: len(n.Nodes) - 1})
	}
	layer(1)
	n.Output = len(n.Nodes) - 1
	in := &verifytest.Instance{Net: n, Problem: &spec.Problem{NumInputs: inputs, NumOutputs: 1}}
	p := program(t, in)
	least := math.Inf(1)
	x := make([]float64, inputs)
	for range 5000 {
		for i := range x {
			x[i] = 2*r.Float64() - 1
		}
		least = min(least, p.Eval(x, 1, nil)[p.Output][0])
	}
	box := spec.Box{}
	for range inputs {
		box.Lower, box.Upper = append(box.Lower, -1), append(box.Upper, 1)
		box.InLower, box.InUpper = append(box.InLower, -1), append(box.InUpper, 1)
	}
	limit := least - 3
	in.Problem.Boxes = []spec.Box{box}
	in.Problem.Cases = []spec.Case{{Rows: []spec.Row{{Y: []spec.Coef{{Value: 1}}, RHSLower: limit, RHSUpper: limit}}}}
	return in
}

// TestWorkersDoNotMatter compares results for one, two and three workers.
func TestWorkersDoNotMatter(t *testing.T) {
	type answer struct {
		Verdict  verify.Verdict
		Reason   string
		Margin   float64
		Volume   float64
		X        []float64
		Branches int
	}
	branched := 0
	for _, method := range []string{"", "input-split", "relu-split"} {
		for n := range count(80, 250) {
			in := verifytest.RandomInstance(n)
			var want answer
			for workers := 1; workers <= 3; workers++ {
				r := decide(t, in, verify.Options{Workers: workers, Method: method, NoAttack: n%2 == 0, Memory: 20_000})
				got := answer{Verdict: r.Verdict, Reason: r.Reason, Margin: r.Margin, Volume: r.Stats.Volume, Branches: r.Stats.Branches}
				if r.Witness != nil {
					got.X = r.Witness.X
				}
				if workers == 1 {
					want = got
				} else if !reflect.DeepEqual(got, want) {
					t.Fatalf("method %q, seed %d: %d workers: %+v, one worker: %+v", method, n, workers, got, want)
				}
			}
			if want.Branches > 2 {
				branched++
			}
		}
	}
	if branched < 10 {
		t.Errorf("only %d searches branched: the comparison means little", branched)
	}
}

// TestMethodsAgainstOracle: under every method a Holds is true and a Violated passes Confirm; methods that search decide what is
// clear by more than 1e-6.
func TestMethodsAgainstOracle(t *testing.T) {
	for _, method := range methods {
		t.Run(method, func(t *testing.T) {
			seen := map[verify.Verdict]int{}
			clearly := big.NewRat(1, 1_000_000)
			for n := uint64(5000); n < 5000+count(60, 300); n++ {
				in := verifytest.RandomInstance(n)
				p := program(t, in)
				truth := verifytest.SolveExact(p, in.Problem)
				clear := truth.Margin == nil || new(big.Rat).Abs(truth.Margin).Cmp(clearly) > 0
				opt := verify.Options{Method: method, NoAttack: n%2 == 0, Workers: 2, Memory: 5 << 20}
				if method == "attack" || !clear { // an attack never knows that there is nothing to find
					opt.Timeout = 20 * time.Millisecond
				}
				start := time.Now()
				r := decide(t, in, opt)
				if d := time.Since(start); d > time.Second {
					t.Logf("seed %d: %v, margin %v, verdict %v", n, d, truth.Margin, r.Verdict)
				}
				seen[r.Verdict]++
				check(t, n, in, p, opt, r, truth)
				searches := method == "" || strings.HasSuffix(method, "split")
				if clear && searches && r.Verdict == verify.Unknown && !(truth.Sat && in.GridHides()) {
					m, _ := truth.Margin.Float64()
					t.Errorf("seed %d: %q at margin %g\n%v", n, r.Reason, m, in)
				}
			}
			t.Logf("holds %d, violated %d, unknown %d", seen[verify.Holds], seen[verify.Violated], seen[verify.Unknown])
			if seen[verify.Violated] == 0 && method == "attack" || seen[verify.Holds] == 0 && method != "attack" {
				t.Error("lopsided")
			}
		})
	}
}

// check compares a result with the exact answer.
func check(t *testing.T, n uint64, in *verifytest.Instance, p *prog.Program, opt verify.Options, r *verify.Result, truth verifytest.Truth) {
	t.Helper()
	switch r.Verdict {
	case verify.Holds:
		if truth.Sat && truth.Margin.Sign() > 0 {
			t.Fatalf("seed %d: holds, but case %d has a counterexample of margin %v\n%v", n, truth.Case, truth.Margin, in)
		}
		if r.Witness != nil || r.Reason != "" || r.Stats.Open != 0 {
			t.Fatalf("seed %d: holds with witness %v, reason %q, %d open", n, r.Witness, r.Reason, r.Stats.Open)
		}
	case verify.Violated:
		if r.Witness == nil {
			t.Fatalf("seed %d: violated without a witness", n)
		}
		w, ok := in.Problem.Confirm(p, r.Witness.X)
		if !ok || !truth.Sat {
			t.Fatalf("seed %d: violated, witness %v confirmed %v, truth %+v\n%v", n, r.Witness.X, ok, truth, in)
		}
		if y := p.Eval(w.X, 1, nil)[p.Output]; !slices.Equal(y, r.Witness.Y) {
			t.Fatalf("seed %d: the witness says y = %v, the network %v", n, r.Witness.Y, y)
		}
	case verify.Unknown:
		if r.Witness != nil || r.Reason == "" {
			t.Fatalf("seed %d: unknown with witness %v, reason %q", n, r.Witness, r.Reason)
		}
		if best := r.Margin; !math.IsInf(best, 0) {
			// Margin bounds −(greatest slack), the objective of the weakest case, from below.
			if m, _ := truth.Margin.Float64(); best > -m+1e-9*(1+math.Abs(m)) {
				t.Fatalf("seed %d: the margin %g is above the true one %g\n%v", n, best, -m, in)
			}
		}
	case verify.Timeout:
		if r.Witness != nil || opt.Timeout == 0 {
			t.Fatalf("seed %d: timeout with witness %v, limit %v", n, r.Witness, opt.Timeout)
		}
	}
}

// TestCancel: a cancelled run returns within 100 ms, says so, keeps its best bound and leaves no goroutine. A loaded machine
// may be late once: the fastest of a few tries counts.
func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name   string
		opt    verify.Options
		inputs int
	}{
		{"input splitting", verify.Options{Method: "input-split", NoAttack: true}, 6},
		{"ReLU splitting", verify.Options{Method: "relu-split", NoAttack: true}, 12},
		{"attack", verify.Options{Method: "attack"}, 12},
		{"automatic", verify.Options{}, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := hard(t, c.inputs, 60)
			p := program(t, in)
			before := runtime.NumGoroutine()
			var late []time.Duration
			for _, after := range []time.Duration{0, 20, 150, 400} {
				c.opt.Workers = 2
				ctx, cancel := context.WithCancel(context.Background())
				var cancelled time.Time
				timer := time.AfterFunc(after*time.Millisecond, func() { cancelled = time.Now(); cancel() })
				r, err := verify.Program(ctx, p, in.Problem, c.opt)
				done := time.Now()
				if timer.Stop() {
					if c.opt.Method == "attack" { // searches end by themselves
						continue
					}
					t.Fatalf("decided %v in %v: not a hard question", r.Verdict, r.Stats.Wall)
				}
				if err != nil || r.Verdict != verify.Unknown || r.Reason != "interrupted" {
					t.Fatalf("after %d ms: %v %+v", after, err, r)
				}
				late = append(late, done.Sub(cancelled))
			}
			t.Logf("late by %v", late)
			if len(late) > 0 && slices.Min(late) > 100*time.Millisecond {
				t.Errorf("returned %v after the cancellation", late)
			}
			for range 50 { // the timer's own goroutine needs a moment
				if runtime.NumGoroutine() <= before {
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
			t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		})
	}
}

// TestDeadline: with a timeout the answer is Timeout, in time.
func TestDeadline(t *testing.T) {
	in := hard(t, 8, 60)
	for _, method := range []string{"", "input-split", "relu-split"} {
		const limit = 300 * time.Millisecond
		best := time.Hour
		for range 3 {
			start := time.Now()
			r := decide(t, in, verify.Options{Method: method, Timeout: limit, Workers: 2})
			if r.Verdict != verify.Timeout || r.Reason != "deadline" {
				t.Fatalf("method %q: %v %q", method, r.Verdict, r.Reason)
			}
			if best = min(best, time.Since(start)); best < limit+100*time.Millisecond {
				break
			}
		}
		if best > limit+100*time.Millisecond {
			t.Errorf("method %q: %v for a limit of %v", method, best, limit)
		}
	}
}

// TestMemory: a search over its budget ends as Unknown, reason memory, with the bound it reached.
func TestMemory(t *testing.T) {
	for _, method := range []string{"input-split", "relu-split"} {
		in := hard(t, 6, 20)
		r := decide(t, in, verify.Options{Method: method, Memory: 3000, NoAttack: true, Timeout: 20 * time.Second})
		if r.Verdict != verify.Unknown || r.Reason != "memory" || r.Stats.PeakBytes <= 3000 || r.Stats.Open == 0 {
			t.Errorf("method %q: %v %q, peak %d, %d open", method, r.Verdict, r.Reason, r.Stats.PeakBytes, r.Stats.Open)
		}
		if math.IsInf(r.Margin, 0) || r.Margin > 0 {
			t.Errorf("method %q: best bound %g", method, r.Margin)
		}
	}
}

const identity = "node input 2\nnode affine 2\nterm 0 dense 2 2 1 0 0 1\noutput 1\n"

// TestVacuous: an empty input set holds whatever is asked.
func TestVacuous(t *testing.T) {
	in := parse(t, identity+"box 0 1 0 1\ncase 0\nrow y0 1 <= 9")
	in.Problem.Cases, in.Problem.Vacuous = nil, []string{"X_0 ≥ 1 and X_0 ≤ 0"}
	for _, method := range methods {
		if r := decide(t, in, verify.Options{Method: method}); r.Verdict != verify.Holds || !r.Vacuous || r.Reason == "" {
			t.Errorf("method %q: %+v", method, r)
		}
	}
}

// TestMismatch: sizes that do not fit are an error that callers can tell.
func TestMismatch(t *testing.T) {
	in := parse(t, identity+"box 0 1 0 1\ncase 0\nrow y0 1 <= 9")
	for _, c := range []struct{ inputs, outputs int }{{1, 2}, {3, 2}, {2, 1}, {2, 3}} {
		p := *in.Problem
		p.NumInputs, p.NumOutputs = c.inputs, c.outputs
		r, err := verify.Program(context.Background(), program(t, in), &p, verify.Options{})
		if !errors.Is(err, verify.ErrMismatch) || r != nil {
			t.Errorf("%+v: %v %v", c, r, err)
		}
	}
}

// TestNoRows: a case without rows asks for any point of its box; it is never said to hold.
func TestNoRows(t *testing.T) {
	in := parse(t, identity+"box 0 1 0 1\ncase 0\nrow y0 1 <= 9")
	in.Problem.Cases[0].Rows = nil
	for _, method := range methods {
		if r := decide(t, in, verify.Options{Method: method}); r.Verdict != verify.Violated {
			t.Errorf("method %q: %v %q", method, r.Verdict, r.Reason)
		}
		if r := decide(t, in, verify.Options{Method: method, NoAttack: true}); r.Verdict == verify.Holds {
			t.Errorf("method %q without attacks: holds", method)
		}
	}
}

// TestBoxesAndCases: one open case on one of many boxes decides.
func TestBoxesAndCases(t *testing.T) {
	text := fourBoxes
	for _, method := range []string{"", "input-split", "relu-split"} {
		if r := decide(t, parse(t, text), verify.Options{Method: method, NoAttack: true}); r.Verdict != verify.Holds {
			t.Errorf("method %q: %v %q", method, r.Verdict, r.Reason)
		}
		for box := range 4 {
			bad := fmt.Sprintf("%scase %d\nrow y0 -1 <= %g\n", text, box, -0.5*float64(box)-0.999)
			r := decide(t, parse(t, bad), verify.Options{Method: method, NoAttack: true})
			if r.Verdict != verify.Violated || r.Witness.Case != 5 {
				t.Errorf("method %q: a counterexample on box %d: %v %q %+v", method, box, r.Verdict, r.Reason, r.Witness)
			}
		}
	}
}

// fourBoxes has y = |x0+x1| + |x0−x1| = 2·max(|x0|, |x1|) on boxes [−b, b]² with 2b = 1, 3/2, 2, 5/2, and five cases that just
// hold: all but the last need splitting.
const fourBoxes = "node input 2\nnode affine 4\nterm 0 dense 4 2 1 1 -1 -1 1 -1 -1 1\nnode relu 1\nnode affine 1\nterm 2 dense 1 4 1 1 1 1\noutput 3\n" +
	"box -0.5 0.5 -0.5 0.5\nbox -0.75 0.75 -0.75 0.75\nbox -1 1 -1 1\nbox -1.25 1.25 -1.25 1.25\n" +
	"case 2\nrow y0 -1 <= -2.001\ncase 0\nrow y0 -1 <= -1.001\ncase 3\nrow y0 -1 <= -2.501\ncase 2\nrow y0 -1 <= -2.002\ncase 1\nrow y0 1 <= -0.001\n"

// TestVolume asks about |x0+x1| + |x0−x1| on two boxes, of which intervals settle the first.
func TestVolume(t *testing.T) {
	const net = "node input 2\nnode affine 4\nterm 0 dense 4 2 1 1 -1 -1 1 -1 -1 1\nnode relu 1\n" +
		"node affine 1\nterm 2 dense 1 4 1 1 1 1\noutput 3\nbox 0 1 0 1\nbox -1 1 -1 1\ncase 0\nrow y0 1 <= -1\ncase 1\n"
	for _, c := range []struct {
		row, method string
		verdict     verify.Verdict
		want        float64
	}{
		{"row y0 -1 <= -2.00001", "ibp", verify.Unknown, 0.5},
		{"row y0 -1 <= -2.00001", "relu-split", verify.Holds, 1},
		{"row y0 -1 <= -1.99999", "relu-split", verify.Violated, 0},
	} {
		searched := 0
		tr := trace.Func(func(e trace.Event) {
			if e.Phase != "bab" {
				return
			}
			if searched++; e.Volume < 0.5 || e.Volume > 1 {
				t.Errorf("%s, %s: an event with %v proved", c.row, c.method, e.Volume)
			}
		})
		r := decide(t, parse(t, net+c.row), verify.Options{Method: c.method, NoAttack: true, Workers: 1, Trace: tr})
		if r.Verdict != c.verdict || r.Stats.Volume != c.want {
			t.Errorf("%s, %s: %v with %v proved, want %v and %v", c.row, c.method, r.Verdict, r.Stats.Volume, c.verdict, c.want)
		}
		if c.verdict == verify.Holds && searched == 0 {
			t.Error("the search had no event: the test means less")
		}
	}
	most := 0.0 // with a search that some budget stops half way
	for memory := int64(500); memory <= 5000; memory += 500 {
		r := decide(t, parse(t, net+"row y0 -1 <= -2.00001"), verify.Options{Method: "relu-split", NoAttack: true, Memory: memory})
		if r.Verdict == verify.Unknown {
			most = max(most, r.Stats.Volume)
		}
	}
	if most <= 0.5 || most >= 1 {
		t.Errorf("at most %v proved by a search that its budget stops", most)
	}
}

// TestTrace: events come with times that grow, and the strategy is among them.
func TestTrace(t *testing.T) {
	var events []trace.Event
	r := decide(t, parse(t, fourBoxes), verify.Options{Trace: trace.Func(func(e trace.Event) { events = append(events, e) }), Workers: 1})
	var said []string
	for i, e := range events {
		if e.Phase == "strategy" {
			said = append(said, e.Text)
		}
		if i > 0 && e.Time < events[i-1].Time {
			t.Errorf("event %d at %v after one at %v", i, e.Time, events[i-1].Time)
		}
	}
	if len(said) == 0 || !slices.Equal(said, r.Strategy) {
		t.Errorf("traced %q, result %q", said, r.Strategy)
	}
}

// TestPhases: a result says how its time was spent, the parts are disjoint, and what runs in a phase carries its label.
func TestPhases(t *testing.T) {
	for _, c := range []struct {
		method string
		want   []string
	}{
		{"attack", []string{"attack", "lower"}},
		{"ibp", []string{"attack", "lower", "screen"}},
		{"crown", []string{"attack", "lower", "root bounds", "screen"}},
		{"input-split", []string{"attack", "input split", "lower", "root bounds", "screen"}},
		{"relu-split", []string{"alpha", "attack", "lower", "relu split", "root bounds", "screen"}},
		{"smt", []string{"alpha", "attack", "lower", "root bounds", "screen", "smt"}},
	} {
		in := hard(t, 12, 20)
		labels := map[string]bool{}
		tr := trace.Func(func(e trace.Event) {
			var b strings.Builder
			if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
				t.Error(err)
			}
			for _, phase := range c.want {
				labels[phase] = labels[phase] || strings.Contains(b.String(), fmt.Sprintf("%q:%q", "phase", phase))
			}
		})
		r := decide(t, in, verify.Options{Method: c.method, Workers: 2, Timeout: 800 * time.Millisecond, Trace: tr})
		sum := 0.0
		for _, s := range r.Stats.Phases {
			sum += s
		}
		got := slices.Sorted(maps.Keys(r.Stats.Phases))
		got = slices.DeleteFunc(got, func(s string) bool { return s == "confirm" })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: phases %q, want %q", c.method, got, c.want)
		}
		if wall := r.Stats.Wall.Seconds(); sum > wall+1e-9 || wall > 0.5 && sum < wall/2 { // searches use up the timeout
			t.Errorf("%s: phases %v take %v s of %v s", c.method, r.Stats.Phases, sum, wall)
		}
		for _, phase := range []string{"root bounds", "input split", "relu split"} { // those that speak while they run
			if slices.Contains(c.want, phase) && !labels[phase] {
				t.Errorf("%s: no goroutine was labelled %q", c.method, phase)
			}
		}
	}
}

// TestConfirmPhase: candidates that the search comes by are confirmed in a phase of their own.
func TestConfirmPhase(t *testing.T) {
	in := parse(t, fourBoxes)
	in.Problem.Cases[0].Rows[0].RHSLower, in.Problem.Cases[0].Rows[0].RHSUpper = -0.5, -0.5 // reached in a corner
	r := decide(t, in, verify.Options{NoAttack: true, Workers: 1})
	if r.Verdict != verify.Violated || r.Stats.Phases["confirm"] <= 0 {
		t.Errorf("%v with phases %v", r.Verdict, r.Stats.Phases)
	}
}
