package train

import (
	"errors"
	"fmt"

	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/tape"
)

// A Layer describes a layer for New: Dense, Conv2D, BatchNorm or ReLU.
type Layer interface {
	kind() string
	plan(in []int) (plan, error)
}

// plan is what a layer makes of its input's shape: its output's, and the parameters that it has.
type plan struct {
	out    []int
	params []param
}

// param is a tensor of parameters.
type param struct {
	name  string
	shape []int
}

// Dense is a fully connected layer with a bias: y = x·W + b with W of shape [in Out]. An input of shape [C H W] is read
// row-major.
type Dense struct{ Out int }

func (Dense) kind() string { return "dense" }

func (d Dense) plan(in []int) (plan, error) {
	if d.Out < 1 {
		return plan{}, fmt.Errorf("%d outputs", d.Out)
	}
	return plan{[]int{d.Out}, []param{{"weight", []int{op.Size(in), d.Out}}, {"bias", []int{d.Out}}}}, nil
}

// Conv2D is a convolution with a square kernel and a bias over an input of shape [C H W], padded with Pad zeros on all four
// sides; W has shape [Out C Kernel Kernel]. A Stride of 0 means 1.
type Conv2D struct{ Out, Kernel, Stride, Pad int }

func (Conv2D) kind() string { return "conv" }

func (c Conv2D) plan(in []int) (plan, error) {
	switch {
	case len(in) != 3:
		return plan{}, errors.New("a convolution needs an input of shape [C H W]")
	case c.Out < 1 || c.Kernel < 1 || c.Stride < 0 || c.Pad < 0 || c.Pad >= c.Kernel || c.Kernel > maxNumbers:
		return plan{}, fmt.Errorf("%+v: want Out and Kernel of at least 1, Stride of at least 0, Pad from 0 to Kernel-1", c)
	case c.Kernel > min(in[1], in[2])+2*c.Pad:
		return plan{}, fmt.Errorf("the kernel of %d is larger than the padded input", c.Kernel)
	}
	g := c.Geometry(in)
	out := []int{c.Out, g.OutH(), g.OutW()}
	if !bounded(out) || !bounded([]int{in[0], c.Kernel, c.Kernel, g.OutH(), g.OutW()}) {
		return plan{}, fmt.Errorf("more than %d numbers per image", maxNumbers)
	}
	return plan{out, []param{{"weight", []int{c.Out, in[0], c.Kernel, c.Kernel}}, {"bias", []int{c.Out}}}}, nil
}

// Geometry returns the convolution's shape on inputs of shape [C H W].
func (c Conv2D) Geometry(in []int) tape.Geometry {
	return tape.Geometry{C: in[0], H: in[1], W: in[2], Out: c.Out, Kernel: c.Kernel, Stride: max(c.Stride, 1), Pad: c.Pad}
}

// ReLU is max(x, 0), with derivative 0 at 0.
type ReLU struct{}

func (ReLU) kind() string { return "relu" }

func (ReLU) plan(in []int) (plan, error) { return plan{out: in}, nil }

// BatchNorm normalises every channel of the layer before it, a Dense or Conv2D, to a mean and a variance that are learned. A training
// uses the statistics of the rows of a shard, and ends by setting the means and variances of the population, which Logits and
// Graph use.
type BatchNorm struct{}

func (BatchNorm) kind() string { return "norm" }

func (BatchNorm) plan(in []int) (plan, error) {
	c := []int{in[0]}
	return plan{in, []param{{"scale", c}, {"shift", c}, {"mean", c}, {"variance", c}}}, nil
}
