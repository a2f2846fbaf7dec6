package kolter

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// maxRows is the number of rows of a dense layer that are worked on together.
const maxRows = 128

// A pass carries R rows of the dual network from layer k down to the input: multipliers, neurons by lanes. Rows of a
// convolution are those of one pixel, and neurons outside their field of view are left out.
type pass[T kernel.Float] struct {
	k, R   int
	rows   []int32 // neurons of layer k, one for each lane in use
	open   []int32 // their numbers in the layer's state.open, −1
	pixel  int     // of the rows, for a convolution
	levels []level[T]
	norm   []T // per lane: norm of the input's multipliers in L2
}

// level is what a pass has at one variable: multipliers nu of the neurons in a window, a rectangle of blocks.
type level[T kernel.Float] struct {
	by0, by1, bx0, bx1 int     // blocks
	y0, y1, x0, x1     int     // pixels
	shift              []int32 // per block row: what is added to a neuron's number for its place in nu
	n                  int
	nu                 []T
}

func (w *Loss[T]) newPass() *pass[T] { return &pass[T]{levels: make([]level[T], len(w.layers))} }

// next returns an unused pass of the sample.
func (w *Loss[T]) next(s *sample[T]) *pass[T] {
	if s.n == len(s.passes) {
		s.passes = append(s.passes, w.newPass())
	}
	s.n++
	return s.passes[s.n-1]
}

// dual replaces the bounds of layer k's neurons of open sign by those of the dual network.
func (w *Loss[T]) dual(s *sample[T], params []T, k int) {
	l := &w.layers[k-1]
	if l.Kind == Dense {
		open := w.ints.take(l.Out)[:0]
		for i := range l.Out {
			if w.lo[i] < 0 && w.hi[i] > 0 {
				open = append(open, int32(i))
			}
		}
		for len(open) > 0 {
			n := min(len(open), maxRows)
			w.rowsDual(s, params, k, 0, open[:n])
			open = open[n:]
		}
		return
	}
	oh, ow := l.outHW()
	plane := oh * ow
	for pixel := range plane {
		open := room(&w.open, l.M)[:0]
		for m := range l.M {
			if i := m*plane + pixel; w.lo[i] < 0 && w.hi[i] > 0 {
				open = append(open, int32(i))
			}
		}
		if len(open) > 0 {
			rows := w.ints.take(len(open))
			copy(rows, open)
			w.rowsDual(s, params, k, pixel, rows)
		}
	}
}

// rowsDual bounds rows of layer k together.
func (w *Loss[T]) rowsDual(s *sample[T], params []T, k, pixel int, rows []int32) {
	p := w.next(s)
	p.k, p.R, p.pixel, p.rows = k, (len(rows)+7)&^7, pixel, rows
	w.begin(p)
	w.seed(s, p, params)
	l := &w.layers[k-1]
	_, _, weights := l.sizes()
	for r, i := range rows {
		w.psi[r] = params[l.Offset+weights+w.biasOf(k, i)]
	}
	w.run(s, p)
	for r, i := range rows {
		v, n := w.psi[r], w.gn[r]
		w.lo[i], w.hi[i] = v-n+w.nm[r], v+n-w.pm[r]-w.nm[r]
	}
}

// biasOf returns the number of the bias of neuron i of layer k.
func (w *Loss[T]) biasOf(k int, i int32) int {
	if l := &w.layers[k-1]; l.Kind == Conv {
		oh, ow := l.outHW()
		return int(i) / (oh * ow)
	}
	return int(i)
}

// begin clears the lanes' sums.
func (w *Loss[T]) begin(p *pass[T]) {
	for _, x := range []*[]T{&w.psi, &w.nm, &w.pm, &w.gn, &w.gl, &w.gu} {
		clear(room(x, p.R))
	}
}

// window sets the blocks of variable v that p works on, and makes room.
func (w *Loss[T]) window(s *sample[T], p *pass[T], v, by0, by1, bx0, bx1 int) *level[T] {
	q, st, lev := w.vars[v], s.st[v], &p.levels[v]
	lev.by0, lev.by1, lev.bx0, lev.bx1 = by0, min(by1, q.bh), bx0, min(bx1, q.bw)
	lev.y0, lev.y1 = max(0, by0*q.s-q.p), min(q.h, lev.by1*q.s-q.p)
	lev.x0, lev.x1 = max(0, bx0*q.s-q.p), min(q.w, lev.bx1*q.s-q.p)
	lev.shift = w.ints.take(q.bh)
	lev.n = 0
	for by := lev.by0; by < lev.by1; by++ {
		lo, hi := int(st.block[by*q.bw+lev.bx0]), int(st.block[by*q.bw+lev.bx1])
		lev.shift[by] = int32(lev.n - lo)
		lev.n += hi - lo
	}
	lev.nu = w.nums.zeros(lev.n * p.R)
	return lev
}

