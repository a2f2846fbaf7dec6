package evasion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
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

// TestEstimators: on a linear loss the estimates of both kinds of directions have the slopes as their mean and the variance of theory,
// inside the box and at its faces, where the pairs are cut.
func TestEstimators(t *testing.T) {
	const d, pairs = 12, 4000
	b := halfSpace(t, 1, d)
	b.c += 100 // never reached
	task := b.task()
	task.Goal = Untargeted(0, 2)
	b.model = affine(t, [][]float64{b.w, make([]float64, d)}, []float64{b.c, 0})
	for name, draw := range map[string]func(*rand.Rand) float64{"gaussian": gaussian, "rademacher": rademacher} {
		for face := range 3 {
			with(t, b.model, task, Options{Norm: L2, Eps: math.Inf(1)}, func(p *Probe) {
				x, g := slices.Clone(p.X0), make([]float64, d)
				for i := range x {
					if face == 1 && i%2 == 0 {
						x[i] = p.Lo[i]
					} else if face == 2 {
						x[i] = p.Hi[i]
					}
				}
				e := p.newEstimator(Margin, draw, 0x1p-6, pairs)
				v, ok := e.at(x, g)
				if want := -dot(b.w, x) - b.c; !ok || math.Abs(v-want) > 1e-9 {
					t.Errorf("%s: loss %v at x, want %v", name, v, want)
				}
				chi := 0.0
				for i, w := range b.w {
					sigma := math.Sqrt((dot(b.w, b.w) - w*w) / pairs)
					z := (g[i] + w) / sigma // the loss climbs against w
					if chi += z * z / d; !(math.Abs(z) < 5) {
						t.Errorf("%s, face %d: slope %d is %v, want %v ± %v", name, face, i, g[i], -w, sigma)
					}
				}
				if !(chi > 0.2 && chi < 3) {
					t.Errorf("%s, face %d: the errors are %v of what theory says", name, face, chi)
				}
			})
		}
	}
}

// TestDifferences: central differences of a linear function are exact to rounding, at faces of the box too; a coordinate without room
// has none, and those beyond the budget have none.
func TestDifferences(t *testing.T) {
	const d = 10
	b := halfSpace(t, 2, d)
	b.model = affine(t, [][]float64{b.w, make([]float64, d)}, []float64{100, 0})
	task := b.task()
	task.Upper[3], task.Lower[3] = b.x[3], b.x[3]
	for _, limit := range []int{0, 14} {
		r := with(t, b.model, task, Options{Norm: L2, Eps: math.Inf(1), Queries: limit}, func(p *Probe) {
			x, g, coords := slices.Clone(p.X0), make([]float64, d), p.Rng.Perm(d)
			x[1], x[2] = p.Lo[1], p.Hi[2]
			f := func(_, y []float64) float64 { return y[0] }
			v, ok := p.differences(f, x, coords, 0x1p-10, rows(2*d+1, d), g)
			if want := dot(b.w, x) + 100; !ok || math.Abs(v-want) > 1e-12*want {
				t.Errorf("value %v, want %v", v, want)
			}
			for k, i := range coords {
				want := b.w[i]
				if i == 3 || limit > 0 && k >= 6 { // 14 − the input − x, in pairs
					want = 0
				}
				// The values are near 100 and known to a few units in the last place, the distance is 2⁻⁹ or half of it.
				if math.Abs(g[k]-want) > 100*4*0x1p-52/0x1p-10 {
					t.Errorf("limit %d: slope %d is %v, want %v", limit, i, g[k], want)
				}
			}
		})
		if want := map[int]int{0: 2*d + 2, 14: 14}[limit]; r.Queries != want {
			t.Errorf("limit %d: %d queries, want %d", limit, r.Queries, want)
		}
	}
}

