package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// maxLanes is the number of rows bounded in one pass.
const maxLanes = 64

// A Cell bounds boxes of a Reduced: scratch memory of one goroutine. Set the box with Enter, bound the neurons with Neurons and
// the objectives with Objectives. The zero value is ready. Nothing is allocated once the buffers have grown.
type Cell struct {
	// Stop, if set, is asked between batches of rows; once it reports true bounds are −Inf and Neurons ends early.
	Stop func() bool

	r            *Reduced
	lo, hi       []float64 // the box
	c, rad, mag  []float64 // its centre, radius and magnitude
	L, U         []float64 // bounds of the neurons on the box
	al, s, t, t0 []float64 // their relaxation: lower line al·z + t0, upper line s·z + t0 + t
	vl, vu       []float64 // bounds of their outputs
	cc, cr       []float64 // per column: centre and radius of its range
	a, nu        []float64
	dn, e, da, v []float64 // per lane: relaxation constants, errors, magnitudes, values
	LB           []float64 // per lane: bound of the last pass
	open         []int32
	C, D         []float64 // forward forms
	compose      composer
	from         []int32
}

// A Plane is a linear lower bound: objective ≥ A·x + C over the box it was made for, and ≥ LB.
type Plane struct {
	A     []float64
	C, LB float64
}

// Enter prepares for the box lo…hi, a subset of the box r was made for, where r's neurons have the bounds L, U. The slices are
// copied.
func (w *Cell) Enter(r *Reduced, lo, hi, L, U []float64) {
	w.r = r
	w.lo, w.hi = append(w.lo[:0], lo...), append(w.hi[:0], hi...)
	w.L, w.U = append(w.L[:0], L...), append(w.U[:0], U...)
	w.c, w.rad, w.mag = grow(w.c, r.p), grow(w.rad, r.p), grow(w.mag, r.p)
	w.cc, w.cr = grow(w.cc, 1+r.p+r.m), grow(w.cr, 1+r.p+r.m)
	w.cc[0], w.cr[0] = 1, 0
	for d := range r.p {
		w.c[d], w.rad[d] = centreRadius(lo[d], hi[d])
		w.mag[d] = math.Abs(w.c[d]) + w.rad[d]
		w.cc[1+d], w.cr[1+d] = w.c[d], w.rad[d]
	}
	w.al, w.s, w.t, w.t0 = grow(w.al, r.m), grow(w.s, r.m), grow(w.t, r.m), grow(w.t0, r.m)
	w.vl, w.vu = grow(w.vl, r.m), grow(w.vu, r.m)
	w.dn, w.e, w.da, w.v, w.LB = grow(w.dn, maxLanes), grow(w.e, maxLanes), grow(w.da, maxLanes), grow(w.v, maxLanes), grow(w.LB, maxLanes)
}

// Bounds returns the bounds of the neurons; they are overwritten by the next Enter.
func (w *Cell) Bounds() (L, U []float64) { return w.L, w.U }

// Open counts the ReLUs whose sign is open.
func (w *Cell) Open() int {
	n := 0
	for q, l := range w.L {
		if l < 0 && w.U[q] > 0 && !w.r.smooth[q] {
			n++
		}
	}
	return n
}

// Relax sets the relaxation of every neuron from its bounds.
func (w *Cell) Relax() {
	for k := range w.r.levels[:len(w.r.levels)-1] {
		w.relax(&w.r.levels[k])
	}
}

// relax sets the relaxation of a level's neurons.
func (w *Cell) relax(l *level) {
	for i := range l.n {
		q := l.first - 1 - w.r.p + i
		w.lines(q)
		w.cc[l.first+i], w.cr[l.first+i] = centreRadius(w.vl[q], w.vu[q])
	}
}

// lines sets the relaxation of neuron q: 0 when it is off, the identity when it is on, else two lines.
func (w *Cell) lines(q int) {
	lo, hi := w.L[q], w.U[q]
	if w.r.smooth[q] {
		var tu float64
		w.al[q], w.t0[q], w.s[q], tu = sigmoidLines(lo, hi, 0.5)
		w.t[q] = up(tu - w.t0[q])
		w.vl[q], _ = sigmoidEnclosure(lo)
		_, w.vu[q] = sigmoidEnclosure(hi)
		return
	}
	w.vl[q], w.vu[q], w.t0[q] = max(lo, 0), max(hi, 0), 0
	switch {
	case hi <= 0:
		w.al[q], w.s[q], w.t[q] = 0, 0, 0
	case lo >= 0:
		w.al[q], w.s[q], w.t[q] = 1, 1, 0
	default:
		w.al[q] = 0
		if hi > -lo {
			w.al[q] = 1
		}
		w.s[q], w.t[q] = upperLine(lo, hi)
	}
}

// undecided reports whether tighter bounds of neuron q would change its relaxation.
func (w *Cell) undecided(q int) bool {
	if w.r.smooth[q] {
		return w.U[q]-w.L[q] > 1e-9
	}
	return w.L[q] < 0 && w.U[q] > 0
}

