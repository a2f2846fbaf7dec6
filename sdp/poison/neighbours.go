package poison

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/nn/data"
)

// Neighbours is the vote of the k nearest training items by Euclidean distance. Among equal distances the earlier item is nearer;
// among equal numbers of votes the lowest class wins; of fewer than k items all vote, and of none class 0 wins. How far it
// withstands poison follows from the order of the training items alone (Jia et al. 2022), and is counted exactly.
type Neighbours struct {
	K, Classes int
	set        *data.Set
}

// NewNeighbours checks k and the labels, which must be in [0, classes).
func NewNeighbours(s *data.Set, k, classes int) (*Neighbours, error) {
	if k < 1 || k > 1<<20 || classes < 2 || classes > 1<<10 {
		return nil, fmt.Errorf("poison: k = %d, %d classes: want 1 to %d, and 2 to %d", k, classes, 1<<20, 1<<10)
	}
	if err := s.CheckLabels(classes); err != nil {
		return nil, fmt.Errorf("poison: %w", err)
	}
	return &Neighbours{K: k, Classes: classes, set: s}, nil
}

// Stability is what a vote of neighbours withstands.
type Stability struct {
	Class   int
	Flips   int // flipped labels that cannot change the class; one more can
	Changes int // inserted and deleted items that cannot change it, in any mixture; one more can
}

// Certify returns the class of an item and what it withstands. An inserted item may be anything, and goes before others at the
// same distance.
func (n *Neighbours) Certify(x []float64) Stability {
	return stability(n.ranked(x), n.K, n.Classes)
}

// CertifyAll certifies every item of a set. done is called after each, one call at a time, unless it is nil. When ctx ends, its
// error is returned, and items that were not reached have the class −1.
func (n *Neighbours) CertifyAll(ctx context.Context, s *data.Set, workers int, done func(done, total int)) ([]Stability, error) {
	if s.Dim() != n.set.Dim() {
		return nil, fmt.Errorf("poison: items of %d values do not go with the training data", s.Dim())
	}
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	out := make([]Stability, s.Len())
	for i := range out {
		out[i].Class = -1
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var lock sync.Mutex
	count := 0
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < s.Len() && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				out[i] = n.Certify(s.Item(i))
				if done != nil {
					lock.Lock()
					count++
					done(count, s.Len())
					lock.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

// ranked returns the labels of the nearest items, nearest first: as many as a radius can depend on. To insert k items of another
// class changes the class, so k operations are enough, and those after k deletions vote at most.
func (n *Neighbours) ranked(x []float64) []int {
	type near struct {
		distance float64
		item     int
	}
	compare := func(a, b near) int {
		switch {
		case a.distance < b.distance:
			return -1
		case a.distance > b.distance:
			return 1
		}
		return a.item - b.item
	}
	keep := 2 * n.K
	all := make([]near, 0, min(2*keep, n.set.Len()))
	worst := near{math.Inf(1), math.MaxInt} // of those that are kept for certain; distances may overflow
	for i := range n.set.Len() {
		sq := 0.0
		for j, v := range n.set.Item(i) {
			sq += (v - x[j]) * (v - x[j])
		}
		c := near{sq, i}
		if compare(c, worst) > 0 {
			continue
		}
		if all = append(all, c); len(all) == 2*keep {
			slices.SortFunc(all, compare)
			all = all[:keep]
			worst = all[keep-1]
		}
	}
	slices.SortFunc(all, compare)
	out := make([]int, 0, keep)
	for _, c := range all[:min(keep, len(all))] {
		out = append(out, n.set.Labels[c.item])
	}
	return out
}

// stability counts. labels are those of the training items, nearest first.
//
// Flips: the k voters stay, and a flip of a voter of the leader p to c lowers n_p − n_c by 2, which no other flip exceeds.
//
// Insertions and deletions: to let c win it is best to insert i items of class c nearest of all, and to delete j voters of p.
// Then the first k − i + j of the old order vote without the deleted ones, so c has i more than it had there, and p has j less.
// Which of the leader's items in that range go does not matter, and deleting another item brings in no more than deleting one
// of these.
func stability(labels []int, k, classes int) Stability {
	counts := make([][]int, classes) // counts[c][L]: labels c among the first L
	for c := range counts {
		counts[c] = make([]int, len(labels)+1)
		for i, l := range labels {
			counts[c][i+1] = counts[c][i]
			if l == c {
				counts[c][i+1]++
			}
		}
	}
	votes := make([]int, classes)
	for c := range votes {
		votes[c] = counts[c][min(k, len(labels))]
	}
	var s Stability
	s.Class, s.Flips = Plurality(votes)
	for ; s.Changes < k; s.Changes++ {
		for c := range classes {
			if c != s.Class && overtakes(counts, c, s.Class, k, s.Changes+1) {
				return s
			}
		}
	}
	return s
}

// overtakes reports whether r insertions and deletions, and not fewer, can let class c pass the leader. Where fewer than j of
// the l are the leader's, r is more than enough, and a smaller r was asked for before.
func overtakes(counts [][]int, c, leader, k, r int) bool {
	for i := 0; i <= min(r, k); i++ {
		j := r - i
		l := min(k-i+j, len(counts[c])-1)
		if lead(counts[leader][l]-j-counts[c][l]-i, c, leader) < 0 {
			return true
		}
	}
	return false
}