// TestBlackLinear: attacks within a radius reach the goal of a linear classifier a little above the analytic distance and never below.
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
			if r := attack(t, c.attack, b.model, b.task(), Options{Norm: c.norm, Eps: d * (1 + c.slack), Seed: uint64(k)}); r.Status != Found {
				t.Errorf("%s %v, %d inputs: %v at %g over the distance, best margin %v of %v", c.attack, c.norm, len(b.x), r.Status, c.slack,
					r.Best, b.margin())
			} else if r.Distance > d*(1+c.slack) && c.norm != Linf {
				t.Errorf("%s %v: at distance %v, radius %v", c.attack, c.norm, r.Distance, d*(1+c.slack))
			}
			opt := Options{Norm: c.norm, Eps: d * (1 - 1e-6), Seed: uint64(k), Queries: 1000}
			if r := attack(t, c.attack, b.model, b.task(), opt); r.Status != Failed {
				t.Errorf("%s %v: %v below the distance", c.attack, c.norm, r.Status)
			}
		}
	}
}

// TestHalfSpaces: attacks that look for the closest point converge to the orthogonal projection onto a half-space, or its counterpart
// in Linf.
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
		{"zoo", L2, []int{20, 64}, 2500, 1.001}, {"zoo", L2, []int{65, 200}, 4000, 1.0005}, {"zoo:solver=adam", L2, []int{20}, 4000, 1.005},
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

// observer remembers what is asked.
type observer struct {
	model access.Scores
	x, y  [][]float64
}

func (o *observer) Dims() (inputs, outputs int) { return o.model.Dims() }

func (o *observer) Scores(ctx context.Context, b access.Batch, y []float64) error {
	in, out := o.Dims()
	if err := o.model.Scores(ctx, b, y); err != nil {
		return err
	}
	for i := range b.N {
		o.x = append(o.x, slices.Clone(b.X[i*in:(i+1)*in]))
		o.y = append(o.y, slices.Clone(y[i*out:(i+1)*out]))
	}
	return nil
}

// TestSquareSteps follows the Square attack: every point differs from the best before it inside one window of the size that the
// schedule gives, for Linf every input is at an end of its range, for L2 and L1 the whole radius is used, and the number of queries is
// that of the steps.
func TestSquareSteps(t *testing.T) {
	const steps = 400
	for _, shape := range [][]int{{2, 12, 12}, {1, 2, 9, 16}, {60}} {
		d := 1
		for _, n := range shape {
			d *= n
		}
		channels, height, width := picture(shape, d)
		for _, norm := range []Norm{Linf, L2, L1} {
			b := halfSpace(t, 5, d)
			model := &observer{model: affine(t, [][]float64{b.w, make([]float64, d)}, []float64{1000, 0})}
			task := b.task()
			task.Lower, task.Upper = nil, nil
			r := attack(t, "square:steps=400", model, task, Options{Norm: norm, Eps: 0.25, Shape: shape})
			if r.Queries != steps+1 || len(model.x) != steps+1 {
				t.Errorf("%v: %d queries, the model was asked %d, want %d", norm, r.Queries, len(model.x), steps+1)
			}
			share := 0.1
			if norm == Linf {
				share = 0.8
			}
			best, rises := 1, 0 // the input itself is 0
			for k := 1; k < len(model.x); k++ {
				x := model.x[k]
				for i, v := range x {
					if dv := math.Abs(v - b.x[i]); norm == Linf && dv != 0.25 {
						t.Fatalf("step %d: input %d has moved by %v", k, i, dv)
					}
				}
				if size := norm.Distance(x, b.x); norm != Linf && !(size <= 0.25 && size > 0.25*(1-1e-4)) {
					t.Fatalf("%v, step %d: at distance %v", norm, k, size)
				}
				if k > 1 {
					y0, x0, y1, x1 := height, width, -1, -1
					changed := 0
					for i, v := range x {
						if v != model.x[best][i] {
							changed++
							y, x := i/width%height, i%width
							y0, x0, y1, x1 = min(y0, y), min(x0, x), max(y1, y), max(x1, x)
						}
					}
					h, w := (&square{p: &Probe{Norm: norm}, height: height, width: width}).window(schedule(share, k-2, steps))
					if norm == Linf && (changed == 0 || y1-y0 >= h || x1-x0 >= w) {
						t.Fatalf("%v, step %d: %d inputs changed, inside %d×%d, the window is %d×%d", norm, k, changed, y1-y0+1, x1-x0+1, h, w)
					}
					if changed > 2*channels*h*w {
						t.Fatalf("%v, step %d: %d inputs changed with windows of %d×%d", norm, k, changed, h, w)
					}
				}
				if model.y[k][0] < model.y[best][0] { // the label's score falls
					best = k
					rises++
				}
			}
			if rises < 10 {
				t.Errorf("%v, shape %v: the loss rose %d times", norm, shape, rises)
			}
		}
	}
}

