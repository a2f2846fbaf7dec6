package op

import (
	"math"
	"math/rand/v2"
)

var _ = registerMove("Resize", "nearest-neighbour resampling; linear and cubic modes are not supported", 1, 4, planResize,
	func(r *rand.Rand) Example {
		attrs := map[string]Attr{
			"mode":                           {S: "nearest"},
			"coordinate_transformation_mode": {S: []string{"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"}[r.IntN(4)]},
			"nearest_mode":                   {S: []string{"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"}[r.IntN(4)]},
		}
		scales := &Tensor{Type: Float32, Shape: []int{4}, Data: []float64{1, 1, 2, 1.5}}
		return example("Resize", 13, attrs, randTensor(r, 1, 2, 2, 3), nil, scales)
	})

var _ = registerMove("Upsample", "nearest-neighbour upsampling (superseded by Resize)", 1, 2,
	func(n *Node, in []*Tensor) ([]move, error) {
		scales := n.Attrs["scales"].Fs
		if in[1] != nil {
			scales = in[1].Data
		}
		if mode := n.str("mode", "nearest"); mode != "nearest" {
			return nil, unsupported(n, "mode %q", mode)
		}
		return resample(n, in[0].Shape, scales, nil, "asymmetric", "simple")
	}, func(r *rand.Rand) Example {
		return example("Upsample", 9, map[string]Attr{"mode": {S: "nearest"}}, randTensor(r, 1, 2, 2, 3),
			&Tensor{Type: Float32, Shape: []int{4}, Data: []float64{1, 1, 2, 2}})
	})

func planResize(n *Node, in []*Tensor) ([]move, error) {
	if mode := n.str("mode", "nearest"); mode != "nearest" {
		return nil, unsupported(n, "mode %q", mode)
	}
	if n.Opset < 11 {
		if in[1] == nil {
			return nil, errorf(n, "input 1 is missing")
		}
		return resample(n, in[0].Shape, in[1].Data, nil, "asymmetric", "simple")
	}
	rank := len(in[0].Shape)
	var scales []float64
	var sizes []int64
	if in[2] != nil && len(in[2].Data) > 0 {
		scales = in[2].Data
	} else if in[3] != nil {
		sizes = int64s(in[3])
	}
	if list, ok := n.ints("axes"); ok {
		axes, err := axesOf(n, list, rank)
		if err != nil {
			return nil, err
		}
		if len(scales) != 0 && len(scales) != len(axes) || len(sizes) != 0 && len(sizes) != len(axes) {
			return nil, errorf(n, "%d scales, %d sizes for %d axes", len(scales), len(sizes), len(axes))
		}
		scales, sizes = onAxes(axes, in[0].Shape, scales, sizes)
	}
	if policy := n.str("keep_aspect_ratio_policy", "stretch"); sizes != nil && policy != "stretch" {
		return nil, unsupported(n, "keep_aspect_ratio_policy %q", policy)
	}
	return resample(n, in[0].Shape, scales, sizes,
		n.str("coordinate_transformation_mode", "half_pixel"), n.str("nearest_mode", "round_prefer_floor"))
}

// onAxes spreads scales and sizes given for some axes over all of them.
func onAxes(axes, shape []int, scales []float64, sizes []int64) ([]float64, []int64) {
	var fullScales []float64
	var fullSizes []int64
	if scales != nil {
		fullScales = constant(1, len(shape))
	}
	if sizes != nil {
		for _, d := range shape {
			fullSizes = append(fullSizes, int64(d))
		}
	}
	for i, a := range axes {
		if scales != nil {
			fullScales[a] = scales[i]
		}
		if sizes != nil {
			fullSizes[a] = sizes[i]
		}
	}
	return fullScales, fullSizes
}

// A resized axis has in input and out output coordinates; an output coordinate c is at c·den/num of the input. The scale
// num/den is kept as a pair so that a ratio of sizes is not rounded: nearest modes jump at integers and halves.
type resized struct{ in, out, num, den float64 }

func resample(n *Node, in []int, scales []float64, sizes []int64, coord, nearest string) ([]move, error) {
	rank := len(in)
	if len(scales) != rank && len(sizes) != rank {
		return nil, errorf(n, "%d scales and %d sizes for rank %d", len(scales), len(sizes), rank)
	}
	shape, axes := make([]int, rank), make([]resized, rank)
	for i, d := range in {
		a := resized{in: float64(d), den: 1}
		if len(scales) == rank {
			a.num = scales[i]
			a.out = math.Floor(a.in * scales[i])
		} else {
			a.out = float64(sizes[i])
			a.num, a.den = a.out, a.in
		}
		if !(a.out >= 0 && a.out <= MaxElements) || d == 0 && a.out > 0 {
			return nil, errorf(n, "axis %d of size %d resized to %g", i, d, a.out)
		}
		axes[i], shape[i] = a, int(a.out)
	}
	if _, err := sizeOf(n, shape); err != nil {
		return nil, err
	}
	maps := make([][]int32, rank)
	for i := range maps {
		maps[i] = make([]int32, shape[i])
		for c := range maps[i] {
			src, ok := axes[i].nearest(float64(c), coord, nearest)
			if !ok {
				return nil, unsupported(n, "coordinate mode %q with nearest mode %q", coord, nearest)
			}
			maps[i][c] = int32(src)
		}
	}
	return []move{separableMove(in, maps)}, nil
}

// nearest maps an output coordinate to the input coordinate it copies.
func (a *resized) nearest(c float64, coord, mode string) (int, bool) {
	if a.num == a.den {
		return int(c), true
	}
	x := 0.0
	switch coord {
	case "half_pixel":
		x = (c+0.5)*a.den/a.num - 0.5
	case "pytorch_half_pixel":
		if a.out > 1 {
			x = (c+0.5)*a.den/a.num - 0.5
		}
	case "half_pixel_symmetric":
		adjust := a.out * a.den / (a.num * a.in)
		x = a.in/2*(1-adjust) + (c+0.5)*a.den/a.num - 0.5
	case "asymmetric":
		x = c * a.den / a.num
	case "tf_half_pixel_for_nn":
		x = (c + 0.5) * a.den / a.num
	case "align_corners":
		if a.out > 1 {
			x = c * (a.in - 1) / (a.out - 1)
		}
	default:
		return 0, false
	}
	switch mode {
	case "round_prefer_floor":
		x = math.Ceil(x - 0.5)
	case "round_prefer_ceil":
		x = math.Floor(x + 0.5)
	case "simple":
		// Before opset 11 the standard names no mode; onnxruntime rounds up where it samples down.
		if a.num < a.den {
			x = math.Ceil(x)
		} else {
			x = math.Floor(x)
		}
	case "floor":
		x = math.Floor(x)
	case "ceil":
		x = math.Ceil(x)
	default:
		return 0, false
	}
	return int(min(max(x, 0), a.in-1)), true
}
