package op

import "github.com/spai-project/certify/nn/prog"

// A move is an output of an operator that only moves data: element i is element idx[i] of input 0, or fill where idx[i] is
// negative; a nil idx keeps all elements in place.
type move struct {
	shape []int
	idx   []int32
	fill  float64
}

// A planFunc computes the moves of a node. It reads the shape of in[0] but never its data, so one text serves evaluation
// and lowering, where in[0] has no data.
type planFunc func(n *Node, in []*Tensor) ([]move, error)

// moveEval evaluates by the plan.
func moveEval(lo, hi int, plan planFunc) evalFunc {
	return arity(lo, hi, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		moves, err := plan(n, in)
		if err != nil {
			return nil, err
		}
		out := make([]*Tensor, len(moves))
		for i, m := range moves {
			data := in[0].Data
			if m.idx != nil {
				data = gather(data, m.idx, m.fill)
			}
			out[i] = &Tensor{Type: in[0].Type, Shape: m.shape, Data: data}
		}
		return out, nil
	})
}

func gather(data []float64, idx []int32, fill float64) []float64 {
	out := make([]float64, len(idx))
	for i, j := range idx {
		if j >= 0 {
			out[i] = data[j]
		} else {
			out[i] = fill
		}
	}
	return out
}

// moveLower lowers by the plan: each output is an index map of input 0, plus the fill as bias. Exact.
func moveLower(hi int, plan planFunc) lowerFunc {
	return pad(hi, func(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
		if !in[0].variable() {
			return nil, unsupported(n, "parameters of a constant depend on the input")
		}
		params := make([]*Tensor, len(in))
		params[0] = &Tensor{Type: Float32, Shape: in[0].Shape}
		for i := 1; i < len(in); i++ {
			if in[i].variable() {
				return nil, unsupported(n, "input %d depends on the network input", i)
			}
			params[i] = in[i].Const
		}
		moves, err := plan(n, params)
		if err != nil {
			return nil, err
		}
		out := make([]Value, len(moves))
		for i, m := range moves {
			k, err := m.lower(n, b, in[0])
			if err != nil {
				return nil, err
			}
			out[i] = Value{Node: k, Shape: m.shape}
		}
		return out, nil
	})
}

func (m *move) lower(n *Node, b *prog.Builder, v Value) (int, error) {
	if identity(m.idx, Size(v.Shape)) {
		return v.Node, nil
	}
	var bias []float64
	if m.fill != 0 {
		if !finite([]float64{m.fill}) {
			return 0, unsupported(n, "the fill value is NaN or infinite")
		}
		bias = make([]float64, len(m.idx))
		for i, j := range m.idx {
			if j < 0 {
				bias[i] = m.fill
			}
		}
	}
	return b.Affine(n.Name, len(m.idx), bias, 0, prog.Term{Src: v.Node, Map: prog.Index(Size(v.Shape), m.idx)}), nil
}

// identity reports whether idx keeps n elements in place.
func identity(idx []int32, n int) bool {
	if idx == nil {
		return true
	}
	if len(idx) != n {
		return false
	}
	for i, j := range idx {
		if int(j) != i {
			return false
		}
	}
	return true
}
