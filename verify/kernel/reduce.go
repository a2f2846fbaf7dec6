package kernel

import "math/big"

// An expr is a linear function of the input and of the outputs of open Relus, as an evaluation leaves it behind.
type expr struct {
	coef     [][]i128 // per node, nil for none
	exp      []int
	constant sum // a lower bound of the rest, which
	spread   sum // lies at most −spread above it
}

// form returns the linear function that Σ seeds + constant is where decided Relus are what they were decided to be.
func (e *evaluator) form(b *Bounds, o objective) expr {
	e.forming = true
	e.begin(b, o.starts, o.constant)
	l := expr{coef: make([][]i128, len(e.net.nodes)), exp: make([]int, len(e.net.nodes))}
	for k := len(e.net.nodes) - 1; k >= 0; k-- {
		if !e.used[k] {
			continue
		}
		e.spend(e.net.nodes[k].n + e.net.nodes[k].macs)
		switch {
		case e.net.nodes[k].kind == affine:
			e.affine(b, k)
			continue
		case k == one:
			e.given(b, k)
			continue
		case e.net.nodes[k].kind == relu:
			e.pass(b, k)
		}
		l.coef[k], l.exp[k] = append([]i128(nil), e.acc[k]...), e.exp[k]
	}
	e.forming = false
	l.constant, l.spread = e.total, e.spread
	return l
}

// pass hands the coefficients of active elements of a Relu to the node before and leaves those of open ones.
func (e *evaluator) pass(b *Bounds, k int) {
	src := e.net.nodes[k].src
	part := e.clean(k)
	for j, a := range e.acc[k] {
		if b.lo[src][j] >= 0 {
			part[j] = a
		}
		if b.lo[src][j] >= 0 || b.hi[src][j] <= 0 {
			e.acc[k][j] = i128{}
		}
	}
	e.merge(b, src, part, e.exp[k])
}

// reduce returns the network that remains on the set that b describes: its Relus have the open elements only, what comes before
// each, and every row of the goal, is a linear function of the input and of Relus that remain.
//
// Sound: decided Relus are linear on the set. What the evaluation of a form rounds is a part of its spread, which is charged as an
// error of the new node. live is the number of bounds that the path holds; coefficients count as such.
func (e *evaluator) reduce(b *Bounds, g *goal, live int) (*network, *Bounds, *goal) {
	n := &network{nodes: []node{e.net.nodes[0], e.net.nodes[one]}, size: e.net.nodes[0].n + 1}
	home := make([]int, len(e.net.nodes))   // of input and Relus: the node in the new network, 0 for none but the input
	open := make([][]int, len(e.net.nodes)) // of input and Relus: the elements that remain
	held := live
	form := func(o objective) expr {
		l := e.form(b, o)
		held += 2 * len(l.coef)
		for _, c := range l.coef {
			held += len(c)
		}
		need(held <= maxLive, "a reduced network that is too large")
		return l
	}
	old := map[int]int{} // new affine node: the old one
	for j := range n.nodes[0].n {
		open[0] = append(open[0], j)
	}
	for _, k := range e.net.relus {
		src := e.net.nodes[k].src
		var forms []expr
		held = live + n.macs
		for j := range e.net.nodes[k].n {
			if b.lo[src][j] < 0 && b.hi[src][j] > 0 {
				open[k] = append(open[k], j)
				forms = append(forms, form(objective{starts: sideOf(src, j, Lower)}))
			}
		}
		if len(forms) > 0 {
			z := n.add(e.assemble(forms, home, open))
			old[z] = k
			home[k] = n.add(node{kind: relu, n: len(forms), src: z})
		}
	}
	var forms []expr
	held = live + n.macs
	for i := range g.rows {
		forms = append(forms, form(g.ready[i]))
	}
	ng := &goal{}
	if len(forms) > 0 {
		n.output = n.add(e.assemble(forms, home, open))
		rows := make([]row, len(g.rows))
		for i := range rows {
			rows[i] = row{seeds: []seed{{n.output, i, unit}}, rhs: new(big.Rat), strict: g.rows[i].strict}
		}
		ng = refute(rows)
	}
	nb := &Bounds{fr: newFrame(n), lo: make([][]int64, len(n.nodes)), hi: make([][]int64, len(n.nodes)), empty: b.empty}
	nb.lo[0], nb.hi[0], nb.lo[one], nb.hi[one], nb.fr.exp[0] = b.lo[0], b.hi[0], b.lo[one], b.hi[one], b.fr.exp[0]
	nb.propagate(0, true)
	for z, k := range old {
		src := e.net.nodes[k].src
		for i, j := range open[k] {
			lo, hi := sum{from64(b.lo[src][j]).wide(0), b.fr.exp[src]}, sum{from64(-b.hi[src][j]).wide(0), b.fr.exp[src]}
			nb.narrow(z, i, lo.units(nb.fr.exp[z]), -hi.units(nb.fr.exp[z]))
		}
	}
	return n, nb, ng
}

// assemble makes an affine node of linear functions.
func (e *evaluator) assemble(forms []expr, home []int, open [][]int) node {
	nd := node{kind: affine, n: len(forms)}
	for k := range home {
		if cols := len(open[k]); cols > 0 {
			var rows []int // with coefficients
			top, fine := -1<<31, -1<<31
			for i := range forms {
				if c := forms[i].coef[k]; c != nil {
					rows = append(rows, i)
					top, fine = max(top, maxBits(c)-forms[i].exp[k]), max(fine, forms[i].exp[k])
				}
			}
			if len(rows) == 0 {
				continue
			}
			t := term{src: home[k], w: table{exp: min(fine, weightBits-1-top, finest)}}
			t.w.rounded = t.w.exp < fine
			for _, i := range rows {
				t.runs = append(t.runs, run{out: int32(i), w: int32(len(t.w.v)), n: int32(cols), si: 1, sw: 1})
				for _, j := range open[k] {
					v := sum{forms[i].coef[k][j].wide(0), forms[i].exp[k]}
					t.w.v = append(t.w.v, v.units(t.w.exp))
				}
			}
			nd.terms = append(nd.terms, t)
		}
	}
	bias := term{src: one, w: table{exp: finest}}
	for i := range forms {
		c := &forms[i].constant
		bias.w.exp = min(bias.w.exp, weightBits-1-c.v.bitLen()+c.exp)
		bias.runs = append(bias.runs, run{out: int32(i), w: int32(i), n: 1})
	}
	bias.w.rounded = true
	for i := range forms {
		bias.w.v = append(bias.w.v, forms[i].constant.units(bias.w.exp))
		nd.slack = append(nd.slack, forms[i].spread)
	}
	nd.terms = append(nd.terms, bias)
	return nd
}
