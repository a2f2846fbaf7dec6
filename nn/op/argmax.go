package op

import "math/rand/v2"

var _ = registerArg("ArgMax", "index of the largest element along an axis (not bounded)", func(v, best float64) bool { return v > best })
var _ = registerArg("ArgMin", "index of the smallest element along an axis (not bounded)", func(v, best float64) bool { return v < best })

func registerArg(name, doc string, better func(v, best float64) bool) *Spec {
	return register(&Spec{
		Name: name,
		Doc:  doc,
		Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return one(argExtremum(n, in[0], better)) }),
		Example: func(r *rand.Rand) Example {
			return example(name, 13, map[string]Attr{"axis": {I: 1}, "keepdims": {I: int64(r.IntN(2))}}, randTensor(r, 2, 3, 2))
		},
	})
}

func argExtremum(n *Node, t *Tensor, better func(v, best float64) bool) (*Tensor, error) {
	axis, err := axisOf(n, n.int("axis", 0), len(t.Shape))
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, t.Shape[:axis]...)
	if n.int("keepdims", 1) != 0 {
		shape = append(shape, 1)
	}
	shape = append(shape, t.Shape[axis+1:]...)
	out, err := newTensor(n, Int64, shape)
	if err != nil {
		return nil, err
	}
	size, inner := t.Shape[axis], Size(t.Shape[axis+1:])
	if size == 0 {
		return nil, errorf(n, "axis %d of shape %v is empty", axis, t.Shape)
	}
	last := n.int("select_last_index", 0) != 0
	for o := range out.Data {
		x := t.Data[o/inner*size*inner+o%inner:]
		best := 0
		for k := 1; k < size; k++ {
			if v := x[k*inner]; better(v, x[best*inner]) || last && v == x[best*inner] {
				best = k
			}
		}
		out.Data[o] = float64(best)
	}
	return out, nil
}

var _ = register(&Spec{
	Name: "OneHot",
	Doc:  "a new axis that holds the on-value at each index and the off-value elsewhere (not bounded)",
	Eval: arity(3, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) { return one(oneHot(n, in[0], in[1], in[2])) }),
	Example: func(r *rand.Rand) Example {
		return example("OneHot", 11, map[string]Attr{"axis": {I: int64(r.IntN(2))}}, intTensor(0, -1, 7), intTensor(3), randTensor(r, 2))
	},
})

func oneHot(n *Node, index, depth, values *Tensor) (*Tensor, error) {
	if len(depth.Data) != 1 || len(values.Data) != 2 {
		return nil, errorf(n, "depth of shape %v, values of shape %v", depth.Shape, values.Shape)
	}
	d := toInt64(depth.Data[0])
	if d < 1 || d > MaxElements {
		return nil, errorf(n, "depth %d", d)
	}
	axis, err := axisOf(n, n.int("axis", -1), len(index.Shape)+1)
	if err != nil {
		return nil, err
	}
	shape := append(append(append([]int{}, index.Shape[:axis]...), int(d)), index.Shape[axis:]...)
	out, err := newTensor(n, values.Type, shape)
	if err != nil {
		return nil, err
	}
	for i := range out.Data {
		out.Data[i] = values.Data[0]
	}
	inner := Size(index.Shape[axis:])
	for i, v := range index.Data {
		k := toInt64(v)
		if k < 0 {
			k += d
		}
		if k >= 0 && k < d {
			out.Data[(i/inner*int(d)+int(k))*inner+i%inner] = values.Data[1]
		}
	}
	return out, nil
}
