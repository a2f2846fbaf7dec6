package prog

// ConvGeom is the geometry of a 2-D convolution (1-D is H = KH = 1) in ONNX's terms. Output sizes are
// OH = (H + PadT + PadB − DilH·(KH−1) − 1)/StrideH + 1 and likewise OW.
type ConvGeom struct {
	C, H, W                int // input channels, height, width
	M, KH, KW              int // output channels, kernel
	Group                  int
	StrideH, StrideW       int
	DilH, DilW             int
	PadT, PadL, PadB, PadR int
}

// OutHW returns the output's height and width.
func (g *ConvGeom) OutHW() (oh, ow int) {
	oh = (g.H+g.PadT+g.PadB-g.DilH*(g.KH-1)-1)/g.StrideH + 1
	ow = (g.W+g.PadL+g.PadR-g.DilW*(g.KW-1)-1)/g.StrideW + 1
	return oh, ow
}

// convMap is a convolution; weights are [M][C/Group][KH][KW], vectors are [channel][y][x].
type convMap struct {
	g      ConvGeom
	oh, ow int
	w      []float64
}

// Conv returns the linear map of a convolution without bias; w is kept, not copied.
func Conv(g ConvGeom, w []float64) Linear {
	if len(w) != g.M*(g.C/g.Group)*g.KH*g.KW {
		panic("prog: Conv: weight length mismatch")
	}
	c := &convMap{g: g, w: w}
	c.oh, c.ow = g.OutHW()
	return c
}

func (c *convMap) Dims() (out, in int) { return c.g.M * c.oh * c.ow, c.g.C * c.g.H * c.g.W }
func (c *convMap) Fan() (row, col int) {
	return c.g.C / c.g.Group * c.g.KH * c.g.KW, c.g.M / c.g.Group * c.g.KH * c.g.KW
}

// each visits every (output element, input element, weight index) of output channel range rows.
func (c *convMap) each(f func(i, j, w int)) {
	for m := 0; m < c.g.M; m++ {
		for y := 0; y < c.oh; y++ {
			for x := 0; x < c.ow; x++ {
				c.taps((m*c.oh+y)*c.ow+x, f)
			}
		}
	}
}

// taps visits the taps of output element i.
func (c *convMap) taps(i int, f func(i, j, w int)) {
	g := &c.g
	x := i % c.ow
	y := i / c.ow % c.oh
	m := i / (c.ow * c.oh)
	cg := g.C / g.Group
	c0 := m / (g.M / g.Group) * cg
	for ci := 0; ci < cg; ci++ {
		for ky := 0; ky < g.KH; ky++ {
			iy := y*g.StrideH - g.PadT + ky*g.DilH
			if iy < 0 || iy >= g.H {
				continue
			}
			for kx := 0; kx < g.KW; kx++ {
				ix := x*g.StrideW - g.PadL + kx*g.DilW
				if ix < 0 || ix >= g.W {
					continue
				}
				f(i, ((c0+ci)*g.H+iy)*g.W+ix, ((m*cg+ci)*g.KH+ky)*g.KW+kx)
			}
		}
	}
}

func (c *convMap) Forward(dst, x []float64, R int) {
	c.each(func(i, j, k int) {
		w, d := c.w[k], dst[i*R:i*R+R]
		for r, v := range x[j*R : j*R+R] {
			d[r] += w * v
		}
	})
}

func (c *convMap) ForwardAbs(dst, x []float64, R int) {
	c.each(func(i, j, k int) {
		w, d := c.w[k], dst[i*R:i*R+R]
		if w < 0 {
			w = -w
		}
		for r, v := range x[j*R : j*R+R] {
			d[r] += w * v
		}
	})
}

func (c *convMap) Backward(dst, y []float64, R int) {
	c.each(func(i, j, k int) {
		w, d := c.w[k], dst[j*R:j*R+R]
		for r, v := range y[i*R : i*R+R] {
			d[r] += w * v
		}
	})
}

func (c *convMap) Row(dst []float64, R, r, i int, s float64) {
	c.taps(i, func(_, j, k int) { dst[j*R+r] += s * c.w[k] })
}

func (c *convMap) Each(f func(i, j int, v float64)) {
	c.each(func(i, j, k int) { f(i, j, c.w[k]) })
}

// transposed is Mᵀ as a map.
type transposed struct{ Linear }

// Transpose returns the transpose of a convolution (ConvTranspose). Row and ForwardAbs are slow: they go through Each.
func Transpose(l Linear) Linear { return transposed{l} }

func (t transposed) Dims() (out, in int)              { o, i := t.Linear.Dims(); return i, o }
func (t transposed) Fan() (row, col int)              { r, c := t.Linear.Fan(); return c, r }
func (t transposed) Forward(dst, x []float64, R int)  { t.Linear.Backward(dst, x, R) }
func (t transposed) Backward(dst, y []float64, R int) { t.Linear.Forward(dst, y, R) }
func (t transposed) Each(f func(i, j int, v float64)) {
	t.Linear.Each(func(i, j int, v float64) { f(j, i, v) })
}
func (t transposed) Row(dst []float64, R, r, i int, s float64) {
	t.Linear.Each(func(a, b int, v float64) {
		if b == i {
			dst[a*R+r] += s * v
		}
	})
}
func (t transposed) ForwardAbs(dst, x []float64, R int) {
	t.Linear.Each(func(a, b int, v float64) {
		if v < 0 {
			v = -v
		}
		for r := 0; r < R; r++ {
			dst[b*R+r] += v * x[a*R+r]
		}
	})
}
