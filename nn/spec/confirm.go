package spec

import (
	"math"
	"math/big"

	"github.com/spai-project/certify/nn/prog"
)

// Confirm replays x against the problem: it returns a Witness and true when x is a counterexample of some case, proved in real
// arithmetic. x (NumInputs float64, copied) must consist of float32 values inside a case's decimal box (InLower..InUpper),
// and every row of that case must hold for the enclosure of the network's output, with the file's decimals taken adversely;
// there is no tolerance. AnyOrder tells whether the same was proved for every binary32 execution. Of several confirmed cases
// the first with AnyOrder, else the one with the largest margin, is returned.
//
// Sound because: prog.Point encloses the true output (and every binary32 output), and a row is accepted only when the upper
// end of left minus right side, all roundings included, is ≤ 0 (< 0 when Strict). Box and grid tests are exact comparisons.
func (pr *Problem) Confirm(p *prog.Program, x []float64) (*Witness, bool) {
	c := newConfirmer(pr, p, x)
	if c == nil {
		return nil, false
	}
	var best *Witness
	for i := range pr.Cases {
		w, ok := c.confirm(i)
		if ok && w.AnyOrder {
			return w, true
		}
		if ok && (best == nil || w.Margin > best.Margin) {
			best = w
		}
	}
	return best, best != nil
}

// ConfirmCase is Confirm for the single case with the given index.
func (pr *Problem) ConfirmCase(p *prog.Program, index int, x []float64) (*Witness, bool) {
	c := newConfirmer(pr, p, x)
	if c == nil {
		return nil, false
	}
	return c.confirm(index)
}

// Contains reports whether x (float64 values) is a float32 grid point of the box's decimal interval.
func (b *Box) Contains(x []float64) bool {
	if len(x) != len(b.InLower) {
		return false
	}
	for i, v := range x {
		if float64(float32(v)) != v || !(float64(b.InLower[i]) <= v && v <= float64(b.InUpper[i])) {
			return false
		}
	}
	return true
}

// Margin returns the smallest RHS − left side over the rows of a case at input x and output y, in plain float64: positive
// inside, negative outside, and the row where it is attained. It guides searches and proves nothing. A case without rows has
// margin +Inf, row −1.
func (c *Case) Margin(x, y []float64) (margin float64, row int) {
	margin, row = math.Inf(1), -1
	for k := range c.Rows {
		if m := c.Rows[k].Margin(x, y); m < margin || math.IsNaN(m) {
			margin, row = m, k
		}
	}
	return margin, row
}

// Margin returns RHSLower − Σ X·x − Σ Y·y in plain float64.
func (r *Row) Margin(x, y []float64) float64 {
	m := r.RHSLower
	for _, c := range r.X {
		m -= c.Value * x[c.Index]
	}
	for _, c := range r.Y {
		m -= c.Value * y[c.Index]
	}
	return m
}

// A confirmer evaluates one input rigorously, once for all cases, and only as far as needed.
type confirmer struct {
	pr      *Problem
	p       *prog.Program
	x, y    []float64
	inside  map[int]bool // per box
	exact   *prog.Point  // real arithmetic, made on first use
	float32 *prog.Point  // every binary32 execution, made on first use
	tight   *prog.Point  // the same with more effort, made when the first does not suffice
	logits  *confirmer   // of what a final Softmax is applied to, made on first use
	group   []int        // of the Softmax's elements, nil: there is none
}

func newConfirmer(pr *Problem, p *prog.Program, x []float64) *confirmer {
	if len(x) != pr.NumInputs || p.Nodes[0].N != pr.NumInputs || p.Nodes[p.Output].N != pr.NumOutputs {
		return nil
	}
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) || float64(float32(v)) != v {
			return nil
		}
	}
	x = append([]float64(nil), x...)
	y := p.Eval(x, 1, nil)[p.Output]
	return &confirmer{pr: pr, p: p, x: x, y: y, inside: map[int]bool{}}
}

