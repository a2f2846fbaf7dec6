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
	s := c.Room(1, 2*R)
	s, lower := s[:R], s[R:]
	for j := range n / R { // neurons
		rad := in[1][n+j*R:][:R]
		for r, m := range in[1][j*R:][:R] {
			s[r], lower[r] = relaxed(m-rad[r], m+rad[r])
		}
		for k := range o.K {
			at := (j*o.K + k) * R
			to := out[at:][:R]
			for r, a := range in[0][at:][:R] {
				to[r] = s[r]*max(a, 0) + lower[r]*min(a, 0)
			}
		}
	}
}

func (o slopeOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	R, n := c.Rows, len(in[1])/2
	room := c.Room(1, 3*R)
	s, lower, ds := room[:R], room[R:2*R], room[2*R:]
	for j := range n / R {
		center, rad := in[1][j*R:][:R], in[1][n+j*R:][:R]
		for r, m := range center {
			s[r], lower[r] = relaxed(m-rad[r], m+rad[r])
		}
		clear(ds)
		for k := range o.K {
			at := (j*o.K + k) * R
			g := dout[at:][:R]
			for r, a := range in[0][at:][:R] {
				ds[r] += g[r] * max(a, 0)
			}
			if din[0] == nil {
				continue
			}
			d := din[0][at:][:R]
			for r, a := range in[0][at:][:R] {
				slope := lower[r]
				if a >= 0 {
					slope = s[r]
				}
				d[r] += slope * g[r]
			}
		}
		if din[1] == nil {
			continue
		}
		for r, m := range center {
			if l, u := m-rad[r], m+rad[r]; l < 0 && u > 0 {
				// ∂s/∂u = −l/(u−l)², ∂s/∂l = u/(u−l)².
				width := u - l
				ends(din[1], j*R+r, n, ds[r]*u/(width*width), -ds[r]*l/(width*width))
			}
		}
	}
}

// ends adds gradients of the lower and the upper end of number i of a box of n: l = centre − radius, u = centre + radius.
func ends[T kernel.Float](dbox []T, i, n int, dl, du T) {
	dbox[i] += dl + du
	dbox[n+i] += du - dl
}

// offsetOp is the intercepts' part of the bound: Σ −s·l·a over the positive coefficients a.
type offsetOp[T kernel.Float] struct{ K int }

// intercept returns −s·l for an open ReLU, 0 for others.
func intercept[T kernel.Float](l, u T) T {
	if l >= 0 || u <= 0 {
		return 0
	}
	return -l * u / (u - l)
}

func (o offsetOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, n := c.Rows, len(in[1])/2
	t := c.Room(1, R)
	clear(out)
	for j := range n / R {
		rad := in[1][n+j*R:][:R]
		for r, m := range in[1][j*R:][:R] {
			t[r] = intercept(m-rad[r], m+rad[r])
		}
		for k := range o.K {
			sum := out[k*R:][:R]
			for r, a := range in[0][(j*o.K+k)*R:][:R] {
				sum[r] += t[r] * max(a, 0)
			}
		}
	}
}

func (o offsetOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	R, n := c.Rows, len(in[1])/2
	room := c.Room(1, 2*R)
	t, dt := room[:R], room[R:]
	for j := range n / R {
		center, rad := in[1][j*R:][:R], in[1][n+j*R:][:R]
		for r, m := range center {
			t[r] = intercept(m-rad[r], m+rad[r])
		}
		clear(dt)
		for k := range o.K {
			at := (j*o.K + k) * R
			g := dout[k*R:][:R]
			for r, a := range in[0][at:][:R] {
				dt[r] += g[r] * max(a, 0)
			}
			if din[0] == nil {
				continue
			}
			d := din[0][at:][:R]
			for r, a := range in[0][at:][:R] {
				if a > 0 {
					d[r] += g[r] * t[r]
				}
			}
		}
		if din[1] == nil {
			continue
		}
		for r, m := range center {
			if l, u := m-rad[r], m+rad[r]; l < 0 && u > 0 {
				// t = −l·u/(u−l): ∂t/∂l = −u²/(u−l)², ∂t/∂u = l²/(u−l)².
				width := u - l
				ends(din[1], j*R+r, n, -dt[r]*u*u/(width*width), dt[r]*l*l/(width*width))
			}
		}
	}
}

// maximumOp is the maximum of linear functions over the box of inputs, through which no gradient goes.
type maximumOp[T kernel.Float] struct{ K int }

func (o maximumOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, n := c.Rows, len(in[1])/2
	clear(out)
	for j := range n / R {
		center, rad := in[1][j*R:][:R], in[1][n+j*R:][:R]
		for k := range o.K {
			sum := out[k*R:][:R]
			for r, a := range in[0][(j*o.K+k)*R:][:R] {
				sum[r] += a*center[r] + max(a, -a)*rad[r]
			}
		}
	}
}

func (o maximumOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	if din[0] == nil {
		return
	}
	R, n := c.Rows, len(in[1])/2
	for j := range n / R {
		center, rad := in[1][j*R:][:R], in[1][n+j*R:][:R]
		for k := range o.K {
			at := (j*o.K + k) * R
			g, d := dout[k*R:][:R], din[0][at:][:R]
			for r, a := range in[0][at:][:R] {
				corner := center[r] + rad[r]
				if a < 0 {
					corner = center[r] - rad[r]
				}
				d[r] += g[r] * corner
			}
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
