package prog

import "math"

// Composition of two maps when one of them has at most one nonzero per row, so that no sum is formed: every entry of the
// product is one entry, or one product of two.

// A mono is a map with at most one nonzero per row: out[i] = val[i]·in[idx[i]], or 0 where idx[i] < 0.
type mono struct {
	n   int // columns
	idx []int32
	val []float64
}

// asMono returns the map in that form, if it has it.
func asMono(l Linear) (*mono, bool) {
	s, ok := asSparse(l)
	if !ok || s.rowFan > 1 {
		return nil, false
	}
	q := &mono{n: s.n, idx: make([]int32, s.m), val: make([]float64, s.m)}
	for i := range s.m {
		q.idx[i] = -1
		if idx, val := s.csr.Row(i); len(idx) == 1 && val[0] != 0 {
			q.idx[i], q.val[i] = idx[0], val[0]
		}
	}
	return q, true
}

// isIdentity reports whether the map is exactly the identity.
func (q *mono) isIdentity() bool {
	if q.n != len(q.idx) {
		return false
	}
	for i, j := range q.idx {
		if int(j) != i || q.val[i] != 1 {
			return false
		}
	}
	return true
}

// injective reports whether no column is used twice.
func (q *mono) injective() bool {
	used := make([]bool, q.n)
	for _, j := range q.idx {
		if j >= 0 {
			if used[j] {
				return false
			}
			used[j] = true
		}
	}
	return true
}

// perChannel returns one factor per channel if the map is diagonal and constant on each of c equal parts.
func (q *mono) perChannel(c int) ([]float64, bool) {
	if c == 0 || q.n != len(q.idx) || q.n%c != 0 {
		return nil, false
	}
	s, hw := make([]float64, c), q.n/c
	for i, j := range q.idx {
		if int(j) != i || q.val[i] != q.val[i/hw*hw] {
			return nil, false
		}
		s[i/hw] = q.val[i]
	}
	return s, true
}

// minNormalProduct is a magnitude above which the rounding error of a product of two float64 is itself a float64, so that
// one fused multiply-add computes it exactly.
const minNormalProduct = 0x1p-960

// A multiplier multiplies coefficients and remembers whether every product was exact, and whether any could not be
// bounded (overflow or underflow).
type multiplier struct{ inexact, failed bool }

func (m *multiplier) mul(a, b float64) float64 {
	p := a * b
	switch {
	case a == 0 || b == 0 || math.Abs(a) == 1 || math.Abs(b) == 1:
	case !(math.Abs(p) >= minNormalProduct) || math.IsInf(p, 0):
		m.failed = true
	case math.FMA(a, b, -p) != 0:
		m.inexact = true
	}
	return p
}

// composed is the result of a composition: exact says that no product was rounded.
type composed struct {
	m     Linear
	exact bool
}

// after returns q∘l (the rows of l selected and scaled), if it is representable without making it larger.
func (q *mono) after(l Linear) (composed, bool) {
	if q.isIdentity() {
		return composed{l, true}, true
	}
	var x multiplier
	var out Linear
	switch l := l.(type) {
	case *denseMap:
		if len(q.idx) > l.m {
			return composed{}, false
		}
		w := make([]float64, len(q.idx)*l.n)
		for i, j := range q.idx {
			if j >= 0 {
				for k, v := range l.weights(int(j)) {
					w[i*l.n+k] = x.mul(q.val[i], v)
				}
			}
		}
		out = Dense(len(q.idx), l.n, w)
	case *sparseMap, diagMap:
		s, _ := asSparse(l)
		if out = q.afterSparse(s, &x); out == nil {
			return composed{}, false
		}
	case *convMap:
		s, ok := q.perChannel(l.g.M)
		if !ok {
			return composed{}, false
		}
		out = Conv(l.g, l.scaled(&x, func(m, _ int) float64 { return s[m] }))
	case transposedWindowed:
		s, ok := q.perChannel(l.c.g.C)
		if !ok {
			return composed{}, false
		}
		out = Transpose(Conv(l.c.g, l.c.scaled(&x, func(_, c int) float64 { return s[c] })))
	default:
		return composed{}, false
	}
	return composed{out, !x.inexact}, !x.failed
}

