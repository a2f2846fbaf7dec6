package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks"
)

func (a *app) benchCmd() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Run suites of instances and score the results", Args: cobra.NoArgs}
	c.AddCommand(a.benchRunCmd(), a.benchScoreCmd())
	return c
}

// benchRunFlags are the flags of `certify bench run`.
type benchRunFlags struct {
	out, filter string
	limit       int
	timeoutCap  seconds
	memory      byteSize
	retry       bool
	pass        []string
	runner      benchmarks.Runner
}

func (a *app) benchRunCmd() *cobra.Command {
	f := &benchRunFlags{}
	c := &cobra.Command{
		Use:   "run SUITE_DIR|instances.csv...",
		Short: "Run every instance in a process of its own; a run can be stopped and resumed",
		Args:  cobra.MinimumNArgs(1),
	}
	fs := c.Flags()
	fs.StringVarP(&f.out, "out", "o", "results.jsonl", "results file, one JSON line per instance; instances in it are skipped")
	fs.Var(&f.timeoutCap, "timeout-cap", "no instance gets more time than this")
	fs.StringVar(&f.filter, "filter", "", "regular expression on \"MODEL QUERY\"")
	fs.IntVar(&f.limit, "limit", 0, "run at most this many instances per suite")
	fs.IntVarP(&f.runner.Workers, "workers", "j", 0, "threads of each instance (default: the cores)")
	fs.IntVar(&f.runner.Parallel, "parallel", 1, "instances at a time")
	fs.Var(&f.memory, "memory", "memory budget of each instance (default: none)")
	fs.BoolVar(&f.retry, "retry-errors", false, "run instances again that ended in an error")
	fs.StringArrayVar(&f.pass, "arg", nil, "a further `argument` for certify verify, such as --arg=--no-attack")
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.benchRun(c, f, args) })
	return c
}

func (a *app) benchRun(c *cobra.Command, f *benchRunFlags, args []string) error {
	var re *regexp.Regexp
	if f.filter != "" {
		var err error
		if re, err = regexp.Compile(f.filter); err != nil {
			return usagef("", "--filter: %v", err)
		}
	}
	var all []benchmarks.Instance
	for _, dir := range args {
		suite, err := benchmarks.Load(dir)
		if err != nil {
			return err
		}
		all = append(all, benchmarks.Filter(suite, re, f.limit)...)
	}
	r := &f.runner
	var err error
	if r.Exe, r.Argv0, err = self(); err != nil {
		return err
	}
	r.Args = append([]string{"verify", "--json", "--quiet", "--semantics", "real", "--allow-vacuous"}, f.pass...)
	r.Out, r.Cap, r.Memory, r.Retry = f.out, time.Duration(f.timeoutCap), int64(f.memory), f.retry
	r.Report = a.benchLine
	ctx, stop := signals(c.Context())
	defer stop()
	_, err = r.Run(ctx, all)
	var sig *interrupt
	if errors.As(err, &sig) {
		a.notef("interrupted: finished instances are in %s; the same command goes on", f.out)
		return &status{sig.code()}
	}
	if err != nil {
		return err
	}
	results, _, err := benchmarks.ReadResults(f.out)
	if err != nil {
		return err
	}
	return a.printScore(benchmarks.NewScore(keep(results, all), nil), scoreText)
}

// keep returns the results that belong to the instances.
func keep(results []benchmarks.Result, all []benchmarks.Instance) (kept []benchmarks.Result) {
	want := map[string]bool{}
	for i := range all {
		want[all[i].Key()] = true
	}
	for _, r := range results {
		if want[r.Key()] {
			kept = append(kept, r)
		}
	}
	return kept
}

// benchLine reports one finished instance on stderr.
func (a *app) benchLine(p benchmarks.Progress) {
	l := p.Last
	mark := ""
	switch {
	case l.Verdict == "error", l.Verdict == "unsupported":
		mark = "  " + strings.ReplaceAll(l.Error, "\n", " ")
	case l.Late():
		mark = "  MISSED ITS DEADLINE"
	case (l.Truth == "sat" || l.Truth == "unsat") && l.Verdict == "unknown", l.Verdict == "timed-out":
		mark = fmt.Sprintf("  %s (known: %s)", l.Reason, l.Truth)
	case l.Truth == "sat" && l.Verdict == "unsat", l.Truth == "unsat" && l.Verdict == "sat":
		mark = "  CONTRADICTION: known to be " + l.Truth
	}
	a.notef("%d/%d  %-9s %7.2f s %6.0f MiB  %s %s%s   eta %s", p.Done, p.Total, l.Verdict, l.Wall, l.PeakMiB, l.Model, l.Query, mark,
		p.Left.Round(time.Second))
}
