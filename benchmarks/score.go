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
	PAR2      float64 `json:"par2_s"`          // mean of the penalised times, each with its own limit
	Missing   int     `json:"missing"`         // answer known, not given within the limit
	Peers     Peers   `json:"peers,omitempty"` // instances each peer solved rightly within its own limit
}

// Peers counts instances by tool.
type Peers map[string]int

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
	bySuite := map[string][]Result{}
	var all []Result
	for _, r := range Latest(results) {
		known := truth[r.Key()]
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
		s.Rows = append(s.Rows, summarise(n, bySuite[n], truth))
	}
	if len(suites) != 1 {
		s.Rows = append(s.Rows, summarise("total", all, truth))
	}
	return s
}

// Latest keeps the last result of every instance, in the order in which the instances first came.
func Latest(results []Result) []Result {
	at := map[string]int{}
	var kept []Result
	for _, r := range results {
		if i, ok := at[r.Key()]; ok {
			kept[i] = r
			continue
		}
		at[r.Key()] = len(kept)
		kept = append(kept, r)
	}
	return kept
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

func summarise(suite string, rs []Result, truth map[string]Truth) Row {
	row := Row{Suite: suite, Instances: len(rs), Peers: Peers{}}
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
			row.PAR2 += r.Wall
		} else {
			row.PAR2 += 2 * r.Limit
			if decides(r.Truth) {
				row.Missing++
			}
		}
		row.Peers.count(truth[r.Key()])
		row.Total += r.Wall
		row.PeakMiB = max(row.PeakMiB, r.PeakMiB)
	}
	row.Median = median(times)
	row.PAR2 /= float64(max(len(rs), 1))
	return row
}

// count adds the tools that were asked, those that gave the known answer in time with 1.
func (p Peers) count(t Truth) {
	for tool, said := range t.Peers {
		a := Answer{Verdict: said.Answer, Seconds: said.Seconds, Limit: t.Limit}
		n := 0 // a tool that was asked has an entry, whatever it said
		if a.Solved() && said.Answer == t.Answer {
			n = 1
		}
		p[tool] += n
	}
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}
