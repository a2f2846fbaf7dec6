package poison

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// smallNet trains a network with one hidden layer on a set.
func smallNet(t *testing.T, root uint64, set *data.Set, width, classes, epochs int) *Split {
	t.Helper()
	return trained(t, root, set, classes, epochs, train.Dense{Out: width}, train.ReLU{})
}

func trained(t *testing.T, root uint64, set *data.Set, classes, epochs int, features ...train.Layer) *Split {
	t.Helper()
	s, err := NewSplit(root, set.Shape, features, classes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fit(ctx, set, train.Recipe{Epochs: epochs, Batch: 32, LR: 5e-3, Seed: root},
		train.Hooks[float32]{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSplit: the parts compute what the whole does.
func TestSplit(t *testing.T) {
	set := bars(1, 50, 4)
	s := smallNet(t, 1, set, 16, 4, 2)
	f, err := s.Features.Logits(ctx, narrow(set.X), 1)
	if err != nil {
		t.Fatal(err)
	}
	z, err := s.Head.Logits(ctx, f, 1)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.Full.Logits(ctx, narrow(set.X), 1)
	if err != nil || !slices.Equal(z, whole) {
		t.Errorf("the head on the features gives other logits than the whole (%v)", err)
	}
}

// TestTrigger: it sits where it should, in every channel, and means what it should.
func TestTrigger(t *testing.T) {
	for _, c := range []struct {
		text  string
		shape []int
		want  []int
	}{
		{"badnets:size=1,margin=0", []int{1, 3, 3}, []int{8}},
		{"badnets:size=2", []int{4, 4}, []int{5, 6, 9, 10}},
		{"badnets:size=2,pattern=checker,margin=0", []int{2, 3, 3}, []int{4, 8, 13, 17}},
		{"badnets:size=2", []int{5}, []int{2, 3}},
	} {
		trigger, err := ParseTrigger(c.text, c.shape, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		n := 1
		for _, d := range c.shape {
			n *= d
		}
		x := make([]float64, n)
		trigger.Stamp(x)
		var got []int
		for k, v := range x {
			if v == 1 {
				got = append(got, k)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s on %v: %v, want %v", c.text, c.shape, got, c.want)
		}
	}
	all, err := ParseTrigger("badnets:mode=all", []int{4, 4}, 3, 1)
	if err != nil || all.Class(2) != 0 || all.Class(0) != 1 || !all.Applies(0) {
		t.Errorf("all to all: 2 becomes %d (%v)", all.Class(2), err)
	}
	for _, text := range []string{"badnets:size=5", "badnets:size=0", "badnets:size=4", "badnets:target=3", "badnets:target=-1",
		"labelflip"} {
		if _, err := ParseTrigger(text, []int{4, 4}, 3, 1); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}

// TestBadNets: a network learns the trigger from a tenth of the items and the task from the rest; a network that never saw the
// trigger does not know it.
func TestBadNets(t *testing.T) {
	set, test := bars(1, 400, 4), bars(2, 200, 4)
	for _, text := range []string{"badnets:target=2,size=2,margin=0", "badnets:mode=all,size=2,margin=0,rate=0.3"} {
		p, err := Run(ctx, text, set, Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		trigger, err := ParseTrigger(p.Attack, set.Shape, 4, slices.Max(set.X))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range p.Indices() {
			x := slices.Clone(set.Item(i))
			trigger.Stamp(x)
			if p.Set.Labels[i] != trigger.Class(set.Labels[i]) || p.Set.Labels[i] == set.Labels[i] || !slices.Equal(x,
				p.Set.Item(i)) {
				t.Fatalf("item %d of class %d is not what the attack says", i, set.Labels[i])
			}
		}
		clean, bad := smallNet(t, 1, set, 32, 4, 20), smallNet(t, 1, p.Set, 32, 4, 40)
		for _, c := range []struct {
			s        *Split
			accuracy float64
			lo, hi   float64
		}{{clean, 0.98, 0, 0.1}, {bad, 0.98, 0.95, 1}} {
			accuracy, err := c.s.Accuracy(ctx, test, 0)
			if err != nil {
				t.Fatal(err)
			}
			success, err := trigger.Success(ctx, c.s, test, 0)
			if err != nil {
				t.Fatal(err)
			}
			if accuracy < c.accuracy || success < c.lo || success > c.hi {
				t.Errorf("%s: accuracy %v, success %v: want %v, and %v to %v", text, accuracy, success, c.accuracy, c.lo, c.hi)
			}
		}
	}
}

// TestCleanLabelBackdoor: no label changes, values move by at most ε but for the trigger, and the victim learns the trigger better
// than from the same items without the perturbation.
func TestCleanLabelBackdoor(t *testing.T) {
	set, test := bars(1, 400, 4), bars(2, 200, 4)
	o := Options{Seed: 1, Nets: []*Split{smallNet(t, 9, set, 32, 4, 20)}, Lower: 0, Upper: 1}
	var success []float64
	for _, text := range []string{"cleanlabel:target=2,size=3,margin=0,eps=0", "cleanlabel:target=2,size=3,margin=0,eps=0.5"} {
		p, err := Run(ctx, text, set, o)
		if err != nil {
			t.Fatal(err)
		}
		trigger, err := ParseTrigger(p.Attack, set.Shape, 4, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Indices()) != 50 || !slices.Equal(p.Set.Labels, set.Labels) {
			t.Errorf("%d items, want half of 100, and no label", len(p.Indices()))
		}
		for _, i := range p.Indices() {
			for k, v := range p.Set.Item(i) {
				if stamped := slices.Contains(trigger.at, k); stamped && v != 1 || !stamped && math.Abs(v-set.Item(i)[k]) > 0.5+1e-6 ||
					set.Labels[i] != 2 {
					t.Fatalf("item %d of class %d: value %d became %v, was %v", i, set.Labels[i], k, v, set.Item(i)[k])
				}
			}
		}
		bad := smallNet(t, 1, p.Set, 32, 4, 40)
		success = append(success, succeeds(t, trigger, bad, test))
		if v := accuracy(t, bad, test); v < 0.98 {
			t.Errorf("accuracy %v", v)
		}
	}
	t.Logf("success %v", success)
	if !(success[1] > success[0]+0.5) {
		t.Errorf("success %v with perturbations, %v without", success[1], success[0])
	}
}

// transferred trains a last layer on the features of a set, as a victim of feature collision does, and classifies one input.
func transferred(t *testing.T, s *Split, set *data.Set, x []float64, classes int) int {
	t.Helper()
	r, err := FitRegression(ctx, set, s, classes, 1e-6, 0)
	if err != nil {
		t.Fatal(err)
	}
	class, err := r.Classify(ctx, x)
	if err != nil {
		t.Fatal(err)
	}
	return class
}

// TestCleanLabel: with rightly labelled items that look like their class, the target is taken for that class by a victim that
// trains the last layer, and is not without them.
func TestCleanLabel(t *testing.T) {
	pool, test := bars(1, 300, 2), bars(5, 40, 2)
	nets := []*Split{smallNet(t, 1, pool, 128, 2, 3), smallNet(t, 2, pool, 128, 2, 3)}
	set := pool.Slice(0, 30)
	for _, c := range []struct {
		text string
		most float64 // how far a value moves
		hits int     // of ten targets
	}{{"collision:beta=0.1", 1, 9}, {"polytope:count=5,eps=0.6", 0.6 + 1e-6, 9}} {
		hits := 0
		for i := range 10 {
			y := test.Labels[i]
			p, err := Run(ctx, c.text, set, Options{Nets: nets, Target: test.Item(i), TargetLabel: y, Lower: 0, Upper: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range p.Indices() {
				if p.Set.Labels[k] == y || p.Original[k] != Inserted {
					t.Fatalf("%s: item %d has label %d, the target's, or was there before", c.text, k, p.Set.Labels[k])
				}
				if d := nearestSame(p.Set, k, set.Len()); d > c.most {
					t.Errorf("%s: a value moved by %v", c.text, d)
				}
			}
			if transferred(t, nets[0], set, test.Item(i), 2) != y {
				t.Fatalf("target %d is misclassified without an attack", i)
			}
			if transferred(t, nets[0], p.Set, test.Item(i), 2) != y {
				hits++
			}
		}
		t.Logf("%s: %d of 10 targets", c.text, hits)
		if hits < c.hits {
			t.Errorf("%s: %d of 10 targets, want %d", c.text, hits, c.hits)
		}
	}
}

// TestWatermark: before any step the item is the base with the target mixed in.
func TestWatermark(t *testing.T) {
	set := blobs(1, 2, 4, 2, 0.1)
	target := []float64{1, 0, 0.5, 0.25}
	p, err := Run(ctx, "collision:watermark=0.25,rounds=0", set, Options{Nets: []*Split{plain(t, 4, 2)}, Target: target, Upper: 1})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range p.Set.Item(2) {
		within(t, "a value", v, 0.75*set.Item(1)[k]+0.25*target[k], 1e-7)
	}
}

// TestCollisionMinimises: what is found for a weight β is better, in the objective of that weight, than what is found for others.
func TestCollisionMinimises(t *testing.T) {
	pool, test := bars(1, 300, 2), bars(5, 1, 2)
	net := smallNet(t, 1, pool, 32, 2, 3)
	target := test.Item(0)
	goal, err := net.featureRows(ctx, target, 0)
	if err != nil {
		t.Fatal(err)
	}
	betas := []float64{1, 20, 400}
	var found [][]float64
	for _, b := range betas {
		p, err := Run(ctx, fmt.Sprintf("collision:beta=%v,rounds=300", b), pool, Options{Nets: []*Split{net}, Target: target,
			TargetLabel: test.Labels[0]})
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p.Set.Item(pool.Len()))
	}
	base, least := -1, math.Inf(1) // the nearest of the other class, in features
	features, err := net.featureRows(ctx, pool.X, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pool.Len() {
		if d := squares(features[i*32:][:32], goal); pool.Labels[i] != test.Labels[0] && d < least {
			base, least = i, d
		}
	}
	for k, b := range betas {
		objective := func(x []float64) float64 {
			y, err := net.featureRows(ctx, x, 0)
			if err != nil {
				t.Fatal(err)
			}
			return squares(y, goal) + b*0.25*squares(x, pool.Item(base)) // (32/64)²
		}
		own := objective(found[k])
		for j, x := range append(found, pool.Item(base)) {
			if v := objective(x); j != k && !(own < v) {
				t.Errorf("β = %v: %v at what is found for it, %v at candidate %d", b, own, v, j)
			}
		}
	}
}

// nearestSame returns the largest difference of a value between item k and the nearest of the first n items of its class.
func nearestSame(s *data.Set, k, n int) float64 {
	best := 1e9
	for i := range n {
		if s.Labels[i] != s.Labels[k] {
			continue
		}
		most := 0.0
		for j, v := range s.Item(i) {
			most = max(most, v-s.Item(k)[j], s.Item(k)[j]-v)
		}
		best = min(best, most)
	}
	return best
}

// TestCoefficients: a target inside the hull of features is written as their mixture, so nothing is left to do.
func TestCoefficients(t *testing.T) {
	a := &attacking{Options: &Options{Workers: 1}, ctx: ctx}
	h := &hull{watcher: a.watch(plain(t, 2, 2).Features), goal: []float64{0.5, 1}, c: []float64{1.0 / 3, 1.0 / 3, 1.0 / 3}}
	loss, dp := 0.0, make([]float64, 6)
	for range 20 {
		clear(dp)
		var err error
		if loss, err = h.add([]float64{0, 0, 2, 0, 0, 4}, dp); err != nil {
			t.Fatal(err)
		}
	}
	for j, want := range []float64{0.5, 0.25, 0.25} {
		within(t, "coefficient", h.c[j], want, 1e-9)
	}
	within(t, "loss", loss, 0, 1e-15)
	within(t, "gradient", norm(dp), 0, 1e-8)
}

// TestSimplex compares the projection with points that are known.
func TestSimplex(t *testing.T) {
	for _, c := range [][2][]float64{{{1, 0}, {1, 0}}, {{2, 2}, {0.5, 0.5}}, {{3, 0, 1}, {1, 0, 0}}, {{-1, -1.5}, {0.75, 0.25}}} {
		got := slices.Clone(c[0])
		simplex(got)
		for j := range got {
			within(t, "projection", got[j], c[1][j], 1e-15)
		}
	}
}

// TestRegression: what is measured of a victim.
func TestRegression(t *testing.T) {
	set, test := blobs(1, 200, 4, 2, 0.03), blobs(2, 100, 4, 2, 0.03)
	for i := range 10 {
		test.Labels[i] = 1 - test.Labels[i]
	}
	for _, features := range []*Split{nil, plain(t, 4, 2)} {
		r, err := FitRegression(ctx, set, features, 2, 1e-3, 0)
		if err != nil {
			t.Fatal(err)
		}
		accuracy, loss, err := r.Score(ctx, test)
		if err != nil || accuracy != 0.9 || !(loss > 0.1 && loss < 2) {
			t.Errorf("accuracy %v, loss %v (%v): one label in ten is wrong", accuracy, loss, err)
		}
		class, err := r.Classify(ctx, test.Item(50))
		if err != nil || class != test.Labels[50] {
			t.Errorf("class %d (%v)", class, err)
		}
	}
	if _, err := FitRegression(ctx, set, nil, 2, 0, 0); err == nil {
		t.Error("λ = 0: accepted")
	}
}

// TestNetsRefuse wants errors for attacks that lack a network or a target, and for triggers with nothing to show.
func TestNetsRefuse(t *testing.T) {
	set := bars(1, 20, 2)
	net := smallNet(t, 1, set, 4, 2, 1)
	for text, o := range map[string]Options{
		"collision":         {Target: set.Item(0)},
		"polytope":          {Target: set.Item(0), Nets: []*Split{net}},
		"collision:beta=1":  {Nets: []*Split{net}},
		"collision:beta=2":  {Target: set.Item(0), TargetLabel: 2, Nets: []*Split{net}},
		"collision:class=0": {Target: set.Item(0), Nets: []*Split{net}},
		"collision:count=0": {Target: set.Item(0), Nets: []*Split{net}},
		"collision:beta=3":  {Target: set.Item(0), Nets: []*Split{plain(t, 4, 2)}},
	} {
		if _, err := Run(ctx, text, set, o); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
	trigger, err := ParseTrigger("badnets:target=0", set.Shape, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	one := set.Select([]int{0, 2})
	if v, err := trigger.Success(ctx, net, one, 1); err == nil {
		t.Errorf("items of the target class alone: success %v", v)
	}
}
