package bab

import (
	"context"

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
	Leaves  float64 // mean number of leaves of their trees
}

// refineGroup is the number of neurons whose trees are searched together, by one worker on their own part of the network.
const refineGroup = 16

// CanRefine reports whether Refine has anything to work on: open ReLU inputs that depend on other ReLUs.
func CanRefine(f *relax.Frame) bool {
	for _, k := range refinable(f.Net) {
		if len(f.OpenRows(k, nil)) > 0 {
			return true
		}
	}
	return false
}

// refinable lists the nodes whose bounds depend on decisions about ReLUs and decide others.
func refinable(n *relax.Net) []int {
	var nodes []int
	for _, k := range n.Pre {
		if n.Refinable(k) {
			nodes = append(nodes, k)
		}
	}
	return nodes
}

// Refine tightens f's bounds of open ReLU inputs, layer by layer, each side of each by a branch and bound of its own over the
// ReLUs before it. A neuron depends on few of the decisions that the whole query depends on, and each gets those that matter to
// it: that is what one tree for all cannot do. f, a frame of the original network, is changed; it reports false when
// some interval became empty. What the refined bounds mean for the others is left to a Crown that follows.
//
// Soundness: the leaves of a neuron's tree cover f's set (each decision leaves both signs), and every leaf's bound is one of relax.
func Refine(ctx context.Context, pool *relax.Pool, f *relax.Frame, o Refinement) (Refined, bool) {
	var done Refined
	nodes := refinable(f.Net)
	end := pool.Work() + o.Work
	for i, k := range nodes {
		rows := f.OpenRows(k, o.Need)
		if len(rows) == 0 || ctx.Err() != nil {
			continue
		}
		f.Net.ByPixel(k, rows)
		per := (end - pool.Work()) / int64(len(nodes)-i) / int64(len(rows))
		trees := make([]*boundTree, 0, 2*len(rows))
		for _, j := range rows {
			trees = append(trees, newBoundTree(j, 1, f.B.L[k][j]), newBoundTree(j, -1, -f.B.U[k][j]))
		}
		groups := (len(rows) + refineGroup - 1) / refineGroup
		pool.Each(groups, func(w *relax.Worker, c int) {
			lo, hi := c*refineGroup, min(len(rows), (c+1)*refineGroup)
			g := newTreeGroup(f, k, trees[2*lo:2*hi])
			g.grow(ctx, w, int64(hi-lo)*per)
		})
		L, U := f.B.L[k], f.B.U[k]
		for i, j := range rows {
			before := U[j] - L[j]
			L[j], U[j] = max(L[j], trees[2*i].lb), min(U[j], -trees[2*i+1].lb)
			if L[j] > U[j] {
				return done, false
			}
			if L[j] >= 0 || U[j] <= 0 {
				done.Stable++
			}
			done.Leaves += float64(len(trees[2*i].leaves)+len(trees[2*i+1].leaves)) / 2
			done.Width += (U[j] - L[j]) / before
		}
		done.Neurons += len(rows)
		f.Refresh(k)
	}
	n := float64(max(done.Neurons, 1))
	done.Width, done.Leaves = done.Width/n, done.Leaves/n
	return done, true
}
