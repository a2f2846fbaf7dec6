package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/verify/robust"
)

// evalFlags are the flags of `certify eval`.
type evalFlags struct {
	robustFlags
	eps      string
	out      string
	pictures int
	progress string
	bound    string
	failOn   []string
	conds    []condition
}

func (a *app) evalCmd() *cobra.Command {
	f := &evalFlags{}
	c := &cobra.Command{
		Use:   "eval MODEL --data SPEC --eps LIST",
		Short: "Clean, attacked and certified accuracy of a data set at several radii",
		Long: "For every item and radius: is it classified as its label, does an attack break it, does the verifier prove it? What\n" +
			"holds at one radius holds at smaller ones and a counterexample breaks larger ones, so only what does not follow is\n" +
			"asked. With --bound one method gives certificates without attack and search, as they are counted for training\n" +
			"methods. With -o every finished item is kept at once, and the same command goes on from there; `certify report` makes\n" +
			"a page of the file.",
		Example: "  certify eval net.onnx --data mnist:test[0:1000] --eps 2/255,4/255,8/255 -t 10 -j 2 -o run.jsonl\n" +
			"  certify eval net.onnx --data val.npz --eps 0.1 --fail-on 'certified<0.9'\n" +
			"  certify eval net.onnx --data mnist:test --eps 0.1 --bound wong-kolter",
		Args: cobra.ExactArgs(1),
	}
	f.register(c, false, "time for each item and radius: 10, 10s, 2m (default: none)")
	fs := c.Flags()
	fs.StringVar(&f.eps, "eps", "", "the radii, as 0.1 or 1/255,2/255,4/255")
	fs.StringVarP(&f.out, "out", "o", "",
		"keep results in this `file`, one JSON line for each item; a run that was stopped goes on from it")
	fs.BoolVar(&f.noVerify, "no-verify", false, "run attacks only")
	fs.StringVar(&f.bound, "bound", "",
		"ask one bound of this `name` for certificates and nothing else: no attack, no search ('certify list bounds')")
	fs.IntVar(&f.pictures, "pictures", 256,
		"keep the values of the first `N` items in the file, for pictures in the report, where they are not proved")
	fs.StringVar(&f.progress, "progress", "auto", "auto, plain, json or none")
	fs.StringSliceVar(&f.failOn, "fail-on", nil,
		"exit with 1 if at some radius: violated, undecided, clean<0.98, attacked<0.95, certified<0.9")
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.eval(c.Context(), f, args[0]) })
	return c
}

func (a *app) eval(ctx context.Context, f *evalFlags, path string) error {
	opt, sem, err := f.options()
	if err != nil {
		return err
	}
	if err := f.checkBound(opt); err != nil {
		return err
	}
	if f.eps == "" {
		return noRadius()
	}
	eps, texts, err := robust.ParseEpsList(f.eps)
	if err != nil {
		return usagef("write 0.1, or several as 1/255,2/255", "--eps: %s", trim(err))
	}
	if f.conds, err = conditions(f.failOn); err != nil {
		return err
	}
	show, end, err := a.evalProgress(f.progress)
	if err != nil {
		return err
	}
	m, it, err := f.load(path, sem)
	if err != nil {
		return err
	}
	e := robust.EvalOptions{Options: opt, Eps: eps, Pictures: f.pictures, Bound: f.bound}
	e.Domain = it.domain
	if it.set.Labels == nil {
		return dataError(it.set.CheckLabels(m.Classes()))
	}
	if err := it.set.CheckLabels(m.Classes()); err != nil {
		return dataError(err)
	}
	a.describe(path, m, it)
	a.notef("data      %s   %d items of shape %v, %s   sha256 %s", it.spec, it.set.Len(), it.set.Shape, it.valid(),
		shortHash(it.set.Hash))
	warnings, err := m.Inspect(ctx, it.set)
	if err != nil {
		return robustError(path, it.spec, err)
	}
	a.warn(warnings)
	h, err := m.NewHeader(it.set, &e)
	if err != nil {
		return robustError(path, it.spec, err)
	}
	a.fillHeader(h, path, it.spec)
	h.Options.EpsText = texts
	if f.out != "" {
		if e.Log, err = openLog(f.out, h); err != nil {
			return err
		}
	}
	ctx, stop := signals(ctx)
	defer stop()
	t := newEvalTally(it.set.Len(), show)
	e.Earlier = func(r []*robust.Record) { t.earlier(r); a.notef("resumed   %d items of %s are there", len(r), f.out) }
	e.Done = t.done
	records, err := m.Evaluate(ctx, it.set, e)
	end()
	return a.evalEnd(ctx, f, h, e.Log, records, err)
}

