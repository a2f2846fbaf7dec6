package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/spai-project/certify/benchmarks"
)

// markdownTable returns a table whose columns but the first few are aligned right.
func markdownTable(head []string, left int) *grid {
	g := &grid{head: head, right: map[string]bool{}}
	for _, h := range head[left:] {
		g.right[h] = true
	}
	return g
}

// finish renders the table with a paragraph before it.
func (g *grid) finish(caption string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", caption)
	g.markdown(&b)
	return b.String()
}

func suitesTable(a *app, files []string) (string, []string, error) {
	each, err := a.readAll(files)
	if err != nil {
		return "", nil, err
	}
	all := slices.Concat(each...)
	known, err := knownAnswers(all, "")
	if err != nil {
		return "", nil, err
	}
	scopes, err := benchmarks.Scopes(all)
	if err != nil {
		return "", nil, err
	}
	s := benchmarks.NewScore(all, known)
	g := markdownTable([]string{"suite", "limit", "instances", "solved", "sat", "unsat", "contradictions", "median s", "total s", "peak MiB",
		"missing", "abcrown", "PAR-2 s"}, 2)
	for _, r := range s.Rows {
		scope := scopes[r.Suite]
		n := fmt.Sprint(r.Instances)
		if scope.Size > r.Instances {
			n = fmt.Sprintf("%d of %d", r.Instances, scope.Size)
		}
		med := "-"
		if r.Solved > 0 {
			med = fmt.Sprintf("%.3f", r.Median)
		}
		peer := "-" // it was not asked about these instances
		if c, ok := r.Peers["abcrown"]; ok {
			peer = fmt.Sprint(c)
		}
		g.add(r.Suite, scope.Limit, n, r.Solved, r.Sat, r.Unsat, r.Wrong, med, fmt.Sprintf("%.1f", r.Total),
			fmt.Sprintf("%.0f", r.PeakMiB), r.Missing, peer, fmt.Sprintf("%.2f", r.PAR2))
	}
	return g.finish(provenance(all)), s.Contradictions, nil
}

// provenance says which build measured when, and on how many threads.
func provenance(all []benchmarks.Result) string {
	var versions, threads []string
	first, last := "", ""
	for _, r := range all {
		if r.Version != "" && !slices.Contains(versions, r.Version) {
			versions = append(versions, r.Version)
		}
		w := "as many workers as cores"
		if r.Workers > 0 {
			w = workers(r.Workers)
		}
		if !slices.Contains(threads, w) {
			threads = append(threads, w)
		}
		if day, _, _ := strings.Cut(r.At, "T"); day != "" {
			if first == "" || day < first {
				first = day
			}
			last = max(last, day)
		}
	}
	slices.Sort(versions)
	slices.Sort(threads)
	s := "Measured"
	if len(versions) > 0 {
		s += " with certify " + strings.Join(versions, " and ")
	}
	if first != "" {
		s += " on " + first
		if last != first {
			s += " to " + last
		}
	}
	return s + ", " + strings.Join(threads, " or ") + "."
}

func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

func workersTable(a *app, files []string) (string, []string, error) {
	each, err := a.readAll(files)
	if err != nil {
		return "", nil, err
	}
	s, err := benchmarks.NewSpeedups(each[0], each[1])
	if err != nil {
		return "", nil, err
	}
	col := func(n int, what string) string { return what + ", " + workers(n) }
	g := markdownTable([]string{"suite", "instance", "verdict", col(s.WorkersA, "s"), col(s.WorkersB, "s"), "speed-up", col(s.WorkersA, "CPU s"),
		col(s.WorkersB, "CPU s")}, 3)
	for _, p := range s.Instances {
		g.add(p.Suite, shortName(p.Model)+" "+shortName(p.Query), p.Verdict, fmt.Sprintf("%.2f", p.A), fmt.Sprintf("%.2f", p.B),
			ratio(p.Factor()), fmt.Sprintf("%.2f", p.CPUA), fmt.Sprintf("%.2f", p.CPUB))
	}
	caption := fmt.Sprintf("%s Median speed-up %s over %d instances", provenance(slices.Concat(each...)), ratio(s.Median), len(s.Instances))
	if s.Unsolved > 0 {
		caption += fmt.Sprintf("; %d more were not solved by both", s.Unsolved)
	}
	return g.finish(caption + "."), s.Contradictions, nil
}

// shortName drops a file's folder and extension.
func shortName(file string) string {
	base := path.Base(file)
	return strings.TrimSuffix(base, path.Ext(base))
}

func phasesTable(a *app, files []string) (string, []string, error) {
	each, err := a.readAll(files)
	if err != nil {
		return "", nil, err
	}
	all := slices.Concat(each...)
	rows, phases, err := benchmarks.PhaseRows(all)
	if err != nil {
		return "", nil, err
	}
	g := markdownTable(append([]string{"suite", "instances", "total s"}, phases...), 1)
	for _, r := range rows {
		cells := []any{r.Suite, r.Instances, fmt.Sprintf("%.1f", r.Total)}
		for _, p := range phases {
			cells = append(cells, fmt.Sprintf("%.1f %%", 100*r.Seconds[p]/max(r.Total, 1e-9)))
		}
		g.add(cells...)
	}
	return g.finish(provenance(all)), nil, nil
}

// closingTable is kernelsTable for the benchmark of error terms.
func closingTable(a *app, files []string) (string, []string, error) {
	text, _, err := kernelsTable(a, files)
	if err == nil && !strings.Contains(text, "%rigour") {
		err = malformedf("go test -run '^$' -bench Rigour ./relax prints it", "%s: no share of rigour in it", files[0])
	}
	return text, nil, err
}

func kernelsTable(_ *app, files []string) (string, []string, error) {
	f, err := os.Open(files[0])
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	text, err := benchmarks.GoBench(f)
	if err != nil {
		return "", nil, err
	}
	return "```text\n" + text + "```\n", nil, nil
}
