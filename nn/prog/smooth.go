package prog

import "math"

// Enclosures of Curve and Product nodes, for the rigorous evaluation of a program at a point (enclose.go, point.go).

// normal32 is the least normal number of binary32: executions may flush smaller operands and results to zero.
const normal32 = 0x1p-126

// operand returns the interval of element i of node src as an execution's operand: with 0 where it may be flushed to that.
func (e *enclosure) operand(src, i int) (l, u float64) {
	l, u = e.L[src][i], e.U[src][i]
	switch {
	case e.unit <= unit64:
	case l > 0 && l < normal32:
		l = 0
	case u < 0 && u > -normal32:
		u = 0
	}
	return l, u
}

// flushed bounds by how much flushing moves element i of node src.
func (e *enclosure) flushed(src, i int) float64 {
	if e.unit > unit64 && e.L[src][i] < normal32 && e.U[src][i] > -normal32 {
		return normal32
	}
	return 0
}

// lost reports that some execution may take element i of node k for NaN.
func (e *enclosure) lost(k, i int) bool {
	return e.wild[k] && (math.IsInf(e.L[k][i], 0) || math.IsInf(e.U[k][i], 0))
}

// smooth encloses a Curve or Product node. A value that an execution may take to infinity makes the node wild, because 0·∞ is
// NaN in the affine nodes behind it.
//
// Sound because Image and ProductImage enclose the real values over the sources' intervals, which hold for every execution, and
// over what they may be flushed to; an execution with unit roundoff u rounds its own result by u relative to it (Product) or by
// what curveUlps assumes (Curve), or flushes it.
func (e *enclosure) smooth(k int, n *Node) {
	e.wild[k] = e.wild[n.Src] || n.Kind == Product && e.wild[n.Src2]
	limit := math.MaxFloat64 / 4
	if e.unit > unit64 {
		limit = 0x1p127
	}
	for i := range e.L[k] {
		var lo, hi float64
		l, u := e.operand(n.Src, i)
		if n.Kind == Curve {
			lo, hi = n.Fn.Image(l, u)
		} else {
			l2, u2 := e.operand(n.Src2, i)
			lo, hi = ProductImage(l, u, l2, u2)
		}
		w := e.own(n, max(math.Abs(lo), math.Abs(hi)))
		if lo, hi = lo-w, hi+w; e.lost(n.Src, i) || !(max(math.Abs(lo), math.Abs(hi)) < limit) {
			lo, hi = math.Inf(-1), math.Inf(1)
			e.wild[k] = true
		}
		e.L[k][i], e.U[k][i] = lo, hi
	}
	e.centre(k)
}

// own bounds the rounding of a Curve or Product node itself, in every execution covered, for results up to mag: none for Sign, whose
// results are small integers, or where Floor's are.
func (e *enclosure) own(n *Node, mag float64) float64 {
	if n.Kind == Curve && n.Fn.Step() && mag <= 1<<24 {
		return 0
	}
	u, tiny := 2*unit64, curveTiny
	if e.unit > unit64 {
		u, tiny = u+e.unit*(1+0x1p-10), 2*normal32
	}
	if n.Kind == Curve {
		u = 2 * curveRel
		if e.unit > unit64 {
			u += curveUlps * e.unit
		}
	}
	return mag*u + tiny
}

// curve returns the slope of element i of a Curve node and what a unit coefficient costs: φ(x) = φ(v) + φ'(v)·(x−v) ± bend·(x−v)²,
// the slope errs by 16 units, both values by own, and x by what is flushed of it.
func (pt *Point) curve(k int, n *Node, i int, gm float64) (slope, cost float64) {
	l, u := pt.e.operand(n.Src, i)
	v := pt.v[n.Src][i]
	far := pt.dev(k, i)
	if !(l <= v && v <= u) { // a stray execution: take the distance as it is
		return 0, far
	}
	f := pt.e.flushed(n.Src, i)
	d := pt.dev(n.Src, i) + f
	slope = n.Fn.Slope(v)
	mag := max(math.Abs(pt.e.L[k][i]), math.Abs(pt.e.U[k][i]), math.Abs(pt.v[k][i]))
	cost = n.Fn.bend(l, u)*d*d*(1+0x1p-50) + ((16*unit64+2*gm)*d+f*(1+0x1p-40))*math.Abs(slope) + 2*pt.e.own(n, mag) + curveTiny
	if s := math.Abs(slope); !(cost < far) || !(s < 0x1p500) || s < 0x1p-500 && v != 0 {
		return 0, far
	}
	return slope, cost
}

// product moves g from a Product node to its factors: x·y − v·w = w·(x−v) + v·(y−w) + (x−v)·(y−w), both values rounded by own,
// and the factors flushed.
func (pt *Point) product(k, R int, g [][]float64, gm float64, b []float64) {
	n := &pt.e.p.Nodes[k]
	for i := range pt.v[k] {
		v, w := pt.v[n.Src][i], pt.v[n.Src2][i]
		fv, fw := pt.e.flushed(n.Src, i), pt.e.flushed(n.Src2, i)
		dv, dw := pt.dev(n.Src, i)+fv, pt.dev(n.Src2, i)+fw
		mag := max(math.Abs(pt.e.L[k][i]), math.Abs(pt.e.U[k][i]), math.Abs(pt.v[k][i]))
		cost := dv*dw*(1+0x1p-50) + 2*gm*(math.Abs(w)*dv+math.Abs(v)*dw) + (math.Abs(w)*fv+math.Abs(v)*fw)*(1+0x1p-40) +
			2*pt.e.own(n, mag) + curveTiny
		if far := pt.dev(k, i); !(cost < far) {
			v, w, cost = 0, 0, far
		}
		x, y := g[n.Src][i*R:i*R+R], g[n.Src2][i*R:i*R+R]
		for r, gi := range g[k][i*R : i*R+R] {
			if gi != 0 {
				b[r] += math.Abs(gi) * cost
				x[r] += gi * w
				y[r] += gi * v
			}
		}
	}
}
