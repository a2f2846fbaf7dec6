package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spai-project/certify/benchmarks"
)

// readRecords reads a results file that must exist and hold something. cut reports that its last line is incomplete, as a
// stopped or still running `bench run` leaves it.
func readRecords(path string) (all []benchmarks.Result, cut bool, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	all, whole, err := benchmarks.ReadResults(path)
	if err != nil {
		return nil, false, err
	}
	cut = whole < st.Size()
	if len(all) == 0 {
		if cut {
			return nil, cut, malformedf("certify bench run writes such files", "%s holds no complete line", path)
		}
		return nil, false, malformedf("certify bench run writes such files", "%s holds no results", path)
	}
	return all, cut, nil
}

// readAll reads results files one after another; what an incomplete last line means is said on stderr.
func (a *app) readAll(paths []string) (each [][]benchmarks.Result, err error) {
	for _, p := range paths {
		r, cut, err := readRecords(p)
		if err != nil {
			return nil, err
		}
		if cut {
			a.notef("note: the last line of %s is incomplete and left out: the run was stopped or goes on", p)
		}
		each = append(each, r)
	}
	return each, nil
}

// sideNames shortens paths to the names of their files where these differ.
func sideNames(paths []string) []string {
	names := make([]string, len(paths))
	seen := map[string]int{}
	for i, p := range paths {
		names[i] = strings.TrimSuffix(filepath.Base(p), ".jsonl")
		seen[names[i]]++
	}
	for i, p := range paths {
		if seen[names[i]] > 1 {
			names[i] = p
		}
	}
	return names
}
