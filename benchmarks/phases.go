package benchmarks

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// ErrNoPhases is returned when no result says how long its phases took.
var ErrNoPhases = errors.New("benchmarks: no result holds the times of its phases")

// A PhaseRow sums the seconds that the instances of a suite spent in each phase.
type PhaseRow struct {
	Suite     string
	Instances int                // those that say it
	Seconds   map[string]float64 // by phase
	Total     float64            // of all phases
}

// PhaseRows sums phases by suite, the suites sorted and "total" last, and lists the phases, those that take longest first.
// Results without phases are left out; when all are, the error is ErrNoPhases.
func PhaseRows(results []Result) (rows []PhaseRow, phases []string, err error) {
	by := map[string]*PhaseRow{}
	total := &PhaseRow{Suite: "total", Seconds: map[string]float64{}}
	for _, r := range Latest(results) {
		m, err := r.PhaseSeconds()
		if err != nil {
			return nil, nil, err
		}
		if m == nil {
			continue
		}
		row := by[r.Suite]
		if row == nil {
			row = &PhaseRow{Suite: r.Suite, Seconds: map[string]float64{}}
			by[r.Suite] = row
		}
		for _, s := range []*PhaseRow{row, total} {
			s.Instances++
			for p, sec := range m {
				s.Seconds[p] += sec
				s.Total += sec
			}
		}
	}
	if total.Instances == 0 {
		return nil, nil, ErrNoPhases
	}
	for p := range total.Seconds {
		phases = append(phases, p)
	}
	slices.SortFunc(phases, func(p, q string) int {
		return cmp.Or(cmp.Compare(total.Seconds[q], total.Seconds[p]), strings.Compare(p, q))
	})
	for _, row := range by {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(p, q PhaseRow) int { return strings.Compare(p.Suite, q.Suite) })
	if len(rows) > 1 {
		rows = append(rows, *total)
	}
	return rows, phases, nil
}
