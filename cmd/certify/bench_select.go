package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spai-project/certify/benchmarks"
)

// instances loads the suites and keeps what the flags choose: first by name, then by the earlier run, then the first ones.
func (f *benchRunFlags) instances(args []string) ([]benchmarks.Instance, error) {
	var re *regexp.Regexp
	if f.filter != "" {
		var err error
		if re, err = regexp.Compile(f.filter); err != nil {
			return nil, usagef("", "--filter: %v", err)
		}
	}
	earlier, err := f.earlier()
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		if args = benchmarks.Folders(earlier); len(args) == 0 {
			return nil, usagef("certify bench run SUITE_DIR..., or --from RESULTS.jsonl", "no suite is given")
		}
	}
	var all []benchmarks.Instance
	for _, dir := range args {
		suite, err := benchmarks.Load(dir)
		if err != nil {
			return nil, err
		}
		suite = benchmarks.Filter(suite, re, 0)
		if f.only != "" {
			if suite, err = benchmarks.Select(suite, earlier, benchmarks.Selection(f.only)); err != nil {
				return nil, err
			}
		}
		all = append(all, benchmarks.Filter(suite, nil, f.limit)...)
	}
	if f.slowest > 0 {
		all = benchmarks.Slowest(all, earlier, f.slowest)
	}
	if len(all) == 0 {
		return nil, usagef("loosen --filter, --only or --slowest", "no instance is left to run")
	}
	return all, nil
}

// earlier reads the results that --only and --slowest refer to.
func (f *benchRunFlags) earlier() ([]benchmarks.Result, error) {
	switch {
	case f.only != "" && f.only != string(benchmarks.SelectMissing) && f.only != string(benchmarks.SelectUndecided):
		return nil, usagef("", "--only: %q is not one of %s, %s", f.only, benchmarks.SelectMissing, benchmarks.SelectUndecided)
	case f.slowest < 0:
		return nil, usagef("", "--slowest: %d is not a number of instances", f.slowest)
	case f.only != "" && f.slowest > 0:
		return nil, usagef("--slowest chooses among solved instances, --only among the others", "--only and --slowest exclude each other")
	case (f.only != "" || f.slowest > 0) && f.from == "":
		return nil, usagef("add --from RESULTS.jsonl", "--only and --slowest need an earlier results file")
	case f.from == "":
		return nil, nil
	}
	if from, err := os.Stat(f.from); err == nil {
		if out, err := os.Stat(f.out); err == nil && os.SameFile(from, out) {
			return nil, usagef("name another file with -o", "--from and -o are both %s, whose instances would be skipped or dropped", f.from)
		}
	}
	all, _, err := readRecords(f.from)
	return all, err
}

// limits sets the runner's caps on time.
func (f *benchRunFlags) limits(all []benchmarks.Instance) error {
	r := &f.runner
	r.Cap, r.Caps = time.Duration(f.timeoutCap), map[string]time.Duration{}
	for _, c := range f.caps {
		suite, text, named := strings.Cut(c, "=")
		if !named {
			suite, text = "", c
		}
		d, err := parseSeconds(text)
		if err != nil {
			return usagef("", "--cap %s: %v", c, err)
		}
		if !named {
			r.Cap = d
			continue
		}
		if !slices.ContainsFunc(all, func(i benchmarks.Instance) bool { return i.Suite == suite }) {
			return usagef("a suite is named after its folder", "--cap %s: there is no suite %q in this run", c, suite)
		}
		r.Caps[suite] = d
	}
	return nil
}
