package reluplex

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/smt/simplex"
)

// The network as a system s = A·x. Columns are the constant 1, the inputs, the f of every pair, and the affine elements that
// something else than a Relu reads. Rows are
//
//	the b of every pair                 W·x + bias·1
//	the slack of every pair             f − W·x − bias·1
//	an equation per affine column z     W·x + bias·1 − z = 0
//	the rows of the case                Σ c·v ≤ right-hand side
//
// The numbers of A are the network's own. Where those are known up to a relative error only (prog.Node.Rel), or two of them share a
// column and their sum is rounded, the row is off by at most err on the box, and its bounds are widened by that.

// A pair ⟨b,f⟩ of the paper; b, f and the slack s = f − b are variables of the system. The true pre-activation is within err of b.
type pair struct {
	b, f, s int
	err     float64
}

type encoding struct {
	columns int
	rows    []simplex.Row
	lo, hi  []float64 // by variable
	inputs  []int     // columns of the inputs
	pairs   []pair
	cases   []int // variables of the case's rows
}

// Pairs whose sign the enclosure of the network settles are no pairs: an f that is 0 has no column and no rows, an f that is b has
// its column and one row, f − W·x − bias·1 = 0.

// layout says where the elements of nodes are: their columns, −1 for those that are 0; nil for nodes whose elements are the b rows of
// their readers.
type layout struct {
	at            [][]int
	width, height int // columns and rows
}

// place lays out the columns: every node has them but affine nodes that Relus alone read.
func place(p *prog.Program, c *spec.Case, L, U [][]float64) layout {
	whole := make([]bool, len(p.Nodes))
	whole[p.Output] = true
	for k := range p.Nodes {
		for _, t := range p.Nodes[k].Terms {
			whole[t.Src] = true
		}
	}
	l := layout{at: make([][]int, len(p.Nodes)), width: 1, height: len(c.Rows)}
	for k := range p.Nodes {
		n := &p.Nodes[k]
		if n.Kind == prog.Affine && !whole[k] {
			continue
		}
		l.at[k] = make([]int, n.N)
		for i := range l.at[k] {
			if n.Kind == prog.Relu && U[n.Src][i] <= 0 {
				l.at[k][i] = -1
				continue
			}
			l.at[k][i] = l.width
			l.width++
			switch {
			case n.Kind == prog.Affine || n.Kind == prog.Relu && (l.at[n.Src] != nil || L[n.Src][i] >= 0):
				l.height++
			case n.Kind == prog.Relu:
				l.height += 2
			}
		}
	}
	return l
}

// estimate returns the bytes that a search with this layout takes.
func (l *layout) estimate() int64 {
	return simplex.SystemBytes(l.width, l.height) + 200*int64(l.width+l.height)
}

// encoder builds an encoding.
type encoder struct {
	encoding
	layout
	p    *prog.Program
	L, U [][]float64
	// per affine node, element: entries over columns and the error
	forms [][][]entry
	errs  [][]float64
}

type entry struct {
	col int
	val float64
}

// encode returns the system of a case; L and U enclose every node. ok is false when some enclosure is infinite.
func encode(p *prog.Program, c *spec.Case, l layout, L, U [][]float64) (enc *encoding, ok bool) {
	e := &encoder{layout: l, p: p, L: L, U: U, forms: make([][][]entry, len(p.Nodes)), errs: make([][]float64, len(p.Nodes))}
	e.columns = e.width
	e.bound(0, 1, 1)
	for k := range p.Nodes {
		if !finite(L[k]...) || !finite(U[k]...) {
			return nil, false
		}
		for i, col := range e.at[k] {
			if col >= 0 {
				e.bound(col, L[k][i], U[k][i])
			}
		}
		if p.Nodes[k].Kind == prog.Affine {
			e.affine(k)
		}
	}
	e.inputs = e.at[0]
	for k := range p.Nodes {
		switch n := &p.Nodes[k]; {
		case n.Kind == prog.Relu:
			e.relu(k, n)
		case n.Kind == prog.Affine:
			for i, col := range e.at[k] {
				err := e.errs[k][i]
				e.row(append(slices.Clone(e.forms[k][i]), entry{col, -1}), -err, err)
			}
		}
	}
	for i := range c.Rows {
		e.caseRow(&c.Rows[i])
	}
	return &e.encoding, finite(e.lo...) && finite(e.hi...)
}

// bound sets the bounds of the next column.
func (e *encoder) bound(at int, lo, hi float64) {
	if at != len(e.lo) {
		panic("reluplex: columns out of order")
	}
	e.lo, e.hi = append(e.lo, lo), append(e.hi, hi)
}

