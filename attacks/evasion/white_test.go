package evasion

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/spec"
)

// closest lists the white-box attacks that look for the closest point, and how much farther than the closest each may end on
// linear classifiers.
var closest = []struct {
	attack string
	norm   Norm
	slack  float64
}{
	{"fab", Linf, 1e-5}, {"fab", L2, 1e-5}, {"fab", L1, 2e-4}, {"fab:targets=3", Linf, 1e-5}, {"fab:targets=3,restarts=2", L2, 1e-5},
	{"cw", L2, 5e-5}, {"cw-linf", Linf, 0.01}, {"ddn", L2, 1e-5}, {"ddn:loss=margin", L2, 1e-5}, {"lbfgs", L2, 1e-5},
	{"lbfgs:loss=ce", L2, 1e-5},
	{"deepfool", Linf, 0.02 + 1e-5}, {"deepfool", L2, 0.02 + 1e-5}, {"deepfool", L1, 0.02 + 1e-5},
	{"deepfool:overshoot=0.001", L2, 0.001 + 1e-5},
}

// near checks that an attack ends at most slack above the analytic distance d, and not below but for rounding of the model.
func near(t *testing.T, what string, r Result, d, slack float64) {
	t.Helper()
	if r.Status != Found || !(r.Distance >= d*(1-1e-6)) || !(r.Distance <= d*(1+slack)) {
		t.Errorf("%s: %v at %.8f times the analytic distance, slack %v", what, r.Status, r.Distance/d, slack)
	}
}

// TestLinearClosest: on a linear classifier of two classes the attacks end at the analytic distance, whether the goal is to leave
// a class, to reach one or a polyhedron with a row that reads an input, within a box or without; with a radius they stop inside
// it.
func TestLinearClosest(t *testing.T) {
	for _, c := range closest {
		rng := rand.New(rand.NewPCG(5, uint64(c.norm)))
		for k := range 12 {
			b := newBinary(t, rng, 8+2*k)
			task, d := b.task(), b.distance(c.norm)
			run := func(task Task, eps float64) Result {
				return attack(t, c.attack, b.model, task, Options{Norm: c.norm, Eps: eps, Seed: uint64(k)})
			}
			what := c.attack + " " + c.norm.String()
			r := run(task, math.Inf(1))
			near(t, what, r, d, c.slack)
			if strings.HasPrefix(c.attack, "deepfool") && c.norm != L1 && r.Distance < d*(1+c.slack-2e-5) { // the overshoot
				t.Errorf("%s ends at %v times the distance", what, r.Distance/d)
			}
			task.Goal = Targeted(1, 2)
			near(t, what+" targeted", run(task, math.Inf(1)), d, c.slack)
			if r := run(task, d*(1.0001+c.slack)); r.Status != Found || r.Distance > d*(1.0001+c.slack) {
				t.Errorf("%s: %v at %v within a radius just above the distance %v", what, r.Status, r.Distance, d)
			}
			if r := run(task, d*(1-1e-5)); r.Status != Failed {
				t.Errorf("%s: %v within a radius below the distance", what, r.Status)
			}
			if c.norm != L1 {
				task.Lower, task.Upper = nil, nil
				near(t, what+" without box", run(task, math.Inf(1)), d, c.slack)
			}
			model, task := b.polyhedron(t)
			near(t, what+" polyhedron", attack(t, c.attack, model, task, Options{Norm: c.norm, Eps: math.Inf(1)}), d, c.slack)
		}
	}
}

// polyhedron is the same question for the model f(x) + x_0: to reach f(x) + x_0 − x_0 ≤ 0, by a row that reads an input, and one
// more that holds everywhere.
func (b *binary) polyhedron(t *testing.T) (access.Gradients, Task) {
	task, w := b.task(), slices.Clone(b.w)
	w[0]++
	rows := []spec.Row{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: 1000},
		{X: []spec.Coef{{Index: 0, Value: -1}}, Y: []spec.Coef{{Index: 0, Value: 1}}}}
	task.Goal = Unsafe(spec.FromBox(task.Lower, task.Upper, [][]spec.Row{rows}, 2), 0)
	return affine(t, [][]float64{w, make([]float64, len(w))}, []float64{b.c, 0}), task
}

