package kernel

import (
	"math"
	"math/big"
	"slices"
)

// windows reads the geometry of windows of the given sizes over x. It returns, for every place in a window in order, the element
// of a channel that each window has there, −1 for padding, and the shape of one result per window and channel of x.
func (w *builder) windows(op *operator, x, size []int) (taps [][]int32, shape []int) {
	n := len(size)
	op.need(n >= 1 && n == len(x)-2, "windows %v over %v", size, x)
	op.need(op.attr["auto_pad"].s == "" || op.attr["auto_pad"].s == "NOTSET", "auto_pad is not checked")
	op.need(op.int("ceil_mode", 0) == 0, "ceil_mode is not checked")
	list := func(name string, n, least int) []int {
		l := op.attr[name].ints
		if l == nil {
			l = slices.Repeat([]int{least}, n)
		}
		op.need(len(l) == n && slices.Min(l) >= least && slices.Max(l) < 1<<15, "%s %v", name, l)
		return l
	}
	strides, dilations, pads := list("strides", n, 1), list("dilations", n, 1), list("pads", 2*n, 0)
	op.need(op.kind == "Conv" || op.kind == "MaxPool" || slices.Max(pads) == 0, "pads of averages are not checked")
	shape = slices.Clone(x)
	axes, count := axesOf(x[2:]), 1
	for d, s := range size {
		op.need(s >= 1 && s < 1<<15, "windows %v", size)
		free := x[2+d] + pads[d] + pads[n+d] - dilations[d]*(s-1) - 1
		op.need(free >= 0, "windows %v over %v", size, x)
		axes[d].n, axes[d].step = free/strides[d]+1, strides[d]
		shape[2+d], count = axes[d].n, min(count*s, maxConstant+1)
	}
	op.need(sizeOf(shape[2:]) > 0 && count <= maxElements, "windows %v over %v", size, x)
	w.make(op, count*sizeOf(shape[2:]))
	for t := range count {
		for d := n - 1; d >= 0; d-- {
			axes[d].start = t%size[d]*dilations[d] - pads[d]
			t /= size[d]
		}
		taps = append(taps, places(axes))
	}
	return taps, shape
}

// window is Conv, or an average: the same with one channel per group and one weight.
func (w *builder) window(op *operator, in []value) value {
	x := op.variable(in[0]).shape
	op.need(len(x) >= 3, "an input of shape %v", x)
	group, step, k := x[1], 0, []int{x[1], 1} // k is the shape of weights: channels out, channels in per group, sizes
	switch op.kind {
	case "Conv":
		op.fixed(in[1])
		k, step, group = in[1].shape, 1, int(min(max(op.int("group", 1), 1), maxElements))
		op.need(sizeOf(k) > 0 && len(k) == len(x) && k[0]%group == 0 && k[1]*group == x[1],
			"%d groups, input %v, weights %v", group, x, k)
	case "AveragePool":
		k = append(k, op.attr["kernel_shape"].ints...)
	default:
		k = append(k, x[2:]...)
	}
	taps, shape := w.windows(op, x, k[2:])
	shape[1] = k[0]
	op.need(sizeOf(shape) > 0 && sizeOf(shape) <= maxMACs/(k[1]*len(taps)), "is too large")
	t := term{src: in[0].node}
	if op.kind == "Conv" {
		t.w = in[1].c.scaled(1)
	} else {
		t.w = reciprocals([]float64{float64(len(taps))})
	}
	var rows [][]run // per place in the window, for one channel
	for _, at := range taps {
		rows = append(rows, pointwise(0, table{}, at, nil).runs)
	}
	out, area := len(taps[0]), sizeOf(x[2:])
	for to := range x[0] * k[0] {
		s, m := to/k[0], to%k[0]
		for c := range k[1] {
			from := s*x[1] + m/(k[0]/group)*k[1] + c
			for i, rows := range rows {
				for _, r := range rows {
					r.out, r.in, r.w = r.out+int32(to*out), r.in+int32(from*area), int32(((m*k[1]+c)*len(taps)+i)*step)
					t.runs = append(t.runs, r)
				}
				op.need(len(t.runs) <= maxElements, "has too many rows")
			}
		}
	}
	terms := []term{t}
	if len(in) == 3 {
		b := op.fixed(in[2])
		op.need(len(b.data) == k[0], "bias of shape %v", b.shape)
		terms = append(terms, bias(b.scaled(1), channels(shape)))
	}
	return w.affine(op, shape, terms...)
}

// channels returns the channel of every element.
func channels(shape []int) []int32 {
	axes := axesOf(shape)
	for d := range axes {
		axes[d].stride = 0
	}
	axes[1].stride = 1
	return places(axes)
}

// batchNorm is (x − mean)·scale/√(var + epsilon) + bias per channel.
func (w *builder) batchNorm(op *operator, in []value) value {
	x := op.variable(in[0])
	op.need(len(x.shape) > 1, "an input of shape %v", x.shape)
	op.need(op.int("training_mode", 0) == 0 && op.int("spatial", 1) == 1, "is checked for inference over channels")
	var p [4][]*big.Float
	for i, v := range in[1:] {
		op.need(len(op.fixed(v).data) == x.shape[1], "parameters of shape %v", v.shape)
		for _, f := range v.c.data {
			op.need(f-f == 0, "%v among the parameters", f)
			p[i] = append(p[i], big.NewFloat(f).SetPrec(400)) // every rounding but the last is negligible
		}
	}
	epsilon := big.NewFloat(op.float("epsilon", float64(float32(1e-5))))
	var factor, offset []float64
	for c, d := range p[3] {
		op.need(d.Add(d, epsilon).Sign() > 0, "a variance that is not positive")
		s := p[0][c].Quo(p[0][c], d.Sqrt(d))
		f, _ := s.Float64()
		o, _ := p[2][c].Sub(p[1][c], s.Mul(s, p[2][c])).Float64()
		for _, v := range []float64{f, o} {
			op.need(v == 0 || math.Abs(v) > 0x1p-900, "a factor or offset too close to 0")
		}
		factor, offset = append(factor, f), append(offset, o)
	}
	at := channels(x.shape)
	t := pointwise(x.node, quantise(factor, true), places(axesOf(x.shape)), at)
	return w.affine(op, x.shape, t, bias(quantise(offset, true), at))
}
