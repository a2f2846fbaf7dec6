package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks/poison"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
)

// poisonAttackFlags are the flags of `certify poison attack`.
type poisonAttackFlags struct {
	poisonFlags
	attack, out, validation string
	target                  int
	evaluate                bool
}

func (a *app) poisonAttackCmd() *cobra.Command {
	f := &poisonAttackFlags{}
	c := &cobra.Command{
		Use:   "attack --data SPEC --attack NAME[:PARAM=VALUE,...]",
		Short: "Poison a training set and see what it does to a model trained on it",
		Long: "Poison a training set by an attack of the literature. The poisoned set is written with a record of what was\n" +
			"changed. With --evaluate a victim is trained on the clean and on the poisoned set: a network for backdoors, the last\n" +
			"layer of one for attacks on one input, logistic regression for the others. Attacks that need networks get some that\n" +
			"are trained on the clean set.",
		Example: "  certify poison attack --data mnist:train --attack badnets:target=7 -o poisoned.npz --evaluate --test mnist:test\n" +
			"  certify poison attack --data mnist:train[0:500] --attack backgradient --evaluate --test mnist:test\n" +
			"  certify poison attack --data mnist:train[0:400] --attack collision --test mnist:test --target 3 --evaluate",
		Args: cobra.NoArgs,
	}
	f.register(c)
	fs := c.Flags()
	fs.StringVar(&f.attack, "attack", "", "the `attack` with parameters, as badnets:target=7,rate=0.1 (`certify list poisoning`)")
	fs.StringVarP(&f.out, "out", "o", "", "write the poisoned set and the record to this .npz `file`")
	fs.StringVar(&f.validation, "validation", "",
		"data that the attacker validates on, as --data (default: a part of the training set)")
	fs.IntVar(&f.target, "target", -1, "the item of --test that the victim shall misclassify, for attacks on one input")
	fs.BoolVar(&f.evaluate, "evaluate", false, "train a victim on the clean and on the poisoned set and compare them on --test")
	c.RunE = runE(func(c *cobra.Command, _ []string) error { return a.poisonAttack(c.Context(), f) })
	return c
}

func (a *app) poisonAttack(ctx context.Context, f *poisonAttackFlags) error {
	attack := poison.LookupAttack(f.attack)
	switch {
	case attack == nil:
		return usagef("`certify list poisoning` has them all", "--attack: no attack %q", f.attack)
	case f.test == "" && (f.evaluate || attack.Target):
		return usagef("for example --test mnist:test", "no test data are named")
	case attack.Target && f.target < 0:
		return usagef("add --target, the number of an item of --test", "%s is an attack on one input", attack.Name)
	case f.out == "" && !f.evaluate:
		return usagef("add -o FILE, --evaluate or both", "nothing would come of it")
	}
	if f.out != "" {
		if err := writable(f.out, "data", "-o"); err != nil {
			return err
		}
	}
	set, test, classes, err := a.sets(&f.poisonFlags)
	if err != nil {
		return err
	}
	o := poison.Options{Classes: classes, Seed: f.seed, Workers: f.workers}
	if attack.Target {
		if f.target >= test.Len() {
			return usagef(fmt.Sprintf("%s holds %d items", f.test, test.Len()), "--target %d: there is no such item", f.target)
		}
		o.Target, o.TargetLabel = test.Item(f.target), test.Labels[f.target]
	}
	if f.validation != "" {
		if o.Validation, err = f.sibling(f.validation, set); err != nil {
			return err
		}
	}
	show, end, err := a.stages(f.progress)
	if err != nil {
		return err
	}
	defer end()
	ctx, stop := signals(ctx)
	defer stop()
	for k := range attack.Nets {
		s, err := f.trained(ctx, set, classes, seed.Derive(f.seed, "surrogate", fmt.Sprint(k)), show("surrogate"))
		if err != nil {
			return a.poisonError(ctx, err)
		}
		o.Nets = append(o.Nets, s)
	}
	o.Progress = show("attack")
	start := time.Now()
	p, err := poison.Run(ctx, f.attack, set, o)
	if err != nil {
		return a.poisonError(ctx, err)
	}
	took := time.Since(start)
	var rows []victim
	if f.evaluate {
		if rows, err = f.victims(ctx, attack, set, p, test, classes, &o, show); err != nil {
			return a.poisonError(ctx, err)
		}
	}
	if f.out != "" {
		if err := writeSet(f.out, p.Set, &p.Record); err != nil {
			return err
		}
	}
	end()
	return a.tellAttack(f, set, p, rows, took)
}

