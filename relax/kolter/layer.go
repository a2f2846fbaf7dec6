package kolter

import (
	"errors"
	"fmt"
)

// A Kind says what a Layer is.
type Kind uint8

// The layers of a Loss.
const (
	Dense Kind = iota
	Conv
)

// A Layer is an affine layer of a feed-forward network; a ReLU stands between two of them. Its weights are the parameters from
// Offset on, its biases follow: Dense has weights [In Out] and Out biases; Conv, a convolution with a square kernel over
// pictures [C H W], padded with Pad zeros on all sides, has weights [M C K K] and M biases, and makes pictures [M H' W'].
// Pictures are read row-major.
type Layer struct {
	Kind    Kind
	In, Out int // Dense

	C, H, W           int // Conv: the input
	M, K, Stride, Pad int // Conv: output channels, kernel, stride, padding

	Offset int
}

// sizes returns the numbers of inputs, outputs and weights.
func (l *Layer) sizes() (in, out, weights int) {
	if l.Kind == Dense {
		return l.In, l.Out, l.In * l.Out
	}
	oh, ow := l.outHW()
	return l.C * l.H * l.W, l.M * oh * ow, l.M * l.depth()
}

func (l *Layer) outHW() (oh, ow int) {
	return (l.H+2*l.Pad-l.K)/l.Stride + 1, (l.W+2*l.Pad-l.K)/l.Stride + 1
}

// depth is the number of weights of an output of a convolution.
func (l *Layer) depth() int { return l.C * l.K * l.K }

// reach is the number of blocks across that an output of a convolution sees.
func (l *Layer) reach() int { return (l.K + l.Stride - 1) / l.Stride }

// biases is the number of biases.
func (l *Layer) biases() int {
	if l.Kind == Dense {
		return l.Out
	}
	return l.M
}

const maxNumbers = 1 << 28 // of a layer

func (l *Layer) check() error {
	switch {
	case l.Offset < 0:
		return errors.New("a negative offset")
	case l.Kind == Dense:
		if l.In < 1 || l.Out < 1 || l.In > maxNumbers || l.Out > maxNumbers/l.In {
			return fmt.Errorf("a dense layer from %d to %d numbers", l.In, l.Out)
		}
	case l.Kind == Conv:
		for _, n := range []int{l.C, l.H, l.W, l.M, l.K, l.Stride} {
			if n < 1 || n > 1<<14 {
				return fmt.Errorf("a convolution with the shape %+v", *l)
			}
		}
		if l.Pad < 0 || l.Pad >= l.K || l.K > min(l.H, l.W)+2*l.Pad {
			return fmt.Errorf("a convolution with the kernel %d and the padding %d over %d×%d", l.K, l.Pad, l.H, l.W)
		}
		if in, out, w := l.sizes(); max(in, out, w, l.depth()*out/l.M) > maxNumbers {
			return fmt.Errorf("a convolution with more than %d numbers", maxNumbers)
		}
	default:
		return fmt.Errorf("the unknown kind %d", l.Kind)
	}
	return nil
}

// checkLayers returns the number of parameters that layers need.
func checkLayers(layers []Layer) (params int, err error) {
	if len(layers) == 0 {
		return 0, errors.New("kolter: no layers")
	}
	before := 0
	for i := range layers {
		l := &layers[i]
		if err := l.check(); err != nil {
			return 0, fmt.Errorf("kolter: layer %d is %w", i+1, err)
		}
		in, out, weights := l.sizes()
		if i > 0 && in != before {
			return 0, fmt.Errorf("kolter: layer %d reads %d numbers, layer %d makes %d", i+1, in, i, before)
		}
		if l.Kind == Conv && i > 0 {
			b := &layers[i-1]
			if b.Kind == Dense {
				return 0, fmt.Errorf("kolter: layer %d is a convolution after a dense layer", i+1)
			}
			if h, w := b.outHW(); l.C != b.M || l.H != h || l.W != w {
				return 0, fmt.Errorf("kolter: layer %d reads other pictures than layer %d makes", i+1, i)
			}
		}
		before, params = out, max(params, l.Offset+weights+l.biases())
	}
	if last := &layers[len(layers)-1]; last.Kind != Dense || last.Out < 2 {
		return 0, errors.New("kolter: the last layer is not a dense one with two or more outputs")
	}
	return params, nil
}

// A variable is the input (number 0) or the neurons that layer number v makes, as a picture; a vector is one of one pixel. Its
// reader is the layer above.
//
// Order. A convolution of stride s becomes one of stride 1 when its input is cut into blocks of s×s pixels, aligned with the
// padding: an output sees reach×reach blocks, and all of a block's pixels are seen by the same reach×reach outputs. So neurons
// are ordered by blocks row by row, within a block by pixels, within a pixel by channels: what a pixel of outputs sees in a row
// of blocks are neighbours, and so are its channels, and the weights between them are one small matrix. Before a dense layer a
// block is a pixel.
type variable struct {
	c, h, w, n int
	s, p       int // size and alignment of the blocks
	bh, bw     int // blocks
	order      []int32
	y, x       []int16 // per place in order: pixel
	offset     []int32 // per place in order: of a convolution that reads it, the weight of its channel
}

// newVariable describes what reader reads, a picture of c×h×w.
func newVariable(c, h, w int, reader *Layer) *variable {
	v := &variable{c: c, h: h, w: w, n: c * h * w, s: 1}
	if reader.Kind == Conv {
		v.s, v.p = reader.Stride, reader.Pad
	}
	v.bh, v.bw = v.block(h-1)+1, v.block(w-1)+1
	for by := range v.bh {
		for bx := range v.bw {
			for y := max(0, by*v.s-v.p); y < min(h, (by+1)*v.s-v.p); y++ {
				for x := max(0, bx*v.s-v.p); x < min(w, (bx+1)*v.s-v.p); x++ {
					for ch := range c {
						v.order = append(v.order, int32((ch*h+y)*w+x))
						v.y, v.x = append(v.y, int16(y)), append(v.x, int16(x))
						v.offset = append(v.offset, int32(ch*reader.K*reader.K))
					}
				}
			}
		}
	}
	return v
}

// block returns the block row of pixel row y; columns likewise.
func (v *variable) block(y int) int { return (y + v.p) / v.s }

// pictures returns the variables of a network.
func pictures(layers []Layer) []*variable {
	var out []*variable
	c, h, w := layers[0].In, 1, 1
	if layers[0].Kind == Conv {
		c, h, w = layers[0].C, layers[0].H, layers[0].W
	}
	for i := range layers {
		l := &layers[i]
		out = append(out, newVariable(c, h, w, l))
		if c, h, w = l.Out, 1, 1; l.Kind == Conv {
			c = l.M
			h, w = l.outHW()
		}
	}
	return out
}
