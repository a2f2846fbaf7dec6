package loss

import (
	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
)

// crown records the largest logits over the label's by one backward pass on interval bounds (Zhang et al. 2020): the rows
// W_k − W_label go back through the layers, a ReLU z ↦ h between u and l gives h ≤ u/(u−l)·(z−l) to positive coefficients and h ≥ z or
// h ≥ 0, whichever leaves less room, to negative ones. One copy of the coefficients for every class.
func (r *recorder[T]) crown(b boxes) tape.Value {
	K, last := r.net.Classes(), len(r.stages)-1
	p := train.Values(r.Tape, &r.stages[last])
	in := r.Width(b.after[last-1]) / 2
	a := r.Record(in, K, func() tape.Op[T] { return rowsOp[T]{K} }, b.after[last-1], p[0])
	sum := r.Record(1, K, func() tape.Op[T] { return biasRowsOp[T]{} }, b.after[last-1], p[1])
	for i := last - 1; i >= 0; i-- {
		s, before := &r.stages[i], b.input
		if i > 0 {
			before = b.after[i-1]
		}
		switch l := s.Layer.(type) {
		case train.ReLU:
			sum = r.Add(sum, r.Record(1, K, func() tape.Op[T] { return offsetOp[T]{K} }, a, before))
			a = r.Record(r.Width(a), K, func() tape.Op[T] { return slopeOp[T]{K} }, a, before)
		case train.Dense:
			p := train.Values(r.Tape, s)
			sum = r.Add(sum, r.Record(1, K, func() tape.Op[T] { return dotBiasOp[T]{K} }, a, p[1]))
			a = r.DenseTransposed(a, p[0], r.Width(before)/2)
		case train.Conv2D:
			p := train.Values(r.Tape, s)
			sum = r.Add(sum, r.Record(1, K, func() tape.Op[T] { return dotBiasOp[T]{K} }, a, p[1]))
			a = r.ConvTransposed(a, p[0], l.Geometry(s.In))
		case train.BatchNorm:
			C := s.In[0]
			sum = r.Add(sum, r.Record(1, K, func() tape.Op[T] { return shiftOp[T]{dotBiasOp[T]{K}, C} }, a, r.norms[i]))
			a = r.Record(r.Width(a), K, func() tape.Op[T] { return scaleOp[T]{C} }, a, r.norms[i])
		}
	}
	sum = r.Add(sum, r.Record(1, K, func() tape.Op[T] { return maximumOp[T]{K} }, a, b.input))
	return r.Record(K, 1, func() tape.Op[T] { return copyOp[T]{} }, sum)
}

// rowsOp makes the coefficients W_k − W_label. Its first input is there for the number of rows only.
type rowsOp[T kernel.Float] struct{ K int }

func (o rowsOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, w := c.Rows, in[1]
	for i := range len(w) / o.K {
		row := w[i*o.K:][:o.K]
		for k, v := range row {
			at := out[(i*o.K+k)*R:][:R]
			for r, y := range c.Labels {
				at[r] = v - row[y]
			}
		}
	}
}

func (o rowsOp[T]) Backward(c *tape.Context[T], _, dout []T, _, din [][]T) {
	if din[1] == nil {
		return
	}
	R := c.Rows
	for i := range len(din[1]) / o.K {
		row := din[1][i*o.K:][:o.K]
		for k := range row {
			for r, g := range dout[(i*o.K+k)*R:][:R] {
				row[k] += g
				row[c.Labels[r]] -= g
			}
		}
	}
}

// biasRowsOp makes b_k − b_label.
type biasRowsOp[T kernel.Float] struct{}

func (biasRowsOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	for k, v := range in[1] {
		for r, y := range c.Labels {
			out[k*c.Rows+r] = v - in[1][y]
		}
	}
}

func (biasRowsOp[T]) Backward(c *tape.Context[T], _, dout []T, _, din [][]T) {
	if din[1] == nil {
		return
	}
	for k := range din[1] {
		for r, g := range dout[k*c.Rows:][:c.Rows] {
			din[1][k] += g
			din[1][c.Labels[r]] -= g
		}
	}
}

// dotBiasOp is the inner product of coefficients with a bias that belongs to runs of neurons of equal length.
type dotBiasOp[T kernel.Float] struct{ K int }

func (o dotBiasOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R := c.Rows * o.K
	clear(out)
	n := len(in[0]) / R
	for i := range n {
		kernel.Axpy(out, in[0][i*R:][:R], in[1][i*len(in[1])/n])
	}
}

func (o dotBiasOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	R := c.Rows * o.K
	n := len(in[0]) / R
	for i := range n {
		b := i * len(in[1]) / n
		if din[0] != nil {
			kernel.Axpy(din[0][i*R:][:R], dout, in[1][b])
		}
		if din[1] != nil {
			din[1][b] += kernel.Dot(in[0][i*R:][:R], dout)
		}
	}
}

// shiftOp is dotBiasOp for the shifts of a normalisation.
type shiftOp[T kernel.Float] struct {
	dotBiasOp[T]
	channels int
}

func (o shiftOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	o.dotBiasOp.Forward(c, out, [][]T{in[0], in[1][o.channels : 2*o.channels]})
}

func (o shiftOp[T]) Backward(c *tape.Context[T], out, dout []T, in, din [][]T) {
	var dnorm []T
	if din[1] != nil {
		dnorm = din[1][o.channels : 2*o.channels]
	}
	o.dotBiasOp.Backward(c, out, dout, [][]T{in[0], in[1][o.channels : 2*o.channels]}, [][]T{din[0], dnorm})
}

// scaleOp takes coefficients of the outputs of a normalisation to those of its inputs.
type scaleOp[T kernel.Float] struct{ channels int }

