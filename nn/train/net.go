package train

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/op"
)

// A Net is a feed-forward network: its layers do not change, its parameters do. It may be read by several goroutines, each
// with its own Pass, while none changes the parameters.
type Net[T kernel.Float] struct {
	// Weights holds all parameters, one tensor after the other in the order of Params.
	Weights []T

	input  []int
	stages []Stage
	params []Param[T]
}

// A Param is a named tensor of parameters, row-major; Data is its part of Net.Weights.
type Param[T kernel.Float] struct {
	Name  string
	Shape []int
	Data  []T
}

// A Stage is a layer in its place. Its parameters begin at From, in the order of Params: weight and bias of a Dense or Conv2D; scale,
// shift, mean and variance of a BatchNorm.
type Stage struct {
	Layer   Layer
	Name    string
	In, Out []int // shapes
	From    int
	Params  [][]int // shapes
}

// Stages returns the layers in their order.
func (n *Net[T]) Stages() []Stage { return slices.Clone(n.stages) }

// maxNumbers bounds the numbers of a row and the parameters of a net.
const maxNumbers = 1 << 28

// New returns a network for inputs of a shape, [C H W] or [d], with its weights drawn from a seed: normal with variance
// 2/fan-in (He et al. 2015), each tensor from a stream of its own, and biases of 0. It is an error if a layer does not fit
// on the one before.
func New[T kernel.Float](root uint64, input []int, layers ...Layer) (*Net[T], error) {
	n := &Net[T]{input: slices.Clone(input)}
	if len(input) != 1 && len(input) != 3 || slices.Min(input) < 1 || !bounded(input) {
		return nil, fmt.Errorf("train: inputs of shape %v: want [d] or [C H W]", input)
	}
	if len(layers) == 0 {
		return nil, fmt.Errorf("train: a network without layers")
	}
	shape, total := n.input, 0
	for i, spec := range layers {
		switch spec.(type) {
		case Dense, Conv2D, ReLU:
		case BatchNorm:
			if i == 0 || !affine(layers[i-1]) {
				return nil, fmt.Errorf("train: layer %d: a BatchNorm belongs after a Dense or Conv2D", i+1)
			}
		default:
			return nil, fmt.Errorf("train: layer %d is a %T: want Dense, Conv2D, BatchNorm or ReLU, by value", i+1, spec)
		}
		name := fmt.Sprintf("%s%d", spec.kind(), i+1)
		p, err := spec.plan(shape)
		if err != nil {
			return nil, fmt.Errorf("train: %s on shape %v: %w", name, shape, err)
		}
		stage := Stage{Layer: spec, Name: name, In: shape, Out: p.out, From: total}
		for _, q := range p.params {
			if !bounded(q.shape) || total+op.Size(q.shape) > maxNumbers {
				return nil, fmt.Errorf("train: %s has weights of shape %v: more than %d parameters", name, q.shape, maxNumbers)
			}
			n.params = append(n.params, Param[T]{Name: name + "." + q.name, Shape: q.shape})
			stage.Params = append(stage.Params, q.shape)
			total += op.Size(q.shape)
		}
		n.stages = append(n.stages, stage)
		shape = p.out
	}
	n.Weights = make([]T, total)
	n.view()
	n.initialise(root)
	return n, nil
}

// affine reports whether a layer is one that a BatchNorm can follow.
func affine(l Layer) bool {
	switch l.(type) {
	case Dense, Conv2D:
		return true
	}
	return false
}

// bounded reports whether a shape of positive dimensions has at most maxNumbers elements.
func bounded(shape []int) bool {
	size := 1
	for _, d := range shape {
		if d > maxNumbers/size {
			return false
		}
		size *= d
	}
	return true
}

// view makes the parameters parts of Weights.
func (n *Net[T]) view() {
	at := 0
	for i := range n.params {
		size := op.Size(n.params[i].Shape)
		n.params[i].Data = n.Weights[at : at+size : at+size]
		at += size
	}
}

// initialise draws the weights, and sets the scales and variances of batch normalisation to 1.
func (n *Net[T]) initialise(root uint64) {
	n.draw(root, func(fanIn int, _ bool) float64 { return math.Sqrt(2 / float64(fanIn)) })
	for i := range n.stages {
		if s := &n.stages[i]; s.Layer == (BatchNorm{}) {
			c := s.Params[0][0]
			for k := range c {
				n.Weights[s.From+k], n.Weights[s.From+3*c+k] = 1, 1
			}
		}
	}
}

// InitialiseIBP draws the weights of all layers but the last for training on interval bounds: normal with standard deviation
// √(2π)/fan-in, so that the radii of boxes neither grow nor shrink from layer to layer (Shi et al. 2021). The last layer is drawn
// as by New.
func (n *Net[T]) InitialiseIBP(root uint64) {
	n.draw(root, func(fanIn int, last bool) float64 {
		if last {
			return math.Sqrt(2 / float64(fanIn))
		}
		return math.Sqrt(2*math.Pi) / float64(fanIn)
	})
}

// InitialiseSmall draws weights and biases evenly from ±1/√fan-in, as PyTorch does by default: small enough that most neurons keep
// their sign in a ball from the first step on, which bounds that work neuron by neuron are fast on.
func (n *Net[T]) InitialiseSmall(root uint64) {
	fanIn := 1
	for _, p := range n.params {
		switch len(p.Shape) {
		case 2:
			fanIn = p.Shape[0]
		case 4:
			fanIn = op.Size(p.Shape[1:])
		}
		if !strings.HasSuffix(p.Name, ".weight") && !strings.HasSuffix(p.Name, ".bias") {
			continue
		}
		r, most := seed.Stream(root, "init", p.Name), 1/math.Sqrt(float64(fanIn))
		for k := range p.Data {
			p.Data[k] = T((2*r.Float64() - 1) * most)
		}
	}
}

// draw draws every weight from a normal distribution. A dense weight is [in out], a convolution's [out in k k].
func (n *Net[T]) draw(root uint64, deviation func(fanIn int, last bool) float64) {
	last := 0
	for i, p := range n.params {
		if len(p.Shape) > 1 {
			last = i
		}
	}
	for i, p := range n.params {
		if len(p.Shape) == 1 {
			continue
		}
		fanIn := p.Shape[0]
		if len(p.Shape) == 4 {
			fanIn = op.Size(p.Shape[1:])
		}
		r, scale := seed.Stream(root, "init", p.Name), deviation(fanIn, i == last)
		for k := range p.Data {
			p.Data[k] = T(r.NormFloat64() * scale)
		}
	}
}

// Params returns the tensors of parameters. Their data are the network's own.
func (n *Net[T]) Params() []Param[T] { return slices.Clone(n.params) }

// InputShape returns the shape of an input, [C H W] or [d].
func (n *Net[T]) InputShape() []int { return slices.Clone(n.input) }

// Inputs returns the number of numbers of an input.
func (n *Net[T]) Inputs() int { return op.Size(n.input) }

// Classes returns the number of logits.
func (n *Net[T]) Classes() int { return op.Size(n.stages[len(n.stages)-1].Out) }

// Clone returns a network with the same layers and parameters of its own.
func (n *Net[T]) Clone() *Net[T] {
	c := *n
	c.Weights, c.params = slices.Clone(n.Weights), slices.Clone(n.params)
	c.view()
	return &c
}

// RoundFloat32 rounds every parameter to the nearest float32, as Graph does: then net and graph are the same function.
func (n *Net[T]) RoundFloat32() {
	for i, w := range n.Weights {
		n.Weights[i] = T(float32(w))
	}
}
