package defense

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/internal/seed"
)

// A Finding is a sign that attacks on a model say less than they seem to.
type Finding struct {
	Name string // one of the names of Diagnose
	What string // what is the matter
	Seen string // how it was seen, with numbers
	Try  string // what to do about it
}

func (f Finding) String() string { return f.What + " (" + f.Seen + "): " + f.Try }

// DiagnoseOptions say for which attacks a model is examined.
type DiagnoseOptions struct {
	Norm    evasion.Norm
	Eps     float64
	Seed    uint64
	Workers int   // 0: the processors; findings do not depend on it
	Shape   []int // as in evasion.Options
	Queries int   // of the random search, per task; 0: 200
}

// Diagnose looks for the signs of hidden gradients that Athalye, Carlini and Wagner list ("Obfuscated gradients give a false
// sense of security", 2018, section 3.1), and for models that attacks misread. A few dozen tasks are enough. The findings are
// named, in this order:
//
//	unrepeatable   the same draw does not give the same outputs
//	randomised     outputs depend on the draw
//	probabilities  outputs are probabilities, not logits
//	zero-gradient  the gradient of the margin is zero
//	saturated      the gradient of cross-entropy is zero where that of the margin is not
//	single-step    one step finds more than many
//	random-search  random points find more than gradients
//	unbounded      without a bound on the perturbation, gradients still do not find everything
//
// None is a proof of anything, and a model without findings can hide its gradients too.
func Diagnose(ctx context.Context, m access.Gradients, tasks []evasion.Task, o DiagnoseOptions) ([]Finding, error) {
	if len(tasks) == 0 {
		return nil, errors.New("defense: nothing to diagnose: no tasks")
	}
	if math.IsInf(o.Eps, 1) || !(o.Eps >= 0) {
		return nil, fmt.Errorf("defense: to diagnose for a radius of %v", o.Eps)
	}
	if o.Queries == 0 {
		o.Queries = 200
	}
	d := &diagnosis{ctx: ctx, m: m, tasks: tasks, o: o}
	d.in, d.out = m.Dims()
	for i := range tasks {
		if len(tasks[i].X) != d.in {
			return nil, fmt.Errorf("defense: task %d has %d inputs, the model %d", i, len(tasks[i].X), d.in)
		}
	}
	for _, check := range []func() error{d.outputs, d.gradients, d.attacks} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return d.found, nil
}

type diagnosis struct {
	ctx     context.Context
	m       access.Gradients
	tasks   []evasion.Task
	o       DiagnoseOptions
	in, out int
	found   []Finding
}

func (d *diagnosis) add(name, what, try, seen string, args ...any) {
	d.found = append(d.found, Finding{name, what, fmt.Sprintf(seen, args...), try})
}

// batch is the inputs of all tasks with the k-th draws.
func (d *diagnosis) batch(k int) access.Batch {
	b := access.Batch{N: len(d.tasks), X: make([]float64, 0, len(d.tasks)*d.in)}
	root := seed.Derive(d.o.Seed, "diagnose", "draws")
	for i := range d.tasks {
		b.X = append(b.X, d.tasks[i].X...)
		b.Draws = append(b.Draws, root+uint64(i*5+k)*0x9e3779b97f4a7c15)
	}
	return b
}

// many is how many tasks have to differ for attacks to be said to differ.
func (d *diagnosis) many() int { return max(2, len(d.tasks)/20) }

// outputs looks at what the model says to the inputs.
func (d *diagnosis) outputs() error {
	var y [6][]float64
	for k, draw := range []int{0, 0, 1, 2, 3, 4} {
		y[k] = make([]float64, len(d.tasks)*d.out)
		if err := d.m.Scores(d.ctx, d.batch(draw), y[k]); err != nil {
			return err
		}
	}
	random, spread := false, 0.0
	for k := 2; k < len(y); k++ {
		for i, v := range y[k] {
			spread = max(spread, math.Abs(v-y[0][i]))
			random = random || v != y[0][i]
		}
	}
	if !slices.Equal(y[0], y[1]) {
		d.add("unrepeatable", "The model does not repeat itself",
			"make its randomness depend on the draws alone, or results cannot be repeated",
			"%d inputs evaluated twice with the same draw differ", len(d.tasks))
	} else if random {
		d.add("randomised", "The model is randomised",
			"average over draws (EOT), and count a point only for how often it succeeds on fresh draws",
			"5 evaluations of an input differ by up to %.3g", spread)
	}
	if d.classes() && d.out >= 2 && d.probabilities(y[0]) {
		d.add("probabilities", "The outputs look like probabilities",
			"attack the logits below the softmax: the margin of probabilities loses its gradient where the model is sure",
			"all outputs of %d inputs lie in [0, 1] and sum to 1", len(d.tasks))
	}
	return nil
}

