package prove

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
	"github.com/spai-project/certify/verify/cert"
	"github.com/spai-project/certify/verify/kernel"
)

// leaner proves a case by splitting ReLUs where every branch first bounds its open neurons on the points that violate the row
// (kernel.Lean): the certificate's form of what the search does with relax.Refutation.
type leaner struct {
	*prover
	c     int // of the kernel
	row   *spec.Row
	index int // of row
	box   relax.Box
	w     *relax.Worker
	free  chan *relax.Worker // other workers without work
}

// A branch has decided ReLUs and what it inherits.
type branch struct {
	kb     *kernel.Bounds
	splits []relax.Split
	wide   map[relax.Split][2]float64 // bounds of decided elements before they were decided
	beta   []float64
	alpha  [][]float64 // per Relu node and element, −1 where there is none
}

// lean proves case c.
func (v *prover) lean(box int, rb relax.Box, c int) (*cert.Node, error) {
	cs := &v.p.Cases[v.at[c]]
	if len(cs.Rows) == 0 {
		return nil, fmt.Errorf("case %d has no row", c)
	}
	l := &leaner{prover: v, c: c, box: rb, w: v.pool.W[0], free: make(chan *relax.Worker, len(v.pool.W))}
	for _, w := range v.pool.W[1:] {
		l.free <- w
	}
	best := math.Inf(-1)
	for i := range cs.Rows {
		l.row, l.index = &cs.Rows[i], i
		if lb := l.ascend(&branch{kb: v.b.Root(box)}, 20).lb; lb > best {
			best, l.index = lb, i
		}
	}
	l.row = &cs.Rows[l.index]
	return l.node(&branch{kb: v.b.Root(box)})
}

// an ascent's result
type ascent struct {
	lb   float64
	nu   [][]float64
	open []relax.Open
}

// frame builds float bounds from the kernel's.
func (l *leaner) frame(b *branch) *relax.Frame {
	bounds := l.net.NewBounds()
	l.net.IBP(l.box, bounds)
	for r, k := range l.relus {
		src := l.full.Nodes[k].Src
		for j := range bounds.L[k] {
			lo, hi := b.kb.Interval(r, j)
			bounds.L[src][j], bounds.U[src][j] = max(bounds.L[src][j], lo), min(bounds.U[src][j], hi)
		}
	}
	for _, s := range b.splits {
		wide := b.wide[relax.Split{Act: s.Act, Elem: s.Elem}]
		src := l.full.Nodes[s.Act].Src
		bounds.L[src][s.Elem], bounds.U[src][s.Elem] = wide[0], wide[1]
	}
	for _, k := range l.relus {
		src := l.full.Nodes[k].Src
		for j := range bounds.L[k] {
			bounds.L[k][j], bounds.U[k][j] = max(bounds.L[src][j], 0), max(bounds.U[src][j], 0)
		}
	}
	return l.net.NewFrame(l.box, bounds, l.net.NewScale(bounds))
}

// ascend bounds the row on a branch.
func (l *leaner) ascend(b *branch, steps int) ascent {
	const R = 8
	f := l.frame(b)
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

// probes is the number of ReLUs that are tried before one is split.
const probes = 8

// choose splits the ReLU whose weaker side is bounded best by one pass.
func (l *leaner) choose(b *branch, open []relax.Open) (relax.Open, bool) {
	slices.SortStableFunc(open, func(x, y relax.Open) int { return cmp.Compare(y.Gap, x.Gap) })
	open = open[:min(len(open), probes)]
	if len(open) == 0 {
		return relax.Open{}, false
	}
	R := (2*len(open) + 7) &^ 7
	f := l.frame(b)
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
	}, relax.Steps{N: 3, RateA: 0.1, RateB: 0.4, Decay: 0.95})
	best, pick := math.Inf(-1), open[0]
	for i, o := range open {
		x, y := a.Best[2*i], a.Best[2*i+1]
		if score := min(x, y, 0) + 0.1*min(max(x, y), 0); score > best {
			best, pick = score, o
		}
	}
	return pick, true
}