// TestSquareSchedule has the halvings of the paper, for 10000 steps and for fewer.
func TestSquareSchedule(t *testing.T) {
	for _, c := range []struct {
		t, steps, halvings int
	}{{0, 10000, 0}, {10, 10000, 0}, {11, 10000, 1}, {51, 10000, 2}, {201, 10000, 3}, {501, 10000, 4}, {1001, 10000, 5}, {2001, 10000, 6},
		{4001, 10000, 7}, {6001, 10000, 8}, {8001, 10000, 9}, {9999, 10000, 9}, {5, 5000, 0}, {6, 5000, 1}, {4500, 5000, 9}} {
		if got, want := schedule(0.8, c.t, c.steps), 0.8/float64(int(1)<<c.halvings); got != want {
			t.Errorf("step %d of %d: share %v, want %v", c.t, c.steps, got, want)
		}
	}
}

// TestBumps: bumps have length one, two halves of opposite signs, and rise towards their middle.
func TestBumps(t *testing.T) {
	b := halfSpace(t, 5, 4)
	with(t, b.model, b.task(), Options{Norm: L2, Eps: 1}, func(p *Probe) {
		s := &square{p: p}
		for _, side := range [][2]int{{1, 1}, {1, 6}, {7, 1}, {6, 6}, {5, 5}, {10, 4}} {
			for range 8 {
				s.draw(side[0], side[1])
				n, signs := 0.0, [3]int{}
				for _, v := range s.bump {
					n += v * v
					switch {
					case v > 0:
						signs[2]++
					case v < 0:
						signs[0]++
					default:
						signs[1]++
					}
				}
				area := side[0] * side[1]
				if math.Abs(n-1) > 1e-12 || signs[1] > 0 || area > 1 && (signs[0] < area*2/5 || signs[2] < area*2/5) {
					t.Errorf("bump %v: length² %v, signs %v", side, n, signs)
				}
			}
		}
		s.draw(10, 10)
		top := slices.MaxFunc(s.bump, func(a, b float64) int { return int(math.Copysign(1, math.Abs(a)-math.Abs(b))) })
		if rim := math.Abs(s.bump[0]); !(math.Abs(top) > 2*rim) {
			t.Errorf("the middle of a bump is %v, its rim %v", top, rim)
		}
	})
}

// undone reports whether a task's goal is reached at x.
func (b *binary) reached(x []float64) bool { return dot(b.w, x)+b.c < 0 }

// TestPointwise: what the pointwise attack leaves needs every changed input; a start is improved and not forgotten; for L2 and L1
// no input can be moved towards its old place by more than the tolerance.
func TestPointwise(t *testing.T) {
	for seed := range uint64(8) {
		b := halfSpace(t, seed, 40)
		task := b.task()
		for _, norm := range []Norm{L0, L1, L2} {
			start := make([]float64, len(b.x))
			for i, w := range b.w {
				if start[i] = 1; w > 0 {
					start[i] = 0
				}
			}
			task.Start = start
			r := attack(t, "pointwise:restarts=1", access.OnlyLabels(b.model), task, Options{Norm: norm, Eps: math.Inf(1), Seed: seed})
			if r.Status != Found || !b.reached(r.X) {
				t.Fatalf("%v: %v", norm, r.Status)
			}
			need := fewest(b)
			changed := 0
			for i, v := range r.X {
				if v == b.x[i] {
					continue
				}
				changed++
				if norm == L0 && v != start[i] {
					t.Errorf("L0: input %d is %v, neither its start nor its end", i, v)
				}
				y := slices.Clone(r.X)
				if y[i] = b.x[i]; b.reached(y) {
					t.Errorf("%v: input %d need not change", norm, i)
				}
			}
			if changed < need || norm == L0 && (changed > 4*need+4 || r.Distance != float64(changed)) {
				t.Errorf("%v: %d inputs changed, %d are needed, distance %v", norm, changed, need, r.Distance)
			}
			if norm != L0 { // one more pass has nothing to do
				spare := 0.0
				for i, v := range r.X {
					y := slices.Clone(r.X)
					if y[i] = v - 0.05*(start[i]-b.x[i]); (v-b.x[i])*(y[i]-b.x[i]) > 0 && b.reached(y) {
						spare++
					}
				}
				if spare > 0 {
					t.Errorf("%v: %v inputs could be nearer", norm, spare)
				}
			}
		}
	}
}

