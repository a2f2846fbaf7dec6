package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/verify/robust"
	"github.com/spai-project/certify/verify/robust/page"
)

// radiusFlags are the flags of `certify radius`.
type radiusFlags struct {
	robustFlags
	out, svg string
	most     string
}

func (a *app) radiusCmd() *cobra.Command {
	f := &radiusFlags{}
	c := &cobra.Command{
		Use:   "radius MODEL --input FILE | --data SPEC [--index N]",
		Short: "The largest proved and the smallest broken radius of one input, or of every item of a data set",
		Long: "Narrow, from both sides, the largest radius at which an input keeps its class: attacks bring down the smallest " +
			"radius that is\n" +
			"broken, the verifier raises the largest that is proved. With --data and no --index this is done for every item.",
		Example: "  certify radius net.onnx --input seven.png --label 7 -t 60\n" +
			"  certify radius net.onnx --data mnist:test[0:100] -t 20 -o radii.jsonl --svg radii.svg",
		Args: cobra.ExactArgs(1),
	}
	f.register(c, true, "time for each item (default: 60 s)")
	fs := c.Flags()
	fs.BoolVar(&f.noVerify, "no-verify", false, "run attacks only")
	fs.StringVar(&f.most, "max", "", "the largest radius of interest (default: the width of the valid range)")
	fs.StringVarP(&f.out, "out", "o", "",
		"keep results in this `file`, one JSON line for each item; a run that was stopped goes on from it")
	fs.StringVar(&f.svg, "svg", "", "write a curve to this `file`: the share of items proved, and not broken, over the radius")
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.radius(c.Context(), f, args[0]) })
	return c
}

func (a *app) radius(ctx context.Context, f *radiusFlags, path string) error {
	opt, sem, err := f.options()
	if err != nil {
		return err
	}
	most := 0.0
	if f.most != "" {
		if most, err = robust.ParseEps(f.most); err != nil || most == 0 {
			return usagef("write 0.1 or 2/255", "--max: %q is no radius", f.most)
		}
	}
	if f.svg != "" {
		if err := writable(f.svg, "picture", "--svg"); err != nil {
			return err
		}
	}
	m, it, err := f.load(path, sem)
	if err != nil {
		return err
	}
	opt.Domain, opt.Shape = it.domain, it.set.Shape
	single := f.index >= 0 || it.set.Len() == 1
	if single {
		if _, _, err := f.one(it, m.Classes()); err != nil {
			return err
		}
	} else if err := it.set.CheckLabels(m.Classes()); err != nil {
		return dataError(err)
	}
	a.describe(path, m, it)
	warnings, err := m.Inspect(ctx, it.set)
	if err != nil {
		return robustError(path, it.spec, err)
	}
	a.warn(warnings)
	ctx, stop := signals(ctx)
	defer stop()
	if single && f.out == "" && f.svg == "" {
		return a.radiusOne(ctx, f, m, it, path, most, opt)
	}
	return a.radii(ctx, f, m, it, path, most, opt)
}

// radiusOne narrows the bracket of one item on all threads.
func (a *app) radiusOne(ctx context.Context, f *radiusFlags, m *robust.Model, it *items, path string, most float64,
	opt robust.Options) error {
	b, err := m.Radius(ctx, it.set.Item(0), it.set.Labels[0], most, opt)
	if err != nil {
		return robustError(path, it.spec, err)
	}
	if f.json {
		o := struct {
			Schema     string   `json:"schema"`
			Proved     float64  `json:"proved"`
			Broken     *float64 `json:"broken"`
			By         string   `json:"by,omitempty"`
			Class      *int     `json:"class,omitempty"`
			Norm       string   `json:"norm"`
			Semantics  string   `json:"semantics"`
			Steps      int      `json:"steps"`
			Incomplete bool     `json:"incomplete"`
			Seconds    float64  `json:"seconds"`
			Seed       uint64   `json:"seed"`
		}{robust.RadiusSchema, b.Proved, finiteOrNil(b.Broken), b.By, nil, opt.Norm.String(), m.Semantics.String(), b.Steps,
			b.Incomplete, b.Wall.Seconds(), opt.Seed}
		if b.Witness != nil {
			o.Class = &b.Witness.Class
		}
		err = json.NewEncoder(a.out).Encode(o)
	} else {
		_, err = fmt.Fprintf(a.out, "%s   %s   %s\n", provedWords(m, b.Proved, &f.robustFlags), brokenWords(b), clock(b.Wall))
		if b.Incomplete {
			a.notef("          the time was over; a longer -t narrows this")
		}
	}
	var sig *interrupt
	if errors.As(context.Cause(ctx), &sig) {
		return &status{sig.code()}
	}
	return err
}

