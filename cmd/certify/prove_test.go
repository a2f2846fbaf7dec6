package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spai-project/certify/cmd/certify/demo"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/report"
)

// TestAutoKeepsToItsShare: a check that was not asked for ends within a fifth of what was spent before, whatever it would take.
func TestAutoKeepsToItsShare(t *testing.T) {
	dir := t.TempDir()
	model, query := filepath.Join(dir, "net.onnx"), filepath.Join(dir, "q.vnnlib")
	if err := os.WriteFile(model, encodeDraft(demo.Network(3, 5, 50, 50, 50, 2)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(query, []byte(boxQuery(5, 2, "-1", "1", "(>= Y_0 3)")), 0o644); err != nil { // its proof takes minutes
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"verify", model, query, "--json", "--no-attack"}, nil, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var o report.Object
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		t.Fatal(err)
	}
	if o.Verdict != "unsat" || o.Checked || !strings.Contains(o.Unchecked, "within a fifth") || o.Decided == nil {
		t.Fatalf("answer: %s", out.String())
	}
	if most := 1.2*o.Decided.Wall + 0.2; o.Time.Wall > most { // what a loaded machine may add
		t.Errorf("%.3f s, %.3f s of it until decided: want at most %.3f", o.Time.Wall, o.Decided.Wall, most)
	}
}

// TestAllowance: when a check ends, after a search of 10 s.
func TestAllowance(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name       string
		job        *job
		soft, hard float64 // seconds from the start
	}{
		{"auto", &job{check: checkAuto}, 12, 12},
		{"auto, far limit", &job{check: checkAuto, limit: 60 * time.Second}, 12, 12},
		{"auto, near limit", &job{check: checkAuto, limit: 11 * time.Second}, 10.5, 10.75},
		{"always", &job{check: checkAlways}, never, never},
		{"always, limit", &job{check: checkAlways, limit: 60 * time.Second}, 58.8, 59.4},
		{"always, its own limit", &job{check: checkAlways, limit: 11 * time.Second, proofLimit: 50 * time.Second}, 59, 59.5},
		{"proof, its own limit", &job{check: checkAuto, proof: "p", proofLimit: 50 * time.Second}, 59, 59.5},
		{"proof", &job{check: checkAuto, proof: "p"}, never, never},
	} {
		a := &app{start: time.Now().Add(-10 * time.Second)}
		soft, hard := a.allowance(c.job)
		for _, x := range []struct {
			what string
			got  time.Time
			want float64
		}{{"soft", soft, c.soft}, {"hard", hard, c.hard}} {
			if x.want == never && x.got.IsZero() {
				continue
			}
			if x.want == never || math.Abs(x.got.Sub(a.start).Seconds()-x.want) > 0.2 {
				t.Errorf("%s: %s %v after the start, want %g s", c.name, x.what, x.got.Sub(a.start), x.want)
			}
		}
	}
}

// TestAwaitKeepsDecisions: an answer that the kernel does not come back from is given as the search found it, unless it must be
// checked.
func TestAwaitKeepsDecisions(t *testing.T) {
	interrupted, cancel := context.WithCancelCause(context.Background())
	cancel(&interrupt{syscall.SIGINT})
	full, cancel := context.WithCancelCause(context.Background())
	cancel(errMemory)
	for _, c := range []struct {
		name    string
		ctx     context.Context
		job     *job
		verdict verify.Verdict
		why     string
	}{
		{"auto", context.Background(), &job{check: checkAuto}, verify.Holds, "fifth"},
		{"auto, limit", context.Background(), &job{check: checkAuto, limit: time.Hour}, verify.Holds, "fifth"},
		{"proof", context.Background(), &job{check: checkAuto, proof: "p"}, verify.Holds, "--proof-timeout"},
		{"always", context.Background(), &job{check: checkAlways}, verify.Unknown, "--proof-timeout"},
		{"memory", full, &job{check: checkAuto, proof: "p"}, verify.Holds, "--memory"},
		{"memory, always", full, &job{check: checkAlways}, verify.Unknown, "--memory"},
		{"interrupt", interrupted, &job{check: checkAuto}, verify.Holds, "interrupted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := c.job
			a := &app{start: time.Now()}
			j.decided = make(chan decision, 1)
			until := time.Now().Add(20 * time.Millisecond)
			if c.ctx.Err() != nil {
				until = time.Time{}
			}
			j.decided <- decision{&report.Run{Result: &verify.Result{Verdict: verify.Holds}}, until}
			ans := a.await(c.ctx, j, nil, &lastSeen{})
			if ans.err != nil || ans.run.Result.Verdict != c.verdict || !strings.Contains(ans.run.Unchecked, c.why) {
				t.Errorf("%v, %+v, want %v and %q", ans.err, ans.run, c.verdict, c.why)
			}
			if c.verdict == verify.Unknown && !strings.Contains(ans.run.Result.Reason, c.why) {
				t.Errorf("reason %q, want %q in it", ans.run.Result.Reason, c.why)
			}
		})
	}
}

// TestLostCertificate: an answer whose certificate cannot be written is an answer, and an error.
func TestLostCertificate(t *testing.T) {
	r := &report.Run{Certificate: &report.Certificate{Data: []byte("x")}}
	j := &job{proof: filepath.Join(t.TempDir(), "none", "p")}
	var f *failure
	if err := j.keepProof(r); !errors.As(err, &f) || f.code != exitResources || r.Certificate.Path != "" {
		t.Errorf("%v, path %q", err, r.Certificate.Path)
	}
	j.proof = filepath.Join(t.TempDir(), "p")
	if err := j.keepProof(r); err != nil || r.Certificate.Path != j.proof {
		t.Errorf("%v, path %q", err, r.Certificate.Path)
	}
	if got, err := os.ReadFile(j.proof); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}
