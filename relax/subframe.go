package relax

import "context"

// Sub returns the frame of the subset of f's box on which o.Splits hold (and, with o.Refute, the row's objective is ≤ 0): their
// neurons fixed, inner bounds tightened anew with both as constraints. It reports false when the subset is empty. f is not
// changed.
//
// Soundness: every bound of f holds on the subset, a split restricts its neuron to one side of 0 by definition, and Crown
// only intersects with bounds that hold where the splits (and the row's violation) do. An interval that becomes empty proves
// the subset empty. f's scale bounds magnitudes on the larger set.
func (f *Frame) Sub(ctx context.Context, p *Pool, o Tightening) (*Frame, bool) {
	n := f.Net
	b := n.NewBounds()
	b.Copy(f.B)
	for _, s := range o.Splits {
		src := n.P.Nodes[s.Act].Src
		if s.Sign > 0 {
			b.L[src][s.Elem] = max(b.L[src][s.Elem], 0)
		} else {
			b.U[src][s.Elem] = min(b.U[src][s.Elem], 0)
		}
		if b.L[src][s.Elem] > b.U[src][s.Elem] {
			return nil, false
		}
	}
	g := n.NewFrame(f.Box, b, f.S)
	if !n.Crown(ctx, p, g, o) {
		return nil, false
	}
	return g, true
}

// Bytes estimates the memory a frame holds.
func (f *Frame) Bytes() int64 {
	s := int64(0)
	for k := range f.Net.P.Nodes {
		s += int64(f.Net.P.Nodes[k].N) * 24
	}
	return s
}
