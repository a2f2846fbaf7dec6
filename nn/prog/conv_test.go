package prog

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// convEntries is the matrix of a convolution written down from ONNX's definition.
func convEntries(g ConvGeom, w []float64) (es []entry) {
	oh, ow := g.OutHW()
	mg, cg := g.M/g.Group, g.C/g.Group
	for m := 0; m < g.M; m++ {
		for oy := 0; oy < oh; oy++ {
			for ox := 0; ox < ow; ox++ {
				for ci := 0; ci < cg; ci++ {
					for ky := 0; ky < g.KH; ky++ {
						for kx := 0; kx < g.KW; kx++ {
							iy, ix := oy*g.StrideH+ky*g.DilH-g.PadT, ox*g.StrideW+kx*g.DilW-g.PadL
							if iy < 0 || iy >= g.H || ix < 0 || ix >= g.W {
								continue
							}
							c := m/mg*cg + ci
							es = append(es, entry{(m*oh+oy)*ow + ox, (c*g.H+iy)*g.W + ix, w[((m*cg+ci)*g.KH+ky)*g.KW+kx]})
						}
					}
				}
			}
		}
	}
	return es
}

func drawConv(t *rapid.T) (ConvGeom, []float64) {
	in := func(lo, hi int, what string) int { return rapid.IntRange(lo, hi).Draw(t, what) }
	for {
		grp := in(1, 3, "group")
		g := ConvGeom{Group: grp, C: grp * in(1, 3, "C/g"), M: grp * in(1, 14, "M/g"), H: in(1, 9, "H"), W: in(1, 9, "W"),
			KH: in(1, 4, "KH"), KW: in(1, 4, "KW"), StrideH: in(1, 3, "sh"), StrideW: in(1, 3, "sw"), DilH: in(1, 3, "dh"),
			DilW: in(1, 3, "dw"), PadT: in(0, 3, "pt"), PadL: in(0, 3, "pl"), PadB: in(0, 3, "pb"), PadR: in(0, 3, "pr")}
		if g.H+g.PadT+g.PadB < g.DilH*(g.KH-1)+1 || g.W+g.PadL+g.PadR < g.DilW*(g.KW-1)+1 {
			continue
		}
		return g, noise(t, g.M*(g.C/grp)*g.KH*g.KW, "w")
	}
}

func TestConv(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			g, w := drawConv(t)
			es := convEntries(g, w)
			checkLinear(t, Conv(g, w), es, lanes(t))
			checkLinear(t, Transpose(Conv(g, w)), transposeEntries(es), lanes(t))
		})
	})
}

func drawWindow(t *rapid.T, w Window) Window {
	if rapid.IntRange(0, 7).Draw(t, "all") == 0 {
		return Window{}
	}
	w.Y0 = rapid.IntRange(0, w.H).Draw(t, "y0")
	w.Y1 = rapid.IntRange(w.Y0, w.H).Draw(t, "y1")
	w.X0 = rapid.IntRange(0, w.W).Draw(t, "x0")
	w.X1 = rapid.IntRange(w.X0, w.W).Draw(t, "x1")
	return w
}

// checkWindowed compares the windowed methods with the matrix.
func checkWindowed(t *rapid.T, l Windowed, es []entry, outImage, inImage Window, R int) {
	out, in := l.Dims()
	win := drawWindow(t, outImage)
	inWin := l.InWindow(win)
	var kept []entry
	for _, e := range es {
		if win.Contains(e.i) {
			kept = append(kept, e)
			if !inWin.Contains(e.j) {
				t.Fatalf("window %v reads %d outside %v", win, e.j, inWin)
			}
			if !l.RowWindow(e.i).Contains(e.j) {
				t.Fatalf("row %d reads %d outside %v", e.i, e.j, l.RowWindow(e.i))
			}
		}
	}
	x, y, d, e := noise(t, in*R, "x"), noise(t, out*R, "y"), noise(t, out*R, "d"), noise(t, in*R, "e")
	g := append([]float64(nil), d...)
	l.ForwardWindow(g, x, R, win)
	rf, cf := l.Fan()
	apply(t, "ForwardWindow", kept, false, false, d, x, g, R, rf)
	g = append([]float64(nil), e...)
	if got := l.BackwardWindow(g, y, R, win); got.Union(inWin) != inWin && !inWin.IsAll() {
		t.Fatalf("BackwardWindow wrote %v, InWindow says %v", got, inWin)
	}
	apply(t, "BackwardWindow", kept, false, true, e, y, g, R, cf)
}

func TestConvWindows(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			g, w := drawConv(t)
			es := convEntries(g, w)
			oh, ow := g.OutHW()
			in := Window{C: g.C, H: g.H, W: g.W, Y1: g.H, X1: g.W}
			out := Window{C: g.M, H: oh, W: ow, Y1: oh, X1: ow}
			checkWindowed(t, Conv(g, w).(Windowed), es, out, in, lanes(t))
			checkWindowed(t, Transpose(Conv(g, w)).(Windowed), transposeEntries(es), in, out, lanes(t))
		})
	})
}

func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := func(what string) int { return rapid.IntRange(1, 5).Draw(t, what) }
		full := Window{C: in("C"), H: in("H"), W: in("W")}
		full.Y1, full.X1 = full.H, full.W
		n := full.C * full.H * full.W
		a, b := drawWindow(t, full), drawWindow(t, full)
		u := a.Union(b)
		seen := make([]bool, n)
		count, end := 0, -1
		a.Runs(n, func(i, k int) {
			if k <= 0 || i <= end {
				t.Fatalf("%v: run %d+%d after %d", a, i, k, end)
			}
			end = i + k
			for ; k > 0; k-- {
				seen[i] = true
				i++
				count++
			}
		})
		if count != a.Len(n) {
			t.Fatalf("%v: Len %d, runs have %d", a, a.Len(n), count)
		}
		for i := range n {
			if seen[i] != a.Contains(i) {
				t.Fatalf("%v: element %d: run %v, Contains %v", a, i, seen[i], a.Contains(i))
			}
			if (a.Contains(i) || b.Contains(i)) && !u.Contains(i) {
				t.Fatalf("union of %v and %v lacks %d", a, b, i)
			}
		}
	})
}

func BenchmarkConv(b *testing.B) {
	for name, g := range map[string]ConvGeom{
		"3x32x32-16k4s2": {C: 3, H: 32, W: 32, M: 16, KH: 4, KW: 4, Group: 1, StrideH: 2, StrideW: 2, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1},
		"16x16x16-32k3":  {C: 16, H: 16, W: 16, M: 32, KH: 3, KW: 3, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1},
		"64x8x8-128k3s2": {C: 64, H: 8, W: 8, M: 128, KH: 3, KW: 3, Group: 1, StrideH: 2, StrideW: 2, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1},
	} {
		w := make([]float64, g.M*g.C*g.KH*g.KW)
		for i := range w {
			w[i] = rand.NormFloat64()
		}
		c := Conv(g, w)
		nnz := len(convEntries(g, w))
		out, in := c.Dims()
		for _, R := range []int{1, 8, 32} {
			benchLinear(b, name+"/R="+string(rune('0'+R/10))+string(rune('0'+R%10)), nnz, R, c, make([]float64, in*R), make([]float64, out*R))
		}
	}
}
