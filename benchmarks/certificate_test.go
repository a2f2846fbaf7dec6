package benchmarks

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/verify/report"
)

// proveMain is the verifier that answers "prove…": at once, it says, and the rest of its time went into a proof whose file holds
// what the query's name says of it.
func proveMain(o *report.Object, query string) {
	o.Verdict, o.Semantics = "unsat", "real"
	at := slices.Index(os.Args, "--proof")
	if at < 0 {
		return
	}
	time.Sleep(500 * time.Millisecond)
	o.Decided = &report.Used{Wall: 0.001, PeakRSS: 1 << 20}
	o.Time.Wall = 0.5
	o.Time.Phases = map[string]float64{"proof": 0.4}
	if _, what, _ := strings.Cut(query, "-"); what == "nothing.vnnlib" {
		o.Unchecked = "no way"
	} else {
		o.Checked, o.Proof = true, &report.Proof{Bytes: 40, Leaves: 4, Make: 0.3}
		if err := os.WriteFile(os.Args[at+1], []byte(what), 0o644); err != nil {
			panic(err)
		}
	}
}

// checkMain is the checker: it accepts a file that says "good".
func checkMain(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 4
	}
	o := report.Check{Schema: report.CheckSchema, Accepted: string(data) == "good.vnnlib", Reason: "a leaf"}
	o.Time.Check = 0.125
	if string(data) != "mute.vnnlib" {
		_ = json.NewEncoder(os.Stdout).Encode(o)
	}
	return 0
}

// TestCertificates: an accepted certificate counts, the time of the search is without it, and what the second check refuses is an
// error.
func TestCertificates(t *testing.T) {
	all := suite(t, "20", nil, "prove-good", "prove-bad", "prove-mute", "prove-nothing", "sat")
	r := runner(t, filepath.Join(t.TempDir(), "r.jsonl"))
	t.Setenv("TMPDIR", t.TempDir())
	r.ProofFactor = 2
	if _, err := r.Run(context.Background(), all); err != nil {
		t.Fatal(err)
	}
	got, _, err := ReadResults(r.Out)
	if err != nil || len(got) != len(all) {
		t.Fatalf("%d results, %v", len(got), err)
	}
	good, bad, mute, none, sat := got[0], got[1], got[2], got[3], got[4]
	c := good.Certificate
	if !good.Checked || c == nil || c.Make != 0.3 || c.Check != 0.125 || c.CheckWall <= 0 || c.Bytes != 40 || c.Leaves != 4 ||
		c.Why != "" {
		t.Errorf("good: %+v, %+v", good, c)
	}
	// The child slept 0.5 s for its proof, of which it says 0.499; the rest is the start of a process.
	if good.Wall <= 0 || good.PeakMiB != 1 || good.ProofLimit != 40 || good.Limit != 20 || good.Semantics != "real" {
		t.Errorf("good: %+v", good)
	}
	if bad.Verdict != "error" || bad.Checked || !strings.Contains(bad.Error, "refuses the certificate: a leaf") {
		t.Errorf("bad: %+v", bad)
	}
	if mute.Verdict != "error" || mute.Checked {
		t.Errorf("mute: %+v", mute)
	}
	if none.Verdict != "unsat" || none.Checked || none.Certificate == nil || none.Certificate.Why != "no way" ||
		none.Certificate.Make != 0.4 {
		t.Errorf("none: %+v, %+v", none, none.Certificate)
	}
	if sat.Certificate != nil || sat.Verdict != "sat" {
		t.Errorf("sat: %+v", sat)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if n := r.Foreign(all, got); n != 0 {
		t.Errorf("%d results are foreign to the run that made them", n)
	}
	r.ProofFactor = 0
	if n := r.Foreign(all, got); n != len(all) {
		t.Errorf("%d results are foreign to a run without certificates, want %d", n, len(all))
	}
}

// TestCertificateTimes: what came after the answer is no time of the search.
func TestCertificateTimes(t *testing.T) {
	r := Result{ProofLimit: 1, Wall: 10.5, CPU: 12, PeakMiB: 8, Checked: true}
	o := report.Object{Verdict: "unsat", Decided: &report.Used{Wall: 2, CPU: 3, PeakRSS: 4 << 20}, Proof: &report.Proof{Make: 7}}
	o.Time.Wall, o.Time.CPU = 10, 11
	r.certificate(&o)
	if r.Wall != 2.5 || r.CPU != 4 || r.PeakMiB != 4 || r.Certificate.PeakMiB != 8 || r.Certificate.Make != 7 || !r.Checked {
		t.Errorf("%+v, %+v", r, r.Certificate)
	}
	r = Result{ProofLimit: 1, Wall: 10.5, Checked: true}
	r.certificate(&report.Object{Verdict: "unsat", Decided: &report.Used{}})
	if r.Checked || r.Certificate.Why == "" {
		t.Error("an answer that is checked by nothing counts as checked")
	}
}

func TestCertificateRows(t *testing.T) {
	one := func(suite, query, semantics string, wall float64, checked bool, c *Certificate) Result {
		return Result{Suite: suite, Model: "m", Query: query, Limit: 10, Verdict: "unsat", Wall: wall, CPU: 2 * wall, ProofLimit: 1,
			Semantics: semantics, Checked: checked, Certificate: c}
	}
	made := &Certificate{Make: 4, Check: 0.5, CheckWall: 1, CheckCPU: 1.5, Bytes: 30, Leaves: 2}
	results := []Result{
		one("b", "1", "real", 1, true, made), one("b", "2", "real", 0.25, true, made),
		one("b", "3", "real", 2, false, &Certificate{Why: "no"}),
		one("b", "4", "real", 11, true, made), // late
		one("a", "1", "real", 2, true, made), one("b", "1", "float32", 0.8, true, made),
		{Suite: "c", Model: "m", Query: "1", Limit: 10, Verdict: "unsat", Wall: 1, Checked: true, Certificate: made}, // not asked
		{Suite: "d", Model: "m", Query: "1", Limit: 10, Verdict: "sat", Wall: 1, Semantics: "real", ProofLimit: 1},
	}
	rows, err := CertificateRows(results)
	if err != nil {
		t.Fatal(err)
	}
	want := []CertificateRow{
		{"a", "real", 1, 1, 2, 4, 4, 0.5, 1, 1.5, 1, 1, 1, 30, 2},
		{"b", "real", 3, 2, 1.25, 2.5, 8, 1, 2, 3, 1, 1, 1, 60, 4},
		{"total", "real", 4, 3, 3.25, 6.5, 12, 1.5, 3, 4.5, 2, 2, 1, 90, 6},
		{"b", "float32", 1, 1, 0.8, 1.6, 4, 0.5, 1, 1.5, 0, 1, 1, 30, 2},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("rows\n%+v\nwant\n%+v", rows, want)
	}
	if _, err := CertificateRows(results[6:7]); !errors.Is(err, ErrNoCertificates) {
		t.Errorf("%v, want ErrNoCertificates", err)
	}
}