// TestLinearClasses: with several classes the distance is the least over the rivals. The rival with the largest margin is not
// always the closest: attacks on one loss need to be told to try them all.
func TestLinearClasses(t *testing.T) {
	for _, c := range []struct {
		attack string
		norm   Norm
		slack  float64
	}{{"fab", Linf, 1e-5}, {"fab", L2, 1e-5}, {"fab:targets=4", Linf, 1e-5}, {"fab:targets=4", L2, 1e-5},
		{"deepfool", Linf, 0.02 + 1e-5},
		{"deepfool", L2, 0.02 + 1e-5}, {"cw:targets=4", L2, 1e-4}, {"cw-linf:targets=4", Linf, 0.01}, {"ddn:targets=4", L2, 1e-5},
		{"lbfgs:targets=4", L2, 1e-5}} {
		rng := rand.New(rand.NewPCG(6, uint64(c.norm)))
		for range 8 {
			const classes, d = 5, 12
			w, b, x := make([][]float64, classes), make([]float64, classes), make([]float64, d)
			for i := range x {
				x[i] = math.Round((0.4+0.2*rng.Float64())*256) / 256
			}
			best := math.Inf(1)
			for j := range w {
				w[j] = make([]float64, d)
				for i := range x {
					w[j][i] = math.Round((2*rng.Float64()-1)*64) / 64
				}
				b[j] = -dot(w[j], x)
				if j > 0 { // class 0 leads by a quarter of a unit or more
					b[j] -= 0.25 + rng.Float64()/4
					diff := make([]float64, d)
					for i := range diff {
						diff[i] = w[0][i] - w[j][i]
					}
					best = min(best, -(dot(w[j], x)+b[j])/c.norm.dual(diff))
				}
			}
			hi := slices.Repeat([]float64{1}, d)
			r := attack(t, c.attack, affine(t, w, b), Task{X: x, Lower: make([]float64, d), Upper: hi, Goal: Untargeted(0, classes)},
				Options{Norm: c.norm, Eps: math.Inf(1)})
			near(t, c.attack+" "+c.norm.String(), r, best, c.slack)
		}
	}
}

// TestConfidence: with κ the attacks end at (m+κ)/‖w‖, and the goal's margin is κ.
func TestConfidence(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 8 {
		b := newBinary(t, rng, 16)
		for _, c := range []struct {
			attack string
			norm   Norm
			slack  float64
		}{{"cw:kappa=0.0625", L2, 1e-4}, {"cw-linf:kappa=0.0625", Linf, 0.01}} {
			r := attack(t, c.attack, b.model, b.task(), Options{Norm: c.norm, Eps: math.Inf(1)})
			near(t, c.attack, r, (b.margin()+0.0625)/c.norm.dual(b.w), c.slack)
			if r.Margin < 0.0625 {
				t.Errorf("%s: margin %v", c.attack, r.Margin)
			}
		}
	}
}

// TestCriticalWeight: the searches of Carlini and Wagner and of Szegedy enclose the weight 2m/‖w‖² at which the minimum reaches the
// boundary.
func TestCriticalWeight(t *testing.T) {
	for _, name := range []string{"cw", "lbfgs"} {
		rng := rand.New(rand.NewPCG(8, 8))
		for range 12 {
			b := newBinary(t, rng, 12)
			var lo, hi float64
			base, _ := Lookup(name)
			m := *base
			m.run = func(p *Probe) {
				if name == "cw" {
					lo, hi = newCW(p, p.Goal).search()
				} else {
					lo, hi = p.szegedy(p.Goal, Margin, 12, 50)
				}
			}
			if _, err := m.Run(context.Background(), b.model, []Task{b.task()}, Options{Norm: L2, Eps: math.Inf(1)}); err != nil {
				t.Fatal(err)
			}
			c := 2 * b.margin() / dot(b.w, b.w)
			if !(lo <= 1.01*c) || !(hi >= 0.99*c) || !(hi <= 1.3*lo) {
				t.Errorf("%s: c in [%v, %v], the critical weight is %v", name, lo, hi, c)
			}
		}
	}
}

// opposed is the same classifier with outputs ±f/2: for attacks that look at every score's slope.
func (b *binary) opposed(t *testing.T) access.Gradients {
	w, v := make([]float64, len(b.w)), make([]float64, len(b.w))
	for i, x := range b.w {
		w[i], v[i] = x/2, -x/2
	}
	return affine(t, [][]float64{w, v}, []float64{b.c / 2, -b.c / 2})
}

