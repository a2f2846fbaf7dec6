package benchmarks

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func queries(all []Instance) string {
	var s []string
	for i := range all {
		s = append(s, strings.TrimSuffix(all[i].Query, ".vnnlib"))
	}
	return strings.Join(s, " ")
}

func TestSelect(t *testing.T) {
	all := suite(t, "20", map[string]string{"a": "sat", "b": "unsat", "c": "unknown", "d": "sat", "f": "unsat"}, "a", "b", "c", "d", "e", "f")
	result := func(q, verdict string, wall float64) Result {
		return Result{Suite: "made", Model: "net.onnx", Query: q + ".vnnlib", Dir: all[0].Dir, Verdict: verdict, Wall: wall, Limit: 20}
	}
	// a was solved at last, b lost at last, d came late, e failed, f was not run.
	earlier := []Result{result("a", "timed-out", 20), result("a", "sat", 3), result("b", "unsat", 9), result("b", "unknown", 1), result("c", "unsat", 7),
		result("d", "sat", 21), result("e", "error", 1)}
	for s, want := range map[Selection]string{SelectUndecided: "b d e f", SelectMissing: "b d f"} {
		got, err := Select(all, earlier, s)
		if err != nil || queries(got) != want {
			t.Errorf("%s: %q (%v), want %q", s, queries(got), err, want)
		}
	}
	if _, err := Select(all, earlier, "all"); err == nil || !strings.Contains(err.Error(), "missing or undecided") {
		t.Errorf("err = %v", err)
	}
	for n, want := range map[int]string{0: "", 1: "c", 2: "a c", 9: "a c"} {
		if got := queries(Slowest(all, earlier, n)); got != want {
			t.Errorf("slowest %d: %q, want %q", n, got, want)
		}
	}
	if got := Folders(append(earlier, Result{Dir: "x"})); !slices.Equal(got, []string{all[0].Dir, "x"}) {
		t.Errorf("folders = %q", got)
	}
}

// TestRunConditions: caps by suite, arguments and phases are recorded, results of other conditions are counted, and Fresh
// drops them.
func TestRunConditions(t *testing.T) {
	all := suite(t, "20", nil, "sat", "phases")
	out := filepath.Join(t.TempDir(), "r.jsonl")
	r := runner(t, out)
	r.Caps = map[string]time.Duration{"made": 7 * time.Second, "other": time.Second}
	r.Extra, r.Workers = []string{"--no-attack"}, 1
	got, err := r.Run(context.Background(), all)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	stored, _, err := ReadResults(out)
	if err != nil || len(stored) != 2 {
		t.Fatalf("%+v, %v", stored, err)
	}
	if s := stored[0]; s.Limit != 7 || s.Workers != 1 || !slices.Equal(s.Args, []string{"--no-attack"}) || s.Phases != nil {
		t.Errorf("stored %+v", s)
	}
	if m, err := stored[1].PhaseSeconds(); err != nil || len(m) != 2 || m["attack"] != 0.25 || m["closing"] != 0.75 {
		t.Errorf("phases = %v, %v", m, err)
	}
	if n := r.Foreign(all, stored); n != 0 {
		t.Errorf("%d foreign results, want 0", n)
	}
	for name, other := range map[string]*Runner{
		"cap":     {Caps: map[string]time.Duration{"made": 6 * time.Second}, Extra: r.Extra, Workers: 1},
		"workers": {Caps: r.Caps, Extra: r.Extra, Workers: 2}, "arguments": {Caps: r.Caps, Workers: 1}} {
		if n := other.Foreign(all, stored); n != 2 {
			t.Errorf("%s: %d foreign results, want 2", name, n)
		}
	}
	if got := r.limit(&Instance{Suite: "made", Timeout: 2 * time.Second}); got != 2*time.Second {
		t.Errorf("a cap above the instance's own limit makes it %v", got)
	}
	r.Fresh = true
	if got, err := r.Run(context.Background(), all[:1]); err != nil || len(got) != 1 {
		t.Errorf("fresh: %+v, %v", got, err)
	}
	if stored, _, _ = ReadResults(out); len(stored) != 1 {
		t.Errorf("a fresh file holds %d results, want 1", len(stored))
	}
}

// TestRunRefusesStrangeVerdicts: what the tool says becomes a line that can be read again.
func TestRunRefusesStrangeVerdicts(t *testing.T) {
	all := suite(t, "20", nil, "perhaps")
	out := filepath.Join(t.TempDir(), "r.jsonl")
	if _, err := runner(t, out).Run(context.Background(), all); err != nil {
		t.Fatal(err)
	}
	got, _, err := ReadResults(out)
	if err != nil || len(got) != 1 || got[0].Verdict != "error" || !strings.Contains(got[0].Error, `"perhaps"`) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadRefusesWhatIsNoResult(t *testing.T) {
	const good = `{"suite":"s","onnx":"m","vnnlib":"q","timeout_s":5,"verdict":"sat","wall_s":1}`
	path := filepath.Join(t.TempDir(), "r.jsonl")
	for _, c := range []struct{ line, want string }{
		{`{}`, "suite, onnx and vnnlib"},
		{`[1]`, "cannot unmarshal"},
		{strings.Replace(good, `"sat"`, `"yes"`, 1), `verdict "yes"`},
		{strings.Replace(good, `:5`, `:0`, 1), "timeout_s 0"},
		{strings.Replace(good, `:1`, `:-1`, 1), "wall_s -1"},
		{good[:40], "in string literal"}, // half a line, but not the last
	} {
		write(t, path, good+"\n"+c.line+"\n"+good+"\n")
		if _, _, err := ReadResults(path); err == nil || !strings.Contains(err.Error(), "r.jsonl:2") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want line 2 and %q", c.line, err, c.want)
		}
	}
	write(t, path, good+"\n"+good[:40])
	if all, whole, err := ReadResults(path); err != nil || len(all) != 1 || whole != int64(len(good)+1) {
		t.Errorf("half a last line: %d results, %d bytes, %v", len(all), whole, err)
	}
}

// FuzzParseResults: whatever a file holds, complete lines are results that survive being written and read again.
func FuzzParseResults(f *testing.F) {
	const good = `{"suite":"s","onnx":"m","vnnlib":"q","timeout_s":5,"verdict":"sat","wall_s":1,"phases":{"a":1},"args":["-x"]}`
	for _, s := range []string{"", "\n", good, good + "\n", good + "\n" + good[:30], "{}\n", strings.Replace(good, "5", "1e999", 1) + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, whole, err := parseResults("r", data)
		if err != nil {
			if len(all) != 0 || whole != 0 {
				t.Fatalf("an error and %d results of %d bytes", len(all), whole)
			}
			return
		}
		if whole < 0 || whole > int64(len(data)) || whole > 0 && data[whole-1] != '\n' {
			t.Fatalf("%d of %d bytes are whole lines", whole, len(data))
		}
		var again []byte
		for i := range all {
			line, err := json.Marshal(&all[i])
			if err != nil {
				t.Fatal(err)
			}
			again = append(append(again, line...), '\n')
		}
		back, _, err := parseResults("r", again)
		if err != nil || len(back) != len(all) {
			t.Fatalf("%d results read again, want %d (%v)", len(back), len(all), err)
		}
		for i := range back {
			if back[i].Key() != all[i].Key() || back[i].Solved() != all[i].Solved() || back[i].Wall != all[i].Wall {
				t.Fatalf("%+v became %+v", all[i], back[i])
			}
		}
	})
}
