package report

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// sat is a run of a query with two inputs and one output.
func sat(version string, vars ...spec.Var) *Run {
	return &Run{Semantics: "real", Problem: &spec.Problem{NumInputs: 2, NumOutputs: 1, Version: version, Vars: vars},
		Result: &verify.Result{Verdict: verify.Violated, Witness: &spec.Witness{X: []float64{float64(float32(0.1)), -1e-7}, Y: []float64{3}, Margin: 0.5}}}
}

var (
	vars1 = []spec.Var{{Name: "X", Type: "Real", Shape: []int{2}}, {Name: "Y", Type: "Real", Shape: []int{1}, Output: true}}
	vars2 = []spec.Var{{Name: "a", Type: "real", Shape: nil}, {Name: "b", Type: "float32", Shape: []int{1, 1}},
		{Name: "out", Type: "real", Shape: []int{1}, Output: true}}
)

func TestText(t *testing.T) {
	undecided := func(v verify.Verdict) *Run { return &Run{Result: &verify.Result{Verdict: v, Reason: "memory"}} }
	x0 := "0.10000000149011612" // the float32 number, exactly enough digits to read it back
	for _, c := range []struct {
		name            string
		run             *Run
		strict, vnncomp string
	}{
		{"unknown", undecided(verify.Unknown), "unknown\n", "unknown\n"},
		{"unsat", undecided(verify.Holds), "unsat\n", "unsat\n"},
		{"timeout", undecided(verify.Timeout), "timed-out\n", "timed-out\n"},
		{"sat 1.0", sat("1.0", vars1...), "sat\nX float32 [2]\n0.1\n-0.0000001\nY float32 [1]\n3\n",
			"sat\n((X_0 " + x0 + ")\n(X_1 -0.0000001)\n(Y_0 3))\n"},
		{"sat 2.0", sat("2.0", vars2...), "sat\na real []\n" + x0 + "\nb float32 [1,1]\n-0.0000001\nout real [1]\n3\n",
			"sat\na real []\n" + x0 + "\nb float32 [1,1]\n-0.0000001\nout real [1]\n3\n"},
		{"sat, nothing declared", sat(""), "sat\nX float32 [2]\n0.1\n-0.0000001\nY float32 [1]\n3\n",
			"sat\n((X_0 " + x0 + ")\n(X_1 -0.0000001)\n(Y_0 3))\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Strict(&b, c.run); err != nil || b.String() != c.strict {
				t.Errorf("Strict: %v\n%q\nwant\n%q", err, b.String(), c.strict)
			}
			b.Reset()
			if err := VNNCOMP(&b, c.run); err != nil || b.String() != c.vnncomp {
				t.Errorf("VNNCOMP: %v\n%q\nwant\n%q", err, b.String(), c.vnncomp)
			}
		})
	}
}

func TestTooFewValues(t *testing.T) {
	r := sat("2.0", spec.Var{Name: "X", Shape: []int{3}})
	if err := Strict(&bytes.Buffer{}, r); err == nil {
		t.Error("a witness shorter than its variables was written")
	}
}

func TestJSON(t *testing.T) {
	r := sat("1.0", vars1...)
	r.Model, r.Wall, r.Seed = File{"net.onnx", "ab"}, 1500*time.Millisecond, 7
	r.Result.Margin = math.Inf(-1)
	r.Result.Stats.Phases = map[string]float64{"attack": 0.25}
	r.Result.Witness.Margin = math.NaN()
	var b bytes.Buffer
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "\n") != 1 {
		t.Error("the object is not one line")
	}
	var o Object
	if err := json.Unmarshal(b.Bytes(), &o); err != nil {
		t.Fatal(err)
	}
	if o.Schema != Schema || o.Verdict != "sat" || o.Model.Path != "net.onnx" || o.Time.Wall != 1.5 || o.Seed != 7 || o.Margin.Lower != nil ||
		o.Witness == nil || o.Witness.Margin != nil || o.Witness.X[0] != float64(float32(0.1)) || o.Query.Version != "1.0" ||
		len(o.Time.Phases) != 1 || o.Time.Phases["attack"] != 0.25 {
		t.Errorf("object = %s", b.String())
	}
	if !strings.Contains(b.String(), `"steps":[]`) {
		t.Error("no steps must be an empty list, not null")
	}
}

// TestJSONVolume: the proved fraction is there, be it 0, unless there is a counterexample.
func TestJSONVolume(t *testing.T) {
	some := verify.Stats{Volume: 0.5, PeakBytes: 7}
	for _, c := range []struct {
		r    *verify.Result
		want string
	}{
		{&verify.Result{Verdict: verify.Timeout, Stats: some}, `"closed":0,"volume":0.5,"peak_bytes":7}`},
		{&verify.Result{Verdict: verify.Unknown}, `"closed":0,"volume":0}`},
		{&verify.Result{Verdict: verify.Holds, Stats: verify.Stats{Volume: 1}}, `"closed":0,"volume":1}`},
		{&verify.Result{Verdict: verify.Violated, Witness: &spec.Witness{}}, `"closed":0}`},
	} {
		var b bytes.Buffer
		if err := JSON(&b, &Run{Result: c.r}); err != nil || !strings.Contains(b.String(), c.want) {
			t.Errorf("%v: %v, %s does not contain %s", c.r.Verdict, err, b.String(), c.want)
		}
	}
}