// order lists the inputs by the size of use, the largest first.
func order(use []float64) []int {
	o := make([]int, len(use))
	for i := range o {
		o[i] = i
	}
	slices.SortFunc(o, func(i, j int) int { return cmp.Compare(math.Abs(use[j]), math.Abs(use[i])) })
	return o
}

// reachOf is how much every input can lower the margin.
func (b *binary) reachOf() []float64 {
	r := make([]float64, len(b.w))
	for i, w := range b.w {
		r[i] = math.Abs(w) * room(b.x[i], 0, 1, -w)
	}
	return r
}

// prefix is how many inputs in the given order reach the goal together, each at its end.
func (b *binary) prefix(order []int) int {
	left, reach := b.margin(), b.reachOf()
	for k, i := range order {
		if left -= reach[i]; left <= 0 {
			return k + 1
		}
	}
	return -1
}

// TestFewest: on a linear classifier Carlini and Wagner's L0 attack changes as few inputs as suffice, the saliency map attack
// those with the largest slopes.
func TestFewest(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	several := 0
	for k := range 20 {
		b := newBinary(t, rng, 10+2*k)
		b.c += 0.03 * float64(len(b.w)) // further away: several inputs
		model := b.opposed(t)
		want := b.prefix(order(b.reachOf()))
		if want > 2 {
			several++
		}
		for _, goal := range []*Goal{Untargeted(0, 2), Targeted(1, 2)} {
			task := b.task()
			task.Goal = goal
			if r := attack(t, "cw-l0", model, task, Options{Norm: L0, Eps: math.Inf(1)}); r.Status != Found ||
				r.Distance != float64(want) {
				t.Errorf("cw-l0: %v with %v inputs, want %d", r.Status, r.Distance, want)
			}
			r := attack(t, "jsma:gamma=1", model, task, Options{Norm: L0, Eps: math.Inf(1)})
			o := order(b.w)
			n := b.prefix(o)
			if r.Status != Found || r.Distance != float64(n) {
				t.Errorf("jsma: %v with %v inputs, want %d", r.Status, r.Distance, n)
				continue
			}
			for j, i := range o {
				end := 0.0
				if b.w[i] < 0 {
					end = 1
				}
				if j >= n {
					end = b.x[i]
				}
				if r.X[i] != end {
					t.Errorf("jsma: input %d of slope rank %d is %v, want %v", i, j, r.X[i], end)
				}
			}
			if r := attack(t, "jsma:gamma=1", model, task, Options{Norm: L0, Eps: float64(n - 1)}); n > 1 && r.Status != Failed {
				t.Errorf("jsma: %v with fewer than %d inputs", r.Status, n)
			}
		}
	}
	if several < 10 {
		t.Errorf("only %d of the cases need more than two inputs", several)
	}
}

// tally counts what a model is asked.
type tally struct {
	model              access.Gradients
	queries, gradients int
}

func (c *tally) Dims() (inputs, outputs int) { return c.model.Dims() }

func (c *tally) Scores(ctx context.Context, b access.Batch, y []float64) error {
	c.queries += b.N
	return c.model.Scores(ctx, b, y)
}

func (c *tally) Gradients(ctx context.Context, b access.Batch, y []float64, pull func(i int, y, dy []float64),
	dx []float64) error {
	c.gradients += b.N
	return c.model.Gradients(ctx, b, y, pull, dx)
}

var whiteBox = []struct {
	attack string
	norm   Norm
}{{"fab:restarts=3,steps=20", Linf}, {"fab:targets=2,restarts=2,steps=20", L2}, {"fab:steps=20", L1}, {"cw:steps=50", L2},
	{"cw-linf:steps=30,restarts=2", Linf},
	{"cw-l0:steps=30", L0}, {"deepfool", Linf}, {"deepfool", L2}, {"deepfool", L1}, {"ddn", L2}, {"lbfgs", L2}, {"jsma:gamma=1", L0}}

