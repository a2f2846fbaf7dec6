package defense

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/train"
)

// dense returns a linear network of two classes whose first logit is w·x.
func dense(t *testing.T, w []float64) *train.Net[float64] {
	t.Helper()
	n := must(train.New[float64](1, []int{len(w)}, train.Dense{Out: 2}))
	clear(n.Weights)
	for i, v := range w {
		n.Weights[2*i] = v // [in out]
	}
	return n
}

func signs(w []float64) []float64 {
	s := make([]float64, len(w))
	for i, v := range w {
		s[i] = math.Copysign(1, v)
	}
	return s
}

// TestAugmentSteps: one step from a class-0 input goes against the signs of the weights; many end in the corner of the ball, cut
// with the valid inputs; the sources of an ensemble take turns.
func TestAugmentSteps(t *testing.T) {
	w := []float64{1, -2, 3, -0.5}
	other, third := []float64{-1, -1, 1, 1}, []float64{-1, 1, -1, 1}
	x := []float64{0.5, 0.5, 0.02, 0.99, 0.5, 0.5, 0.02, 0.99}
	want := func(w []float64, label int, eps float64) []float64 {
		v := slices.Clone(x[:4])
		for i, s := range signs(w) {
			v[i] = min(max(v[i]+eps*s*float64(2*label-1), 0), 1)
		}
		return v
	}
	net, source := dense(t, w), dense(t, other)
	for _, o := range []Perturb{{Eps: 0.1, Steps: 1, Alpha: 0.1, Still: true}, {Eps: 0.1, Steps: 20, Seed: 3}, {Eps: 0.1,
		Seed: 3}} {
		h := must(EnsembleAdversarialTraining(o, source, dense(t, third)))
		for turn, from := range [][]float64{w, other, third, w} {
			b := &train.Samples[float64]{X: slices.Clone(x), Labels: []int{0, 1}}
			if err := h(context.Background(), net, b); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				for k, v := range want(from, i, 0.1) {
					if got := b.X[4*i+k]; math.Abs(got-v) > 1e-12 {
						t.Errorf("%+v turn %d: input %d of row %d is %v, want %v", o, turn, k, i, got, v)
					}
				}
			}
		}
	}
	// a mixture: the clean rows stay, the others follow with the weight; the loss is Σ_clean L + λΣ_adv L over (m−k) + λk
	h := must(AdversarialTraining[float64](Perturb{Eps: 0.1, Steps: 1, Alpha: 0.1, Still: true, Mix: 0.3}))
	b := &train.Samples[float64]{X: slices.Clone(x), Labels: []int{0, 1}}
	if err := h(context.Background(), net, b); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.X[:8], x) || !slices.Equal(b.Labels, []int{0, 1, 0, 1}) || !slices.Equal(b.Weights, []float64{1, 1, 0.3,
		0.3}) ||
		math.Abs(b.X[8]-0.4) > 1e-12 {
		t.Errorf("a mixture: %+v", b)
	}
	logits := []float64{1, 0, 0, 1, 0, 1, 1, 0} // losses a, a, b, b
	la, lb := math.Log1p(math.Exp(-1)), math.Log1p(math.E)
	if got, want := train.CrossEntropy(make([]float64, 8), logits, 2, b,
		1), (2*la+0.3*2*lb)/(2+0.3*2); math.Abs(got-want) > 1e-12 {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// TestAugmentRefused: what makes no sense is an error.
func TestAugmentRefused(t *testing.T) {
	net := dense(t, []float64{1, 2})
	hook := func(o Perturb, s ...*train.Net[float64]) Augment[float64] {
		return must(EnsembleAdversarialTraining(o, s...))
	}
	soft := &train.Samples[float64]{X: []float64{0, 0}, Soft: []float64{0.5, 0.5}}
	both := &train.Samples[float64]{X: []float64{0, 0}, Soft: []float64{0.5, 0.5}, Labels: []int{1}}
	ctx := context.Background()
	wide := hook(Perturb{Eps: 0.1}, dense(t, []float64{1, 2, 3}))
	if err := wide(ctx, net, &train.Samples[float64]{X: []float64{0, 0}, Labels: []int{1}}); err != nil {
		t.Error(err) // its own turn
	}
	for i, err := range []error{
		second(AdversarialTraining[float64](Perturb{Eps: -1})), second(AdversarialTraining[float64](Perturb{Eps: math.NaN()})),
		second(AdversarialTraining[float64](Perturb{Lo: 2,
			Hi: 1})), second(AdversarialTraining[float64](Perturb{Mix: math.Inf(1)})),
		hook(Perturb{Eps: 0.1})(ctx, net, soft), hook(Perturb{Eps: 0.1, Mix: 1})(ctx, net, both),
		wide(ctx, net, &train.Samples[float64]{X: []float64{0, 0}, Labels: []int{1}}),
		Distill(ctx, net, dense(t, []float64{1}), both, train.Recipe{}, nil),
	} {
		if err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
}

// blobs draws points of two classes in d dimensions: every input tells them apart by twice the gap, and if wide is set, the first
// one widely, though not always.
func blobs(seed uint64, n, d int, gap float64, wide bool) *train.Samples[float64] {
	rng := rand.New(rand.NewPCG(seed, 12))
	s := &train.Samples[float64]{}
	for range n {
		y := rng.IntN(2)
		side := float64(2*y - 1)
		for k := range d {
			v := 0.5 + side*gap + 0.03*rng.NormFloat64()
			if k == 0 && wide {
				v = 0.5 + side*0.25 + 0.03*rng.NormFloat64()
				if rng.Float64() < 0.05 { // so that it pays to read the others
					v = 0.5 - side*0.2
				}
			}
			s.X = append(s.X, min(max(float64(float32(v)), 0), 1))
		}
		s.Labels = append(s.Labels, y)
	}
	return s
}

// accuracy under PGD of the given radius.
func accuracy(t *testing.T, m access.Gradients, s *train.Samples[float64], attack string, eps float64) float64 {
	t.Helper()
	d, _ := m.Dims()
	method, params, err := evasion.Parse(attack)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := unit(d)
	var tasks []evasion.Task
	for i, y := range s.Labels {
		tasks = append(tasks, evasion.Task{X: s.X[i*d : (i+1)*d], Lower: lo, Upper: hi, Goal: evasion.Untargeted(y, 2)})
	}
	r, err := method.Run(context.Background(), m, tasks, evasion.Options{Norm: evasion.Linf, Eps: eps, Params: params})
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for i := range r {
		if r[i].Status == evasion.Failed {
			left++
		}
	}
	return float64(left) / float64(len(r))
}

// TestAdversarialTraining: where the accurate features are fragile and one that is less accurate is not, plain training takes the
// fragile ones and adversarial training the other. The result does not depend on the number of workers.
func TestAdversarialTraining(t *testing.T) {
	const d, eps = 30, 0.1
	data, test := blobs(1, 1500, d, 0.02, true), blobs(2, 200, d, 0.02, true)
	fit := func(h Augment[float64], workers int) *train.Net[float64] {
		n := must(train.New[float64](3, []int{d}, train.Dense{Out: 16}, train.ReLU{}, train.Dense{Out: 2}))
		if _, err := train.Fit(context.Background(), n, data, train.Recipe{Epochs: 15, LR: 5e-3, Seed: 4, Workers: workers},
			train.Hooks[float64]{Augment: h}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	adversarial := func(workers int) *train.Net[float64] {
		return fit(must(AdversarialTraining[float64](Perturb{Eps: eps, Steps: 5, Seed: 5, Workers: workers})), workers)
	}
	plain, robust := fit(nil, 1), adversarial(1)
	if again := adversarial(2); !slices.Equal(robust.Weights, again.Weights) {
		t.Error("another number of workers, other weights")
	}
	const attack = "pgd:steps=40,loss=margin"
	a, b := must(Model(plain)), must(Model(robust))
	cleanA, cleanB, leftA, leftB := accuracy(t, a, test, attack, 0), accuracy(t, b, test, attack, 0), accuracy(t, a, test,
		attack, eps), accuracy(t, b, test, attack, eps)
	t.Logf("plain %.3f and %.3f under attack, adversarially trained %.3f and %.3f", cleanA, leftA, cleanB, leftB)
	if cleanA < 0.95 || leftA > 0.3 || cleanB < 0.9 || leftB < 0.85 {
		t.Error("adversarial training does not do what it is for")
	}
}

// TestDistillSaturates: the student is as accurate as the teacher, and cross-entropy no longer sees what the margin sees.
func TestDistillSaturates(t *testing.T) {
	const d = 30
	data, test := blobs(1, 1500, d, 0.1, false), blobs(2, 200, d, 0.1, false)
	teacher := must(train.New[float64](3, []int{d}, train.Dense{Out: 32}, train.ReLU{}, train.Dense{Out: 2}))
	student := must(train.New[float64](4, []int{d}, train.Dense{Out: 32}, train.ReLU{}, train.Dense{Out: 2}))
	steps := 0
	r := train.Recipe{Epochs: 40, LR: 3e-2, Seed: 4, Temperature: 100, Schedule: train.OneCycle()}
	if err := Distill(context.Background(), teacher, student, data, r, func(train.Progress) { steps++ }); err != nil {
		t.Fatal(err)
	}
	if want := 2 * 40 * 12; steps != want {
		t.Errorf("%d steps of two trainings, want %d", steps, want)
	}
	m := must(Model(student))
	const eps = 0.2
	clean, entropy, margin := accuracy(t, m, test, "pgd:loss=margin", 0), accuracy(t, m, test, "fgsm:loss=ce", eps), accuracy(t,
		m, test, "pgd:loss=margin", eps)
	t.Logf("clean %.3f, FGSM on cross-entropy %.3f, PGD on the margin %.3f", clean, entropy, margin)
	if clean < 0.95 || entropy < 0.5 || margin > 0.3 {
		t.Error("distillation does not mask, or the margin does not see through")
	}
	lo, hi := unit(d)
	var tasks []evasion.Task
	for i := range 40 {
		tasks = append(tasks, evasion.Task{X: test.X[i*d : (i+1)*d], Lower: lo, Upper: hi,
			Goal: evasion.Untargeted(test.Labels[i], 2)})
	}
	f, err := Diagnose(context.Background(), m, tasks, DiagnoseOptions{Eps: eps})
	if err != nil || len(f) != 1 || f[0].Name != "saturated" {
		t.Errorf("findings %v, %v", f, err)
	}
}

// TestActivationPruning: cut and put together again, a network is the same; pruned, it is right on the mean of its draws.
func TestActivationPruning(t *testing.T) {
	n := must(train.New[float32](3, []int{1, 6, 6}, train.Conv2D{Out: 3, Kernel: 3}, train.ReLU{}, train.Dense{Out: 9},
		train.ReLU{}, train.Dense{Out: 4}))
	p := must(Program(n))
	parts := must(Cut(p))
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	var stages []access.Gradients
	for _, q := range parts {
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		stages = append(stages, access.Program(q))
	}
	rng := rand.New(rand.NewPCG(7, 7))
	b := access.Batch{N: 1, Draws: []uint64{5}}
	for range 36 {
		b.X = append(b.X, rng.Float64())
	}
	eval := func(m access.Gradients) (y, dx []float64) {
		y, dx = make([]float64, 4), make([]float64, 36)
		if err := m.Gradients(context.Background(), b, y, func(_ int, _, dy []float64) { dy[1] = 1 }, dx); err != nil {
			t.Fatal(err)
		}
		return y, dx
	}
	y0, dx0 := eval(access.Program(p))
	y1, dx1 := eval(must(access.Chain(stages...)))
	if !slices.Equal(y0, y1) || !slices.Equal(dx0, dx1) {
		t.Error("the parts in a chain are another function")
	}
	y2, _ := eval(must(access.EOT(must(ActivationPruning(p, 50)), 20))) // hardly anything is dropped
	for j := range y0 {
		if math.Abs(y2[j]-y0[j]) > 0.02*(1+math.Abs(y0[j])) {
			t.Errorf("output %d: %v pruned lightly, %v", j, y2[j], y0[j])
		}
	}
	one := must(ActivationPruning(p, 0.5))
	ya, _ := eval(one)
	b.Draws[0]++
	if yb, _ := eval(one); slices.Equal(ya, yb) {
		t.Error("two draws, the same outputs")
	}
	// y = relu(x) + x goes around its ReLU.
	bd := prog.NewBuilder(3)
	h := bd.Relu("relu", 0)
	sum := bd.Affine("sum", 3, nil, 0, prog.Term{Src: h, Map: prog.Identity(3)}, prog.Term{Src: 0, Map: prog.Identity(3)})
	if _, err := Cut(must(bd.Program(sum))); err == nil {
		t.Error("a network was cut at a ReLU that its input goes around")
	}
	if _, err := Cut(must(Program(must(train.New[float32](3, []int{5}, train.Dense{Out: 2}))))); err == nil {
		t.Error("a network without ReLU was cut")
	}
}

// TestDistillSoftLabels: of a fifth of wrong labels the teacher learns how sure one can be, and the student learns it from the
// teacher. The teacher's answers without the temperature would make the student as sure as can be.
func TestDistillSoftLabels(t *testing.T) {
	const d = 5
	data := blobs(1, 2000, d, 0.2, false)
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range data.Labels {
		if rng.Float64() < 0.2 {
			data.Labels[i] = 1 - data.Labels[i]
		}
	}
	teacher, student := dense(t, make([]float64, d)), dense(t, make([]float64, d))
	if err := Distill(context.Background(), teacher, student, data, train.Recipe{Epochs: 40, LR: 0.3, Temperature: 20},
		nil); err != nil {
		t.Fatal(err)
	}
	want := 20 * math.Log(4)
	a, b := sureness(t, must(Model(teacher)), data), sureness(t, must(Model(student)), data)
	if math.Abs(a-want) > 0.15*want || math.Abs(b-a) > 0.1*a {
		t.Errorf("mean margin of the teacher %.2f, of the student %.2f, want about %.2f", a, b, want)
	}
}

// sureness is the mean margin between the two logits.
func sureness(t *testing.T, m access.Gradients, s *train.Samples[float64]) float64 {
	t.Helper()
	n := len(s.Labels)
	y := make([]float64, 2*n)
	if err := m.Scores(context.Background(), access.Batch{N: n, X: s.X, Draws: make([]uint64, n)}, y); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i := range n {
		sum += math.Abs(y[2*i]-y[2*i+1]) / float64(n)
	}
	return sum
}
