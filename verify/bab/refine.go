package bab

import (
	"context"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
)

// Refinement limits Refine.
type Refinement struct {
	Work int64         // multiply-adds to spend (relax.Worker.Work)
	Need []prog.Window // if set, the part of each node that the property depends on (relax.Net.Cone)
}

// Refined says what Refine did.
type Refined struct {
	Neurons int     // open neurons that were worked on
	Stable  int     // of them, those whose sign is known now
	Width   float64 // mean ratio of their widths, after to before
}

const (
	refineLanes = 64 // per batch
	refineRound = 256
	refineSteps = 4 // ascent steps per leaf
)

// Refine tightens f's bounds of open ReLU inputs, layer by layer, each side of each by a small branch and bound of its own over the
// ReLUs before it. A neuron sees few of the decisions that a whole query depends on, and every neuron gets the ones that
// matter to it: that is what a shared tree cannot do. f is a frame of the original network and is changed; it reports false when
// some interval became empty. Layers after a refined one keep their old bounds where they were not refined: Crown follows.
//
// Soundness: the leaves of a neuron's tree cover f's set (each decision leaves both signs), and every leaf's bound is one of relax.
func Refine(ctx context.Context, pool *relax.Pool, f *relax.Frame, o Refinement) (Refined, bool) {
	var done Refined
	var nodes []int
	for _, k := range f.Net.Pre {
		if f.Net.Refinable(k) {
			nodes = append(nodes, k)
		}
	}
	g := f
	end := pool.Work() + o.Work
	for i, k := range nodes {
		g = g.DropInactive(nil)
		rows := f.OpenRows(k, o.Need)
		g.Net.ToLocal(k, rows)
		g.Net.ByPixel(k, rows)
		t := newLayerTrees(g, k, rows)
		now := pool.Work()
		t.run(ctx, pool, now+(end-now)/int64(len(nodes)-i))
		if !t.apply(&done) || !f.Adopt(g) {
			return done, false
		}
	}
	done.Width /= float64(max(done.Neurons, 1))
	return done, true
}

// layerTrees are the searches of one layer.
type layerTrees struct {
	f     *relax.Frame
	k     int
	trees []*boundTree // two per neuron: below, above
}

// boundTree proves sign·z ≥ lb for one neuron's pre-activation z.
type boundTree struct {
	elem   int32
	sign   float64
	lb     float64
	leaves []boundLeaf // by descending bound: the last is the worst
	alpha  []uint8     // slopes that the next leaves start from
	done   bool
}

type boundLeaf struct {
	splits []relax.Split // in the numbers of the frame's network
	beta   []float32
	lb     float64
	next   relax.Split // Sign 0: nothing to decide
}

func newLayerTrees(f *relax.Frame, k int, rows []int32) *layerTrees {
	t := &layerTrees{f: f, k: k}
	for _, j := range rows {
		t.trees = append(t.trees, &boundTree{elem: j, sign: 1, lb: f.B.L[k][j], leaves: []boundLeaf{{lb: math.Inf(-1)}}},
			&boundTree{elem: j, sign: -1, lb: -f.B.U[k][j], leaves: []boundLeaf{{lb: math.Inf(-1)}}})
	}
	return t
}

// boundJob is a leaf to expand: to bound, when it is a tree's root, else to split.
type boundJob struct {
	t     *boundTree
	leaf  boundLeaf
	kids  []boundLeaf
	alpha []uint8 // set for a tree's first job of a round
	first bool
}

func (j *boundJob) lanes() int {
	if j.t.alpha == nil {
		return 1
	}
	return 2
}

// run works until the pool has done the given work or no tree can be improved.
func (l *layerTrees) run(ctx context.Context, pool *relax.Pool, until int64) {
	for ctx.Err() == nil && pool.Work() < until {
		jobs := l.jobs()
		if len(jobs) == 0 {
			return
		}
		var chunks [][]boundJob
		for lo, hi, n := 0, 0, 0; lo < len(jobs); lo, n = hi, 0 {
			for hi = lo; hi < len(jobs) && n+jobs[hi].lanes() <= refineLanes; hi++ {
				n += jobs[hi].lanes()
			}
			chunks = append(chunks, jobs[lo:hi])
		}
		pool.Each(len(chunks), func(w *relax.Worker, c int) { l.bound(ctx, w, chunks[c]) })
		for i := range jobs {
			jobs[i].merge()
		}
	}
}

