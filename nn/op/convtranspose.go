package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "ConvTranspose",
	Doc: "transposed 1-D and 2-D convolution with groups, strides, dilations, pads, output_padding and output_shape; bounded " +
		"when weights and bias are constant",
	Eval: arity(2, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		g, shape, err := transposedGeom(n, in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		out, err := newTensor(n, in[0].Type, shape)
		if err != nil {
			return nil, err
		}
		if err := fillBias(n, out, in[2], g.C); err != nil {
			return nil, err
		}
		h, w := g.OutHW()
		for s := range shape[0] {
			dst, x := out.Data[s*g.C*g.H*g.W:], in[0].Data[s*g.M*h*w:]
			eachTap(g, h, w, func(k, o, i, count int) {
				v := in[1].Data[k]
				for range count {
					dst[i] += v * x[o]
					o++
					i += g.StrideW
				}
			})
		}
		return []*Tensor{out}, nil
	}),
	Lower: pad(3, func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		g, shape, err := transposedGeom(n, in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		w, bias, err := convParams(n, in, g.C, shape)
		if err != nil {
			return nil, err
		}
		batch(g, shape[0])
		m := prog.Transpose(prog.Conv(*g, repeated(w, shape[0])))
		return node(b.Affine(n.Name, Size(shape), bias, 0, prog.Term{Src: in[0].Node, Map: m}), shape), nil
	}),
	Example: func(r *rand.Rand) Example {
		group := 1 + r.IntN(2)
		stride := 1 + r.IntN(2)
		attrs := map[string]Attr{
			"group":          {I: int64(group)},
			"strides":        {Is: []int64{int64(stride), 2}},
			"dilations":      {Is: []int64{1, int64(1 + r.IntN(2))}},
			"pads":           {Is: []int64{0, 1, int64(r.IntN(2)), 1}},
			"output_padding": {Is: []int64{int64(r.IntN(stride)), 1}},
		}
		return example("ConvTranspose", 11, attrs, randTensor(r, 1+r.IntN(2), 4, 3, 4), randTensor(r, 4, 3, 3, 2), randTensor(r, 3*group))
	},
})

// transposedGeom returns the geometry of the convolution whose transpose the node is, for one sample, and the output's
// shape. The convolution's input is the node's output.
func transposedGeom(n *Node, x, w []int) (*prog.ConvGeom, []int, error) {
	if len(x) != len(w) || len(x) != 3 && len(x) != 4 {
		return nil, nil, unsupported(n, "input of shape %v with weights of shape %v: only 1-D and 2-D", x, w)
	}
	group := n.int("group", 1)
	if group < 1 || group > maxWindow || w[0] != x[1] || w[0] < 1 || w[1] < 1 || w[0]%int(group) != 0 {
		return nil, nil, errorf(n, "input of shape %v, weights of shape %v, %d groups", x, w, group)
	}
	win, err := windowParams(n, x[2:], w[2:])
	if err != nil {
		return nil, nil, err
	}
	if err := transposedWindows(n, win); err != nil {
		return nil, nil, err
	}
	channels := w[1] * int(group)
	shape := []int{x[0], channels}
	for _, a := range win {
		shape = append(shape, a.in)
	}
	if len(win) == 1 {
		win = []axisWindow{{in: 1, out: 1, kernel: 1, stride: 1, dilation: 1}, win[0]}
	}
	g := geometry(win)
	g.C, g.M, g.Group = channels, w[0], int(group)
	if _, err := sizeOf(n, shape); err != nil {
		return nil, nil, err
	}
	if h, v := g.OutHW(); h != win[0].out || v != win[1].out {
		return nil, nil, unsupported(n, "output_padding or output_shape that no convolution's transpose has")
	}
	return g, shape, nil
}

// transposedWindows turns windows read with the node's input sizes into those of the convolution it transposes: in becomes
// the node's output size, out its input size, and the pads are adjusted to fit.
func transposedWindows(n *Node, win []axisWindow) error {
	rank := len(win)
	extra, _ := n.ints("output_padding")
	want, _ := n.ints("output_shape")
	if len(want) == rank+2 {
		want = want[2:]
	}
	if extra != nil && len(extra) != rank || want != nil && len(want) != rank {
		return errorf(n, "output_padding %v, output_shape %v for %d axes", extra, want, rank)
	}
	auto := n.str("auto_pad", "NOTSET")
	for i := range win {
		a := &win[i]
		if a.in < 1 {
			return errorf(n, "axis of size %d", a.in)
		}
		span := a.dilation * (a.kernel - 1)
		pad := 0
		if extra != nil {
			if extra[i] < 0 || extra[i] > maxWindow {
				return errorf(n, "output_padding %d", extra[i])
			}
			pad = int(extra[i])
		}
		full := a.stride*(a.in-1) + span + 1 + pad
		size := full - a.before - a.after
		switch {
		case want != nil:
			if want[i] < 1 || want[i] > MaxElements {
				return errorf(n, "output_shape %v", want)
			}
			size = int(want[i])
		case auto == "SAME_UPPER" || auto == "SAME_LOWER":
			size = a.in * a.stride
		case auto == "VALID":
			a.before, a.after, size = 0, 0, full
		case auto != "NOTSET":
			return errorf(n, "auto_pad %q", auto)
		}
		if want != nil || auto == "SAME_UPPER" || auto == "SAME_LOWER" {
			total := max(full-size, 0)
			a.before = total / 2
			if auto != "SAME_UPPER" {
				a.before = total - total/2
			}
		}
		if size < 1 || size > MaxElements {
			return errorf(n, "output axis of size %d", size)
		}
		// Any trailing pad that gives the right number of windows does: it does not move them.
		a.in, a.out = size, a.in
		a.after = max(0, a.stride*(a.out-1)-(size+a.before-span-1))
	}
	return nil
}