func (l *leaner) node(b *branch) (*cert.Node, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	if b.kb.IsEmpty() {
		return &cert.Node{Kind: kernel.Empty}, nil
	}
	var top cert.Node
	at := &top
	lambda := make([]float64, len(l.p.Cases[l.at[l.c]].Rows))
	lambda[l.index] = 1
	var a ascent
	for round := range 3 {
		a = l.ascend(b, 12)
		if a.lb > 0 {
			n, err := l.b.Leaf(b.kb, l.c, &cert.Plan{Lambda: lambda, Nu: a.nu})
			if err == nil {
				at.Child = append(at.Child, n)
				return top.Child[0], nil
			}
		}
		if round == 2 {
			break
		}
		before := l.width(b.kb)
		n, kb, err := l.b.Lean(b.kb, l.c, l.index, a.nu, l.matter(a.open))
		if err != nil {
			return nil, err
		}
		if after := l.width(kb); !kb.IsEmpty() && after > 0.95*before {
			break
		}
		at.Child = append(at.Child, n)
		at = n
		b.kb = kb
		if kb.IsEmpty() {
			at.Child = append(at.Child, &cert.Node{Kind: kernel.Empty})
			return top.Child[0], nil
		}
	}
	pick, ok := l.choose(b, a.open)
	if !ok {
		n, err := l.program(b)
		if err != nil {
			return nil, err
		}
		at.Child = append(at.Child, n)
		return top.Child[0], nil
	}
	r := l.relu(int(pick.Act))
	n := &cert.Node{Kind: kernel.SplitRelu, Relu: r, Elem: int(pick.Elem)}
	at.Child = append(at.Child, n)
	lo, hi := b.kb.Interval(r, int(pick.Elem))
	n.Child = make([]*cert.Node, 2)
	var kids [2]*branch
	for side := range 2 {
		k := &branch{kb: b.kb.SplitRelu(r, int(pick.Elem), side == 1), alpha: b.alpha, wide: map[relax.Split][2]float64{}}
		for s, w := range b.wide {
			k.wide[s] = w
		}
		k.wide[relax.Split{Act: pick.Act, Elem: pick.Elem}] = [2]float64{lo, hi}
		k.splits = append(append(k.splits, b.splits...), relax.Split{Act: pick.Act, Elem: pick.Elem, Sign: int8(2*side - 1)})
		k.beta = append(append(k.beta, b.beta...), 0)
		kids[side] = k
	}
	var err error
	select {
	case w := <-l.free:
		other := *l
		fork := *l.prover
		fork.b = l.b.Fork()
		other.prover, other.w = &fork, w
		done := make(chan error)
		go func() {
			defer func() { l.free <- w }()
			done <- guarded(func() (err error) {
				n.Child[1], err = other.node(kids[1])
				return err
			})
		}()
		n.Child[0], err = l.node(kids[0])
		err = cmp.Or(err, <-done)
	default:
		if n.Child[0], err = l.node(kids[0]); err == nil {
			n.Child[1], err = l.node(kids[1])
		}
	}
	return top.Child[0], err
}

// leanest is the number of elements that a branch bounds at most.
const leanest = 40

// matter lists the open elements whose relaxation can cost the row most, first Relus first.
func (l *leaner) matter(open []relax.Open) (elems [][2]int) {
	slices.SortStableFunc(open, func(x, y relax.Open) int { return cmp.Compare(y.Gap, x.Gap) })
	for _, o := range open[:min(len(open), leanest)] {
		elems = append(elems, [2]int{l.relu(int(o.Act)), int(o.Elem)})
	}
	slices.SortFunc(elems, func(x, y [2]int) int { return cmp.Or(x[0]-y[0], x[1]-y[1]) })
	return elems
}

// relu returns the kernel's number of a Relu node.
func (l *leaner) relu(k int) int {
	for r, n := range l.relus {
		if n == k {
			return r
		}
	}
	return -1
}

// width sums the widths of open elements.
func (l *leaner) width(b *kernel.Bounds) (sum float64) {
	for r, k := range l.relus {
		for j := range l.full.Nodes[k].N {
			if lo, hi := b.Interval(r, j); lo < 0 && hi > 0 {
				sum += hi - lo
			}
		}
	}
	return sum
}