// field sets the window of variable v for readers at the pixels y0…y1−1, x0…x1−1 of layer v+1.
func (w *Loss[T]) field(s *sample[T], p *pass[T], v, y0, y1, x0, x1 int) *level[T] {
	q, l := w.vars[v], &w.layers[v]
	if l.Kind == Dense {
		return w.window(s, p, v, 0, q.bh, 0, q.bw)
	}
	n := l.reach() - 1
	return w.window(s, p, v, y0, y1+n, x0, x1+n)
}

// each calls f for the neurons of a level's window, range by range: numbers lo…hi−1, whose nu begin at row at. openLo…openHi−1
// are those of open sign.
func (w *Loss[T]) each(s *sample[T], p *pass[T], v int, f func(lo, hi, at, openLo, openHi int)) {
	q, st, lev := w.vars[v], s.st[v], &p.levels[v]
	for by := lev.by0; by < lev.by1; by++ {
		a, b := by*q.bw+lev.bx0, by*q.bw+lev.bx1
		lo, hi := int(st.block[a]), int(st.block[b])
		openLo, openHi := 0, 0
		if v > 0 {
			openLo, openHi = int(st.openBefore[a]), int(st.openBefore[b])
		}
		if lo < hi {
			f(lo, hi, lo+int(lev.shift[by]), openLo, openHi)
		}
	}
}

// seed sets the multipliers of the neurons below p's rows.
func (w *Loss[T]) seed(s *sample[T], p *pass[T], params []T) {
	v := p.k - 1
	l, q, st := &w.layers[v], w.vars[v], s.st[v]
	if l.Kind == Dense {
		lev := w.field(s, p, v, 0, 0, 0, 0)
		for i, pl := range st.place {
			row := params[l.Offset+int(q.order[pl])*l.Out:][:l.Out]
			dst := lev.nu[i*p.R:]
			for r, j := range p.rows {
				dst[r] = row[j]
			}
		}
		return
	}
	_, ow := l.outHW()
	oy, ox := p.pixel/ow, p.pixel%ow
	lev := w.field(s, p, v, oy, oy+1, ox, ox+1)
	filters := w.filtersOf(p)
	w.each(s, p, v, func(lo, hi, at, _, _ int) {
		for i := lo; i < hi; i++ {
			tap := l.tap(q, st.place[i], oy, ox)
			if tap < 0 {
				continue
			}
			dst, from := lev.nu[(at+i-lo)*p.R:], params[tap:]
			for r, f := range filters {
				dst[r] = from[f]
			}
		}
	})
}

// filtersOf returns where the filters of p's rows begin, for rows of a convolution.
func (w *Loss[T]) filtersOf(p *pass[T]) []int32 {
	l := &w.layers[p.k-1]
	filters := room(&w.filters, len(p.rows))
	for r, i := range p.rows {
		filters[r] = int32(l.Offset + w.biasOf(p.k, i)*l.depth())
	}
	return filters
}

// run carries p from its seeds to the input. It adds to w.psi the value at the centre, leaves the norm in w.gn, and in w.nm and
// w.pm the sums Σ l·[−ν]_+ and Σ l·ν over open neurons; Σ l·[ν]_+ is the sum of the two.
func (w *Loss[T]) run(s *sample[T], p *pass[T]) {
	for v := p.k - 1; v > 0; v-- {
		w.pass(s, p, v)
		lev := &p.levels[v]
		w.field(s, p, v-1, lev.y0, lev.y1, lev.x0, lev.x1)
		under, a, R := p.levels[v-1].nu, s.st[v].a, p.R
		w.products(s, p, v, func(begin, m, n, at, cols, low int) {
			kernel.MulInPlace(cols, n, a[begin:], m, lev.nu[at*R:], under[low*R:], R)
		})
	}
	lev := &p.levels[0]
	w.each(s, p, 0, func(lo, hi, at, _, _ int) {
		x := lev.nu[at*p.R : (at+hi-lo)*p.R]
		if w.opt.Ball == nil {
			kernel.SumRows(w.psi, w.gn, x, p.R, s.x[lo:hi], s.r[lo:hi])
			return
		}
		for i, c := range s.x[lo:hi] {
			row := x[i*p.R:][:p.R]
			for r, a := range row {
				w.psi[r] += a * c
				w.gn[r] += a * a
			}
		}
	})
	if w.opt.Ball != nil {
		p.norm = w.nums.take(p.R)
		for r, v := range w.gn {
			p.norm[r] = T(math.Sqrt(float64(v)))
			w.gn[r] = w.eps * p.norm[r]
		}
	}
}

