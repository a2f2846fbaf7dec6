package robust

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/spec"
)

// CampaignOptions steer Model.Campaign. Norm, Domain and one attack are needed.
type CampaignOptions struct {
	Norm    evasion.Norm
	Domain  Domain
	Eps     []float64 // radii; empty: every attack looks for the smallest
	Attacks []string  // as in "pgd:steps=100"
	// Access limits what attacks see of the network; the zero value is labels alone.
	Access             access.Level
	Queries, Gradients int // per item, 0: no limit
	// Surrogate, if not nil, is the network that is differentiated in the place of the attacked one.
	Surrogate access.Gradients
	// Target, if not nil, chooses the class to reach from an item's scores and label, −1: any other. Labels alone have no scores.
	Target   func(item int, y []float64, label int) int
	Seed     uint64
	Workers  int
	Progress func(attack string, eps float64, done, total int) // called from several goroutines
}

// An Assault is what one attack did to a data set at one radius.
type Assault struct {
	Attack  string    `json:"attack"`
	Eps     float64   `json:"-"` // +Inf: the smallest was looked for
	Seconds float64   `json:"seconds"`
	Items   []Outcome `json:"items"`
}

// An Outcome is what an attack did to one item.
type Outcome struct {
	Index     int      `json:"index"`
	Name      string   `json:"name"`
	Label     int      `json:"label"`
	Target    int      `json:"target"` // −1: any other class
	Status    string   `json:"status"` // found, already, failed, stopped
	Class     int      `json:"class"`  // what the network says of the found input, −1 without one
	Queries   int      `json:"queries"`
	Gradients int      `json:"gradients"`
	Witness   *Witness `json:"-"`
}

// Broken reports whether the goal is reached, by the attack or by the item itself.
func (o *Outcome) Broken() bool { return o.Witness != nil }