func provedWords(m *robust.Model, r float64, f *robustFlags) string {
	switch {
	case r > 0:
		return "proved up to " + robust.FormatDown(r) + in255(r)
	case f.noVerify, f.norm != "linf", m.Unverifiable != nil:
		return "no proof attempted"
	}
	return "nothing proved"
}

func brokenWords(b *robust.Bracket) string {
	switch {
	case b.Broken == 0:
		return fmt.Sprintf("the input itself is misclassified as %d", b.Witness.Class)
	case math.IsInf(b.Broken, 1):
		return "no counterexample found"
	}
	return fmt.Sprintf("broken from %s%s (class %d)", robust.FormatUp(b.Broken), in255(b.Broken), b.Witness.Class)
}

// in255 gives a radius in steps of 8-bit pictures, where that can be of use.
func in255(r float64) string {
	if r >= 1 {
		return ""
	}
	return fmt.Sprintf(" (≈ %.2f/255)", 255*r)
}

// radii narrows the brackets of all items, each on one thread.
func (a *app) radii(ctx context.Context, f *radiusFlags, m *robust.Model, it *items, path string, most float64,
	opt robust.Options) error {
	if opt.Timeout <= 0 {
		opt.Timeout = time.Minute
	}
	o := robust.RadiiOptions{Options: opt, Most: most}
	if f.out != "" {
		h, err := m.NewHeader(it.set, &robust.EvalOptions{Options: opt})
		if err != nil {
			return robustError(path, it.spec, err)
		}
		a.fillHeader(h, path, it.spec)
		if h.Schema = robust.RadiusSchema; most > 0 {
			h.Options.Eps = []float64{most}
		}
		if o.Log, err = openLog(f.out, h); err != nil {
			return err
		}
	}
	n := 0
	o.Earlier = func(r []*robust.RadiusRecord) {
		n += len(r)
		a.notef("resumed   %d items of %s are there", len(r), f.out)
	}
	o.Done = func(r *robust.RadiusRecord) {
		n++
		broken := "no counterexample"
		if r.Broken != nil {
			broken = "broken from " + robust.FormatUp(*r.Broken)
		}
		a.notef("%d/%d   item %s   proved up to %s   %s   %s", n, it.set.Len(), r.Name, robust.FormatDown(r.Proved), broken,
			clock(time.Duration(r.Seconds*1e9)))
	}
	records, err := m.Radii(ctx, it.set, o)
	var sig *interrupt
	interrupted := errors.As(context.Cause(ctx), &sig)
	if o.Log != nil {
		if cerr := o.Log.Close(err == nil); err == nil && cerr != nil {
			return cerr
		}
	}
	if err != nil && !interrupted {
		return robustError(path, it.spec, err)
	}
	if err := a.printRadii(f, path, it, records); err != nil {
		return err
	}
	if interrupted {
		a.notef("interrupted after %d of %d items", len(records), it.set.Len())
		return &status{sig.code()}
	}
	return nil
}

// printRadii writes the quantiles, and the curve where it was asked for.
func (a *app) printRadii(f *radiusFlags, path string, it *items, records []*robust.RadiusRecord) error {
	if len(records) == 0 {
		return nil
	}
	if f.svg != "" {
		chart := page.RadiusChart("Robust radii of "+path+" on "+it.spec, records)
		if err := writeAtomic(f.svg, func(w *os.File) error { return chart.WriteSVG(w) }); err != nil {
			return err
		}
	}
	if f.json {
		return json.NewEncoder(a.out).Encode(struct {
			Schema string                 `json:"schema"`
			Items  []*robust.RadiusRecord `json:"items"`
		}{"certify.radii/1", records})
	}
	var proved, broken []float64
	for _, r := range records {
		proved = append(proved, r.Proved)
		b := math.Inf(1)
		if r.Broken != nil {
			b = *r.Broken
		}
		broken = append(broken, b)
	}
	slices.Sort(proved)
	slices.Sort(broken)
	g := &grid{head: []string{"items", "least", "a quarter", "median", "three quarters", "most"}, right: map[string]bool{}}
	quantiles := func(name string, v []float64, format func(float64) string) {
		n := len(v) - 1
		g.add(name, format(v[0]), format(v[n/4]), format(v[n/2]), format(v[n*3/4]), format(v[n]))
	}
	quantiles("proved up to", proved, robust.FormatDown)
	quantiles("broken from", broken, func(v float64) string {
		if math.IsInf(v, 1) {
			return "never"
		}
		return robust.FormatUp(v)
	})
	g.text(a.out)
	return nil
}
