package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks"
)

// compareFlags are the flags of `certify bench compare`.
type compareFlags struct {
	truth, svg  string
	peers       []string
	asJSON      bool
	commonLimit bool
	cpu         bool
	floor       seconds
	top         int
}

func (a *app) benchCompareCmd() *cobra.Command {
	f := &compareFlags{floor: 1e7}
	c := &cobra.Command{
		Use:   "compare A.jsonl [B.jsonl...]",
		Short: "Compare results side by side on their common instances; a contradiction exits with 1",
		Long: "Compare every further results file, and every peer, with the first file on the instances both hold. Ratios are times of the\n" +
			"other side over times of the first: below 1 the other is faster. PAR-2 is the mean time, an unsolved instance counting\n" +
			"twice its limit. -v lists the instances that only one side solved.",
		Example: "  certify bench compare before.jsonl after.jsonl -v\n" +
			"  certify bench compare results.jsonl --peer abcrown --svg cactus.svg",
		Args: cobra.MinimumNArgs(1),
	}
	fs := c.Flags()
	fs.StringSliceVar(&f.peers, "peer", nil, "compare with a `tool` of the known answers, such as abcrown, nnenum or best; can be repeated")
	fs.StringVar(&f.truth, "truth", "", "known answers (default: truth.csv beside each suite's instances.csv)")
	fs.StringVar(&f.svg, "svg", "", "write a cactus plot of the instances that all sides hold into this `file`")
	fs.BoolVar(&f.asJSON, "json", false, "print one JSON object per comparison, one per line")
	fs.BoolVar(&f.commonLimit, "common-limit", false, "hold all sides to the smallest limit any of them had for the instance")
	fs.BoolVar(&f.cpu, "cpu", false, "ratios of processor times, which other work on the machine disturbs less; needs results files")
	fs.Var(&f.floor, "floor", "shorter times count as this in ratios: below it a time is the start of a process")
	fs.IntVar(&f.top, "top", 5, "how many of the largest slow-downs and speed-ups are listed")
	c.RunE = runE(func(_ *cobra.Command, args []string) error { return a.benchCompare(f, args) })
	return c
}

func (a *app) benchCompare(f *compareFlags, args []string) error {
	if len(args)+len(f.peers) < 2 {
		return usagef("add a second results file or --peer TOOL", "one side cannot be compared")
	}
	if f.cpu && len(f.peers) > 0 {
		return usagef("compare with --peer in a command of its own", "--cpu: the processor times of peers are not known")
	}
	sides, err := a.sides(f, args)
	if err != nil {
		return err
	}
	if f.commonLimit {
		benchmarks.HoldToCommonLimit(sides...)
	}
	o := benchmarks.CompareOptions{Floor: f.floor.seconds(), CPU: f.cpu, Top: f.top}
	if f.top == 0 {
		o.Top = -1
	}
	var all []*benchmarks.Comparison
	for _, s := range sides[1:] {
		c, err := benchmarks.Compare(sides[0], s, o)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	if f.svg != "" {
		if err := writeCactus(f.svg, sides); err != nil {
			return err
		}
	}
	return a.printComparisons(all, f.asJSON)
}

// printComparisons writes all of them on stdout; contradictions end with exit status 1.
func (a *app) printComparisons(all []*benchmarks.Comparison, asJSON bool) error {
	for i, c := range all {
		if asJSON {
			if err := json.NewEncoder(a.out).Encode(c); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.printComparison(c)
	}
	if slices.ContainsFunc(all, func(c *benchmarks.Comparison) bool { return len(c.Contradictions) > 0 }) {
		return &status{exitListed}
	}
	return nil
}

// sides reads the files, then the peers' columns for the suites in them.
func (a *app) sides(f *compareFlags, args []string) ([]*benchmarks.Side, error) {
	each, err := a.readAll(args)
	if err != nil {
		return nil, err
	}
	if f.truth != "" {
		if _, err := os.Stat(f.truth); err != nil {
			return nil, err
		}
	}
	known, err := knownAnswers(slices.Concat(each...), f.truth)
	if err != nil {
		return nil, err
	}
	var sides []*benchmarks.Side
	for i, name := range sideNames(args) {
		sides = append(sides, benchmarks.ResultsSide(name, each[i], known))
	}
	for _, p := range f.peers {
		s, err := benchmarks.PeerSide(p, known)
		if err != nil {
			return nil, usagef("the tools are the columns of truth.csv; --truth names another file", "%s", strings.TrimPrefix(err.Error(), "benchmarks: "))
		}
		sides = append(sides, s)
	}
	return sides, nil
}

func writeCactus(path string, sides []*benchmarks.Side) error {
	keys := benchmarks.Common(sides...)
	if len(keys) == 0 {
		return malformedf("", "the plot needs instances that all sides hold: there are none")
	}
	var curves []benchmarks.Curve
	for _, s := range sides {
		curves = append(curves, benchmarks.NewCurve(s, keys))
	}
	title := fmt.Sprintf("Instances solved within their limits (%d in common)", len(keys))
	return writeAtomic(path, func(w *os.File) error { return benchmarks.Cactus(w, title, curves) })
}
