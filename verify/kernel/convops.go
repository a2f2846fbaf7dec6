package kernel

import (
	"math"
	"math/big"
	"slices"
)

// A window is the geometry of one spatial axis.
type window struct{ in, out, size, stride, dilation, before int }

// windows reads the geometry of a convolution or pool of the given sizes; a single axis gets a trivial one before it.
func windows(op *operator, x, size []int, countPads bool) ([]window, error) {
	rank := len(size)
	list := func(name string, n int, def int64) ([]int64, error) {
		l := op.attr[name].l
		if l == nil {
			l = slices.Repeat([]int64{def}, n)
		}
		if len(l) != n {
			return nil, op.fail("%s %v", name, l)
		}
		for _, v := range l {
			if v < def || v > 1<<15 {
				return nil, op.fail("%s %v", name, l)
			}
		}
		return l, nil
	}
	strides, err := list("strides", rank, 1)
	if err != nil {
		return nil, err
	}
	dilations, err := list("dilations", rank, 1)
	if err != nil {
		return nil, err
	}
	pads, err := list("pads", 2*rank, 0)
	if err != nil {
		return nil, err
	}
	if auto := op.attr["auto_pad"].s; auto != "" && auto != "NOTSET" && auto != "VALID" || auto == "VALID" && len(op.attr["pads"].l) > 0 {
		return nil, op.fail("auto_pad %s is not checked", auto)
	}
	if op.int("ceil_mode", 0) != 0 {
		return nil, op.fail("ceil_mode is not checked")
	}
	var ws []window
	if rank == 1 {
		ws = []window{{1, 1, 1, 1, 1, 0}}
	}
	for d := range rank {
		if size[d] < 1 || size[d] > 1<<15 {
			return nil, op.fail("a window of %v", size)
		}
		reach := int(dilations[d])*(size[d]-1) + 1
		free := x[2+d] + int(pads[d]+pads[rank+d]) - reach
		if free < 0 || countPads && (pads[d] != 0 || pads[rank+d] != 0) {
			return nil, op.fail("pads %v for windows of %v over %v are not checked", pads, size, x)
		}
		ws = append(ws, window{x[2+d], free/int(strides[d]) + 1, size[d], int(strides[d]), int(dilations[d]), int(pads[d])})
	}
	return ws, nil
}

// outShape returns the shape that windows make of x.
func outShape(x []int, channels int, ws []window) []int {
	shape := []int{x[0], channels}
	for _, a := range ws[4-len(x):] {
		shape = append(shape, a.out)
	}
	return shape
}

// slide appends the runs of one channel: every tap of the window, weights from weight on, along the output's rows.
func slide(runs []run, ws []window, out, in, weight, step int) []run {
	h, v := ws[1], ws[0]
	for t := range v.size * h.size {
		ky, kx := t/h.size, t%h.size
		shift := kx*h.dilation - h.before
		first, last := 0, h.out-1
		for first <= last && first*h.stride+shift < 0 {
			first++
		}
		for last >= first && last*h.stride+shift >= h.in {
			last--
		}
		if first > last {
			continue
		}
		for y := range v.out {
			iy := y*v.stride + ky*v.dilation - v.before
			if iy < 0 || iy >= v.in {
				continue
			}
			runs = append(runs, run{out: int32(out + y*h.out + first), in: int32(in + iy*h.in + first*h.stride + shift), w: int32(weight + t*step),
				n: int32(last - first + 1), so: 1, si: int32(h.stride)})
		}
	}
	return runs
}

func (w *builder) conv(op *operator, in []value) (value, error) {
	x, k := in[0].shape, in[1].shape
	if in[0].c != nil || in[1].c == nil || len(x) != len(k) || len(x) != 3 && len(x) != 4 || sizeOf(k) == 0 {
		return value{}, op.fail("is checked in one and two dimensions with constant weights")
	}
	group := int(op.int("group", 1))
	if group < 1 || group > k[0] || k[0]%group != 0 || k[1] > maxElements/group || k[1]*group != x[1] {
		return value{}, op.fail("%d groups, input %v, weights %v", group, x, k)
	}
	ws, err := windows(op, x, k[2:], false)
	if err != nil {
		return value{}, err
	}
	shape := outShape(x, k[0], ws)
	size, area, taps := ws[0].out*ws[1].out, ws[0].in*ws[1].in, ws[0].size*ws[1].size
	if sizeOf(shape) == 0 || sizeOf(shape) > maxMACs/(k[1]*taps) {
		return value{}, op.fail("is too large")
	}
	q, err := quantise(in[1].c.data, in[1].c.approx)
	if err != nil {
		return value{}, op.fail("%w", err)
	}
	var runs []run
	for s := range x[0] {
		for m := range k[0] {
			for c := range k[1] {
				from := s*x[1] + m/(k[0]/group)*k[1] + c
				runs = slide(runs, ws, (s*k[0]+m)*size, from*area, (m*k[1]+c)*taps, 1)
			}
		}
	}
	var bias *constant
	if len(in) > 2 && in[2].node >= 0 {
		if in[2].c == nil || len(in[2].c.data) != k[0] {
			return value{}, op.fail("bias of shape %v", in[2].shape)
		}
		bias = in[2].c.spread(channelwise(shape), 1)
	}
	return w.affine(op, shape, bias, term{src: in[0].node, w: q, runs: runs})
}