func (d *diagnosis) classes() bool { return d.tasks[0].Goal != nil && d.tasks[0].Goal.Classes() }

func (d *diagnosis) probabilities(y []float64) bool {
	for row := range slices.Chunk(y, d.out) {
		sum := 0.0
		for _, v := range row {
			if !(v >= 0 && v <= 1) {
				return false
			}
			sum += v
		}
		if math.Abs(sum-1) > 1e-4 {
			return false
		}
	}
	return true
}

// gradients looks at the slopes of two losses at the inputs.
func (d *diagnosis) gradients() error {
	margin, err := d.flat(evasion.Margin)
	if err != nil {
		return err
	}
	zero := count(margin)
	if zero > 0 {
		what, try := "Some inputs have no gradient", "look at these inputs: dead units, or a defence that rounds only some values"
		if zero == len(d.tasks) {
			what = "The gradient is zero at every input: it is likely masked"
			try = "put a smooth stand-in on the way back (BPDA; the identity is a good first one), or search without gradients"
		}
		d.add("zero-gradient", what, try, "the gradient of the margin is exactly 0 at %d of %d inputs", zero, len(d.tasks))
	}
	if !d.classes() {
		return nil
	}
	entropy, err := d.flat(evasion.CrossEntropy)
	if err != nil {
		return err
	}
	n := 0
	for i := range entropy {
		if entropy[i] && !margin[i] {
			n++
		}
	}
	if n > 0 {
		d.add("saturated", "The softmax is saturated, as distillation leaves it",
			"use a loss on the logits (loss=margin, loss=dlr or loss=logodds)",
			"the gradient of cross-entropy in binary32 is exactly 0 at %d of %d inputs, that of the margin is not",
			n, len(d.tasks))
	}
	return nil
}

// flat reports at which inputs a loss has no gradient.
func (d *diagnosis) flat(l evasion.Loss) ([]bool, error) {
	b := d.batch(0)
	y, dx := make([]float64, b.N*d.out), make([]float64, b.N*d.in)
	rows := make([]float64, d.in)
	pull := func(i int, y, dy []float64) { l.Value(d.tasks[i].Goal, d.tasks[i].X, y, dy, rows) }
	if err := d.m.Gradients(d.ctx, b, y, pull, dx); err != nil {
		return nil, err
	}
	flat := make([]bool, b.N)
	for i := range flat {
		flat[i] = !slices.ContainsFunc(dx[i*d.in:(i+1)*d.in], func(v float64) bool { return v != 0 })
	}
	return flat, nil
}

// attacks compares attacks with each other.
func (d *diagnosis) attacks() error {
	one, err := d.run("fgsm:loss=margin", d.o.Eps)
	if err != nil {
		return err
	}
	steps, err := d.run("pgd:steps=40,loss=margin", d.o.Eps)
	if err != nil {
		return err
	}
	random, err := d.random(one.already)
	if err != nil {
		return err
	}
	open := len(d.tasks) - count(one.already)
	if a, b := count(one.found), count(steps.found); a >= b+d.many() {
		d.add("single-step", "One gradient step finds more than forty",
			"a search whose steps go astray is no evidence: more restarts, other step sizes, averaged draws (EOT), a stand-in (BPDA)",
			"FGSM succeeds on %d of %d inputs, PGD on %d", a, open, b)
	}
	if a, b := count(random), count(steps.found); a >= b+d.many() {
		d.add("random-search", "Random points find more than gradients",
			"the gradients mislead: try BPDA, other losses, and attacks on scores (square)",
			"%d random points succeed on %d of %d inputs, PGD on %d", d.o.Queries, a, open, b)
	}
	room := d.room()
	if math.IsInf(room, 1) || d.o.Norm != evasion.Linf {
		return nil
	}
	all, err := d.run("pgd:steps=40,loss=margin", room)
	if err != nil {
		return err
	}
	if n := open - count(all.found); n >= d.many() {
		d.add("unbounded", "Without a bound on the perturbation the attack still fails",
			"some valid input of another class always exists, so the search is at fault: look at the gradients, the loss, and BPDA",
			"within the whole range of inputs PGD fails on %d of %d", n, open)
	}
	return nil
}

