package kernel

import (
	"math"
	"math/big"
	"slices"
)

// A geometry is that of a window along one spatial axis.
type geometry struct{ in, out, size, stride, dilation, before int }

// tap returns how the t-th element of the windows goes through the axis a.
func (g *geometry) tap(a axis, t int) axis {
	return axis{n: g.out, start: t*g.dilation - g.before, step: g.stride, size: g.in, stride: a.stride}
}

// windows reads the geometry for windows of the given sizes over x, and the shape of one result per window and channel of x; a
// single spatial axis gets a trivial one before it.
func (op *operator) windows(x []int, size []int64) (v, h geometry, shape []int) {
	n := len(size)
	op.need(len(x) >= 3 && len(x) <= 4 && n == len(x)-2, "windows %v over %v: one and two dimensions are checked", size, x)
	op.need(op.attr["auto_pad"].s == "" || op.attr["auto_pad"].s == "NOTSET", "auto_pad is not checked")
	op.need(op.int("ceil_mode", 0) == 0, "ceil_mode is not checked")
	list := func(name string, n int, least int64) []int64 {
		l := op.attr[name].ints
		if l == nil {
			l = slices.Repeat([]int64{least}, n)
		}
		op.need(len(l) == n && slices.Min(l) >= least && slices.Max(l) < 1<<15, "%s %v", name, l)
		return l
	}
	strides, dilations, pads := list("strides", n, 1), list("dilations", n, 1), list("pads", 2*n, 0)
	op.need(op.kind == "Conv" || op.kind == "MaxPool" || slices.Max(pads) == 0, "pads of averages are not checked")
	h, shape = geometry{1, 1, 1, 1, 1, 0}, slices.Clone(x)
	for d, s := range size {
		op.need(s >= 1 && s < 1<<15, "windows %v", size)
		free := x[2+d] + int(pads[d]+pads[n+d]-dilations[d]*(s-1)) - 1
		op.need(free >= 0, "windows %v over %v", size, x)
		v, h = h, geometry{x[2+d], free/int(strides[d]) + 1, int(s), int(strides[d]), int(dilations[d]), int(pads[d])}
		shape[2+d] = h.out
	}
	return v, h, shape
}

// slide appends the runs of one channel: every tap of the window, weights from weight on, along the output's rows.
func slide(runs []run, v, h geometry, out, in, weight, step int) []run {
	for t := range v.size * h.size {
		ky, shift := t/h.size, t%h.size*h.dilation-h.before
		first, last := 0, h.out-1
		for first <= last && first*h.stride+shift < 0 {
			first++
		}
		for last >= first && last*h.stride+shift >= h.in {
			last--
		}
		for y := range v.out {
			if iy := y*v.stride + ky*v.dilation - v.before; iy >= 0 && iy < v.in && first <= last {
				o, i := out+y*h.out+first, in+iy*h.in+first*h.stride+shift
				runs = append(runs, run{int32(o), int32(i), int32(weight + t*step), int32(last - first + 1), 1, int32(h.stride), 0})
				need(len(runs) <= maxElements, "a convolution with too many rows")
			}
		}
	}
	return runs
}

// window is Conv, or an average: the same with one channel per group and one weight.
func (w *builder) window(op *operator, in []value) value {
	x := op.variable(in[0]).shape
	op.need(len(x) >= 3, "an input of shape %v", x)
	group, step, k := x[1], 0, []int{x[1], 1} // k is the shape of weights: channels out, channels in per group, sizes
	sizes := op.attr["kernel_shape"].ints
	if op.kind == "GlobalAveragePool" {
		sizes = wide(x[2:])
	} else if op.kind == "Conv" {
		k, step, group = op.fixed(in[1]).shape, 1, int(min(max(op.int("group", 1), 1), maxElements))
		op.need(sizeOf(k) > 0 && len(k) == len(x) && k[0]%group == 0 && k[1]*group == x[1], "%d groups, input %v, weights %v", group, x, k)
		sizes = wide(k[2:])
	}
	v, h, shape := op.windows(x, sizes)
	shape[1] = k[0]
	taps := v.size * h.size
	op.need(sizeOf(shape) > 0 && sizeOf(shape) <= maxMACs/(k[1]*taps), "is too large")
	t := term{src: in[0].node}
	if step == 0 {
		t.w = reciprocals([]float64{float64(taps)})
	} else {
		t.w = in[1].c.scaled(1)
	}
	for s := range x[0] {
		for m := range k[0] {
			for c := range k[1] {
				from := s*x[1] + m/(k[0]/group)*k[1] + c
				t.runs = slide(t.runs, v, h, (s*k[0]+m)*v.out*h.out, from*v.in*h.in, (m*k[1]+c)*taps*step, step)
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

func wide(list []int) (out []int64) {
	for _, v := range list {
		out = append(out, int64(v))
	}
	return out
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
