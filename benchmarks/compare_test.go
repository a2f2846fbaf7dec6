package benchmarks

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// made returns a result of suite s, query q.
func made(s, q, verdict string, wall, limit float64) Result {
	return Result{Suite: s, Model: "m", Query: q, Verdict: verdict, Wall: wall, Limit: limit}
}

// twoSides is six common instances in two suites, and one that only A holds.
func twoSides() (a, b *Side) {
	a = ResultsSide("A", []Result{
		made("s", "1", "unsat", 2, 10), made("s", "2", "unsat", 4, 10), made("s", "3", "timed-out", 10, 10),
		made("t", "1", "sat", 0.002, 10), made("t", "2", "sat", 1, 10), made("t", "3", "error", 1, 5), made("u", "1", "sat", 1, 5),
	}, nil)
	b = ResultsSide("B", []Result{
		made("s", "1", "unsat", 1, 10), made("s", "2", "unsat", 12, 10), made("s", "3", "sat", 7, 10),
		made("t", "1", "sat", 0.008, 10), made("t", "2", "sat", 3, 10), made("t", "3", "unknown", 1, 20),
	}, nil)
	return a, b
}

func TestCompare(t *testing.T) {
	a, b := twoSides()
	c, err := Compare(a, b, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rows) != 3 || c.Rows[0].Suite != "s" || c.Rows[1].Suite != "t" || c.Rows[2].Suite != "total" {
		t.Fatalf("rows = %+v", c.Rows)
	}
	s, tt, total := c.Rows[0], c.Rows[1], c.Rows[2]
	// Suite s: A needs 2, 4 and fails within 10; B needs 1, is late for 10, and needs 7.
	if s.Common != 3 || s.A != (Tally{2, 0, 2, (2. + 4 + 20) / 3}) || s.B != (Tally{2, 1, 1, (1. + 20 + 7) / 3}) || s.Gained != 1 || s.Lost != 1 {
		t.Errorf("s = %+v", s)
	}
	if s.Ratios == nil || s.Ratios.Pairs != 1 || s.Ratios.Median != 0.5 || s.Ratios.Faster != 1 {
		t.Errorf("ratios of s = %+v", s.Ratios)
	}
	// Suite t: 2 ms and 8 ms are both the start of a process; the last instance had limits of 5 and 20.
	if !near(tt.A.PAR2, 11.002/3) || !near(tt.B.PAR2, 43.008/3) || tt.Ratios.Pairs != 2 || tt.Ratios.Slower != 1 || tt.Ratios.Faster != 0 {
		t.Errorf("t = %+v %+v", tt, tt.Ratios)
	}
	if total.Common != 6 || total.A.Solved != 4 || total.B.Solved != 4 || total.Ratios.Pairs != 3 {
		t.Errorf("total = %+v", total)
	}
	if len(c.Gained) != 1 || c.Gained[0].Query != "3" || len(c.Lost) != 1 || c.Lost[0].Query != "2" {
		t.Errorf("gained %+v, lost %+v", c.Gained, c.Lost)
	}
	if len(c.Slower) != 1 || c.Slower[0].SecondsB != 3 || c.Slower[0].Ratio != 3 || len(c.Faster) != 1 || c.Faster[0].SecondsB != 1 {
		t.Errorf("slower %+v, faster %+v", c.Slower, c.Faster)
	}
	wantNotes(t, c, "A holds suites that B does not: u", "1 of the 7 instances of A", "1 of the 6 common instances had different limits (t 3: 5 s and 20 s)",
		"1 answers of B came after the limit")
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	if len(c.Contradictions) != 0 {
		t.Errorf("contradictions = %q", c.Contradictions)
	}
}

func wantNotes(t *testing.T, c *Comparison, want ...string) {
	t.Helper()
	all := strings.Join(c.Notes, "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("notes lack %q:\n%s", w, all)
		}
	}
	if len(c.Notes) != len(want) {
		t.Errorf("%d notes, want %d:\n%s", len(c.Notes), len(want), all)
	}
}

func TestCompareTop(t *testing.T) {
	a, b := twoSides()
	for top, want := range map[int]int{-1: 0, 0: 1, 1: 1, 9: 1} {
		if c, err := Compare(a, b, CompareOptions{Top: top}); err != nil || len(c.Slower) != want || c.Slower == nil {
			t.Errorf("top %d: %v (%v), want %d", top, c.Slower, err, want)
		}
	}
}

