package prog

// denseMap is a dense row-major matrix.
type denseMap struct {
	m, n int
	w    []float64
}

// Dense returns the map of a row-major m×n matrix; w is kept, not copied.
func Dense(m, n int, w []float64) Linear {
	if len(w) != m*n {
		panic("prog: Dense: length mismatch")
	}
	return &denseMap{m, n, w}
}

func (d *denseMap) Dims() (out, in int) { return d.m, d.n }
func (d *denseMap) Fan() (row, col int) { return d.n, d.m }

func (d *denseMap) Forward(dst, x []float64, R int) {
	for i := 0; i < d.m; i++ {
		axpyRows(dst[i*R:i*R+R], x, d.w[i*d.n:(i+1)*d.n], R)
	}
}

func axpyRows(dst, x, w []float64, R int) {
	for j, s := range w {
		if s != 0 {
			for r, v := range x[j*R : j*R+R] {
				dst[r] += s * v
			}
		}
	}
}

func (d *denseMap) ForwardAbs(dst, x []float64, R int) {
	for i := 0; i < d.m; i++ {
		for j, s := range d.w[i*d.n : (i+1)*d.n] {
			if s < 0 {
				s = -s
			}
			for r, v := range x[j*R : j*R+R] {
				dst[i*R+r] += s * v
			}
		}
	}
}

func (d *denseMap) Backward(dst, y []float64, R int) {
	for i := 0; i < d.m; i++ {
		yr := y[i*R : i*R+R]
		for j, s := range d.w[i*d.n : (i+1)*d.n] {
			if s != 0 {
				t := dst[j*R : j*R+R]
				for r, v := range yr {
					t[r] += s * v
				}
			}
		}
	}
}

func (d *denseMap) Row(dst []float64, R, r, i int, s float64) {
	for j, v := range d.w[i*d.n : (i+1)*d.n] {
		dst[j*R+r] += s * v
	}
}

func (d *denseMap) Each(f func(i, j int, v float64)) {
	for i := 0; i < d.m; i++ {
		for j, v := range d.w[i*d.n : (i+1)*d.n] {
			if v != 0 {
				f(i, j, v)
			}
		}
	}
}
