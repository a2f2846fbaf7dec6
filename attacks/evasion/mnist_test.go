package evasion

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
)

// TestBlackBoxDigits measures the attacks without gradients on handwritten digits, if CERTIFY_BENCH names a folder that has
// them and the networks of VNN-COMP, and CERTIFY_BLACKBOX is set: it takes minutes and says what it saw.
func TestBlackBoxDigits(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" || os.Getenv("CERTIFY_BLACKBOX") == "" {
		t.Skip("CERTIFY_BENCH or CERTIFY_BLACKBOX is not set")
	}
	g, err := onnx.ReadFile(filepath.Join(root, "vnncomp/mnist_fc/onnx/mnist-net_256x2.onnx.gz"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	model := access.Program(p)
	set, err := data.Open("mnist:test[100:400]", data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	const n = 784
	var tasks []Task
	for k := 0; len(tasks) < 100; k++ {
		x, y := set.Item(k), make([]float64, 10)
		if err := model.Scores(context.Background(), access.Batch{N: 1, X: x, Draws: []uint64{0}}, y); err != nil {
			t.Fatal(err)
		}
		if label := set.Labels[k]; access.Argmax(y) == label {
			task := Task{X: x, Lower: make([]float64, n), Upper: slices.Repeat([]float64{1}, n), Goal: Untargeted(label, 10)}
			tasks = append(tasks, task)
		}
	}
	// Each line is the norm, the radius, the budget, the attack, how many images must fall and, without a radius, the median
	// distance that must be reached.
	for _, c := range []struct {
		norm     Norm
		eps      float64
		queries  int
		attack   string
		found    int
		distance float64
	}{
		{Linf, 0.1, 0, "pgd", 90, 0}, {Linf, 0.1, 5000, "square", 90, 0}, {Linf, 0.1, 5000, "nes", 83, 0},
		{Linf, 0.1, 5000, "spsa", 83, 0},
		{Linf, 0.1, 5000, "bandits", 82, 0}, {Linf, 0.15, 5000, "square", 92, 0}, {Linf, 0.15, 5000, "nes", 90, 0},
		{Linf, 0.15, 5000, "spsa", 90, 0}, {Linf, 0.15, 5000, "bandits", 90, 0}, {Linf, 0.05, 5000, "square", 60, 0},
		{L2, 1, 0, "pgd", 64, 0}, {L2, 1, 5000, "square", 50, 0}, {L2, 1, 5000, "nes", 55, 0}, {L2, 1, 5000, "spsa", 58, 0},
		{L2, 1, 5000, "bandits", 50, 0}, {L1, 10, 5000, "square", 1, 0},
		{L2, math.Inf(1), 0, "ddn", 88, 0.67}, {L2, math.Inf(1), 10000, "zoo", 99, 0.65}, {L2, math.Inf(1), 10000, "boundary", 99, 0.7},
		{L2, math.Inf(1), 10000, "hopskipjump", 99, 0.69}, {Linf, math.Inf(1), 10000, "hopskipjump", 99, 0.047},
		{L0, math.Inf(1), 2000, "pointwise", 99, 22},
	} {
		m, params, err := Parse(c.attack)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		opt := Options{Norm: c.norm, Eps: c.eps, Params: params, Queries: c.queries, Shape: []int{1, 28, 28}, Seed: 1}
		r, err := m.Run(context.Background(), model, tasks, opt)
		if err != nil {
			t.Fatal(err)
		}
		found, queries, distance := summary(r)
		t.Logf("%-4v %-5v %5d queries, %-12s found %3d of %d after a median of %5d queries, median distance %.4f, %v", c.norm, c.eps,
			c.queries, c.attack, found, len(tasks), queries, distance, time.Since(start).Round(10*time.Millisecond))
		if found < c.found || c.distance > 0 && distance > c.distance {
			t.Errorf("%v %v %s: %d found at a median distance of %v, want %d, %v", c.norm, c.eps, c.attack, found, distance,
				c.found, c.distance)
		}
	}
	transfer(t, model, tasks)
}

// summary returns how many attacks succeeded, the median of their queries, and the median distance of all.
func summary(r []Result) (found, queries int, distance float64) {
	var q []int
	var d []float64
	for _, r := range r {
		if r.Status == Found {
			q = append(q, r.Queries)
		}
		d = append(d, r.Distance)
	}
	slices.Sort(q)
	slices.Sort(d)
	if len(q) > 0 {
		queries = q[len(q)/2]
	}
	return len(q), queries, d[len(d)/2]
}

// transfer attacks labels alone through a substitute whose seeds are other images.
func transfer(t *testing.T, model access.Gradients, tasks []Task) {
	var seeds [][]float64
	for _, task := range tasks[50:] {
		seeds = append(seeds, task.X)
	}
	start := time.Now()
	m, queries, err := TrainSubstitute(context.Background(), access.OnlyLabels(model), seeds,
		SubstituteOptions{Lower: tasks[0].Lower, Upper: tasks[0].Upper})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start).Round(10 * time.Millisecond)
	for _, eps := range []float64{0.1, 0.2, 0.3} {
		pgd, _ := Lookup("pgd")
		r, err := pgd.Run(context.Background(), access.OnlyLabels(model), tasks[:50], Options{Norm: Linf, Eps: eps, Surrogate: m})
		if err != nil {
			t.Fatal(err)
		}
		found, _, _ := summary(r)
		t.Logf("substitute of %d labels in %v: %d of 50 fall to pgd at %v", queries, took, found, eps)
		if eps == 0.3 && found < 40 {
			t.Errorf("%d of 50 transfer", found)
		}
	}
}
