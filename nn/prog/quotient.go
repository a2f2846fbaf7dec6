package prog

import "math"

// CentreQuotients returns a program that computes the same real function as p, with quotients in a form whose relaxation is
// tight where numerator and denominator move together: for any number ρ,
//
//	x/s = ρ + (x − ρ·s)·(1/s),
//
// and with ρ the quotient's value somewhere in the box the numerator x − ρ·s stays near 0 there, so that the error of the
// product's planes, which grows with the widths of both factors, nearly vanishes. A linear map behind a quotient moves into the
// numerator first, Σ w·(x/s) = (Σ w·x)/s, where the denominator is common to a row and the map does not add elements: what is
// centred then is the combination that is asked for.
//
// x is an input, the centre of the box in mind; whatever it is, the result is the same function. Maps are shared with p, which
// is not changed; p itself is returned when it has no such quotient.
//
// Sound because both identities hold for the true real coefficients wherever s ≠ 0, and no coefficient is computed: ρ and −ρ are
// stored exactly, and the moved map keeps its node's Rel.
func CentreQuotients(p *Program, x []float64) *Program {
	c := &centring{p: p, uses: p.countUses(), at: make([]int, len(p.Nodes)), fused: map[int]int{}}
	c.b.nodes = make([]Node, 0, len(p.Nodes)+8)
	found := false
	for k := range p.Nodes {
		_, ok := p.quotient(k)
		found = found || ok
	}
	if !found {
		return p
	}
	c.v = p.Eval(x, 1, nil)
	c.planMoves()
	for k := range p.Nodes {
		c.node(k)
	}
	return &Program{Nodes: c.b.nodes, Output: c.at[p.Output]}
}

// A quotient is a Product of x and selected elements of a reciprocal of s: element i is x[i]/s[sel[i]].
type quotient struct {
	x, recip, s int
	sel         []int32
}

// quotient recognises node k as one, with either factor as the reciprocal.
func (p *Program) quotient(k int) (quotient, bool) {
	n := &p.Nodes[k]
	if n.Kind != Product {
		return quotient{}, false
	}
	for _, pair := range [2][2]int{{n.Src, n.Src2}, {n.Src2, n.Src}} {
		if r, sel, ok := p.selected(pair[1]); ok && p.Nodes[r].Kind == Curve && p.Nodes[r].Fn == Reciprocal {
			return quotient{pair[0], r, p.Nodes[r].Src, sel}, true
		}
	}
	return quotient{}, false
}

// selected returns the node of which node k repeats elements exactly: itself, or the source of a selection.
func (p *Program) selected(k int) (src int, sel []int32, ok bool) {
	n := &p.Nodes[k]
	if n.Kind != Affine {
		sel = make([]int32, n.N)
		for i := range sel {
			sel[i] = int32(i)
		}
		return k, sel, true
	}
	if len(n.Terms) != 1 || n.Rel != 0 || !isZero(n.Bias) {
		return 0, nil, false
	}
	q, ok := asMono(n.Terms[0].Map)
	if !ok {
		return 0, nil, false
	}
	for i, j := range q.idx {
		if j < 0 || q.val[i] != 1 {
			return 0, nil, false
		}
	}
	return n.Terms[0].Src, q.idx, true
}

func (p *Program) countUses() []int {
	uses := make([]int, len(p.Nodes))
	uses[p.Output]++
	for k := range p.Nodes {
		p.Nodes[k].sources(func(src *int) { uses[*src]++ })
	}
	return uses
}

// centring is the state of one CentreQuotients.
type centring struct {
	p    *Program
	uses []int
	v    [][]float64 // values at x
	b    Builder
	at   []int // new index of every node
	move map[int]Term
	rel  map[int]int
	// fused maps a quotient to the node whose map moves into it.
	fused map[int]int
}

// planMoves finds the quotients that one affine node alone reads, through a map that can move into their numerators.
func (c *centring) planMoves() {
	c.move, c.rel = map[int]Term{}, map[int]int{}
	for k := range c.p.Nodes {
		n := &c.p.Nodes[k]
		for _, t := range n.Terms {
			src := &c.p.Nodes[t.Src]
			if src.Kind != Product || c.uses[t.Src] != 1 || n.N > src.N || n.N == 0 {
				continue
			}
			q, ok := c.p.quotient(t.Src)
			if !ok || !sameDenominator(t.Map, q.sel) {
				continue
			}
			c.fused[t.Src], c.move[t.Src], c.rel[t.Src] = k, t, n.Rel
		}
	}
}

// sameDenominator reports whether every row of the map reads quotients of one denominator only and none is empty.
func sameDenominator(m Linear, sel []int32) bool {
	_, ok := rowDenominators(m, sel)
	return ok
}

// rowDenominators returns the denominator of each row.
func rowDenominators(m Linear, sel []int32) ([]int32, bool) {
	rows, _ := m.Dims()
	den := make([]int32, rows)
	for i := range den {
		den[i] = -1
	}
	ok := true
	m.Each(func(i, j int, v float64) {
		if v == 0 {
			return
		}
		ok = ok && (den[i] < 0 || den[i] == sel[j])
		den[i] = sel[j]
	})
	for _, d := range den {
		ok = ok && d >= 0
	}
	return den, ok
}

// node appends node k, or what replaces it.
func (c *centring) node(k int) {
	n := c.p.Nodes[k]
	if q, ok := c.p.quotient(k); ok {
		c.at[k] = c.quotient(k, &n, q)
		return
	}
	n.Terms = append([]Term(nil), n.Terms...)
	for i := range n.Terms {
		t := &n.Terms[i]
		if to, ok := c.fused[t.Src]; ok && to == k {
			t.Map = Identity(n.N)
		}
	}
	n.sources(func(src *int) { *src = c.at[*src] })
	c.b.nodes = append(c.b.nodes, n)
	c.at[k] = len(c.b.nodes) - 1
}

// quotient appends ρ + (x − ρ·s)·(1/s) and returns its node.
func (c *centring) quotient(k int, n *Node, q quotient) int {
	num := Term{c.at[q.x], Identity(n.N)}
	size, sel, rel := n.N, q.sel, 0
	value := c.v[k]
	if t, ok := c.move[k]; ok {
		size, rel = c.p.Nodes[c.fused[k]].N, c.rel[k]
		sel, _ = rowDenominators(t.Map, q.sel)
		num.Map = t.Map
		value = make([]float64, size)
		t.Map.Forward(value, c.v[k], 1)
	}
	rho, minus := make([]float64, size), newCSRBuilder(size, size)
	for i, v := range value {
		if math.Abs(v) < 1e100 && math.Abs(v) > 1e-100 { // not so for NaN
			rho[i] = v
			minus.add(sel[i], -v)
		}
		minus.endRow()
	}
	den := c.p.Nodes[q.s].N
	m := c.b.Affine(n.Name, size, nil, rel, num, Term{c.at[q.s], minus.build(den)})
	r := c.b.Affine(n.Name, size, nil, 0, Term{c.at[q.recip], Index(den, sel)})
	z := c.b.Product(n.Name, m, r)
	return c.b.Affine(n.Name, size, rho, 0, Term{z, Identity(size)})
}
