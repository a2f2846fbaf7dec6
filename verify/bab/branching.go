package bab

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/relax"
)

// indirectWeight is how much a neuron's cost through inner bounds counts against what a backward pass per side shows: the pass
// knows nothing of it, and in deep networks it is what matters.
const indirectWeight = 3

// shortlist picks the k/2 neurons with the largest relaxation error at the pseudo-primal point and the k/2 with the largest
// possible cost in all. It reorders all.
func shortlist(all []relax.Open, k int) []relax.Open {
	if len(all) <= k {
		return all
	}
	half := k / 2
	slices.SortStableFunc(all, func(a, b relax.Open) int { return cmp.Compare(b.Gap, a.Gap) })
	rest := all[half:]
	slices.SortStableFunc(rest, func(a, b relax.Open) int { return cmp.Compare(b.Total, a.Total) })
	return all[:k:k]
}

// revive looks for neurons to split when the bound depends on none: the objective is constant on the branch (two outputs both
// cut off at 0, say) and what is left is whether the decided signs can occur together. Multipliers of 1 make that the objective.
func (s *reluSearch) revive(w *relax.Worker, b *reluBranch) []relax.Open {
	for j := range b.beta {
		b.beta[j] = max(b.beta[j], 1)
	}
	s.probe(w, b, []relax.Split{{}}, true)
	var all []relax.Open
	w.EachOpen(b.at, 0, func(o relax.Open) { all = append(all, o) })
	return shortlist(all, s.cands)
}

// probe bounds the branch once for each further split (none where Sign is 0), with its present slopes and multipliers.
func (s *reluSearch) probe(w *relax.Worker, b *reluBranch, more []relax.Split, final bool) []float64 {
	R := (len(more) + 7) &^ 7
	a := relax.NewAscent(w, b.at, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	decided := local(b.at, b.splits)
	for r, c := range more {
		splits[r], beta[r] = append(splits[r], decided...), widen(b.beta)
		if c.Sign != 0 {
			splits[r], beta[r] = append(splits[r], c), append(beta[r], 0)
		}
		if b.alpha != nil {
			a.UnpackAlpha(b.alpha, r, R)
		}
	}
	a.SetSplits(splits, beta)
	a.Run(b.at, s.q.Net.P.Output, R, splits, func(w *relax.Worker) {
		for r := range more {
			s.seed(w, b, r)
		}
	}, relax.Steps{N: 1, Final: final})
	return a.Best[:len(more)]
}

// choose strong-branches: every candidate is bounded on both sides with one backward pass for all. The candidate whose weaker
// side is best, its indirect cost added, wins (b.next); it reports whether some candidate has both sides refuted, which closes the branch.
func (s *reluSearch) choose(w *relax.Worker, b *reluBranch, cands []relax.Open) (closed bool) {
	b.next = relax.Split{}
	if len(cands) == 0 {
		cands = s.revive(w, b)
	}
	if len(cands) == 0 {
		return false
	}
	var sides []relax.Split
	for i := range cands {
		for _, sign := range []int8{1, -1} {
			c := cands[i].Split
			c.Sign = sign
			sides = append(sides, c)
		}
	}
	lb := s.probe(w, b, sides, false)
	best := math.Inf(-1)
	for i := range cands {
		lo, hi := min(lb[2*i], lb[2*i+1]), max(lb[2*i], lb[2*i+1])
		if Refuted(s.row(b), lo) {
			if b.tree != nil {
				inactive, active := b.tree.split(b.at.Net.Original(sides[2*i]))
				active.closed(w, b.at, 2*i)
				inactive.closed(w, b.at, 2*i+1)
			}
			return true
		}
		score := min(lo, 0) + 0.1*min(hi, 0) + indirectWeight*(cands[i].Total-cands[i].Intercept)
		if score > best {
			best, b.next = score, sides[2*i]
		}
	}
	if b.next.Sign == 0 {
		b.next = sides[0]
	}
	return false
}
