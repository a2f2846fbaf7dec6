package kernel

import (
	"math"
	"slices"
)

// Operators that only move elements, or see them under another shape.

func (w *builder) constant(op *operator, _ []value) value {
	v := op.attr["value"]
	op.need(v.t != nil && len(op.attr) == 1, "only tensors are checked")
	return value{shape: v.t.shape, c: v.t}
}

// identity is also Dropout, which does nothing unless a third input says otherwise.
func (w *builder) identity(_ *operator, in []value) value { return in[0] }

// axis returns an axis of a tensor of the given rank, counted from the end when negative.
func (op *operator) axis(a float64, rank int) int {
	if a < 0 {
		a += float64(rank)
	}
	op.need(a >= 0 && a < float64(rank) && a == math.Trunc(a), "axis %v of %d", a, rank)
	return int(a)
}

// reshape is Flatten, Reshape, Squeeze or Unsqueeze.
func (w *builder) reshape(op *operator, in []value) value {
	old := in[0].shape
	var shape []int
	switch op.kind {
	case "Flatten":
		a := len(old)
		if v := op.int("axis", 1); v != int64(a) {
			a = op.axis(float64(v), a)
		}
		shape = []int{sizeOf(old[:a]), sizeOf(old[a:])}
	case "Reshape":
		shape = op.inferred(old, op.fixed(in[1]).data)
	default:
		shape = op.squeezed(old, w.param(op, in, 1, "axes", 13))
	}
	op.need(sizeOf(shape) > 0 && sizeOf(shape) == sizeOf(old), "shape %v from %v", shape, old)
	return value{shape: shape, node: in[0].node, c: in[0].c}
}

// inferred returns the shape that a Reshape wants: 0 keeps a dimension, −1 stands for what remains.
func (op *operator) inferred(old []int, want []float64) (shape []int) {
	op.need(op.int("allowzero", 0) == 0, "allowzero is not checked")
	free, known := -1, 1
	for i, f := range want {
		if f == 0 && i < len(old) {
			f = float64(old[i])
		} else if f == -1 && free < 0 {
			free, f = i, 1
		}
		op.need(f >= 1 && f <= maxElements && f == math.Trunc(f), "shape %v", want)
		shape = append(shape, int(f))
		known = min(known*int(f), 2*maxElements)
	}
	if free >= 0 {
		shape[free] = sizeOf(old) / known
	}
	return shape
}

// squeezed returns the shape without the given axes, or without all of size 1; of Unsqueeze, with axes of size 1 in these places.
func (op *operator) squeezed(old []int, list []float64) (shape []int) {
	rank := len(old)
	if op.kind == "Unsqueeze" {
		rank += len(list)
	}
	named := make([]bool, rank)
	for _, a := range list {
		d := op.axis(a, rank)
		op.need(!named[d], "axis %d twice", d)
		named[d] = true
	}
	for _, named := range named {
		switch {
		case op.kind == "Unsqueeze" && named:
			shape = append(shape, 1)
			continue
		case !named && (list != nil || old[0] != 1):
			shape = append(shape, old[0])
		}
		op.need(!named || old[0] == 1, "an axis of size %d", old[0])
		old = old[1:]
	}
	return shape
}

// moved returns x with its elements in new places.
func (w *builder) moved(op *operator, x value, axes []axis) value {
	shape, size := make([]int, len(axes)), 1
	for d := range axes {
		shape[d], size = axes[d].n, min(size*axes[d].n, maxConstant+1)
		op.need(shape[d] >= 1, "the result has shape %v", shape)
	}
	if x.c != nil {
		w.make(op, size)
	}
	at := places(axes)
	if x.c == nil {
		return w.affine(op, shape, pointwise(x.node, factor(1), at, nil))
	}
	c := &constant{shape: shape, data: make([]float64, len(at))}
	for i, a := range at {
		if a >= 0 {
			c.data[i] = x.c.data[a]
		}
	}
	return value{shape: shape, c: c}
}