// affine collects the forms of a node over columns.
func (e *encoder) affine(k int) {
	n := &e.p.Nodes[k]
	forms, errs := make([][]entry, n.N), make([]float64, n.N)
	for i, b := range n.Bias {
		if b != 0 {
			forms[i] = append(forms[i], entry{0, b})
		}
	}
	for _, t := range n.Terms {
		t.Map.Each(func(i, j int, v float64) {
			if col := e.at[t.Src][j]; v != 0 && col >= 0 {
				forms[i] = append(forms[i], entry{col, v})
			}
		})
	}
	for i := range forms {
		forms[i], errs[i] = e.merge(forms[i])
		if n.Rel > 0 {
			for _, t := range forms[i] {
				errs[i] += float64(n.Rel) * 0x1p-53 * math.Abs(t.val) * e.size(t.col)
			}
		}
		errs[i] *= 1 + 1e-9
	}
	e.forms[k], e.errs[k] = forms, errs
}

// size bounds |value| of a column on the box.
func (e *encoder) size(col int) float64 { return max(math.Abs(e.lo[col]), math.Abs(e.hi[col])) }

// merge sorts a form and adds up what shares a column; err bounds what the rounding of those sums can change on the box.
func (e *encoder) merge(form []entry) (merged []entry, err float64) {
	slices.SortStableFunc(form, func(a, b entry) int { return cmp.Compare(a.col, b.col) })
	for _, t := range form {
		last := len(merged) - 1
		if last < 0 || merged[last].col != t.col {
			merged = append(merged, t)
			continue
		}
		a := merged[last].val
		sum := a + t.val
		if sum-a != t.val || sum-t.val != a {
			err += 0x1p-52 * math.Abs(sum) * e.size(t.col) * (1 + 1e-9)
		}
		merged[last].val = sum
	}
	return merged, err
}

// row appends a row with its bounds and returns its variable. The form's entries are distinct columns in any order.
func (e *encoder) row(form []entry, lo, hi float64) int {
	slices.SortFunc(form, func(a, b entry) int { return cmp.Compare(a.col, b.col) })
	r := simplex.Row{Idx: make([]int32, len(form)), Val: make([]float64, len(form))}
	for i, t := range form {
		r.Idx[i], r.Val[i] = int32(t.col), t.val
	}
	e.rows = append(e.rows, r)
	e.lo, e.hi = append(e.lo, lo), append(e.hi, hi)
	return len(e.lo) - 1
}

// relu appends the rows of a Relu node's pairs. b is a row, or a column where something else reads it too.
func (e *encoder) relu(k int, n *prog.Node) {
	for i, f := range e.at[k] {
		if f < 0 {
			continue
		}
		p := pair{f: f}
		lo, hi := e.L[n.Src][i], e.U[n.Src][i]
		var form []entry
		if e.at[n.Src] != nil {
			p.b = e.at[n.Src][i]
			if p.b >= 0 {
				form = []entry{{p.b, 1}}
			}
		} else {
			form, p.err = e.forms[n.Src][i], e.errs[n.Src][i]
			if lo < 0 {
				p.b = e.row(slices.Clone(form), down(lo-p.err), up(hi+p.err))
			}
		}
		slack := []entry{{f, 1}}
		for _, t := range form {
			slack = append(slack, entry{t.col, -t.val})
		}
		// f ≥ b; and f − b is 0 when b ≥ 0, −b otherwise
		top := p.err
		if lo < 0 {
			top = max(top, up(-lo+p.err))
		}
		if p.s = e.row(slack, -p.err, top); lo < 0 {
			e.pairs = append(e.pairs, p)
		}
	}
}

// caseRow appends a row of the case. Its coefficients and its right-hand side are taken at the end that satisfies it most easily.
func (e *encoder) caseRow(row *spec.Row) {
	var form []entry
	slack := 0.0
	add := func(col int, c spec.Coef) {
		if col < 0 {
			return
		}
		form = append(form, entry{col, c.Value})
		slack += c.Err * e.size(col)
	}
	for _, c := range row.X {
		add(e.at[0][c.Index], c)
	}
	for _, c := range row.Y {
		add(e.at[e.p.Output][c.Index], c)
	}
	form, err := e.merge(form)
	least, mag := 0.0, 0.0
	for _, t := range form {
		least += min(t.val*e.lo[t.col], t.val*e.hi[t.col])
		mag += math.Abs(t.val) * e.size(t.col)
	}
	rhs := row.RHSUpper
	if slack += err; slack > 0 {
		rhs = up(rhs + slack*(1+1e-9))
	}
	least = down(least - mag*float64(len(form)+4)*0x1p-52)
	e.cases = append(e.cases, e.row(form, least, max(rhs, -math.MaxFloat64)))
}

func down(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }
func up(x float64) float64   { return math.Nextafter(x, math.Inf(1)) }
