package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// Every binary32 execution. A program whose nodes declare their roundings (prog.Rounding) stands for all executions at once: an
// affine node computes z = Σ M·x + b + δ with any |δ_j| ≤ E_j, and bounds are bounds of computed values. In the inequality of the
// package comment each equation then costs −|ν_j|·E_j more, which has the form of what rounding costs here anyway: so E_j/γ is added
// to S_j, and every pass that charges γ·Σ|ν|·S charges Σ|ν|·E with it, at no cost of its own. Interval and forward passes add E to
// their radius, and a Reduced has it in the error of its rows.
//
// Soundness: E_j is monotone in the magnitudes, so that computed over a root box it is valid on every subset; activations and copies
// round nothing. δ = 0 is among the choices, so bounds hold for real arithmetic too.

// measureRows bounds the row sums of nodes that round.
func (n *Net) measureRows() {
	for k := range n.P.Nodes {
		nd := &n.P.Nodes[k]
		if nd.Kind != prog.Affine || nd.Rounding.Steps == 0 {
			continue
		}
		if n.rows == nil {
			n.rows = make([]float64, len(n.P.Nodes))
		}
		n.rows[k] = nd.RowSum(n.P)
	}
}

// inherit takes over what a part of n needs: the row sums, and the unit in which n's scale holds errors.
//
// Soundness: a row of the part has fewer summands, those left out are 0, and so are no larger sums and no more roundings. Its unit
// would be no larger, so a charge in n's unit is enough for everything else.
func (m *Net) inherit(n *Net) {
	if n.rows != nil {
		m.rows, m.errUnits = n.rows[:len(m.P.Nodes)], max(m.errUnits, n.errUnits)
	}
}

// drift returns E of an element of affine node k whose S is at most s up to the rounding of s itself, sources being at most x.
func (n *Net) drift(k int, s, x float64) float64 {
	if n.rows == nil {
		return 0
	}
	return n.P.Nodes[k].Error(s*(1+gamma(n.rowFan[k]+8)), n.rows[k], x*(1+8*unit))
}

// addError adds E/γ to the scale s of affine node k.
func (n *Net) addError(k int, s []float64, magOf func(k int) []float64) {
	nd := &n.P.Nodes[k]
	if n.rows == nil || nd.Rounding.Steps == 0 {
		return
	}
	top := 0.0
	for _, t := range nd.Terms {
		for _, v := range magOf(t.Src) {
			top = max(top, v)
		}
	}
	g := gamma(n.errUnits)
	for j, v := range s {
		s[j] = v + n.drift(k, v, top)/g*(1+8*unit)
	}
}

// scaledError returns an upper bound on E of an element of node k whose scale is s; 0 where nothing is rounded.
func (n *Net) scaledError(k int, s float64) float64 {
	if n.rows == nil || n.P.Nodes[k].Rounding.Steps == 0 {
		return 0
	}
	return gamma(n.errUnits) * s * (1 + 8*unit)
}

// Overflows reports whether some sum of a binary32 execution on the box may leave its range, as far as intervals can tell.
func (n *Net) Overflows(box Box) bool {
	for i, l := range box.Lo {
		if !(max(math.Abs(l), math.Abs(box.Hi[i])) < 0x1p100) {
			return true
		}
	}
	b := n.NewBounds()
	n.IBP(box, b)
	return n.NewScale(b).reach() < len(n.P.Nodes)
}