// TestCounts compares the counts of results with what the model was asked, with a budget and without; a budget is never exceeded.
func TestCounts(t *testing.T) {
	n := newTiny(t, 1)
	for _, a := range whiteBox {
		for _, limit := range []int{0, 1, 2, 7, 40} {
			m, params, err := Parse(a.attack)
			if err != nil {
				t.Fatal(err)
			}
			model := &tally{model: n.model}
			r, err := m.Run(context.Background(), model, []Task{n.task()},
				Options{Norm: a.norm, Eps: math.Inf(1), Params: params, Queries: limit, Gradients: limit})
			if err != nil {
				t.Fatal(err)
			}
			if r[0].Queries != model.queries || r[0].Gradients != model.gradients {
				t.Errorf("%s: result says %d queries and %d gradients, the model was asked %d and %d", a.attack, r[0].Queries, r[0].Gradients,
					model.queries, model.gradients)
			}
			if limit > 0 && (model.queries > limit || model.gradients > limit) {
				t.Errorf("%s: %d queries and %d gradients with a limit of %d", a.attack, model.queries, model.gradients, limit)
			}
		}
	}
}

// TestSameBytes: results depend neither on the number of workers nor on the tasks behind in the list, and attacks that promise a
// distance return what they measured.
func TestSameBytes(t *testing.T) {
	n := newTiny(t, 1)
	tasks := n.several()
	for _, a := range whiteBox {
		m, params, err := Parse(a.attack)
		if err != nil {
			t.Fatal(err)
		}
		run := func(count, workers int) []Result {
			r, err := m.Run(context.Background(), n.model, tasks[:count],
				Options{Norm: a.norm, Eps: math.Inf(1), Params: params, Seed: 3, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		want, found := run(40, 1), 0
		for _, got := range [][]Result{run(40, 3), run(40, 1), run(17, 2)} {
			for i := range got {
				if w := want[i]; !slices.Equal(got[i].X, w.X) || got[i].Status != w.Status || got[i].Distance != w.Distance ||
					got[i].Queries != w.Queries || got[i].Gradients != w.Gradients {
					t.Errorf("%s %v: task %d depends on workers or companions", a.attack, a.norm, i)
				}
			}
		}
		for i, r := range want {
			if r.Status == Found {
				found++
				if a.norm.Distance(r.X, tasks[i].X) != r.Distance {
					t.Errorf("%s %v: task %d is at %v, reported %v", a.attack, a.norm, i, a.norm.Distance(r.X, tasks[i].X), r.Distance)
				}
			}
		}
		if found < 5 {
			t.Errorf("%s %v: found only %d", a.attack, a.norm, found)
		}
	}
}

// TestDegenerate: boxes without room, a radius of zero and flat models end every attack without a result.
func TestDegenerate(t *testing.T) {
	x := []float64{0.25, 0.5, 1}
	flat := affine(t, [][]float64{{0, 0, 0}, {0, 0, 0}}, []float64{1, 0})
	steep := affine(t, [][]float64{{1, -1, 2}, {0, 0, 0}}, []float64{1, 0})
	free := Task{X: x, Lower: []float64{0, 0, 0}, Upper: []float64{1, 1, 1}, Goal: Untargeted(0, 2)}
	fixed, open := free, free
	fixed.Lower, fixed.Upper = x, x
	open.Lower, open.Upper = nil, nil
	for _, a := range whiteBox {
		for what, r := range map[string]Result{
			"flat":              attack(t, a.attack, flat, free, Options{Norm: a.norm, Eps: math.Inf(1)}),
			"flat without box":  attack(t, a.attack, flat, open, Options{Norm: a.norm, Eps: math.Inf(1)}),
			"fixed":             attack(t, a.attack, steep, fixed, Options{Norm: a.norm, Eps: math.Inf(1)}),
			"radius 0":          attack(t, a.attack, steep, free, Options{Norm: a.norm, Eps: 0}),
			"radius 0, no box":  attack(t, a.attack, steep, open, Options{Norm: a.norm, Eps: 0}),
			"flat with radius":  attack(t, a.attack, flat, free, Options{Norm: a.norm, Eps: 1}),
			"fixed with radius": attack(t, a.attack, steep, fixed, Options{Norm: a.norm, Eps: 1}),
		} {
			if r.Status != Failed {
				t.Errorf("%s %v, %s: %v at %v", a.attack, a.norm, what, r.Status, r.X)
			}
		}
	}
}
