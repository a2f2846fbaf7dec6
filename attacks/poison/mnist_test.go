package poison

import (
	"math"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// mnistNet trains the network that victims have when nobody says otherwise, with so many features.
func mnistNet(t *testing.T, root uint64, set *data.Set, width, classes, epochs int) *Split {
	t.Helper()
	layers := append(FeatureLayers(set.Shape)[:4:4], train.Dense{Out: width}, train.ReLU{})
	s, err := NewSplit(root, set.Shape, layers, classes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fit(ctx, set, train.Recipe{Epochs: epochs, LR: 3e-3, Schedule: train.OneCycle(), Seed: root},
		train.Hooks[float32]{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBackdoorMNIST: a twentieth of the digits carries the trigger, the network learns it without losing accuracy, and the
// defences that look at features find it.
func TestBackdoorMNIST(t *testing.T) {
	set, test := mnist(t, "train").Slice(0, envInt("POISON_ITEMS", 10000)), mnist(t, "test")
	p, err := Run(ctx, "badnets:target=7,rate=0.05", set, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	trigger, err := ParseTrigger(p.Attack, set.Shape, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	clean, bad := mnistNet(t, 1, set, 100, 10, 3), mnistNet(t, 1, p.Set, 100, 10, 3)
	before, after, success := accuracy(t, clean, test), accuracy(t, bad, test), succeeds(t, trigger, bad, test)
	t.Logf("accuracy %.4f clean, %.4f poisoned; success %.4f", before, after, success)
	if success < 0.99 || before-after > 0.005 {
		t.Errorf("accuracy falls from %v to %v, success %v", before, after, success)
	}
	o := InspectOptions{Net: bad, Trusted: test.Slice(0, 1000)}
	for _, text := range []string{"spectral:eps=0.34", "clustering", "clustering:reduce=pca"} {
		f := inspect(t, text, p.Set, o)
		precision, recall := Compare(f.Flagged(p.Set), &p.Record)
		t.Logf("%s: %d flagged, precision %.4f, recall %.4f", text, len(f.Flagged(p.Set)), precision, recall)
		if recall < 0.9 {
			t.Errorf("%s: recall %v", text, recall)
		}
	}
	f := inspect(t, "fineprune", p.Set, o)
	rest := test.Slice(1000, test.Len())
	t.Logf("fineprune: accuracy %.4f, success %.4f %v", accuracy(t, f.Net, rest), succeeds(t, trigger, f.Net, rest), f.Notes)
}

func accuracy(t *testing.T, s *Split, test *data.Set) float64 {
	t.Helper()
	a, err := s.Accuracy(ctx, test, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func succeeds(t *testing.T, trigger *Trigger, s *Split, test *data.Set) float64 {
	t.Helper()
	a, err := trigger.Success(ctx, s, test, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestCleanLabelMNIST: one inserted digit, rightly labelled, makes a victim that trains the last layer take the target for its
// class.
func TestCleanLabelMNIST(t *testing.T) {
	train, test := mnist(t, "train", 4, 9), mnist(t, "test", 4, 9)
	nets := []*Split{mnistNet(t, 1, train, 512, 2, 1), mnistNet(t, 2, train, 512, 2, 1)}
	set := train.Slice(0, 400)
	lo, hi := slices.Min(set.X), slices.Max(set.X)
	for _, text := range []string{"collision", "polytope:eps=0.3"} {
		hits, tried, linf, l2 := 0, 0, 0.0, 0.0
		for i := 0; tried < 10; i++ {
			y := test.Labels[i]
			if transferred(t, nets[0], set, test.Item(i), 2) != y {
				continue
			}
			p, err := Run(ctx, text, set, Options{Nets: nets, Target: test.Item(i), TargetLabel: y, Lower: lo, Upper: hi})
			if err != nil {
				t.Fatal(err)
			}
			if transferred(t, nets[0], p.Set, test.Item(i), 2) != y {
				hits++
			}
			tried++
			linf += nearestSame(p.Set, set.Len(), set.Len()) / 10
			l2 += nearestL2(p.Set, set.Len()) / 10
		}
		t.Logf("%s: %d of %d targets; mean distance to the nearest item: %.3f (max), %.3f (l2)", text, hits, tried, linf, l2)
		if text == "collision" && hits < 9 {
			t.Errorf("%s: %d of %d targets", text, hits, tried)
		}
	}
}

// nearestL2 returns the Euclidean distance of item n to the nearest of its class before it.
func nearestL2(s *data.Set, n int) float64 {
	best := math.Inf(1)
	for i := range n {
		if s.Labels[i] == s.Labels[n] {
			best = min(best, math.Sqrt(squares(s.Item(i), s.Item(n))))
		}
	}
	return best
}
