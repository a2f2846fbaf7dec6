package benchmarks

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSetBlock(t *testing.T) {
	const page = "# head\n<!-- measured:begin a -->\nold\n<!-- measured:end a -->\nbetween\n<!-- measured:begin b -->\n<!-- measured:end b -->\n"
	got, err := SetBlock([]byte(page), "a", "\nnew\n\n| x |\n\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(page, "old\n", "new\n\n| x |\n", 1); string(got) != want {
		t.Errorf("page:\n%s", got)
	}
	if again, err := SetBlock(got, "a", "new\n\n| x |"); err != nil || string(again) != string(got) {
		t.Errorf("setting the same text again changes the page (%v):\n%s", err, again)
	}
	if got, err = SetBlock(got, "b", "b"); err != nil || !strings.HasSuffix(string(got), "<!-- measured:begin b -->\nb\n<!-- measured:end b -->\n") {
		t.Errorf("%v:\n%s", err, got)
	}
	for _, c := range []struct{ name, page, text, want string }{
		{"no block", "", "x", "0 lines"},
		{"twice", page + page, "x", "2 lines"},
		{"no end", "<!-- measured:begin a -->\n", "x", "measured:end a"},
		{"wrong order", "<!-- measured:end a -->\n<!-- measured:begin a -->\n", "x", "ends before"},
		{"nested", "<!-- measured:begin a -->\n<!-- measured:begin b -->\n<!-- measured:end a -->", "x", "inside"},
		{"marker in the text", page, "<!-- measured:end a -->", "holds a marker"},
	} {
		if got, err := SetBlock([]byte(c.page), "a", c.text); err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestSpeedups(t *testing.T) {
	run := func(workers int, rs ...Result) []Result {
		for i := range rs {
			rs[i].Workers = workers
		}
		return rs
	}
	one := run(1, made("s", "1", "sat", 6, 10), made("s", "2", "unsat", 4, 10), made("s", "3", "unsat", 4, 10), made("s", "4", "sat", 1, 10),
		made("s", "5", "sat", 9, 10))
	two := run(2, made("s", "1", "sat", 2, 10), made("s", "2", "unsat", 4, 10), made("s", "3", "timed-out", 10, 10), made("s", "4", "unsat", 1, 10))
	s, err := NewSpeedups(one, two)
	if err != nil {
		t.Fatal(err)
	}
	if s.WorkersA != 1 || s.WorkersB != 2 || len(s.Instances) != 2 || s.Median != 2 || s.Unsolved != 2 || len(s.Contradictions) != 1 {
		t.Errorf("speed-ups = %+v", s)
	}
	if _, err := NewSpeedups(append(one, run(2, made("s", "9", "sat", 1, 2))...), two); err == nil || !strings.Contains(err.Error(), "[1 2]") {
		t.Errorf("err = %v, want both numbers of workers", err)
	}
	if _, err := NewSpeedups(one, run(0, made("s", "1", "sat", 2, 10))); err == nil || !strings.Contains(err.Error(), "0: not given") {
		t.Errorf("err = %v", err)
	}
	if _, err := NewSpeedups(one[4:], two); !errors.Is(err, ErrNothingInCommon) {
		t.Errorf("err = %v", err)
	}
}

func TestPhaseRows(t *testing.T) {
	with := func(s, q, phases string) Result {
		r := made(s, q, "sat", 1, 2)
		r.Phases = json.RawMessage(phases)
		return r
	}
	rows, phases, err := PhaseRows([]Result{with("t", "1", `{"attack":1,"bounds":2}`), with("s", "1", `{"bounds":3}`), with("s", "2", ""),
		with("s", "3", `{"closing":0.5,"bounds":0}`)})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(phases, []string{"bounds", "attack", "closing"}) || len(rows) != 3 {
		t.Fatalf("phases %q, rows %+v", phases, rows)
	}
	if r := rows[0]; r.Suite != "s" || r.Instances != 2 || r.Total != 3.5 || r.Seconds["bounds"] != 3 {
		t.Errorf("s = %+v", r)
	}
	if r := rows[2]; r.Suite != "total" || r.Instances != 3 || r.Total != 6.5 || r.Seconds["bounds"] != 5 {
		t.Errorf("total = %+v", r)
	}
	if _, _, err := PhaseRows([]Result{with("s", "1", "")}); !errors.Is(err, ErrNoPhases) {
		t.Errorf("err = %v", err)
	}
	if _, _, err := PhaseRows([]Result{with("s", "1", `["attack"]`)}); err == nil || errors.Is(err, ErrNoPhases) {
		t.Errorf("err = %v, want what is wrong with the phases", err)
	}
}

func TestPhasesAnywhere(t *testing.T) {
	for _, c := range []struct{ object, want string }{
		{`{"phases":{"a":1}}`, `{"a":1}`}, {`{"search":{"phases":{"b":2}}}`, `{"b":2}`}, {`{"stats":{"phases":[3]}}`, `[3]`},
		{`{"time":{"phases":{"c":4}},"phases":null}`, `{"c":4}`}, {`{"search":{}}`, ``}, {`{"search":7}`, ``},
	} {
		if got := string(phases([]byte(c.object))); got != c.want {
			t.Errorf("%s: %q, want %q", c.object, got, c.want)
		}
	}
}

func TestGoBench(t *testing.T) {
	got, err := GoBench(strings.NewReader("goos: linux\ncpu: Some CPU\nsome log\nBenchmarkDot/n=8-2  \t 100\t 12.5 ns/op\t 3 gflops\nPASS\nok  \tx\t1s\n"))
	if want := "goos: linux\ncpu: Some CPU\nBenchmarkDot/n=8-2  \t 100\t 12.5 ns/op\t 3 gflops\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{"goos: linux\nPASS\n": "no measurement", "BenchmarkA 1 2 ns/op\n--- FAIL: BenchmarkB\nFAIL\n": "failed"} {
		if got, err := GoBench(strings.NewReader(text)); err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestScopes(t *testing.T) {
	all := suite(t, "20", nil, "a", "b", "c")
	result := func(q string, limit float64) Result {
		return Result{Suite: "made", Dir: all[0].Dir, Model: "net.onnx", Query: q + ".vnnlib", Limit: limit}
	}
	write(t, all[0].Dir+"/instances.csv", "net.onnx,a.vnnlib,20\nnet.onnx,b.vnnlib,8\nnet.onnx,c.vnnlib,20\n")
	for _, c := range []struct {
		results []Result
		want    Scope
	}{
		{[]Result{result("a", 20), result("b", 8)}, Scope{3, "own"}},
		{[]Result{result("a", 10), result("b", 8), result("c", 10)}, Scope{3, "own, at most 10 s"}},
		{[]Result{result("a", 10), result("b", 8), result("c", 20)}, Scope{3, "8 to 20 s"}}, // a alone was held short
		{[]Result{result("a", 10), result("b", 4)}, Scope{3, "4 to 10 s"}},
		{[]Result{result("a", 30)}, Scope{3, "30 s"}}, // more than its own
		{[]Result{{Suite: "made", Dir: all[0].Dir + "/gone", Limit: 2.5}}, Scope{0, "2.5 s"}},
	} {
		got, err := Scopes(c.results)
		if err != nil || got["made"] != c.want {
			t.Errorf("%+v: %+v (%v), want %+v", c.results, got, err, c.want)
		}
	}
}
