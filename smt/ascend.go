package smt

import (
	"slices"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/relax"
)

// warmth is where the next ascent of a row begins: slopes, for the frame they belong to, and multipliers of phases, by neuron.
type warmth struct {
	frame *relax.Frame
	alpha []uint8
	beta  []float32
}

// A look is what an ascent leaves: explanations, and the row to branch on, −1 where no row is left.
type look struct {
	found [][]z.Lit
	row   int
	lane  int   // of the row in the worker's last pass
	d     *dual // its multipliers
}

const (
	maxLanes  = 64
	rootSteps = 60
)

func (s *search) steps() int {
	switch {
	case s.out.Nodes <= 1:
		return rootSteps
	case s.cfg.Rule.Steps != 0:
		return s.cfg.Rule.Steps
	}
	return 12
}

// ascend bounds the rows on the present set by an ascent over slopes and multipliers. one says that refuting one row is enough,
// as it is for the rows of one case; then the row with the highest bound is the one to branch on, otherwise the one with the
// lowest.
func (s *search) ascend(rows []int, one bool) *look {
	if one && len(rows) > maxLanes {
		slices.SortStableFunc(rows, func(a, b int) int { return compare(s.bounds[b], s.bounds[a]) })
		rows = rows[:maxLanes]
	}
	l := &look{row: -1}
	for at := 0; at < len(rows); at += maxLanes {
		part := rows[at:min(len(rows), at+maxLanes)]
		taken := s.ascendRows(part, one)
		if taken == nil {
			return l
		}
		for i, r := range part {
			if d := taken[i]; d != nil {
				if e := s.explain(d); e != nil {
					s.remember(r, d)
					l.found = append(l.found, e)
					continue
				}
			}
			if l.row < 0 || one == (s.bounds[r] > s.bounds[l.row]) {
				l.row, l.lane = r, i
				l.d = s.take(s.w, s.top().frame, i, []int{r})
			}
		}
		if l.row >= 0 && slices.Contains(part, l.row) {
			x := make([]float64, len(s.set.inLo))
			s.w.Corner(l.lane, x)
			if s.try(x) {
				return l
			}
		}
	}
	return l
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ascendRows is ascend for one batch; it returns the multipliers of the refuted rows, nil when it was stopped.
func (s *search) ascendRows(rows []int, one bool) []*dual {
	f, w := s.top().frame, s.w
	R := lanes(len(rows))
	a := relax.NewAscent(w, f, R)
	decided, at := s.splits()
	splits, beta := spread(decided, R)
	for i, r := range rows {
		h := &s.warm[r]
		if h.frame == f {
			a.UnpackAlpha(h.alpha, i, R)
		}
		if h.beta != nil {
			for k, j := range at {
				beta[i][k] = float64(h.beta[j])
			}
		}
	}
	if splits != nil {
		a.SetSplits(splits, beta)
	}
	taken, best := make([]*dual, len(rows)), make([]float64, len(rows))
	collect := func() (left int) {
		for i, r := range rows {
			if lb := w.LB[i]; (lb > 0 || lb == 0 && s.rows[r].Strict) && (taken[i] == nil || lb > best[i]) {
				taken[i], best[i] = s.take(w, f, i, []int{r}), lb
			}
			if taken[i] == nil {
				left++
			}
		}
		return left
	}
	a.Run(f, f.Net.P.Output, R, splits, func(w *relax.Worker) {
		for i, r := range rows {
			w.SeedObjective(s.q.Frame, s.rows[r], i, 1)
		}
	}, relax.Steps{N: s.steps(), RateA: 0.25, RateB: 0.25, Decay: 0.97, StallRounds: 6, Final: true, Done: func([]float64) bool {
		left := collect()
		return left == 0 || one && left < len(rows)
	}})
	if s.w.Stop != nil && s.w.Stop() {
		return nil // perhaps in the middle of a pass
	}
	collect()
	for i, r := range rows {
		s.bounds[r] = a.Best[i]
		h := &s.warm[r]
		h.frame, h.alpha = f, a.PackAlpha(h.alpha[:0], i, R)
		if h.beta == nil {
			h.beta = make([]float32, len(s.neurons))
		}
		for k, j := range at {
			h.beta[j] = float32(beta[i][k])
		}
	}
	return taken
}

// splits lists the decided phases that the bounds of the top part do not imply strictly, and their neurons.
func (s *search) splits() (decided []relax.Split, at []int) {
	p := s.top()
	for j, sign := range s.set.sign {
		if sign > 0 && p.lo[j] <= 0 || sign < 0 && p.hi[j] >= 0 {
			n := s.neurons[j]
			n.Sign = sign
			decided, at = append(decided, n), append(at, j)
		}
	}
	return decided, at
}

// lanes is the number of lanes for n rows.
func lanes(n int) int {
	if n == 1 {
		return 1
	}
	return (n + 7) &^ 7
}

// spread gives every lane the same splits and multipliers 0; nil where there are none.
func spread(decided []relax.Split, R int) (splits [][]relax.Split, beta [][]float64) {
	if len(decided) == 0 {
		return nil, make([][]float64, R)
	}
	splits, beta = make([][]relax.Split, R), make([][]float64, R)
	for r := range splits {
		splits[r], beta[r] = decided, make([]float64, len(decided))
	}
	return splits, beta
}
