package relax

import (
	"context"
	"sync"

	"github.com/spai-project/certify/nn/prog"
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
		n.ibpNode(k, f.B, &sc, true)
		f.rescale(k)
		if len(n.Acts[k]) == 0 || n.P.Nodes[k].Kind != prog.Affine {
			if len(n.Acts[k]) > 0 {
				f.Refresh(k)
			}
			continue
		}
		if (!n.inputOnly(k) || o.Splits != nil && n.image(k) == (prog.Window{})) && ctx.Err() == nil {
			if !n.tightenNode(ctx, p, f, k, o) {
				return false
			}
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
	rows := f.openRows(k, o.Need)
	if len(rows) == 0 {
		return true
	}
	lanes := o.Lanes
	if lanes == 0 {
		lanes = 64
	}
	per := lanes / 2
	n.byPixel(k, rows)
	chunks := (len(rows) + per - 1) / per
	ok := true
	var mu sync.Mutex
	p.Each(chunks, func(w *Worker, c int) {
		if ctx.Err() != nil {
			return
		}
		part := rows[c*per : min(len(rows), (c+1)*per)]
		R := (2*len(part) + 7) &^ 7
		seed := func(w *Worker) {
			w.PlanWindows(k, part)
			for i, j := range part {
				w.SeedRow(f, k, int(j), 2*i, 1)
				w.SeedRow(f, k, int(j), 2*i+1, -1)
			}
		}
		var best []float64
		if o.Alpha > 1 {
			a := NewAscent(w, f, R)
			splits := w.rowSplits(k, part, o.Splits, a)
			a.Run(f, k, R, splits, seed, Steps{N: o.Alpha, RateA: 0.25, RateB: 0.5, Decay: 0.9, StallRounds: 4})
			best = a.Best
		} else {
			w.Begin(R)
			seed(w)
			w.Run(f, k)
			best = w.LB
		}
		L, U := f.B.L[k], f.B.U[k]
		for i, j := range part {
			L[j] = max(L[j], best[2*i])
			U[j] = min(U[j], -best[2*i+1])
			if L[j] > U[j] {
				mu.Lock()
				ok = false
				mu.Unlock()
			}
		}
	})
	return ok
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

// openRows lists the elements of node k worth a backward pass: unstable ReLU inputs, sigmoid inputs of some width.
func (f *Frame) openRows(k int, need []prog.Window) []int32 {
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
		if relu && l < 0 && u > 0 || smooth && u-l > 1e-9 {
			rows = append(rows, int32(j))
		}
	}
	return rows
}