// Neurons bounds the neurons and sets their relaxations, level by level: by interval arithmetic over the inputs, and for those
// whose sign stays open by a backward pass each way, or by forward forms when that would cost too much. It reports false when
// bounds exclude each other: then the box has no point.
func (w *Cell) Neurons() bool {
	if !w.r.crown {
		return w.forward()
	}
	for k := range w.r.levels[:len(w.r.levels)-1] {
		l := &w.r.levels[k]
		if !w.intervals(l) {
			return false
		}
		if k > 0 && !w.tighten(k) {
			return false
		}
		w.relax(l)
	}
	return true
}

// intervals intersects the bounds of a level with those of interval arithmetic over the inputs and earlier neurons.
//
// Soundness: charge covers the rounding of a sum of products of the row with numbers up to the columns' bounds, which here are the ends
// of the columns' ranges or their centres and radii, together as large.
func (w *Cell) intervals(l *level) bool {
	p := w.r.p
	for i := range l.n {
		q := l.first - 1 - p + i
		if !w.undecided(q) {
			continue
		}
		var lo, hi float64
		if l.w != nil {
			row := l.w[i*l.cols : (i+1)*l.cols]
			c, r := kernel.Dot(row, w.cc), kernel.AbsDot(row, w.cr)
			lo, hi = c-r, c+r
		} else {
			lo, hi = w.sparseRange(l, i)
		}
		w.L[q], w.U[q] = max(w.L[q], down(lo-l.charge[i])), min(w.U[q], up(hi+l.charge[i]))
		if w.L[q] > w.U[q] {
			return false
		}
	}
	return true
}

// sparseRange sums the least and the greatest terms of a row.
func (w *Cell) sparseRange(l *level, i int) (lo, hi float64) {
	p := w.r.p
	idx, val := l.row(i)
	for k, c := range idx {
		a, b := 1.0, 1.0
		switch {
		case int(c) > p:
			a, b = w.vl[int(c)-1-p], w.vu[int(c)-1-p]
		case c > 0:
			a, b = w.lo[c-1], w.hi[c-1]
		}
		v := val[k]
		if v < 0 {
			a, b = b, a
		}
		lo += v * a
		hi += v * b
	}
	return lo, hi
}

// tighten bounds the open neurons of level k backwards.
func (w *Cell) tighten(k int) bool {
	l := &w.r.levels[k]
	base := l.first - 1 - w.r.p
	w.open = w.open[:0]
	for i := range l.n {
		if w.undecided(base + i) {
			w.open = append(w.open, int32(i))
		}
	}
	for at := 0; at < len(w.open) && !w.stopped(); at += maxLanes / 2 {
		part := w.open[at:min(len(w.open), at+maxLanes/2)]
		R := (2*len(part) + 7) &^ 7
		w.begin(l, R)
		for n, i := range part {
			w.seed(l, int(i), 2*n, R, 1)
			w.seed(l, int(i), 2*n+1, R, -1)
		}
		w.pass(k, R)
		for n, i := range part {
			q := base + int(i)
			w.L[q], w.U[q] = max(w.L[q], w.LB[2*n]), min(w.U[q], -w.LB[2*n+1])
			if w.L[q] > w.U[q] {
				return false
			}
		}
	}
	return true
}

func (w *Cell) stopped() bool { return w.Stop != nil && w.Stop() }

// begin clears the coefficients of R lanes of rows of level l.
func (w *Cell) begin(l *level, R int) {
	w.a = grow(w.a, (1+w.r.p+w.r.m)*R)
	clear(w.a[:l.cols*R])
	clear(w.dn)
	clear(w.e)
	clear(w.da)
}

// seed puts s times row i of level l into lane r.
func (w *Cell) seed(l *level, i, r, R int, s float64) {
	idx, val := l.row(i)
	for k, c := range idx {
		w.a[int(c)*R+r] = s * val[k]
	}
	w.e[r] = l.charge[i]
}

// pass moves the lanes' coefficients on neurons of the levels below from to the inputs and bounds each lane from below.
//
// Soundness: the inequality of the package comment, each multiplier the stored float nu. Each neuron charges |a|·charge, at least
// |nu|·charge, which covers the row's own error and the rounding of everything the multiplier is added to. A Sigmoid's constants
// count by their magnitude; the terms of dn that a ReLU adds have one sign.
func (w *Cell) pass(from, R int) {
	r := w.r
	dn, e := w.dn[:R], w.e[:R]
	for k := from - 1; k >= 0; k-- {
		l := &r.levels[k]
		if l.dense == nil {
			w.passSparse(l, R)
			continue
		}
		w.nu = grow(w.nu, l.n*R)
		clear(w.nu)
		base := l.first - 1 - r.p
		for j := range l.n {
			if q := base + j; !r.dead(q, w.U) {
				w.neuron(w.nu[j*R:j*R+R], w.a[(l.first+j)*R:(l.first+j)*R+R], q, l.charge[j], dn, e)
			}
		}
		l.dense.Mul(w.a[:l.cols*R], R, w.nu, R)
	}
	w.concretize(R)
}

