package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// Planes for products of two variables: x·y over a box lies between the planes of McCormick (Math. Programming 10, 1976), and
// any plane is moved until it provably does, so any pair of slopes is sound.

// planes holds, per element of a Curve or Product node, kl·x + hl·y + tl ≤ φ ≤ ku·x + hu·y + tu over the frame's bounds; hl and
// hu are nil for a Curve, which has one source.
type planes struct{ kl, hl, tl, ku, hu, tu []float64 }

func newPlanes(n int, two bool) *planes {
	buf := make([]float64, 6*n)
	next := func() []float64 {
		v := buf[:n:n]
		buf = buf[n:]
		return v
	}
	p := &planes{kl: next(), tl: next(), ku: next(), tu: next()}
	if two {
		p.hl, p.hu = next(), next()
	}
	return p
}

// productPlanes returns planes below and above x·y over a box; infinite intercepts where a bound is infinite. at ∈ [0,1] moves
// between the two planes on either side: 0 is the one that is exact at (xl,yl) and (xl,yu), 1 at (xu,yl) and (xu,yu).
func productPlanes(xl, xu, yl, yu, at float64) (kl, hl, tl, ku, hu, tu float64) {
	xc, yc := xl+at*(xu-xl), yl+at*(yu-yl)
	kl, hl = yc, xc
	ku, hu = yu-at*(yu-yl), xc
	tl = productResidual(xl, xu, yl, yu, kl, hl, 1)
	tu = -productResidual(xl, xu, yl, yu, ku, hu, -1)
	if !(math.Abs(tl) <= math.MaxFloat64) || !(math.Abs(tu) <= math.MaxFloat64) {
		return 0, 0, math.Inf(-1), 0, 0, math.Inf(1)
	}
	return kl, hl, tl, ku, hu, tu
}

// productResidual returns a lower bound on sign·(x·y − k·x − h·y) over a box.
//
// Soundness: the function is linear in x and in y, so its minimum is at a corner; each of the three products and two
// additions there errs by one unit of the magnitudes involved, and by less than 1e-300 where it underflows.
func productResidual(xl, xu, yl, yu, k, h, sign float64) float64 {
	m := math.Inf(1)
	for _, x := range [2]float64{xl, xu} {
		for _, y := range [2]float64{yl, yu} {
			a, b, c := x*y, k*x, h*y
			v := sign*(a-b-c) - (math.Abs(a)+math.Abs(b)+math.Abs(c))*4*unit - 1e-300
			m = min(m, v)
		}
	}
	return m
}

func (f *Frame) refreshProduct(act int) {
	pf := f.curve[act]
	nd := &f.Net.P.Nodes[act]
	if pf == nil {
		pf = newPlanes(nd.N, true)
		f.curve[act] = pf
	}
	x, y := nd.Src, nd.Src2
	for j := range pf.kl {
		pf.kl[j], pf.hl[j], pf.tl[j], pf.ku[j], pf.hu[j], pf.tu[j] =
			productPlanes(f.B.L[x][j], f.B.U[x][j], f.B.L[y][j], f.B.U[y][j], 0.5)
	}
}

// backPlanes applies the lower plane of a Curve or Product node where a ≥ 0 and the upper plane where a < 0.
//
// Rounding: what it adds to a source's coefficient is charged here, with the source's scale, because contributions of several
// consumers may cancel and then the sum says nothing of their size.
func (w *Worker) backPlanes(f *Frame, k int, nd *prog.Node) {
	R, a := w.R, w.coef[k]
	pf := f.curve[k]
	if w.keep {
		w.save[k] = grow(w.save[k], len(a))
		copy(w.save[k], a)
	}
	clear(w.tmp)
	d, m := w.tmp[:R], w.da[:R]
	for j := range pf.tl {
		if !w.win[k].Contains(j) {
			continue
		}
		tl, tu := pf.tl[j], pf.tu[j]
		for r, v := range a[j*R : j*R+R] {
			c := max(v, 0)*tl + min(v, 0)*tu
			d[r] += c
			m[r] += math.Abs(c)
		}
	}
	for r, v := range d {
		w.D[r] += v
	}
	w.backSlopes(f, k, nd.Src, pf.kl, pf.ku)
	if nd.Kind == prog.Product {
		w.backSlopes(f, k, nd.Src2, pf.hl, pf.hu)
	}
}

// backSlopes adds node k's coefficients, times the lower or the upper slope, to those of src.
func (w *Worker) backSlopes(f *Frame, k, src int, lower, upper []float64) {
	R, a := w.R, w.coef[k]
	nu, e, S := w.Coef(src), w.e[:w.R], f.S[src]
	for j, kl := range lower {
		if !w.win[k].Contains(j) {
			continue
		}
		ku, s := upper[j], S[j]
		y := nu[j*R : j*R+R]
		for r, v := range a[j*R : j*R+R] {
			p := max(v, 0)*kl + min(v, 0)*ku
			y[r] += p
			e[r] += math.Abs(p) * s
		}
	}
}

// primalPlanes evaluates the planes that the last pass used at the pseudo-primal point.
func (w *Worker) primalPlanes(f *Frame, k int, nd *prog.Node) {
	R, v := w.R, w.val[k]
	if !w.live[k] {
		clear(v)
		return
	}
	pf := f.curve[k]
	x, y := w.val[nd.Src], w.val[nd.Src2]
	for j := range pf.tl {
		if !w.win[k].Contains(j) {
			continue
		}
		for r, c := range w.save[k][j*R : j*R+R] {
			o := j*R + r
			if c >= 0 {
				v[o] = pf.kl[j]*x[o] + pf.tl[j]
			} else {
				v[o] = pf.ku[j]*x[o] + pf.tu[j]
			}
			if pf.hl == nil {
				continue
			}
			if c >= 0 {
				v[o] += pf.hl[j] * y[o]
			} else {
				v[o] += pf.hu[j] * y[o]
			}
		}
	}
}

// planes pushes the forms of a Curve's or Product's sources through its planes.
//
// Soundness: the lower form is kl·(lower form of x, or upper where kl < 0) + the same for y + tl; coefficients of centre and
// radius combine linearly, each rounded a few times, which 16 units of the magnitudes cover.
func (w *forwardPass) planes(k int, nd *prog.Node) {
	R, p := w.R, w.p
	pf := w.f.curve[k]
	for j := range pf.tl {
		c, d := w.C[k][j*R:j*R+R], w.D[k][j*R:j*R+R]
		mag := math.Abs(pf.tl[j]) + math.Abs(pf.tu[j])
		c[p], d[p] = (pf.tl[j]+pf.tu[j])/2, (pf.tu[j]-pf.tl[j])/2
		add := func(src int, kl, ku float64) {
			C, D := w.C[src][j*R:j*R+R], w.D[src][j*R:j*R+R]
			al, au := math.Abs(kl), math.Abs(ku)
			for q := 0; q <= p; q++ {
				lo, hi := kl*C[q]-al*D[q], ku*C[q]+au*D[q]
				c[q] += (lo + hi) / 2
				d[q] += (hi - lo) / 2
				mag += (math.Abs(C[q]) + math.Abs(D[q])) * max(al, au)
			}
			d[p+1] += max(al, au) * D[p+1] * (1 + 8*unit)
		}
		add(nd.Src, pf.kl[j], pf.ku[j])
		if nd.Kind == prog.Product {
			add(nd.Src2, pf.hl[j], pf.hu[j])
		}
		d[p+1] += d[p+1]*8*unit + 32*unit*mag + 1e-300
	}
}
