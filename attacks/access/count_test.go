package access

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// sum is a model whose first output is the sum of the inputs, the second 1.
type sum struct{ fail error }

func (m sum) Dims() (inputs, outputs int) { return 3, 2 }

func (m sum) Scores(_ context.Context, b Batch, y []float64) error {
	for i := range b.N {
		y[2*i], y[2*i+1] = b.X[3*i]+b.X[3*i+1]+b.X[3*i+2], 1
	}
	return m.fail
}

func (m sum) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	if err := m.Scores(ctx, b, y); err != nil {
		return err
	}
	dy := make([]float64, 2)
	for i := range b.N {
		clear(dy)
		pull(i, y[2*i:2*i+2], dy)
		for k := range 3 {
			dx[3*i+k] = dy[0]
		}
	}
	return nil
}

// TestCount: a counted model answers like its original, has the same level of access, and counts every point once, from several
// goroutines and when the model fails.
func TestCount(t *testing.T) {
	ctx := context.Background()
	x := []float64{1, 2, 3, 0.25, 0.25, 0.25}
	b := Batch{N: 2, X: x, Draws: make([]uint64, 2)}
	for _, fail := range []error{nil, errors.New("fails")} {
		m := sum{fail}
		for level, model := range []any{OnlyLabels(m), OnlyScores(m), m} {
			counted, c := Count(model)
			_, scores := counted.(Scores)
			_, gradients := counted.(Gradients)
			if _, labels := counted.(Labels); labels != (level == 0) || scores != (level >= 1) || gradients != (level == 2) {
				t.Errorf("level %d: the counted model is a %T", level, counted)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					labels, y, dx := make([]int, 2), make([]float64, 4), make([]float64, 6)
					for range 25 {
						var err error
						ok := true
						switch m := counted.(type) {
						case Gradients:
							err = m.Gradients(ctx, b, y, func(i int, y, dy []float64) { dy[0] = y[0] + float64(i) }, dx)
							ok = y[0] == 6 && y[2] == 0.75 && dx[0] == 6 && dx[5] == 1.75
							if err2 := m.Scores(ctx, b, y); !errors.Is(err2, fail) {
								t.Errorf("scores: %v, want %v", err2, fail)
							}
						case Scores:
							err = m.Scores(ctx, b, y)
							ok = y[0] == 6 && y[2] == 0.75
						case Labels:
							err = m.Labels(ctx, b, labels)
							ok = labels[0] == 0 && labels[1] == 1
						}
						if !errors.Is(err, fail) || fail == nil && !ok {
							t.Errorf("level %d: %v, answers right: %v", level, err, ok)
						}
					}
				})
			}
			wg.Wait()
			const n = 8 * 25 * 2
			want := [][3]int{{n, 0, 0}, {0, n, 0}, {0, n, n}}[level]
			if got := [3]int{c.Labels(), c.Scores(), c.Gradients()}; got != want || c.Queries() != want[0]+want[1] {
				t.Errorf("level %d: counted %v, want %v", level, got, want)
			}
			if in, out := counted.(interface{ Dims() (int, int) }).Dims(); in != 3 || out != 2 {
				t.Errorf("level %d: %d inputs and %d outputs", level, in, out)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for what is no model")
		}
	}()
	Count(3)
}