// channelwise returns the channel of every element.
func channelwise(shape []int) []int32 {
	strides := make([]int, len(shape))
	strides[1] = 1
	return offsets(shape, strides)
}

// pool averages windows without pads.
func (w *builder) pool(op *operator, x value) (value, error) {
	if x.c != nil || len(x.shape) != 3 && len(x.shape) != 4 {
		return value{}, op.fail("is checked in one and two dimensions")
	}
	size := x.shape[2:]
	if op.kind == "AveragePool" {
		size = nil
		for _, v := range op.attr["kernel_shape"].l {
			size = append(size, int(min(max(v, 0), 1<<20)))
		}
	}
	if len(size) != len(x.shape)-2 {
		return value{}, op.fail("kernel_shape %v", size)
	}
	ws, err := windows(op, x.shape, size, true)
	if err != nil {
		return value{}, err
	}
	shape := outShape(x.shape, x.shape[1], ws)
	taps := ws[0].size * ws[1].size
	if sizeOf(shape) == 0 || sizeOf(shape) > maxMACs/taps {
		return value{}, op.fail("is too large")
	}
	q, err := quantise([]float64{1 / float64(taps)}, true)
	if err != nil {
		return value{}, op.fail("%w", err)
	}
	t := term{src: x.node, w: q}
	for c := range x.shape[0] * x.shape[1] {
		t.runs = slide(t.runs, ws, c*ws[0].out*ws[1].out, c*ws[0].in*ws[1].in, 0, 0)
	}
	return w.affine(op, shape, nil, t)
}

// batchNorm is (x − mean)·scale/√(var + epsilon) + bias per channel.
func (w *builder) batchNorm(op *operator, in []value) (value, error) {
	x := in[0]
	if x.c != nil || len(x.shape) < 2 || sizeOf(x.shape) == 0 || op.int("training_mode", 0) != 0 || op.int("spatial", 1) != 1 {
		return value{}, op.fail("is checked for inference over channels")
	}
	n := x.shape[1]
	var p [4][]float64
	for i, v := range in[1:] {
		if v.c == nil || v.c.approx || len(v.c.data) != n {
			return value{}, op.fail("parameters of shape %v", v.shape)
		}
		p[i] = v.c.data
	}
	const prec = 300 // makes every rounding but the last negligible beside half an ulp, which quantise doubles
	big300 := func(f float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(f) }
	scale, bias := &constant{data: make([]float64, n), approx: true}, &constant{data: make([]float64, n), approx: true}
	for c := range n {
		for i := range p {
			if p[i][c]-p[i][c] != 0 {
				return value{}, op.fail("%v among the parameters", p[i][c])
			}
		}
		d := big300(p[3][c])
		if d.Add(d, big300(op.float("epsilon", float64(float32(1e-5))))).Sign() <= 0 {
			return value{}, op.fail("a variance that is not positive")
		}
		s := big300(p[0][c])
		s.Quo(s, d.Sqrt(d))
		scale.data[c], _ = s.Float64()
		b := big300(p[1][c])
		bias.data[c], _ = b.Sub(b, s.Mul(s, big300(p[2][c]))).Float64()
		if math.Abs(bias.data[c]) < 0x1p-900 && bias.data[c] != 0 {
			return value{}, op.fail("a bias too close to 0")
		}
	}
	q, err := quantise(scale.data, true)
	if err != nil {
		return value{}, op.fail("%w", err)
	}
	at := make([]int32, sizeOf(x.shape))
	for i := range at {
		at[i] = int32(i)
	}
	channels := channelwise(x.shape)
	return w.affine(op, x.shape, bias.spread(channels, 1), term{src: x.node, w: q, runs: gather(at, channels)})
}
