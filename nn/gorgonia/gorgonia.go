// Package gorgonia hands networks, gradients and batches to and from gorgonia.org/tensor without copying: its solvers can step the
// parameters of a net of nn/train, and what its graphs produce can be a batch.
package gorgonia

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
)

// Params returns the parameters of a net, in the order of its Params, as tensors over the net's own memory: what one changes, the
// other sees.
func Params(net *train.Net[float32]) []*tensor.Dense {
	var out []*tensor.Dense
	for _, p := range net.Params() {
		out = append(out, tensor.New(tensor.WithShape(p.Shape...), tensor.WithBacking(p.Data)))
	}
	return out
}

// Grads returns gradients, one number per parameter in the order of net.Weights, as tensors like those of Params over the same memory.
func Grads(net *train.Net[float32], grads []float32) ([]*tensor.Dense, error) {
	if len(grads) != len(net.Weights) {
		return nil, fmt.Errorf("gorgonia: %d gradients for %d parameters", len(grads), len(net.Weights))
	}
	var out []*tensor.Dense
	for _, p := range net.Params() {
		n := op.Size(p.Shape)
		out = append(out, tensor.New(tensor.WithShape(p.Shape...), tensor.WithBacking(grads[:n:n])))
		grads = grads[n:]
	}
	return out, nil
}

// Batch returns a tensor of rows, [N C H W] or [N d], with its labels as a batch over the same memory. The tensor must be of float32,
// row-major and whole.
func Batch(net *train.Net[float32], x *tensor.Dense, labels []int) (tape.Batch[float32], error) {
	data, ok := x.Data().([]float32)
	if !ok || !x.DataOrder().IsContiguous() || x.DataOrder().IsColMajor() || x.RequiresIterator() {
		return tape.Batch[float32]{}, fmt.Errorf("gorgonia: want a contiguous row-major tensor of float32")
	}
	if shape := x.Shape(); len(shape) == 0 || shape[0] < 1 || len(data) != shape[0]*net.Inputs() {
		return tape.Batch[float32]{}, fmt.Errorf("gorgonia: a batch of shape %v: want rows of %d numbers", x.Shape(), net.Inputs())
	}
	if len(labels) != x.Shape()[0] {
		return tape.Batch[float32]{}, fmt.Errorf("gorgonia: %d labels for %d rows", len(labels), x.Shape()[0])
	}
	for i, y := range labels {
		if y < 0 || y >= net.Classes() {
			return tape.Batch[float32]{}, fmt.Errorf("gorgonia: row %d has label %d of %d classes", i, y, net.Classes())
		}
	}
	return tape.Batch[float32]{X: data, Labels: labels}, nil
}
