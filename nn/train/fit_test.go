package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// rings are n points of the square [−2,2]², labelled by which of three rings around 0 they lie in.
func rings[T float32 | float64](seed uint64, n int) *Samples[T] {
	r := rand.New(rand.NewPCG(seed, 3))
	s := &Samples[T]{}
	for range n {
		x, y := 4*r.Float64()-2, 4*r.Float64()-2
		s.X = append(s.X, T(x), T(y))
		s.Labels = append(s.Labels, min(int(math.Hypot(x, y)), 2))
	}
	return s
}

func accuracy[T float32 | float64](t *testing.T, net *Net[T], s *Samples[T]) float64 {
	t.Helper()
	logits, err := net.Logits(ctx, s.X, 2)
	if err != nil {
		t.Fatal(err)
	}
	return float64(Correct(logits, net.Classes(), s.Labels)) / float64(len(s.Labels))
}

// TestLearnsRings wants every optimiser and schedule to learn a problem that no linear classifier solves.
func TestLearnsRings(t *testing.T) {
	train, test := rings[float32](1, 4000), rings[float32](2, 1000)
	for _, r := range []Recipe{
		{Epochs: 10, Batch: 50, LR: 0.01, Schedule: OneCycle()},
		{Epochs: 10, Batch: 50, Optimiser: SGD{Momentum: 0.9}, Schedule: Cosine(), WeightDecay: 1e-4},
	} {
		start := time.Now()
		net := mustNew[float32](t, 1, []int{2}, Dense{32}, ReLU{}, Dense{32}, ReLU{}, Dense{3})
		p, err := Fit(ctx, net, train, r, Hooks[float32]{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%T: %v", r.Optimiser, time.Since(start))
		if a := accuracy(t, net, test); a < 0.95 || p.Accuracy < 0.95 {
			t.Errorf("%T: %.3f of the test and %.3f of the training points are right", r.Optimiser, a, p.Accuracy)
		}
		if p.Step != 800 || p.Steps != 800 || p.Epoch != 10 || p.Left != 0 {
			t.Errorf("%T: %+v", r.Optimiser, p)
		}
	}
}

// TestDistil trains a student on a teacher's soft labels alone.
func TestDistil(t *testing.T) {
	const temperature = 4
	train := rings[float64](1, 2000)
	teacher := mustNew[float64](t, 1, []int{2}, Dense{32}, ReLU{}, Dense{3})
	recipe := Recipe{Epochs: 15, Batch: 50, LR: 0.02, Temperature: temperature}
	if _, err := Fit(ctx, teacher, train, recipe, Hooks[float64]{}); err != nil {
		t.Fatal(err)
	}
	soft, err := teacher.Logits(ctx, train.X, 1)
	if err != nil {
		t.Fatal(err)
	}
	Softmax(soft, 3, temperature)
	student := mustNew[float64](t, 2, []int{2}, Dense{32}, ReLU{}, Dense{3})
	p, err := Fit(ctx, student, &Samples[float64]{X: train.X, Soft: soft}, recipe, Hooks[float64]{})
	if err != nil || !math.IsNaN(p.Accuracy) {
		t.Errorf("accuracy %v without labels, error %v", p.Accuracy, err)
	}
	test := rings[float64](2, 1000)
	a, b := accuracy(t, teacher, test), accuracy(t, student, test)
	if a < 0.93 || b < a-0.02 {
		t.Errorf("the teacher has %.3f right, the student %.3f", a, b)
	}
}

// fitWith trains a small network with noise and decay and returns its parameters.
func fitWith(t *testing.T, r Recipe, h Hooks[float32]) []float32 {
	t.Helper()
	net := mustNew[float32](t, 1, []int{2}, Dense{150}, ReLU{}, Dense{100}, ReLU{}, Dense{3})
	if _, err := Fit(ctx, net, rings[float32](1, 250), r, h); err != nil {
		t.Fatal(err)
	}
	return net.Weights
}

// TestFitDeterministic wants the same bytes from every number of workers and others from another seed.
func TestFitDeterministic(t *testing.T) {
	for _, o := range []Optimiser{Adam{}, SGD{Momentum: 0.9}} {
		r := Recipe{Epochs: 2, Batch: 100, Optimiser: o, WeightDecay: 0.1, Noise: 0.1, Seed: 7, Workers: 1}
		one := fitWith(t, r, Hooks[float32]{})
		for _, workers := range []int{0, 2, 5} {
			r.Workers = workers
			if !slices.Equal(one, fitWith(t, r, Hooks[float32]{})) {
				t.Errorf("%T: %d workers give other parameters than one", o, workers)
			}
		}
		r.Seed = 8
		if slices.Equal(one, fitWith(t, r, Hooks[float32]{})) {
			t.Errorf("%T: another seed gives the same parameters", o)
		}
	}
}

// TestStepAllocatesNothing measures steps with everything on, for one worker and several.
func TestStepAllocatesNothing(t *testing.T) {
	for _, workers := range []int{1, 3} {
		net := mustNew[float32](t, 1, []int{1, 8, 8}, Conv2D{Out: 4, Kernel: 3, Stride: 2, Pad: 1}, ReLU{}, Dense{20}, ReLU{}, Dense{3})
		data := &Samples[float32]{X: normal[float32](1, 200*64), Labels: make([]int, 200)}
		r, err := Recipe{Epochs: 1000, Batch: 100, Workers: workers, Noise: 0.1, WeightDecay: 0.1, Schedule: OneCycle()}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		extend := func(_ context.Context, _ *Net[float32], b *Samples[float32]) error {
			b.X = append(b.X, b.X[:64]...)
			b.Labels = append(b.Labels, b.Labels[0])
			return nil
		}
		tr, err := newTrainer(net, data, r, Hooks[float32]{Augment: extend})
		if err != nil {
			t.Fatal(err)
		}
		tr.shuffle()
		over, cancel := context.WithCancel(ctx)
		defer cancel()
		step := func() {
			if len(tr.order) == 0 {
				tr.order = tr.perm
			}
			if err := tr.step(over); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			step()
		}
		if n := testing.AllocsPerRun(100, step); n != 0 {
			t.Errorf("%d workers: %v allocations in a step", workers, n)
		}
	}
}

// TestAugment checks what the hook sees and that what it does reaches the loss.
func TestAugment(t *testing.T) {
	r := Recipe{Batch: 100, Workers: 1, Optimiser: SGD{}, LR: 0.01}
	plain := fitWith(t, r, Hooks[float32]{})
	var rows []int
	doubled := fitWith(t, r, Hooks[float32]{Augment: func(_ context.Context, _ *Net[float32], b *Samples[float32]) error {
		rows = append(rows, len(b.Labels))
		if len(b.Soft)+len(b.Weights) != 0 || len(b.X) != 2*len(b.Labels) {
			return fmt.Errorf("%d numbers, %d labels, %d soft, %d weights", len(b.X), len(b.Labels), len(b.Soft), len(b.Weights))
		}
		// The second half is junk that counts nothing: the gradient is that of the first.
		for range len(b.Labels) {
			b.Weights = append(b.Weights, 1)
		}
		for i := range b.Labels {
			b.X = append(b.X, 100, -100)
			b.Labels = append(b.Labels, b.Labels[i])
			b.Weights = append(b.Weights, 0)
		}
		return nil
	}})
	if !slices.Equal(rows, []int{100, 100, 50}) {
		t.Errorf("the hook saw batches of %v", rows)
	}
	near(t, "parameters", doubled, plain, 1e-6)

	net := mustNew[float32](t, 1, []int{2}, Dense{3})
	sentinel := errors.New("no")
	for name, f := range map[string]func(b *Samples[float32]) error{
		"its own error": func(*Samples[float32]) error { return sentinel },
		"label":         func(b *Samples[float32]) error { b.Labels[0] = 3; return nil },
		"lengths":       func(b *Samples[float32]) error { b.X = append(b.X, 0, 0); return nil },
		"NaN":           func(b *Samples[float32]) error { b.X[0] = float32(math.NaN()); return nil },
		"empty":         func(b *Samples[float32]) error { *b = Samples[float32]{}; return nil },
	} {
		before := slices.Clone(net.Weights)
		augment := func(_ context.Context, _ *Net[float32], b *Samples[float32]) error { return f(b) }
		p, err := Fit(ctx, net, rings[float32](1, 100), Recipe{}, Hooks[float32]{Augment: augment})
		if err == nil || name == "its own error" && !errors.Is(err, sentinel) || p.Step != 0 || !slices.Equal(before, net.Weights) {
			t.Errorf("%s: error %v after %d steps", name, err, p.Step)
		}
	}
}

// TestCancel ends a long training in the middle and wants the parameters of its last step.
func TestCancel(t *testing.T) {
	net := mustNew[float32](t, 1, []int{784}, Dense{500}, ReLU{}, Dense{10})
	data := &Samples[float32]{X: normal[float32](1, 4000*784), Labels: make([]int, 4000)}
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	var last []float32
	var at time.Time
	p, err := Fit(over, net, data, Recipe{Epochs: 100, Batch: 2000, Workers: 2}, Hooks[float32]{Progress: func(p Progress) {
		last = append(last[:0], net.Weights...)
		if p.Step == 3 {
			time.AfterFunc(5*time.Millisecond, func() { at = time.Now(); cancel() })
		}
	}})
	if late := time.Since(at); !errors.Is(err, context.Canceled) || p.Step < 3 || late > 100*time.Millisecond {
		t.Errorf("%v later: error %v after %d steps", late, err, p.Step)
	}
	if !slices.Equal(last, net.Weights) {
		t.Error("the parameters are not those after the last whole step")
	}
}

// TestCancelBeforeUpdate ends the context when the gradients of the second step are ready: that step is finished.
func TestCancelBeforeUpdate(t *testing.T) {
	over, cancel := context.WithCancel(ctx)
	calls := 0
	schedule := func(float64) float64 {
		if calls++; calls == 2 {
			cancel()
		}
		return 1
	}
	net := mustNew[float32](t, 1, []int{2}, Dense{3})
	p, err := Fit(over, net, rings[float32](1, 100), Recipe{Batch: 10, Schedule: schedule}, Hooks[float32]{})
	if !errors.Is(err, context.Canceled) || p.Step != 2 {
		t.Errorf("error %v after %d steps, want 2", err, p.Step)
	}
}

// TestOneStep compares a step with the loss and gradient it is made of.
func TestOneStep(t *testing.T) {
	const temperature, rate = 3, 0.5
	data := rings[float64](1, 40)
	for i := range data.Labels {
		data.Weights = append(data.Weights, float64(i%3))
	}
	net := mustNew[float64](t, 1, []int{2}, Dense{8}, ReLU{}, Dense{3})
	pass := net.NewPass(1)
	logits, err := pass.Forward(ctx, data.X)
	if err != nil {
		t.Fatal(err)
	}
	dlogits := make([]float64, len(logits))
	loss := CrossEntropy(dlogits, logits, 3, data, temperature)
	grad, err := pass.Backward(ctx, dlogits, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(net.Weights)
	for i, g := range grad {
		want[i] -= rate / 2 * g
	}
	r := Recipe{Optimiser: SGD{}, LR: rate, Schedule: StepDecay(0.5, 0), Temperature: temperature}
	p, err := Fit(ctx, net, data, r, Hooks[float64]{})
	if err != nil || p.Step != 1 || math.Abs(p.Loss-loss) > 1e-15 || p.LR != rate/2 {
		t.Errorf("%+v, error %v, want loss %v", p, err, loss)
	}
	near(t, "parameters", net.Weights, want, 1e-15)
}

// TestBatches wants every row once per epoch, in another order each time, with its label, soft label and weight.
func TestBatches(t *testing.T) {
	const n = 100
	data := &Samples[float64]{}
	for i := range n {
		v := float64(i) / n
		data.X, data.Labels = append(data.X, v), append(data.Labels, i%2)
		data.Soft, data.Weights = append(data.Soft, v, 1-v), append(data.Weights, v)
	}
	var order []float64
	_, err := Fit(ctx, mustNew[float64](t, 1, []int{1}, Dense{2}), data, Recipe{Epochs: 2, Batch: 30}, Hooks[float64]{
		Augment: func(_ context.Context, _ *Net[float64], b *Samples[float64]) error {
			for i, v := range b.X {
				if b.Labels[i] != int(math.Round(v*n))%2 || b.Soft[2*i] != v || b.Soft[2*i+1] != 1-v || b.Weights[i] != v {
					return fmt.Errorf("row %v: label %d, soft label %v, weight %v", v, b.Labels[i], b.Soft[2*i:2*i+2], b.Weights[i])
				}
			}
			order = append(order, b.X...)
			return nil
		}})
	if err != nil || len(order) != 2*n {
		t.Fatalf("%d rows, error %v", len(order), err)
	}
	first, second := order[:n], order[n:]
	if slices.Equal(first, second) || slices.Equal(first, data.X) {
		t.Error("the rows are not shuffled anew")
	}
	slices.Sort(first)
	slices.Sort(second)
	if !slices.Equal(first, data.X) || !slices.Equal(second, data.X) {
		t.Error("an epoch is not every row once")
	}
}

// TestNoise checks the standard deviation, within four of its own.
func TestNoise(t *testing.T) {
	const n, noise = 20000, 0.25
	sum := 0.0
	_, err := Fit(ctx, mustNew[float64](t, 1, []int{1}, Dense{2}), &Samples[float64]{X: make([]float64, n), Labels: make([]int, n)},
		Recipe{Noise: noise}, Hooks[float64]{Augment: func(_ context.Context, _ *Net[float64], b *Samples[float64]) error {
			for _, v := range b.X {
				sum += v * v
			}
			return nil
		}})
	if got := sum / n / (noise * noise); err != nil || math.Abs(got-1) > 4*math.Sqrt(2.0/n) {
		t.Errorf("the variance is %v times what it should be, error %v", got, err)
	}
}

func TestDiverged(t *testing.T) {
	net := mustNew[float32](t, 1, []int{2}, Dense{30}, ReLU{}, Dense{30}, ReLU{}, Dense{3})
	_, err := Fit(ctx, net, rings[float32](1, 1000), Recipe{Epochs: 5, Batch: 10, Optimiser: SGD{}, LR: 1e15}, Hooks[float32]{})
	var d *DivergedError
	if !errors.As(err, &d) || d.Step < 2 {
		t.Errorf("a learning rate of 1e15: %v", err)
	}
}

// TestFitRefuses wants an error, not a panic, for everything that makes no sense.
func TestFitRefuses(t *testing.T) {
	nan := math.NaN()
	good := func() *Samples[float64] { return rings[float64](1, 10) }
	for name, r := range map[string]Recipe{
		"epochs": {Epochs: -1}, "batch": {Batch: -1}, "workers": {Workers: -1}, "rate": {LR: -1}, "NaN": {LR: nan},
		"infinite noise": {Noise: math.Inf(1)}, "temperature": {Temperature: -2}, "decay": {WeightDecay: nan},
		"momentum": {Optimiser: SGD{Momentum: 1}}, "beta": {Optimiser: Adam{Beta1: -1}}, "pointer": {Optimiser: (*Adam)(nil)},
	} {
		net := mustNew[float64](t, 1, []int{2}, Dense{3})
		if _, err := Fit(ctx, net, good(), r, Hooks[float64]{}); err == nil {
			t.Errorf("recipe with bad %s: accepted", name)
		}
	}
	for name, f := range map[string]func(s *Samples[float64]){
		"nothing":    func(s *Samples[float64]) { *s = Samples[float64]{} },
		"no labels":  func(s *Samples[float64]) { s.Labels = nil },
		"fewer":      func(s *Samples[float64]) { s.Labels = s.Labels[1:] },
		"half a row": func(s *Samples[float64]) { s.X = s.X[1:] },
		"label 3":    func(s *Samples[float64]) { s.Labels[4] = 3 },
		"label -1":   func(s *Samples[float64]) { s.Labels[4] = -1 },
		"NaN":        func(s *Samples[float64]) { s.X[3] = nan },
		"infinity":   func(s *Samples[float64]) { s.X[3] = math.Inf(-1) },
		"soft":       func(s *Samples[float64]) { s.Soft = make([]float64, 29) },
		"soft 2":     func(s *Samples[float64]) { s.Soft = make([]float64, 30); s.Soft[7] = 2 },
		"weights":    func(s *Samples[float64]) { s.Weights = make([]float64, 9) },
		"weight -1":  func(s *Samples[float64]) { s.Weights = make([]float64, 10); s.Weights[9] = -1 },
		"weight inf": func(s *Samples[float64]) { s.Weights = make([]float64, 10); s.Weights[9] = math.Inf(1) },
	} {
		s := good()
		f(s)
		if _, err := Fit(ctx, mustNew[float64](t, 1, []int{2}, Dense{3}), s, Recipe{}, Hooks[float64]{}); err == nil {
			t.Errorf("samples with %s: accepted", name)
		}
	}
}

// TestProgress wants means over the epoch, starting anew with each.
func TestProgress(t *testing.T) {
	net := mustNew[float64](t, 1, []int{2}, Dense{3})
	data := rings[float64](1, 10)
	logits, err := net.Logits(ctx, data.X, 1)
	if err != nil {
		t.Fatal(err)
	}
	loss := CrossEntropy(make([]float64, 30), logits, 3, data, 1)
	right := accuracy(t, net, data)
	var epochs []int
	_, err = Fit(ctx, net, data, Recipe{Epochs: 2, Batch: 4, LR: 1e-300}, Hooks[float64]{Progress: func(p Progress) {
		epochs = append(epochs, p.Epoch)
		if p.Step != len(epochs) || p.Steps != 6 || p.Epochs != 2 || p.LR != 1e-300 || p.Rate <= 0 || p.Elapsed <= 0 {
			t.Errorf("%+v", p)
		}
		if p.Step%3 == 0 && (math.Abs(p.Loss-loss) > 1e-14 || p.Accuracy != right) {
			t.Errorf("epoch %d: loss %v and accuracy %v, want %v and %v", p.Epoch, p.Loss, p.Accuracy, loss, right)
		}
	}})
	if err != nil || !slices.Equal(epochs, []int{1, 1, 1, 2, 2, 2}) {
		t.Errorf("epochs %v, error %v", epochs, err)
	}
}

// TestShift wants pictures moved by every offset within the limit and no other, with zeros moving in.
func TestShift(t *testing.T) {
	net := mustNew[float64](t, 1, []int{2, 3, 4}, Dense{2})
	data := &Samples[float64]{Labels: make([]int, 200)}
	for range data.Labels {
		x := make([]float64, 24)
		x[1*4+2], x[12+1*4+2] = 1, 2 // the same place of both channels
		data.X = append(data.X, x...)
	}
	seen := map[[2]int]int{}
	look := func(_ context.Context, _ *Net[float64], b *Samples[float64]) error {
		for x := b.X; len(x) > 0; x = x[24:] {
			at, sum := -1, 0.0
			for i, v := range x[:12] {
				if sum += v; v == 1 {
					at = i
				}
			}
			if at < 0 || sum != 1 || x[12+at] != 2 {
				t.Fatalf("picture %v", x[:24])
			}
			seen[[2]int{at/4 - 1, at%4 - 2}]++
		}
		return nil
	}
	if _, err := Fit(ctx, net, data, Recipe{Shift: 1, Batch: 50}, Hooks[float64]{Augment: look}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 9 {
		t.Errorf("shifts %v", seen)
	}
	if _, err := Fit(ctx, mustNew[float64](t, 1, []int{24}, Dense{2}), data, Recipe{Shift: 1}, Hooks[float64]{}); err == nil {
		t.Error("rows that are no pictures: accepted")
	}
}

// TestFitRefusesHuge wants counts refused whose sums overflow: with them no step was taken, and a network came out.
func TestFitRefusesHuge(t *testing.T) {
	for _, r := range []Recipe{{Epochs: math.MaxInt}, {Batch: math.MaxInt}, {Shard: math.MaxInt}} {
		net := mustNew[float32](t, 1, []int{2}, Dense{2})
		_, err := Fit(ctx, net, &Samples[float32]{X: []float32{1, 2, 3, 4}, Labels: []int{0, 1}}, r, Hooks[float32]{
			Epoch: func(State[float32], Progress) error { return errors.New("trained") }})
		if err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
