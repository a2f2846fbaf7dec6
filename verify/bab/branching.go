package bab

import (
	"math"
	"sort"

	"github.com/spai-project/certify/relax"
)

// revive looks for neurons to split when the bound depends on none: the objective is constant on the branch (two outputs both
// cut off at 0, say) and what is left is whether the decided signs can occur together. Multipliers of 1 make that the objective.
func (s *reluSearch) revive(w *relax.Worker, b *reluBranch) []relax.Open {
	const R = 8
	f := b.at.f
	a := relax.NewAscent(w, f, R)
	a.UnpackAlpha(b.alpha, 0, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	splits[0], beta[0] = b.splits, make([]float64, len(b.splits))
	for j := range b.beta {
		b.beta[j] = max(b.beta[j], 1)
		beta[0][j] = float64(b.beta[j])
	}
	a.SetSplits(splits, beta)
	a.Run(f, s.q.Net.P.Output, R, splits, func(w *relax.Worker) { s.seed(w, b, 0) }, relax.Steps{N: 1, Final: true})
	return shortlist(w, f, 0, s.cands)
}

// shortlist picks the k/2 neurons with the largest relaxation error at the pseudo-primal point and the k/2 with the largest
// possible one.
func shortlist(w *relax.Worker, f *relax.Frame, lane, k int) []relax.Open {
	var all []relax.Open
	w.EachOpen(f, lane, func(o relax.Open) { all = append(all, o) })
	if len(all) <= k {
		return all
	}
	half := k / 2
	sort.SliceStable(all, func(i, j int) bool { return all[i].Gap > all[j].Gap })
	rest := all[half:]
	sort.SliceStable(rest, func(i, j int) bool { return rest[i].Intercept > rest[j].Intercept })
	return all[:k]
}

// choose strong-branches: every candidate of every open lane is bounded on both sides with the lane's present slopes and
// multipliers, one backward pass for all. The candidate whose weaker side is best wins; a candidate with both sides refuted
// closes the branch.
func (s *reluSearch) choose(w *relax.Worker, bs []*reluBranch, lanes []int, cands [][]relax.Open, res []laneResult) {
	type probe struct{ lane, cand, sign int }
	var probes []probe
	for n, i := range lanes {
		if len(cands[n]) == 1 {
			bs[i].next = cands[n][0].Split
			continue
		}
		for c := range cands[n] {
			probes = append(probes, probe{n, c, 1}, probe{n, c, -1})
		}
	}
	lb := make([]float64, len(probes))
	const batch = 64
	for at := 0; at < len(probes); at += batch {
		part := probes[at:min(len(probes), at+batch)]
		R := (len(part) + 7) &^ 7
		f := bs[0].at.f
		a := relax.NewAscent(w, f, R)
		splits, beta := make([][]relax.Split, R), make([][]float64, R)
		for r, p := range part {
			b := bs[lanes[p.lane]]
			c := cands[p.lane][p.cand].Split
			c.Sign = int8(p.sign)
			splits[r] = append(append(splits[r], b.splits...), c)
			beta[r] = make([]float64, len(splits[r]))
			for j, v := range b.beta {
				beta[r][j] = float64(v)
			}
			a.UnpackAlpha(b.alpha, r, R)
		}
		a.SetSplits(splits, beta)
		a.Run(f, s.q.Net.P.Output, R, splits, func(w *relax.Worker) {
			for r, p := range part {
				s.seed(w, bs[lanes[p.lane]], r)
			}
		}, relax.Steps{N: 1})
		copy(lb[at:], a.Best[:len(part)])
	}
	best := make([]float64, len(lanes))
	for i := range best {
		best[i] = math.Inf(-1)
	}
	for i := 0; i < len(probes); i += 2 {
		p := probes[i]
		b := bs[lanes[p.lane]]
		lo, hi := min(lb[i], lb[i+1]), max(lb[i], lb[i+1])
		if Refuted(s.row(b), lo) {
			res[lanes[p.lane]].closed = true
		}
		score := min(lo, 0) + 0.1*min(hi, 0)
		if score > best[p.lane] {
			best[p.lane] = score
			b.next = cands[p.lane][p.cand].Split
		}
	}
	for n, i := range lanes {
		if len(cands[n]) > 0 {
			bs[i].next.Sign = 1
		}
	}
}
