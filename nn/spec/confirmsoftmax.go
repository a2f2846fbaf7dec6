package spec

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// A final Softmax saturates: enclosures of its elements then say nothing, where those of what it is applied to say all.

const (
	// softmaxGap and softmaxReach say when binary32 keeps the order of two elements of a Softmax: the larger is at most softmaxReach
	// below the largest, so that its exponential, and that divided by a sum of 2³⁰, are normal numbers, and the smaller at least
	// softmaxGap below it, far more than runtimes that err by curveUlps in the exponential and round differences of that size can
	// make up for.
	softmaxGap, softmaxReach = 0x1p-8, 64
)

// beforeSoftmax confirms a case whose rows compare elements of a final Softmax on what that is applied to. The witness has margin 0:
// nothing is said of how far apart the outputs are.
//
// Sound because Softmax keeps the order of the elements of a group in real arithmetic, and in binary32 under the conditions above.
func (c *confirmer) beforeSoftmax(index int) (*Witness, bool) {
	if c.logits == nil {
		src, group := softmaxGroups(c.p)
		if group == nil {
			return nil, false
		}
		p := &prog.Program{Nodes: c.p.Nodes[:src+1], Output: src, Binary32: c.p.Binary32}
		q := *c.pr
		q.NumOutputs = p.Nodes[src].N
		c.logits, c.group = newConfirmer(&q, p, c.x), group
	}
	if c.logits == nil {
		return nil, false
	}
	cs := &c.pr.Cases[index]
	for k := range cs.Rows {
		if _, ok := peelSoftmax(&cs.Rows[k], c.group); !ok {
			return nil, false
		}
	}
	c.logits.inside = c.inside
	w, ok := c.logits.confirm(index)
	if !ok {
		return nil, false
	}
	w.AnyOrder = w.AnyOrder && c.ordered(cs)
	w.Y, w.Margin = append([]float64(nil), c.y...), 0
	return w, true
}

// ordered reports whether every binary32 execution keeps the order of the elements that the rows compare.
func (c *confirmer) ordered(cs *Case) bool {
	pt := c.logits.tight
	if pt == nil {
		pt = c.logits.float32
	}
	if pt == nil { // a Softmax again, whose elements were confirmed on what that is applied to
		return false
	}
	lo, hi := pt.Output()
	for k := range cs.Rows {
		small, large := cs.Rows[k].Y[0].Index, cs.Rows[k].Y[1].Index
		if cs.Rows[k].Y[0].Value < 0 {
			small, large = large, small
		}
		top := math.Inf(-1)
		for e, g := range c.group {
			if g == c.group[large] {
				top = max(top, hi[e])
			}
		}
		if !(lo[large]-hi[small] >= softmaxGap) || !(top-lo[large] <= softmaxReach) {
			return false
		}
	}
	return true
}
