package main

import (
	"fmt"

	"github.com/spai-project/certify/benchmarks"
)

// printComparison writes a comparison for people: what is wrong first, then the table, then single instances.
func (a *app) printComparison(c *benchmarks.Comparison) {
	a.list(fmt.Sprintf("CONTRADICTIONS (%d)", len(c.Contradictions)), c.Contradictions)
	fmt.Fprintf(a.out, "A = %s, B = %s; ratio = %s time of B / that of A on instances both solved: below 1, B is faster\n\n", c.A, c.B, c.Measure)
	comparisonGrid(c).text(a.out)
	fmt.Fprintln(a.out)
	a.list("notes", c.Notes)
	a.pairings("slower in B", c.Slower)
	a.pairings("faster in B", c.Faster)
	if a.verbose {
		a.pairings("gained (solved by B only)", c.Gained)
		a.pairings("lost (solved by A only)", c.Lost)
	}
}

func (a *app) list(head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(a.out, "%s:\n", head)
	for _, l := range lines {
		fmt.Fprintf(a.out, "- %s\n", l)
	}
	fmt.Fprintln(a.out)
}

func (a *app) pairings(head string, all []benchmarks.Pairing) {
	var lines []string
	for _, p := range all {
		s := fmt.Sprintf("%s: %s %s: %s %.3f s → %s %.3f s", p.Suite, p.Model, p.Query, p.VerdictA, p.SecondsA, p.VerdictB, p.SecondsB)
		if p.Ratio > 0 {
			s += " (×" + ratio(p.Ratio) + ")"
		}
		lines = append(lines, s)
	}
	a.list(head, lines)
}

func comparisonGrid(c *benchmarks.Comparison) *grid {
	g := &grid{head: []string{"suite", "common", "A solved", "B solved", "gained", "lost", "both", "median", "95 % of median", "geo. mean",
		"quartiles", "B faster", "B slower", "sign test", "A PAR-2 s", "B PAR-2 s"}, right: map[string]bool{}}
	for _, h := range g.head[1:] {
		g.right[h] = true
	}
	for _, r := range c.Rows {
		row := []any{r.Suite, r.Common, tally(&r.A), tally(&r.B), r.Gained, r.Lost}
		if q := r.Ratios; q == nil {
			row = append(row, 0, "-", "-", "-", "-", "-", "-", "-")
		} else {
			interval := "-"
			if q.Low != nil {
				interval = ratio(*q.Low) + "–" + ratio(*q.High)
			}
			row = append(row, q.Pairs, ratio(q.Median), interval, ratio(q.GeoMean), ratio(q.Lower)+"–"+ratio(q.Upper), q.Faster, q.Slower,
				fmt.Sprintf("p=%.2g", q.P))
		}
		g.add(append(row, fmt.Sprintf("%.2f", r.A.PAR2), fmt.Sprintf("%.2f", r.B.PAR2))...)
	}
	return g
}

func tally(t *benchmarks.Tally) string { return fmt.Sprintf("%d (%d+%d)", t.Solved, t.Sat, t.Unsat) }

// ratio writes a positive factor with three digits that matter.
func ratio(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.2g", x)
}
