package relax

import "slices"

// A quotient whose denominator the first bounds cannot keep away from zero has infinite magnitude, and everything behind it. The
// nodes before it can be tightened all the same, after which the quotient may have a magnitude; so a pass over the nodes
// measures anew what the given scale leaves open.

// SetScale replaces the scale: magnitudes over f's box or any superset of it. s is not changed.
func (f *Frame) SetScale(s Scale) {
	f.S, f.given, f.reach = s, s, s.reach()
}

// restart forgets magnitudes that were measured under earlier bounds of a frame whose box changes.
func (f *Frame) restart() { f.SetScale(f.given) }

// own makes f.S f's own: what was given is shared.
func (f *Frame) own() {
	if &f.S[0] == &f.given[0] {
		f.S = slices.Clone(f.given)
	}
}

// rescale measures node k by f's present bounds, if the scale ends there, or if it holds binary32 errors, which shrink with the
// magnitudes.
//
// Soundness: bounds over f's box are magnitudes over f's box, and nothing before node k is changed.
func (f *Frame) rescale(k int) {
	if k != f.reach {
		if k < f.reach && f.Net.rows != nil {
			f.own()
			f.S[k] = f.Net.scaleNode(k, f.B.magnitude)
		}
		return
	}
	s := f.Net.scaleNode(k, f.B.magnitude)
	if !tame(s) {
		return
	}
	f.own()
	f.S[k] = s
	for f.reach = k + 1; f.reach < len(f.S) && tame(f.S[f.reach]); f.reach++ {
	}
}
