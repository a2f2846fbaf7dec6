package poison

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
)

// TestReversal compares the derivative through the whole training with central differences of it.
func TestReversal(t *testing.T) {
	const h, from = 1e-5, 25
	for name, m := range learners {
		_, e := random(m, 30)
		_, v := random(m, 12)
		e.Weights, v.Weights = nil, nil
		start := m.Start(4)
		value := func(x []float64) (float64, []float64) {
			r := m.newReversal(&Examples{X: x, Labels: e.Labels}, v, from, 17, 0.2, 1)
			dx := make([]float64, (30-from)*m.Inputs)
			loss, err := r.run(ctx, start, dx)
			if err != nil {
				t.Fatal(err)
			}
			return loss, dx
		}
		_, dx := value(e.X)
		for seed := range uint64(3) {
			u := make([]float64, len(e.X))
			copy(u[from*m.Inputs:], normals(rand.New(rand.NewPCG(seed, 5)), len(dx)))
			up, _ := value(moved(e.X, u, h))
			down, _ := value(moved(e.X, u, -h))
			within(t, name, kernel.Dot(dx, u[from*m.Inputs:]), (up-down)/(2*h), 1e-7)
		}
		if m.Loss == Logistic && norm(dx) < 1e-3 {
			t.Errorf("%s: the gradient is as good as 0: nothing was tested", name)
		}
	}
}

// TestBackGradient: points hurt more than as many random flips, whichever model they are made for.
func TestBackGradient(t *testing.T) {
	train, validation, test := blobs(1, 60, 6, 2, 0.15), blobs(2, 100, 6, 2, 0.15), blobs(3, 400, 6, 2, 0.15)
	for model, m := range map[string]*Learner{"logistic": {}, "hinge": {Loss: Hinge}, "mlp,hidden=3": {Hidden: []int{3}}} {
		m.Inputs, m.Classes, m.L2 = 6, 2, 0.01
		flips := harm(t, m, "labelflip:rate=0.05", train, validation, test)
		got := harm(t, m, "backgradient:rate=0.05,rounds=20,step=0.3,lr=0.5,model="+model, train, validation, test)
		if !(got > 1.1*max(flips, 0.01)) {
			t.Errorf("%s: test loss rises by %v, with flipped labels by %v", model, got, flips)
		}
	}
}

// TestBackGradientDeterministic: a seed and nothing else decides.
func TestBackGradientDeterministic(t *testing.T) {
	train := blobs(1, 60, 6, 2, 0.15)
	var last []float64
	for _, workers := range []int{1, 3} {
		p, err := Run(ctx, "backgradient:rounds=3,steps=10", train, Options{Seed: 5, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && !slices.Equal(last, p.Set.X) {
			t.Error("the number of workers changes the points")
		}
		last = p.Set.X
	}
	p, err := Run(ctx, "backgradient:rounds=3,steps=10", train, Options{Seed: 6})
	if err != nil || slices.Equal(last, p.Set.X) {
		t.Errorf("the seed changes nothing (%v)", err)
	}
}

// TestBackGradientMNIST is the setting of the paper's section 5.2: 100 training and 400 validation digits 1 and 7.
func TestBackGradientMNIST(t *testing.T) {
	train, test := mnist(t, "train", 1, 7), mnist(t, "test", 1, 7)
	m := &Learner{Inputs: train.Dim(), Classes: 2, L2: 0.01}
	rates := func(set, attack string) float64 {
		sum := 0.0
		const splits = 5
		for split := range splits {
			order := rand.New(rand.NewPCG(uint64(split), 3)).Perm(train.Len())
			known, validation := train.Select(order[:100]), train.Select(order[100:500])
			p, err := Run(ctx, attack, known, Options{Validation: validation, Seed: uint64(split)})
			if err != nil {
				t.Fatal(err)
			}
			wrong, _, err := m.Errors(ctx, fitted(t, m, examples(p.Set), 1e-6), examples(test), 0)
			if err != nil {
				t.Fatal(err)
			}
			sum += float64(wrong) / float64(test.Len()) / splits
		}
		t.Logf("%s: test error %.2f %%", set, 100*sum)
		return sum
	}
	rates("clean", "labelflip:rate=0")
	random := rates("random flips", "labelflip:rate=0.15")
	rates("far flips", "labelflip:rate=0.15,rule=far")
	rates("alfa", "labelflip:rate=0.15,rule=alfa")
	rates("influence", "influence:rate=0.15")
	if got := rates("back-gradient", "backgradient:rate=0.15"); !(got > random+0.02) {
		t.Errorf("back-gradient reaches %v, random flips %v", got, random)
	}
}