// jobs takes the worst leaves of the trees that are not done: one each, more where there are few trees.
func (l *layerTrees) jobs() []boundJob {
	active := 0
	for i := 0; i < len(l.trees); i += 2 {
		a, b := l.trees[i], l.trees[i+1]
		if a.lb >= 0 || b.lb >= 0 { // the sign is known, and that is all that ReLU asks
			a.done, b.done = true, true
		}
		for _, t := range l.trees[i : i+2] {
			if !t.done {
				active++
			}
		}
	}
	var jobs []boundJob
	for _, t := range l.trees {
		if t.done {
			continue
		}
		n := min(len(t.leaves), max(refineRound/2/active, 1))
		for i := range n {
			last := len(t.leaves) - 1
			if t.leaves[last].next.Sign == 0 && t.alpha != nil {
				break
			}
			jobs = append(jobs, boundJob{t: t, leaf: t.leaves[last], first: i == 0})
			t.leaves = t.leaves[:last]
		}
	}
	return jobs
}

// bound bounds the children of the jobs' leaves in one batch.
func (l *layerTrees) bound(ctx context.Context, w *relax.Worker, jobs []boundJob) {
	n := 0
	for i := range jobs {
		n += jobs[i].lanes()
	}
	R := (n + 7) &^ 7
	a := relax.NewAscent(w, l.f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	elems := make([]int32, len(jobs))
	o := relax.Steps{N: refineSteps, RateA: 0.1, RateB: 0.5, Decay: 0.9, Final: true}
	r := 0
	for i := range jobs {
		j := &jobs[i]
		elems[i] = j.t.elem
		if j.t.alpha == nil {
			o.N, o.RateA = 16, 0.25
			r++
			continue
		}
		for _, sign := range []int8{1, -1} {
			s := j.leaf.next
			s.Sign = sign
			splits[r], beta[r] = append(slices.Clone(j.leaf.splits), s), append(widen(j.leaf.beta), 0)
			a.UnpackAlpha(j.t.alpha, r, R)
			r++
		}
	}
	a.SetSplits(splits, beta)
	a.Run(l.f, l.k, R, splits, func(w *relax.Worker) {
		w.PlanWindows(l.k, elems)
		r := 0
		for i := range jobs {
			for range jobs[i].lanes() {
				w.SeedRow(l.f, l.k, int(jobs[i].t.elem), r, jobs[i].t.sign)
				r++
			}
		}
	}, o)
	r = 0
	for i := range jobs {
		j := &jobs[i]
		for range j.lanes() {
			leaf := boundLeaf{splits: splits[r], lb: max(j.leaf.lb, a.Best[r], j.t.lb)}
			for _, v := range beta[r] {
				leaf.beta = append(leaf.beta, float32(v))
			}
			leaf.next = widest(w, l.f, r)
			j.kids = append(j.kids, leaf)
			r++
		}
		if j.first {
			j.alpha = a.PackAlpha(nil, r-1, R)
		}
	}
}

// widest returns the ReLU whose upper line can cost lane r most, Sign 0 when none costs anything.
func widest(w *relax.Worker, f *relax.Frame, r int) relax.Split {
	var next relax.Split
	cost, gap := 0.0, 0.0
	w.EachOpen(f, r, func(o relax.Open) {
		if o.Intercept > cost || cost == 0 && o.Gap > gap {
			cost, gap, next = o.Intercept, o.Gap, o.Split
			next.Sign = 1
		}
	})
	return next
}

// merge puts a job's children into its tree.
func (j *boundJob) merge() {
	t := j.t
	for _, k := range j.kids {
		at, _ := slices.BinarySearchFunc(t.leaves, k.lb, func(x boundLeaf, lb float64) int {
			if x.lb > lb {
				return -1
			}
			return 1
		})
		t.leaves = slices.Insert(t.leaves, at, k)
	}
	if j.alpha != nil {
		t.alpha = j.alpha
	}
	worst := &t.leaves[len(t.leaves)-1]
	t.lb = max(t.lb, worst.lb)
	t.done = worst.next.Sign == 0
}

// apply writes the trees' bounds into the frame; false when an interval became empty.
func (l *layerTrees) apply(sum *Refined) bool {
	L, U := l.f.B.L[l.k], l.f.B.U[l.k]
	for i := 0; i < len(l.trees); i += 2 {
		a, b := l.trees[i], l.trees[i+1]
		j := a.elem
		before := U[j] - L[j]
		L[j], U[j] = max(L[j], a.lb), min(U[j], -b.lb)
		if L[j] > U[j] {
			return false
		}
		sum.Neurons++
		if L[j] >= 0 || U[j] <= 0 {
			sum.Stable++
		}
		sum.Width += (U[j] - L[j]) / before
	}
	l.f.Refresh(l.k)
	return true
}
