package prog

import "math"

// A Point is the rigorous evaluation of the program at one input, in the sense of Enclose but tighter: what is asked for
// is a linear function of the output, and one backward pass weighs every local rounding error with its true effect on
// that function instead of with |W|·|W|·… (the "adjoint" or running error bound; two orders of magnitude on deep nets).
type Point struct {
	e *enclosure
	v [][]float64 // float64 execution
	g [][]float64 // scratch
	m int         // no backward sum has more terms than this

	count int // elements over all nodes
}

// NewTightPoint spends at most maxTighten backward passes, and about maxTightenWork multiply-adds, on relus whose sign the
// intervals leave open.
const (
	maxTighten     = 4096
	maxTightenWork = int64(2e9)
)

// NewPoint evaluates the program at x (one lane) for real arithmetic and for every execution with unit roundoff at most
// unit (see Enclose). x is copied.
func (p *Program) NewPoint(x []float64, unit float64) *Point { return p.newPoint(x, unit, 0) }

// NewTightPoint is NewPoint with a second, costlier look: relus whose sign is open under the intervals, and sigmoids over
// a wide one, get the adjoint bound of their own argument first. In deep nets intervals grow with |W|·|W|·… and leave most
// signs open under Unit32.
func (p *Program) NewTightPoint(x []float64, unit float64) *Point {
	return p.newPoint(x, unit, maxTighten)
}

func (p *Program) newPoint(x []float64, unit float64, rows int64) *Point {
	pt := &Point{e: p.newEnclosure(x, x, unit), v: p.Eval(x, 1, nil)}
	terms := make([]int, len(p.Nodes))
	cost := int64(1)
	for k := range p.Nodes {
		n := &p.Nodes[k]
		pt.count += n.N
		switch n.Kind {
		case Affine:
			for _, t := range n.Terms {
				row, col := t.Map.Fan()
				cost += int64(n.N) * int64(row)
				terms[t.Src] += col + 1
			}
		default:
			n.sources(func(src *int) { terms[*src] += 2 })
		}
	}
	for _, t := range terms {
		pt.m = max(pt.m, t)
	}
	left := int(min(rows, maxTightenWork/cost))
	for k := 1; k < len(p.Nodes); k++ {
		if n := &p.Nodes[k]; left > 0 && (n.Kind == Relu || n.Kind == Sigmoid) {
			left = pt.tighten(n, left)
		}
		pt.e.node(k)
	}
	return pt
}

// tighten intersects the intervals of n's source with adjoint bounds where that matters, for at most left elements, and
// returns how many are left. Only L and U change: mid and rad keep the meaning that the proof of Bound needs.
func (pt *Point) tighten(n *Node, left int) int {
	L, U := pt.e.L[n.Src], pt.e.U[n.Src]
	var open []int
	for i := range L {
		if n.Kind == Relu && L[i] < 0 && U[i] > 0 || n.Kind == Sigmoid && U[i]-L[i] > 0x1p-10 {
			open = append(open, i)
		}
	}
	open = open[:min(len(open), left)]
	left -= len(open)
	for len(open) > 0 {
		R := 8
		if len(open) > 16 {
			R = 32
		}
		batch := open[:min(R, len(open))]
		open = open[len(batch):]
		g := pt.scratch(R)
		for r, i := range batch {
			g[n.Src][i*R+r] = 1
		}
		for r, b := range pt.adjoint(n.Src, R, g) {
			if r < len(batch) {
				i := batch[r]
				v := pt.v[n.Src][i]
				L[i] = max(L[i], math.Nextafter(v-b, math.Inf(-1)))
				U[i] = min(U[i], math.Nextafter(v+b, math.Inf(1)))
			}
		}
	}
	return left
}

// scratch returns cleared backward coefficients for R lanes.
func (pt *Point) scratch(R int) [][]float64 {
	if len(pt.g) == 0 || len(pt.g[0]) != R*len(pt.v[0]) {
		pt.g = pt.e.p.NewValues(R)
		return pt.g
	}
	for _, s := range pt.g {
		clear(s)
	}
	return pt.g
}

// Value returns the network's output as float64 arithmetic computes it (not a copy).
func (pt *Point) Value() []float64 { return pt.v[pt.e.p.Output] }

// Output returns the interval of every output element (not copies).
func (pt *Point) Output() (lo, hi []float64) {
	o := pt.e.p.Output
	return pt.e.L[o], pt.e.U[o]
}

// dev bounds |x − v| for element i of node k over all executions x the enclosure covers. The float64 execution v is one
// of them; a stray v is taken as it is.
func (pt *Point) dev(k, i int) float64 {
	v := pt.v[k][i]
	d := max(pt.e.U[k][i]-v, v-pt.e.L[k][i]) * (1 + 0x1p-51)
	if math.IsNaN(d) {
		return math.Inf(1)
	}
	return d
}

// Bound returns lo ≤ c·y ≤ hi for the output y of every execution the point covers; c has one entry per output. It uses
// scratch of the point, so it is not safe for concurrent use.
func (pt *Point) Bound(c []float64) (lo, hi float64) {
	o := pt.e.p.Output
	if len(c) != len(pt.v[o]) {
		panic("prog: Bound: length mismatch")
	}
	g := pt.scratch(1)
	copy(g[o], c)
	b := pt.adjoint(o, 1, g)[0]
	v, s, a := pt.Value(), 0.0, 0.0
	for i, ci := range c {
		s += ci * v[i]
		a += math.Abs(ci * v[i])
	}
	b += gamma(len(c)+2, unit64)*a*(1+float64(len(c)+2)*0x1p-52) + 0x1p-1000
	b *= 1 + 0x1p-50
	lo, hi = math.Nextafter(s-b, math.Inf(-1)), math.Nextafter(s+b, math.Inf(1))
	if math.IsNaN(lo) || math.IsNaN(hi) {
		lo, hi = math.Inf(-1), math.Inf(1)
	}
	il, ih := pt.interval(c)
	return max(lo, il), min(hi, ih)
}

