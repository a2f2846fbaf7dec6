package prog

import (
	"math"
	"sync"
)

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

// convMap is a convolution; weights are [M][C/Group][KH][KW], vectors are [channel][y][x]. The plans are made on first use.
type convMap struct {
	g                    ConvGeom
	oh, ow               int
	w                    []float64
	fwd, bwd, fabs, babs lazyPlan
}

type lazyPlan struct {
	once sync.Once
	p    *convPlan
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

// forward returns the plan of M or |M|.
func (c *convMap) forward(abs bool) *convPlan {
	l := &c.fwd
	if abs {
		l = &c.fabs
	}
	l.once.Do(func() {
		g := &c.g
		y := forwardAxis(c.oh, g.H, g.KH, g.StrideH, g.DilH, g.PadT)
		x := forwardAxis(c.ow, g.W, g.KW, g.StrideW, g.DilW, g.PadL)
		mg, cg := g.M/g.Group, g.C/g.Group
		l.p = newConvPlan(y, x, g.Group, mg, cg, func(grp, r, ci, ky, kx int) float64 {
			return c.weight(abs, grp*mg+r, ci, ky, kx)
		})
	})
	return l.p
}

// backward returns the plan of Mᵀ or |M|ᵀ.
func (c *convMap) backward(abs bool) *convPlan {
	l := &c.bwd
	if abs {
		l = &c.babs
	}
	l.once.Do(func() {
		g := &c.g
		y := backwardAxis(g.H, c.oh, g.KH, g.StrideH, g.DilH, g.PadT)
		x := backwardAxis(g.W, c.ow, g.KW, g.StrideW, g.DilW, g.PadL)
		mg, cg := g.M/g.Group, g.C/g.Group
		l.p = newConvPlan(y, x, g.Group, cg, mg, func(grp, r, m, ky, kx int) float64 {
			return c.weight(abs, grp*mg+m, r, ky, kx)
		})
	})
	return l.p
}

func (c *convMap) weight(abs bool, m, ci, ky, kx int) float64 {
	v := c.w[((m*(c.g.C/c.g.Group)+ci)*c.g.KH+ky)*c.g.KW+kx]
	if abs {
		return math.Abs(v)
	}
	return v
}

func (c *convMap) Forward(dst, x []float64, R int)     { c.forward(false).apply(dst, x, R) }
func (c *convMap) ForwardAbs(dst, x []float64, R int)  { c.forward(true).apply(dst, x, R) }
func (c *convMap) Backward(dst, y []float64, R int)    { c.backward(false).apply(dst, y, R) }
func (c *convMap) backwardAbs(dst, y []float64, R int) { c.backward(true).apply(dst, y, R) }

// inImage and outImage are the full windows of the two sides.
func (c *convMap) inImage() Window  { return Window{C: c.g.C, H: c.g.H, W: c.g.W, Y1: c.g.H, X1: c.g.W} }
func (c *convMap) outImage() Window { return Window{C: c.g.M, H: c.oh, W: c.ow, Y1: c.oh, X1: c.ow} }

// reads returns the part of image (the source side) that the targets in w read through p; everything stays everything.
func (p *convPlan) reads(w, image Window) Window {
	if w.IsAll() {
		return Window{}
	}
	if w.IsEmpty() {
		image.Y1, image.X1 = 0, 0
		return image
	}
	image.Y0, image.Y1 = p.y.sources(w.Y0, w.Y1)
	image.X0, image.X1 = p.x.sources(w.X0, w.X1)
	return image.clip()
}

// OutImage implements Windowed.
func (c *convMap) OutImage() Window { return c.outImage() }

// InWindow implements Windowed.
func (c *convMap) InWindow(out Window) Window { return c.forward(false).reads(out, c.inImage()) }

// outWindow returns the output pixels that depend on the input pixels in in.
func (c *convMap) outWindow(in Window) Window { return c.backward(false).reads(in, c.outImage()) }

// RowWindow implements Windowed.
func (c *convMap) RowWindow(i int) Window { return c.InWindow(pixel(c.outImage(), i)) }

// pixel returns the window of the single pixel of element i.
func pixel(w Window, i int) Window {
	y, x := i/w.W%w.H, i%w.W
	w.Y0, w.Y1, w.X0, w.X1 = y, y+1, x, x+1
	return w
}

// BackwardWindow implements Windowed.
func (c *convMap) BackwardWindow(dst, y []float64, R int, out Window) (in Window) {
	if out.IsAll() {
		c.Backward(dst, y, R)
		return Window{}
	}
	in = c.InWindow(out)
	c.backward(false).applyWindow(dst, y, R, in, out)
	return in
}

// ForwardWindow implements Windowed.
func (c *convMap) ForwardWindow(dst, x []float64, R int, out Window) {
	if out.IsAll() {
		c.Forward(dst, x, R)
		return
	}
	c.forward(false).applyWindow(dst, x, R, out, c.inImage())
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

func (c *convMap) Row(dst []float64, R, r, i int, s float64) {
	c.taps(i, func(_, j, k int) { dst[j*R+r] += s * c.w[k] })
}

// row calls f for the entries of row i.
func (c *convMap) row(i int, f func(j int, v float64)) {
	c.taps(i, func(_, j, k int) { f(j, c.w[k]) })
}

// column calls f for the entries of column j.
func (c *convMap) column(j int, f func(i int, v float64)) {
	g := &c.g
	x, y, ch := j%g.W, j/g.W%g.H, j/(g.W*g.H)
	mg, cg := g.M/g.Group, g.C/g.Group
	m0, ci := ch/cg*mg, ch%cg
	for m := m0; m < m0+mg; m++ {
		for ky := g.KH - 1; ky >= 0; ky-- {
			oy := y + g.PadT - ky*g.DilH
			if oy < 0 || oy%g.StrideH != 0 || oy/g.StrideH >= c.oh {
				continue
			}
			for kx := g.KW - 1; kx >= 0; kx-- {
				ox := x + g.PadL - kx*g.DilW
				if ox < 0 || ox%g.StrideW != 0 || ox/g.StrideW >= c.ow {
					continue
				}
				f((m*c.oh+oy/g.StrideH)*c.ow+ox/g.StrideW, c.w[((m*cg+ci)*g.KH+ky)*g.KW+kx])
			}
		}
	}
}

func (c *convMap) Each(f func(i, j int, v float64)) {
	n, _ := c.Dims()
	for i := range n {
		c.taps(i, func(i, j, k int) {
			if c.w[k] != 0 {
				f(i, j, c.w[k])
			}
		})
	}
}
