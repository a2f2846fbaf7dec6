package benchmarks

import (
	"cmp"
	"fmt"
	"slices"
)

// A Selection names instances by how an earlier run ended.
type Selection string

const (
	// SelectUndecided keeps what the earlier run did not decide within its limit, or did not run.
	SelectUndecided Selection = "undecided"
	// SelectMissing keeps the undecided instances whose answer is known.
	SelectMissing Selection = "missing"
)

// Select keeps the instances that the selection names, in their order. earlier are the results of the earlier run; known
// answers are read beside the suites. An unknown selection is an error.
func Select(all []Instance, earlier []Result, s Selection) ([]Instance, error) {
	if s != SelectUndecided && s != SelectMissing {
		return nil, fmt.Errorf("benchmarks: no selection %q: %s or %s", s, SelectMissing, SelectUndecided)
	}
	solved := map[string]bool{}
	for _, r := range Latest(earlier) {
		solved[r.Key()] = r.Solved()
	}
	truth := newTruths()
	var kept []Instance
	for i := range all {
		if solved[all[i].Key()] {
			continue
		}
		if s == SelectMissing {
			answer, err := truth.answer(&all[i])
			if err != nil {
				return nil, err
			}
			if !decides(answer) {
				continue
			}
		}
		kept = append(kept, all[i])
	}
	return kept, nil
}

// Slowest keeps the n instances that the earlier run solved in the longest wall time, in the order of all; ties go to the
// earlier instance. Instances it did not solve have no time of their own and are left out.
func Slowest(all []Instance, earlier []Result, n int) []Instance {
	seconds := map[string]float64{}
	for _, r := range Latest(earlier) {
		if r.Solved() {
			seconds[r.Key()] = r.Wall
		}
	}
	var at []int
	for i := range all {
		if _, ok := seconds[all[i].Key()]; ok {
			at = append(at, i)
		}
	}
	slices.SortStableFunc(at, func(i, j int) int { return cmp.Compare(seconds[all[j].Key()], seconds[all[i].Key()]) })
	at = at[:min(n, len(at))]
	slices.Sort(at)
	var kept []Instance
	for _, i := range at {
		kept = append(kept, all[i])
	}
	return kept
}

// Folders lists the folders of the suites in results, in the order in which they first come.
func Folders(results []Result) []string {
	var dirs []string
	for i := range results {
		if d := results[i].Dir; d != "" && !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}
