package poison

import (
	"slices"
	"testing"
)

// TestLabelFlip: the budget is spent on labels alone, every label that is changed differs, and flips by rank hurt more than
// random ones.
func TestLabelFlip(t *testing.T) {
	train, test := blobs(1, 300, 6, 3, 0.12), blobs(3, 300, 6, 3, 0.12)
	m := &Learner{Inputs: 6, Classes: 3, L2: 0.01}
	base := harm(t, m, "labelflip:rate=0.05", train, nil, test)
	for _, rule := range []string{"far", "near", "alfa"} {
		text := "labelflip:rate=0.05,rule=" + rule
		got := harm(t, m, text, train, nil, test)
		if rule != "near" && !(got > base) {
			t.Errorf("%s: test loss rises by %v, at random by %v", rule, got, base)
		}
		p, err := Run(ctx, text, train, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.Set.X, train.X) {
			t.Errorf("%s: inputs changed", rule)
		}
	}
}

// TestFlipOrder: on a line, the item that a classifier is surest of is the farthest, and the unsurest the nearest.
func TestFlipOrder(t *testing.T) {
	s := blobs(1, 6, 1, 2, 0)
	s.X = []float64{0, 0.1, 0.2, 0.8, 0.9, 1}
	s.Labels = []int{0, 0, 0, 1, 1, 1}
	for rule, want := range map[string][]int{"far": {0, 5}, "near": {2, 3}} {
		p, err := Run(ctx, "labelflip:rate=0.34,rule="+rule, s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Indices(); !slices.Equal(got, want) {
			t.Errorf("%s: items %v, want %v", rule, got, want)
		}
	}
}

// TestRunRefuses wants errors, not panics, for what does not fit.
func TestRunRefuses(t *testing.T) {
	s := blobs(1, 6, 2, 2, 0.1)
	plain := *s
	plain.Labels = nil
	for _, text := range []string{"none", "labelflip:speed=1", "labelflip:rate=x", "labelflip:rate=1.5", "labelflip:rule=loud",
		"backgradient:rate=0.5,steps=0",
		"backgradient:rate=0.5,steps=1e9", "backgradient:rate=0.5,holdout=1", "backgradient:rate=0.5,model=mlp,hidden=0",
		"influence:l2=0,rate=0.5"} {
		if _, err := Run(ctx, text, s, Options{}); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
	if _, err := Run(ctx, "labelflip", &plain, Options{}); err == nil {
		t.Error("no labels: accepted")
	}
}

// TestAlfaRounds: more rounds never lower the loss on the clean labels that the attack reaches on its own set, and here raise it.
func TestAlfaRounds(t *testing.T) {
	train := blobs(1, 150, 4, 3, 0.3)
	m := &Learner{Inputs: 4, Classes: 3, L2: 0.01}
	one := harm(t, m, "labelflip:rate=0.05,rule=alfa,rounds=1", train, nil, train)
	if got := harm(t, m, "labelflip:rate=0.05,rule=alfa,rounds=8", train, nil, train); !(got > one+1e-6) {
		t.Errorf("loss rises by %v in eight rounds, by %v in one", got, one)
	}
}
