package evasion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// reached reports whether the goal is reached at x.
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

// TestSlab: HopSkipJump halves steps that leave a goal on the other side.
func TestSlab(t *testing.T) {
	const d = 8
	w := slices.Repeat([]float64{1.0 / 8}, d) // the goal: mean within 0.625 and 0.65625
	model := kinked(t, d, -0.125, unit{w, -0.5, 1}, unit{w, -0.640625, -16})
	task := Task{X: slices.Repeat([]float64{0.5}, d), Lower: make([]float64, d), Upper: slices.Repeat([]float64{1}, d),
		Goal: Untargeted(0, 2)}
	for i := range d {
		task.Start = append(task.Start, 0.64-0.25*float64(i%2*2-1))
	}
	r := attack(t, "hopskipjump", model, task, Options{Norm: L2, Eps: math.Inf(1), Queries: 10000})
	if want := 0.125 * math.Sqrt(d); !(r.Distance <= 1.01*want && r.Distance >= want*(1-1e-9)) {
		t.Errorf("%v at %v of the distance", r.Status, r.Distance/want)
	}
}

// TestNormal: what all steps share does not enter the direction when hits and misses are many and unequal.
func TestNormal(t *testing.T) {
	x := []float64{0.5, 0.25, 1}
	var points, moved [][]float64
	hits := []bool{true, false, false, true, false}
	for k := range hits {
		u := []float64{float64(k*k%5) - 1, float64(k) - 2, float64(k*k*k%7) - 3}
		q, r := make([]float64, 3), make([]float64, 3)
		for i := range u {
			q[i], r[i] = x[i]+u[i], x[i]+u[i]+4*float64(i+1)
		}
		points, moved = append(points, q), append(moved, r)
	}
	g, h := make([]float64, 3), make([]float64, 3)
	if !normal(g, x, points, hits) || !normal(h, x, moved, hits) {
		t.Fatal("no direction")
	}
	for i := range g {
		if math.Abs(g[i]-h[i]) > 1e-12 || math.Abs(dot(g, g)-1) > 1e-12 {
			t.Errorf("directions %v and %v", g, h)
		}
	}
	if !normal(g, x, points[:1], hits[:1]) || g[0]*(points[0][0]-x[0]) <= 0 {
		t.Errorf("direction %v with a single hit at %v from %v", g, points[0], x)
	}
	if normal(g, x, [][]float64{x}, hits[:1]) {
		t.Error("a direction from a step of length 0")
	}
}

// TestUndo: on networks where an input that must stay can become free later, none can be reset alone at the end.
func TestUndo(t *testing.T) {
	const d = 12
	passes := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var units []unit
		for range 8 {
			w := make([]float64, d)
			for i := range w {
				w[i] = rng.NormFloat64()
			}
			units = append(units, unit{w, rng.NormFloat64(), rng.NormFloat64()})
		}
		model := kinked(t, d, 0, units...)
		task := Task{X: make([]float64, d), Lower: make([]float64, d), Upper: slices.Repeat([]float64{1}, d),
			Start: slices.Repeat([]float64{1}, d)}
		y := make([]float64, 2)
		label := func(x []float64) int {
			if err := model.Scores(context.Background(), access.Batch{N: 1, X: x, Draws: []uint64{0}}, y); err != nil {
				t.Fatal(err)
			}
			return access.Argmax(y)
		}
		from := label(task.X)
		if label(task.Start) == from {
			continue
		}
		passes++
		task.Goal = Untargeted(from, 2)
		r := attack(t, "pointwise:restarts=1", access.OnlyLabels(model), task, Options{Norm: L0, Eps: math.Inf(1), Seed: seed})
		for i, v := range r.X {
			x := slices.Clone(r.X)
			if x[i] = 0; v != 0 && label(x) != from {
				t.Errorf("seed %d: input %d need not change", seed, i)
			}
		}
	}
	if passes < 10 {
		t.Errorf("only %d networks", passes)
	}
}

