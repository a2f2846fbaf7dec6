package benchmarks

import (
	"fmt"
	"slices"
)

// A Speedup is one instance run twice, with one and with more workers.
type Speedup struct {
	Suite, Model, Query string
	Verdict             string
	A, B                float64 // wall seconds
	CPUA, CPUB          float64 // processor seconds: what the second run costs more is not a gain
}

// Factor returns how many times faster B was.
func (s *Speedup) Factor() float64 { return s.A / max(s.B, shortest) }

// A Speedups is the comparison of two runs of the same instances with different numbers of workers.
type Speedups struct {
	WorkersA, WorkersB int
	Instances          []Speedup
	Median             float64  // of the factors
	Unsolved           int      // common instances that one run did not solve
	Contradictions     []string // common instances with different answers
}

// NewSpeedups compares two runs; each must have used one number of workers throughout, recorded in its results, and they must
// have an instance in common that both solved.
func NewSpeedups(a, b []Result) (*Speedups, error) {
	s := &Speedups{Contradictions: []string{}}
	var err error
	if s.WorkersA, err = workers(a); err != nil {
		return nil, err
	}
	if s.WorkersB, err = workers(b); err != nil {
		return nil, err
	}
	second := map[string]Result{}
	for _, r := range Latest(b) {
		second[r.Key()] = r
	}
	var factors []float64
	for _, x := range Latest(a) {
		y, ok := second[x.Key()]
		if !ok {
			continue
		}
		if decides(x.Verdict) && decides(y.Verdict) && x.Verdict != y.Verdict {
			s.Contradictions = append(s.Contradictions, fmt.Sprintf("%s: %s %s: %d workers answered %s, %d answered %s",
				x.Suite, x.Model, x.Query, s.WorkersA, x.Verdict, s.WorkersB, y.Verdict))
		}
		if !x.Solved() || !y.Solved() || x.Verdict != y.Verdict {
			s.Unsolved++
			continue
		}
		p := Speedup{x.Suite, x.Model, x.Query, x.Verdict, x.Wall, y.Wall, x.CPU, y.CPU}
		factors = append(factors, p.Factor())
		s.Instances = append(s.Instances, p)
	}
	if len(factors) == 0 {
		return nil, fmt.Errorf("benchmarks: the two runs: %w that both solved", ErrNothingInCommon)
	}
	s.Median = median(factors)
	return s, nil
}

// workers returns the number of workers that all results were made with.
func workers(rs []Result) (int, error) {
	var seen []int
	for i := range rs {
		if !slices.Contains(seen, rs[i].Workers) {
			seen = append(seen, rs[i].Workers)
		}
	}
	if len(seen) != 1 || seen[0] < 1 {
		slices.Sort(seen)
		return 0, fmt.Errorf("benchmarks: the number of workers must be recorded and the same throughout a run, not %v (0: not given)", seen)
	}
	return seen[0], nil
}
