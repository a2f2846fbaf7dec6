package op

// axisWindow is a sliding window along one spatial axis of size in: window o covers in coordinates
// o·stride − before + t·dilation for t < kernel, those outside 0..in−1 being padding.
type axisWindow struct {
	in, out, kernel, stride, dilation, before, after int
}

// maxWindow bounds kernel sizes, strides, dilations and pads, so that products of two of them do not overflow.
const maxWindow = 1 << 28

// windows reads kernel_shape (or takes kernel when not nil), strides, dilations, pads and auto_pad for the spatial axes of
// shape, and computes the output sizes; with ceil the last window may hang over the padding.
func windows(n *Node, shape []int, kernel []int, ceil bool) ([]axisWindow, error) {
	if len(shape) < 3 {
		return nil, errorf(n, "input of shape %v has no spatial axes", shape)
	}
	w, err := windowParams(n, shape[2:], kernel)
	if err != nil {
		return nil, err
	}
	auto := n.str("auto_pad", "NOTSET")
	for i := range w {
		a := &w[i]
		span := a.dilation * (a.kernel - 1)
		switch auto {
		case "NOTSET":
		case "VALID":
			a.before, a.after = 0, 0
		case "SAME_UPPER", "SAME_LOWER":
			a.out = (a.in + a.stride - 1) / a.stride
			total := max((a.out-1)*a.stride+span+1-a.in, 0)
			a.before, a.after = total/2, total-total/2
			if auto == "SAME_LOWER" {
				a.before, a.after = a.after, a.before
			}
		default:
			return nil, errorf(n, "auto_pad %q", auto)
		}
		room := a.in + a.before + a.after - span - 1
		if room < 0 || a.in == 0 {
			return nil, errorf(n, "window of %d on an axis of size %d", span+1, a.in)
		}
		a.out = room/a.stride + 1
		// A window that would start in the padding after the end is not counted.
		if ceil && room%a.stride != 0 && a.out*a.stride < a.in+a.before {
			a.out++
		}
	}
	return w, nil
}

// windowParams reads and checks the attributes.
func windowParams(n *Node, spatial, kernel []int) ([]axisWindow, error) {
	rank := len(spatial)
	w := make([]axisWindow, rank)
	read := func(name string, count, lo int, def int64) ([]int, error) {
		list, ok := n.ints(name)
		if !ok || len(list) == 0 {
			list = make([]int64, count)
			for i := range list {
				list[i] = def
			}
		}
		if len(list) != count {
			return nil, errorf(n, "%s has %d entries, want %d", name, len(list), count)
		}
		out := make([]int, count)
		for i, v := range list {
			if v < int64(lo) || v > maxWindow {
				return nil, errorf(n, "%s: %d out of range", name, v)
			}
			out[i] = int(v)
		}
		return out, nil
	}
	k, err := read("kernel_shape", rank, 1, 0)
	if kernel != nil {
		if _, given := n.ints("kernel_shape"); given && err != nil {
			return nil, err
		}
		for i := range kernel {
			if kernel[i] < 1 || err == nil && k[i] != kernel[i] {
				return nil, errorf(n, "kernel %v does not match the weights' %v", k, kernel)
			}
		}
		k = kernel
	} else if err != nil {
		return nil, err
	}
	strides, err := read("strides", rank, 1, 1)
	if err != nil {
		return nil, err
	}
	dilations, err := read("dilations", rank, 1, 1)
	if err != nil {
		return nil, err
	}
	pads, err := read("pads", 2*rank, 0, 0)
	if err != nil {
		return nil, err
	}
	for i, d := range spatial {
		w[i] = axisWindow{in: d, kernel: k[i], stride: strides[i], dilation: dilations[i], before: pads[i], after: pads[i+rank]}
	}
	return w, nil
}

// taps returns the input coordinates that window o covers.
func (a *axisWindow) taps(o int) []int {
	start := o*a.stride - a.before
	first := 0
	if start < 0 {
		first = (-start + a.dilation - 1) / a.dilation
	}
	var t []int
	for k := first; k < a.kernel && start+k*a.dilation < a.in; k++ {
		t = append(t, start+k*a.dilation)
	}
	return t
}

// padded returns the number of taps of window o inside the axis or its padding.
func (a *axisWindow) padded(o int) int {
	room := a.before + a.in + a.after - o*a.stride
	return max(0, min(a.kernel, (room+a.dilation-1)/a.dilation))
}