// TestShorten: with room to spare, no input can be moved much closer when all have been tried, however small its weight.
func TestShorten(t *testing.T) {
	for seed := range uint64(8) {
		b := halfSpace(t, seed, 24)
		with(t, access.OnlyLabels(b.model), b.task(), Options{Norm: L2, Eps: math.Inf(1)}, func(p *Probe) {
			x := make([]float64, len(b.x))
			for i, w := range b.w {
				if x[i] = 1; w > 0 {
					x[i] = 0
				}
			}
			far := slices.Clone(x)
			if !p.shorten(x) || !b.reached(x) {
				t.Fatal("not in the goal")
			}
			for i := range x {
				y := slices.Clone(x)
				if y[i] -= 0.03 * (far[i] - b.x[i]); (x[i]-b.x[i])*(y[i]-b.x[i]) > 0 && b.reached(y) {
					t.Errorf("input %d could be nearer: %v of the way", i, (x[i]-b.x[i])/(far[i]-b.x[i]))
				}
			}
		})
	}
}

// TestToward: points on the way to another are at the right share of its size; in Linf coordinates keep what fits.
func TestToward(t *testing.T) {
	b := halfSpace(t, 1, 3)
	for norm, want := range map[Norm][]float64{L2: {0.125, 0.0625, -0.03125}, Linf: {0.125, 0.125, -0.0625}} {
		with(t, b.model, b.task(), Options{Norm: norm, Eps: math.Inf(1)}, func(p *Probe) {
			far, x := slices.Clone(p.X0), make([]float64, 3)
			for i, d := range []float64{0.25, 0.125, -0.0625} {
				far[i] += d
			}
			p.toward(x, far, 0.5)
			for i, v := range want {
				if x[i]-p.X0[i] != v {
					t.Errorf("%v: input %d has moved by %v, want %v", norm, i, x[i]-p.X0[i], v)
				}
			}
		})
	}
}

// TestFallback: a start that does not reach the goal is not taken for one that does.
func TestFallback(t *testing.T) {
	b := halfSpace(t, 1, 10)
	task := b.task()
	for _, start := range [][]float64{b.x, slices.Repeat([]float64{math.NaN()}, 10)} {
		task.Start = start
		for _, name := range []string{"pointwise", "boundary", "hopskipjump"} {
			r := attack(t, name, access.OnlyLabels(b.model), task, Options{Norm: L2, Eps: math.Inf(1), Queries: 2000})
			if want := b.distance(L2); r.Status != Found || r.Distance > 5*want {
				t.Errorf("%s: %v at %v, the goal is at %v", name, r.Status, r.Distance, want)
			}
		}
	}
}

// TestSideways: steps on the sphere stay on it and are at right angles to the way to the input: the angle seen from there is
// that of the step.
func TestSideways(t *testing.T) {
	b := halfSpace(t, 2, 20)
	task := b.task()
	task.Lower, task.Upper = nil, nil
	with(t, b.model, task, Options{Norm: L2, Eps: math.Inf(1)}, func(p *Probe) {
		x, y := slices.Clone(p.X0), make([]float64, 20)
		for i := range x {
			x[i] += p.Rng.NormFloat64()
		}
		dist := math.Sqrt(squares(x, p.X0))
		for _, length := range []float64{0.01, 0.3, 2} {
			p.sideways(y, x, dist, length)
			cos := 0.0
			for i, x0 := range p.X0 {
				cos += (x[i] - x0) * (y[i] - x0)
			}
			got := math.Sqrt(squares(y, p.X0))
			cos /= dist * got
			if math.Abs(got/dist-1) > 1e-6 || math.Abs(cos-1/math.Sqrt(1+length*length)) > 1e-6 {
				t.Errorf("step %v: at %v of the distance, cosine %v", length, got/dist, cos)
			}
		}
	})
}
