package evasion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// TestATN: on a linear classifier a trained network perturbs inputs it has not seen, of both classes, beyond the analytic
// distance and inside ball and box; the result does not depend on the number of workers.
func TestATN(t *testing.T) {
	const d = 12
	rng := rand.New(rand.NewPCG(6, 6))
	b := newBinary(t, rng, d)
	draw := func(n int) (tasks []Task, far float64) {
		lo, hi := make([]float64, d), slices.Repeat([]float64{1}, d)
		hi[0] = 0.5 // inputs at the end of the box
		for len(tasks) < n {
			x := make([]float64, d)
			for i := range x {
				x[i] = float64(float32(0.4 + 0.2*rng.Float64()))
			}
			x[0] = min(x[0], 0.5)
			f := dot(b.w, x) + b.c
			label := 0
			if f < 0 {
				label = 1
			}
			far = max(far, math.Abs(f)/(Linf.dual(b.w)-math.Abs(b.w[0]))) // the first input may have no room
			tasks = append(tasks, Task{X: x, Lower: lo, Upper: hi, Goal: Untargeted(label, 2)})
		}
		return tasks, far
	}
	seen, _ := draw(300)
	fresh, far := draw(100)
	for _, eps := range []float64{1.3 * far, far / 50} {
		var points [][]float64
		for _, workers := range []int{1, 2} {
			a, err := TrainATN(context.Background(), b.model, seen, ATNOptions{Eps: eps, Hidden: []int{24}, Steps: 800, Seed: 2,
				Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			p, err := a.Perturb(context.Background(), fresh)
			if err != nil {
				t.Fatal(err)
			}
			if points != nil && !slices.EqualFunc(p, points, slices.Equal[[]float64]) {
				t.Error("another number of workers, other points")
			}
			points = p
		}
		reached, already := 0, 0
		y := make([]float64, 2)
		for i, x := range points {
			task := &fresh[i]
			for k, v := range x {
				if v != float64(float32(v)) || math.Abs(v-task.X[k]) > eps || v < task.Lower[k] || v > task.Upper[k] {
					t.Fatalf("point %d input %d: %v from %v", i, k, v, task.X[k])
				}
			}
			if err := b.model.Scores(context.Background(), access.Batch{N: 1, X: x}, y); err != nil {
				t.Fatal(err)
			}
			if m, _, _ := task.Goal.Margin(x, y); m >= 0 {
				reached++
			}
			if math.Abs(dot(b.w, task.X)+b.c) <= eps*Linf.dual(b.w) {
				already++ // within reach
			}
		}
		if eps > far && reached < 95 || reached > already {
			t.Errorf("ε = %.4g: %d of 100 reached, %d within reach", eps, reached, already)
		}
	}
	// What the network's outputs are turned into lies between the ends, and changes as it says.
	a, err := TrainATN(context.Background(), b.model, seen, ATNOptions{Eps: 0.1, Hidden: []int{24}, Steps: 1})
	if err != nil {
		t.Fatal(err)
	}
	bias := a.net.Weights[len(a.net.Weights)-d:]
	at := func(v float64) (x, slope []float64) {
		for i := range bias {
			bias[i] += v
		}
		x, slope, err := a.forward(context.Background(), a.net.NewPass(1), fresh[:1])
		for i := range bias {
			bias[i] -= v
		}
		if err != nil {
			t.Fatal(err)
		}
		return x, slope
	}
	up, _ := at(1e-5)
	_, slope := at(0)
	down, _ := at(-1e-5)
	far32, _ := at(30)
	lo, hi := region(&fresh[0], Linf, 0.1)
	for i := range up {
		if got := (up[i] - down[i]) / 2e-5; math.Abs(got-slope[i]) > 1e-6 || math.Abs(far32[i]-hi[i]) > 1e-9 || up[i] < lo[i] ||
			up[i] > hi[i] {
			t.Errorf("input %d: slope %v, %v by differences; %v between %v and %v, at the end %v", i, slope[i], got, up[i],
				lo[i], hi[i], far32[i])
		}
	}
	for i, bad := range [][]Task{nil, {{X: []float64{1}, Goal: Untargeted(0, 2)}}, {{X: fresh[0].X, Goal: Untargeted(0, 3)}}} {
		if _, err := TrainATN(context.Background(), b.model, bad, ATNOptions{Eps: 0.1}); err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := TrainATN(ctx, b.model, seen, ATNOptions{Eps: 0.1}); err == nil {
		t.Error("a cancelled training ended well")
	}
}

// TestMeanLoss: of a model that averages over draws, the probe returns the mean loss, and the gradient of that.
func TestMeanLoss(t *testing.T) {
	b := newBinary(t, rand.New(rand.NewPCG(1, 1)), 4)
	mean, err := access.EOT(b.model, 5)
	if err != nil {
		t.Fatal(err)
	}
	look := func(m access.Gradients) (v float64, dx []float64) {
		method := &Method{Name: "look", Needs: access.NeedGradients, Norms: allNorms, run: func(p *Probe) {
			x := slices.Clone(p.X0)
			v, dx, _, _ = p.Gradient(LogOdds, x)
			dx = slices.Clone(dx)
		}}
		if _, err := method.Run(context.Background(), m, []Task{b.task()}, Options{Eps: 0.001}); err != nil {
			t.Fatal(err)
		}
		return v, dx
	}
	v, dx := look(b.model)
	w, dw := look(mean)
	if math.Abs(v-w) > 1e-12 || v == 0 {
		t.Errorf("loss %v, mean of five equal ones %v", v, w)
	}
	for i := range dx {
		if math.Abs(dx[i]-dw[i]) > 1e-12 {
			t.Errorf("input %d: gradient %v, mean %v", i, dx[i], dw[i])
		}
	}
}
