package poison

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"

	"math/rand/v2"
)

// A Param is a number that steers an attack or a defence, or one of several words.
type Param struct {
	Name    string
	Default float64  // for words, the index
	Words   []string // nil: a number
	Doc     string
}

// params are the values of parameters by name.
type params map[string]float64

// An Attack is one way to poison a training set.
type Attack struct {
	Name, Doc string
	Source    string // authors, year
	Params    []Param
	// Nets is how many of Options.Nets the attack needs at least.
	Nets int
	// Target says that the attack is about one input, Options.Target.
	Target bool
	// Backdoor says that the attack plants a Trigger.
	Backdoor bool
	run      func(*attacking) error
}

// Options are what an attacker knows and may spend, beside the parameters of the attack.
type Options struct {
	// Validation is what the attacker has of the data that the victim will be tested on. nil makes attacks that need it hold
	// out a part of the training set.
	Validation *data.Set
	// Nets are surrogates of the victim's network, trained, in the attacker's hands.
	Nets []*Split
	// Target is the input that the victim shall misclassify; TargetLabel its class.
	Target      []float64
	TargetLabel int
	// Classes is the number of classes; 0 takes the largest label plus 1.
	Classes int
	// Lower and Upper bound every value that an attack writes. Both 0 stand for the range of the training set.
	Lower, Upper float64
	Seed         uint64
	Workers      int // 0: as many as there are processors
	// Progress is called now and then with the part of the work that is done.
	Progress func(done, total int)
}

// attacking is an attack under way.
type attacking struct {
	*Options
	ctx    context.Context
	params params
	name   string
	set    *data.Set // must not be changed
	out    *Poisoned
}

func (a *attacking) num(name string) float64 { return a.params[name] }
func (a *attacking) int(name string) int     { return int(a.params[name]) }

func (a *attacking) stream(path ...string) *rand.Rand {
	return seed.Stream(a.Seed, append([]string{"poison", a.name}, path...)...)
}

func (a *attacking) progress(done, total int) {
	if a.Progress != nil {
		a.Progress(done, total)
	}
}

// count returns how many items a share of the set is, rounded down.
func (a *attacking) count(rate float64) (int, error) {
	if !(rate >= 0 && rate <= 1) {
		return 0, fmt.Errorf("poison: %s: rate=%v: want a share of the training set, from 0 to 1", a.name, rate)
	}
	return int(rate * float64(a.set.Len())), nil
}

// Attacks returns every attack, sorted by name.
func Attacks() []*Attack { return sorted(attacks, func(a *Attack) string { return a.Name }) }

// attacks is the registry.
var attacks = []*Attack{labelFlip, backGradient, influenceAttack, featureCollision, convexPolytope, badNets, cleanLabel}

// LookupAttack returns the attack that a text like "badnets:target=7" names, or nil.
func LookupAttack(text string) *Attack {
	name, _, _ := strings.Cut(text, ":")
	return find(attacks, name, func(a *Attack) string { return a.Name })
}

// Run poisons a training set by an attack with parameters, as in "badnets:target=7,rate=0.1". The set is not changed. An error is
// that of ctx, or says what does not fit.
func Run(ctx context.Context, text string, set *data.Set, o Options) (*Poisoned, error) {
	name, rest, _ := strings.Cut(text, ":")
	a := LookupAttack(text)
	if a == nil {
		return nil, fmt.Errorf("poison: no attack %q", name)
	}
	p, err := parse(name, rest, a.Params)
	if err != nil {
		return nil, err
	}
	if err := o.complete(set); err != nil {
		return nil, err
	}
	switch {
	case len(o.Nets) < a.Nets:
		return nil, fmt.Errorf("poison: %s needs %d trained networks, there are %d", name, a.Nets, len(o.Nets))
	case a.Target && len(o.Target) != set.Dim():
		return nil, fmt.Errorf("poison: %s needs a target of %d numbers, there are %d", name, set.Dim(), len(o.Target))
	case a.Target && (o.TargetLabel < 0 || o.TargetLabel >= o.Classes):
		return nil, fmt.Errorf("poison: the target has label %d: want 0 to %d", o.TargetLabel, o.Classes-1)
	}
	for _, n := range o.Nets {
		if n.Full.Inputs() != set.Dim() || n.Full.Classes() < o.Classes {
			return nil, fmt.Errorf("poison: a network with %d inputs and %d classes for items of %d numbers in %d classes",
				n.Full.Inputs(), n.Full.Classes(), set.Dim(), o.Classes)
		}
	}
	w := &attacking{Options: &o, ctx: ctx, params: p, name: name, set: set, out: newPoisoned(set)}
	w.out.Attack = describe(name, a.Params, p)
	if err := a.run(w); err != nil {
		return nil, err
	}
	return w.out, nil
}

