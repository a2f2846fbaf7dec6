package op

import (
	"math/rand/v2"
)

var _ = registerMove("Expand", "x broadcast (in both directions) to a shape", 2, 2,
	func(n *Node, in []*Tensor) ([]move, error) {
		if in[1] == nil {
			return nil, errorf(n, "input 1 is missing")
		}
		want, err := dims(n, int64s(in[1]))
		if err != nil {
			return nil, err
		}
		shape, err := broadcastShape(n, in[0].Shape, want)
		if err != nil {
			return nil, err
		}
		if _, err := sizeOf(n, shape); err != nil {
			return nil, err
		}
		return []move{{shape: shape, idx: broadcastIndex(in[0].Shape, shape)}}, nil
	}, func(r *rand.Rand) Example {
		return example("Expand", 13, nil, randTensor(r, 3, 1), intTensor(2, 1, 4))
	})

var _ = registerMove("Tile", "x repeated along each axis", 2, 2,
	func(n *Node, in []*Tensor) ([]move, error) {
		if in[1] == nil {
			return nil, errorf(n, "input 1 is missing")
		}
		repeats, err := dims(n, int64s(in[1]))
		if err != nil {
			return nil, err
		}
		if len(repeats) != len(in[0].Shape) {
			return nil, errorf(n, "%d repeats for rank %d", len(repeats), len(in[0].Shape))
		}
		shape := make([]int, len(repeats))
		for i, d := range in[0].Shape {
			shape[i] = d * repeats[i]
		}
		if _, err := sizeOf(n, shape); err != nil {
			return nil, err
		}
		maps := make([][]int32, len(shape))
		for i, d := range in[0].Shape {
			maps[i] = make([]int32, shape[i])
			for c := range maps[i] {
				maps[i][c] = int32(c % d)
			}
		}
		return []move{separableMove(in[0].Shape, maps)}, nil
	}, func(r *rand.Rand) Example {
		return example("Tile", 13, nil, randTensor(r, 2, 3), intTensor(2, 3))
	})

var _ = registerMove("Gather", "entries of an axis selected by an index tensor; bounded when the index is constant", 2, 2,
	func(n *Node, in []*Tensor) ([]move, error) {
		if in[1] == nil {
			return nil, errorf(n, "input 1 is missing")
		}
		axis, err := axisOf(n, n.int("axis", 0), len(in[0].Shape))
		if err != nil {
			return nil, err
		}
		size := in[0].Shape[axis]
		index := make([]int32, len(in[1].Data))
		for i, v := range int64s(in[1]) {
			if v < 0 {
				v += int64(size)
			}
			if v < 0 || v >= int64(size) {
				return nil, errorf(n, "index %d out of range for an axis of size %d", v, size)
			}
			index[i] = int32(v)
		}
		shape := append(append(append([]int{}, in[0].Shape[:axis]...), in[1].Shape...), in[0].Shape[axis+1:]...)
		if _, err := sizeOf(n, shape); err != nil {
			return nil, err
		}
		maps := identityMaps(in[0].Shape)
		maps[axis] = index
		m := separableMove(in[0].Shape, maps)
		m.shape = shape
		return []move{m}, nil
	}, func(r *rand.Rand) Example {
		idx := &Tensor{Type: Int64, Shape: []int{2, 2}, Data: []float64{0, -1, 2, 2}}
		return example("Gather", 13, map[string]Attr{"axis": {I: int64(r.IntN(2))}}, randTensor(r, 3, 4), idx)
	})
