package kernel

import "slices"

// Operators that are affine maps of Relus. The nodes come in the order, and their elements in the order, in which the search has
// them as well (nn/op): proofs count Relus.

func (w *builder) relu(op *operator, in []value) value {
	x := op.variable(in[0])
	return value{shape: x.shape, node: w.net.add(node{name: op.name, kind: relu, n: sizeOf(x.shape), src: x.node})}
}

// leaky is LeakyRelu, PRelu or Abs: s·x + (1 − s)·relu(x), where Abs has s = −1.
func (w *builder) leaky(op *operator, in []value) value {
	x, slopes := op.variable(in[0]), []float64{op.float("alpha", float64(float32(0.01)))}
	shape, at := broadcast(op, in...)
	at = append(at, nil)
	if op.kind == "Abs" {
		slopes[0] = -1
	} else if op.kind == "PRelu" {
		slopes = op.fixed(in[1]).data
	}
	op.need(slices.Equal(shape, x.shape), "slopes for shape %v", shape)
	rest, exact := make([]float64, len(slopes)), true
	for i, s := range slopes {
		d := 1 - s
		t := d - 1
		rest[i], exact = d, exact && 1-(d-t) == s+t // what rounding d lost is the difference of these
	}
	r := w.relu(op, in)
	return w.affine(op, x.shape, pointwise(x.node, quantise(slopes, false), at[0], at[1]),
		pointwise(r.node, quantise(rest, !exact), at[0], at[1]))
}

// clip is lo + relu(x − lo) − relu(x − hi), with the limits that there are.
func (w *builder) clip(op *operator, in []value) value {
	x := op.variable(in[0])
	lo, hi := w.param(op, in, 1, "min", 11), w.param(op, in, 2, "max", 11)
	op.need(len(lo) <= 1 && len(hi) <= 1 && (len(lo)+len(hi) < 2 || lo[0] < hi[0]), "limits %v and %v", lo, hi)
	all, none := places(axesOf(x.shape)), make([]int32, sizeOf(x.shape))
	above := func(limit, sign float64) term { // sign·relu(x − limit)
		v := x
		if limit != 0 {
			v = w.affine(op, x.shape, pointwise(x.node, factor(1), all, nil), bias(quantise([]float64{-limit}, false), none))
		}
		return pointwise(w.relu(op, []value{v}).node, factor(int64(sign)), all, nil)
	}
	terms := []term{pointwise(x.node, factor(1), all, nil)}
	if len(lo) > 0 {
		terms = []term{above(lo[0], 1), bias(quantise(lo, false), none)}
	}
	if len(hi) > 0 {
		terms = append(terms, above(hi[0], -1))
	}
	return w.affine(op, x.shape, terms...)
}

// maxPool takes the maximum of windows in rounds of max(x, y) = y + relu(x − y), all windows in step. Padding is no element.
func (w *builder) maxPool(op *operator, in []value) value {
	x := op.variable(in[0])
	taps, shape := w.windows(op, x.shape, op.attr["kernel_shape"].ints)
	windows, out, area := make([][]int32, sizeOf(shape)), len(taps[0]), sizeOf(x.shape[2:])
	op.need(len(windows) > 0 && len(taps) <= maxElements/len(windows), "windows of too many elements")
	for o := range windows {
		for _, at := range taps {
			if i := at[o%out]; i >= 0 {
				windows[o] = append(windows[o], int32(o/out*area)+i)
			}
		}
	}
	plus, minus := factor(1), factor(-1)
	for cur := x.node; ; {
		var first, second []int32 // of every pair
		var keep, pair []int32    // of every element of the next round: what stays, and its pair or −1
		for o, l := range windows {
			op.need(len(l) > 0, "a window in the padding")
			var next []int32
			for ; len(l) > 1; l = l[2:] {
				pair, first, second = append(pair, int32(len(first))), append(first, l[0]), append(second, l[1])
				next, keep = append(next, int32(len(keep))), append(keep, l[1])
			}
			if len(l) > 0 {
				pair, next, keep = append(pair, -1), append(next, int32(len(keep))), append(keep, l[0])
			}
			windows[o] = next
		}
		if len(first) == 0 && cur != x.node {
			return value{shape: shape, node: cur}
		} else if len(first) == 0 {
			return w.affine(op, shape, pointwise(cur, plus, keep, nil))
		}
		d := w.affine(op, []int{len(first)}, pointwise(cur, plus, first, nil), pointwise(cur, minus, second, nil))
		r := w.relu(op, []value{d})
		cur = w.affine(op, []int{len(keep)}, pointwise(cur, plus, keep, nil), pointwise(r.node, plus, pair, nil)).node
	}
}
