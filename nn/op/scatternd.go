package op

import (
	"math/rand/v2"
	"slices"
)

var _ = register(&Spec{
	Name: "ScatterND",
	Doc:  "data with slices replaced by (or combined with) updates at index tuples (not bounded)",
	Eval: arity(3, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) { return one(scatterND(n, in[0], in[1], in[2])) }),
	Example: func(r *rand.Rand) Example {
		idx := &Tensor{Type: Int64, Shape: []int{2, 1}, Data: []float64{2, 0}}
		return example("ScatterND", 16, nil, randTensor(r, 3, 2), idx, randTensor(r, 2, 2))
	},
})

func scatterND(n *Node, data, index, updates *Tensor) (*Tensor, error) {
	if len(index.Shape) == 0 {
		return nil, errorf(n, "scalar index")
	}
	lead := index.Shape[:len(index.Shape)-1]
	depth := index.Shape[len(index.Shape)-1]
	if depth > len(data.Shape) {
		return nil, errorf(n, "index tuples of %d for rank %d", depth, len(data.Shape))
	}
	if want := append(slices.Clone(lead), data.Shape[depth:]...); !slices.Equal(want, updates.Shape) {
		return nil, errorf(n, "updates of shape %v, want %v", updates.Shape, want)
	}
	combine := map[string]func(a, b float64) float64{
		"none": func(_, b float64) float64 { return b },
		"add":  func(a, b float64) float64 { return a + b },
		"mul":  func(a, b float64) float64 { return a * b },
		"max":  func(a, b float64) float64 { return max(a, b) },
		"min":  func(a, b float64) float64 { return min(a, b) },
	}[n.str("reduction", "none")]
	if combine == nil {
		return nil, unsupported(n, "reduction %q", n.str("reduction", ""))
	}
	out := &Tensor{Type: data.Type, Shape: data.Shape, Data: slices.Clone(data.Data)}
	size := Size(data.Shape[depth:])
	for t := range Size(lead) {
		at := 0
		for k := range depth {
			d := int64(data.Shape[k])
			i := toInt64(index.Data[t*depth+k])
			if i < 0 {
				i += d
			}
			if i < 0 || i >= d {
				return nil, errorf(n, "index %d out of range for axis %d of size %d", i, k, d)
			}
			at = at*int(d) + int(i)
		}
		dst := out.Data[at*size : (at+1)*size]
		for i := range dst {
			dst[i] = combine(dst[i], updates.Data[t*size+i])
		}
	}
	return out, nil
}
