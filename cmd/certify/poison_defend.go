package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks/poison"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
)

// poisonDefendFlags are the flags of `certify poison defend`.
type poisonDefendFlags struct {
	poisonFlags
	defences     []string
	trusted, out string
	evaluate     bool
}

func (a *app) poisonDefendCmd() *cobra.Command {
	f := &poisonDefendFlags{}
	c := &cobra.Command{
		Use:   "defend --data SPEC --defence NAME[:PARAM=VALUE,...]",
		Short: "Look for poison in a training set and remove it, without any certificate",
		Long: "Run defences of the literature on a training set. What they say is no proof: an attacker who knows them gets past\n" +
			"them. When the set was written by `certify poison attack`, the answer is compared with its record. Defences that look\n" +
			"into a network get one that is trained on the set.",
		Example: "  certify poison defend --data poisoned.npz --defence spectral:eps=0.1 --defence clustering\n" +
			"  certify poison defend --data poisoned.npz --defence sphere --trusted mnist:train[0:1000] -o cleaned.npz\n" +
			"  certify poison defend --data poisoned.npz --defence fineprune --trusted mnist:test[0:500] \\\n" +
			"      --evaluate --test mnist:test[500:]",
		Args: cobra.NoArgs,
	}
	f.register(c)
	fs := c.Flags()
	fs.StringArrayVar(&f.defences, "defence", nil,
		"a `defence` with parameters, as spectral:eps=0.1; can be repeated (`certify list poisoning`)")
	fs.StringVar(&f.trusted, "trusted", "", "data that are known to be clean, as --data")
	fs.StringVarP(&f.out, "out", "o", "", "write what is left to this .npz `file` (one defence)")
	fs.BoolVar(&f.evaluate, "evaluate", false, "train on what came and on what is left and compare them on --test")
	c.RunE = runE(func(c *cobra.Command, _ []string) error { return a.poisonDefend(c.Context(), f) })
	return c
}

// A finding is what one defence said.
type finding struct {
	Defence   string   `json:"defence"`
	Flagged   []int    `json:"flagged"`
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
	Notes     []string `json:"notes,omitempty"`
	Victims   []victim `json:"victims,omitempty"`
	Seconds   float64  `json:"seconds"`
}

func (f *poisonDefendFlags) checkDefences() error {
	if len(f.defences) == 0 {
		return usagef("for example --defence spectral; `certify list poisoning` has them all", "no defence is named")
	}
	for _, t := range f.defences {
		switch d := poison.LookupDefence(t); {
		case d == nil:
			return usagef("`certify list poisoning` has them all", "--defence: no defence %q", t)
		case d.Repairs && f.out != "":
			return usagef("leave out -o, or take another defence", "%s repairs a network and leaves the set as it is", d.Name)
		}
	}
	switch {
	case f.out != "" && len(f.defences) > 1:
		return usagef("name one defence", "-o takes what one defence leaves")
	case f.evaluate && f.test == "":
		return usagef("for example --test mnist:test", "no test data are named")
	case f.out != "":
		return writable(f.out, "data", "-o")
	}
	return nil
}

func (a *app) poisonDefend(ctx context.Context, f *poisonDefendFlags) error {
	if err := f.checkDefences(); err != nil {
		return err
	}
	set, test, classes, err := a.sets(&f.poisonFlags)
	if err != nil {
		return err
	}
	o := poison.InspectOptions{Classes: classes, Seed: f.seed, Workers: f.workers}
	if f.trusted != "" {
		if o.Trusted, err = f.sibling(f.trusted, set); err != nil {
			return err
		}
	}
	record := readRecord(f.data, set.Len())
	if record != nil {
		a.notef("record    %s: %d items", record.Attack, len(record.Indices()))
	}
	show, end, err := a.stages(f.progress)
	if err != nil {
		return err
	}
	defer end()
	ctx, stop := signals(ctx)
	defer stop()
	d := &defenceJob{poisonDefendFlags: f, set: set, test: test, classes: classes, record: record, opt: &o, show: show}
	var rows []finding
	var last *poison.Findings
	for _, text := range f.defences {
		row, found, err := d.run(ctx, text)
		if err != nil {
			return a.poisonError(ctx, err)
		}
		rows, last = append(rows, row), found
	}
	if f.out != "" {
		left := last.Apply(set)
		if left.Len() == 0 {
			return malformedf("choose other parameters", "%s removes every item", last.Defence)
		}
		if err := writeSet(f.out, left, nil); err != nil {
			return err
		}
	}
	end()
	return a.tellDefences(f, set, rows)
}

