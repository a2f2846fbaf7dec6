package relax

import "math"

// forward bounds the neurons by affine functions of the inputs pushed forward (Net.Forward says how and why it is sound): the
// price is that of the entries of the rows, so it serves systems of many neurons with few entries each.
//
// Layout: per neuron C and D hold p coefficients, a constant, and (D only) the error radius.
func (w *Cell) forward() bool {
	r, p := w.r, w.r.p
	n := p + 2
	w.C, w.D = grow(w.C, r.m*n), grow(w.D, r.m*n)
	w.a = grow(w.a, 2*n)
	c, d := w.a[:n], w.a[n:2*n]
	for k := range r.levels[:len(r.levels)-1] {
		l := &r.levels[k]
		for i := range l.n {
			q := l.first - 1 - p + i
			if r.dead(q, w.U) {
				w.lines(q)
				continue
			}
			w.affineForm(l, i, c, d)
			if !w.meet(q, c, d) {
				return false
			}
			w.lines(q)
			w.throughNeuron(q, c, d)
		}
	}
	return true
}

// affineForm computes the form of row i: C = M·C, D = |M|·D. The inputs are c_d + rad_d·ξ_d. Every product and sum here is of
// numbers bounded by the row's magnitudes, so charge covers their rounding but for the forms' own widths, which are added.
func (w *Cell) affineForm(l *level, i int, c, d []float64) {
	p := w.r.p
	n := p + 2
	clear(c)
	clear(d)
	idx, val := l.row(i)
	for k, col := range idx {
		v := val[k]
		switch q := int(col) - 1 - p; {
		case q >= 0:
			if w.r.dead(q, w.U) {
				continue
			}
			a := math.Abs(v)
			x, y := w.C[q*n:q*n+n], w.D[q*n:q*n+n]
			for j := range c {
				c[j] += v * x[j]
				d[j] += a * y[j]
			}
		case col > 0:
			j := int(col) - 1
			c[p] += v * w.c[j]
			c[j] += v * w.rad[j]
			d[p+1] += 4 * unit * math.Abs(v) * w.mag[j]
		default:
			c[p] += v
		}
	}
	m := 0.0
	for k, col := range idx {
		if q := int(col) - 1 - p; q >= 0 && !w.r.dead(q, w.U) {
			m += math.Abs(val[k]) * w.C[q*n+p+1]
		}
	}
	c[p+1] = 0
	g := gamma(len(idx) + 8)
	for j := range p + 1 {
		m += math.Abs(c[j]) + d[j]
	}
	d[p+1] = (d[p+1] + l.charge[i] + 2*g*m + 1e-300) * (1 + 4*g)
}

// meet intersects the range of a form into the bounds of neuron q.
func (w *Cell) meet(q int, c, d []float64) bool {
	p := w.r.p
	sl, su, m := 0.0, 0.0, 0.0
	for j := range p {
		sl += math.Abs(c[j] - d[j])
		su += math.Abs(c[j] + d[j])
		m += math.Abs(c[j]) + math.Abs(d[j])
	}
	err := d[p+1] + 4*gamma(p+8)*(m+math.Abs(c[p])+math.Abs(d[p])+d[p+1])
	if lo := down(c[p] - d[p] - sl - err); lo > w.L[q] {
		w.L[q] = lo
	}
	if hi := up(c[p] + d[p] + su + err); hi < w.U[q] {
		w.U[q] = hi
	}
	return w.L[q] <= w.U[q]
}

// throughNeuron writes the form of neuron q's output. C's last entry keeps the sum of absolute coefficients, for rounding.
func (w *Cell) throughNeuron(q int, c, d []float64) {
	p := w.r.p
	n := p + 2
	x, y := w.C[q*n:q*n+n], w.D[q*n:q*n+n]
	lk, lt, uk, ut := w.al[q], w.t0[q], w.s[q], w.t[q]
	if lk == 1 && uk == 1 && !w.r.smooth[q] {
		copy(x, c)
		copy(y, d)
	} else {
		ut = up(lt + ut)
		mag := math.Abs(lt) + math.Abs(ut)
		for j := range p + 1 {
			lo, hi := lk*(c[j]-d[j]), uk*(c[j]+d[j])
			if j == p {
				lo += lt
				hi += ut
			}
			x[j], y[j] = (lo+hi)/2, (hi-lo)/2
			mag += math.Abs(c[j]) + math.Abs(d[j])
		}
		y[p+1] = max(lk, uk)*d[p+1]*(1+4*unit) + 16*unit*mag + 1e-300
	}
	m := y[p+1]
	for j := range p + 1 {
		m += math.Abs(x[j]) + math.Abs(y[j])
	}
	x[p+1] = m
}
