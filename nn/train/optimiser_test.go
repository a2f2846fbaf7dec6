package train

import (
	"math"
	"testing"
)

// TestSteps compares the first steps of each optimiser with those worked out by hand.
func TestSteps(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     Optimiser
		keep  float64
		grads []float64
		want  []float64 // of the parameter that starts at 1, at rate 0.1
	}{
		{"SGD", SGD{}, 1, []float64{2, -1}, []float64{0.8, 0.9}},
		{"momentum", SGD{Momentum: 0.5}, 1, []float64{2, -1, 0}, []float64{0.8, 0.8, 0.8}},
		{"decay", SGD{}, 0.5, []float64{2, 0}, []float64{0.3, 0.15}},
		// The first step of Adam is the rate in the direction of −g, whatever the size of g.
		{"Adam", Adam{}, 1, []float64{1e-3}, []float64{1 - 0.1*1e-3/(1e-3+1e-8)}},
		// m = 0.5·1+0.5·3 = 2 over 1−0.25, v = 0.75·0.25·4²… with β = 0.5, 0.75 and gradients 2, 3:
		// m₁ = 1, m₂ = 2; v₁ = 1, v₂ = 0.75+0.25·9 = 3; corrected m₂ = 8/3, v₂ = 3/(1−9/16) = 48/7.
		{"Adam twice", Adam{Beta1: 0.5, Beta2: 0.75, Epsilon: 1e-300}, 1, []float64{2, 3},
			[]float64{0.9, 0.9 - 0.1*(8.0/3)/math.Sqrt(48.0/7)}},
		{"AdamW", Adam{Epsilon: 1e-300}, 0.5, []float64{-4}, []float64{0.6}},
	} {
		s := newStepper[float64](c.o, 3)
		w := []float64{0, 0, 1}
		for i, g := range c.grads {
			s.Begin(0.1)
			s.Update(2, w[2:], []float64{g}, c.keep)
			if math.Abs(w[2]-c.want[i]) > 1e-15 {
				t.Errorf("%s, step %d: %v, want %v", c.name, i+1, w[2], c.want[i])
			}
		}
	}
}

// TestDecay wants weights, not biases, to lose rate·decay in a step whose gradient is 0.
func TestDecay(t *testing.T) {
	net := mustNew[float64](t, 1, []int{1}, Dense{2}, Dense{1}) // one class: no gradient
	want := append([]float64(nil), net.Weights...)
	for _, i := range []int{0, 1, 4, 5} {
		want[i] *= 1 - 0.5*0.25
	}
	data := &Samples[float64]{X: []float64{1}, Labels: []int{0}}
	if _, err := Fit(ctx, net, data, Recipe{Optimiser: SGD{}, LR: 0.5, WeightDecay: 0.25}, Hooks[float64]{}); err != nil {
		t.Fatal(err)
	}
	near(t, "parameters", net.Weights, want, 1e-16)
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Schedule
		t, v float64
	}{
		{"step", StepDecay(0.1, 0.5, 0.75), 0.49, 1},
		{"step", StepDecay(0.1, 0.5, 0.75), 0.5, 0.1},
		{"step", StepDecay(0.1, 0.5, 0.75), 0.9, 0.01},
		{"cosine", Cosine(), 0, 1},
		{"cosine", Cosine(), 0.5, 0.5},
		{"cosine", Cosine(), 1, 0},
		{"one cycle", OneCycle(), 0, 0.04},
		{"one cycle", OneCycle(), 0.15, 0.52},
		{"one cycle", OneCycle(), 0.3, 1},
		{"one cycle", OneCycle(), 1, 4e-6},
	} {
		if v := c.s(c.t); math.Abs(v-c.v) > 1e-15 {
			t.Errorf("%s at %v: %v, want %v", c.name, c.t, v, c.v)
		}
	}
}
