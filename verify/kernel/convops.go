package kernel

import (
	"math"
	"math/big"
	"slices"
)

// A geometry is that of a window along one spatial axis.
type geometry struct{ in, out, size, stride, dilation, before int }

// axes reads the geometry for windows of the given sizes over x; a single axis gets a trivial one before it.
func axes(op *operator, x, size []int) []geometry {
	op.need(len(x) >= 3 && len(x) <= 4 && len(size) == len(x)-2, "windows %v over %v: one and two dimensions are checked", size, x)
	op.need(op.attr["auto_pad"].s == "" || op.attr["auto_pad"].s == "NOTSET", "auto_pad is not checked")
	op.need(op.int("ceil_mode", 0) == 0, "ceil_mode is not checked")
	list := func(name string, n int, def int64) []int64 {
		l := op.attr[name].ints
		if l == nil {
			l = slices.Repeat([]int64{def}, n)
		}
		op.need(len(l) == n && slices.Min(l) >= def && slices.Max(l) < 1<<15, "%s %v", name, l)
		return l
	}
	n := len(size)
	strides, dilations, pads := list("strides", n, 1), list("dilations", n, 1), list("pads", 2*n, 0)
	op.need(op.kind == "Conv" || slices.Max(pads) == 0, "pads of averages are not checked")
	ws := []geometry{{1, 1, 1, 1, 1, 0}}
	for d := range n {
		op.need(size[d] >= 1 && size[d] < 1<<15, "windows %v", size)
		free := x[2+d] + int(pads[d]+pads[n+d]-dilations[d]*int64(size[d]-1)) - 1
		op.need(free >= 0, "windows %v over %v", size, x)
		ws = append(ws, geometry{x[2+d], free/int(strides[d]) + 1, size[d], int(strides[d]), int(dilations[d]), int(pads[d])})
	}
	return ws[n-1:]
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

// window is Conv, or AveragePool: the same with one channel per group and one weight.
func (w *builder) window(op *operator, in []value) value {
	x := in[0].shape
	op.need(in[0].c == nil && len(x) >= 3, "an input of shape %v, or a constant one", x)
	var k []int // channels out, channels in per group, sizes
	var t term
	group, step := x[1], 0
	if op.kind == "Conv" {
		op.need(in[1].c != nil && sizeOf(in[1].shape) > 0, "weights that are not constant are not checked")
		k, t.w, step = in[1].shape, in[1].c.scaled(1), 1
		group = int(min(max(op.int("group", 1), 1), maxElements))
		op.need(len(k) == len(x) && k[0]%group == 0 && k[1]*group == x[1], "%d groups, input %v, weights %v", group, x, k)
	} else {
		k = []int{group, 1}
		for _, v := range op.attr["kernel_shape"].ints {
			k = append(k, int(min(max(v, 0), 1<<15)))
		}
		op.need(sizeOf(k) > 0, "windows %v", k)
		t.w = quantise([]float64{1 / float64(sizeOf(k[2:]))}, true)
	}
	ws := axes(op, x, k[2:])
	v, h := ws[0], ws[1]
	shape, taps := []int{x[0], k[0], v.out, h.out}, v.size*h.size
	op.need(sizeOf(shape) > 0 && sizeOf(shape) <= maxMACs/(k[1]*taps), "is too large")
	for s := range x[0] {
		for m := range k[0] {
			for c := range k[1] {
				from := s*x[1] + m/(k[0]/group)*k[1] + c
				t.runs = slide(t.runs, v, h, (s*k[0]+m)*v.out*h.out, from*v.in*h.in, (m*k[1]+c)*taps*step, step)
			}
		}
	}
	t.src = in[0].node
	terms := []term{t}
	if len(in) == 3 {
		op.need(in[2].c != nil && len(in[2].c.data) == k[0], "bias of shape %v", in[2].shape)
		terms = append(terms, bias(in[2].c.scaled(1), channels(shape)))
	}
	return w.affine(op, slices.Delete(shape, 2, 6-len(x)), terms...)
}

// channels returns the channel of every element.
func channels(shape []int) []int32 {
	strides := make([]int, len(shape))
	strides[1] = 1
	return strided(shape, strides)
}

// batchNorm is (x − mean)·scale/√(var + epsilon) + bias per channel.
func (w *builder) batchNorm(op *operator, in []value) value {
	x := in[0]
	op.need(x.c == nil && len(x.shape) > 1, "an input of shape %v, or a constant one", x.shape)
	op.need(op.int("training_mode", 0) == 0 && op.int("spatial", 1) == 1, "is checked for inference over channels")
	var p [4][]*big.Float
	for i, v := range in[1:] {
		op.need(v.c != nil && len(v.c.data) == x.shape[1], "parameters of shape %v", v.shape)
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
	all := strided(x.shape, stridesOf(x.shape))
	at := channels(x.shape)
	t := term{src: x.node, w: quantise(factor, true), runs: gather(all, at)}
	return w.affine(op, x.shape, t, bias(quantise(offset, true), at))
}
