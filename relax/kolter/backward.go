package kolter

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Backward adds to grad what a change of the parameters changes Σ dout·out by, for the last Forward's results: the gradient
// flows through the slopes and the bounds of all layers; which neurons are on, off or open is held. It must follow Forward with
// the same parameters, and can be called again. It panics on slices that are too short.
func (w *Loss[T]) Backward(params, dout, grad []T) {
	if len(params) < w.params || len(grad) < w.params || len(dout) != w.rows*w.classes {
		panic("kolter: Backward: wrong length")
	}
	for i, s := range w.samples[:w.rows] {
		for k := 1; k < len(s.st); k++ {
			st := s.st[k]
			clear(st.dl)
			clear(st.du)
			clear(st.dd)
			clear(st.da)
		}
		w.backMargins(s, params, dout[i*w.classes:(i+1)*w.classes], grad)
		for k := len(w.layers) - 1; k > 0; k-- {
			s.st[k].slopes()
			if k == 1 {
				w.backFirst(s, params, grad)
				break
			}
			for _, p := range s.passes[:s.n] {
				if p.k == k {
					w.backRows(s, p, params, grad)
				}
			}
		}
		for k := 1; k < len(w.layers); k++ {
			w.scatter(s, grad, k)
		}
	}
}

// slopes turns the gradients of slopes d = u/(u−l) into those of bounds.
func (st *state[T]) slopes() {
	for o, g := range st.dd {
		l, u := st.l[o], st.u[o]
		g /= (u - l) * (u - l)
		st.dl[o] += g * u
		st.du[o] -= g * l
	}
}

// backMargins is the reverse of margins.
func (w *Loss[T]) backMargins(s *sample[T], params, dout, grad []T) {
	p, k := s.out, len(w.layers)
	l := &w.layers[k-1]
	w.begin(p)
	for t, g := range dout {
		if t != s.label {
			w.gl[t] = -g
		}
	}
	up := w.reverse(s, p, grad)
	_, _, weights := l.sizes()
	b := grad[l.Offset+weights:]
	for t := range w.classes {
		b[s.label] += w.psi[t]
		b[t] -= w.psi[t]
	}
	q, st := w.vars[k-1], s.st[k-1]
	for i, pl := range st.place {
		row := grad[l.Offset+int(q.order[pl])*l.Out:][:l.Out]
		sum := T(0)
		for t, g := range up[i*p.R:][:w.classes] {
			row[t] -= g
			sum += g
		}
		row[s.label] += sum
	}
}

// backRows is the reverse of rowsDual for rows whose sign stayed open.
func (w *Loss[T]) backRows(s *sample[T], p *pass[T], params, grad []T) {
	st, k := s.st[p.k], p.k
	lane := room(&w.lane, len(p.rows))[:0]
	for r, o := range p.open {
		if o >= 0 && (st.dl[o] != 0 || st.du[o] != 0) {
			lane = append(lane, int32(r))
		}
	}
	if len(lane) == 0 {
		return
	}
	mark := w.nums
	defer func() { w.nums.chunk, w.nums.used = mark.chunk, mark.used }()
	if 4*padded(len(lane)) <= 3*p.R {
		p = w.pick(p, lane)
	}
	w.begin(p)
	for r, o := range p.open {
		if o >= 0 {
			w.gl[r], w.gu[r] = st.dl[o], st.du[o]
		}
	}
	up := w.reverse(s, p, grad)
	l := &w.layers[k-1]
	_, _, weights := l.sizes()
	for r, i := range p.rows {
		grad[l.Offset+weights+w.biasOf(k, i)] += w.psi[r]
	}
	w.backSeed(s, p, up, grad)
}

