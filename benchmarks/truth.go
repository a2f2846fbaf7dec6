package benchmarks

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Truth is the known answer of an instance.
type Truth struct {
	Answer string // sat, unsat, or unknown
	// Support counts the independent tools behind an unsat; 1 is weak evidence.
	Support int
	Note    string
	Limit   float64 // seconds the tools had, 0: unknown
	// Peers maps a tool to its answer and time in seconds on the competition's machine; "best" is the quickest right one.
	Peers map[string]Peer
}

// A Peer is another tool's answer.
type Peer struct {
	Answer  string
	Seconds float64
}

// LoadTruth reads the known answers beside the instances, by instance key; a suite without truth.csv has none.
func LoadTruth(dir string) (map[string]Truth, error) {
	return ReadTruth(filepath.Join(dir, "truth.csv"), filepath.Base(dir))
}

// ReadTruth reads a truth.csv with a heading; the columns onnx, vnnlib and truth are needed, every pair of columns
// TOOL_result and TOOL_time_s makes TOOL a peer, best_tool and best_time_s the peer "best". A missing file is empty.
func ReadTruth(path, suite string) (map[string]Truth, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("benchmarks: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("benchmarks: %s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	col := map[string]int{}
	for i, h := range rows[0] {
		col[h] = i
	}
	for _, h := range []string{"onnx", "vnnlib", "truth"} {
		if _, ok := col[h]; !ok {
			return nil, fmt.Errorf("benchmarks: %s: no column %q", path, h)
		}
	}
	out := map[string]Truth{}
	for n, row := range rows[1:] {
		get := func(h string) string {
			if i, ok := col[h]; ok {
				return row[i]
			}
			return ""
		}
		t, err := newTruth(rows[0], get)
		if err != nil {
			return nil, fmt.Errorf("benchmarks: %s: row %d: %w", path, n+2, err)
		}
		i := Instance{Suite: suite, Model: name(get("onnx")), Query: name(get("vnnlib"))}
		out[i.Key()] = t
	}
	return out, nil
}

// newTruth reads one row; get returns the field under a heading, "" where there is none.
func newTruth(head []string, get func(string) string) (Truth, error) {
	t := Truth{Answer: get("truth"), Note: get("note"), Peers: map[string]Peer{}}
	t.Support, _ = strconv.Atoi(get("n_trusted_unsat")) // informative only
	t.Limit, _ = strconv.ParseFloat(get("timeout_s"), 64)
	for _, h := range head {
		if tool, ok := strings.CutSuffix(h, "_result"); ok {
			if err := t.addPeer(tool, get(h), get(tool+"_time_s")); err != nil {
				return t, err
			}
		}
	}
	if get("best_tool") != "" {
		if err := t.addPeer("best", t.Answer, get("best_time_s")); err != nil {
			return t, err
		}
	}
	return t, nil
}

// addPeer records a tool's answer; an answer that decides needs a time, others may lack it.
func (t *Truth) addPeer(tool, answer, seconds string) error {
	if answer == "" {
		return nil
	}
	s, err := strconv.ParseFloat(seconds, 64)
	if decides(answer) && (err != nil || !(s >= 0 && s < 1e9)) {
		return fmt.Errorf("%q is not a time in seconds for %s's answer %s", seconds, tool, answer)
	}
	t.Peers[tool] = Peer{answer, s}
	return nil
}