// fewest is the least number of inputs whose change to an end of the range reaches the goal.
func fewest(b *binary) int {
	var gains []float64
	for i, w := range b.w {
		gains = append(gains, max(w*b.x[i], -w*(1-b.x[i])))
	}
	slices.Sort(gains)
	slices.Reverse(gains)
	left, k := b.margin(), 0
	for left >= 0 && k < len(gains) {
		left -= gains[k]
		k++
	}
	return k
}

// TestBisect: bisection ends at the boundary from within, for Linf along cut perturbations.
func TestBisect(t *testing.T) {
	b := halfSpace(t, 3, 30)
	for _, norm := range []Norm{L2, Linf} {
		with(t, access.OnlyLabels(b.model), b.task(), Options{Norm: norm, Eps: math.Inf(1)}, func(p *Probe) {
			far, x := make([]float64, 30), make([]float64, 30)
			for i, w := range b.w {
				if far[i] = 1; w > 0 {
					far[i] = 0
				}
			}
			copy(x, far)
			if !p.bisect(x, 1e-4) || !b.reached(x) {
				t.Fatalf("%v: not in the goal", norm)
			}
			t0 := p.Norm.Distance(x, p.X0) / p.Norm.Distance(far, p.X0)
			p.toward(x, far, t0*(1-2e-4))
			if b.reached(x) {
				t.Errorf("%v: the goal is reached closer than where bisection ended, %v of the way", norm, t0)
			}
		})
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

// TestBlackCounts compares the counts of results with what the model was asked, with a budget and without; a budget is never exceeded,
// and attacks that measure in batches use it to the last pair.
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

// TestBlackSameBytes: results depend neither on the number of workers nor on the tasks behind in the list, and are what was measured.
func TestBlackSameBytes(t *testing.T) {
	n := newTiny(t, 1)
	rng := rand.New(rand.NewPCG(10, 10))
	var tasks []Task
	for range 40 {
		task := n.task()
		task.X = make([]float64, len(n.x))
		for i := range task.X {
			task.X[i] = float64(float32(rng.Float64()))
		}
		tasks = append(tasks, task)
	}
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
	outputs := problem(spec.Row{Y: []spec.Coef{{Index: 1, Value: -1}}, RHSLower: -0.5, RHSUpper: -0.5}, spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: 2.5, RHSUpper: 2.5})
	inputs := problem(spec.Row{X: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: 0.25, RHSUpper: 0.25}, spec.Row{Y: []spec.Coef{{Index: 0, Value: -1}}, RHSLower: -0.5, RHSUpper: -0.5})
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

// TestBlackDegenerate: boxes without room, a radius of zero and flat models end every attack without a result, and so do starts that
// do not reach the goal.
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

// TestStart: a start that random points would not find is used.
func TestStart(t *testing.T) {
	const d = 40
	corner := slices.Repeat([]float64{0, 1, 1, 0}, d/4) // class 1 lies around it
	w := make([]float64, d)
	for i, v := range corner {
		w[i] = 2*v - 1
	}
	model := affine(t, [][]float64{make([]float64, d), w}, []float64{d/2 - 1, 0})
	task := Task{X: slices.Repeat([]float64{0.5}, d), Lower: make([]float64, d), Upper: slices.Repeat([]float64{1}, d),
		Goal: Untargeted(0, 2), Start: corner}
	for _, name := range []string{"boundary", "hopskipjump", "pointwise"} {
		for _, start := range [][]float64{nil, task.Start} {
			task := task
			task.Start = start
			norm := L2
			r := attack(t, name, access.OnlyLabels(model), task, Options{Norm: norm, Eps: math.Inf(1), Queries: 60})
			if (r.Status == Found) != (start != nil) {
				t.Errorf("%s with start %v: %v", name, start != nil, r.Status)
			}
		}
	}
}