// ends says which tasks ended how.
type ends struct{ found, already []bool }

func (d *diagnosis) run(name string, eps float64) (ends, error) {
	m, params, err := evasion.Parse(name)
	if err != nil {
		return ends{}, err
	}
	r, err := m.Run(d.ctx, d.m, d.tasks, evasion.Options{Norm: d.o.Norm, Eps: eps, Params: params, Seed: d.o.Seed,
		Workers: d.o.Workers, Shape: d.o.Shape})
	if err != nil {
		return ends{}, err
	}
	e := ends{make([]bool, len(r)), make([]bool, len(r))}
	for i := range r {
		e.found[i], e.already[i] = r[i].Status == evasion.Found, r[i].Status == evasion.Already
	}
	return e, nil
}

// random tries random points at the radius around every task that is not reached already.
func (d *diagnosis) random(already []bool) ([]bool, error) {
	found := make([]bool, len(d.tasks))
	root := seed.Derive(d.o.Seed, "diagnose", "random")
	n := d.o.Queries
	x, y, draws := make([]float64, n*d.in), make([]float64, n*d.out), make([]uint64, n)
	for i := range d.tasks {
		t := &d.tasks[i]
		if already[i] {
			continue
		}
		rng := random(root + uint64(i))
		for k := range n {
			d.corner(x[k*d.in:(k+1)*d.in], t, rng.Uint64)
			draws[k] = rng.Uint64()
		}
		if err := d.m.Scores(d.ctx, access.Batch{N: n, X: x, Draws: draws}, y); err != nil {
			return nil, err
		}
		for k := range n {
			margin, _, _ := t.Goal.Margin(x[k*d.in:(k+1)*d.in], y[k*d.out:(k+1)*d.out])
			found[i] = found[i] || margin >= 0
		}
	}
	return found, nil
}

// corner draws a point x0 + s·ε of random signs s, ε shared by all inputs so that the norm is the radius, cut with the valid
// inputs.
func (d *diagnosis) corner(x []float64, t *evasion.Task, bits func() uint64) {
	each := d.o.Eps
	switch d.o.Norm {
	case evasion.L2:
		each /= math.Sqrt(float64(d.in))
	case evasion.L1:
		each /= float64(d.in)
	case evasion.L0:
		copy(x, t.X)
		for range min(int(d.o.Eps), d.in) {
			i := int(bits() % uint64(d.in))
			lo, hi := t.X[i]-1, t.X[i]+1
			if t.Lower != nil {
				lo, hi = t.Lower[i], t.Upper[i]
			}
			if x[i] = lo; bits()&1 == 0 {
				x[i] = hi
			}
		}
		return
	}
	for i, v := range t.X {
		if x[i] = v - each; bits()&1 == 0 {
			x[i] = v + each
		}
		if t.Lower != nil {
			x[i] = min(max(x[i], t.Lower[i]), t.Upper[i])
		}
	}
}

// room returns how far any valid input lies from any input in the largest norm; +Inf when a task has no bounds.
func (d *diagnosis) room() float64 {
	r := 0.0
	for i := range d.tasks {
		t := &d.tasks[i]
		if t.Lower == nil {
			return math.Inf(1)
		}
		for k, x := range t.X {
			r = max(r, x-t.Lower[k], t.Upper[k]-x)
		}
	}
	return r
}

func count(b []bool) int {
	n := 0
	for _, v := range b {
		if v {
			n++
		}
	}
	return n
}
