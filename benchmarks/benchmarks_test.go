package benchmarks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/verify/report"
)

// TestMain lets the test binary play the verifier: as a child it prints a result object and obeys what the query's name
// asks for.
func TestMain(m *testing.M) {
	if os.Getenv("BENCHMARKS_CHILD") == "" || len(os.Args) < 2 || os.Args[1] != "verify" && os.Args[1] != "check" {
		os.Exit(m.Run())
	}
	if os.Args[1] == "check" {
		os.Exit(checkMain(os.Args[len(os.Args)-1]))
	}
	o := report.Object{Schema: report.Schema}
	switch query := filepath.Base(os.Args[len(os.Args)-1]); {
	case strings.HasPrefix(query, "crash"):
		panic("boom")
	case strings.HasPrefix(query, "refused"):
		os.Exit(exitUnsupported)
	case strings.HasPrefix(query, "slow"):
		time.Sleep(time.Minute)
	case strings.HasPrefix(query, "hog"):
		hog := make([][]byte, 0)
		for range 400 {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			hog = append(hog, b)
			time.Sleep(5 * time.Millisecond)
		}
		o.Verdict = string(hog[0][:0])
	case strings.HasPrefix(query, "phases"):
		fmt.Printf(`{"schema":%q,"verdict":"unsat","search":{"branches":3,"phases":{"attack":0.25,"closing":0.75}}}`, report.Schema)
		os.Exit(0)
	case strings.HasPrefix(query, "prove"):
		proveMain(&o, query)
	default:
		o.Verdict, _, _ = strings.Cut(query, ".")
	}
	_ = json.NewEncoder(os.Stdout).Encode(o)
	os.Exit(0)
}

// suite writes a suite with one instance per query name and the given known answers.
func suite(t *testing.T, limit string, truth map[string]string, queries ...string) []Instance {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "made")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var csv strings.Builder
	tr := "onnx,vnnlib,truth,n_trusted_unsat\n"
	for _, q := range queries {
		csv.WriteString("./net.onnx," + q + ".vnnlib," + limit + "\n")
		if truth[q] != "" {
			tr += "net.onnx," + q + ".vnnlib," + truth[q] + ",3\n"
		}
	}
	write(t, filepath.Join(dir, "instances.csv"), csv.String())
	write(t, filepath.Join(dir, "truth.csv"), tr)
	all, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func runner(t *testing.T, out string) *Runner {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BENCHMARKS_CHILD", "1")
	return &Runner{Exe: exe, Argv0: exe, Args: []string{"verify"}, Out: out}
}

func TestRunScoresAndResumes(t *testing.T) {
	all := suite(t, "20", map[string]string{"sat": "sat", "unsat": "sat", "unknown": "unsat"}, "sat", "unsat", "unknown", "crash", "refused")
	out := filepath.Join(t.TempDir(), "r.jsonl")
	r := runner(t, out)
	got, err := r.Run(context.Background(), all)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 {
		t.Fatalf("%d results, want 5", len(got))
	}
	s := NewScore(got, nil)
	if len(s.Rows) != 1 {
		t.Fatalf("%d rows, want 1", len(s.Rows))
	}
	row := s.Rows[0]
	if row.Sat != 1 || row.Unsat != 1 || row.Unknown != 1 || row.Errors != 1 || row.Refused != 1 || row.Wrong != 1 || row.Known != 3 || row.Solved != 2 {
		t.Errorf("row = %+v", row)
	}
	if len(s.Contradictions) != 1 || !strings.Contains(s.Contradictions[0], "unsat.vnnlib") {
		t.Errorf("contradictions = %q", s.Contradictions)
	}
	if len(s.Errors) != 1 || !strings.Contains(s.Errors[0], "boom") {
		t.Errorf("errors = %q, want the child's panic", s.Errors)
	}
	// Half a line, as a killed run leaves it, is not a result; everything else is skipped, errors too unless asked.
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.SplitAfter(string(data), "\n")
	write(t, out, whole[0]+whole[1]+whole[2]+whole[3]+whole[4]+`{"suite":"ma`)
	if again, err := r.Run(context.Background(), all); err != nil || len(again) != 0 {
		t.Errorf("resumed run did %d instances (%v), want 0", len(again), err)
	}
	r.Retry = true
	if again, err := r.Run(context.Background(), all); err != nil || len(again) != 1 {
		t.Errorf("retry did %d instances (%v), want 1", len(again), err)
	}
	final, _, err := ReadResults(out)
	if err != nil || len(final) != 6 {
		t.Errorf("file holds %d results (%v), want 6", len(final), err)
	}
	if n := NewScore(final, nil).Rows[0].Instances; n != 5 {
		t.Errorf("scored %d instances, want 5: a later result replaces an earlier one", n)
	}
}