// A victim is what was measured of a model on test data; NaN stands for what has no meaning for it.
type victim struct {
	Trained  string   `json:"trained_on"`
	Model    string   `json:"model"`
	Items    int      `json:"items"`
	Accuracy float64  `json:"accuracy"`
	Loss     *float64 `json:"loss,omitempty"`
	Success  *float64 `json:"attack_success,omitempty"`
	Class    *int     `json:"target_classified_as,omitempty"`
}

// victims trains on the clean and the poisoned set and tests.
func (f *poisonAttackFlags) victims(ctx context.Context, attack *poison.Attack, set *data.Set, p *poison.Poisoned,
	test *data.Set, classes int,
	o *poison.Options, show func(string) stage) ([]victim, error) {
	var out []victim
	for k, s := range []*data.Set{set, p.Set} {
		name := [2]string{"clean", "poisoned"}[k]
		var v victim
		var err error
		switch {
		case attack.Backdoor:
			v, err = f.network(ctx, s, test, classes, p.Attack, slices.Max(set.X), show("train"))
		case attack.Target:
			v, err = f.regression(ctx, s, test, classes, o.Nets[0], o.Target)
		default:
			v, err = f.regression(ctx, s, test, classes, nil, nil)
		}
		if err != nil {
			return nil, err
		}
		v.Trained, v.Items = name, s.Len()
		out = append(out, v)
	}
	return out, nil
}

// network trains one and measures it; attack may have a trigger.
func (f *poisonFlags) network(ctx context.Context, set, test *data.Set, classes int, attack string, value float64,
	show stage) (victim, error) {
	v := victim{Model: "network"}
	s, err := f.trained(ctx, set, classes, seed.Derive(f.seed, "victim"), show)
	if err != nil {
		return v, err
	}
	return v, f.measure(ctx, &v, s, test, classes, attack, value)
}

// measure fills in the accuracy of a network and, if the attack has a trigger, its success.
func (f *poisonFlags) measure(ctx context.Context, v *victim, s *poison.Split, test *data.Set, classes int, attack string,
	value float64) (err error) {
	if v.Accuracy, err = s.Accuracy(ctx, test, f.workers); err != nil {
		return err
	}
	trigger, err := poison.ParseTrigger(attack, test.Shape, classes, value)
	if err != nil {
		return nil // no backdoor
	}
	success, err := trigger.Success(ctx, s, test, f.workers)
	v.Success = &success
	return err
}

// regression trains one, on the features of a network if there is one, and measures it.
func (f *poisonFlags) regression(ctx context.Context, set, test *data.Set, classes int, features *poison.Split,
	target []float64) (victim, error) {
	v := victim{Model: "regression"}
	if features != nil {
		v.Model = "last layer"
	}
	r, err := poison.FitRegression(ctx, set, features, classes, f.l2, f.workers)
	if err != nil {
		return v, err
	}
	accuracy, loss, err := r.Score(ctx, test)
	if err != nil {
		return v, err
	}
	v.Accuracy, v.Loss = accuracy, &loss
	if target != nil {
		class, err := r.Classify(ctx, target)
		if err != nil {
			return v, err
		}
		v.Class = &class
	}
	return v, nil
}

// tellAttack prints what was done.
func (a *app) tellAttack(f *poisonAttackFlags, set *data.Set, p *poison.Poisoned, rows []victim, took time.Duration) error {
	changed := p.Indices()
	inserted := p.Set.Len() - set.Len()
	if f.json {
		return json.NewEncoder(a.out).Encode(map[string]any{"schema": "certify.poison.attack/1", "attack": p.Attack,
			"data":   f.data,
			"sha256": set.Hash, "seed": f.seed, "items": p.Set.Len(), "changed": changed, "inserted": inserted, "victims": rows,
			"seconds": took.Seconds(), "out": f.out, "tool": tool()})
	}
	fmt.Fprintf(a.out, "%s: %d items changed, %d inserted, of %d now   %s\n", p.Attack, len(changed)-inserted, inserted,
		p.Set.Len(), clock(took))
	victimTable(a, rows)
	if f.out != "" {
		a.notef("wrote     %s", f.out)
	}
	return nil
}

// victimTable prints victims, if there are any.
func victimTable(a *app, rows []victim) {
	if len(rows) == 0 {
		return
	}
	g := &grid{head: []string{"trained on", "model", "items", "accuracy", "test loss", "attack success", "target taken for"},
		right: map[string]bool{}}
	for _, c := range g.head[2:] {
		g.right[c] = true
	}
	for _, v := range rows {
		loss, success, class := "-", math.NaN(), "-"
		if v.Loss != nil {
			loss = fmt.Sprintf("%.4f", *v.Loss)
		}
		if v.Success != nil {
			success = *v.Success
		}
		if v.Class != nil {
			class = fmt.Sprint(*v.Class)
		}
		g.add(v.Trained, v.Model, v.Items, share(v.Accuracy), loss, share(success), class)
	}
	g.text(a.out)
}
