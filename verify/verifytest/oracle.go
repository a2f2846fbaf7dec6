package verifytest

import (
	"math/big"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// MinExact returns the exact minimum over lo ≤ x ≤ hi of cx·x + cy·y, y the program's output; cx or cy may be nil for
// zero. Time grows with the number of linear regions: meant for up to about 14 ReLUs of open sign.
func MinExact(p *prog.Program, lo, hi, cx, cy []float64) *big.Rat {
	v, _ := ArgminExact(p, lo, hi, cx, cy)
	return v
}

// ArgminExact returns the exact minimum of MinExact and an input where it is attained.
func ArgminExact(p *prog.Program, lo, hi, cx, cy []float64) (value *big.Rat, x []*big.Rat) {
	w := newWalker(p, lo, hi)
	rx, ry := exact.Rats(cx), exact.Rats(cy)
	w.leaf = func(lp *exact.LP, forms [][]form) bool {
		n := len(w.lo)
		f := combine(rx, ry, forms[p.Output], n)
		lp.SetObjective(f[:n])
		s := lp.Solve()
		if v := s.Value.Add(s.Value, f[n]); value == nil || v.Cmp(value) < 0 {
			value, x = v, s.X
		}
		return true
	}
	w.run()
	return value, x
}

// RangeExact returns, for every node and element, the exact minimum and maximum over the box.
func RangeExact(p *prog.Program, lo, hi []float64) (low, high [][]*big.Rat) {
	w := newWalker(p, lo, hi)
	low, high = make([][]*big.Rat, len(p.Nodes)), make([][]*big.Rat, len(p.Nodes))
	for k := range p.Nodes {
		low[k], high[k] = make([]*big.Rat, p.Nodes[k].N), make([]*big.Rat, p.Nodes[k].N)
	}
	w.leaf = func(lp *exact.LP, forms [][]form) bool {
		n := len(w.lo)
		for k := range forms {
			for i, f := range forms[k] {
				keepLess(&low[k][i], minForm(lp, f[:n], f[n]))
				neg := make(form, n+1)
				for j := range f {
					neg[j] = new(big.Rat).Neg(f[j])
				}
				m := minForm(lp, neg[:n], neg[n])
				keepGreater(&high[k][i], m.Neg(m))
			}
		}
		return true
	}
	w.run()
	return low, high
}

func minForm(lp *exact.LP, c []*big.Rat, c0 *big.Rat) *big.Rat {
	lp.SetObjective(c)
	v := lp.Solve().Value
	return v.Add(v, c0)
}

func keepLess(dst **big.Rat, v *big.Rat) {
	if *dst == nil || v.Cmp(*dst) < 0 {
		*dst = v
	}
}

func keepGreater(dst **big.Rat, v *big.Rat) {
	if *dst == nil || v.Cmp(*dst) > 0 {
		*dst = v
	}
}

// Truth is the exact answer to a problem, read with every row non-strict and Lower..Upper of each box as its input set.
type Truth struct {
	Sat bool
	// Case and X are a counterexample when Sat.
	Case int
	X    []*big.Rat
	// Margin is the greatest value over all cases and inputs of the least slack RHS − (row's left-hand side): negative
	// when unsat, 0 when every counterexample lies on a boundary. It is nil when some case has no rows (then Sat holds with
	// any margin) or when there are no cases.
	Margin *big.Rat
}

// DecideExact answers a problem exactly (see Truth for the reading; coefficients are taken at Value, right-hand sides at
// RHSUpper). It returns a counterexample when sat.
func DecideExact(p *prog.Program, prob *spec.Problem) (sat bool, witness []*big.Rat) {
	t := SolveExact(p, prob)
	return t.Sat, t.X
}

// SolveExact answers a problem exactly, with the best margin.
func SolveExact(p *prog.Program, prob *spec.Problem) Truth {
	var best Truth
	for ci := range prob.Cases {
		c := &prob.Cases[ci]
		box := &prob.Boxes[c.Box]
		if len(c.Rows) == 0 {
			return Truth{Sat: true, Case: ci, X: exact.Rats(box.Lower)}
		}
		m, x := maxMargin(p, box.Lower, box.Upper, c.Rows)
		if best.Margin == nil || m.Cmp(best.Margin) > 0 {
			best = Truth{Sat: m.Sign() >= 0, Case: ci, X: x, Margin: m}
		}
	}
	if !best.Sat {
		best.X = nil
	}
	return best
}

// maxMargin maximises t subject to row·(x,y) + t ≤ rhs for every row: on each region a linear program with one variable
// more, whose range is taken from the rows' spans so that it never binds.
func maxMargin(p *prog.Program, lo, hi []float64, rows []spec.Row) (margin *big.Rat, x []*big.Rat) {
	w := newWalker(p, lo, hi)
	n := len(lo)
	w.leaf = func(lp *exact.LP, forms [][]form) bool {
		s := marginLP(w, lp, forms[p.Output], rows).Solve()
		if t := s.X[n]; margin == nil || t.Cmp(margin) > 0 {
			margin, x = t, s.X[:n]
		}
		return true
	}
	w.run()
	return margin, x
}

// marginLP builds the program over (x, t) on one region, minimising −t.
func marginLP(w *walker, region *exact.LP, y []form, rows []spec.Row) *exact.LP {
	n := len(w.lo)
	forms := make([]form, len(rows))
	tlo, thi := new(big.Rat), new(big.Rat)
	for i := range rows {
		cx, cy := rowVectors(&rows[i], n, len(y))
		f := combine(cx, cy, y, n)
		f[n].Sub(f[n], exact.Rat(rows[i].RHSUpper))
		low, high := w.span(f)
		keepLess(&tlo, high.Neg(high))
		keepGreater(&thi, low.Neg(low))
		forms[i] = f
	}
	c := exact.Zeros(n + 1)
	c[n].SetInt64(-1)
	lp := exact.NewLP(append(append([]*big.Rat(nil), w.lo...), tlo), append(append([]*big.Rat(nil), w.hi...), thi))
	lp.SetObjective(c)
	region.EachRow(func(a []*big.Rat, b *big.Rat) {
		lp.AddRow(append(append([]*big.Rat(nil), a...), new(big.Rat)), b)
	})
	for _, f := range forms {
		a := append(append([]*big.Rat(nil), f[:n]...), big.NewRat(1, 1))
		lp.AddRow(a, new(big.Rat).Neg(f[n]))
	}
	return lp
}

// rowVectors spreads a row's coefficients over the input and the output.
func rowVectors(row *spec.Row, nx, ny int) (cx, cy []*big.Rat) {
	cx, cy = exact.Zeros(nx), exact.Zeros(ny)
	for _, c := range row.X {
		cx[c.Index].Add(cx[c.Index], exact.Rat(c.Value))
	}
	for _, c := range row.Y {
		cy[c.Index].Add(cy[c.Index], exact.Rat(c.Value))
	}
	return cx, cy
}

// RowSlack returns RHSUpper − (row's left-hand side) at an exact input and output.
func RowSlack(row *spec.Row, x, y []*big.Rat) *big.Rat {
	cx, cy := rowVectors(row, len(x), len(y))
	s := exact.Rat(row.RHSUpper)
	s.Sub(s, exact.Dot(cx, x))
	return s.Sub(s, exact.Dot(cy, y))
}

// Unstable returns the number of ReLU elements whose sign exact interval arithmetic leaves open on the box: an upper
// bound on the depth of the enumeration.
func Unstable(p *prog.Program, lo, hi []float64) int {
	w := newWalker(p, lo, hi)
	low, high := make([][]*big.Rat, len(p.Nodes)), make([][]*big.Rat, len(p.Nodes))
	low[0], high[0] = w.lo, w.hi
	count := 0
	for k := 1; k < len(p.Nodes); k++ {
		node := &p.Nodes[k]
		if node.Kind == prog.Affine {
			low[k], high[k] = w.interval(k, low, high)
			continue
		}
		low[k], high[k] = exact.Zeros(node.N), exact.Zeros(node.N)
		for i := range node.N {
			l, h := low[node.Src][i], high[node.Src][i]
			if l.Sign() < 0 && h.Sign() > 0 {
				count++
			}
			if l.Sign() > 0 {
				low[k][i] = l
			}
			if h.Sign() > 0 {
				high[k][i] = h
			}
		}
	}
	return count
}

// interval is the image of the sources' intervals under affine node k.
func (w *walker) interval(k int, low, high [][]*big.Rat) (l, h []*big.Rat) {
	n := w.p.Nodes[k].N
	l, h = exact.Zeros(n), exact.Zeros(n)
	for i := range n {
		l[i].Set(w.bias[k][i])
		h[i].Set(w.bias[k][i])
	}
	t := new(big.Rat)
	for ti, term := range w.p.Nodes[k].Terms {
		for _, e := range w.maps[k][ti] {
			a, b := low[term.Src][e.j], high[term.Src][e.j]
			if e.v.Sign() < 0 {
				a, b = b, a
			}
			l[e.i].Add(l[e.i], t.Mul(e.v, a))
			h[e.i].Add(h[e.i], t.Mul(e.v, b))
		}
	}
	return l, h
}