func TestHeadline(t *testing.T) {
	for _, c := range []struct {
		r    *verify.Result
		want string
	}{
		{&verify.Result{Verdict: verify.Holds}, "PROVED"},
		{&verify.Result{Verdict: verify.Holds, Vacuous: true}, "vacuously"},
		{&verify.Result{Verdict: verify.Unknown, Reason: "memory", Margin: -2}, "--memory"},
		{&verify.Result{Verdict: verify.Unknown, Reason: "something new", Margin: math.Inf(-1)}, "something new; no bound yet"},
		{&verify.Result{Verdict: verify.Timeout, Margin: -0.25}, "best bound on the margin -0.25 (> 0 would be a proof)   0 ms"},
		{&verify.Result{Verdict: verify.Timeout, Stats: verify.Stats{Volume: 0.0721}}, "(> 0 would be a proof); proved 7.2 %   0 ms"},
		{&verify.Result{Verdict: verify.Unknown, Stats: verify.Stats{Volume: 0.99999}}, "; proved 99.9 %   0 ms"},
		{&verify.Result{Verdict: verify.Violated, Witness: &spec.Witness{Case: 3, Margin: 0.5}}, "case 3, margin 0.5"},
	} {
		if got := Headline(&Run{Result: c.r}); !strings.Contains(got, c.want) {
			t.Errorf("%q does not contain %q", got, c.want)
		}
	}
}

func TestSerialise(t *testing.T) {
	dir := t.TempDir()
	r := sat("2.0", vars2...)
	if err := Serialise(dir, r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "out"} {
		if st, err := os.Stat(filepath.Join(dir, name+".pb")); err != nil || st.Size() == 0 {
			t.Errorf("%s.pb: %v", name, err)
		}
	}
	r.Problem.Vars[0].Name = "../a"
	if err := Serialise(dir, r); err == nil {
		t.Error("a variable name with a path was accepted as a file name")
	}
}

// TestEvidence: what the kernel accepted, and what it did not, in JSON and for people.
func TestEvidence(t *testing.T) {
	made := &Certificate{Data: make([]byte, 70), Leaves: 3, Make: 1500 * time.Millisecond, Check: 20 * time.Millisecond}
	kept := *made
	kept.Path = "p.cert"
	holds := func(checked bool) *verify.Result { return &verify.Result{Verdict: verify.Holds, Checked: checked} }
	for _, c := range []struct {
		name    string
		run     Run
		verbose bool
		json    string
		human   string // "": nothing about the kernel
	}{
		{"never", Run{Result: holds(false)}, true, `"checked":false,"witness"`, ""},
		{"written", Run{Result: holds(true), Certificate: &kept, Decided: &Usage{time.Second, 2 * time.Second, 9}}, false,
			`"checked":true,"proof":{"path":"p.cert","bytes":70,"leaves":3,"make":1.5,"check":0.02},` +
				`"decided":{"wall":1,"cpu":2,"peak_rss":9}`,
			"checked by the kernel: p.cert, 70 bytes, 3 leaves, made in 1.50 s, checked in 20 ms\n"},
		{"not written", Run{Result: holds(true), Certificate: made}, false, `"proof":{"bytes":70,`, "checked by the kernel\n"},
		{"not written, verbose", Run{Result: holds(true), Certificate: made}, true, `"proof":{"bytes":70,`,
			"a certificate, not kept, 70 bytes, 3 leaves"},
		{"not accepted", Run{Result: holds(false), Unchecked: "why"}, false, `"checked":false,"unchecked":"why"`, ""},
		{"not accepted, verbose", Run{Result: holds(false), Unchecked: "why"}, true, `"unchecked":"why"`, "not checked: why\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := JSON(&b, &c.run); err != nil || !strings.Contains(b.String(), c.json) {
				t.Errorf("%v, %s does not contain %s", err, b.String(), c.json)
			}
			b.Reset()
			if err := Human(&b, &c.run, c.verbose); err != nil || !strings.Contains(b.String(), c.human) ||
				c.human == "" && (strings.Contains(b.String(), "kernel") || strings.Contains(b.String(), "checked")) {
				t.Errorf("%v, %q, want %q in it", err, b.String(), c.human)
			}
		})
	}
	r := &Run{Unchecked: "why", Result: &verify.Result{Verdict: verify.Unknown, Reason: "not checked: why", Margin: 0.25}}
	if got := Headline(r); !strings.Contains(got, "UNKNOWN   not checked: why") || strings.Contains(got, "best bound") {
		t.Errorf("headline %q", got)
	}
}
