package op

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/prog"
)

type lowerFunc = func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error)

// Absent reports whether v stands for an optional input that the node does not have: no constant and a negative Node.
func (v Value) Absent() bool { return v.Const == nil && v.Node < 0 }

// variable reports whether v depends on the network input.
func (v Value) variable() bool { return v.Const == nil && v.Node >= 0 }

// unsupported returns the error that refuses to bound n.
func unsupported(n *Node, format string, args ...any) error {
	return &UnsupportedError{Node: n.Name, Op: n.Type, Why: fmt.Sprintf(format, args...)}
}

// pad extends in to hi entries with absent values, so that lowerings may index optional inputs.
func pad(hi int, f lowerFunc) lowerFunc {
	return func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		for len(in) < hi {
			in = append(in[:len(in):len(in)], Value{Node: -1})
		}
		if len(out) == 0 {
			return nil, unsupported(n, "no output shape")
		}
		return f(n, b, in, out)
	}
}

// finite reports whether no entry is NaN or infinite.
func finite(v []float64) bool {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// realConst checks that a constant operand can take part in real arithmetic: floating-point type and finite entries.
func realConst(n *Node, t *Tensor) error {
	if t.Type.integer() {
		return unsupported(n, "integer arithmetic on an input-dependent value")
	}
	if !finite(t.Data) {
		return unsupported(n, "a constant operand is NaN or infinite")
	}
	return nil
}

// node is a Value of the program.
func node(k int, shape []int) []Value { return []Value{{Node: k, Shape: shape}} }

// spread returns the constant broadcast to shape out; the result may alias t.Data.
func spread(t *Tensor, out []int) []float64 {
	idx := broadcastIndex(t.Shape, out)
	if idx == nil {
		return t.Data
	}
	v := make([]float64, len(idx))
	for i, j := range idx {
		v[i] = t.Data[j]
	}
	return v
}

// selection returns the map out[i] = s[i]·in[idx[i]]: idx nil is the identity, s nil is all ones, negative entries of idx
// and zeros of s give zero rows.
func selection(in int, idx []int32, s []float64) prog.Linear {
	switch {
	case idx == nil && s == nil:
		return prog.Identity(in)
	case idx == nil:
		return prog.Diag(s)
	case s == nil:
		return prog.Index(in, idx)
	}
	var m csr
	for i, j := range idx {
		if j >= 0 && s[i] != 0 {
			m.add(j, s[i])
		}
		m.endRow()
	}
	return m.linear(in)
}

// term returns c·v broadcast to shape out, v a variable.
func term(v Value, out []int, c float64) prog.Term {
	idx := broadcastIndex(v.Shape, out)
	if c == 1 {
		return prog.Term{Src: v.Node, Map: selection(Size(v.Shape), idx, nil)}
	}
	return scaledTerm(v, out, constant(c, Size(out)))
}

// scaledTerm returns s·v (elementwise) with v broadcast to shape out.
func scaledTerm(v Value, out []int, s []float64) prog.Term {
	return prog.Term{Src: v.Node, Map: selection(Size(v.Shape), broadcastIndex(v.Shape, out), s)}
}

// constant returns n copies of c.
func constant(c float64, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = c
	}
	return s
}

// csr collects a sparse matrix row by row.
type csr struct {
	ptr, idx []int32
	val      []float64
}

func (m *csr) add(j int32, v float64) { m.idx, m.val = append(m.idx, j), append(m.val, v) }

func (m *csr) endRow() {
	if m.ptr == nil {
		m.ptr = append(m.ptr, 0)
	}
	m.ptr = append(m.ptr, int32(len(m.idx)))
}

func (m *csr) linear(cols int) prog.Linear {
	if m.ptr == nil {
		m.ptr = []int32{0}
	}
	return prog.Sparse(len(m.ptr)-1, cols, m.ptr, m.idx, m.val)
}
