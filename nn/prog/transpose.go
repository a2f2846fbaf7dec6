package prog

// adjoint is what the maps of this package offer beyond Linear so that their transpose is as fast as they are.
type adjoint interface {
	Linear
	// backwardAbs computes dst[In×R] += |M|ᵀ·y[Out×R].
	backwardAbs(dst, y []float64, R int)
	// row calls f for the entries of row i, column for those of column j by increasing row; zeros may be among them.
	row(i int, f func(j int, v float64))
	column(j int, f func(i int, v float64))
}

// transposed is Mᵀ as a map.
type transposed struct{ m adjoint }

// transposedWindowed is the transpose of a convolution, which keeps track of windows.
type transposedWindowed struct {
	transposed
	c *convMap
}

// Transpose returns the transpose of a map (of a convolution: ConvTranspose).
func Transpose(l Linear) Linear {
	switch l := l.(type) {
	case transposed:
		return l.m
	case transposedWindowed:
		return l.c
	case diagMap:
		return l
	case *convMap:
		return transposedWindowed{transposed{l}, l}
	case adjoint:
		return transposed{l}
	}
	return Transpose(toSparse(l))
}

// toSparse copies any map into compressed sparse rows.
func toSparse(l Linear) Linear {
	m, n := l.Dims()
	b := newCSRBuilder(m, 0)
	l.Each(func(i, j int, v float64) {
		for len(b.ptr) <= i {
			b.endRow()
		}
		b.add(int32(j), v)
	})
	for len(b.ptr) <= m {
		b.endRow()
	}
	return b.build(n)
}

func (t transposed) Dims() (out, in int)                { o, i := t.m.Dims(); return i, o }
func (t transposed) Fan() (row, col int)                { r, c := t.m.Fan(); return c, r }
func (t transposed) Forward(dst, x []float64, R int)    { t.m.Backward(dst, x, R) }
func (t transposed) ForwardAbs(dst, x []float64, R int) { t.m.backwardAbs(dst, x, R) }
func (t transposed) Backward(dst, y []float64, R int)   { t.m.Forward(dst, y, R) }

func (t transposed) backwardAbs(dst, y []float64, R int)    { t.m.ForwardAbs(dst, y, R) }
func (t transposed) row(i int, f func(j int, v float64))    { t.m.column(i, f) }
func (t transposed) column(j int, f func(i int, v float64)) { t.m.row(j, f) }

func (t transposed) Row(dst []float64, R, r, i int, s float64) {
	t.m.column(i, func(j int, v float64) { dst[j*R+r] += s * v })
}

func (t transposed) Each(f func(i, j int, v float64)) {
	m, _ := t.Dims()
	for i := range m {
		t.m.column(i, func(j int, v float64) {
			if v != 0 {
				f(i, j, v)
			}
		})
	}
}

// OutImage implements Windowed.
func (t transposedWindowed) OutImage() Window { return t.c.inImage() }

// InWindow implements Windowed.
func (t transposedWindowed) InWindow(out Window) Window { return t.c.outWindow(out) }

// RowWindow implements Windowed.
func (t transposedWindowed) RowWindow(i int) Window { return t.c.outWindow(pixel(t.c.inImage(), i)) }

// BackwardWindow implements Windowed.
func (t transposedWindowed) BackwardWindow(dst, y []float64, R int, out Window) (in Window) {
	if out.IsAll() {
		t.Backward(dst, y, R)
		return Window{}
	}
	in = t.c.outWindow(out)
	t.c.forward(false).applyWindow(dst, y, R, in, out)
	return in
}

// ForwardWindow implements Windowed.
func (t transposedWindowed) ForwardWindow(dst, x []float64, R int, out Window) {
	if out.IsAll() {
		t.Forward(dst, x, R)
		return
	}
	t.c.backward(false).applyWindow(dst, x, R, out, t.c.outImage())
}