// Campaign runs every attack at every radius on every item. An item counts as broken when a rigorous evaluation shows it, as for
// Decide. On cancellation it returns what was found with ctx's error.
func (m *Model) Campaign(ctx context.Context, set *data.Set, opt CampaignOptions) ([]Assault, error) {
	if err := opt.Domain.Check(m.Inputs()); err != nil {
		return nil, err
	}
	if err := set.CheckLabels(m.Classes()); err != nil {
		return nil, err
	}
	if _, same := constant(opt.Domain.Unit, 1); opt.Norm != evasion.Linf && opt.Norm != evasion.L0 && !same {
		return nil, fmt.Errorf("%w: distances in the norm %v need one unit for all inputs", ErrInput, opt.Norm)
	}
	a := &attacker{m: m, d: opt.Domain, norm: opt.Norm, shape: set.Shape}
	targets, err := m.targets(set, opt.Target)
	if err != nil {
		return nil, err
	}
	eps := opt.Eps
	if len(eps) == 0 {
		eps = []float64{math.Inf(1)}
	}
	var out []Assault
	for _, text := range opt.Attacks {
		e, params, err := evasion.Parse(text)
		if err != nil {
			return out, fmt.Errorf("%w: %w", ErrInput, err)
		}
		for _, r := range eps {
			c := &campaign{a: a, opt: &opt, set: set, targets: targets, eps: r, method: method{text, e, params}}
			s, err := c.run(ctx)
			if s != nil {
				out = append(out, *s)
			}
			if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// Tasks returns an untargeted task for every item, within the domain, in the units of the network.
func (m *Model) Tasks(set *data.Set, d Domain) ([]evasion.Task, error) {
	if err := d.Check(m.Inputs()); err != nil {
		return nil, err
	}
	tasks := make([]evasion.Task, set.Len())
	a := &attacker{m: m, d: d, norm: evasion.Linf}
	for i := range tasks {
		_, lower, upper := a.region(nil, math.Inf(1))
		tasks[i] = evasion.Task{X: set.Item(i), Lower: lower, Upper: upper, Goal: evasion.Untargeted(set.Labels[i], m.Classes())}
	}
	return tasks, nil
}

// targets chooses the class to reach for every item.
func (m *Model) targets(set *data.Set, choose func(item int, y []float64, label int) int) ([]int, error) {
	out := slices.Repeat([]int{-1}, set.Len())
	if choose == nil {
		return out, nil
	}
	for i := range out {
		y, err := m.Scores(set.Item(i))
		if err != nil {
			return nil, err
		}
		if out[i] = choose(i, y, set.Labels[i]); out[i] < -1 || out[i] >= m.Classes() {
			return nil, fmt.Errorf("%w: target %d of item %d is none of the %d classes", ErrInput, out[i], i, m.Classes())
		}
	}
	return out, nil
}

// campaign is one attack at one radius.
type campaign struct {
	a       *attacker
	opt     *CampaignOptions
	set     *data.Set
	targets []int
	eps     float64
	method  method
}

func (c *campaign) run(ctx context.Context) (*Assault, error) {
	n := c.set.Len()
	tasks, problems := make([]evasion.Task, n), make([]*spec.Problem, n)
	found, thin := make([]*Witness, n), make([]*Witness, n)
	eo := evasion.Options{Norm: c.a.norm, Params: c.method.params, Seed: c.opt.Seed, Workers: c.opt.Workers, Queries: c.opt.Queries,
		Gradients: c.opt.Gradients, Shape: c.set.Shape, Surrogate: c.opt.Surrogate}
	for i := range tasks {
		x, label := c.set.Item(i), c.set.Labels[i]
		ball := c.eps
		if math.IsInf(ball, 1) {
			ball = 0
		}
		if err := c.opt.Domain.inside(x); err != nil {
			return nil, err
		}
		problems[i] = c.opt.Domain.Problem(x, ball, label, c.a.m.Classes())
		tasks[i].X, tasks[i].Goal = x, evasion.Untargeted(label, c.a.m.Classes())
		if t := c.targets[i]; t >= 0 {
			tasks[i].Goal = evasion.Targeted(t, c.a.m.Classes())
			problems[i].Cases = []spec.Case{{Rows: tasks[i].Goal.Rows(0)}}
		}
		eo.Eps, tasks[i].Lower, tasks[i].Upper = c.a.region(problems[i], c.eps)
		if c.a.norm != evasion.Linf || math.IsInf(c.eps, 1) { // the rows matter, the distance is measured
			problems[i].Boxes = []spec.Box{everything(len(x))}
		}
	}
	eo.Judge = func(i int, y []float64) bool {
		w := c.a.judge(problems[i], tasks[i].X, y, c.set.Labels[i])
		if w != nil && c.a.norm != evasion.Linf && w.Distance > c.eps {
			w = nil // the radius was rounded with the unit
		}
		if w != nil && w.Rigorous && !w.AnyOrder && !math.IsInf(c.eps, 1) { // the attack may widen it
			w, thin[i] = nil, w
		}
		found[i] = w
		return w != nil
	}
	done := progress(c.opt.Progress, c.method.text, c.eps, n)
	eo.Done = func(int, *evasion.Result) { done() }
	start := time.Now()
	results, err := c.method.m.Run(ctx, limited(c.a.m.scores, c.opt.Access), tasks, eo)
	if results == nil {
		return nil, err
	}
	s := &Assault{Attack: c.method.text, Eps: c.eps, Seconds: time.Since(start).Seconds()}
	for i := range results {
		r := &results[i]
		o := Outcome{Index: i, Name: c.set.Names[i], Label: c.set.Labels[i], Target: c.targets[i], Status: r.Status.String(), Class: -1,
			Queries: r.Queries, Gradients: r.Gradients}
		switch {
		case r.X != nil:
			o.Witness = found[i]
		case thin[i] != nil: // better than none
			if o.Witness, o.Status = thin[i], evasion.Found.String(); thin[i].Distance == 0 {
				o.Status = evasion.Already.String()
			}
		}
		if o.Witness != nil {
			o.Class = access.Argmax(o.Witness.Y)
		}
		s.Items = append(s.Items, o)
	}
	return s, err
}

// progress returns a function that counts.
func progress(show func(attack string, eps float64, done, total int), attack string, eps float64, total int) func() {
	if show == nil {
		return func() {}
	}
	ticks := make(chan int, 1)
	ticks <- 0
	return func() {
		n := 1 + <-ticks
		show(attack, eps, n, total)
		ticks <- n
	}
}

// limited hides what attacks are not to see.
func limited(m access.Scores, level access.Level) any {
	switch level {
	case access.NeedLabels:
		return access.OnlyLabels(m)
	case access.NeedScores:
		return access.OnlyScores(m)
	}
	return m
}

// A Toll is the sum of an Assault.
type Toll struct {
	Items, Already, Found, Stopped int
	Median, Mean                   float64 // distance of what was found, +Inf without any
	Queries, Gradients             float64 // mean per attacked item
	AnyOrder                       int     // found, and shown for every binary32 execution
}

// Toll counts.
func (s *Assault) Toll() Toll {
	t := Toll{Items: len(s.Items), Median: math.Inf(1), Mean: math.Inf(1)}
	var d []float64
	for i := range s.Items {
		o := &s.Items[i]
		switch {
		case o.Status == evasion.Stopped.String():
			t.Stopped++
		case o.Status == evasion.Already.String():
			t.Already++
			continue
		case o.Witness != nil:
			t.Found++
			d = append(d, o.Witness.Distance)
			if o.Witness.AnyOrder {
				t.AnyOrder++
			}
		}
		t.Queries += float64(o.Queries)
		t.Gradients += float64(o.Gradients)
	}
	if n := float64(t.Items - t.Already); n > 0 {
		t.Queries /= n
		t.Gradients /= n
	}
	if len(d) > 0 {
		slices.Sort(d)
		t.Median, t.Mean = d[len(d)/2], 0
		for _, v := range d {
			t.Mean += v / float64(len(d))
		}
	}
	return t
}

// Worst returns, for every radius in order, what the attacks did together: per item the closest witness of any.
func Worst(all []Assault) []Assault {
	var out []Assault
	for i := range all {
		s := &all[i]
		k := slices.IndexFunc(out, func(w Assault) bool { return w.Eps == s.Eps })
		if k < 0 {
			out = append(out, Assault{Attack: "all", Eps: s.Eps, Seconds: s.Seconds, Items: slices.Clone(s.Items)})
			continue
		}
		w := &out[k]
		w.Seconds += s.Seconds
		for j := range w.Items {
			a, b := &w.Items[j], &s.Items[j]
			queries, gradients := a.Queries+b.Queries, a.Gradients+b.Gradients
			if b.Witness != nil && (a.Witness == nil || b.Witness.Distance < a.Witness.Distance) {
				*a = *b
			}
			a.Queries, a.Gradients = queries, gradients
		}
	}
	return out
}
