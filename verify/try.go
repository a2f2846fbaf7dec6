package verify

import (
	"sync"

	"github.com/spai-project/certify/nn/spec"
)

// tryer checks candidate inputs that the search meets: rounded to the float32 grid of the box, evaluated once on the simplified
// network, and only when that shows a violation confirmed rigorously, on the network and the question as they were given.
type tryer struct {
	r    *run
	bufs sync.Pool
	// cases lists the cases of every box, as bounds see them.
	cases [][]int
}

func newTryer(r *run) *tryer {
	t := &tryer{r: r, cases: make([][]int, len(r.bound.Boxes))}
	for i := range r.bound.Cases {
		b := r.bound.Cases[i].Box
		t.cases[b] = append(t.cases[b], i)
	}
	t.bufs.New = func() any { v := r.prog.NewValues(1); return &v }
	return t
}

// on returns the check for candidates of one box.
func (t *tryer) on(box int) func(x []float64) *spec.Witness {
	p := t.r.bound
	cases := t.cases[box]
	b := &p.Boxes[box]
	return func(x []float64) *spec.Witness {
		buf := t.bufs.Get().(*[][]float64)
		defer t.bufs.Put(buf)
		g := make([]float64, len(x))
		for i, v := range x {
			g[i] = float64(min(max(float32(v), b.InLower[i]), b.InUpper[i]))
		}
		y := t.r.prog.Eval(g, 1, *buf)[t.r.prog.Output]
		for _, c := range cases {
			if rowsHold(&p.Cases[c], g, y) {
				var w *spec.Witness
				ok := false
				if t.r.confirming(func() { w, ok = t.r.p.Confirm(t.r.full, g) }); ok && t.r.accept(w) {
					return w
				}
				break
			}
		}
		return nil
	}
}

// rowsHold evaluates the rows in plain float64: a filter, not a verdict.
func rowsHold(c *spec.Case, x, y []float64) bool {
	for i := range c.Rows {
		row := &c.Rows[i]
		v := -row.RHSLower
		for _, t := range row.X {
			v += t.Value * x[t.Index]
		}
		for _, t := range row.Y {
			v += t.Value * y[t.Index]
		}
		if v > 0 {
			return false
		}
	}
	return true
}
