package op

import (
	"math/rand/v2"
	"slices"
)

// registerMove adds an operator that only moves data; its inputs after the first are parameters.
func registerMove(name, doc string, lo, hi int, plan planFunc, ex func(r *rand.Rand) Example) *Spec {
	return register(&Spec{Name: name, Doc: doc, Eval: moveEval(lo, hi, plan), Lower: moveLower(hi, plan), Example: ex})
}

// inPlace is the plan's result for an operator that changes only the shape.
func inPlace(shape []int) []move { return []move{{shape: shape}} }

var _ = registerMove("Reshape", "the same elements in another shape; 0 keeps a dimension (unless allowzero), −1 is inferred", 1, 2,
	planReshape, func(r *rand.Rand) Example {
		return example("Reshape", 14, nil, randTensor(r, 2, 3, 4), intTensor(0, -1, 2))
	})

func planReshape(n *Node, in []*Tensor) ([]move, error) {
	var want []int64
	if in[1] != nil {
		want = int64s(in[1])
	} else if list, ok := n.ints("shape"); ok {
		want = list
	} else {
		return nil, errorf(n, "no shape given")
	}
	shape := make([]int, len(want))
	infer, rest := -1, 1
	for i, d := range want {
		switch {
		case d == -1:
			if infer >= 0 {
				return nil, errorf(n, "two dimensions to infer")
			}
			infer = i
			continue
		case d == 0 && n.int("allowzero", 0) == 0:
			if i >= len(in[0].Shape) {
				return nil, errorf(n, "dimension %d is copied but the input has rank %d", i, len(in[0].Shape))
			}
			d = int64(in[0].Shape[i])
		case d < 0 || d > MaxElements:
			return nil, errorf(n, "dimension %d out of range", d)
		}
		shape[i] = int(d)
	}
	if infer >= 0 {
		known := slices.Clone(shape)
		known[infer] = 1
		var err error
		if rest, err = sizeOf(n, known); err != nil {
			return nil, err
		}
		if rest == 0 || Size(in[0].Shape)%rest != 0 {
			return nil, errorf(n, "cannot infer a dimension of %v from %v", want, in[0].Shape)
		}
		shape[infer] = Size(in[0].Shape) / rest
	}
	if size, err := sizeOf(n, shape); err != nil || size != Size(in[0].Shape) {
		return nil, errorf(n, "cannot reshape %v to %v", in[0].Shape, want)
	}
	return inPlace(shape), nil
}

var _ = registerMove("Flatten", "the same elements as a matrix, split before axis", 1, 1,
	func(n *Node, in []*Tensor) ([]move, error) {
		axis, rank := n.int("axis", 1), int64(len(in[0].Shape))
		if axis < 0 {
			axis += rank
		}
		if axis < 0 || axis > rank {
			return nil, errorf(n, "axis %d out of range for rank %d", axis, rank)
		}
		return inPlace([]int{Size(in[0].Shape[:axis]), Size(in[0].Shape[axis:])}), nil
	}, func(r *rand.Rand) Example {
		return example("Flatten", 13, map[string]Attr{"axis": {I: int64(r.IntN(4))}}, randTensor(r, 2, 3, 4))
	})

// listParam reads a parameter that was an attribute before some opset and is an input since; nil when absent.
func listParam(n *Node, name string, t *Tensor) []int64 {
	if t != nil {
		return int64s(t)
	}
	list, _ := n.ints(name)
	return list
}

var _ = registerMove("Squeeze", "drops the given axes of size 1, or all of them", 1, 2,
	func(n *Node, in []*Tensor) ([]move, error) {
		axes, err := axesOf(n, listParam(n, "axes", in[1]), len(in[0].Shape))
		if err != nil {
			return nil, err
		}
		shape := []int{}
		for i, d := range in[0].Shape {
			drop := slices.Contains(axes, i) || len(axes) == 0 && d == 1
			if drop && d != 1 {
				return nil, errorf(n, "axis %d has size %d", i, d)
			}
			if !drop {
				shape = append(shape, d)
			}
		}
		return inPlace(shape), nil
	}, func(r *rand.Rand) Example {
		if r.IntN(2) == 0 {
			return example("Squeeze", 11, nil, randTensor(r, 1, 3, 1))
		}
		return example("Squeeze", 13, nil, randTensor(r, 1, 3, 1), intTensor(-1))
	})

var _ = registerMove("Unsqueeze", "inserts axes of size 1 at the given positions of the result", 1, 2,
	func(n *Node, in []*Tensor) ([]move, error) {
		list := listParam(n, "axes", in[1])
		rank := len(in[0].Shape) + len(list)
		axes, err := axesOf(n, list, rank)
		if err != nil {
			return nil, err
		}
		shape, next := make([]int, rank), 0
		for i := range shape {
			if slices.Contains(axes, i) {
				shape[i] = 1
			} else {
				shape[i] = in[0].Shape[next]
				next++
			}
		}
		return inPlace(shape), nil
	}, func(r *rand.Rand) Example {
		return example("Unsqueeze", 13, nil, randTensor(r, 3, 2), intTensor(0, -1))
	})

var _ = registerMove("Identity", "x", 1, 1,
	func(n *Node, in []*Tensor) ([]move, error) { return inPlace(in[0].Shape), nil },
	func(r *rand.Rand) Example { return example("Identity", 13, nil, randTensor(r, 2, 3)) })
