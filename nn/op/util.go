package op

import (
	"math/rand/v2"
)

type evalFunc = func(n *Node, in []*Tensor) ([]*Tensor, error)

// arity wraps an evaluation: the first lo inputs must be present, there are at most hi (no limit when negative), every
// tensor is consistent, and the slice handed on has at least hi entries, absent ones nil.
func arity(lo, hi int, f evalFunc) evalFunc {
	return func(n *Node, in []*Tensor) ([]*Tensor, error) {
		if hi >= 0 && len(in) > hi {
			return nil, errorf(n, "%d inputs, at most %d expected", len(in), hi)
		}
		padded := make([]*Tensor, max(len(in), lo, hi))
		copy(padded, in)
		for i, t := range padded {
			if t == nil {
				if i < lo {
					return nil, errorf(n, "input %d is missing", i)
				}
				continue
			}
			size, err := sizeOf(n, t.Shape)
			if err != nil {
				return nil, err
			}
			if size != len(t.Data) {
				return nil, errorf(n, "input %d has %d elements but shape %v", i, len(t.Data), t.Shape)
			}
		}
		return f(n, padded)
	}
}

// one returns t as the only output.
func one(t *Tensor, err error) ([]*Tensor, error) {
	if err != nil {
		return nil, err
	}
	return []*Tensor{t}, nil
}

// mapUnary applies f to every element of the single input.
func mapUnary(n *Node, in []*Tensor, f func(float64) float64) ([]*Tensor, error) {
	if len(in) < 1 || in[0] == nil {
		return nil, errorf(n, "missing input")
	}
	t := &Tensor{Type: in[0].Type, Shape: in[0].Shape, Data: make([]float64, len(in[0].Data))}
	for i, v := range in[0].Data {
		t.Data[i] = f(v)
	}
	return []*Tensor{t}, nil
}

// mapBinary applies f to the broadcast pair; the result has element type t, or that of a when t is 0.
func mapBinary(n *Node, t DType, a, b *Tensor, f func(x, y float64) float64) (*Tensor, error) {
	if t == 0 {
		t = a.Type
	}
	shape, err := broadcastShape(n, a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	out, err := newTensor(n, t, shape)
	if err != nil {
		return nil, err
	}
	ia, ib := broadcastIndex(a.Shape, shape), broadcastIndex(b.Shape, shape)
	for i := range out.Data {
		x, y := i, i
		if ia != nil {
			x = int(ia[i])
		}
		if ib != nil {
			y = int(ib[i])
		}
		out.Data[i] = f(a.Data[x], b.Data[y])
	}
	return out, nil
}

// integer reports whether a type holds integers (or truth values).
func (t DType) integer() bool { return t != Float32 && t != Float64 && t != Float16 && t != 0 }

func (n *Node) int(name string, def int64) int64 {
	if a, ok := n.Attrs[name]; ok {
		return a.I
	}
	return def
}

func (n *Node) float(name string, def float64) float64 {
	if a, ok := n.Attrs[name]; ok {
		return a.F
	}
	return def
}

func (n *Node) str(name, def string) string {
	if a, ok := n.Attrs[name]; ok && a.S != "" {
		return a.S
	}
	return def
}

func (n *Node) ints(name string) ([]int64, bool) {
	a, ok := n.Attrs[name]
	return a.Is, ok
}

// randTensor draws a float32 tensor with entries in (−2, 2), rounded to float32.
func randTensor(r *rand.Rand, shape ...int) *Tensor {
	t := &Tensor{Type: Float32, Shape: shape, Data: make([]float64, Size(shape))}
	for i := range t.Data {
		t.Data[i] = float64(float32(4*r.Float64() - 2))
	}
	return t
}

// intTensor is an int64 vector constant for examples.
func intTensor(v ...int64) *Tensor {
	t := &Tensor{Type: Int64, Shape: []int{len(v)}, Data: make([]float64, len(v))}
	for i, x := range v {
		t.Data[i] = float64(x)
	}
	return t
}

// example is shorthand for an application with the first input variable and all others constant.
func example(op string, opset int, attrs map[string]Attr, in ...*Tensor) Example {
	c := make([]bool, len(in))
	for i := range c {
		c[i] = i > 0
	}
	return Example{Node: Node{Name: op, Type: op, Opset: opset, Attrs: attrs}, In: in, Const: c}
}
