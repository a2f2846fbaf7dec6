package evasion

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// witness remembers what an oracle is asked, round by round.
type witness struct {
	oracle access.Labels
	x      [][]float64
	labels [][]int
}

func (w *witness) Dims() (inputs, classes int) { return w.oracle.Dims() }

func (w *witness) Labels(ctx context.Context, b access.Batch, labels []int) error {
	err := w.oracle.Labels(ctx, b, labels)
	w.x, w.labels = append(w.x, slices.Clone(b.X)), append(w.labels, slices.Clone(labels))
	return err
}

// threeClasses is a linear oracle over [0,1]ᵈ whose classes are about equally likely, and inputs.
func threeClasses(t testing.TB, d, seeds int) (model access.Gradients, w [][]float64, points [][]float64) {
	rng := rand.New(rand.NewPCG(8, 8))
	b := make([]float64, 3)
	for j := range 3 {
		r := make([]float64, d)
		for i := range r {
			r[i] = rng.NormFloat64()
			b[j] -= r[i] / 2
		}
		w = append(w, r)
	}
	for range seeds {
		x := make([]float64, d)
		for i := range x {
			x[i] = float64(float32(rng.Float64()))
		}
		points = append(points, x)
	}
	return affine(t, w, b), w, points
}

// TestSubstitute: a substitute agrees with a linear oracle, asks as many labels as it says and never two for a point, steps by
// λ along the score of the label, up in the first rounds and down after the flip, takes a sample later, and does not depend on
// workers.
func TestSubstitute(t *testing.T) {
	const d, seeds = 8, 30
	model, w, points := threeClasses(t, d, seeds+400)
	o := SubstituteOptions{Hidden: []int{32}, Rounds: 5, Epochs: 100, Flip: 2, Full: 2, Sample: 50, Lower: make([]float64, d),
		Upper: slices.Repeat([]float64{1}, d)}
	var first []float64
	for workers := 1; workers <= 3; workers += 2 {
		o.Workers = workers
		counted, count := access.Count(access.OnlyLabels(model))
		oracle := &witness{oracle: counted.(access.Labels)}
		m, queries, err := TrainSubstitute(context.Background(), oracle, points[:seeds], o)
		if err != nil {
			t.Fatal(err)
		}
		sizes := []int{30, 30, 60, 50, 50} // 30, doubled twice, then samples
		if queries != 220 || count.Labels() != queries {
			t.Errorf("%d queries, the oracle was asked %d, want 220", queries, count.Labels())
		}
		var known []float64
		var labels []int
		for k, x := range oracle.x {
			if len(x) != sizes[k]*d {
				t.Fatalf("round %d: %d points, want %d", k, len(x)/d, sizes[k])
			}
			along, late := 0.0, 0
			for p := 0; k > 0 && p < len(x); p += d {
				from := parent(known, x[p:p+d])
				if from < 0 {
					t.Fatalf("round %d: a point that is not a step of 0.1 from a known one", k)
				}
				if from >= o.Sample {
					late++
				}
				rise := 0.0 // of the label's score over the others
				for i := range d {
					own := labels[from]
					other := (w[(own+1)%3][i] + w[(own+2)%3][i]) / 2
					rise += (w[own][i] - other) * (x[p+i] - known[from*d+i])
				}
				along += math.Copysign(1, rise)
			}
			if k > 2 && late < 10 {
				t.Errorf("round %d: only %d of the sample come after the first %d", k, late, o.Sample)
			}
			if up := k <= 2; k > 0 && (up && along < 0.6*float64(len(x)/d) || !up && along > -0.6*float64(len(x)/d)) {
				t.Errorf("round %d: %v of %d steps more raise the score of the label than lower it", k, along, len(x)/d)
			}
			known, labels = append(known, x...), append(labels, oracle.labels[k]...)
		}
		agree := 0
		y, z := make([]float64, 3), make([]float64, 3)
		var all []float64
		for _, x := range points[seeds:] {
			b := access.Batch{N: 1, X: x, Draws: []uint64{0}}
			if err := errors.Join(m.Scores(context.Background(), b, y), model.Scores(context.Background(), b, z)); err != nil {
				t.Fatal(err)
			}
			all = append(all, y...)
			if access.Argmax(y) == access.Argmax(z) {
				agree++
			}
		}
		t.Logf("agrees on %d of 400 after %d labels", agree, queries)
		if agree < 320 {
			t.Errorf("agrees on %d of 400", agree)
		}
		if first == nil {
			first = all
		} else if !slices.Equal(first, all) {
			t.Error("another substitute with other workers")
		}
	}
}

