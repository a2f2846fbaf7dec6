package op

import (
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Conv",
	Doc:  "1-D and 2-D convolution with groups, strides, dilations, pads and auto_pad; bounded when weights and bias are constant",
	Eval: arity(2, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		g, shape, err := convGeom(n, in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		out, err := newTensor(n, in[0].Type, shape)
		if err != nil {
			return nil, err
		}
		if err := fillBias(n, out, in[2], g.M); err != nil {
			return nil, err
		}
		oh, ow := g.OutHW()
		for s := range shape[0] {
			correlate(g, oh, ow, out.Data[s*g.M*oh*ow:], in[0].Data[s*g.C*g.H*g.W:], in[1].Data)
		}
		return []*Tensor{out}, nil
	}),
	Lower: pad(3, lowerConv),
	Example: func(r *rand.Rand) Example {
		group := 1 + r.IntN(2)
		attrs := map[string]Attr{
			"group":     {I: int64(group)},
			"strides":   {Is: []int64{int64(1 + r.IntN(2)), 1}},
			"dilations": {Is: []int64{1, int64(1 + r.IntN(2))}},
			"pads":      {Is: []int64{int64(r.IntN(2)), 1, 0, int64(r.IntN(3))}},
		}
		if r.IntN(3) == 0 {
			delete(attrs, "pads")
			attrs["auto_pad"] = Attr{S: []string{"SAME_UPPER", "SAME_LOWER", "VALID"}[r.IntN(3)]}
		}
		if r.IntN(3) == 0 {
			return example("Conv", 11, nil, randTensor(r, 1, 2, 7), randTensor(r, 3, 2, 3), randTensor(r, 3))
		}
		return example("Conv", 11, attrs, randTensor(r, 1+r.IntN(2), 4, 5, 6), randTensor(r, 2*group, 4/group, 3, 2), randTensor(r, 2*group))
	},
})

// convGeom returns the geometry for one sample and the output's shape.
func convGeom(n *Node, x, w []int) (*prog.ConvGeom, []int, error) {
	if len(x) != len(w) || len(x) != 3 && len(x) != 4 {
		return nil, nil, unsupported(n, "input of shape %v with weights of shape %v: only 1-D and 2-D", x, w)
	}
	group := n.int("group", 1)
	if group < 1 || group > maxWindow || w[0]%int(group) != 0 || w[1]*int(group) != x[1] || w[0] < 1 || w[1] < 1 {
		return nil, nil, errorf(n, "input of shape %v, weights of shape %v, %d groups", x, w, group)
	}
	win, err := windows(n, x, w[2:], false)
	if err != nil {
		return nil, nil, err
	}
	if len(win) == 1 {
		win = []axisWindow{{in: 1, out: 1, kernel: 1, stride: 1, dilation: 1}, win[0]}
	}
	g := geometry(win)
	g.C, g.M, g.Group = x[1], w[0], int(group)
	shape := []int{x[0], w[0]}
	for _, a := range win[4-len(x):] {
		shape = append(shape, a.out)
	}
	_, err = sizeOf(n, shape)
	return g, shape, err
}

func geometry(w []axisWindow) *prog.ConvGeom {
	return &prog.ConvGeom{
		H: w[0].in, KH: w[0].kernel, StrideH: w[0].stride, DilH: w[0].dilation, PadT: w[0].before, PadB: w[0].after,
		W: w[1].in, KW: w[1].kernel, StrideW: w[1].stride, DilW: w[1].dilation, PadL: w[1].before, PadR: w[1].after,
	}
}

// fillBias sets every channel of out to its bias.
func fillBias(n *Node, out, bias *Tensor, channels int) error {
	if bias == nil {
		return nil
	}
	if len(bias.Data) != channels {
		return errorf(n, "bias of shape %v for %d channels", bias.Shape, channels)
	}
	copy(out.Data, channelwise(bias.Data, out.Shape))
	return nil
}

// channelwise repeats one number per channel over a tensor of the given shape (axis 1 is the channels).
func channelwise(c []float64, shape []int) []float64 {
	area := Size(shape[2:])
	out := make([]float64, Size(shape))
	for i := range out {
		out[i] = c[i/area%len(c)]
	}
	return out
}

// correlate adds the convolution of one sample to dst.
func correlate(g *prog.ConvGeom, oh, ow int, dst, x, w []float64) {
	eachTap(g, oh, ow, func(k, o, i, count int) {
		v := w[k]
		for range count {
			dst[o] += v * x[i]
			o++
			i += g.StrideW
		}
	})
}

// eachTap visits the weights k of a convolution with the runs of output elements o, o+1, … that they feed from input
// elements i, i+StrideW, …
func eachTap(g *prog.ConvGeom, oh, ow int, f func(k, o, i, count int)) {
	cg, mg := g.C/g.Group, g.M/g.Group
	for k := range g.M * cg * g.KH * g.KW {
		kx, ky := k%g.KW, k/g.KW%g.KH
		m := k / (g.KW * g.KH * cg)
		c := k/(g.KW*g.KH)%cg + m/mg*cg
		// Output columns whose tap kx is inside the input.
		shift := kx*g.DilW - g.PadL
		first := max(0, (-shift+g.StrideW-1)/g.StrideW)
		last := min(ow-1, floorDiv(g.W-1-shift, g.StrideW))
		if last < first {
			continue
		}
		for y := range oh {
			iy := y*g.StrideH - g.PadT + ky*g.DilH
			if iy >= 0 && iy < g.H {
				f(k, (m*oh+y)*ow+first, (c*g.H+iy)*g.W+first*g.StrideW+shift, last-first+1)
			}
		}
	}
}

func floorDiv(a, b int) int {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

func lowerConv(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
	g, shape, err := convGeom(n, in[0].Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	w, bias, err := convParams(n, in, g.M, shape)
	if err != nil {
		return nil, err
	}
	batch(g, shape[0])
	k := b.Affine(n.Name, Size(shape), bias, 0, prog.Term{Src: in[0].Node, Map: prog.Conv(*g, repeated(w, shape[0]))})
	return node(k, shape), nil
}

// convParams returns the constant weights and the bias spread over the output.
func convParams(n *Node, in []Value, channels int, shape []int) (w, bias []float64, err error) {
	if !in[0].variable() || in[1].Const == nil || in[2].variable() {
		return nil, nil, unsupported(n, "weights or bias depend on the input")
	}
	if Size(shape) == 0 {
		return nil, nil, unsupported(n, "empty output")
	}
	if err := realConst(n, in[1].Const); err != nil {
		return nil, nil, err
	}
	if c := in[2].Const; c != nil {
		if err := realConst(n, c); err != nil {
			return nil, nil, err
		}
		if len(c.Data) != channels {
			return nil, nil, errorf(n, "bias of shape %v for %d channels", c.Shape, channels)
		}
		bias = channelwise(c.Data, shape)
	}
	return in[1].Const.Data, bias, nil
}

// batch turns the geometry of one sample into that of several: samples are groups of channels with the same weights.
func batch(g *prog.ConvGeom, samples int) {
	g.C, g.M, g.Group = g.C*samples, g.M*samples, g.Group*samples
}

// repeated returns n copies of w one after the other; one copy is w itself.
func repeated(w []float64, n int) []float64 {
	if n == 1 {
		return w
	}
	return slices.Repeat(w, n)
}
