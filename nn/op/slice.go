package op

import (
	"math/rand/v2"
)

var _ = registerMove("Slice", "starts:ends:steps along axes", 1, 5, planSlice,
	func(r *rand.Rand) Example {
		if r.IntN(2) == 0 {
			return example("Slice", 9, map[string]Attr{"starts": {Is: []int64{1}}, "ends": {Is: []int64{1 << 40}}, "axes": {Is: []int64{1}}},
				randTensor(r, 2, 4))
		}
		return example("Slice", 13, nil, randTensor(r, 3, 5), intTensor(-1, 0), intTensor(-100, 4), intTensor(0, 1), intTensor(-1, 2))
	})

func planSlice(n *Node, in []*Tensor) ([]move, error) {
	starts, ends := listParam(n, "starts", in[1]), listParam(n, "ends", in[2])
	list, steps := listParam(n, "axes", in[3]), []int64(nil)
	if in[4] != nil {
		steps = int64s(in[4])
	}
	if len(list) == 0 {
		for i := range starts {
			list = append(list, int64(i))
		}
	}
	if len(starts) != len(ends) || len(starts) != len(list) || steps != nil && len(steps) != len(list) {
		return nil, errorf(n, "%d starts, %d ends, %d axes, %d steps", len(starts), len(ends), len(list), len(steps))
	}
	axes, err := axesOf(n, list, len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	maps := identityMaps(in[0].Shape)
	for i, a := range axes {
		step := int64(1)
		if steps != nil {
			step = steps[i]
		}
		if step == 0 {
			return nil, errorf(n, "step 0")
		}
		maps[a] = sliceMap(int64(in[0].Shape[a]), starts[i], ends[i], step)
	}
	return []move{separableMove(in[0].Shape, maps)}, nil
}

// sliceMap lists the coordinates start, start+step, … before end of an axis of the given size, clamped as ONNX says.
func sliceMap(size, start, end, step int64) []int32 {
	if start < 0 {
		start += size
	}
	if end < 0 {
		end += size
	}
	m := []int32{}
	if step > 0 {
		start, end, step = min(max(start, 0), size), min(max(end, 0), size), min(step, size+1)
		for c := start; c < end; c += step {
			m = append(m, int32(c))
		}
		return m
	}
	start, end, step = min(max(start, 0), size-1), min(max(end, -1), size-1), max(step, -size-1)
	for c := start; c > end; c += step {
		m = append(m, int32(c))
	}
	return m
}

func identityMaps(shape []int) [][]int32 {
	maps := make([][]int32, len(shape))
	for i, d := range shape {
		maps[i] = iota32(d)
	}
	return maps
}

// separableMove is the move of maps along the axes; the caller has bounded the size of the result.
func separableMove(in []int, maps [][]int32) move {
	shape := make([]int, len(maps))
	for i, m := range maps {
		shape[i] = len(m)
	}
	return move{shape: shape, idx: separable(in, maps)}
}

var _ = registerMove("Split", "consecutive parts along an axis, of given or equal sizes", 1, 2, planSplit,
	func(r *rand.Rand) Example {
		if r.IntN(2) == 0 {
			return example("Split", 18, map[string]Attr{"axis": {I: -1}, "num_outputs": {I: 3}}, randTensor(r, 2, 8))
		}
		return example("Split", 13, map[string]Attr{"axis": {I: 1}}, randTensor(r, 2, 5), intTensor(2, 3))
	})

func planSplit(n *Node, in []*Tensor) ([]move, error) {
	axis, err := axisOf(n, n.int("axis", 0), len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	size := in[0].Shape[axis]
	parts := listParam(n, "split", in[1])
	if parts == nil {
		if parts, err = equalParts(n, int64(size)); err != nil {
			return nil, err
		}
	}
	lens, err := dims(n, parts)
	if err != nil {
		return nil, err
	}
	var moves []move
	at := 0
	for _, l := range lens {
		if l > size-at {
			return nil, errorf(n, "parts %v of an axis of size %d", parts, size)
		}
		maps := identityMaps(in[0].Shape)
		maps[axis] = maps[axis][at : at+l]
		moves = append(moves, separableMove(in[0].Shape, maps))
		at += l
	}
	if at != size {
		return nil, errorf(n, "parts %v of an axis of size %d", parts, size)
	}
	return moves, nil
}

// equalParts returns the parts of an axis split evenly: all ⌈size/k⌉ but the last, which may be smaller.
func equalParts(n *Node, size int64) ([]int64, error) {
	k := n.int("num_outputs", int64(n.Outputs))
	if k < 1 || k > max(size, 1) {
		return nil, errorf(n, "an axis of size %d in %d parts", size, k)
	}
	part := (size + k - 1) / k
	parts := make([]int64, k)
	for i := range parts {
		parts[i] = min(part, max(size-int64(i)*part, 0))
	}
	return parts, nil
}