func (o scaleOp[T]) Forward(_ *tape.Context[T], out []T, in [][]T) {
	n := len(out) / o.channels
	for c, s := range in[1][:o.channels] {
		clear(out[c*n:][:n])
		kernel.Axpy(out[c*n:][:n], in[0][c*n:], s)
	}
}

func (o scaleOp[T]) Backward(_ *tape.Context[T], _, dout []T, in, din [][]T) {
	n := len(dout) / o.channels
	for c, s := range in[1][:o.channels] {
		if din[0] != nil {
			kernel.Axpy(din[0][c*n:][:n], dout[c*n:], s)
		}
		if din[1] != nil {
			din[1][c] += kernel.Dot(dout[c*n:][:n], in[0][c*n:])
		}
	}
}

// relaxed is the relaxation of a ReLU on [l, u]: the slope and intercept of the upper line, and the slope of the lower one. The
// slopes' choice is a constant of the gradient.
func relaxed[T kernel.Float](l, u T) (s, lower T) {
	switch {
	case l >= 0:
		return 1, 1
	case u <= 0:
		return 0, 0
	case u > -l:
		lower = 1
	}
	return u / (u - l), lower
}

// slopeOp takes coefficients of a ReLU's outputs to those of its inputs.
type slopeOp[T kernel.Float] struct{ K int }

func (o slopeOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, n := c.Rows, len(in[1])/2
	for i, m := range in[1][:n] {
		s, lower := relaxed(m-in[1][n+i], m+in[1][n+i])
		neuron, row := i/R, i%R
		for k := range o.K {
			at := (neuron*o.K+k)*R + row
			if a := in[0][at]; a >= 0 {
				out[at] = s * a
			} else {
				out[at] = lower * a
			}
		}
	}
}

func (o slopeOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	R, n := c.Rows, len(in[1])/2
	for i, m := range in[1][:n] {
		l, u := m-in[1][n+i], m+in[1][n+i]
		s, lower := relaxed(l, u)
		neuron, row, ds := i/R, i%R, T(0)
		for k := range o.K {
			at := (neuron*o.K+k)*R + row
			a, g := in[0][at], dout[at]
			slope := lower
			if a >= 0 {
				slope = s
				ds += g * a
			}
			if din[0] != nil {
				din[0][at] += slope * g
			}
		}
		if din[1] != nil && l < 0 && u > 0 {
			// ∂s/∂u = −l/(u−l)², ∂s/∂l = u/(u−l)²; l = centre − radius, u = centre + radius.
			width := u - l
			dl, du := ds*u/(width*width), -ds*l/(width*width)
			din[1][i] += dl + du
			din[1][n+i] += du - dl
		}
	}
}

// offsetOp is the intercepts' part of the bound: Σ −s·l·a over the positive coefficients a.
type offsetOp[T kernel.Float] struct{ K int }

func (o offsetOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, n := c.Rows, len(in[1])/2
	clear(out)
	for i, m := range in[1][:n] {
		l, u := m-in[1][n+i], m+in[1][n+i]
		if l >= 0 || u <= 0 {
			continue
		}
		t := -l * u / (u - l)
		neuron, row := i/R, i%R
		for k := range o.K {
			if a := in[0][(neuron*o.K+k)*R+row]; a > 0 {
				out[k*R+row] += t * a
			}
		}
	}
}

func (o offsetOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	R, n := c.Rows, len(in[1])/2
	for i, m := range in[1][:n] {
		l, u := m-in[1][n+i], m+in[1][n+i]
		if l >= 0 || u <= 0 {
			continue
		}
		width := u - l
		t, dt := -l*u/width, T(0)
		neuron, row := i/R, i%R
		for k := range o.K {
			at := (neuron*o.K+k)*R + row
			if a := in[0][at]; a > 0 {
				g := dout[k*R+row]
				dt += g * a
				if din[0] != nil {
					din[0][at] += g * t
				}
			}
		}
		if din[1] != nil {
			// t = −l·u/(u−l): ∂t/∂l = −u²/(u−l)², ∂t/∂u = l²/(u−l)².
			dl, du := -dt*u*u/(width*width), dt*l*l/(width*width)
			din[1][i] += dl + du
			din[1][n+i] += du - dl
		}
	}
}

// maximumOp is the maximum of linear functions over the box of inputs, through which no gradient goes.
type maximumOp[T kernel.Float] struct{ K int }

func (o maximumOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, n := c.Rows, len(in[1])/2
	clear(out)
	for i, m := range in[1][:n] {
		rad, neuron, row := in[1][n+i], i/R, i%R
		for k := range o.K {
			a := in[0][(neuron*o.K+k)*R+row]
			out[k*R+row] += a*m + max(a, -a)*rad
		}
	}
}

func (o maximumOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	if din[0] == nil {
		return
	}
	R, n := c.Rows, len(in[1])/2
	for i, m := range in[1][:n] {
		rad, neuron, row := in[1][n+i], i/R, i%R
		for k := range o.K {
			at := (neuron*o.K+k)*R + row
			d := m + rad
			if in[0][at] < 0 {
				d = m - rad
			}
			din[0][at] += dout[k*R+row] * d
		}
	}
}

// copyOp reads the copies of one number as the numbers of one copy.
type copyOp[T kernel.Float] struct{}

func (copyOp[T]) Forward(_ *tape.Context[T], out []T, in [][]T) { copy(out, in[0]) }

func (copyOp[T]) Backward(_ *tape.Context[T], _, dout []T, _, din [][]T) {
	if din[0] != nil {
		kernel.Axpy(din[0], dout, 1)
	}
}
