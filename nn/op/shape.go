package op

import (
	"fmt"
	"math"
	"slices"
)

// MaxElements is the largest number of elements of one tensor: operators refuse, before allocating, to build a larger one.
const MaxElements = 1 << 28

// errorf returns an error that names the node.
func errorf(n *Node, format string, args ...any) error {
	return fmt.Errorf("op: %s %q: %s", n.Type, n.Name, fmt.Sprintf(format, args...))
}

// sizeOf returns the number of elements of a shape, or an error when a dimension is negative or the shape too large.
func sizeOf(n *Node, shape []int) (int, error) {
	size, zero := 1, false
	for _, d := range shape {
		if d < 0 || d > MaxElements {
			return 0, errorf(n, "dimension %d out of range in shape %v", d, shape)
		}
		if d == 0 {
			zero = true
			continue
		}
		if size > MaxElements/d {
			return 0, errorf(n, "shape %v has more than %d elements", shape, MaxElements)
		}
		size *= d
	}
	if !zero {
		return size, nil
	}
	if size > 1<<20 {
		return 0, errorf(n, "empty shape %v", shape)
	}
	return 0, nil
}

// newTensor allocates a zero tensor after checking its size; the shape is kept.
func newTensor(n *Node, t DType, shape []int) (*Tensor, error) {
	size, err := sizeOf(n, shape)
	if err != nil {
		return nil, err
	}
	return &Tensor{Type: t, Shape: shape, Data: make([]float64, size)}, nil
}

// strides returns the row-major strides of a shape.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = step
		step *= shape[i]
	}
	return s
}

// axisOf normalises a possibly negative axis of a tensor with the given rank.
func axisOf(n *Node, axis int64, rank int) (int, error) {
	if axis < -int64(rank) || axis >= int64(rank) {
		return 0, errorf(n, "axis %d out of range for rank %d", axis, rank)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}

// axesOf normalises a list of axes and refuses duplicates; the result is in the order of the list.
func axesOf(n *Node, list []int64, rank int) ([]int, error) {
	if len(list) > rank {
		return nil, errorf(n, "%d axes for rank %d", len(list), rank)
	}
	axes := make([]int, 0, len(list))
	for _, a := range list {
		axis, err := axisOf(n, a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(axes, axis) {
			return nil, errorf(n, "axis %d twice", axis)
		}
		axes = append(axes, axis)
	}
	return axes, nil
}

// toInt64 truncates v and saturates it at the ends of int64; NaN is 0.
func toInt64(v float64) int64 {
	switch {
	case v != v:
		return 0
	case v >= 1<<63:
		return math.MaxInt64
	case v < -(1 << 63):
		return math.MinInt64
	}
	return int64(v)
}

// int64s returns the elements of a tensor of integers.
func int64s(t *Tensor) []int64 {
	out := make([]int64, len(t.Data))
	for i, v := range t.Data {
		out[i] = toInt64(v)
	}
	return out
}

// dims converts a list of requested dimensions, each in 0..MaxElements.
func dims(n *Node, list []int64) ([]int, error) {
	out := make([]int, len(list))
	for i, d := range list {
		if d < 0 || d > MaxElements {
			return nil, errorf(n, "dimension %d out of range", d)
		}
		out[i] = int(d)
	}
	return out, nil
}

// broadcastShape returns the common shape of two shapes by ONNX's (numpy's) multidirectional broadcasting.
func broadcastShape(n *Node, a, b []int) ([]int, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		j := i + len(a) - len(b)
		switch {
		case d == out[j] || d == 1:
		case out[j] == 1:
			out[j] = d
		default:
			return nil, errorf(n, "shapes %v and %v do not broadcast", a, b)
		}
	}
	return out, nil
}

// strided returns, for every element of a tensor of shape out in row-major order, off + Σ coordinate·stride.
func strided(out, stride []int, off int) []int32 {
	size := Size(out)
	idx := make([]int32, size)
	if size == 0 {
		return idx
	}
	if len(out) == 0 {
		idx[0] = int32(off)
		return idx
	}
	last := len(out) - 1
	coord := make([]int, last)
	for p := 0; p < size; {
		v := off
		for range out[last] {
			idx[p] = int32(v)
			v += stride[last]
			p++
		}
		for d := last - 1; d >= 0; d-- {
			coord[d]++
			off += stride[d]
			if coord[d] < out[d] {
				break
			}
			off -= stride[d] * out[d]
			coord[d] = 0
		}
	}
	return idx
}

// broadcastIndex returns for every element of shape to the element of shape from that broadcasting puts there, or nil
// when that is the identity. from must broadcast to to.
func broadcastIndex(from, to []int) []int32 {
	if Size(from) == Size(to) {
		return nil
	}
	stride := make([]int, len(to))
	src := strides(from)
	for i := range from {
		if from[i] != 1 {
			stride[i+len(to)-len(from)] = src[i]
		}
	}
	return strided(to, stride, 0)
}

// separable returns the index of an operator that moves each axis on its own: along axis d, output coordinate c is input
// coordinate maps[d][c], or a fill where that is negative.
func separable(in []int, maps [][]int32) []int32 {
	for _, m := range maps {
		if len(m) == 0 {
			return []int32{}
		}
	}
	idx := []int32{0}
	for d, m := range maps {
		next := make([]int32, 0, len(idx)*len(m))
		for _, base := range idx {
			for _, c := range m {
				if base < 0 || c < 0 {
					next = append(next, -1)
				} else {
					next = append(next, base*int32(in[d])+c)
				}
			}
		}
		idx = next
	}
	return idx
}

// iota32 returns 0, 1, …, n−1.
func iota32(n int) []int32 {
	m := make([]int32, n)
	for i := range m {
		m[i] = int32(i)
	}
	return m
}