// pick returns a pass with some of p's lanes.
func (w *Loss[T]) pick(p *pass[T], lane []int32) *pass[T] {
	f := w.few
	f.k, f.R, f.pixel = p.k, padded(len(lane)), p.pixel
	f.rows, f.open = room(&f.rows, len(lane)), room(&f.open, len(lane))
	for i, r := range lane {
		f.rows[i], f.open[i] = p.rows[r], p.open[r]
	}
	for v := range p.k {
		from, to := &p.levels[v], &f.levels[v]
		*to = *from
		to.nu = w.nums.zeros(from.n * f.R)
		for k := range from.n {
			src, dst := from.nu[k*p.R:][:p.R], to.nu[k*f.R:][:f.R]
			for i, r := range lane {
				dst[i] = src[r]
			}
		}
	}
	if w.opt.Ball != nil {
		f.norm = room(&f.norm, f.R)
		clear(f.norm)
		for i, r := range lane {
			f.norm[i] = p.norm[r]
		}
	}
	return f
}

// backSeed is the reverse of seed.
func (w *Loss[T]) backSeed(s *sample[T], p *pass[T], up, grad []T) {
	v := p.k - 1
	l, q, st := &w.layers[v], w.vars[v], s.st[v]
	if l.Kind == Dense {
		for i, pl := range st.place {
			row := grad[l.Offset+int(q.order[pl])*l.Out:][:l.Out]
			src := up[i*p.R:]
			for r, j := range p.rows {
				row[j] += src[r]
			}
		}
		return
	}
	_, ow := l.outHW()
	oy, ox := p.pixel/ow, p.pixel%ow
	filters := w.filtersOf(p)
	w.each(s, p, v, func(lo, hi, at, _, _ int) {
		for i := lo; i < hi; i++ {
			tap := l.tap(q, st.place[i], oy, ox)
			if tap < 0 {
				continue
			}
			src, to := up[(at+i-lo)*p.R:], grad[tap:]
			for r, f := range filters {
				to[f] += src[r]
			}
		}
	})
}

// reverse is the reverse of run, for the gradients w.gl and w.gu of the lanes' lower and upper bounds. It returns the gradient
// of the seeds, and leaves that of the values at the centre in w.psi.
func (w *Loss[T]) reverse(s *sample[T], p *pass[T], grad []T) []T {
	R := p.R
	for r, g := range w.gl {
		w.psi[r], w.gn[r] = g+w.gu[r], w.gu[r]-g
	}
	lev := &p.levels[0]
	down := room(&w.down, lev.n*R)
	w.backInput(s, p, down)
	for v := 1; v < p.k; v++ {
		lev := &p.levels[v]
		up := room(&w.up, lev.n*R)
		clear(up)
		st := s.st[v]
		below := p.levels[v-1].n
		ld := padded(below) + 8
		turned := room(&w.turned, R*ld)
		kernel.Transpose(turned, ld, down, R, below, R)
		w.products(s, p, v, func(begin, m, n, at, cols, low int) {
			a := kernel.Matrix[T]{Data: st.a[begin:], Stride: m}
			w.mul.Mul(n, R, cols, 1, a, rowsOf(down, low, R), rowsOf(up, at, R))
			w.mul.Mul(n, padded(cols), R, 1, rowsOf(lev.nu, at, R), kernel.Matrix[T]{Data: turned[low:], Stride: ld},
				kernel.Matrix[T]{Data: st.da[begin:], Stride: m})
		})
		w.backPass(s, p, v, up, grad)
		w.up, w.down = down, up
		down = up
	}
	return down
}

// backInput writes the gradient of the input's multipliers.
func (w *Loss[T]) backInput(s *sample[T], p *pass[T], down []T) {
	R, nu := p.R, p.levels[0].nu
	psi, gn, side := w.psi[:R], w.gn[:R], w.sides(R)
	w.each(s, p, 0, func(lo, hi, at, _, _ int) {
		for i := lo; i < hi; i++ {
			c, rad := s.x[i], s.r[i]
			row, dst := nu[(at+i-lo)*R:][:R], down[(at+i-lo)*R:][:R]
			if w.opt.Ball != nil {
				for r, a := range row {
					g := psi[r] * c
					if p.norm[r] > 0 {
						g += gn[r] * w.eps * (a / p.norm[r])
					}
					dst[r] = g
				}
				continue
			}
			for r, g := range psi {
				dst[r] = g * c
			}
			addSigned(dst, row, side, rad)
		}
	})
}