// adjoint returns per lane a bound on |c·x − c·v| for node from, where x is its value in any execution the point covers, v its
// float64 value and c the coefficients in g[from]; g is overwritten. Nodes before from must be enclosed.
//
// Proof. Write d_k = x_k − v_k and g_k for the backward coefficients, so that c·d_from = Σ_k g_k·d_k ± B over the nodes not yet
// processed. Affine: d = W·d_src + δ with |δ| ≤ both·local (x and v each err by at most local, v by 2⁻²⁰ of it when unit is
// 2⁻²⁴), so g·d = (Wᵀg)·d_src ± both·|g|·local; the computed Wᵀg errs by at most γ_m·|W|ᵀ|g| in total over all consumers of a
// source, which costs γ_m·|g|·(|W||d_src|) ≤ 2γ_m·|g|·rad. Relu: sign certain, d = d_src or 0 (the addition again costs
// γ_m|g||d_src|); sign uncertain, |g|·|d| goes to B. Sigmoid: d = s·d_src ± (0.1·dev + 2⁻⁴⁸)·dev ± implementation errors, as
// |σ”| < 0.0963. Curve and Product: see smooth.go. Input: d = 0. The sums in B are positive, so a factor covers their rounding.
func (pt *Point) adjoint(from, R int, g [][]float64) []float64 {
	p := pt.e.p
	gm := gamma(pt.m+4, unit64)
	both := 2.0
	if pt.e.unit >= Unit32 {
		both = 1 + 0x1p-20
	}
	b := make([]float64, R)
	for k := from; k > 0; k-- {
		n := &p.Nodes[k]
		if n.Kind == Product {
			pt.product(k, R, g, gm, b)
			continue
		}
		if n.Kind != Affine {
			pt.elementwise(k, R, g, gm, b)
			continue
		}
		for i, local := range pt.e.local[k] {
			e := both*local + 2*gm*pt.e.rad[k][i]
			for r, gi := range g[k][i*R : i*R+R] {
				if gi != 0 {
					b[r] += math.Abs(gi) * e
				}
			}
		}
		for _, t := range n.Terms {
			t.Map.Backward(g[t.Src], g[k], R)
		}
	}
	for r := range b {
		if b[r] = b[r]*(1+float64(pt.count+16)*0x1p-51) + 0x1p-1000; math.IsNaN(b[r]) {
			b[r] = math.Inf(1)
		}
	}
	return b
}

// elementwise moves g from node k (Relu or Sigmoid) to its source and adds what that costs to b.
func (pt *Point) elementwise(k, R int, g [][]float64, gm float64, b []float64) {
	n := &pt.e.p.Nodes[k]
	for i := range pt.v[k] {
		slope, own := pt.slope(k, n, i, gm)
		if slope == 0 && own == 0 {
			continue
		}
		src := g[n.Src][i*R : i*R+R]
		for r, gi := range g[k][i*R : i*R+R] {
			if gi != 0 {
				b[r] += math.Abs(gi) * own
				src[r] += gi * slope
			}
		}
	}
}

// slope returns the slope with which element i of a Relu or Sigmoid node passes coefficients on and what a unit coefficient
// costs.
func (pt *Point) slope(k int, n *Node, i int, gm float64) (slope, own float64) {
	if n.Kind == Relu {
		switch {
		case pt.e.L[n.Src][i] >= 0 && pt.v[n.Src][i] >= 0:
			return 1, gm * pt.dev(n.Src, i)
		case pt.e.U[n.Src][i] <= 0 && pt.v[n.Src][i] <= 0:
			return 0, 0
		}
		return 0, pt.dev(k, i)
	}
	if n.Kind == Curve {
		return pt.curve(k, n, i, gm)
	}
	e, s := pt.dev(n.Src, i), pt.v[k][i]
	if !(e < 1) { // the slope says nothing over such a range
		return 0, pt.dev(k, i)
	}
	own = 8*(sigmoidRel*s+0x1p-1000) + (0.1*e+0x1p-48+gm)*e // σ(x) ≤ e·σ(v) for |x−v| < 1
	if pt.e.unit > unit64 {
		own += sigmoidUlps * pt.e.unit
	}
	return s * (1 - s), own
}

// interval is the same bound from the output's intervals alone; it wins where backward sums cancel to nothing.
func (pt *Point) interval(c []float64) (lo, hi float64) {
	l, u := pt.Output()
	var m float64
	exact, terms := true, 0
	for i, ci := range c {
		if ci == 0 {
			continue
		}
		terms++
		exact = exact && math.Abs(ci) == 1
		a, b := ci*l[i], ci*u[i]
		lo, hi = lo+min(a, b), hi+max(a, b)
		m += max(math.Abs(a), math.Abs(b))
	}
	if exact && terms <= 1 {
		return lo, hi // ±one end: nothing was rounded, so a dead relu's 0 stays 0
	}
	m = m*gamma(len(c)+2, unit64)*2 + 0x1p-1000
	lo, hi = lo-m, hi+m
	if math.IsNaN(lo) || math.IsNaN(hi) {
		return math.Inf(-1), math.Inf(1)
	}
	return lo, hi
}

// EnclosePoint returns lo ≤ c·y ≤ hi for the output y at the single input x in real arithmetic and in every execution with
// unit roundoff at most unit. For several rows at one input use NewTightPoint and Bound.
func (p *Program) EnclosePoint(x, c []float64, unit float64) (lo, hi float64) {
	return p.NewTightPoint(x, unit).Bound(c)
}
