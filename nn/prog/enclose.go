package prog

import "math"

// Rigorous enclosures of every node over a box of inputs, in centre and radius form with the a-priori error of sums
// (Higham, Accuracy and Stability of Numerical Algorithms, ch. 3; Rump, "Error estimation of floating-point summation").
//
// Model of an execution with unit roundoff u (2⁻²⁴: binary32, 2⁻⁵³: binary64): an affine row is the sum of its products
// and its bias, rounded to nearest after every operation, in any order and blocking, with or without fused
// multiply-adds, with gradual underflow or with subnormal operands and results flushed to zero. Not covered: transforms that
// are no sum of those products (Winograd, FFT), and re-association across nodes of the program. Relu rounds nothing. Sigmoid is within sigmoidUlps·u of 1/(1+e^{-z}), an
// assumption about the runtime's library that cannot be derived; for real arithmetic it is not needed.

const (
	unit64 = 0x1p-53
	// Unit32 is the unit roundoff of binary32, for Enclose and NewPoint.
	Unit32 = 0x1p-24
	// UnitReal asks Enclose and NewPoint for the real value (and, at no cost that matters, every binary64 execution).
	UnitReal = unit64
	// sigmoidUlps·u bounds the absolute error of a runtime's sigmoid.
	sigmoidUlps = 8
	// sigmoidRel bounds the relative error of 1/(1+math.Exp(-z)) in Go: Exp < 1 ulp (2⁻⁵²), one addition and one division
	// of half an ulp each, with a factor of two to spare. Assumption: math.Exp errs by less than one ulp.
	sigmoidRel = 0x1p-50
)

// gamma returns an upper bound of n·u/(1−n·u), +Inf where that is not meaningful (n·u > 1/4).
func gamma(n int, u float64) float64 {
	t := float64(n) * u
	if t > 0.25 {
		return math.Inf(1)
	}
	return t / (1 - t) * (1 + 0x1p-50)
}

// enclosure holds, per node, the interval [L, U], the float64 value mid it is built around and the bound rad ≥ |true − mid|;
// local is, for affine nodes, the part of rad that arises in the node itself.
type enclosure struct {
	p               *Program
	unit            float64
	L, U            [][]float64
	mid, rad, local [][]float64
	wild            []bool // some element of the node may be infinite or NaN in some execution
}

// Enclose returns for every node k intervals [L[k][i], U[k][i]] that contain the value of element i for every input in
// the box [lo, hi]: its value in real arithmetic (with the network's true coefficients, see Node.Rel) and its value in
// every execution with unit roundoff at most unit (UnitReal or Unit32). Ends are ±Inf where nothing can be said, in
// particular where a binary32 execution might overflow. The result is freshly allocated.
//
// Sound because: for |x−m| ≤ r and |x| ≤ M elementwise, |fl(Wx+b) − fl(Wm+b)| ≤ |W|r + (γ_N(unit)+γ_N(2⁻⁵³))·(|W|M+|b|),
// N = n+3 or the steps of Rounding, and 2Rel+4 more where coefficients are inexact (γ_a+γ_b ≤ γ_{a+b}); both sums have positive
// terms, so their own rounding is a factor 1+(n+8)·2⁻⁵²; relu and sigmoid are monotone.
func (p *Program) Enclose(lo, hi []float64, unit float64) (L, U [][]float64) {
	e := p.enclose(lo, hi, unit)
	return e.L, e.U
}

func (p *Program) enclose(lo, hi []float64, unit float64) *enclosure {
	e := p.newEnclosure(lo, hi, unit)
	for k := 1; k < len(p.Nodes); k++ {
		e.node(k)
	}
	return e
}

// newEnclosure starts with the input box.
func (p *Program) newEnclosure(lo, hi []float64, unit float64) *enclosure {
	if len(lo) != p.Nodes[0].N || len(hi) != p.Nodes[0].N {
		panic("prog: Enclose: box length mismatch")
	}
	e := &enclosure{p: p, unit: max(unit, unit64), local: make([][]float64, len(p.Nodes)), wild: make([]bool, len(p.Nodes))}
	e.L, e.U, e.mid, e.rad = p.NewValues(1), p.NewValues(1), p.NewValues(1), p.NewValues(1)
	copy(e.L[0], lo)
	copy(e.U[0], hi)
	e.centre(0)
	return e
}