// backPass is the reverse of pass: up holds the gradient of what pass left and gets that of what it found.
func (w *Loss[T]) backPass(s *sample[T], p *pass[T], v int, up, grad []T) {
	st, lev, R, l := s.st[v], &p.levels[v], p.R, &w.layers[v-1]
	_, _, weights := l.sizes()
	bias := grad[l.Offset+weights:]
	per := 1
	if l.Kind == Conv {
		per = l.depth()
	}
	side := w.sides(R)
	w.each(s, p, v, func(lo, hi, at, openLo, openHi int) {
		for i := lo; i < hi; i++ {
			row := up[(at+i-lo)*R:][:R]
			kernel.Axpy(row, w.psi, st.bias[i])
			bias[(int(st.weight[i])-l.Offset)/per] += kernel.Dot(w.psi, lev.nu[(at+i-lo)*R:])
		}
		for o := openLo; o < openHi; o++ {
			i := int(st.open[o])
			row, nu := up[(at+i-lo)*R:][:R], lev.nu[(at+i-lo)*R:][:R]
			l, d := st.l[o], st.d[i]
			kernel.Axpy(row, w.psi, -l/2) // g is half of psi, and half of gn with the multiplier's sign
			addSigned(row, nu, side, -l/2)
			st.dl[o] -= (kernel.Dot(w.psi, nu) + kernel.AbsDot(nu, w.gn)) / 2
			if d > 0 {
				st.dd[o] += kernel.Dot(row, nu) / d // nu/d is what came to the ReLU
			}
			for r := range row {
				row[r] *= d
			}
		}
	})
}

// sides returns gn, and −gn after it.
func (w *Loss[T]) sides(R int) []T {
	side := room(&w.side, 2*R)
	for r, g := range w.gn {
		side[r], side[R+r] = g, -g
	}
	return side
}

// addSigned adds f times the entries of side, of length two rows, that the signs of x choose: a table, because signs are not to
// be guessed.
func addSigned[T kernel.Float](dst, x, side []T, f T) {
	n := len(dst)
	x, side = x[:n], side[:2*n]
	for r := range dst {
		dst[r] += f * side[r+n*int(math.Float32bits(float32(x[r]))>>31)]
	}
}

// backFirst adds the gradients of the bounds of the first layer's neurons, which are exact.
func (w *Loss[T]) backFirst(s *sample[T], params, grad []T) {
	st, l, q, in := s.st[1], &w.layers[0], w.vars[1], w.vars[0]
	_, _, weights := l.sizes()
	for o, i := range st.open {
		psi, gn := st.dl[o]+st.du[o], st.du[o]-st.dl[o]
		place := st.place[i]
		base := int(st.weight[i])
		norm := T(0)
		if w.opt.Ball != nil {
			norm = w.radius1[q.order[place]]
		}
		grad[l.Offset+weights+w.biasOf(1, q.order[place])] += psi
		one := func(j, at int) { // input at place j, weight at
			a := params[at]
			switch {
			case norm > 0: // radius1 is eps times the norm
				grad[at] += psi*s.x[j] + gn*w.eps*(w.eps*a/norm)
			case w.opt.Ball != nil || a == 0:
				grad[at] += psi * s.x[j]
			case a < 0:
				grad[at] += psi*s.x[j] - gn*s.r[j]
			default:
				grad[at] += psi*s.x[j] + gn*s.r[j]
			}
		}
		if l.Kind == Dense {
			for j, id := range in.order {
				one(j, base+int(id)*l.Out)
			}
			continue
		}
		oy, ox, n := int(q.y[place]), int(q.x[place]), l.reach()
		for by := oy; by < min(oy+n, in.bh); by++ {
			for j := w.input.block[by*in.bw+ox]; j < w.input.block[by*in.bw+min(ox+n, in.bw)]; j++ {
				if tap := l.tap(in, j, oy, ox); tap >= 0 {
					one(int(j), base+tap)
				}
			}
		}
	}
}
