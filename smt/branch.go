package smt

import (
	"cmp"
	"math"
	"slices"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/relax"
)

// branch tries the phases of a few neurons with one pass for both sides (strong branching). Sides that are refuted are
// explained: the other side follows, and the set is looked at again before anything is decided. Otherwise the neuron whose
// weaker side is best is decided, the better side first.
func (s *search) branch(l *look) (found [][]z.Lit, next z.Lit) {
	cands := s.shortlist(l)
	if len(cands) == 0 {
		return nil, s.phase[s.undecided()]
	}
	lb := s.probe(l.row, cands, func(j int, sign int8, d *dual) {
		s.set.sign[j] = sign
		if e := s.explain(d); e != nil {
			found = append(found, e)
		}
		s.set.sign[j] = 0
	})
	if len(found) > 0 {
		return found, z.LitNull
	}
	best := math.Inf(-1)
	next = s.phase[cands[0]]
	for i, j := range cands {
		lo, hi := min(lb[2*i], lb[2*i+1]), max(lb[2*i], lb[2*i+1])
		if score := min(lo, 0) + 0.1*min(hi, 0); score > best {
			best, next = score, s.phase[j]
			if lb[2*i] < lb[2*i+1] {
				next = next.Not()
			}
		}
	}
	return nil, next
}

// shortlist returns the neurons whose relaxation errs most at the minimising point, and those that can err most.
func (s *search) shortlist(l *look) []int {
	n := s.cfg.Rule.Candidates
	if n == 0 {
		n = 4
	}
	type score struct {
		j        int
		gap, err float64
	}
	var all []score
	s.w.EachOpen(s.top().frame, l.lane, func(o relax.Open) {
		if j := int(s.index[o.Act][o.Elem]); s.set.sign[j] == 0 {
			all = append(all, score{j, o.Gap, o.Intercept})
		}
	})
	slices.SortStableFunc(all, func(a, b score) int { return cmp.Compare(b.gap, a.gap) })
	if len(all) > n {
		rest := all[(n+1)/2:]
		slices.SortStableFunc(rest, func(a, b score) int { return cmp.Compare(b.err, a.err) })
		all = all[:n]
	}
	var out []int
	for _, c := range all {
		out = append(out, c.j)
	}
	return out
}

// probe bounds a row with both phases of every candidate (lanes 2i and 2i+1: z ≥ 0 and z ≤ 0) and reports the sides it refutes.
func (s *search) probe(row int, cands []int, refuted func(j int, sign int8, d *dual)) []float64 {
	f, w := s.top().frame, s.w
	R := lanes(2 * len(cands))
	decided, at := s.splits()
	h := &s.warm[row]
	a := relax.NewAscent(w, f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	for r := range 2 * len(cands) {
		n := s.neurons[cands[r/2]]
		n.Sign = side(r)
		splits[r] = append(slices.Clone(decided), n)
		beta[r] = make([]float64, len(decided)+1)
		for k, j := range at {
			beta[r][k] = float64(h.beta[j])
		}
		a.UnpackAlpha(h.alpha, r, R)
	}
	a.SetSplits(splits, beta)
	a.Run(f, f.Net.P.Output, R, splits, func(w *relax.Worker) {
		for r := range 2 * len(cands) {
			w.SeedObjective(s.q.Frame, s.rows[row], r, 1)
		}
	}, relax.Steps{N: 1})
	lb := slices.Clone(w.LB[:2*len(cands)])
	for r, v := range lb {
		if v > 0 || v == 0 && s.rows[row].Strict {
			refuted(cands[r/2], side(r), s.take(w, f, r, []int{row}))
		}
	}
	return lb
}

func side(r int) int8 {
	if r%2 == 0 {
		return 1
	}
	return -1
}
