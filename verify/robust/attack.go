package robust

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// A Witness is an input that is not classified as its label.
type Witness struct {
	X, Y     []float64 // float32 numbers; the scores there as float64 arithmetic has them, see Model.Outputs
	Class    int       // the class beside the label with the largest score
	Distance float64   // from the input, in units of the radius, rounded up
	// Margin is a lower bound, in real arithmetic, on how far the class's score is above the label's (≥ 0); NaN without Rigorous.
	Margin float64
	// Rigorous is true when an enclosure of the exact evaluation shows the violation, AnyOrder when it shows it for every binary32
	// execution too. A network without rigorous evaluation is replayed in float64 and in float32 instead.
	Rigorous, AnyOrder bool
}

// starts is the number of copies of an input that are attacked side by side, each with random numbers of its own, by attacks that
// start at random and are not made of several.
const starts = 8

// DefaultAttack is the attack that is used when none is named.
const DefaultAttack = "pgd:steps=40,loss=logodds"

// An attacker runs attacks of package evasion on one input at a time.
type attacker struct {
	m       *Model
	d       Domain
	norm    evasion.Norm
	shape   []int
	methods []method
}

type method struct {
	text   string
	m      *evasion.Method
	params map[string]float64
}

// parseAttacks reads attacks as in "pgd:steps=40". Those that need more than the network offers are an error; without names, the
// default is taken if the network has gradients, else the first attack of the registry that works.
func parseAttacks(m *Model, norm evasion.Norm, texts []string) ([]method, error) {
	level := access.NeedScores
	if m.replay != nil {
		level = access.NeedGradients
	}
	if len(texts) == 0 {
		texts = []string{DefaultAttack}
		if level < access.NeedGradients {
			texts = gradientFree(norm)
		}
	}
	var out []method
	for _, text := range texts {
		e, params, err := evasion.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if e.Needs > level {
			return nil, fmt.Errorf("%w: %s needs %v, and this network gives %v only", ErrUnattackable, e.Name, e.Needs, level)
		}
		out = append(out, method{text, e, params})
	}
	return out, nil
}

// gradientFree returns the attack for networks without gradients, if there is one.
func gradientFree(norm evasion.Norm) []string {
	if m, ok := evasion.Lookup("square"); ok && slices.Contains(m.Norms, norm) {
		return []string{m.Name}
	}
	return nil
}

// copies is the number of copies of an input that the attack gets.
func (m *method) copies() int {
	has := func(name string) bool {
		return slices.ContainsFunc(m.m.Params, func(p evasion.Param) bool { return p.Name == name })
	}
	if has("restarts") && !has("targets") {
		return starts
	}
	return 1
}

// name is the attack without its parameters.
func (m *method) name() string {
	name, _, _ := strings.Cut(m.text, ":")
	return name
}

// run looks for a counterexample within eps and returns the closest it found, nil when it found none, and the attack's name. The
// result is a function of the arguments and the seed unless ctx ends it.
func (a *attacker) run(ctx context.Context, x []float64, label int, eps float64, seed uint64, workers int) (*Witness, string,
	error) {
	for k := range a.methods {
		m := &a.methods[k]
		if w, err := a.attack(ctx, m, x, label, eps, seed, workers); w != nil || err != nil {
			return w, m.name(), err
		}
	}
	return nil, "", nil
}

// attack runs one attack; with an infinite eps one that makes the perturbation small.
func (a *attacker) attack(ctx context.Context, m *method, x []float64, label int, eps float64, seed uint64,
	workers int) (*Witness, error) {
	ball := eps
	if math.IsInf(eps, 1) {
		ball = 0 // of which nothing but the rows is used
	}
	p := a.d.Problem(x, ball, label, a.m.Classes())
	radius, lower, upper := a.region(p, eps)
	tasks := make([]evasion.Task, m.copies())
	for i := range tasks {
		tasks[i] = evasion.Task{X: x, Lower: lower, Upper: upper, Goal: evasion.Untargeted(label, a.m.Classes())}
	}
	if a.norm != evasion.Linf || math.IsInf(eps, 1) { // the rows matter, the distance is measured
		p.Boxes = []spec.Box{everything(len(x))}
	}
	found, thin := make([]*Witness, len(tasks)), make([]*Witness, len(tasks))
	results, err := m.m.Run(ctx, a.m.scores, tasks, evasion.Options{Norm: a.norm, Eps: radius, Params: m.params, Seed: seed,
		Workers: workers,
		Shape:   a.shape, Judge: func(i int, y []float64) bool {
			found[i] = a.judge(p, x, y, label)
			if found[i] != nil && a.norm != evasion.Linf && found[i].Distance > eps {
				found[i] = nil // the radius was rounded with the unit
			}
			if w := found[i]; w != nil && w.Rigorous && !w.AnyOrder && !math.IsInf(eps, 1) { // the attack may widen it
				thin[i], found[i] = w, nil
			}
			return found[i] != nil
		}})
	var best *Witness
	for i := range results {
		if s := results[i].Status; (s == evasion.Found || s == evasion.Already) && (best == nil || found[i].Distance < best.Distance) {
			best = found[i]
		}
	}
	for _, w := range thin { // better than none
		if w != nil && (best == nil || !best.AnyOrder && w.Distance < best.Distance) {
			best = w
		}
	}
	if best != nil {
		return best, nil
	}
	return nil, err
}

