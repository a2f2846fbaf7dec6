package cert

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/verify/kernel"
)

// steps are the numbers of bits tried for explicit multipliers.
var steps = []int{6, 8, 10, 12, 16, 20, 26, 34}

// leaf returns the shortest leaf that the kernel accepts: computed multipliers when those suffice, else the fewest bits.
func (b *Builder) leaf(bounds *kernel.Bounds, t kernel.Target, plan *Plan, want float64) (*Node, float64, error) {
	rows := 0
	if t.Case >= 0 {
		rows = b.rows[t.Case]
	}
	base := &Node{Kind: kernel.Leaf}
	if t.Relu < 0 {
		base.Rows = weights(plan.Lambda, rows)
	} else {
		base.Rows, base.RowExp = penalties(plan.Lambda, rows)
	}
	options := []Nu{{}}
	if plan.Plain && len(b.sizes) > 0 {
		options = []Nu{{Mode: kernel.Explicit}, {}}
	}
	if b.keep && (plan.Nu != nil || plan.Alpha != nil || plan.Beta != nil) {
		options = nil
	}
	switch {
	case plan.Nu != nil:
		for _, q := range steps {
			options = append(options, explicit(plan.Nu, q))
		}
	case plan.Alpha != nil || plan.Beta != nil:
		options = append(options, b.hint(bounds, plan))
	}
	var best *Node
	var most float64
	var last error
	for i := range options {
		n := *base
		n.Nu = options[i]
		v, err := b.s.Tree(bounds, t, appendNode(nil, &n))
		if err != nil {
			last = err
			continue
		}
		if t.Relu < 0 {
			return &n, v, nil
		}
		if best == nil || v > most {
			best, most = &n, v
		}
		if v >= want {
			return &n, v, nil
		}
	}
	if best == nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrWeak, last)
	}
	return best, most, nil
}

// weightBits is the precision of row weights.
const weightBits = 20

// weights rounds the weights of a case's rows to integers; only their ratios matter. nil stands for 1 each.
func weights(lambda []float64, rows int) []Weight {
	var w []Weight
	top, used := 0.0, 0
	for _, v := range lambda {
		if v > 0 {
			top, used = max(top, v), used+1
		}
	}
	for i := range rows {
		v := uint64(1)
		switch {
		case lambda == nil:
		case i >= len(lambda) || !(lambda[i] > 0):
			v = 0
		case used > 1:
			v = uint64(math.Round(lambda[i] / top * (1 << weightBits)))
		}
		if v > 0 {
			w = append(w, Weight{i, v})
		}
	}
	return w
}

// penalties rounds the weights that rows have beside a bound.
func penalties(gamma []float64, rows int) (w []Weight, exp uint64) {
	for i := range min(rows, len(gamma)) {
		if v := math.Round(math.Ldexp(min(max(gamma[i], 0), 1<<40), weightBits)); v > 0 {
			w = append(w, Weight{i, uint64(v)})
		}
	}
	if w != nil {
		exp = weightBits
	}
	return w, exp
}

// explicit rounds multipliers to q bits per Relu.
func explicit(nu [][]float64, q int) Nu {
	n := Nu{Mode: kernel.Explicit}
	for r := len(nu) - 1; r >= 0; r-- {
		top := 0.0
		for _, v := range nu[r] {
			top = max(top, math.Abs(v))
		}
		if top == 0 {
			continue
		}
		_, e := math.Frexp(top)
		l := Layer{Relu: r, Exp: int64(q - e)}
		for j, v := range nu[r] {
			if k := int64(math.Round(math.Ldexp(v, q-e))); k != 0 {
				l.Elem, l.Val = append(l.Elem, j), append(l.Val, k)
			}
		}
		n.Layers = append(n.Layers, l)
	}
	return n
}

// correctionBits is the precision of corrections, after the binary point.
const correctionBits = 20

// hint rounds slopes to bytes and corrections to multiples of 2^-correctionBits.
func (b *Builder) hint(bounds *kernel.Bounds, plan *Plan) Nu {
	n := Nu{Mode: kernel.Hint}
	for r := len(b.sizes) - 1; r >= 0; r-- {
		l := Layer{Relu: r, Exp: correctionBits}
		if r < len(plan.Alpha) && plan.Alpha[r] != nil {
			for j, a := range plan.Alpha[r] {
				if lo, hi := bounds.Interval(r, j); lo < 0 && hi > 0 {
					l.Slopes = append(l.Slopes, byte(math.Round(255*min(max(a, 0), 1))))
				}
			}
		}
		for j := range b.sizes[r] {
			for _, c := range plan.Beta {
				if c.Relu == r && c.Elem == j {
					l.Elem, l.Val = append(l.Elem, j), append(l.Val, int64(math.Round(math.Ldexp(c.Value, correctionBits))))
					break
				}
			}
		}
		if len(l.Slopes)+len(l.Elem) > 0 {
			n.Layers = append(n.Layers, l)
		}
	}
	return n
}
