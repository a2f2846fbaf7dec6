package prog

import "math"

// A Point is the rigorous evaluation of the program at one input, in the sense of Enclose but tighter: what is asked for
// is a linear function of the output, and one backward pass weighs every local rounding error with its true effect on
// that function instead of with |W|·|W|·… (the "adjoint" or running error bound; two orders of magnitude on deep nets).
type Point struct {
	e *enclosure
	v [][]float64 // float64 execution
	m int         // no backward sum has more terms than this
}

// NewPoint evaluates the program at x (one lane) for real arithmetic and for every execution with unit roundoff at most
// unit (see Enclose). x is copied.
func (p *Program) NewPoint(x []float64, unit float64) *Point {
	pt := &Point{e: p.enclose(x, x, unit), v: p.Eval(x, 1, nil)}
	terms := make([]int, len(p.Nodes))
	for k := range p.Nodes {
		n := &p.Nodes[k]
		switch n.Kind {
		case Affine:
			for _, t := range n.Terms {
				_, col := t.Map.Fan()
				terms[t.Src] += col + 1
			}
		case Relu, Sigmoid:
			terms[n.Src] += 2
		}
	}
	for _, t := range terms {
		pt.m = max(pt.m, t)
	}
	return pt
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

// Bound returns lo ≤ c·y ≤ hi for the output y of every execution the point covers; c has one entry per output.
//
// Proof. Write d_k = x_k − v_k for an execution x and the float64 execution v, and g for the backward coefficients, so
// that c·y = c·v_out + g_out·d_out with g_out = c. Going backward we keep c·y ∈ c·v_out + Σ_k g_k·d_k ± B over the nodes not
// yet processed. Affine: d = W·d_src + δ with |δ| ≤ both·local (x and v each err by at most local, v by
// 2⁻²⁰ of it when unit is 2⁻²⁴), so g·d = (Wᵀg)·d_src ± both·|g|·local;
// the computed Wᵀg errs by at most γ_m·|W|ᵀ|g| in total over all consumers of a source, which costs γ_m·|g|·(|W||d_src|) ≤
// 2γ_m·|g|·rad. Relu: sign certain, d = d_src or 0 (the addition again costs γ_m|g||d_src|); sign uncertain, |g|·|d| goes to B. Sigmoid:
// d = s·d_src ± (0.1·dev + 2⁻⁴⁸)·dev ± implementation errors, as |σ”| < 0.0963. Input: d = 0. The sums in B are positive,
// so a factor covers their rounding.
func (pt *Point) Bound(c []float64) (lo, hi float64) {
	p := pt.e.p
	if len(c) != p.Nodes[p.Output].N {
		panic("prog: Bound: length mismatch")
	}
	g := p.NewValues(1)
	copy(g[p.Output], c)
	gm := gamma(pt.m+4, unit64)
	both := 2.0
	if pt.e.unit >= Unit32 {
		both = 1 + 0x1p-20
	}
	var b float64
	count := 0
	for k := len(p.Nodes) - 1; k > 0; k-- {
		n := &p.Nodes[k]
		count += n.N
		switch n.Kind {
		case Affine:
			for i, gi := range g[k] {
				if gi != 0 {
					b += math.Abs(gi) * (both*pt.e.local[k][i] + 2*gm*pt.e.rad[k][i])
				}
			}
			for _, t := range n.Terms {
				t.Map.Backward(g[t.Src], g[k], 1)
			}
		default:
			b += pt.elementwise(k, n, g, gm)
		}
	}
	v, s, o := pt.Value(), 0.0, 0.0
	for i, ci := range c {
		s += ci * v[i]
		o += math.Abs(ci * v[i])
	}
	b = b*(1+float64(count+16)*0x1p-51) + gamma(len(c)+2, unit64)*o*(1+float64(len(c)+2)*0x1p-52) + 0x1p-1000
	lo, hi = s-b, s+b
	if math.IsNaN(lo) || math.IsNaN(hi) {
		lo, hi = math.Inf(-1), math.Inf(1)
	}
	il, ih := pt.interval(c)
	return max(math.Nextafter(lo, math.Inf(-1)), il), min(math.Nextafter(hi, math.Inf(1)), ih)
}

// elementwise moves g from node k (Relu or Sigmoid) to its source and returns what that adds to the error.
func (pt *Point) elementwise(k int, n *Node, g [][]float64, gm float64) (b float64) {
	src := g[n.Src]
	for i, gi := range g[k] {
		if gi == 0 {
			continue
		}
		a := math.Abs(gi)
		switch {
		case n.Kind == Sigmoid:
			e, s := pt.dev(n.Src, i), pt.v[k][i]
			own := 8 * (sigmoidRel*s + 0x1p-1000) // σ(x) ≤ e·σ(v) for |x−v| < 1
			if pt.e.unit > unit64 {
				own += sigmoidUlps * pt.e.unit
			}
			if !(e < 1) { // the slope says nothing over such a range
				b += a * pt.dev(k, i)
				continue
			}
			b += a * (own + (0.1*e+0x1p-48+gm)*e)
			src[i] += gi * s * (1 - s)
		case pt.e.L[n.Src][i] >= 0 && pt.v[n.Src][i] >= 0:
			b += a * gm * pt.dev(n.Src, i)
			src[i] += gi
		case pt.e.U[n.Src][i] <= 0 && pt.v[n.Src][i] <= 0:
		default:
			b += a * pt.dev(k, i)
		}
	}
	return b
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
// unit roundoff at most unit. For several rows at one input use NewPoint and Bound.
func (p *Program) EnclosePoint(x, c []float64, unit float64) (lo, hi float64) {
	return p.NewPoint(x, unit).Bound(c)
}