func (w *builder) transpose(op *operator, in []value) value {
	perm, old := op.attr["perm"].ints, axesOf(in[0].shape)
	if perm == nil {
		for d := range old {
			perm = append(perm, len(old)-1-d)
		}
	}
	var axes []axis
	seen := make([]bool, len(old))
	op.need(len(perm) == len(old), "perm %v of shape %v", perm, in[0].shape)
	for _, p := range perm {
		op.need(p >= 0 && p < len(old) && !seen[p], "perm %v of shape %v", perm, in[0].shape)
		seen[p] = true
		axes = append(axes, old[p])
	}
	return w.moved(op, in[0], axes)
}

// slice takes start, start + step, … below end of some axes.
func (w *builder) slice(op *operator, in []value) value {
	starts, ends := w.param(op, in, 1, "starts", 10), w.param(op, in, 2, "ends", 10)
	named, steps := w.param(op, in, 3, "axes", 10), w.param(op, in, 4, "steps", 10)
	axes := axesOf(in[0].shape)
	op.need(len(starts) == len(ends) && len(ends) <= len(axes) && (named == nil || len(named) == len(ends)) &&
		(steps == nil || len(steps) == len(ends)), "lists of different lengths")
	seen := make([]bool, len(axes))
	for i := range starts {
		d, step := i, 1.0
		if named != nil {
			d = op.axis(named[i], len(axes))
		}
		if steps != nil {
			step = steps[i]
		}
		size := float64(axes[d].size)
		clamped := func(v float64) int {
			if v < 0 {
				v += size
			}
			return int(min(max(v, 0), size))
		}
		op.need(!seen[d] && step >= 1 && step <= maxElements, "axis %d twice, or step %v", d, step)
		seen[d] = true
		a := &axes[d]
		a.start, a.step = clamped(starts[i]), int(step)
		a.n = (clamped(ends[i]) - a.start + a.step - 1) / a.step
	}
	return w.moved(op, in[0], axes)
}

// pad adds zeros, or takes elements away, at the ends of every axis.
func (w *builder) pad(op *operator, in []value) value {
	pads, fill, axes := w.param(op, in, 1, "pads", 11), w.param(op, in, 2, "value", 11), axesOf(in[0].shape)
	mode := op.attr["mode"].s
	op.need((mode == "" || mode == "constant") && (fill == nil || len(fill) == 1 && fill[0] == 0), "only zeros are checked")
	op.need(len(pads) == 2*len(axes), "%d pads", len(pads))
	for d := range axes {
		before, after := pads[d], pads[len(axes)+d]
		op.need(max(math.Abs(before), math.Abs(after)) <= maxElements &&
			max(-before, 0)+max(-after, 0) <= float64(axes[d].size), "pads %v", pads) // no more is taken away than there is
		axes[d].start = -int(before)
		axes[d].n += int(before) + int(after)
	}
	return w.moved(op, in[0], axes)
}

func (w *builder) concat(op *operator, in []value) value {
	shape := slices.Clone(in[0].shape)
	_, given := op.attr["axis"]
	op.need(given, "no axis")
	axis := op.axis(float64(op.int("axis", 0)), len(shape))
	shape[axis] = 0
	for _, v := range in {
		same := slices.Clone(op.variable(v).shape)
		op.need(len(same) == len(shape), "shapes %v and %v", same, shape)
		shape[axis] += same[axis]
		same[axis] = shape[axis]
		op.need(slices.Equal(same, shape) && sizeOf(shape) > 0, "shapes %v and %v", v.shape, shape)
	}
	var terms []term
	before := 0
	for _, v := range in {
		axes := axesOf(v.shape)
		axes[axis].start, axes[axis].n = -before, shape[axis]
		before += v.shape[axis]
		terms = append(terms, pointwise(v.node, factor(1), places(axes), nil))
	}
	return w.affine(op, shape, terms...)
}