// parent returns which known point x is one step from: every input ±0.1, less only at the ends of the box; −1 if none.
func parent(known, x []float64) int {
	for p := 0; p < len(known); p += len(x) {
		ok, moved := true, 0
		for i, v := range x {
			s := math.Abs(v - known[p+i])
			if s > 0 {
				moved++
			}
			ok = ok && v >= 0 && v <= 1 && (math.Abs(s-0.1) < 1e-6 || s < 0.1 && (v == 0 || v == 1))
		}
		if ok && moved > 0 {
			return p / len(x)
		}
	}
	return -1
}

// TestSubstituteTransfer: attacks with the gradients of a substitute fool an oracle of which only labels are seen.
func TestSubstituteTransfer(t *testing.T) {
	const d, seeds = 8, 30
	model, _, points := threeClasses(t, d, seeds+40)
	m, _, err := TrainSubstitute(context.Background(), access.OnlyLabels(model), points[:seeds], SubstituteOptions{Hidden: []int{32},
		Lower: make([]float64, d), Upper: slices.Repeat([]float64{1}, d)})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, x := range points[seeds:] {
		y := make([]float64, 3)
		if err := model.Scores(context.Background(), access.Batch{N: 1, X: x, Draws: []uint64{0}}, y); err != nil {
			t.Fatal(err)
		}
		label := access.Argmax(y)
		task := Task{X: x, Lower: make([]float64, d), Upper: slices.Repeat([]float64{1}, d), Goal: Untargeted(label, 3)}
		if attack(t, "pgd", model, task, Options{Norm: Linf, Eps: 0.3}).Status != Found {
			continue
		}
		found["all"]++
		opt := Options{Norm: Linf, Eps: 0.3, Surrogate: m}
		if r := attack(t, "pgd", access.OnlyLabels(model), task, opt); r.Status == Found {
			found["transferred"]++
			if r.Gradients != 0 || r.Queries < 2 {
				t.Errorf("%d gradients and %d queries of the oracle", r.Gradients, r.Queries)
			}
		}
	}
	t.Logf("%d of %d", found["transferred"], found["all"])
	if found["all"] < 20 || found["transferred"] < found["all"]*9/10 {
		t.Errorf("%d of %d transfer", found["transferred"], found["all"])
	}
}

// TestSubstituteLimits: a budget is kept to the last label; what does not fit is refused; a cancelled training ends with the
// error.
func TestSubstituteLimits(t *testing.T) {
	model, _, points := threeClasses(t, 4, 20)
	ctx := context.Background()
	for _, limit := range []int{7, 20, 50} {
		counted, count := access.Count(access.OnlyLabels(model))
		o := SubstituteOptions{Hidden: []int{8}, Queries: limit, Epochs: 1, Last: 1}
		_, queries, err := TrainSubstitute(ctx, counted.(access.Labels), points, o)
		if err != nil || queries != limit || count.Labels() != limit {
			t.Errorf("limit %d: %d queries, %d asked, %v", limit, queries, count.Labels(), err)
		}
	}
	for what, c := range map[string]struct {
		seeds [][]float64
		o     SubstituteOptions
	}{
		"no inputs": {nil, SubstituteOptions{}}, "size": {[][]float64{{1}}, SubstituteOptions{}},
		"NaN":     {[][]float64{{1, 2, math.NaN(), 3}}, SubstituteOptions{}},
		"outside": {points, SubstituteOptions{Lower: make([]float64, 4), Upper: make([]float64, 4)}},
		"rounds":  {points, SubstituteOptions{Rounds: -1}}, "rate": {points, SubstituteOptions{Rate: math.NaN()}},
		"queries": {points, SubstituteOptions{Queries: -1}}, "hidden": {points, SubstituteOptions{Hidden: []int{-3}}},
	} {
		if _, queries, err := TrainSubstitute(ctx, access.OnlyLabels(model), c.seeds, c.o); err == nil || queries != 0 {
			t.Errorf("%s: %d queries, error %v", what, queries, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err := TrainSubstitute(cancelled, access.OnlyLabels(model), points, SubstituteOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