func TestCancelKeepsFinished(t *testing.T) {
	all := suite(t, "60", nil, "sat", "slow", "unsat")
	out := filepath.Join(t.TempDir(), "r.jsonl")
	r := runner(t, out)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	r.Report = func(Progress) { cancel(stop) }
	begin := time.Now()
	if _, err := r.Run(ctx, all); !errors.Is(err, stop) {
		t.Errorf("err = %v, want the cause", err)
	}
	if time.Since(begin) > 10*time.Second {
		t.Error("cancelling took too long")
	}
	got, _, err := ReadResults(out)
	if err != nil || len(got) != 1 || got[0].Verdict != "sat" {
		t.Errorf("kept %+v (%v), want the one finished instance", got, err)
	}
}

func TestMemoryKill(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("resident memory of other processes is not visible here")
	}
	all := suite(t, "20", nil, "hog")
	r := runner(t, "")
	r.Memory = 100 << 20
	got, err := r.Run(context.Background(), all)
	if err != nil || len(got) != 1 {
		t.Fatalf("results %+v, %v", got, err)
	}
	if g := got[0]; g.Verdict != "error" || g.Reason != "memory" || g.PeakMiB < 100 || g.PeakMiB > 300 {
		t.Errorf("result = %+v, want a memory error a little over 125 MiB", g)
	}
}

func TestLate(t *testing.T) {
	rs := []Result{{Suite: "s", Model: "m", Query: "q", Verdict: "unsat", Wall: 2.5, Limit: 2}}
	s := NewScore(rs, map[string]Truth{"s|m|q": {Answer: "unsat"}})
	if len(s.Late) != 1 || s.Rows[0].Solved != 0 || s.Rows[0].TimedOut != 1 {
		t.Errorf("score = %+v, want one missed deadline that does not count", s)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ name, csv, want string }{
		{"two fields", "a.onnx,b.vnnlib\n", "2 fields"},
		{"bad limit", "a.onnx,b.vnnlib,5\na.onnx,c.vnnlib,soon\n", "row 2"},
		{"negative limit", "a.onnx,b.vnnlib,5\na.onnx,c.vnnlib,-1\n", "row 2"},
	} {
		path := filepath.Join(t.TempDir(), "instances.csv")
		write(t, path, c.csv)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want it to say %q", c.name, err, c.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing suite loads")
	}
}

func TestFilter(t *testing.T) {
	all := []Instance{{Model: "a", Query: "p1"}, {Model: "b", Query: "p1"}, {Model: "a", Query: "p2"}}
	if got := Filter(all, regexp.MustCompile("^a p"), 0); len(got) != 2 {
		t.Errorf("filtered %d, want 2", len(got))
	}
	if got := Filter(all, nil, 1); len(got) != 1 || got[0].Model != "a" {
		t.Errorf("limit: %+v", got)
	}
}

// TestSuites: every suite at hand loads, its files exist, and its known answers match its instances.
func TestSuites(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	dirs, err := filepath.Glob(filepath.Join(root, "vnncomp", "*", "instances.csv"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no suites below %s (%v)", root, err)
	}
	for _, path := range dirs {
		all, err := Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		truth, err := LoadTruth(filepath.Dir(path))
		if err != nil {
			t.Error(err)
		}
		missing, unknown := 0, 0
		for i := range all {
			for _, f := range []string{all[i].Model, all[i].Query} {
				if _, err := os.Stat(all[i].Path(f)); err != nil {
					missing++
				}
			}
			if _, ok := truth[all[i].Key()]; !ok && truth != nil {
				unknown++
			}
		}
		if missing > 0 || unknown > 0 {
			t.Errorf("%s: %d files missing, %d instances without a line in truth.csv", path, missing, unknown)
		}
	}
}
