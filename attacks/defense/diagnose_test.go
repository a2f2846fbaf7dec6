package defense

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
)

// diagnose examines a model with n inputs and two classes around points of class 0 at 0.5 ± 0.1.
func diagnose(t *testing.T, m access.Gradients, eps float64) []string {
	t.Helper()
	n, _ := m.Dims()
	rng := rand.New(rand.NewPCG(8, 8))
	lo, hi := unit(n)
	var tasks []evasion.Task
	for len(tasks) < 40 {
		x := make([]float64, n)
		for i := range x {
			x[i] = 0.4 + 0.2*rng.Float64()
		}
		y := make([]float64, 2)
		x = onGrid32(x)
		if err := m.Scores(context.Background(), access.Batch{N: 1, X: x, Draws: []uint64{1}}, y); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, evasion.Task{X: x, Lower: lo, Upper: hi, Goal: evasion.Untargeted(access.Argmax(y), 2)})
	}
	f, err := Diagnose(context.Background(), m, tasks, DiagnoseOptions{Norm: evasion.Linf, Eps: eps, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range f {
		if v.What == "" || v.Seen == "" || v.Try == "" {
			t.Errorf("%+v: a finding without words", v)
		}
		t.Log(v)
		names = append(names, v.Name)
	}
	return names
}

// function is a model of n inputs whose two outputs and their derivatives are a function.
type function struct {
	n int
	f func(x []float64, draw uint64) (y [2]float64, d [2][]float64)
}

func (f function) Dims() (int, int) { return f.n, 2 }
func (f function) Scores(_ context.Context, b access.Batch, y []float64) error {
	for i := range b.N {
		v, _ := f.f(b.X[i*f.n:(i+1)*f.n], b.Draws[i])
		copy(y[2*i:], v[:])
	}
	return nil
}
func (f function) Gradients(_ context.Context, b access.Batch, y []float64, pull func(i int, y, dy []float64),
	dx []float64) error {
	for i := range b.N {
		v, d := f.f(b.X[i*f.n:(i+1)*f.n], b.Draws[i])
		copy(y[2*i:], v[:])
		dy := make([]float64, 2)
		pull(i, v[:], dy)
		for k := range f.n {
			dx[i*f.n+k] = dy[0]*d[0][k] + dy[1]*d[1][k]
		}
	}
	return nil
}

// TestDiagnoseHonest: a linear model that hides nothing has no findings, whether attacks succeed or not.
func TestDiagnoseHonest(t *testing.T) {
	w := make([]float64, 12)
	for i := range w {
		w[i] = math.Sin(float64(3*i + 1))
	}
	for _, eps := range []float64{0, 0.01, 0.1, 0.5} {
		if got := diagnose(t, linear(t, w, 0.2-0.5*sum(w)), eps); len(got) > 0 {
			t.Errorf("ε = %v: %v", eps, got)
		}
	}
}

// TestDiagnoseAlready: inputs that are wrong from the start are no success of anybody.
func TestDiagnoseAlready(t *testing.T) {
	m := linear(t, []float64{1, -1, 1}, 5)
	lo, hi := unit(3)
	var tasks []evasion.Task
	for range 40 {
		tasks = append(tasks, evasion.Task{X: []float64{0.5, 0.25, 0.5}, Lower: lo, Upper: hi, Goal: evasion.Untargeted(1, 2)})
	}
	if f, err := Diagnose(context.Background(), m, tasks, DiagnoseOptions{Eps: 0.1}); err != nil || len(f) > 0 {
		t.Errorf("%v, %v", f, err)
	}
}

func sum(w []float64) float64 {
	s := 0.0
	for _, v := range w {
		s += v
	}
	return s
}

// TestDiagnoseFindings: every finding on the model that has it.
func TestDiagnoseFindings(t *testing.T) {
	const n = 12
	w := make([]float64, n)
	for i := range w {
		w[i] = 1 - 2*float64(i%2)
	}
	m := linear(t, w, 0.6) // between 0.5 and 0.7 at the points
	ones := slices.Repeat([]float64{1}, n)
	zero := make([]float64, n)
	var calls atomic.Int64
	for _, c := range []struct {
		name string
		m    access.Gradients
		eps  float64
		want []string
	}{
		{"rounded", must(access.Compose(m, must(BitDepth(n, 3)))), 0.001, []string{"zero-gradient", "unbounded"}},
		{"rounded, found at random", must(access.Compose(linear(t, w[:2], 0.1), must(BitDepth(2, 3)))), 0.2,
			[]string{"zero-gradient", "random-search", "unbounded"}},
		{"noise", must(access.Compose(m, must(Noise(n, 0.01)))), 0.02, []string{"randomised"}},
		{"large logits", linear(t, scaledBy(w, 400), 240), 0.02, []string{"saturated"}},
		{"probabilities", function{n, func(x []float64, _ uint64) ([2]float64, [2][]float64) {
			z := dot(w, x) + 0.6
			p := 1 / (1 + math.Exp(-z))
			return [2]float64{p, 1 - p}, [2][]float64{scaledBy(w, p*(1-p)), scaledBy(w, -p*(1-p))}
		}}, 0.01, []string{"probabilities"}},
		{"a bait that small steps follow", function{n, func(x []float64, _ uint64) ([2]float64, [2][]float64) {
			// The truth falls along −1, but the slope says +1 once the point is away from the start.
			s := sum(x)
			if math.Abs(x[0]-0.5) > 0.13 && s < 6-0.19*n { // the corner of one full step
				return [2]float64{-1, 0}, [2][]float64{ones, zero}
			}
			d := ones
			if s < 6-0.06*n {
				d = scaledBy(ones, -1)
			}
			return [2]float64{2, 0}, [2][]float64{d, zero}
		}}, 0.3, []string{"single-step"}},
		{"not repeatable", function{n, func(x []float64, _ uint64) ([2]float64, [2][]float64) {
			k := float64(calls.Add(1))
			return [2]float64{dot(w, x) + 0.6 + 1e-9*k, 0}, [2][]float64{w, zero}
		}}, 0.02, []string{"unrepeatable"}},
	} {
		got := diagnose(t, c.m, c.eps)
		if c.name == "a bait that small steps follow" { // whether random points or no bound help is not the point
			got = slices.DeleteFunc(got, func(s string) bool { return s == "unbounded" || s == "random-search" })
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func scaledBy(w []float64, s float64) []float64 {
	v := slices.Clone(w)
	for i := range v {
		v[i] *= s
	}
	return v
}

// TestDiagnoseRefused: nothing to look at is an error.
func TestDiagnoseRefused(t *testing.T) {
	m := linear(t, []float64{1, 2}, 0)
	ok := []evasion.Task{{X: []float64{1, 1}, Goal: evasion.Untargeted(0, 2)}}
	for i, err := range []error{
		second(Diagnose(context.Background(), m, nil, DiagnoseOptions{})),
		second(Diagnose(context.Background(), m, ok, DiagnoseOptions{Eps: math.Inf(1)})),
		second(Diagnose(context.Background(), m, ok, DiagnoseOptions{Eps: math.NaN()})),
		second(Diagnose(context.Background(), m, []evasion.Task{{X: []float64{1}}}, DiagnoseOptions{})),
	} {
		if err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
	if _, err := Diagnose(context.Background(), m, ok, DiagnoseOptions{Eps: 0.1, Norm: evasion.L2}); err != nil {
		t.Error(err)
	}
}
