package bab

import (
	"context"
	"math"
	"slices"

	"github.com/spai-project/certify/relax"
)

// boundTree proves sign·z ≥ lb for one neuron's pre-activation z.
type boundTree struct {
	elem   int32 // of the layer
	sign   float64
	lb     float64
	leaves []boundLeaf // by descending bound: the last is the worst
	alpha  []uint8     // slopes that the next leaves start from
	done   bool
}

type boundLeaf struct {
	splits []relax.Split // in the numbers of the group's network
	beta   []float32
	lb     float64
	next   relax.Split // Sign 0: nothing to decide
}

func newBoundTree(elem int32, sign, lb float64) *boundTree {
	return &boundTree{elem: elem, sign: sign, lb: lb, leaves: []boundLeaf{{lb: math.Inf(-1)}}}
}

// treeGroup grows trees of one layer on the part of the network that they depend on.
type treeGroup struct {
	f     *relax.Frame
	k     int
	trees []*boundTree // two per neuron: below, above
	elem  []int32      // per neuron, in the numbers of f's network
}

func newTreeGroup(f *relax.Frame, k int, trees []*boundTree) *treeGroup {
	g := &treeGroup{k: k, trees: trees}
	var elems []int32
	for i := 0; i < len(trees); i += 2 {
		elems = append(elems, trees[i].elem)
	}
	g.f = f.Cone(k, elems)
	g.elem = elems
	g.f.Net.ToLocal(k, g.elem)
	return g
}

const (
	refineBatch = 64 // lanes per batch: two per leaf to split
	refineSteps = 4  // ascent steps per leaf
	rootSteps   = 16 // and per root
)

// boundJob is a leaf to expand: to bound, when it is a tree's root, else to split.
type boundJob struct {
	t     *boundTree
	elem  int32
	leaf  boundLeaf
	first bool // of its tree in this batch
}

// lanes is the number of children.
func (j *boundJob) lanes() int {
	if j.t.alpha == nil {
		return 1
	}
	return 2
}

// grow works until w has done the given work or no tree can be improved.
func (g *treeGroup) grow(ctx context.Context, w *relax.Worker, work int64) {
	for end := w.Work + work; ctx.Err() == nil && w.Work < end; {
		jobs := g.jobs()
		if len(jobs) == 0 {
			return
		}
		for len(jobs) > 0 {
			n, lanes := 0, 0
			for n < len(jobs) && lanes+jobs[n].lanes() <= refineBatch {
				lanes += jobs[n].lanes()
				n++
			}
			g.expand(w, jobs[:n], lanes)
			jobs = jobs[n:]
		}
	}
}

// jobs takes the worst leaves of the trees that are not done: one each, more where few trees are left, but then so few that all fit
// into one batch. A tree's bound is that of its worst leaf once all are back (settle), so no tree may have leaves in two batches.
func (g *treeGroup) jobs() []boundJob {
	active := 0
	for i := 0; i < len(g.trees); i += 2 {
		a, b := g.trees[i], g.trees[i+1]
		if a.lb >= 0 || b.lb >= 0 { // the sign is known, and that is all that ReLU asks
			a.done, b.done = true, true
		}
		for _, t := range g.trees[i : i+2] {
			if !t.done {
				active++
			}
		}
	}
	var jobs []boundJob
	for i, t := range g.trees {
		if t.done {
			continue
		}
		for n := range min(len(t.leaves), max(refineBatch/2/active, 1)) {
			last := len(t.leaves) - 1
			if t.leaves[last].next.Sign == 0 && t.alpha != nil {
				break
			}
			jobs = append(jobs, boundJob{t: t, elem: g.elem[i/2], leaf: t.leaves[last], first: n == 0})
			t.leaves = t.leaves[:last]
		}
	}
	return jobs
}

// expand bounds the children of the jobs' leaves in one batch and puts them into the trees.
func (g *treeGroup) expand(w *relax.Worker, jobs []boundJob, lanes int) {
	R := (lanes + 7) &^ 7
	a := relax.NewAscent(w, g.f, R)
	splits, beta := make([][]relax.Split, R), make([][]float64, R)
	elems := make([]int32, len(jobs))
	o := relax.Steps{N: refineSteps, RateA: 0.1, RateB: 0.5, Decay: 0.9, Final: true}
	r := 0
	for i := range jobs {
		j := &jobs[i]
		elems[i] = j.elem
		if j.t.alpha == nil {
			o.N, o.RateA = rootSteps, 0.25
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
	a.Run(g.f, g.k, R, splits, func(w *relax.Worker) {
		w.PlanWindows(g.k, elems)
		r := 0
		for i := range jobs {
			for range jobs[i].lanes() {
				w.SeedRow(g.f, g.k, int(jobs[i].elem), r, jobs[i].t.sign)
				r++
			}
		}
	}, o)
	r = 0
	for i := range jobs {
		j := &jobs[i]
		n := j.lanes()
		if j.first {
			j.t.alpha = a.PackAlpha(j.t.alpha[:0], r, R)
		}
		for range n {
			j.t.add(boundLeaf{splits: splits[r], beta: narrowed(beta[r]), lb: max(j.leaf.lb, a.Best[r]), next: widest(w, g.f, r)})
			r++
		}
	}
	for i := range jobs {
		jobs[i].t.settle()
	}
}

// add puts a leaf where it belongs.
func (t *boundTree) add(l boundLeaf) {
	at, _ := slices.BinarySearchFunc(t.leaves, l.lb, func(x boundLeaf, lb float64) int {
		if x.lb > lb {
			return -1
		}
		return 1
	})
	t.leaves = slices.Insert(t.leaves, at, l)
}

// settle takes the bound of a tree whose leaves are all in their places.
func (t *boundTree) settle() {
	worst := &t.leaves[len(t.leaves)-1]
	t.lb = max(t.lb, worst.lb)
	t.done = worst.next.Sign == 0
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

// narrowed stores multipliers: any that are not negative are valid.
func narrowed(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