// region returns the radius in the network's units and the float32 box of the valid inputs near x.
func (a *attacker) region(p *spec.Problem, eps float64) (radius float64, lower, upper []float64) {
	n := a.m.Inputs()
	lower, upper = make([]float64, n), make([]float64, n)
	if a.norm == evasion.Linf && !math.IsInf(eps, 1) { // the box says it all
		for i := range n {
			lower[i], upper[i] = float64(p.Boxes[0].InLower[i]), float64(p.Boxes[0].InUpper[i])
			radius = max(radius, timesUp(eps, at(a.d.Unit, i, 1)))
		}
		return radius, lower, upper
	}
	for i := range n {
		lower[i], upper[i] = at(a.d.Lower, i, -math.MaxFloat32), at(a.d.Upper, i, math.MaxFloat32)
	}
	unit, _ := constant(a.d.Unit, 1)
	if a.norm == evasion.L0 || math.IsInf(eps, 1) {
		unit = 1
	}
	return eps * unit, lower, upper
}

// judge returns the witness that y is, nil when it is none: the violation must be shown by a rigorous evaluation, for every
// binary32 execution where the question is about these.
func (a *attacker) judge(p *spec.Problem, x, y []float64, label int) *Witness {
	if a.m.replay == nil {
		return a.replayed(x, y, label)
	}
	w, ok := p.Confirm(a.m.replay, y)
	if !ok || a.m.Semantics != verify.Real && !w.AnyOrder {
		return nil
	}
	return a.witness(p, w, x, label)
}

// witness makes a Witness of one that was confirmed for p.
func (a *attacker) witness(p *spec.Problem, w *spec.Witness, x []float64, label int) *Witness {
	class, _ := rival(w.Y, label)
	return &Witness{X: w.X, Y: w.Y, Class: class, Distance: a.d.distance(a.norm, w.X, x), Margin: w.Margin, Rigorous: true,
		AnyOrder: w.AnyOrder && (!a.m.Cut || a.clear(p, w.X))}
}

// softmaxGap is how far apart scores are whose order a Softmax in binary32 keeps or turns into a tie: far more than runtimes err
// by in the exponential, which they need not compute in the same way for all elements.
const softmaxGap = 0x1p-8

// clear reports whether x violates p by the gap in every binary32 execution.
func (a *attacker) clear(p *spec.Problem, x []float64) bool {
	q := *p
	q.Cases = slices.Clone(p.Cases)
	for i := range q.Cases {
		c := &q.Cases[i]
		c.Rows = slices.Clone(c.Rows)
		for k := range c.Rows {
			c.Rows[k].RHSLower -= softmaxGap
			c.Rows[k].RHSUpper -= softmaxGap
		}
	}
	w, ok := q.Confirm(a.m.replay, x)
	return ok && w.AnyOrder
}

// replayed is judge for a network that cannot be enclosed: plain evaluations in float64 and float32 must both show the violation.
func (a *attacker) replayed(x, y []float64, label int) *Witness {
	out, err := a.m.Graph.EvalFlat(y)
	if err != nil {
		return nil
	}
	single, err := a.m.Graph.EvalFloat32(y)
	if err != nil {
		return nil
	}
	class, margin := rival(out, label)
	if _, other := rival(single, label); !(margin <= 0 && other <= 0) {
		return nil
	}
	return &Witness{X: append([]float64(nil), y...), Y: out, Class: class, Distance: a.d.distance(a.norm, y, x), Margin: math.NaN()}
}

// everything is the box of all finite float32 numbers.
func everything(n int) spec.Box {
	b := spec.Box{Lower: make([]float64, n), Upper: make([]float64, n), InLower: make([]float32, n), InUpper: make([]float32, n)}
	for i := range n {
		b.InLower[i], b.InUpper[i] = -math.MaxFloat32, math.MaxFloat32
		b.Lower[i], b.Upper[i] = -math.MaxFloat32, math.MaxFloat32
	}
	return b
}
