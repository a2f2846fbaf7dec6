package prog

// A Window is a rectangle of pixels, over all channels, of a vector laid out as [C][H][W]: rows Y0 <= y < Y1 and columns
// X0 <= x < X1. The zero value stands for everything, whatever the layout. Windows let the bounds of a few neurons of a
// convolution be computed from their receptive field alone.
type Window struct{ C, H, W, Y0, Y1, X0, X1 int }

// Windowed is implemented by maps between images that know which pixels depend on which. A map may return windows that
// are larger than necessary, never smaller.
type Windowed interface {
	Linear
	// BackwardWindow computes dst[In×R] += Mᵀ·y where y counts as zero outside the window out of its pixels (it is not
	// read there), and returns the window outside which dst was left alone.
	BackwardWindow(dst, y []float64, R int, out Window) (in Window)
	// InWindow returns the input pixels that the output pixels in out depend on.
	InWindow(out Window) Window
	// ForwardWindow computes dst[Out×R] += M·x for the output pixels in out and leaves the others alone; it reads x only
	// in InWindow(out).
	ForwardWindow(dst, x []float64, R int, out Window)
	// RowWindow returns the input pixels that output element i depends on.
	RowWindow(i int) Window
	// OutImage returns the full window of the output, which fixes the layout that out must have; zero: any layout will do.
	OutImage() Window
}

// Pixel returns the window of the single pixel of element i in the layout of w.
func (w Window) Pixel(i int) Window { return pixel(w, i) }

// SameLayout reports whether both windows are over pictures of the same channels, height and width.
func (w Window) SameLayout(v Window) bool { return w.C == v.C && w.H == v.H && w.W == v.W }

// IsAll reports whether the window is everything.
func (w Window) IsAll() bool {
	return w == Window{} || w.Y0 <= 0 && w.X0 <= 0 && w.Y1 >= w.H && w.X1 >= w.W
}

// IsEmpty reports whether the window contains no element.
func (w Window) IsEmpty() bool { return w != Window{} && (w.Y0 >= w.Y1 || w.X0 >= w.X1 || w.C == 0) }

// Len returns the number of elements, given that the vector has n.
func (w Window) Len(n int) int {
	switch {
	case w.IsEmpty():
		return 0
	case w.IsAll():
		return n
	}
	return w.C * (w.Y1 - w.Y0) * (w.X1 - w.X0)
}

// Contains reports whether element i is in the window.
func (w Window) Contains(i int) bool {
	if w.IsEmpty() {
		return false
	}
	if w.IsAll() {
		return true
	}
	y, x := i/w.W%w.H, i%w.W
	return y >= w.Y0 && y < w.Y1 && x >= w.X0 && x < w.X1
}

// Union returns the smallest window that contains both: everything if they are of different layouts.
func (w Window) Union(v Window) Window {
	switch {
	case w.IsAll() || v.IsAll():
		return Window{}
	case w.C != v.C || w.H != v.H || w.W != v.W:
		return Window{}
	case w.IsEmpty():
		return v
	case v.IsEmpty():
		return w
	}
	w.Y0, w.X0 = min(w.Y0, v.Y0), min(w.X0, v.X0)
	w.Y1, w.X1 = max(w.Y1, v.Y1), max(w.X1, v.X1)
	return w
}

// Runs calls f for the maximal ranges [i, i+n) of consecutive elements in the window of a vector of total elements, in
// increasing order.
func (w Window) Runs(total int, f func(i, n int)) {
	switch {
	case w.IsEmpty():
		return
	case w.IsAll():
		f(0, total)
		return
	}
	n := w.X1 - w.X0
	for c := 0; c < w.C; c++ {
		if n == w.W {
			f((c*w.H+w.Y0)*w.W, (w.Y1-w.Y0)*w.W)
			continue
		}
		for y := w.Y0; y < w.Y1; y++ {
			f((c*w.H+y)*w.W+w.X0, n)
		}
	}
}

// clip returns the window with its bounds moved inside the image, empty if nothing is left.
func (w Window) clip() Window {
	w.Y0, w.X0 = max(w.Y0, 0), max(w.X0, 0)
	w.Y1, w.X1 = max(min(w.Y1, w.H), w.Y0), max(min(w.X1, w.W), w.X0)
	return w
}
