package relax

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// A Pool is a fixed set of workers for data-parallel steps. Results never depend on its size.
type Pool struct{ W []*Worker }

// NewPool returns a pool of n workers for net.
func NewPool(net *Net, n int) *Pool {
	p := &Pool{}
	for range max(n, 1) {
		p.W = append(p.W, NewWorker(net))
	}
	return p
}

// Work sums what the workers have done (Worker.Work); call it between steps.
func (p *Pool) Work() int64 {
	s := int64(0)
	for _, w := range p.W {
		s += w.Work
	}
	return s
}

// Each calls f(worker, i) for i in [0,n), each i once, on all workers; it returns when all calls have.
func (p *Pool) Each(n int, f func(w *Worker, i int)) {
	if len(p.W) == 1 || n == 1 {
		for i := range n {
			f(p.W[0], i)
		}
		return
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := 0
	for _, w := range p.W {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				f(w, i)
			}
		})
	}
	wg.Wait()
}

// Tightening configures how inner bounds are computed.
type Tightening struct {
	Alpha int // ascent steps per inner row; 0 or 1: plain CROWN
	Lanes int // lanes per batch, 0: 64
	// Splits are decided ReLUs that hold on the set to bound: their multipliers β are ascended for every row, those of
	// neurons in the row's own layer included.
	Splits []Split
	// Need, if set, restricts the rows of each node to a window: what the property can see (Net.Cone).
	Need []prog.Window
	// First, if above 0, leaves the nodes before it alone.
	First int
	// Record, if set, receives what neurons cost the rows (with Alpha above 1).
	Record *Influence
	// Refute, if set, says that only points violating the property matter.
	Refute *Refutation
}

// A Refutation is what is known about one row while it is being refuted: on the points that matter its objective is ≤ 0, and a
// backward pass with the slopes Alpha (packed for frame From) and the multipliers Beta (of the tightening's splits) bounds it by
// Bound. Every inner row then carries the objective with a multiplier of its own and starts from these slopes.
type Refutation struct {
	Row   *spec.Row
	From  *Frame
	Alpha []uint8
	Beta  []float32
	Bound float64
	// Only, if set, lists the elements of each pre-activation node that are worth a row.
	Only [][]int32
}

// Crown recomputes f's bounds layer by layer: an interval step, then for every pre-activation element whose sign is open one
// backward pass for its lower and one for its upper bound (Zhang et al. 2018), intersected with what is known. It reports
// false when some interval became empty: then the box contains no point that satisfies the bounds f started from.
func (n *Net) Crown(ctx context.Context, p *Pool, f *Frame, o Tightening) bool {
	if len(n.Acts[0]) > 0 {
		f.Refresh(0)
	}
	var sc ibpScratch
	f.restart()
	for k := 1; k < len(n.P.Nodes); k++ {
		if k < o.First {
			continue
		}
		n.ibpNode(k, f.B, &sc, true)
		f.rescale(k)
		if len(n.Acts[k]) == 0 || n.P.Nodes[k].Kind != prog.Affine {
			if len(n.Acts[k]) > 0 {
				f.Refresh(k)
			}
			continue
		}
		constrained := o.Splits != nil || o.Refute != nil
		if n.inputOnly(k) && (!constrained || n.image(k) != (prog.Window{})) || ctx.Err() != nil {
			f.Refresh(k)
			continue
		}
		if !n.tightenNode(ctx, p, f, k, o) {
			return false
		}
		f.Refresh(k)
	}
	return true
}

// inputOnly reports whether affine node k reads nothing but the input, through one term: interval arithmetic is exact there.
func (n *Net) inputOnly(k int) bool {
	t := n.P.Nodes[k].Terms
	return len(t) == 1 && t[0].Src == 0
}

// tightenNode bounds the open elements of pre-activation node k.
func (n *Net) tightenNode(ctx context.Context, p *Pool, f *Frame, k int, o Tightening) bool {
	rows := f.OpenRows(k, o.Need)
	if o.Refute != nil && o.Refute.Only != nil {
		rows = f.openAmong(k, o.Refute.Only[k])
	}
	if len(rows) == 0 {
		return true
	}
	lanes := o.Lanes
	if lanes == 0 {
		lanes = 64
	}
	per := lanes / 2
	n.ByPixel(k, rows)
	chunks := (len(rows) + per - 1) / per
	var alpha []uint8
	if o.Refute != nil {
		alpha = o.Refute.From.MapAlpha(f, o.Refute.Alpha)
	}
	var empty atomic.Bool
	p.Each(chunks, func(w *Worker, c int) {
		if ctx.Err() != nil {
			return
		}
		part := rows[c*per : min(len(rows), (c+1)*per)]
		var best []float64
		if o.Refute != nil {
			best = w.refuteRows(f, k, part, alpha, &o)
		} else {
			best = w.boundRows(f, k, part, &o)
		}
		L, U := f.B.L[k], f.B.U[k]
		for i, j := range part {
			L[j] = max(L[j], best[2*i])
			U[j] = min(U[j], -best[2*i+1])
			if L[j] > U[j] {
				empty.Store(true)
			}
		}
	})
	return !empty.Load()
}

// seedRows gives two lanes to each row of node k: its element and minus its element.
func (w *Worker) seedRows(f *Frame, k int, rows []int32) {
	for i, j := range rows {
		w.SeedRow(f, k, int(j), 2*i, 1)
		w.SeedRow(f, k, int(j), 2*i+1, -1)
	}
}

