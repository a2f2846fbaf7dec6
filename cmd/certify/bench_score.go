package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks"
)

type scoreForm int

const (
	scoreText scoreForm = iota
	scoreJSON
	scoreMarkdown
)

func (a *app) benchScoreCmd() *cobra.Command {
	var truth string
	var asJSON, asMarkdown bool
	c := &cobra.Command{
		Use:   "score RESULTS.jsonl...",
		Short: "Summarise results and compare them with known answers; a contradiction exits with 1",
		Args:  cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&truth, "truth", "", "known answers (default: truth.csv beside each suite's instances.csv)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&asMarkdown, "markdown", false, "print a Markdown table")
	c.MarkFlagsMutuallyExclusive("json", "markdown")
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		each, err := a.readAll(args)
		if err != nil {
			return err
		}
		all := slices.Concat(each...)
		known, err := knownAnswers(all, truth)
		if err != nil {
			return err
		}
		form := scoreText
		if asJSON {
			form = scoreJSON
		} else if asMarkdown {
			form = scoreMarkdown
		}
		return a.printScore(benchmarks.NewScore(all, known), form)
	})
	return c
}

// knownAnswers reads the given file for the one suite in the results, or without it the file beside each suite. Instances are
// named relative to their suite, so one file cannot tell those of several suites apart.
func knownAnswers(all []benchmarks.Result, file string) (map[string]benchmarks.Truth, error) {
	known := map[string]benchmarks.Truth{}
	seen := map[string]bool{}
	for i := range all {
		r := &all[i]
		if seen[r.Dir+r.Suite] {
			continue
		}
		seen[r.Dir+r.Suite] = true
		if file != "" && r.Suite != all[0].Suite {
			return nil, usagef("without --truth the truth.csv beside each suite is read", "--truth: one file cannot serve the suites %s and %s",
				all[0].Suite, r.Suite)
		}
		path := file
		if path == "" {
			path = filepath.Join(r.Dir, "truth.csv")
		}
		t, err := benchmarks.ReadTruth(path, r.Suite)
		if err != nil {
			return nil, err
		}
		for k, v := range t {
			known[k] = v
		}
	}
	return known, nil
}

// printScore writes the summary on stdout; contradictions end with exit status 1.
func (a *app) printScore(s *benchmarks.Score, form scoreForm) error {
	if form == scoreJSON {
		if err := json.NewEncoder(a.out).Encode(s); err != nil {
			return err
		}
	} else {
		t := scoreGrid(s)
		if form == scoreMarkdown {
			t.markdown(a.out)
		} else {
			t.text(a.out)
		}
		for _, l := range []struct {
			head  string
			lines []string
		}{{"contradictions", s.Contradictions}, {"missed deadlines", s.Late}, {"errors", s.Errors}} {
			if len(l.lines) == 0 {
				continue
			}
			fmt.Fprintf(a.out, "\n%s:\n", l.head)
			for _, x := range l.lines {
				fmt.Fprintf(a.out, "- %s\n", x)
			}
		}
	}
	if len(s.Contradictions) > 0 {
		return &status{exitListed}
	}
	return nil
}

func scoreGrid(s *benchmarks.Score) *grid {
	g := &grid{head: []string{"suite", "instances", "known", "solved", "sat", "unsat", "unknown", "timed-out", "unsupported", "errors", "wrong", "late",
		"median s", "total s", "peak MiB"}, right: map[string]bool{}}
	for _, h := range g.head[1:] {
		g.right[h] = true
	}
	for _, r := range s.Rows {
		g.add(r.Suite, r.Instances, r.Known, r.Solved, r.Sat, r.Unsat, r.Unknown, r.TimedOut, r.Refused, r.Errors, r.Wrong, r.Late,
			fmt.Sprintf("%.3f", r.Median), fmt.Sprintf("%.1f", r.Total), fmt.Sprintf("%.0f", r.PeakMiB))
	}
	return g
}
