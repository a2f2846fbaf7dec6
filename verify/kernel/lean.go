package kernel

import "math"

// A plane is a form Σ a·x·2^-exp + c·2^-cexp over the input that is ≤ 0 at every point of a set that satisfies the rows of a case.
type plane struct {
	a         []int64
	c         i128
	exp, cexp int
	// For proposals only: c, a and the ends of the box in floats, and room for a form.
	fc             float64
	fa, lo, hi, fg []float64
}

const (
	planeBits  = 60 // of a plane's coefficients
	factorBits = 20 // of what a plane is multiplied with
)

// lean reads multipliers for rows, and bounds that may lean on the plane they prove: points above it need no bound.
func (w *walker) lean(b *Bounds, g *goal, depth, live int) *Bounds {
	o, _ := w.objective(g, nil)
	outer := w.eval.plane
	n := len(b.lo[0])
	p := &plane{a: make([]int64, n), fa: make([]float64, n), lo: make([]float64, n), hi: make([]float64, n), fg: make([]float64, n)}
	w.eval.into = p
	w.evaluate(b, o)
	w.eval.into, w.eval.plane = nil, p
	b = w.bounds(b, g.rows, depth, live)
	w.eval.plane = outer
	return b
}

// keep makes the present form a plane; what its rounding loses is charged to the form.
func (e *evaluator) keep(b *Bounds) {
	p := e.into
	e.exp[0] = e.coarsen(b, 0, e.acc[0], e.exp[0], e.wide[0]-planeBits)
	for d, a := range e.acc[0] {
		p.a[d] = int64(a.lo)
		p.fa[d] = math.Ldexp(float64(p.a[d]), -e.exp[0])
		p.lo[d], p.hi[d] = math.Ldexp(float64(b.lo[0][d]), -b.fr.exp[0]), math.Ldexp(float64(b.hi[0][d]), -b.fr.exp[0])
	}
	s := max(0, e.total.v.bitLen()-100)
	v := e.total.v.shift(-s)
	p.c, p.cexp, p.exp = i128{v[1], v[0]}, e.total.exp-s, e.exp[0]
	p.fc = math.Ldexp(p.c.float(), -p.cexp)
}

// push adds a multiple ≥ 0 of the plane to the present form: where the plane is ≤ 0, the sum is no more than the form.
func (e *evaluator) push(b *Bounds) {
	f := e.plane.factor(e.acc[0], e.exp[0])
	if f <= 0 || f-f != 0 {
		return
	}
	_, x := math.Frexp(f)
	m, s := int64(math.Ldexp(f, factorBits-x)), factorBits-x
	if s < -maxExp || s > 4*maxExp {
		return
	}
	part := e.clean(0)
	for d, a := range e.plane.a {
		part[d] = mul64(a, m)
	}
	e.merge(b, 0, part, e.plane.exp+s)
	e.total.add(e.plane.c.times(m), e.plane.cexp+s)
}

// factor proposes the multiple with which the least value of a form plus the plane is greatest, a concave function, by halving.
func (p *plane) factor(form []i128, exp int) float64 {
	low, high, unit := 0.0, 0.0, math.Ldexp(1, -exp)
	for d, v := range p.fa {
		if p.fg[d] = float64(form[d].float() * unit); v != 0 {
			high = max(high, -p.fg[d]/v)
		}
	}
	for range 16 {
		mid, slope := low+(high-low)/2, p.fc
		for d, v := range p.fa {
			if p.fg[d]+float64(mid*v) < 0 {
				slope += float64(v * p.hi[d])
			} else {
				slope += float64(v * p.lo[d])
			}
		}
		if slope > 0 {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}
