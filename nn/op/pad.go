package op

import (
	"math/rand/v2"
)

var _ = registerMove("Pad", "padding (or cropping, where negative) with a constant, the edge, a reflection or wrapped around", 1, 4, planPad,
	func(r *rand.Rand) Example {
		mode := []string{"constant", "edge", "reflect", "wrap"}[r.IntN(4)]
		c := randTensor(r)
		return example("Pad", 19, map[string]Attr{"mode": {S: mode}}, randTensor(r, 2, 3, 3), intTensor(0, 1, -1, 0, 2, 1), c)
	})

func planPad(n *Node, in []*Tensor) ([]move, error) {
	rank := len(in[0].Shape)
	pads, fill, axes, err := padParams(n, in, rank)
	if err != nil {
		return nil, err
	}
	before, after := make([]int, rank), make([]int, rank)
	for i, a := range axes {
		for side, p := range map[*int]int64{&before[a]: pads[i], &after[a]: pads[i+len(axes)]} {
			if p < -MaxElements || p > MaxElements {
				return nil, errorf(n, "pad %d out of range", p)
			}
			*side = int(p)
		}
	}
	shape := make([]int, rank)
	for i, d := range in[0].Shape {
		shape[i] = d + before[i] + after[i]
	}
	if _, err := sizeOf(n, shape); err != nil {
		return nil, err
	}
	mode := n.str("mode", "constant")
	maps := make([][]int32, rank)
	for i, d := range in[0].Shape {
		m := make([]int32, shape[i])
		for c := range m {
			src, ok := padSource(mode, c-before[i], d)
			if !ok {
				return nil, errorf(n, "mode %q on an axis of size %d", mode, d)
			}
			m[c] = int32(src)
		}
		maps[i] = m
	}
	m := separableMove(in[0].Shape, maps)
	m.fill = fill
	return []move{m}, nil
}

// padParams reads pads, fill value and axes from attributes (before opset 11) or inputs.
func padParams(n *Node, in []*Tensor, rank int) (pads []int64, fill float64, axes []int, err error) {
	if n.Opset < 11 {
		pads, _ = n.ints("pads")
		fill = n.float("value", 0)
	} else {
		if in[1] == nil {
			return nil, 0, nil, errorf(n, "input 1 is missing")
		}
		pads = int64s(in[1])
		if t := in[2]; t != nil && len(t.Data) > 0 {
			fill = t.Data[0]
		}
	}
	axes = make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	if n.Opset >= 18 && in[3] != nil {
		if axes, err = axesOf(n, int64s(in[3]), rank); err != nil {
			return nil, 0, nil, err
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, 0, nil, errorf(n, "%d pads for %d axes", len(pads), len(axes))
	}
	return pads, fill, axes, nil
}

// padSource returns the input coordinate that padding puts at coordinate c of an axis of size d; −1 is the fill.
func padSource(mode string, c, d int) (src int, ok bool) {
	if c >= 0 && c < d {
		return c, true
	}
	if mode == "constant" {
		return -1, true
	}
	if d == 0 {
		return 0, false
	}
	switch mode {
	case "edge":
		return min(max(c, 0), d-1), true
	case "wrap":
		return (c%d + d) % d, true
	case "reflect":
		if d == 1 {
			return 0, true
		}
		period := 2 * (d - 1)
		c = (c%period + period) % period
		return min(c, period-c), true
	}
	return 0, false
}
