package poison

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// gridSet draws items on a small grid, so that distances are often equal.
func gridSet(r *rand.Rand, n, d, classes int) *data.Set {
	s := &data.Set{Shape: []int{d}}
	for i := range n {
		for range d {
			s.X = append(s.X, float64(r.IntN(4)))
		}
		s.Labels = append(s.Labels, r.IntN(classes))
		s.Names = append(s.Names, strconv.Itoa(i))
	}
	return s
}

// voter is a training item of the oracle.
type voter struct{ distance, label int }

// vote is the classifier in plain words.
func vote(all []voter, k, classes int) int {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b voter) int { return a.distance - b.distance })
	votes := make([]int, classes)
	for _, v := range all[:min(k, len(all))] {
		votes[v.label]++
	}
	best := 0
	for c, n := range votes {
		if n > votes[best] {
			best = c
		}
	}
	return best
}

// TestNeighboursExhaustive tries every flip, every deletion and every insertion on small sets: the radii are exact.
func TestNeighboursExhaustive(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	for range 1000 {
		n, classes := 1+r.IntN(7), 2+r.IntN(2)
		s := gridSet(r, n, 1+r.IntN(2), classes)
		k := 1 + r.IntN(4)
		nb, err := NewNeighbours(s, k, classes)
		if err != nil {
			t.Fatal(err)
		}
		x := gridSet(r, 1, s.Dim(), 2).X
		got := nb.Certify(x)
		var all []voter
		for i := range n {
			sq := 0.0
			for j, v := range s.Item(i) {
				sq += (v - x[j]) * (v - x[j])
			}
			all = append(all, voter{int(sq), s.Labels[i]})
		}
		if want := vote(all, k, classes); got.Class != want {
			t.Fatalf("class %d, want %d", got.Class, want)
		}
		if want := leastFlips(all, k, classes) - 1; got.Flips != want {
			t.Fatalf("%v, k = %d: %d flips withstood, want %d", all, k, got.Flips, want)
		}
		if want := leastChanges(all, k, classes) - 1; got.Changes != want {
			t.Fatalf("%v, k = %d, %d classes: %d changes withstood, want %d", all, k, classes, got.Changes, want)
		}
	}
}

// leastFlips relabels in every way. Where no relabelling changes the class, it is one more than the voters.
func leastFlips(all []voter, k, classes int) int {
	was, least := vote(all, k, classes), min(k, len(all))+1
	every(len(all), classes, func(labels []uint8) {
		other, changed := slices.Clone(all), 0
		for i := range other {
			if other[i].label != int(labels[i]) {
				other[i].label = int(labels[i])
				changed++
			}
		}
		if vote(other, k, classes) != was {
			least = min(least, changed)
		}
	})
	return least
}

// leastChanges deletes in every way and inserts every multiset of labels at the item itself and at one more distance.
func leastChanges(all []voter, k, classes int) int {
	was, least := vote(all, k, classes), k+1
	for set := range 1 << len(all) {
		var left []voter
		for i, v := range all {
			if set>>i&1 == 0 {
				left = append(left, v)
			}
		}
		insert(nil, 0, least-1-(len(all)-len(left)), classes, func(in []voter) {
			if vote(append(slices.Clone(in), left...), k, classes) != was {
				least = min(least, len(all)-len(left)+len(in))
			}
		})
	}
	return least
}

// insert calls f with every multiset of at most room items; they come before others at the same distance.
func insert(in []voter, from, room, classes int, f func([]voter)) {
	if room < 0 {
		return
	}
	f(in)
	if room == 0 {
		return
	}
	for kind := from; kind < 2*classes; kind++ {
		insert(append(slices.Clone(in), voter{kind / classes, kind % classes}), kind, room-1, classes, f)
	}
}

// TestNeighboursRanked: keeping only the nearest on the way gives the same order as sorting all.
func TestNeighboursRanked(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 14))
	for range 100 {
		n := 1 + r.IntN(200)
		s := gridSet(r, n, 2, 3)
		nb, err := NewNeighbours(s, 1+r.IntN(9), 3)
		if err != nil {
			t.Fatal(err)
		}
		x := gridSet(r, 1, 2, 2).X
		order := make([]int, n)
		at := func(i int) float64 {
			a, b := s.Item(i)[0]-x[0], s.Item(i)[1]-x[1]
			return a*a + b*b
		}
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return int(at(i) - at(j)) })
		var want []int
		for _, i := range order[:min(n, 2*nb.K)] {
			want = append(want, s.Labels[i])
		}
		if got := nb.ranked(x); !slices.Equal(got, want) {
			t.Fatalf("labels %v, want %v", got, want)
		}
	}
}

// TestNeighboursFar deletes the first of items that are all infinitely far: the next one must have been a voter already.
func TestNeighboursFar(t *testing.T) {
	s := &data.Set{Shape: []int{1}, X: []float64{1e200, 1e200}, Labels: []int{0, 1}, Names: []string{"0", "1"}}
	n, err := NewNeighbours(s, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	got := n.Certify([]float64{0})
	less, err := NewNeighbours(s.Select([]int{1}), 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	if after := less.Certify([]float64{0}); got.Changes > 0 && after.Class != got.Class {
		t.Errorf("%+v, but with one item less it is %d", got, after.Class)
	}
}
