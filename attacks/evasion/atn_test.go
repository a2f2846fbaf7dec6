package evasion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// TestATN: on a linear classifier a trained network perturbs inputs it has not seen, of both classes, beyond the analytic distance and
// inside ball and box; the result does not depend on the number of workers.
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
			a, err := TrainATN(context.Background(), b.model, seen, ATNOptions{Eps: eps, Hidden: []int{24}, Steps: 800, Seed: 2, Workers: workers})
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
