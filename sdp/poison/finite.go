package poison

import "github.com/spai-project/certify/internal/seed"

// A Spread says which models train on which buckets of the data. There are as many models as buckets.
type Spread struct {
	Buckets int
	shifts  []int // model (h + s) mod Buckets trains on bucket h, for every s
}

// NewSpread lets every bucket train the given number of models. One is deep partition aggregation (Levine and Feizi 2021):
// model h trains on bucket h. More is finite aggregation (Wang, Levine and Feizi 2022), with shifts drawn from a seed.
func NewSpread(buckets, copies int, root uint64) *Spread {
	s := &Spread{Buckets: buckets, shifts: []int{0}}
	for _, v := range seed.Stream(root, "poison", "spread").Perm(buckets) {
		if v != 0 && len(s.shifts) < copies {
			s.shifts = append(s.shifts, v)
		}
	}
	return s
}

// Copies returns how many models train on each bucket.
func (s *Spread) Copies() int { return len(s.shifts) }

// model returns the number of a model that trains on a bucket, i from 0 to Copies()−1.
func (s *Spread) model(bucket, i int) int { return (bucket + s.shifts[i]) % s.Buckets }

// buckets returns the buckets that a model trains on, in the order of the shifts.
func (s *Spread) buckets(model int) []int {
	out := make([]int, len(s.shifts))
	for i, shift := range s.shifts {
		out[i] = (model - shift + s.Buckets) % s.Buckets
	}
	return out
}

// Radius returns the class with the most votes, votes[m] being that of model m, and a number of inserted and deleted items that
// cannot change it. An item is in one bucket h and can lower the leader p's advantage over c by at most
//
//	Δ_h = Σ_{models m of h} (1 + [votes_m = p] − [votes_m = c]),
//
// so r items lower it by at most the sum of the r largest Δ_h. The radius is the largest r, at most the number of buckets,
// whose sum is at most n_p − n_c − [c < p] for every c. A model of two poisoned buckets is counted twice: the radius is sound,
// and exact where every bucket trains one model.
func (s *Spread) Radius(votes []uint8, classes int) (leader, radius int) {
	counts := make([]int, classes)
	count(counts, votes)
	if leader, radius = Plurality(counts); len(s.shifts) == 1 {
		return leader, radius
	}
	radius = s.Buckets
	damages := make([]int, 2*len(s.shifts)+1) // how many buckets can do how much
	for c := range classes {
		if c == leader {
			continue
		}
		clear(damages)
		for h := range s.Buckets {
			d := len(s.shifts)
			for i := range s.shifts {
				switch int(votes[s.model(h, i)]) {
				case leader:
					d++
				case c:
					d--
				}
			}
			damages[d]++
		}
		radius = min(radius, spend(damages, lead(counts[leader]-counts[c], c, leader)))
	}
	return leader, radius
}

// spend returns how many buckets, the most damaging first, fit into a budget; damages[d] buckets cost d each.
func spend(damages []int, budget int) (r int) {
	for d := len(damages) - 1; d > 0; d-- {
		n := min(damages[d], budget/d)
		r += n
		budget -= n * d
		if n < damages[d] {
			return r
		}
	}
	return r + damages[0]
}
