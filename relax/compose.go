package relax

import "math"

// expr is a row of a Reduced: the affine function Σ val·column, off the truth by at most err on the box.
type expr struct {
	idx []int32
	val []float64
	err float64
}

// composer adds up multiples of rows.
//
// Soundness: with n summands a coefficient errs by at most γ·(sum of the absolute products), which times a bound on the column's value
// is what the sum can be off by. A coefficient far below its summands is mostly rounding error: it is dropped and charged in full.
// The errors of the summands enter with the absolute factor; every sum here is of non-negative numbers and inflated at the end.
type composer struct {
	mag      []float64 // per column: a bound on |value|
	acc, abs []float64
	stamp    []int32 // columns in use have the present turn
	touched  []int32
	turn     int32
	n        int
	err      float64
	failed   bool
	idx      []int32 // arena of the rows made
	val      []float64

	neurons, outs []expr // per neuron: its row, and that of its output
	smooth        []bool // per neuron: a Sigmoid
	table, chain  []int32

	depth, order, at, next, counts []int32 // of assemble
	level                          []expr
	need                           []bool // of reducing again: per column, and its row
	rows                           []expr
	objs                           []expr
}

// reset prepares for rows over the constant, p inputs and at most m neurons. Rows made before are lost.
func (c *composer) reset(p, m int) {
	cols, slots := 1+p+m, 16
	for slots < 2*m {
		slots *= 2
	}
	if cap(c.acc) < cols {
		c.acc, c.abs, c.stamp, c.mag = make([]float64, cols), make([]float64, cols), make([]int32, cols), make([]float64, 0, cols)
	}
	c.acc, c.abs, c.stamp, c.mag = c.acc[:cols], c.abs[:cols], c.stamp[:cols], c.mag[:0]
	if cap(c.table) < slots {
		c.table = make([]int32, slots)
	}
	c.table = c.table[:slots]
	clear(c.table)
	c.neurons, c.outs, c.smooth, c.chain = c.neurons[:0], c.outs[:0], c.smooth[:0], c.chain[:0]
	c.idx, c.val, c.failed = c.idx[:0], c.val[:0], false
}

// column adds a column with the given bound on its value and returns the row that consists of it.
func (c *composer) column(mag float64) expr {
	c.mag = append(c.mag, mag)
	if !(mag <= maxMagnitude) {
		c.failed = true
	}
	return c.keep([]int32{int32(len(c.mag) - 1)}, []float64{1}, 0)
}

// keep copies a row into the arena.
func (c *composer) keep(idx []int32, val []float64, err float64) expr {
	n := len(idx)
	if cap(c.idx)-len(c.idx) < n {
		size := max(n, 2*cap(c.idx), 1024)
		c.idx, c.val = make([]int32, 0, size), make([]float64, 0, size)
	}
	a := len(c.idx)
	c.idx, c.val = append(c.idx, idx...), append(c.val, val...)
	return expr{c.idx[a : a+n : a+n], c.val[a : a+n : a+n], err}
}

func (c *composer) begin() {
	c.turn++
	c.touched, c.n, c.err = c.touched[:0], 0, 0
}

// add adds w·x.
func (c *composer) add(w float64, x *expr) {
	if w == 0 {
		return
	}
	c.n++
	c.err += math.Abs(w) * x.err
	for k, j := range x.idx {
		v := w * x.val[k]
		if c.stamp[j] != c.turn {
			c.stamp[j] = c.turn
			c.touched = append(c.touched, j)
			c.acc[j], c.abs[j] = v, math.Abs(v)
			continue
		}
		c.acc[j] += v
		c.abs[j] += math.Abs(v)
	}
}

// end returns the sum; slack is added to its error.
func (c *composer) end(slack float64) expr {
	scale, lost := 0.0, 0.0
	idx := c.touched[:0]
	for _, j := range c.touched {
		v, a := c.acc[j], c.abs[j]
		scale += a * c.mag[j]
		if math.Abs(v) <= 0x1p-44*a {
			lost += math.Abs(v) * c.mag[j]
			continue
		}
		idx = append(idx, j)
	}
	e := (c.err + slack + lost + gamma(c.n+4)*scale + tinyError) * (1 + gamma(c.n+len(c.touched)+16))
	if !(e <= maxMagnitude) || !(scale <= maxMagnitude) {
		c.failed = true
	}
	x := c.keep(idx, c.abs[:len(idx)], e)
	for k, j := range idx {
		x.val[k] = c.acc[j]
	}
	return x
}
