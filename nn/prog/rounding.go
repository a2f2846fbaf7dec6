package prog

import "math"

// Rounding describes how binary32 executions round an affine node. z = Σ M·x + b with |x| ≤ X, and E_j bounds |fl(z_j) − z_j| for
// every order of summation, every bracketing, with or without fused multiply-adds, with wider accumulators, with gradual underflow
// or with subnormal operands and results flushed to zero:
//
//	E_j = γ·S_j + τ·(Steps + max_i Σ|M_i| + fan·max X + S_j),   S_j = Σ|M_ji|·X_i + BiasMag_j
//	γ = Steps·u/(1 − Steps·u),   τ = Spread·2⁻¹²⁴
//
// Steps counts the roundings that a summand passes at most: its product, an addition for every other summand, a final rounding to
// binary32, and those of operations that were folded into the node. 0 means that nothing is rounded: the node copies, negates or
// compares.
//
// Sound because a summand that passes n roundings is off by a factor (1+δ_1)…(1+δ_n), |δ| ≤ u (Higham, Accuracy and Stability,
// ch. 3), where an addition in a wider format that is then rounded to binary32 counts as one rounding with u·(1+2⁻²⁸). Each product,
// sum, operand and result is flushed once at most, by less than 2⁻¹²⁶: a product and a sum for every summand (4·Steps), the summand's
// coefficient (times X) and its operand (times |M|); what follows amplifies this by less than 2. Overflow has to be excluded apart.
type Rounding struct {
	Steps int
	// BiasMag bounds the sum of the magnitudes of the constants that were added up to Bias; nil: |Bias|.
	BiasMag []float64
	// Spread is by how much folded scalings can enlarge a flush, less than 1 where nothing was folded.
	Spread float64
	// Merged says that executions may merge the node with the one that reads it, as runtimes do with the mean and the offset of a
	// batch normalisation. They are within the bounds of the two nodes, but round even where the node's own sums are exact.
	Merged bool
}

const (
	unit32 = 0x1p-24 * (1 + 0x1p-26) // a unit roundoff of binary32 that covers one of a wider format before it
	flush  = 0x1p-124
	// scaleLimit is the largest factor, or its inverse, that folding passes a rounding through; spreadLimit ends it.
	scaleLimit  = 0x1p30
	spreadLimit = 0x1p64
	// limit32 is what no sum may reach: far enough below 2¹²⁸ that nothing overflows in between either.
	limit32 = 0x1p100
)

// fan bounds the number of summands of a row besides the bias.
func (n *Node) fan() int {
	fan := 0
	for _, t := range n.Terms {
		row, _ := t.Map.Fan()
		fan += row
	}
	return fan
}

// RowSum returns max_i Σ|M_i| over the rows of an affine node, rounded up.
func (n *Node) RowSum(p *Program) float64 {
	s := make([]float64, n.N)
	for _, t := range n.Terms {
		ones := make([]float64, p.Nodes[t.Src].N)
		for j := range ones {
			ones[j] = 1
		}
		t.Map.ForwardAbs(s, ones, 1)
	}
	top := 0.0
	for _, v := range s {
		top = max(top, v)
	}
	return top * (1 + float64(n.fan()+4)*0x1p-52)
}

// Error returns E of an element whose S is at most s, where the node's greatest row sum is rows and no source exceeds x in
// magnitude: 0 where nothing is rounded, +Inf where a sum may overflow.
func (n *Node) Error(s, rows, x float64) float64 {
	r := &n.Rounding
	if r.Steps == 0 {
		return 0
	}
	if !(s < limit32) || !(x < limit32) {
		return math.Inf(1)
	}
	steps := float64(r.Steps)
	t := flush * max(r.Spread, 1) * (steps + rows + float64(n.fan())*x + s)
	return (gamma(r.Steps, unit32)*s + t) * (1 + 0x1p-40)
}

// biasMag returns BiasMag of element i.
func (n *Node) biasMag(i int) float64 {
	if n.Rounding.BiasMag != nil {
		return n.Rounding.BiasMag[i]
	}
	if n.Bias != nil {
		return math.Abs(n.Bias[i])
	}
	return 0
}

// BiasMagnitudes writes the magnitude of every element's constants into s: |Bias|, or BiasMag where it is given.
func (n *Node) BiasMagnitudes(s []float64) {
	for j := range s {
		s[j] = n.biasMag(j)
	}
}

// foldRounding returns the rounding of n after its term t has absorbed node a through the map q, applied after a's maps or, if
// before is set, being a's own map; ok is false where it would not cover both.
//
// Sound because every summand of the merged row passes the roundings of both nodes. A flush in a is enlarged by at most |q|, and
// what n flushes of a's value is less than |q|·2⁻¹²⁶ as well, because q itself is no subnormal number. Before n's map, a has to
// copy without constants: then n's operands are those of the merged node.
func foldRounding(n, a *Node, q *mono, before bool) (r Rounding, ok bool) {
	r = Rounding{Steps: n.Rounding.Steps + a.Rounding.Steps, Spread: max(n.Rounding.Spread, 1) * max(a.Rounding.Spread, 1)}
	if r.Steps == 0 {
		return Rounding{}, true
	}
	for i, v := range q.val {
		v = math.Abs(v)
		switch {
		case q.idx[i] < 0 || v == 0 || v == 1:
		case before || v > scaleLimit || v < 1/scaleLimit:
			return r, false
		default:
			r.Spread = max(n.Rounding.Spread, 1) * max(a.Rounding.Spread, 1) * 2 * scaleLimit
		}
	}
	return r, (!before || a.Rounding.Steps == 0 && isZero(a.Bias)) && r.Spread <= spreadLimit
}
