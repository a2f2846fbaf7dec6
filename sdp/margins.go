package sdp

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/relax"
)

// DeepMargins returns, for every other class, a lower bound on the label's lead over it on the box lo…hi, in real arithmetic; +Inf for
// the label itself. Every class gets the bound of linear relaxation (CROWN); the semidefinite relaxation is asked where that is not
// positive, and no more once one class is left open with o.Enough set. The error wraps ErrShape where the network or the arguments do
// not fit, or is ctx's, with the bounds so far.
func DeepMargins(ctx context.Context, net *relax.Net, lo, hi []float64, label int, o DeepOptions) ([]float64, error) {
	p := net.P
	out := p.Nodes[p.Output].N
	if len(lo) != p.Nodes[0].N || len(hi) != len(lo) || label < 0 || label >= out {
		return nil, fmt.Errorf("%w: %d and %d inputs, label %d", ErrShape, len(lo), len(hi), label)
	}
	margins := make([]float64, out)
	for j := range margins {
		margins[j] = math.Inf(-1)
	}
	margins[label] = math.Inf(1)
	b, err := reduceBox(ctx, net, lo, hi, label, margins)
	if err != nil {
		return margins, err
	}
	d, err := NewDeep(b.r, b.lo, b.hi, b.l, b.u)
	if err != nil {
		return margins, err
	}
	var w DeepWorker
	for _, j := range hardest(margins, label) {
		v, err := w.Bound(ctx, d, objective(j, label), o)
		if margins[j] = max(margins[j], v); err != nil {
			return margins, err
		}
		if o.Enough != nil && margins[j] <= *o.Enough {
			return margins, nil
		}
	}
	return margins, nil
}

// hardest lists the classes whose margins are open, the one that is likely to stay so first.
func hardest(margins []float64, label int) []int {
	var order []int
	for j := range margins {
		if j != label && margins[j] <= 0 {
			order = append(order, j)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(margins[a], margins[b]) })
	return order
}

// objective returns the objective of a class: they leave the label out.
func objective(class, label int) int {
	if class > label {
		return class - 1
	}
	return class
}

// A reducedBox is what is left of a network on a box, with an objective for every class but the label.
type reducedBox struct {
	r      *relax.Reduced
	dims   []int
	lo, hi []float64 // of the varying inputs dims
	l, u   []float64 // of the neurons
}

// reduceBox bounds the network on the box, sets the margins to those of linear relaxation, and returns what is left.
func reduceBox(ctx context.Context, net *relax.Net, lo, hi []float64, label int, margins []float64) (*reducedBox, error) {
	for i, l := range lo {
		if !(l <= hi[i]) || math.IsInf(hi[i]-l, 0) {
			return nil, fmt.Errorf("%w: input %d in [%v, %v]", ErrShape, i, l, hi[i])
		}
	}
	box := relax.Box{Lo: lo, Hi: hi}
	b := net.NewBounds()
	net.IBP(box, b)
	f := net.NewFrame(box, b, net.NewScale(b))
	if !net.Crown(ctx, relax.NewPool(net, 1), f, relax.Tightening{}) {
		return nil, fmt.Errorf("%w: contradictory bounds", ErrShape)
	}
	var dims []int
	for i := range lo {
		if box.Varies(i) {
			dims = append(dims, i)
		}
	}
	var objs []relax.Objective
	for j := range margins {
		if j != label {
			out := net.P.Output
			objs = append(objs, relax.Objective{Terms: []relax.ObjectiveTerm{{Node: out, Elem: label, Coef: 1}, {Node: out, Elem: j, Coef: -1}}})
		}
	}
	r, L, U := f.Reduce(dims, objs)
	if r == nil {
		return nil, fmt.Errorf("%w: too large, or of operators that are not reduced", ErrShape)
	}
	blo, bhi := pick(lo, dims), pick(hi, dims)
	var cell relax.Cell
	cell.Enter(r, blo, bhi, L, U)
	cell.Relax()
	all, planes := make([]int32, len(objs)), make([]relax.Plane, len(objs))
	for k := range all {
		all[k], planes[k].A = int32(k), make([]float64, len(dims))
	}
	cell.Objectives(all, planes)
	k := 0
	for j := range margins {
		if j != label {
			margins[j] = planes[k].LB
			k++
		}
	}
	return &reducedBox{r, dims, blo, bhi, L, U}, nil
}

func pick(x []float64, at []int) []float64 {
	y := make([]float64, len(at))
	for i, k := range at {
		y[i] = x[k]
	}
	return y
}
