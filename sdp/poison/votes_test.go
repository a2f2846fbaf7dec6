package poison

import (
	"math/rand/v2"
	"testing"
)

// TestPlurality changes votes in every way: the radius is exact.
func TestPlurality(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	for range 300 {
		classes, n := 2+r.IntN(3), 1+r.IntN(6)
		models := make([]uint8, n)
		for i := range models {
			models[i] = uint8(r.IntN(classes))
		}
		votes := make([]int, classes)
		count(votes, models)
		leader, radius := Plurality(votes)
		least := n + 1 // changed votes that change the leader
		every(n, classes, func(other []uint8) {
			changed := 0
			for i, v := range other {
				if v != models[i] {
					changed++
				}
			}
			count(votes, other)
			if l, _ := Plurality(votes); l != leader {
				least = min(least, changed)
			}
		})
		if radius != least-1 {
			t.Fatalf("votes %v: radius %d, but %d changes are enough", models, radius, least)
		}
	}
}

// every calls f with all assignments of n votes.
func every(n, classes int, f func(votes []uint8)) {
	votes := make([]uint8, n)
	for {
		f(votes)
		i := 0
		for ; i < n; i++ {
			if votes[i]++; int(votes[i]) < classes {
				break
			}
			votes[i] = 0
		}
		if i == n {
			return
		}
	}
}

// TestSpreadRadius poisons every set of buckets of small ensembles and lets their models vote anything: no set as large as the
// radius changes the leader, and with one model for each bucket one more does.
func TestSpreadRadius(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	cases, stronger := 0, 0
	for range 400 {
		buckets, classes := 3+r.IntN(4), 2+r.IntN(2)
		s := NewSpread(buckets, 1+r.IntN(3), r.Uint64())
		votes := make([]uint8, buckets)
		for i := range votes {
			if votes[i] = uint8(r.IntN(classes)); r.IntN(3) > 0 {
				votes[i] = 1
			}
		}
		leader, radius := s.Radius(votes, classes)
		least := buckets + 1
		for set := range 1 << buckets {
			hit, size := make([]bool, buckets), 0
			for h := range buckets {
				if set>>h&1 == 1 {
					size++
					for i := range s.Copies() {
						hit[s.model(h, i)] = true
					}
				}
			}
			for c := range classes { // to vote for one class is best
				counts := make([]int, classes)
				for m, v := range votes {
					if hit[m] {
						v = uint8(c)
					}
					counts[v]++
				}
				if l, _ := Plurality(counts); l != leader {
					least = min(least, size)
				}
			}
		}
		if radius > least-1 && least <= buckets {
			t.Fatalf("%d buckets, %d copies, votes %v: radius %d, but %d are enough", buckets, s.Copies(), votes, radius, least)
		}
		if s.Copies() == 1 && least <= buckets && radius != least-1 {
			t.Fatalf("votes %v: radius %d, but %d are needed", votes, radius, least)
		}
		if radius > 0 {
			stronger++
		}
		cases++
	}
	if stronger < cases/4 {
		t.Errorf("the radius is positive in %d of %d cases only", stronger, cases)
	}
}

// TestSpread: every bucket has as many models as it should, and buckets and model agree.
func TestSpread(t *testing.T) {
	s := NewSpread(17, 5, 3)
	seen := 0
	for m := range 17 {
		for _, b := range s.buckets(m) {
			ok := false
			for i := range s.Copies() {
				ok = ok || s.model(b, i) == m
			}
			if !ok {
				t.Errorf("model %d does not belong to bucket %d", m, b)
			}
			seen++
		}
	}
	if seen != 17*5 {
		t.Errorf("%d memberships", seen)
	}
}

// TestSpend: the most damaging buckets first, and those without damage for nothing.
func TestSpend(t *testing.T) {
	for _, c := range []struct {
		damages      []int
		budget, want int
	}{
		{[]int{3, 0, 2}, 5, 5}, {[]int{3, 0, 2}, 3, 1}, {[]int{3, 4, 2}, 5, 3}, {[]int{2, 1}, 0, 0}, {[]int{2, 0, 0}, 0, 2},
	} {
		if got := spend(c.damages, c.budget); got != c.want {
			t.Errorf("damages %v, budget %d: %d, want %d", c.damages, c.budget, got, c.want)
		}
	}
}
