package masked

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// toy draws pictures of three classes: one of three bars, on a grey ground, with noise.
func toy(seed uint64, n int) *data.Set {
	rng := rand.New(rand.NewPCG(seed, 4))
	s := &data.Set{Shape: []int{1, 8, 8}}
	for i := range n {
		y := rng.IntN(3)
		for k := range 64 {
			v := 0.3 + 0.1*rng.NormFloat64()
			if k/16 == y {
				v += 0.35
			}
			s.X = append(s.X, float64(float32(min(max(v, 0), 1))))
		}
		s.Labels = append(s.Labels, y)
		s.Names = append(s.Names, strconv.Itoa(i))
	}
	return s
}

func toyLab(workers int) *Lab {
	return &Lab{Train: toy(1, 1500), Test: toy(2, 60), Classes: 3, Hidden: []int{24}, Epochs: 12, Seed: 1, Workers: workers}
}

// named returns the defences whose names begin with the words.
func named(words ...string) []Defence {
	return slices.DeleteFunc(Defences(), func(d Defence) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(d.Name, w) })
	})
}

// TestMaskedAccuracyIsNotRobustness: under the common attack, defences that round or saturate look robust where the undefended
// network has nothing left; seen through, nothing is left of them. Adversarial training alone does not depend on who looks.
func TestMaskedAccuracyIsNotRobustness(t *testing.T) {
	l := toyLab(0)
	l.Report = func(s string) { t.Log(s) }
	const eps = 0.25
	rows, err := l.Run(context.Background(), named("none", "8 grey", "thermometer", "distillation"), []float64{eps})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 {
		t.Fatalf("%d rows", len(rows))
	}
	bare := rows[0]
	if bare.Clean < 0.95 || bare.Plain[0] > 0.05 {
		t.Fatalf("the undefended network: %.3f clean, %.3f attacked", bare.Clean, bare.Plain[0])
	}
	for _, r := range rows[1:] {
		if r.Clean < 0.95 {
			t.Errorf("%s: %.3f clean", r.Name, r.Clean)
		}
		if r.Plain[0] < 0.5 {
			t.Errorf("%s: %.3f under the common attack: it masks nothing", r.Name, r.Plain[0])
		}
		if r.Seen[0] > 0.05 {
			t.Errorf("%s: %.3f left for the attack that sees through, %.3f of the undefended network", r.Name, r.Seen[0],
				bare.Seen[0])
		}
	}
	text := Table(rows, []float64{eps})
	if n := strings.Count(text, "\n"); n != 6 || !strings.Contains(text, "| 8 grey levels | rounding | BPDA, identity |") {
		t.Errorf("table:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.Count(line, "|") != 8 {
			t.Errorf("a line of another width: %s", line)
		}
	}
}

// TestRandomisedRows: a randomised defence is measured on fresh draws, and the numbers do not depend on the workers.
func TestRandomisedRows(t *testing.T) {
	run := func(workers int) Row {
		rows, err := toyLab(workers).Run(context.Background(), named("Gaussian"), []float64{0.2})
		if err != nil {
			t.Fatal(err)
		}
		rows[0].Took = 0
		return rows[0]
	}
	a, b := run(1), run(2)
	if a.Clean != b.Clean || a.Plain[0] != b.Plain[0] || a.Seen[0] != b.Seen[0] {
		t.Errorf("one worker: %.4f %.4f %.4f, two: %.4f %.4f %.4f", a.Clean, a.Plain[0], a.Seen[0], b.Clean, b.Plain[0],
			b.Seen[0])
	}
	t.Logf("clean %.3f, single draws %.3f, averaged %.3f", a.Clean, a.Plain[0], a.Seen[0])
	if n := a.Clean * 60; math.Abs(n-math.Round(n)) < 1e-9 {
		t.Errorf("%v of 60 images are right: that is no mean over draws", n)
	}
	if a.Seen[0] > a.Plain[0] || a.Seen[0] > a.Clean-0.1 {
		t.Errorf("clean %.3f, single draws %.3f, averaged %.3f", a.Clean, a.Plain[0], a.Seen[0])
	}
}

// ripple adds a small wave of random phase to every pixel: hardly anything changes but the slope, which is as good as random for
// a draw and 1 in the mean.
type ripple struct{ n int }

func (r ripple) Dims() (int, int) { return r.n, r.n }
func (r ripple) wave(draw uint64, f func(i int, phase float64)) {
	rng := rand.New(rand.NewPCG(draw, 1))
	for i := range r.n {
		f(i, 2*math.Pi*rng.Float64())
	}
}
func (r ripple) Forward(dst, x []float64, draw uint64) {
	r.wave(draw, func(i int, phase float64) { dst[i] = x[i] + 0.005*math.Sin(2000*x[i]+phase) })
}
func (r ripple) Pull(dx, x, dy []float64, draw uint64) {
	r.wave(draw, func(i int, phase float64) { dx[i] = dy[i] * (1 + 10*math.Cos(2000*x[i]+phase)) })
}

// TestRandomSlopes: where the slope of a draw says little, single draws leave most standing and the mean of draws hardly
// anything.
func TestRandomSlopes(t *testing.T) {
	d := Defence{Name: "ripple", Random: true, build: func(ctx context.Context, l *Lab) (*subject, error) {
		n, err := l.undefended(ctx)
		return l.averaged(n, err, ripple{64}, false)
	}}
	rows, err := toyLab(0).Run(context.Background(), []Defence{d}, []float64{0.25})
	if err != nil {
		t.Fatal(err)
	}
	r := rows[0]
	if r.Clean < 0.95 || r.Plain[0] < 0.8 || r.Seen[0] > 0.05 {
		t.Errorf("clean %.3f, single draws %.3f, averaged %.3f", r.Clean, r.Plain[0], r.Seen[0])
	}
}

// TestAveragedIdentity: where the mean of draws has no gradient either, the identity on the way back helps.
func TestAveragedIdentity(t *testing.T) {
	d := Defence{Name: "rounded", build: func(ctx context.Context, l *Lab) (*subject, error) {
		n, err := l.undefended(ctx)
		if err != nil {
			return nil, err
		}
		r, err := bits(l, 3)()
		if err != nil {
			return nil, err
		}
		return l.averaged(n, nil, r, true)
	}}
	rows, err := toyLab(0).Run(context.Background(), []Defence{d}, []float64{0.25})
	if err != nil {
		t.Fatal(err)
	}
	if r := rows[0]; r.Plain[0] < 0.8 || r.Seen[0] > 0.05 {
		t.Errorf("as it is %.3f, seen through %.3f", r.Plain[0], r.Seen[0])
	}
}

// TestRunStops: a cancelled run ends with an error and without a row.
func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if rows, err := toyLab(1).Run(ctx, Defences(), []float64{0.1}); err == nil || len(rows) > 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