// TestCompareSymmetric: exchanging the sides exchanges gains and losses and inverts ratios.
func TestCompareSymmetric(t *testing.T) {
	a, b := twoSides()
	c, err := Compare(a, b, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Compare(b, a, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Rows {
		p, q := c.Rows[i], d.Rows[i]
		if p.A != q.B || p.B != q.A || p.Gained != q.Lost || p.Lost != q.Gained || !near(p.Ratios.GeoMean*q.Ratios.GeoMean, 1) || p.Ratios.P != q.Ratios.P {
			t.Errorf("%+v and %+v", p, q)
		}
	}
}

func TestContradictions(t *testing.T) {
	truth := map[string]Truth{"s|m|1": {Answer: "unsat", Peers: map[string]Peer{"peer": {"sat", 1}}}}
	mine := func(v string, wall float64) *Side {
		return ResultsSide("mine", []Result{made("s", "1", v, wall, 5)}, truth)
	}
	peer, err := PeerSide("peer", truth)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a, b *Side
		want int
	}{
		{"each other", mine("unsat", 1), mine("sat", 1), 1},
		{"late answers are claims too", mine("unsat", 1), mine("sat", 9), 1},
		{"both against the known answer", mine("sat", 1), mine("sat", 1), 1},
		{"one against the known answer", mine("unknown", 1), mine("sat", 1), 1},
		{"the peer against us", mine("unsat", 1), peer, 1},
		{"the peer alone is wrong", mine("unknown", 1), peer, 0},
		{"we are wrong with the peer", mine("sat", 1), peer, 1},
		{"none", mine("unsat", 1), mine("timed-out", 1), 0},
	} {
		got, err := Compare(c.a, c.b, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Contradictions) != c.want {
			t.Errorf("%s: %q, want %d", c.name, got.Contradictions, c.want)
		}
		if x, y := got.Rows[0].A, got.Rows[0].B; x.Sat != y.Sat && got.Rows[0].Ratios != nil {
			t.Errorf("%s: opposite answers have a ratio", c.name)
		}
		if c.want > 0 && !strings.Contains(got.Contradictions[0], "known to be unsat") {
			t.Errorf("%s: %q does not tell the known answer", c.name, got.Contradictions)
		}
	}
}

// TestCompareCPU: ratios are of processor times where both are known; what is solved remains a matter of wall time.
func TestCompareCPU(t *testing.T) {
	cpu := func(r Result, seconds float64) Result { r.CPU = seconds; return r }
	a := ResultsSide("A", []Result{cpu(made("s", "1", "sat", 1, 5), 2), cpu(made("s", "2", "sat", 1, 5), 3), made("s", "3", "sat", 1, 5)}, nil)
	b := ResultsSide("B", []Result{cpu(made("s", "1", "sat", 4, 5), 1), cpu(made("s", "2", "sat", 6, 5), 1), cpu(made("s", "3", "sat", 1, 5), 1)}, nil)
	c, err := Compare(a, b, CompareOptions{CPU: true})
	if err != nil {
		t.Fatal(err)
	}
	r := c.Rows[0]
	if c.Measure != "cpu" || r.Ratios.Pairs != 1 || r.Ratios.Median != 0.5 || r.B.Solved != 2 || r.B.PAR2 != (4.+10+1)/3 ||
		len(c.Faster) != 1 || c.Faster[0].SecondsA != 2 {
		t.Errorf("%+v %+v %+v", r, r.Ratios, c.Faster)
	}
}

func TestNothingInCommon(t *testing.T) {
	a := ResultsSide("A", []Result{made("s", "1", "sat", 1, 5)}, nil)
	b := ResultsSide("B", []Result{made("t", "1", "sat", 1, 5)}, nil)
	if _, err := Compare(a, b, CompareOptions{}); !errors.Is(err, ErrNothingInCommon) || !strings.Contains(err.Error(), "suites s and t") {
		t.Errorf("err = %v", err)
	}
}

func TestCommonLimit(t *testing.T) {
	a := ResultsSide("A", []Result{made("s", "1", "sat", 3, 5), made("s", "2", "sat", 3, 5)}, nil)
	b := ResultsSide("B", []Result{made("s", "1", "sat", 4, 300), made("s", "2", "sat", 200, 300)}, nil)
	HoldToCommonLimit(a, b)
	c, err := Compare(a, b, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Rows[0]; r.B.Solved != 1 || r.B.PAR2 != (4.+10)/2 || r.Lost != 1 {
		t.Errorf("row = %+v", r)
	}
}

func TestPeers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "truth.csv")
	write(t, path, "onnx,vnnlib,timeout_s,truth,best_tool,best_time_s,quick_result,quick_time_s,slow_result,slow_time_s\n"+
		"m,1,20,unsat,quick,0.5,unsat,0.5,unsat,30\n"+
		"m,2,20,sat,slow,9,error,,sat,9\n"+
		"m,3,20,unknown,,,,,timeout,21\n"+
		"m,4,20,unsat,,,,,sat,1\n") // wrong
	truth, err := ReadTruth(path, "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := PeerSide("none", truth); err == nil || !strings.Contains(err.Error(), "best, quick, slow") {
		t.Errorf("err = %v, want the tools' names", err)
	}
	if _, err := PeerSide("none", nil); err == nil || !strings.Contains(err.Error(), "no tools") {
		t.Errorf("err = %v", err)
	}
	for peer, want := range map[string]Tally{"quick": {1, 0, 1, (0.5 + 40) / 2}, "slow": {2, 2, 0, (40. + 9 + 40 + 1) / 4}, "best": {2, 1, 1, 9.5 / 2}} {
		s, err := PeerSide(peer, truth)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Compare(s, s, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows[0].A != want {
			t.Errorf("%s: %+v, want %+v", peer, c.Rows[0].A, want)
		}
	}
	write(t, path, "onnx,vnnlib,truth,quick_result,quick_time_s\nm,1,sat,sat,soon\n")
	if _, err := ReadTruth(path, "s"); err == nil || !strings.Contains(err.Error(), "row 2") {
		t.Errorf("err = %v, want row 2", err)
	}
	if p := NewScore([]Result{made("s", "3", "unknown", 3, 20)}, truth).Rows[0].Peers; len(p) != 1 || p["slow"] != 0 {
		t.Errorf("peers = %v, want slow, asked in vain, and no other", p)
	}
	score := NewScore([]Result{made("s", "1", "unknown", 3, 20), made("s", "2", "sat", 3, 20), made("s", "3", "unknown", 3, 20),
		made("s", "4", "unsat", 3, 20)}, truth)
	if r := score.Rows[0]; r.Missing != 1 || r.PAR2 != (40.+3+40+3)/4 || r.Peers["quick"] != 1 || r.Peers["slow"] != 1 || r.Peers["best"] != 2 {
		t.Errorf("row = %+v", r)
	}
}
