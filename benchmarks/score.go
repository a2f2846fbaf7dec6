package benchmarks

import (
	"fmt"
	"slices"
	"strings"
)

// A Row is the summary of one suite, or of all of them when Suite is "total". Times are seconds.
type Row struct {
	Suite     string  `json:"suite"`
	Instances int     `json:"instances"`
	Solved    int     `json:"solved"`
	Sat       int     `json:"sat"`
	Unsat     int     `json:"unsat"`
	Unknown   int     `json:"unknown"`
	TimedOut  int     `json:"timed_out"`
	Refused   int     `json:"unsupported"`
	Errors    int     `json:"errors"`
	Known     int     `json:"known"` // instances whose answer is known
	Wrong     int     `json:"wrong"`
	Late      int     `json:"late"`
	Median    float64 `json:"median_s"` // over solved instances
	Total     float64 `json:"total_s"`  // over all instances
	PeakMiB   float64 `json:"peak_mib"`
}

// A Score is the evaluation of results against known answers.
type Score struct {
	Rows           []Row    `json:"rows"` // by suite, the total last
	Contradictions []string `json:"contradictions"`
	Late           []string `json:"late"`
	Errors         []string `json:"errors"`
}

// NewScore evaluates results. truth maps instance keys to known answers; when nil, the answers recorded in the results are
// used. A later result of an instance replaces an earlier one.
func NewScore(results []Result, truth map[string]Truth) *Score {
	s := &Score{Contradictions: []string{}, Late: []string{}, Errors: []string{}}
	latest := map[string]Result{}
	var order []string
	for _, r := range results {
		if _, ok := latest[r.Key()]; !ok {
			order = append(order, r.Key())
		}
		latest[r.Key()] = r
	}
	bySuite := map[string][]Result{}
	var all []Result
	for _, k := range order {
		r := latest[k]
		known := truth[k]
		if known.Answer == "" {
			known.Answer = r.Truth
		}
		r.Truth = known.Answer
		s.name(&r, known)
		bySuite[r.Suite] = append(bySuite[r.Suite], r)
		all = append(all, r)
	}
	var suites []string
	for n := range bySuite {
		suites = append(suites, n)
	}
	slices.Sort(suites)
	for _, n := range suites {
		s.Rows = append(s.Rows, summarise(n, bySuite[n]))
	}
	if len(suites) != 1 {
		s.Rows = append(s.Rows, summarise("total", all))
	}
	return s
}

// name puts an instance on the lists it belongs to.
func (s *Score) name(r *Result, t Truth) {
	id := fmt.Sprintf("%s: %s %s", r.Suite, r.Model, r.Query)
	if contradicts(r) {
		note := ""
		if t.Answer == "unsat" {
			note = fmt.Sprintf(" (unsat by %d trusted tools)", t.Support)
		}
		if t.Note != "" {
			note += " note: " + t.Note
		}
		s.Contradictions = append(s.Contradictions, fmt.Sprintf("%s: answered %s, known to be %s%s", id, r.Verdict, r.Truth, note))
	}
	if r.Late() {
		s.Late = append(s.Late, fmt.Sprintf("%s: %.2f s of %.2f s", id, r.Wall, r.Limit))
	}
	if r.Verdict == "error" {
		s.Errors = append(s.Errors, fmt.Sprintf("%s: exit %d: %s", id, r.Exit, strings.ReplaceAll(r.Error, "\n", " ")))
	}
}

func contradicts(r *Result) bool {
	return r.Verdict == "sat" && r.Truth == "unsat" || r.Verdict == "unsat" && r.Truth == "sat"
}

func summarise(suite string, rs []Result) Row {
	row := Row{Suite: suite, Instances: len(rs)}
	var times []float64
	for i := range rs {
		r := &rs[i]
		switch {
		case r.Late(), r.Verdict == "timed-out":
			row.TimedOut++
		case r.Verdict == "sat":
			row.Sat++
		case r.Verdict == "unsat":
			row.Unsat++
		case r.Verdict == "unsupported":
			row.Refused++
		case r.Verdict == "error":
			row.Errors++
		default:
			row.Unknown++
		}
		if r.Truth == "sat" || r.Truth == "unsat" {
			row.Known++
		}
		if contradicts(r) {
			row.Wrong++
		}
		if r.Late() {
			row.Late++
		}
		if r.Solved() {
			row.Solved++
			times = append(times, r.Wall)
		}
		row.Total += r.Wall
		row.PeakMiB = max(row.PeakMiB, r.PeakMiB)
	}
	row.Median = median(times)
	return row
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}
