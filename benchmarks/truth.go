package benchmarks

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A Truth is the known answer of an instance.
type Truth struct {
	Answer string // sat, unsat, or unknown
	// Support counts the independent tools behind an unsat; 1 is weak evidence.
	Support int
	Note    string
	// Peers maps a tool to its answer and time in seconds on its own machine.
	Peers map[string]Peer
}

// A Peer is another tool's answer.
type Peer struct {
	Answer  string
	Seconds float64
}

var peers = []string{"abcrown", "nnenum", "neuralsat", "marabou", "pyrat"}

// LoadTruth reads the known answers beside the instances, by instance key; a suite without truth.csv has none.
func LoadTruth(dir string) (map[string]Truth, error) {
	return ReadTruth(filepath.Join(dir, "truth.csv"), filepath.Base(dir))
}

// ReadTruth reads a truth.csv with a heading; the columns onnx, vnnlib and truth are needed. A missing file is empty.
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
	for _, row := range rows[1:] {
		get := func(h string) string {
			if i, ok := col[h]; ok {
				return row[i]
			}
			return ""
		}
		t := Truth{Answer: get("truth"), Note: get("note"), Peers: map[string]Peer{}}
		t.Support, _ = strconv.Atoi(get("n_trusted_unsat")) // informative only
		for _, p := range peers {
			if a := get(p + "_result"); a != "" {
				s, _ := strconv.ParseFloat(get(p+"_time_s"), 64)
				t.Peers[p] = Peer{a, s}
			}
		}
		i := Instance{Suite: suite, Model: name(get("onnx")), Query: name(get("vnnlib"))}
		out[i.Key()] = t
	}
	return out, nil
}
