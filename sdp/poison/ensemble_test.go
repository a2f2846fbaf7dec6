package poison

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// clouds draws items of three classes.
func clouds(r *rand.Rand, n, d int) *data.Set {
	s := &data.Set{Shape: []int{d}}
	for i := range n {
		l := r.IntN(3)
		for j := range d {
			v := r.NormFloat64()
			if j == l {
				v += 2
			}
			s.X = append(s.X, v)
		}
		s.Labels = append(s.Labels, l)
		s.Names = append(s.Names, strconv.Itoa(i))
	}
	return s
}

func trained(t *testing.T, s *data.Set, o EnsembleOptions) *Ensemble {
	t.Helper()
	e, err := TrainEnsemble(context.Background(), s, 3, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func cast(t *testing.T, e *Ensemble, s *data.Set) []uint8 {
	t.Helper()
	v, err := e.Votes(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestEnsembleOrder: neither the order of the training items nor the number of workers changes a vote.
func TestEnsembleOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 21))
	s, test := clouds(r, 300, 4), clouds(r, 50, 4)
	want := cast(t, trained(t, s, EnsembleOptions{Models: 20, Copies: 3, Workers: 1}), test)
	got := cast(t, trained(t, s.Select(r.Perm(300)), EnsembleOptions{Models: 20, Copies: 3, Workers: 4}), test)
	if !slices.Equal(got, want) {
		t.Error("the votes depend on the order of the items or on the workers")
	}
	// The same item with different labels: without labels in the hash, the labels decide the order.
	s = s.Select(append(seq(0, 300), seq(0, 300)...))
	for i := range 300 {
		s.Labels[i] = (s.Labels[i] + 1) % 3
	}
	want = cast(t, trained(t, s, EnsembleOptions{Models: 20, FlipsOnly: true}), test)
	got = cast(t, trained(t, s.Select(r.Perm(600)), EnsembleOptions{Models: 20, FlipsOnly: true}), test)
	if !slices.Equal(got, want) {
		t.Error("the votes depend on the order of items with the same values")
	}
	for b, items := range partition(s, 5, false) {
		for _, j := range items {
			i := slices.Index(items, j)
			if i > 0 && slices.Equal(s.Item(items[i-1]), s.Item(j)) && s.Labels[items[i-1]] > s.Labels[j] {
				t.Fatalf("bucket %d is not in order", b)
			}
		}
	}
}

// TestEnsemblePoison changes as many items as are certified: at random, and greedily towards the buckets of the leader's
// voters. No answer changes, and no model changes its vote whose buckets were left alone.
func TestEnsemblePoison(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 22))
	cases, positive := 0, 0
	for cases < 1500 {
		o := EnsembleOptions{Models: 5 + r.IntN(15), Copies: 1 + r.IntN(3), FlipsOnly: r.IntN(2) == 0, Workers: 1}
		o.Seed = r.Uint64()
		s, test := clouds(r, 60+r.IntN(60), 4), clouds(r, 15, 4)
		e := trained(t, s, o)
		before := cast(t, e, test)
		for i := range test.Len() {
			votes := before[i*o.Models : (i+1)*o.Models]
			leader, radius := e.Spread.Radius(votes, 3)
			if cases++; radius == 0 {
				continue
			}
			positive++
			poisoned := poisonSet(r, e, s, votes, leader, min(radius, 8), o)
			after := cast(t, trained(t, poisoned, o), test.Slice(i, i+1))
			if l, _ := e.Spread.Radius(after, 3); l != leader {
				t.Fatalf("%+v: %d changed items move class %d to %d", o, radius, leader, l)
			}
		}
	}
	if positive < cases/4 {
		t.Errorf("the radius is positive in %d of %d cases only", positive, cases)
	}
}

