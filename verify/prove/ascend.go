package prove

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
)

// An ascent is the best bound of a row on a branch, the multipliers that prove it, and the ReLUs that are open there.
type ascent struct {
	lb   float64
	nu   [][]float64
	open []relax.Open
}

// ascend bounds the row on a branch.
func (l *leaner) ascend(b *branch, steps int) ascent {
	const R = 8
	f := l.frame(b.kb, l.box, b.splits, b.wide)
	a := relax.NewAscent(l.w, f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	splits[0], beta[0] = b.splits, append([]float64(nil), b.beta...)
	a.SetSplits(splits, beta)
	l.slopes(b, f, a, R, false)
	out := l.full.Output
	best := ascent{lb: math.Inf(-1)}
	a.Run(f, out, R, splits, func(w *relax.Worker) {
		for r := range R {
			bab.Seed(w, f, l.row, r)
		}
	}, relax.Steps{N: steps, RateA: 0.2, RateB: 0.4, Decay: 0.95, Final: true, StallRounds: 6, Done: func(lb []float64) bool {
		if l.w.LB[0] >= best.lb {
			best.lb, best.nu = l.w.LB[0], l.w.Multipliers(f, 0)
		}
		return l.w.LB[0] > 0
	}})
	if l.w.LB[0] >= best.lb {
		best.lb, best.nu = l.w.LB[0], l.w.Multipliers(f, 0)
	}
	b.beta = beta[0]
	l.slopes(b, f, a, R, true)
	l.w.EachOpen(f, 0, func(o relax.Open) { best.open = append(best.open, o) })
	return best
}

// slopes copies the slopes of a branch to all lanes of an ascent, or those of lane 0 back.
func (l *leaner) slopes(b *branch, f *relax.Frame, a *relax.Ascent, R int, back bool) {
	if b.alpha == nil && !back {
		return
	}
	alpha := make([][]float64, len(l.full.Nodes))
	for _, k := range l.relus {
		if back {
			alpha[k] = make([]float64, l.full.Nodes[k].N)
			for j := range alpha[k] {
				alpha[k][j] = -1
			}
		}
		for i, j := range f.Unstable(k) {
			if back {
				alpha[k][j] = a.Alpha[k][i*R]
				continue
			}
			for r := range R {
				if v := b.alpha[k][j]; v >= 0 {
					a.Alpha[k][i*R+r] = v
				}
			}
		}
	}
	if back {
		b.alpha = alpha
	}
}

// probes is the number of ReLUs that are tried before one is split, probeSteps the length of the ascent that tries them. Half as many of
// either need a fifth to a whole more leaves on the hard questions of safenlp.
const (
	probes     = 24
	probeSteps = 20
)

// choose splits the ReLU whose weaker side is bounded best by one pass.
func (l *leaner) choose(b *branch, open []relax.Open) (relax.Open, bool) {
	slices.SortStableFunc(open, func(x, y relax.Open) int { return cmp.Compare(y.Gap, x.Gap) })
	open = open[:min(len(open), probes)]
	if len(open) == 0 {
		return relax.Open{}, false
	}
	R := (2*len(open) + 7) &^ 7
	f := l.frame(b.kb, l.box, b.splits, b.wide)
	a := relax.NewAscent(l.w, f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	for i, o := range open {
		for side := range 2 {
			splits[2*i+side] = append(append(splits[2*i+side], b.splits...), relax.Split{Act: o.Act, Elem: o.Elem, Sign: int8(1 - 2*side)})
			beta[2*i+side] = append(append(beta[2*i+side], b.beta...), 0)
		}
	}
	a.SetSplits(splits, beta)
	l.slopes(b, f, a, R, false)
	a.Run(f, l.full.Output, R, splits, func(w *relax.Worker) {
		for r := range R {
			bab.Seed(w, f, l.row, r)
		}
	}, relax.Steps{N: probeSteps, RateA: 0.1, RateB: 0.4, Decay: 0.95})
	best, pick := math.Inf(-1), open[0]
	for i, o := range open {
		x, y := a.Best[2*i], a.Best[2*i+1]
		if score := min(x, y, 0) + 0.1*min(max(x, y), 0); score > best {
			best, pick = score, o
		}
	}
	return pick, true
}
