package evasion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// with runs f as an attack.
func with(t testing.TB, model any, task Task, opt Options, f func(p *Probe)) Result {
	t.Helper()
	m := &Method{Name: "test", Needs: access.NeedLabels, Norms: allNorms, Minimal: true, run: f}
	r, err := m.Run(context.Background(), model, []Task{task}, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// halfSpace is newBinary with wide boxes: the distances do not touch them.
func halfSpace(t testing.TB, seed uint64, d int) *binary {
	return newBinary(t, rand.New(rand.NewPCG(seed, 77)), d)
}

// TestBlackLinear: attacks within a radius reach the goal of a linear classifier a little above the analytic distance and never
// below.
func TestBlackLinear(t *testing.T) {
	for _, c := range []struct {
		attack string
		norm   Norm
		slack  float64 // relative, above the analytic distance
	}{
		{"square:steps=3000", Linf, 1e-5}, {"square:steps=5000", L2, 0.3}, {"square:steps=5000", L1, 0.2},
		{"nes", Linf, 0.03}, {"nes", L2, 0.02}, {"nes", L1, 0.1},
		{"spsa", Linf, 0.05}, {"spsa", L2, 0.05}, {"spsa", L1, 0.3},
		{"bandits", Linf, 0.08}, {"bandits", L2, 0.01},
	} {
		for k := range 12 {
			b := halfSpace(t, uint64(k), 8+k)
			d := b.distance(c.norm)
			opt := Options{Norm: c.norm, Eps: d * (1 + c.slack), Seed: uint64(k)}
			if r := attack(t, c.attack, b.model, b.task(), opt); r.Status != Found {
				t.Errorf("%s %v, %d inputs: %v at %g over the distance, best margin %v of %v", c.attack, c.norm, len(b.x), r.Status, c.slack,
					r.Best, b.margin())
			} else if r.Distance > d*(1+c.slack) && c.norm != Linf {
				t.Errorf("%s %v: at distance %v, radius %v", c.attack, c.norm, r.Distance, d*(1+c.slack))
			}
			opt.Eps, opt.Queries = d*(1-1e-6), 1000
			if r := attack(t, c.attack, b.model, b.task(), opt); r.Status != Failed {
				t.Errorf("%s %v: %v below the distance", c.attack, c.norm, r.Status)
			}
		}
	}
}

// TestHalfSpaces: attacks that look for the closest point converge to the orthogonal projection onto a half-space, or its
// counterpart in Linf.
func TestHalfSpaces(t *testing.T) {
	for _, c := range []struct {
		attack  string
		norm    Norm
		dims    []int
		queries int
		ratio   float64
	}{
		{"boundary", L2, []int{20, 50}, 10000, 1.05}, {"boundary", L2, []int{20}, 5000, 1.05},
		{"hopskipjump", L2, []int{20, 50}, 10000, 1.01}, {"hopskipjump", Linf, []int{20}, 20000, 1.1},
		{"zoo:rate=1", L2, []int{20, 64}, 280, 1.001}, {"boundary:source=0.00001", L2, []int{20}, 10000, 1.05},
		{"zoo", L2, []int{20, 64}, 2500, 1.001}, {"zoo", L2, []int{65, 200}, 4000, 1.0005},
		{"zoo:solver=adam", L2, []int{20}, 4000, 1.005},
	} {
		for _, d := range c.dims {
			for seed := range uint64(4) {
				b := halfSpace(t, seed, d)
				r := attack(t, c.attack, b.model, b.task(), Options{Norm: c.norm, Eps: math.Inf(1), Queries: c.queries, Seed: seed})
				if want := b.distance(c.norm); !(r.Distance >= want*(1-1e-9) && r.Distance <= want*c.ratio) {
					t.Errorf("%s %v, %d inputs: %.5f of the distance after %d queries, want at most %v", c.attack, c.norm, d,
						r.Distance/want, r.Queries, c.ratio)
				}
			}
		}
	}
}

// blackBox are the attacks that need no gradients.
var blackBox = []struct {
	attack string
	norm   Norm
	eps    float64
	labels bool
}{
	{"square:steps=60,restarts=2", Linf, 0.2, false}, {"square:steps=60", L2, 0.3, false}, {"square:steps=60", L1, 0.3, false},
	{"nes:steps=10", Linf, 0.2, false}, {"nes:steps=10", L2, 0.3, false}, {"spsa:steps=10", Linf, 0.2, false},
	{"bandits:steps=60", Linf, 0.2, false}, {"bandits:steps=60", L2, 0.3, false},
	{"zoo:steps=20", L2, math.Inf(1), false}, {"zoo:steps=20", L2, 0.3, false},
	{"boundary:steps=600", L2, math.Inf(1), true}, {"boundary:steps=600", L2, 0.3, true},
	{"hopskipjump:steps=5", L2, math.Inf(1), true}, {"hopskipjump:steps=5", Linf, math.Inf(1), true},
	{"hopskipjump:steps=5", Linf, 0.2, true},
	{"pointwise", L0, math.Inf(1), true}, {"pointwise", L2, math.Inf(1), true},
}

// hide gives an attack no more than it needs.
func hide(model access.Gradients, labels bool) any {
	if labels {
		return access.OnlyLabels(model)
	}
	return access.OnlyScores(model)
}

// TestBlackCounts compares the counts of results with what the model was asked, with a budget and without; a budget is never
// exceeded, and attacks that measure in batches use it to the last pair.
func TestBlackCounts(t *testing.T) {
	n := newTiny(t, 1)
	for _, a := range blackBox {
		for _, limit := range []int{0, 1, 2, 9, 40, 101} {
			m, params, err := Parse(a.attack)
			if err != nil {
				t.Fatal(err)
			}
			model, count := access.Count(hide(n.model, a.labels))
			r, err := m.Run(context.Background(), model, []Task{n.task()},
				Options{Norm: a.norm, Eps: a.eps / 100, Params: params, Queries: limit})
			if err != nil {
				t.Fatal(err)
			}
			got, other := count.Scores(), count.Labels()
			if a.labels {
				got, other = other, got
			} else if m.Name == "zoo" { // begins by labels when stuck
				got, other = count.Queries(), 0
			}
			if r[0].Queries != got || other != 0 || r[0].Gradients != 0 || count.Gradients() != 0 {
				t.Errorf("%s: result says %d queries, the model was asked %d and %d, %d gradients", a.attack, r[0].Queries, got, other,
					count.Gradients())
			}
			if limit > 0 && got > limit {
				t.Errorf("%s: %d queries with a limit of %d", a.attack, got, limit)
			}
		}
	}
}

// TestBlackSameBytes: results depend neither on the number of workers nor on the tasks behind in the list, and are what was
// measured.
func TestBlackSameBytes(t *testing.T) {
	n := newTiny(t, 1)
	tasks := n.several()
	for _, a := range blackBox {
		m, params, err := Parse(a.attack)
		if err != nil {
			t.Fatal(err)
		}
		run := func(count, workers int) []Result {
			r, err := m.Run(context.Background(), hide(n.model, a.labels), tasks[:count],
				Options{Norm: a.norm, Eps: a.eps, Params: params, Seed: 3, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		want, found := run(40, 1), 0
		for _, got := range [][]Result{run(40, 3), run(40, 1), run(17, 2)} {
			for i := range got {
				if w := want[i]; !slices.Equal(got[i].X, w.X) || got[i].Status != w.Status || got[i].Distance != w.Distance ||
					got[i].Queries != w.Queries {
					t.Errorf("%s %v: task %d depends on workers or companions", a.attack, a.norm, i)
				}
			}
		}
		for i, r := range want {
			if r.Status == Found {
				found++
				if d := a.norm.Distance(r.X, tasks[i].X); d != r.Distance || a.norm != Linf && d > a.eps {
					t.Errorf("%s %v: task %d is at %v, reported %v, radius %v", a.attack, a.norm, i, d, r.Distance, a.eps)
				}
			}
		}
		if found < 3 {
			t.Errorf("%s %v: found only %d", a.attack, a.norm, found)
		}
	}
}

// TestBlackGoals: targeted goals, goals that are not about classes, inputs without a box, with scores seen or labels alone.
func TestBlackGoals(t *testing.T) {
	model := affine(t, [][]float64{{1, 0.5, 0}, {0, 1, -0.5}, {-1, 0, 1}}, []float64{0.25, 0, -0.5})
	x := []float64{0.5, 0.5, 0.5}
	// Class 2 is 3/7 away in Linf, 0.655 in L2 and 3/4 in L1; the others are closer: y1 ≥ 1/2 and y0 ≤ 5/2, x0 ≤ 1/4 and y0 ≥ 1/2.
	problem := func(rows ...spec.Row) *Goal {
		return Unsafe(&spec.Problem{NumInputs: 3, NumOutputs: 3, Boxes: []spec.Box{{}}, Cases: []spec.Case{{Rows: rows}}}, 0)
	}
	outputs := problem(spec.Row{Y: []spec.Coef{{Index: 1, Value: -1}}, RHSLower: -0.5, RHSUpper: -0.5},
		spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: 2.5, RHSUpper: 2.5})
	inputs := problem(spec.Row{X: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: 0.25, RHSUpper: 0.25},
		spec.Row{Y: []spec.Coef{{Index: 0, Value: -1}}, RHSLower: -0.5, RHSUpper: -0.5})
	for _, a := range blackBox {
		for name, goal := range map[string]*Goal{"targeted": Targeted(2, 3), "outputs": outputs, "inputs": inputs} {
			for _, boxed := range []bool{true, false} {
				task := Task{X: x, Goal: goal}
				if boxed {
					task.Lower, task.Upper = []float64{0, 0, 0}, []float64{1, 1, 1}
				}
				var m any = hide(model, a.labels && name == "targeted")
				eps := a.eps
				if !math.IsInf(eps, 1) {
					eps = map[Norm]float64{Linf: 0.5, L2: 0.75, L1: 2}[a.norm]
				}
				r := attack(t, a.attack, m, task, Options{Norm: a.norm, Eps: eps, Seed: 1})
				if r.Status != Found {
					t.Errorf("%s %v, %s, box %v: %v, best %v", a.attack, a.norm, name, boxed, r.Status, r.Best)
				}
			}
		}
	}
}

// TestBlackDegenerate: boxes without room, a radius of zero and flat models end every attack without a result, and so do starts
// that do not reach the goal.
func TestBlackDegenerate(t *testing.T) {
	x := []float64{0.25, 0.5, 1}
	flat := affine(t, [][]float64{{0, 0, 0}, {0, 0, 0}}, []float64{1, 0})
	steep := affine(t, [][]float64{{1, -1, 2}, {0, 0, 0}}, []float64{1, 0})
	free := Task{X: x, Lower: []float64{0, 0, 0}, Upper: []float64{1, 1, 1}, Goal: Untargeted(0, 2)}
	fixed, open, lost := free, free, free
	fixed.Lower, fixed.Upper = x, x
	open.Lower, open.Upper = nil, nil
	lost.Start = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}
	for _, a := range blackBox {
		eps := a.eps
		for what, c := range map[string]struct {
			model access.Gradients
			task  Task
			eps   float64
		}{
			"flat": {flat, free, eps}, "flat without box": {flat, open, eps}, "fixed": {steep, fixed, eps}, "bad start": {flat, lost, eps},
			"radius 0": {steep, free, 0}, "radius 0, no box": {steep, open, 0},
		} {
			if r := attack(t, a.attack, hide(c.model, a.labels), c.task, Options{Norm: a.norm, Eps: c.eps}); r.Status != Failed {
				t.Errorf("%s %v, %s: %v at %v", a.attack, a.norm, what, r.Status, r.X)
			}
		}
		task := free
		task.Goal = Untargeted(1, 2)
		opt := Options{Norm: a.norm, Eps: eps}
		if r := attack(t, a.attack, hide(flat, a.labels), task, opt); r.Status != Already || r.Queries != 1 || r.Distance != 0 {
			t.Errorf("%s %v: %v after %d queries for an input that reaches the goal", a.attack, a.norm, r.Status, r.Queries)
		}
	}
	lost.Start = x[:2]
	m, _ := Lookup("boundary")
	if _, err := m.Run(context.Background(), flat, []Task{lost}, Options{Norm: L2, Eps: math.Inf(1)}); err == nil {
		t.Error("no error for a start of another size")
	}
}

// kinked is the model of two classes whose margin of class 1 is c + Σ s·relu(w·x + b) over its units.
func kinked(t testing.TB, d int, c float64, units ...unit) access.Gradients {
	t.Helper()
	var w, b, s []float64
	for _, u := range units {
		w, b, s = append(w, u.w...), append(b, u.b), append(s, u.s)
	}
	bd := prog.NewBuilder(d)
	at := bd.Relu("relu", bd.Affine("units", len(units), b, 0, prog.Term{Src: 0, Map: prog.Dense(len(units), d, w)}))
	out := bd.Affine("out", 2, []float64{0, c}, 0,
		prog.Term{Src: at, Map: prog.Dense(2, len(units), append(make([]float64, len(units)), s...))})
	p, err := bd.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	return access.Program(p)
}

type unit struct {
	w    []float64
	b, s float64
}

// TestInterior: a goal inside the ball is reached, which needs steps that become smaller.
func TestInterior(t *testing.T) {
	const d = 6
	at := []float64{0.55, 0.62, 0.47, 0.5, 0.7, 0.38}
	var units []unit
	for i, v := range at { // |x_i − at_i|
		w, m := make([]float64, d), make([]float64, d)
		w[i], m[i] = 1, -1
		units = append(units, unit{w, -v, -1}, unit{m, v, -1})
	}
	task := Task{X: slices.Repeat([]float64{0.5}, d), Goal: Untargeted(0, 2)}
	for _, c := range []struct {
		attack string
		norm   Norm
		size   float64 // of the goal
	}{{"nes", Linf, 0.06}, {"nes", L2, 0.04}, {"spsa", Linf, 0.02}, {"spsa", L2, 0.01},
		{"bandits:probe=0.01,rate=0.3", Linf, 0.06}} {
		for seed := range uint64(3) {
			model := kinked(t, d, c.size, units...)
			if r := attack(t, c.attack, model, task, Options{Norm: c.norm, Eps: 1, Seed: seed}); r.Status != Found {
				t.Errorf("%s %v: %v, best %v", c.attack, c.norm, r.Status, r.Best-c.size)
			}
		}
	}
}

// TestBudgetUsed: attacks whose questions come in batches spend the budget but for less than a smallest batch; Square's windows
// and restarts fit it.
func TestBudgetUsed(t *testing.T) {
	const d = 16
	b := halfSpace(t, 1, d)
	far := affine(t, [][]float64{b.w, make([]float64, d)}, []float64{100, 0})
	for _, limit := range []int{299, 300, 301, 302} {
		for _, name := range []string{"nes", "spsa", "zoo", "hopskipjump"} {
			model, opt := far, Options{Norm: L2, Eps: 0.5, Queries: limit}
			if name == "hopskipjump" {
				model, opt.Eps = b.model, math.Inf(1)
			} else if name == "zoo" {
				opt.Eps = math.Inf(1)
			}
			if r := attack(t, name, model, b.task(), opt); r.Queries > limit || r.Queries < limit-2 {
				t.Errorf("%s: %d queries of %d", name, r.Queries, limit)
			}
		}
	}
	if r := attack(t, "square:steps=50,restarts=3", far, b.task(), Options{Norm: Linf, Eps: 0.25}); r.Queries != 151 {
		t.Errorf("square: %d queries in 3 times 50 steps", r.Queries)
	}
	for k := range uint64(4) {
		b := halfSpace(t, k, 64)
		opt := Options{Norm: Linf, Eps: b.distance(Linf) * (1 + 1e-5), Queries: 1500, Seed: k}
		if r := attack(t, "square", b.model, b.task(), opt); r.Status != Found {
			t.Errorf("square: %v with 1500 queries, best margin %v", r.Status, r.Best)
		}
	}
	for dims, want := range map[int]int{20: 1 + 41 + 1, 64: 1 + 129 + 1, 65: 1 + 9 + 1} { // the input, the slopes, the end
		b := halfSpace(t, 1, dims)
		model := affine(t, [][]float64{b.w, make([]float64, dims)}, []float64{100, 0})
		if r := attack(t, "zoo:steps=1,batch=4", model, b.task(), Options{Norm: L2, Eps: math.Inf(1)}); r.Queries != want {
			t.Errorf("zoo: %d queries for a step with %d inputs, want %d", r.Queries, dims, want)
		}
	}
}

// TestBlackEllipsoid: on a curved boundary the attacks in L2 end near the closest point, which is not along the first gradient.
func TestBlackEllipsoid(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 14))
	for seed := range uint64(6) {
		a, task, d := insideEllipsoid(rng)
		for _, c := range []struct {
			attack  string
			queries int
			slack   float64
		}{{"zoo", 2000, 1e-3}, {"zoo:solver=adam", 4000, 1e-2}, {"boundary", 5000, 1e-2}, {"hopskipjump", 10000, 1e-2}} {
			opt := Options{Norm: L2, Eps: math.Inf(1), Queries: c.queries, Seed: seed}
			near(t, c.attack, attack(t, c.attack, ellipsoid(a), task, opt), d, c.slack)
		}
	}
}
