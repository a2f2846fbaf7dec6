package op

import (
	"fmt"
	"math/rand/v2"
)

// mapUnary applies f to every element of the single input.
func mapUnary(n *Node, in []*Tensor, f func(float64) float64) ([]*Tensor, error) {
	if len(in) < 1 || in[0] == nil {
		return nil, fmt.Errorf("op: %s %q: missing input", n.Type, n.Name)
	}
	t := &Tensor{Type: in[0].Type, Shape: in[0].Shape, Data: make([]float64, len(in[0].Data))}
	for i, v := range in[0].Data {
		t.Data[i] = f(v)
	}
	return []*Tensor{t}, nil
}

// randTensor draws a float32 tensor with entries in (−2, 2), rounded to float32.
func randTensor(r *rand.Rand, shape ...int) *Tensor {
	t := &Tensor{Type: Float32, Shape: shape, Data: make([]float64, Size(shape))}
	for i := range t.Data {
		t.Data[i] = float64(float32(4*r.Float64() - 2))
	}
	return t
}
