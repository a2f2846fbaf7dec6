package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks"
)

func (a *app) benchCmd() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Run suites of instances, score the results and compare them", Args: cobra.NoArgs}
	c.AddCommand(a.benchRunCmd(), a.benchScoreCmd(), a.benchCompareCmd(), a.benchTableCmd(), a.benchReluplexCmd(), a.benchMaskedCmd())
	return c
}

// benchRunFlags are the flags of `certify bench run`.
type benchRunFlags struct {
	out, filter string
	limit       int
	timeoutCap  seconds
	caps        []string
	from, only  string
	slowest     int
	memory      byteSize
	retry       bool
	check       bool
	proofFactor float64
	runner      benchmarks.Runner
}

func (a *app) benchRunCmd() *cobra.Command {
	f := &benchRunFlags{}
	c := &cobra.Command{
		Use:   "run SUITE_DIR|instances.csv...",
		Short: "Run every instance in a process of its own; a run can be stopped and resumed",
		Long: "Run every instance in a process of its own and append one JSON line per instance to the results file. Instances in that\n" +
			"file are skipped, so the same command resumes a run that was stopped. With --from an earlier file chooses the\n" +
			"instances, and names the suites when none are given.",
		Example: "  certify bench run suites/acasxu suites/oval21 --cap oval21=40s -o results.jsonl\n" +
			"  certify bench run --from results.jsonl --only missing -o missing.jsonl\n" +
			"  certify bench run --from results.jsonl --slowest 10 -j 1 -o one.jsonl\n" +
			"  certify bench run suites/acasxu --cap 60 --check -o proofs.jsonl",
	}
	fs := c.Flags()
	fs.StringVarP(&f.out, "out", "o", "results.jsonl", "results file, one JSON line per instance; instances in it are skipped")
	fs.Var(&f.timeoutCap, "timeout-cap", "no instance gets more time than this")
	fs.StringArrayVar(&f.caps, "cap", nil, "`[SUITE=]TIME`: no instance (of the suite) gets more time than this; can be repeated")
	fs.StringVar(&f.from, "from", "", "an earlier results `file`, for --only and --slowest")
	fs.StringVar(&f.only, "only", "", "missing: the answer is known and the earlier file lacks it; undecided: the earlier file lacks an answer")
	fs.IntVar(&f.slowest, "slowest", 0, "the `N` instances that took the earlier run longest to solve")
	fs.BoolVar(&f.runner.Fresh, "fresh", false, "start anew: drop what the results file holds")
	fs.StringVar(&f.filter, "filter", "", "regular expression on \"MODEL QUERY\"")
	fs.IntVar(&f.limit, "limit", 0, "run at most this many instances per suite")
	fs.IntVarP(&f.runner.Workers, "workers", "j", 0, "threads of each instance (default: the cores)")
	fs.IntVar(&f.runner.Parallel, "parallel", 1, "instances at a time")
	fs.Var(&f.memory, "memory", "memory budget of each instance (default: none)")
	fs.BoolVar(&f.retry, "retry-errors", false, "run instances again that ended in an error")
	fs.BoolVar(&f.check, "check", false, "have every unsat proved after the search, and the certificate checked by another process")
	fs.Float64Var(&f.proofFactor, "proof-factor", 10, "with --check, a certificate may take `N` times the instance's limit, beside it")
	fs.StringArrayVar(&f.runner.Extra, "arg", nil, "a further `argument` for certify verify, such as --arg=--no-attack")
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.benchRun(c, f, args) })
	return c
}

func (a *app) benchRun(c *cobra.Command, f *benchRunFlags, args []string) error {
	all, err := f.instances(args)
	if err != nil {
		return err
	}
	r := &f.runner
	if err := f.limits(all); err != nil {
		return err
	}
	if r.Exe, r.Argv0, err = self(); err != nil {
		return err
	}
	// Searches are measured alone unless certificates are asked for.
	r.Args = []string{"verify", "--json", "--quiet", "--semantics", "real", "--check", "never", "--allow-vacuous"}
	if f.check {
		if !(f.proofFactor > 0 && f.proofFactor < 1e6) {
			return usagef("", "--proof-factor: %g is not a positive number", f.proofFactor)
		}
		r.ProofFactor = f.proofFactor
	}
	r.Out, r.Memory, r.Retry = f.out, int64(f.memory), f.retry
	r.Report = a.benchLine
	if err := a.noteForeign(r, all); err != nil {
		return err
	}
	ctx, stop := signals(c.Context())
	defer stop()
	_, err = r.Run(ctx, all)
	var sig *interrupt
	if errors.As(err, &sig) {
		again := "the same command"
		if r.Fresh {
			again += " without --fresh"
		}
		a.notef("interrupted: finished instances are in %s; %s goes on", f.out, again)
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

// noteForeign says when the results file holds instances that were run under other conditions.
func (a *app) noteForeign(r *benchmarks.Runner, all []benchmarks.Instance) error {
	if r.Fresh {
		return nil
	}
	have, _, err := benchmarks.ReadResults(r.Out)
	if err != nil {
		return err
	}
	if n := r.Foreign(all, have); n > 0 {
		a.notef("note: %d instances in %s were run with another limit, time for proofs, number of workers or further arguments "+
			"and are skipped; --fresh starts anew, -o names another file", n, r.Out)
	}
	return nil
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
	if c := l.Certificate; c != nil && l.Checked {
		mark += fmt.Sprintf("  certified: %d bytes, made in %.2f s, checked in %.2f s", c.Bytes, c.Make, c.Check)
	} else if c != nil {
		mark += "  NOT CERTIFIED: " + c.Why
	}
	a.notef("%d/%d  %-9s %7.2f s %6.0f MiB  %s %s%s   eta %s", p.Done, p.Total, l.Verdict, l.Wall, l.PeakMiB, l.Model, l.Query, mark,
		p.Left.Round(time.Second))
}