func (c *confirmer) confirm(index int) (*Witness, bool) {
	cs := &c.pr.Cases[index]
	in, known := c.inside[cs.Box]
	if !known {
		in = c.pr.Boxes[cs.Box].Contains(c.x)
		c.inside[cs.Box] = in
	}
	if !in {
		return nil, false
	}
	if m, _ := cs.Margin(c.x, c.y); !(m >= 0) {
		return nil, false // not even in float64; saves the enclosure
	}
	if c.exact == nil {
		c.exact = c.p.NewPoint(c.x, prog.UnitReal)
	}
	margin, ok := c.rows(cs, c.exact, prog.UnitReal)
	if !ok {
		return c.beforeSoftmax(index)
	}
	w := &Witness{Case: index, X: append([]float64(nil), c.x...), Y: append([]float64(nil), c.y...), Margin: margin}
	if c.float32 == nil {
		c.float32 = c.p.NewPoint(c.x, prog.Unit32)
	}
	if _, w.AnyOrder = c.rows(cs, c.float32, prog.Unit32); !w.AnyOrder {
		if c.tight == nil {
			c.tight = c.p.NewTightPoint(c.x, prog.Unit32)
		}
		_, w.AnyOrder = c.rows(cs, c.tight, prog.Unit32)
	}
	if !w.AnyOrder {
		inner, ok := c.beforeSoftmax(index)
		w.AnyOrder = ok && inner.AnyOrder
	}
	return w, true
}

// rows checks every row and returns the least distance from a right-hand side (+Inf without rows).
func (c *confirmer) rows(cs *Case, pt *prog.Point, unit float64) (margin float64, ok bool) {
	margin = math.Inf(1)
	for k := range cs.Rows {
		r := &cs.Rows[k]
		e := c.excess(r, pt, unit)
		if !(e <= 0) || r.Strict && e == 0 {
			return 0, false
		}
		margin = min(margin, -e)
	}
	return margin, true
}

// excess returns an upper bound of Σ X·x + Σ Y·y − RHS. With unit 2⁻²⁴ it also covers checkers that evaluate the row itself
// in binary32, in any order; a row of inputs only is a property of the grid point and is decided exactly.
//
// Sound because: the enclosure covers the coefficients' stored values, every Err is charged with the largest |variable|, and
// the sums of this function are charged with γ of their lengths; a single rounded subtraction keeps its sign.
func (c *confirmer) excess(r *Row, pt *prog.Point, unit float64) float64 {
	if len(r.Y) == 0 {
		return c.inputExcess(r)
	}
	var slack, mag float64 // adverse decimals and rounding; sum of absolute terms
	lo, hi := pt.Output()
	coef := make([]float64, len(c.y))
	repeated := false
	for _, t := range r.Y {
		repeated = repeated || coef[t.Index] != 0
		coef[t.Index] += t.Value
		m := max(math.Abs(lo[t.Index]), math.Abs(hi[t.Index]))
		slack += t.Err * m
		mag += math.Abs(t.Value) * m
	}
	_, upper := pt.Bound(coef)
	for _, t := range r.X {
		p := t.Value * c.x[t.Index]
		slack += t.Err * math.Abs(c.x[t.Index])
		mag += math.Abs(p)
		upper += p
	}
	mag += math.Abs(r.RHSLower)
	n := float64(len(r.X) + len(r.Y) + 4)
	if unit > prog.UnitReal {
		slack += mag * n * unit * (1 + 0x1p-10)
	}
	upper -= r.RHSLower
	if slack == 0 && len(r.X) == 0 && !repeated {
		if upper == 0 {
			return 0
		}
		return math.Nextafter(upper, math.Inf(1))
	}
	return upper + (slack+mag*n*0x1p-52+0x1p-1000)*(1+0x1p-40)
}

// inputExcess is excess for a row without outputs, in rational arithmetic, rounded up.
func (c *confirmer) inputExcess(r *Row) float64 {
	for _, co := range append([]Coef{{Value: r.RHSLower}}, r.X...) {
		if f := co.Value - co.Value + co.Err - co.Err; f != 0 { // NaN: something is not finite, which readers never produce
			return math.Inf(1)
		}
	}
	sum, t := new(big.Rat), new(big.Rat)
	for _, co := range r.X {
		sum.Add(sum, t.Mul(rat(co.Value), rat(c.x[co.Index])))
		sum.Add(sum, t.Mul(rat(co.Err), rat(math.Abs(c.x[co.Index]))))
	}
	sum.Sub(sum, rat(r.RHSLower))
	if sum.Sign() == 0 {
		return 0
	}
	f, _ := sum.Float64()
	if f = math.Nextafter(f, math.Inf(1)); f == 0 {
		return -math.SmallestNonzeroFloat64 // the sum is negative, and only its sign is used
	}
	return f
}

// rat converts a finite float64 exactly.
func rat(f float64) *big.Rat { return new(big.Rat).SetFloat64(f) }