// boundRows bounds the rows from below and above (lanes 2i and 2i+1, the latter negated) by passes that start at node k.
func (w *Worker) boundRows(f *Frame, k int, rows []int32, o *Tightening) []float64 {
	R := (2*len(rows) + 7) &^ 7
	seed := func(w *Worker) {
		w.PlanWindows(k, rows)
		w.seedRows(f, k, rows)
	}
	if o.Alpha <= 1 {
		w.On(f.Net)
		w.Begin(R)
		seed(w)
		w.Run(f, k)
		return w.LB
	}
	a := NewAscent(w, f, R)
	splits := w.rowSplits(k, rows, o.Splits, a)
	a.Run(f, k, R, splits, seed, Steps{N: o.Alpha, RateA: 0.25, RateB: 0.5, Decay: 0.9, StallRounds: 4, Final: o.Record != nil})
	if o.Record != nil && !w.stopped { // an abandoned pass leaves no coefficients
		o.Record.record(w, f, k, rows)
	}
	return a.Best
}

// gammaStart is the first multiplier of the row to refute, in units of the inner row's width over the gap to close.
const gammaStart = 0.2

// refuteRows is boundRows on the points that violate o.Refute.Row. Passes start at the output, so every split can bear on a row.
func (w *Worker) refuteRows(f *Frame, k int, rows []int32, alpha []uint8, o *Tightening) []float64 {
	R := (2*len(rows) + 7) &^ 7
	n, out := 2*len(rows), f.Net.P.Output
	a := NewAscent(w, f, R)
	u := &unsafeDual{row: o.Refute.Row, gamma: make([]float64, n), rate: make([]float64, n), m: make([]float64, n), v: make([]float64, n)}
	scale := 1.0
	if b := -o.Refute.Bound; b > 0 && !math.IsInf(b, 1) {
		scale = 1 / max(b, 1e-6)
	}
	var splits [][]Split
	var beta [][]float64
	if len(o.Splits) > 0 {
		splits, beta = make([][]Split, R), make([][]float64, R)
	}
	for r := range n {
		j := rows[r/2]
		u.gamma[r] = gammaStart * scale * (f.B.U[k][j] - f.B.L[k][j])
		u.rate[r] = u.gamma[r]
		if alpha != nil {
			a.UnpackAlpha(alpha, r, R)
		}
		if splits != nil {
			splits[r], beta[r] = o.Splits, make([]float64, len(o.Splits))
			for i, b := range o.Refute.Beta {
				beta[r][i] = u.gamma[r] * float64(b)
			}
		}
	}
	if splits != nil {
		a.SetSplits(splits, beta)
	}
	a.unsafe = u
	a.Run(f, out, R, splits, func(w *Worker) { w.seedRows(f, k, rows) }, Steps{N: o.Alpha, RateA: 0.25, RateB: 1, Decay: 0.9, StallRounds: 4})
	return a.Best
}

// rowSplits gives every lane of a batch of rows of node k the splits that can bear on it: neurons the rows depend on, inside
// their window, and (where no window is in use) neurons of node k itself. Multipliers start at 0.
func (w *Worker) rowSplits(k int, part []int32, all []Split, a *Ascent) [][]Split {
	if len(all) == 0 {
		return nil
	}
	R := len(a.Best)
	w.Begin(R)
	w.PlanWindows(k, part)
	var use []Split
	picture := w.net.image(k) != (prog.Window{})
	for _, s := range all {
		src := w.net.P.Nodes[s.Act].Src
		if w.net.anc[k][s.Act] && w.win[s.Act].Contains(int(s.Elem)) || src == k && !picture {
			use = append(use, s)
		}
	}
	if len(use) == 0 {
		return nil
	}
	splits, beta := make([][]Split, R), make([][]float64, R)
	buf := make([]float64, R*len(use))
	for r := range 2 * len(part) {
		splits[r], beta[r] = use, buf[r*len(use):(r+1)*len(use)]
	}
	a.SetSplits(splits, beta)
	return splits
}

// thinInput is the width up to which a sigmoid's input needs no better bounds.
const thinInput = 1e-9

// OpenRows lists the elements of node k worth a backward pass: unstable ReLU inputs, sigmoid inputs of some width. need, if set,
// restricts each node to a window (Net.Cone).
func (f *Frame) OpenRows(k int, need []prog.Window) []int32 {
	relu, smooth := false, false
	for _, a := range f.Net.Acts[k] {
		relu = relu || f.Net.P.Nodes[a].Kind == prog.Relu
		smooth = smooth || f.Net.P.Nodes[a].Kind != prog.Relu
	}
	var rows []int32
	for j, l := range f.B.L[k] {
		u := f.B.U[k][j]
		if need != nil && !need[k].Contains(j) {
			continue
		}
		if relu && l < 0 && u > 0 || smooth && u-l > thinInput {
			rows = append(rows, int32(j))
		}
	}
	return rows
}

// Refinable reports whether node k feeds ReLUs alone and depends on other ReLUs: what deciding those can win for its bounds.
func (n *Net) Refinable(k int) bool {
	if n.P.Nodes[k].Kind != prog.Affine {
		return false
	}
	for _, a := range n.Acts[k] {
		if n.P.Nodes[a].Kind != prog.Relu {
			return false
		}
	}
	for a, m := range n.anc[k] {
		if m && n.P.Nodes[a].Kind == prog.Relu {
			return true
		}
	}
	return false
}

// openAmong lists those of the given elements of node k whose sign is open.
func (f *Frame) openAmong(k int, elems []int32) []int32 {
	var rows []int32
	for _, j := range elems {
		if f.B.L[k][j] < 0 && f.B.U[k][j] > 0 {
			rows = append(rows, j)
		}
	}
	return rows
}
