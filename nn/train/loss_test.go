package train

import (
	"math"
	"math/rand/v2"
	"testing"
)

// lossCase is a kind of target.
type lossCase struct {
	name          string
	soft, weights bool
	temperature   float64
}

var lossCases = []lossCase{
	{"hard", false, false, 1}, {"hard, warm, weighted", false, true, 20},
	{"soft", true, false, 1}, {"soft, warm, weighted", true, true, 3},
}

// samples draws targets. The rows of soft labels are no distributions: the gradient must be right all the same.
func (c lossCase) samples(classes, rows int) *Samples[float64] {
	r := rand.New(rand.NewPCG(5, uint64(classes)))
	s := &Samples[float64]{}
	for i := range rows {
		s.Labels = append(s.Labels, r.IntN(classes))
		if c.weights {
			s.Weights = append(s.Weights, float64(i)+0.5)
		}
	}
	for i := 0; c.soft && i < rows*classes; i++ {
		s.Soft = append(s.Soft, r.Float64())
	}
	return s
}

// TestCrossEntropyKnown compares with values worked out by hand.
func TestCrossEntropyKnown(t *testing.T) {
	ln3 := math.Log(3)
	for _, c := range []struct {
		name        string
		logits      []float64
		s           Samples[float64]
		temperature float64
		loss        float64
		grad        []float64
	}{
		{"p = 1/4, 3/4", []float64{0, ln3}, Samples[float64]{Labels: []int{0}}, 1, math.Log(4), []float64{-0.75, 0.75}},
		{"at temperature 2", []float64{0, 2 * ln3}, Samples[float64]{Labels: []int{1}}, 2, math.Log(4.0 / 3), []float64{0.125, -0.125}},
		{"soft", []float64{0, ln3}, Samples[float64]{Soft: []float64{0.5, 0.5}}, 1, math.Log(4) - ln3/2, []float64{-0.25, 0.25}},
		{"λ = 3 on the second row", []float64{0, ln3, 0, ln3}, Samples[float64]{Labels: []int{0, 1}, Weights: []float64{1, 3}}, 1,
			(math.Log(4) + 3*math.Log(4.0/3)) / 4, []float64{-0.1875, 0.1875, 0.1875, -0.1875}},
		{"weight 0", []float64{0, ln3}, Samples[float64]{Labels: []int{0}, Weights: []float64{0}}, 1, 0, []float64{0, 0}},
	} {
		grad := []float64{9, 9, 9, 9}[:len(c.logits)]
		if loss := CrossEntropy(grad, c.logits, 2, &c.s, c.temperature); math.Abs(loss-c.loss) > 1e-15 {
			t.Errorf("%s: loss %v, want %v", c.name, loss, c.loss)
		}
		near(t, c.name, grad, c.grad, 1e-15)
	}
}

// TestCrossEntropyExtremes wants all digits where p rounds to 1, and finite numbers where exp would overflow.
func TestCrossEntropyExtremes(t *testing.T) {
	grad := make([]float64, 2)
	loss := CrossEntropy(grad, []float64{0, -50}, 2, &Samples[float64]{Labels: []int{0}}, 1)
	p := math.Exp(-50)
	if math.Abs(loss/p-1) > 1e-15 || math.Abs(grad[0]/-p-1) > 1e-15 || math.Abs(grad[1]/p-1) > 1e-15 {
		t.Errorf("p is 1−exp(−50): loss %v, gradient %v, want %v", loss, grad, p)
	}
	loss = CrossEntropy(grad, []float64{1e5, -1e5}, 2, &Samples[float64]{Labels: []int{1}}, 1)
	if loss != 2e5 || grad[0] != 1 || grad[1] != -1 {
		t.Errorf("logits ±1e5: loss %v, gradient %v", loss, grad)
	}
	nan, inf := math.NaN(), math.Inf(1)
	for _, z := range [][]float64{{nan, 0}, {0, nan}, {inf, 0}, {0, inf}, {-inf, -inf}} {
		for y := range 2 {
			if loss := CrossEntropy(grad, z, 2, &Samples[float64]{Labels: []int{y}}, 1); loss-loss == 0 {
				t.Errorf("logits %v, label %d: loss %v is finite", z, y, loss)
			}
		}
	}
}

func TestSoftmaxAndCorrect(t *testing.T) {
	z := []float64{0, 2 * math.Log(3), 5, 5}
	if n := Correct(z, 2, []int{1, 0}); n != 2 {
		t.Errorf("%d rows are right, want 2: of equals the first counts", n)
	}
	if n := Correct(z, 2, []int{0, 1}); n != 0 {
		t.Errorf("%d rows are right, want none", n)
	}
	Softmax(z, 2, 2)
	near(t, "probabilities", z, []float64{0.25, 0.75, 0.5, 0.5}, 1e-15)
}