// scaled returns the weights multiplied by a factor per (output channel, input channel).
func (c *convMap) scaled(x *multiplier, f func(m, ch int) float64) []float64 {
	g := &c.g
	w := make([]float64, len(c.w))
	mg, cg := g.M/g.Group, g.C/g.Group
	for k, v := range c.w {
		ci := k / (g.KH * g.KW)
		m := ci / cg
		w[k] = x.mul(f(m, m/mg*cg+ci%cg), v)
	}
	return w
}

// afterSparse is after for compressed rows; nil if rows are repeated so often that the result would be larger.
func (q *mono) afterSparse(s *sparseMap, x *multiplier) Linear {
	b := newCSRBuilder(len(q.idx), len(s.csr.Values()))
	for i, j := range q.idx {
		if j >= 0 {
			idx, val := s.csr.Row(int(j))
			for k := range idx {
				b.add(idx[k], x.mul(q.val[i], val[k]))
			}
		}
		b.endRow()
	}
	if len(b.idx) > max(len(s.csr.Values()), len(q.idx)) {
		return nil
	}
	return b.build(s.n)
}

// before returns l∘q (the columns of l renamed and scaled), if no two columns of l fall together in it.
func (q *mono) before(l Linear) (composed, bool) {
	if q.isIdentity() {
		return composed{l, true}, true
	}
	var x multiplier
	var out Linear
	switch l := l.(type) {
	case *denseMap:
		if !q.injective() {
			return composed{}, false
		}
		out = q.beforeDense(l, &x)
	case *sparseMap, diagMap:
		s, _ := asSparse(l)
		if out = q.beforeSparse(s, &x); out == nil {
			return composed{}, false
		}
	case *convMap:
		s, ok := q.perChannel(l.g.C)
		if !ok {
			return composed{}, false
		}
		out = Conv(l.g, l.scaled(&x, func(_, c int) float64 { return s[c] }))
	case transposedWindowed:
		s, ok := q.perChannel(l.c.g.M)
		if !ok {
			return composed{}, false
		}
		out = Transpose(Conv(l.c.g, l.c.scaled(&x, func(m, _ int) float64 { return s[m] })))
	default:
		return composed{}, false
	}
	return composed{out, !x.inexact}, !x.failed
}

// beforeDense stays dense unless most columns of the result would be zero.
func (q *mono) beforeDense(l *denseMap, x *multiplier) Linear {
	if 4*l.n < q.n {
		b := newCSRBuilder(l.m, len(l.w))
		for i := range l.m {
			for k, v := range l.weights(i) {
				if q.idx[k] >= 0 && v != 0 {
					b.add(q.idx[k], x.mul(v, q.val[k]))
				}
			}
			b.endRow()
		}
		return b.build(q.n)
	}
	w := make([]float64, l.m*q.n)
	for i := range l.m {
		for k, v := range l.weights(i) {
			if j := q.idx[k]; j >= 0 {
				w[i*q.n+int(j)] = x.mul(v, q.val[k])
			}
		}
	}
	return Dense(l.m, q.n, w)
}

// beforeSparse is before for compressed rows; nil if two entries of a row would fall together.
func (q *mono) beforeSparse(s *sparseMap, x *multiplier) Linear {
	last := make([]int32, q.n) // row in which a column was last used, plus one
	b := newCSRBuilder(s.m, len(s.csr.Values()))
	for i := range s.m {
		idx, val := s.csr.Row(i)
		for k, c := range idx {
			j := q.idx[c]
			if j < 0 {
				continue
			}
			if last[j] == int32(i)+1 {
				return nil
			}
			last[j] = int32(i) + 1
			b.add(j, x.mul(val[k], q.val[c]))
		}
		b.endRow()
	}
	return b.build(q.n)
}

// A csrBuilder collects compressed rows.
type csrBuilder struct {
	ptr, idx []int32
	val      []float64
}

func newCSRBuilder(rows, nnz int) *csrBuilder {
	return &csrBuilder{ptr: append(make([]int32, 0, rows+1), 0), idx: make([]int32, 0, nnz), val: make([]float64, 0, nnz)}
}

func (b *csrBuilder) add(j int32, v float64) { b.idx, b.val = append(b.idx, j), append(b.val, v) }
func (b *csrBuilder) endRow()                { b.ptr = append(b.ptr, int32(len(b.idx))) }
func (b *csrBuilder) build(n int) Linear     { return Sparse(len(b.ptr)-1, n, b.ptr, b.idx, b.val) }