// complete fills in what 0 stands for and checks the data.
func (o *Options) complete(set *data.Set) error {
	var err error
	if o.Classes, err = checked(set, o.Classes); err != nil {
		return err
	}
	if v := o.Validation; v != nil {
		if _, err := checked(v, o.Classes); err != nil {
			return fmt.Errorf("poison: validation data: %w", err)
		}
		if v.Dim() != set.Dim() {
			return fmt.Errorf("poison: validation items have %d numbers, training items %d", v.Dim(), set.Dim())
		}
	}
	if o.Lower == 0 && o.Upper == 0 {
		o.Lower, o.Upper = slices.Min(set.X), slices.Max(set.X)
	}
	if !(o.Lower <= o.Upper) {
		return fmt.Errorf("poison: values from %v to %v", o.Lower, o.Upper)
	}
	return nil
}

// checked returns the number of classes of a set that has labels and finite values; most is what is allowed, or 0.
func checked(set *data.Set, most int) (int, error) {
	if err := set.Check(); err != nil {
		return 0, err
	}
	classes := most
	if most == 0 && len(set.Labels) > 0 {
		classes = max(slices.Max(set.Labels)+1, 2)
	}
	return classes, set.CheckLabels(classes)
}

func sorted[M any](all []*M, name func(*M) string) []*M {
	s := slices.Clone(all)
	slices.SortFunc(s, func(a, b *M) int { return strings.Compare(name(a), name(b)) })
	return s
}

func find[M any](all []*M, want string, name func(*M) string) *M {
	for _, m := range all {
		if name(m) == want {
			return m
		}
	}
	return nil
}

// parse reads parameters, as in "rate=0.1,rule=far", on top of the defaults.
func parse(name, text string, list []Param) (params, error) {
	p := params{}
	for _, q := range list {
		p[q.Name] = q.Default
	}
	if text == "" {
		return p, nil
	}
	for kv := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(kv, "=")
		k := slices.IndexFunc(list, func(q Param) bool { return q.Name == key })
		if k < 0 {
			var names []string
			for _, q := range list {
				names = append(names, q.Name)
			}
			return nil, fmt.Errorf("poison: %s has no parameter %q; it has %s", name, key, strings.Join(names, ", "))
		}
		v, err := list[k].parse(value)
		if err != nil {
			return nil, fmt.Errorf("poison: %s: %w", name, err)
		}
		p[key] = v
	}
	return p, nil
}

func (q *Param) parse(value string) (float64, error) {
	if q.Words != nil {
		if k := slices.Index(q.Words, value); k >= 0 {
			return float64(k), nil
		}
		return 0, fmt.Errorf("%s=%q: want one of %s", q.Name, value, strings.Join(q.Words, ", "))
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || v != v || v < -1e12 || v > 1e12 {
		return 0, fmt.Errorf("%s=%q: want a number", q.Name, value)
	}
	return v, nil
}

// describe writes a method with all its parameters, so that it can be parsed again.
func describe(name string, list []Param, p params) string {
	s := []string{}
	for _, q := range list {
		v := strconv.FormatFloat(p[q.Name], 'g', -1, 64)
		if q.Words != nil {
			v = q.Words[int(p[q.Name])]
		}
		s = append(s, q.Name+"="+v)
	}
	if len(s) == 0 {
		return name
	}
	return name + ":" + strings.Join(s, ",")
}