// passSparse is pass through one level with few entries: most neurons are out of reach of the lanes' rows.
func (w *Cell) passSparse(l *level, R int) {
	w.nu = grow(w.nu, R)
	base := l.first - 1 - w.r.p
	for j := range l.n {
		a := w.a[(l.first+j)*R : (l.first+j)*R+R]
		if w.r.dead(base+j, w.U) || allZero(a) {
			continue
		}
		clear(w.nu)
		w.neuron(w.nu, a, base+j, l.charge[j], w.dn[:R], w.e[:R])
		idx, val := l.row(j)
		for k, c := range idx {
			kernel.Axpy(w.a[int(c)*R:int(c)*R+R], w.nu, val[k])
		}
	}
}

func allZero(a []float64) bool {
	for _, v := range a {
		if v != 0 {
			return false
		}
	}
	return true
}

// neuron turns coefficients a on the output of neuron q into multipliers nu, cleared before, on its pre-activation.
func (w *Cell) neuron(nu, a []float64, q int, charge float64, dn, e []float64) {
	kernel.SignAxpy(nu, a, w.al[q], w.s[q])
	if w.t[q] != 0 {
		kernel.SignAxpy(dn, a, 0, w.t[q])
	}
	kernel.AbsAxpy(e, a, charge)
	if w.r.smooth[q] {
		R := len(a)
		kernel.Axpy(w.a[:R], a, w.t0[q])
		kernel.AbsAxpy(w.da[:R], a, math.Abs(w.t0[q])+2*math.Abs(w.t[q]))
	}
}

// concretize minimises the input term over the box and subtracts the rounding error. v keeps the constant of the linear form.
func (w *Cell) concretize(R int) {
	tmp, da := w.LB[:R], w.da[:R]
	copy(tmp, w.a[:R])
	for d := range w.r.p {
		x := w.a[(1+d)*R : (2+d)*R]
		kernel.Axpy(tmp, x, w.c[d])
		kernel.AbsAxpy(tmp, x, -w.rad[d])
		kernel.AbsAxpy(da, x, w.mag[d])
	}
	for r := range R {
		D, dn := w.a[r], w.dn[r]
		E := w.e[r] + w.r.gS*(da[r]+math.Abs(dn)+math.Abs(D)) + tinyError
		E += E * 1e-6
		v := tmp[r] + dn
		w.v[r] = down(D + dn - E)
		w.LB[r] = down(v - E)
		if !(math.Abs(v) <= math.MaxFloat64) || !(E <= math.MaxFloat64) {
			w.LB[r], w.v[r] = math.Inf(-1), math.Inf(-1)
		}
	}
}

// Objectives bounds the objectives objs from below and writes their planes; planes[i].A must hold an entry per input.
func (w *Cell) Objectives(objs []int32, planes []Plane) {
	last := len(w.r.levels) - 1
	l := &w.r.levels[last]
	for at := 0; at < len(objs); at += maxLanes {
		part := objs[at:min(len(objs), at+maxLanes)]
		R := (len(part) + 7) &^ 7
		w.begin(l, R)
		for n, i := range part {
			w.seed(l, int(i), n, R, 1)
		}
		w.pass(last, R)
		for n := range part {
			p := &planes[at+n]
			for d := range w.r.p {
				p.A[d] = w.a[(1+d)*R+n]
			}
			if p.C, p.LB = w.v[n], w.LB[n]; w.stopped() {
				p.C, p.LB = math.Inf(-1), math.Inf(-1)
			}
		}
	}
}

// Eval returns an approximate value of objective i at x: a filter for candidates, not a bound.
func (w *Cell) Eval(x []float64, objs []int32, y []float64) {
	r := w.r
	w.nu = grow(w.nu, 1+r.p+r.m)
	v := w.nu[:1+r.p+r.m]
	v[0] = 1
	copy(v[1:], x)
	for k := range r.levels[:len(r.levels)-1] {
		l := &r.levels[k]
		for i := range l.n {
			z := l.value(i, v)
			if r.smooth[l.first-1-r.p+i] {
				v[l.first+i] = sigma(z)
			} else {
				v[l.first+i] = max(z, 0)
			}
		}
	}
	for n, i := range objs {
		y[n] = r.levels[len(r.levels)-1].value(int(i), v)
	}
}

// value evaluates row i at the columns v.
func (l *level) value(i int, v []float64) float64 {
	if l.w != nil {
		return kernel.Dot(l.w[i*l.cols:(i+1)*l.cols], v)
	}
	idx, val := l.row(i)
	s := 0.0
	for k, c := range idx {
		s += val[k] * v[c]
	}
	return s
}
