package sdp

import (
	"context"
	"math"
	"testing"

	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/relax/loss"
)

// TestObjective runs the loss on fixed weights until the bounds have converged: then the worst logits are those of the certificate, and
// the gradient is the derivative of the loss.
func TestObjective(t *testing.T) {
	ctx := context.Background()
	net, err := train.New[float64](4, []int{3}, train.Dense{Out: 4}, train.ReLU{}, train.Dense{Out: 3})
	if err != nil {
		t.Fatal(err)
	}
	program := tape.New[float64](3, len(net.Weights))
	rec, err := NewObjective[float64](loss.Settings{Eps: 0.1}, RegulariserOptions{Sweeps: 60}).Record(program, net)
	if err != nil {
		t.Fatal(err)
	}
	run := tape.NewRunner(program, tape.Options{Outputs: []tape.Value{rec.Logits, *rec.Worst}})
	rec.Begin(train.Moment{}, run.Set)
	b := tape.Batch[float64]{X: []float64{0.3, -0.2, 0.9, -1, 0.5, 0.1}, Labels: []int{2, 0}}
	value := func() (float64, []float64) {
		var v float64
		var g []float64
		for range 4 {
			if v, g, err = run.Descend(ctx, net.Weights, b, rec.Loss); err != nil {
				t.Fatal(err)
			}
		}
		return v, append([]float64(nil), g...)
	}
	net.RoundFloat32()
	_, grad := value()
	g, err := net.Graph()
	if err != nil {
		t.Fatal(err)
	}
	c, err := TwoLayer(ctx, g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for row, y := range b.Labels {
		m, err := c.Margins(b.X[3*row:3*row+3], y, 0.1)
		if err != nil {
			t.Fatal(err)
		}
		worst := run.Output(1)[3*row:]
		for k := range 3 {
			if d := worst[y] - worst[k]; k != y && math.Abs(d-m[k]) > 1e-4 {
				t.Errorf("row %d class %d: the loss bounds the lead by %v, the certificate by %v", row, k, d, m[k])
			}
		}
	}
	const h = 1e-5
	for i, old := range net.Weights {
		net.Weights[i] = old + h
		up, _ := value()
		net.Weights[i] = old - h
		down, _ := value()
		net.Weights[i] = old
		if d := (up - down) / (2 * h); math.Abs(d-grad[i]) > 1e-3*max(1, math.Abs(d)) {
			t.Errorf("weight %d: gradient %v, differences say %v", i, grad[i], d)
		}
	}
	other, err := train.New[float64](4, []int{3}, train.Dense{Out: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewObjective[float64](loss.Settings{}, RegulariserOptions{}).Record(tape.New[float64](3, len(other.Weights)), other); err == nil {
		t.Error("one layer: accepted")
	}
}
