package evasion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// surface is a model of two classes whose class 0 leads by a function of n inputs that is given with its gradient.
type surface struct {
	n     int
	value func(x, g []float64) float64
}

func (s *surface) Dims() (inputs, outputs int) { return s.n, 2 }

func (s *surface) Scores(ctx context.Context, b access.Batch, y []float64) error {
	return s.Gradients(ctx, b, y, func(int, []float64, []float64) {}, make([]float64, b.N*s.n))
}

func (s *surface) Gradients(_ context.Context, b access.Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	for i := range b.N {
		g := dx[i*s.n : (i+1)*s.n]
		y[2*i], y[2*i+1] = s.value(b.X[i*s.n:(i+1)*s.n], g), 0
		dy := []float64{0, 0}
		pull(i, y[2*i:2*i+2], dy)
		for k := range g {
			g[k] *= dy[0]
		}
	}
	return nil
}

// ellipsoid is the surface 1 − Σ a_i·x_i².
func ellipsoid(a []float64) *surface {
	return &surface{len(a), func(x, g []float64) float64 {
		v := 1.0
		for i, s := range a {
			v -= s * x[i] * x[i]
			g[i] = -2 * s * x[i]
		}
		return v
	}}
}

// away is the Euclidean distance of x, inside, from the ellipsoid: the closest point is x_i/(1 − λ·a_i) with λ < 1/max a.
func away(a, x []float64) float64 {
	at := func(l float64) (sum, d float64) {
		for i, s := range a {
			z := x[i] / (1 - l*s)
			sum += s * z * z
			d += (z - x[i]) * (z - x[i])
		}
		return sum, math.Sqrt(d)
	}
	lo, hi := 0.0, 1/slices.Max(a)
	for range 200 {
		if m := (lo + hi) / 2; m > 0 {
			if s, _ := at(m); s < 1 {
				lo = m
			} else {
				hi = m
			}
		}
	}
	_, d := at(lo)
	return d
}

// insideEllipsoid draws the axes' weights, a task about a point inside, and its distance from the boundary.
func insideEllipsoid(rng *rand.Rand) (a []float64, task Task, d float64) {
	a = []float64{1, 4, 9, 1, 2}
	x := make([]float64, 5)
	for i := range x {
		x[i] = float64(float32(0.02 + 0.1*rng.Float64()))
	}
	x[2] = float64(float32(0.1 + 0.05*rng.Float64()))
	task = Task{X: x, Lower: slices.Repeat([]float64{-2}, 5), Upper: slices.Repeat([]float64{2}, 5), Goal: Untargeted(0, 2)}
	return a, task, away(a, x)
}

// TestEllipsoid: on a curved boundary the attacks in L2 end at the closest point, which is not along the first gradient.
func TestEllipsoid(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 14))
	for range 6 {
		a, task, d := insideEllipsoid(rng)
		for _, c := range []struct {
			attack string
			slack  float64
		}{{"fab", 1e-3}, {"cw", 1e-4}, {"ddn", 1e-3}, {"lbfgs", 1e-2}} {
			near(t, c.attack, attack(t, c.attack, ellipsoid(a), task, Options{Norm: L2, Eps: math.Inf(1)}), d, c.slack)
		}
	}
}

// TestTighten: the segment is searched to where the margin is the one asked for, on a curve whose secants are far off.
func TestTighten(t *testing.T) {
	for _, c := range []struct{ root, least float64 }{{0.5, 0}, {0.9, 0}, {0.1, 0}, {0.5, 0.125}, {0.02, 0}} {
		cubic := &surface{1, func(x, g []float64) float64 {
			g[0] = -3 * x[0] * x[0]
			return c.root*c.root*c.root - x[0]*x[0]*x[0]
		}}
		m := &Method{Name: "tighten", Norms: []Norm{L2}, Minimal: true, run: func(p *Probe) {
			p.least = c.least
			p.tighten([]float64{1}, 40)
		}}
		model := &tally{model: cubic}
		r, err := m.Run(context.Background(), model, []Task{{X: []float64{0}, Lower: []float64{0}, Upper: []float64{1}, Goal: Untargeted(0, 2)}},
			Options{Norm: L2, Eps: math.Inf(1)})
		if err != nil {
			t.Fatal(err)
		}
		near(t, "tighten", r[0], math.Cbrt(c.root*c.root*c.root+c.least), 2e-5/c.root)
		if model.queries > 25 {
			t.Errorf("%d queries for a root at %v", model.queries, c.root)
		}
	}
}

// TestDeepFoolSteps: on a curve that bends away DeepFool is Newton's method, which comes from the near side, ended by the overshoot.
func TestDeepFoolSteps(t *testing.T) {
	for _, root := range []float64{0.25, 0.5, 1} {
		bend := &surface{1, func(x, g []float64) float64 {
			e := math.Exp(-2 * x[0])
			g[0] = -2 * e
			return e - math.Exp(-2*root)
		}}
		r := attack(t, "deepfool", bend, Task{X: []float64{0}, Lower: []float64{-5}, Upper: []float64{5}, Goal: Untargeted(0, 2)},
			Options{Norm: L2, Eps: math.Inf(1)})
		near(t, "deepfool", r, root, 0.02)
	}
}

// TestMinimize: on a convex quadratic function of bad condition the projected quasi-Newton method finds the known minimum in the box with few
// evaluations, none of them outside.
func TestMinimize(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 15))
	for range 10 {
		const n = 12
		h, want, lo, hi, b := make([][]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		a := make([][]float64, n)
		for i := range a {
			a[i] = make([]float64, n)
			for j := range a[i] {
				a[i][j] = rng.NormFloat64()
			}
		}
		for i := range h { // AᵀA and a steep diagonal
			h[i] = make([]float64, n)
			for j := range h[i] {
				for k := range a {
					h[i][j] += a[k][i] * a[k][j]
				}
			}
			h[i][i] += math.Pow(10, 3*float64(i)/n)
		}
		for i := range want {
			want[i], lo[i], hi[i] = rng.NormFloat64(), -10, 10
		}
		for i := range want { // a third of the inputs is held by an end: the slope there points outwards
			b[i] = dot(h[i], want)
			switch i % 6 {
			case 0:
				hi[i] = want[i]
				b[i] += 5
			case 3:
				lo[i] = want[i]
				b[i] -= 5
			}
		}
		calls := 0
		x := make([]float64, n)
		for i := range x {
			x[i] = min(max(0, lo[i]), hi[i])
		}
		ok := minimize(x, lo, hi, func(x, g []float64) (float64, bool) {
			calls++
			v := 0.0
			for i := range x {
				if x[i] < lo[i] || x[i] > hi[i] {
					t.Fatalf("evaluated outside the box")
				}
				g[i] = dot(h[i], x) - b[i]
				v += x[i] * (g[i] - b[i]) / 2
			}
			return v, true
		}, 100)
		worst := 0.0
		for i := range x {
			worst = max(worst, math.Abs(x[i]-want[i]))
		}
		if !ok || worst > 1e-3 || calls > 120 {
			t.Errorf("off by %v after %d evaluations", worst, calls)
		}
	}
	if minimize([]float64{0}, []float64{-1}, []float64{1}, func(_, _ []float64) (float64, bool) { return 0, false }, 5) {
		t.Error("the end of the evaluations is not passed on")
	}
}