// evalEnd writes what there is, whether the run is complete or not.
func (a *app) evalEnd(ctx context.Context, f *evalFlags, h *robust.Header, log *robust.Log, records []*robust.Record,
	err error) error {
	var sig *interrupt
	interrupted := errors.As(context.Cause(ctx), &sig)
	if log != nil {
		if cerr := log.Close(err == nil); err == nil && cerr != nil {
			return cerr
		}
	}
	if err != nil && !interrupted {
		return robustError(h.Model.Path, h.Data.Spec, err)
	}
	if len(records) > 0 {
		if err := a.printEval(f.json, h, records); err != nil {
			return err
		}
	}
	if interrupted {
		again := "nothing was kept; -o FILE keeps what is finished"
		if log != nil {
			again = "finished items are in " + f.out + "; the same command goes on"
		}
		a.notef("interrupted after %d of %d items: %s", len(records), h.Data.Items, again)
		return &status{sig.code()}
	}
	for _, c := range f.conds {
		if c.met(robust.Summary(records)) {
			a.notef("--fail-on %s: it is so", c.text)
			return &status{exitListed}
		}
	}
	return nil
}

// fillHeader says what made the records and from what.
func (a *app) fillHeader(h *robust.Header, model, data string) {
	t := tool()
	h.Command, h.Model.Path, h.Data.Spec = commandLine(), model, data
	h.Tool.Version, h.Tool.Commit, h.Tool.CPU = t.Version, t.Commit, t.CPU
}

// commandLine is the present one, quoted for a shell.
func commandLine() string {
	words := []string{"certify"}
	for _, w := range os.Args[min(1, len(os.Args)):] {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>()[]{}*?!`~#") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// openLog opens or makes a results file.
func openLog(path string, h any) (*robust.Log, error) {
	if err := writable(path, "results", "-o"); err != nil {
		return nil, err
	}
	l, err := robust.OpenLog(path, h, robust.HeaderMayDiffer...)
	if err != nil {
		return nil, robustError(path, path, err)
	}
	return l, nil
}

// A condition of --fail-on.
type condition struct {
	text  string
	met   func([]robust.Row) bool
	limit float64
}

func conditions(texts []string) ([]condition, error) {
	var out []condition
	for _, t := range texts {
		c := condition{text: t}
		var value func(*robust.Row) float64
		name, limit, ok := strings.Cut(t, "<")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "clean":
			value = (*robust.Row).CleanAccuracy
		case "attacked":
			value = (*robust.Row).Attacked
		case "certified":
			value = (*robust.Row).CertifiedAccuracy
		case "violated", "broken", "sat":
			value, c.limit = func(r *robust.Row) float64 { return float64(-r.Broken) }, 0
		case "undecided", "unknown":
			value, c.limit = func(r *robust.Row) float64 { return float64(-r.Undecided) }, 0
		}
		word := value != nil && !ok && !strings.Contains("clean attacked certified", strings.ToLower(name))
		if ok && value != nil {
			var err error
			if c.limit, err = parseNumber(limit); err != nil || !(c.limit >= 0 && c.limit <= 1) {
				value = nil
			}
		}
		if value == nil || !ok && !word {
			return nil, usagef("the conditions are violated, undecided, clean<0.98, attacked<0.95 and certified<0.9",
				"--fail-on: %q is no condition", t)
		}
		c.met = func(rows []robust.Row) bool {
			for i := range rows {
				if value(&rows[i]) < c.limit {
					return true
				}
			}
			return false
		}
		out = append(out, c)
	}
	return out, nil
}

// printEval writes the table or the object.
func (a *app) printEval(asJSON bool, h *robust.Header, records []*robust.Record) error {
	rows := robust.Summary(records)
	if asJSON {
		return encodeEval(a.out, h, rows)
	}
	if h.Options.Bound != "" {
		a.printBound(h, rows)
		return nil
	}
	g := &grid{head: []string{"eps", "items", "clean", "attacked", "certified", "undecided", "timed out", "broken", "seconds"},
		right: map[string]bool{}}
	for _, c := range g.head[1:] {
		g.right[c] = true
	}
	for k, r := range rows {
		certified := percent(r.Certified, r.Items)
		if !h.Proves() {
			certified = "not attempted"
		}
		g.add(epsText(h, k, r.Eps), r.Items, percent(r.Clean, r.Items), percent(r.Items-r.Broken, r.Items), certified, r.Undecided,
			r.TimedOut, r.Broken,
			fmt.Sprintf("%.1f", r.Seconds))
	}
	g.text(a.out)
	return nil
}

func epsText(h *robust.Header, k int, eps float64) string {
	if k < len(h.Options.EpsText) {
		return h.Options.EpsText[k]
	}
	return fmt.Sprint(eps)
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}