// poisonSet makes n changes: flips if only these are certified, else insertions and deletions. It looks for items in buckets
// whose model votes for the leader.
func poisonSet(r *rand.Rand, e *Ensemble, s *data.Set, votes []uint8, leader, n int, o EnsembleOptions) *data.Set {
	out := s.Select(r.Perm(s.Len()))
	buckets := func(s *data.Set) map[int]int { // of items
		at := map[int]int{}
		for b, items := range partition(s, o.Models, !o.FlipsOnly) {
			for _, i := range items {
				at[i] = b
			}
		}
		return at
	}
	hit := map[int]bool{}
	for range n {
		if o.FlipsOnly {
			at, pick := buckets(out), r.IntN(out.Len())
			for i := range out.Len() {
				if b := at[i]; !hit[b] && int(votes[e.Spread.model(b, 0)]) == leader {
					pick = i
					break
				}
			}
			hit[at[pick]] = true
			out.Labels[pick] = (leader + 1) % 3
			continue
		}
		if r.IntN(3) == 0 {
			gone := r.IntN(out.Len())
			out = out.Select(append(seq(0, gone), seq(gone+1, out.Len())...))
			continue
		}
		var extra *data.Set
		for range 20 {
			extra = clouds(r, 1, 4)
			for j := range extra.X {
				extra.X[j] *= 50 // pulls hard
			}
			extra.Labels[0] = (leader + 1) % 3
			b := buckets(extra)[0]
			if !hit[b] && int(votes[e.Spread.model(b, 0)]) == leader {
				hit[b] = true
				break
			}
		}
		out.X, out.Labels, out.Names = append(out.X, extra.X...), append(out.Labels, extra.Labels...), append(out.Names, "poison")
	}
	return out
}

func seq(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// TestPartition: with labels in the hash a flip may move an item, without it never does.
func TestPartition(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 23))
	s := clouds(r, 200, 3)
	flipped := s.Select(seq(0, 200))
	for i := range flipped.Labels {
		flipped.Labels[i] = (flipped.Labels[i] + 1) % 3
	}
	place := func(s *data.Set, labels bool) []int {
		out := make([]int, s.Len())
		for b, items := range partition(s, 16, labels) {
			for _, i := range items {
				out[i] = b
			}
		}
		return out
	}
	if !slices.Equal(place(s, false), place(flipped, false)) {
		t.Error("a flipped label moves an item")
	}
	perm := r.Perm(200)
	mixed := s.Select(perm)
	want, got := partition(s, 16, true), partition(mixed, 16, true)
	for b := range want {
		for i := range got[b] {
			got[b][i] = perm[got[b][i]]
		}
		if !slices.Equal(want[b], got[b]) {
			t.Errorf("bucket %d is in the order of the data: %v and %v", b, want[b], got[b])
		}
	}
	if slices.Equal(place(s, true), place(flipped, true)) {
		t.Error("the label is not part of the hash")
	}
}

// TestFeatures: features of pictures are finite and of one length, whatever the picture; a slanted bar is straightened.
func TestFeatures(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 24))
	f := NewFeatures([]int{1, 28, 28})
	s := &data.Set{Shape: []int{1, 28, 28}, Names: []string{"blank", "noise", "negative", "bar", "slant"}}
	s.X = make([]float64, 5*784)
	for i := range 784 {
		s.X[784+i], s.X[2*784+i] = r.Float64(), r.NormFloat64()
	}
	for y := 4; y < 24; y++ {
		for w := range 3 {
			s.X[3*784+y*28+13+w] = 1
			s.X[4*784+y*28+13+w+(y-14)/3] = 1
		}
	}
	x, err := f.All(context.Background(), s, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(x) != 5*f.Dim() {
		t.Fatalf("%d values", len(x))
	}
	between := func(i, j int) float64 {
		sum := 0.0
		for k := range f.Dim() {
			sum += math.Pow(float64(x[i*f.Dim()+k]-x[j*f.Dim()+k]), 2)
		}
		return math.Sqrt(sum)
	}
	for i := range s.Len() {
		sq := 0.0
		for _, v := range x[i*f.Dim() : (i+1)*f.Dim()] {
			if v-v != 0 {
				t.Fatalf("%s: %v", s.Names[i], v)
			}
			sq += float64(v) * float64(v)
		}
		if i > 0 && math.Abs(sq-1) > 1e-3 {
			t.Errorf("%s: squared length %v", s.Names[i], sq)
		}
	}
	if between(3, 4) > 0.5*between(3, 1) {
		t.Errorf("a slanted bar is %v from a bar, noise %v", between(3, 4), between(3, 1))
	}
}