// defenceJob runs defences on one set.
type defenceJob struct {
	*poisonDefendFlags
	set, test *data.Set
	classes   int
	record    *poison.Record
	opt       *poison.InspectOptions
	show      func(string) stage
	before    *victim // of the set as it came
}

func (d *defenceJob) run(ctx context.Context, text string) (finding, *poison.Findings, error) {
	if (d.opt.Net == nil) && (poison.NeedsNet(text) || d.evaluate) {
		var err error
		if d.opt.Net, err = d.trained(ctx, d.set, d.classes, seed.Derive(d.seed, "victim"), d.show("train")); err != nil {
			return finding{}, nil, err
		}
	}
	d.opt.Progress = d.show("defence")
	start := time.Now()
	found, err := poison.Inspect(ctx, text, d.set, *d.opt)
	if err != nil {
		return finding{}, nil, err
	}
	row := finding{Defence: found.Defence, Flagged: found.Flagged(d.set), Notes: found.Notes,
		Seconds: time.Since(start).Seconds()}
	if d.record != nil {
		precision, recall := poison.Compare(row.Flagged, d.record)
		row.Precision, row.Recall = finiteOrNil(precision), finiteOrNil(recall)
	}
	if d.evaluate {
		row.Victims, err = d.victims(ctx, found)
	}
	return row, found, err
}

// victims measures the network of the set as it came, and that of what the defence leaves.
func (d *defenceJob) victims(ctx context.Context, found *poison.Findings) ([]victim, error) {
	attack := ""
	if d.record != nil {
		attack = d.record.Attack
	}
	value := slices.Max(d.set.X)
	if d.before == nil {
		d.before = &victim{Trained: "as it came", Model: "network", Items: d.set.Len()}
		if err := d.measure(ctx, d.before, d.opt.Net, d.test, d.classes, attack, value); err != nil {
			return nil, err
		}
	}
	if found.Net != nil {
		after := victim{Trained: "as it came", Model: "repaired", Items: d.set.Len()}
		err := d.measure(ctx, &after, found.Net, d.test, d.classes, attack, value)
		return []victim{*d.before, after}, err
	}
	left := found.Apply(d.set)
	if left.Len() == 0 {
		return []victim{*d.before}, nil
	}
	after, err := d.network(ctx, left, d.test, d.classes, attack, value, d.show("train"))
	after.Trained, after.Items = "what is left", left.Len()
	return []victim{*d.before, after}, err
}

// tellDefences prints what the defences said.
func (a *app) tellDefences(f *poisonDefendFlags, set *data.Set, rows []finding) error {
	if f.json {
		return json.NewEncoder(a.out).Encode(map[string]any{"schema": "certify.poison.defend/1", "data": f.data,
			"sha256": set.Hash,
			"items":  set.Len(), "seed": f.seed, "defences": rows, "out": f.out, "tool": tool()})
	}
	g := &grid{head: []string{"defence", "flagged", "of items", "precision", "recall", "seconds"}, right: map[string]bool{}}
	for _, c := range g.head[1:] {
		g.right[c] = true
	}
	for _, r := range rows {
		precision, recall := math.NaN(), math.NaN()
		if r.Precision != nil {
			precision = *r.Precision
		}
		if r.Recall != nil {
			recall = *r.Recall
		}
		g.add(r.Defence, len(r.Flagged), percent(len(r.Flagged), set.Len()), share(precision), share(recall),
			fmt.Sprintf("%.2f", r.Seconds))
	}
	g.text(a.out)
	for _, r := range rows {
		name, _, _ := strings.Cut(r.Defence, ":")
		for _, n := range r.Notes {
			a.notef("%s: %s", name, n)
		}
		if len(r.Victims) > 0 {
			fmt.Fprintf(a.out, "\n%s\n", r.Defence)
			victimTable(a, r.Victims)
		}
	}
	if f.out != "" {
		a.notef("wrote     %s", f.out)
	}
	return nil
}