// node encloses node k, its sources being done.
func (e *enclosure) node(k int) {
	n := &e.p.Nodes[k]
	switch n.Kind {
	case Affine:
		e.affine(k, n)
		return
	case Relu:
		for i, l := range e.L[n.Src] {
			e.L[k][i], e.U[k][i] = max(l, 0), max(e.U[n.Src][i], 0)
		}
	case Sigmoid:
		for i, l := range e.L[n.Src] {
			e.L[k][i], _ = sigmoidBounds(l, e.unit)
			_, e.U[k][i] = sigmoidBounds(e.U[n.Src][i], e.unit)
		}
	case Curve, Product:
		e.smooth(k, n)
		return
	}
	e.wild[k] = e.wild[n.Src]
	for i := range e.L[k] {
		if e.lost(n.Src, i) {
			e.L[k][i], e.U[k][i] = math.Inf(-1), math.Inf(1)
		}
	}
	e.centre(k)
}

// centre derives mid and rad of node k from its interval. A half-infinite interval gets mid 0 and rad +Inf.
func (e *enclosure) centre(k int) {
	for i, l := range e.L[k] {
		u := e.U[k][i]
		switch {
		case l == u:
			e.mid[k][i], e.rad[k][i] = l, 0
		case math.IsInf(u-l, 0) || math.IsNaN(u-l):
			e.mid[k][i], e.rad[k][i] = 0, math.Inf(1)
		default:
			m := l + (u-l)/2
			e.mid[k][i], e.rad[k][i] = m, max(u-m, m-l)*(1+0x1p-51)+math.SmallestNonzeroFloat64
		}
	}
}

// factors returns, for affine node n: f with local error ≤ f·(|W|M+|b|) + tiny, and up, the factor by which a computed sum
// of non-negative terms may fall short of the true one. x bounds the magnitudes of the sources.
func (n *Node) factors(p *Program, unit, x float64) (f, tiny, up float64) {
	fan := n.fan() + 1
	extra := max(3, n.Rounding.Steps+1-fan)
	if n.Rel > 0 { // the coefficients' own error, in the real sense and in a runtime that folds in its own arithmetic
		extra += 2*n.Rel + 4
	}
	f = gamma(fan+extra, unit64) + gamma(fan+extra, unit)
	tiny = float64(fan+4) * 0x1p-1060
	if unit > unit64 {
		// each product, sum, operand and result may be flushed; see Rounding
		tiny = flush * max(n.Rounding.Spread, 1) * (float64(fan+extra) + n.RowSum(p) + float64(fan)*x)
	}
	return f * (1 + 0x1p-50), tiny, 1 + float64(fan+8)*0x1p-52
}

func (e *enclosure) affine(k int, n *Node) {
	c, r, s := e.mid[k], e.rad[k], make([]float64, n.N)
	copy(c, n.Bias)
	n.BiasMagnitudes(s)
	top := 0.0
	for _, t := range n.Terms {
		mag := make([]float64, e.p.Nodes[t.Src].N)
		for j := range mag {
			mag[j] = max(math.Abs(e.L[t.Src][j]), math.Abs(e.U[t.Src][j]))
			top = max(top, mag[j])
		}
		t.Map.Forward(c, e.mid[t.Src], 1)
		t.Map.ForwardAbs(r, e.rad[t.Src], 1)
		t.Map.ForwardAbs(s, mag, 1)
		e.wild[k] = e.wild[k] || e.wild[t.Src]
	}
	if e.exactly(k, n, s) {
		return
	}
	f, tiny, up := n.factors(e.p, e.unit, top)
	wild := e.wild[k] // 0·Inf is NaN in a dense execution: nothing is known of any row
	limit := math.MaxFloat64 / 4
	if e.unit > unit64 {
		limit = 0x1p127 // no partial sum may overflow binary32
	}
	for i := range c {
		local := f*s[i]*up + tiny
		rad := (r[i]*up + local) * (1 + 0x1p-51)
		if wild || !(s[i]*(up+f) < limit) || !(rad < math.MaxFloat64) || math.IsNaN(c[i]) {
			local, rad, c[i] = math.Inf(1), math.Inf(1), 0
			e.wild[k] = true
		}
		s[i], r[i] = local, rad
		e.L[k][i] = math.Nextafter(c[i]-rad, math.Inf(-1))
		e.U[k][i] = math.Nextafter(c[i]+rad, math.Inf(1))
	}
	e.local[k] = s
}

// sigmoidBounds encloses 1/(1+e^{-z}) in real arithmetic and in executions with the given unit roundoff.
func sigmoidBounds(z, unit float64) (lo, hi float64) {
	s := 1 / (1 + math.Exp(-z))
	lo, hi = s*(1-sigmoidRel), s*(1+sigmoidRel)+math.SmallestNonzeroFloat64
	if z < -700 { // Exp(-z) may overflow; e^-700 < 2⁻¹⁰⁰⁰
		lo, hi = 0, 0x1p-1000
	}
	if unit > unit64 {
		return lo - sigmoidUlps*unit, hi + sigmoidUlps*unit
	}
	return max(lo, 0), min(hi, 1)
}