// rowsOf returns x from a row on, in rows of R, as a matrix.
func rowsOf[T kernel.Float](x []T, row, R int) kernel.Matrix[T] {
	return kernel.Matrix[T]{Data: x[row*R:], Stride: R}
}

// pass takes the multipliers of variable v through its ReLUs: slopes, relaxation terms, biases.
func (w *Loss[T]) pass(s *sample[T], p *pass[T], v int) {
	st, lev, R := s.st[v], &p.levels[v], p.R
	w.each(s, p, v, func(lo, hi, at, openLo, openHi int) {
		for o := openLo; o < openHi; o++ {
			i := int(st.open[o])
			row, l, d := lev.nu[(at+i-lo)*R:][:R], st.l[o], st.d[i]
			for r := range row {
				row[r] *= d
			}
			kernel.SignAxpy(w.nm, row, 0, -l)
			kernel.Axpy(w.pm, row, l)
		}
		for i := lo; i < hi; i++ {
			kernel.Axpy(w.psi, lev.nu[(at+i-lo)*R:], st.bias[i])
		}
	})
}

// products calls f for the products of matrices between variable v and the one below: the matrix at begin of state.a, whose
// rows are m apart, has n rows, for the rows of nu from at on above, and cols columns, for the rows of nu from low on below.
func (w *Loss[T]) products(s *sample[T], p *pass[T], v int, f func(begin, m, n, at, cols, low int)) {
	st, below, lev, under := s.st[v], s.st[v-1], &p.levels[v], &p.levels[v-1]
	l := &w.layers[v-1]
	if l.Kind == Dense {
		if lev.n > 0 && under.n > 0 {
			f(0, padded(under.n), lev.n, 0, under.n, 0)
		}
		return
	}
	q, reach := w.vars[v], l.reach()
	for y := lev.y0; y < lev.y1; y++ {
		shift := int(lev.shift[q.block(y)])
		for x := lev.x0; x < lev.x1; x++ {
			pixel := y*q.w + x
			first, n := int(st.first[pixel]), int(st.end[pixel]-st.first[pixel])
			if n == 0 {
				continue
			}
			for j := range reach {
				if lo, hi := l.seen(w.vars[v-1], below.block, y, x, j); lo < hi {
					f(int(st.at[pixel*reach+j]), padded(hi-lo), n, first+shift, hi-lo, lo+int(under.shift[y+j]))
				}
			}
		}
	}
}

// margins bounds the scores' differences.
func (w *Loss[T]) margins(s *sample[T], params, out []T) {
	p, k := s.out, len(w.layers)
	l := &w.layers[k-1]
	p.k, p.R = k, (w.classes+7)&^7
	w.begin(p)
	q, st := w.vars[k-1], s.st[k-1]
	lev := w.field(s, p, k-1, 0, 0, 0, 0)
	for i, pl := range st.place {
		row := params[l.Offset+int(q.order[pl])*l.Out:][:l.Out]
		dst := lev.nu[i*p.R:]
		y := row[s.label]
		for t, v := range row {
			dst[t] = y - v
		}
	}
	_, _, weights := l.sizes()
	b := params[l.Offset+weights:]
	for t := range w.classes {
		w.psi[t] = b[s.label] - b[t]
	}
	w.run(s, p)
	for t := range out {
		out[t] = w.gn[t] - w.psi[t] - w.nm[t]
	}
	out[s.label] = 0
}

// adopt finds the rows of layer k's passes among its neurons of open sign.
func (s *sample[T]) adopt(w *Loss[T], k int) {
	for _, p := range s.passes[:s.n] {
		if p.k == k {
			p.open = w.ints.take(len(p.rows))
			for r, i := range p.rows {
				p.open[r] = s.st[k].openOf[i]
			}
		}
	}
}
