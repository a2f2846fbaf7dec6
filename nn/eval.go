package nn

import (
	"fmt"

	"github.com/spai-project/certify/nn/op"
)

// NumInputs returns the number of elements of all inputs together.
func (g *Graph) NumInputs() int { return numElements(g.Inputs) }

// NumOutputs returns the number of elements of all outputs together.
func (g *Graph) NumOutputs() int { return numElements(g.Outputs) }

func numElements(ports []Port) int {
	n := 0
	for _, p := range ports {
		n += op.Size(p.Shape)
	}
	return n
}

// Eval computes the outputs in float64 for one tensor per input, in declaration order. An input needs the right number of
// elements; it is read in the declared shape. The inputs are not changed; outputs may share memory with them.
func (g *Graph) Eval(in []*op.Tensor) ([]*op.Tensor, error) {
	return g.run(in, nil)
}

// EvalFlat computes the outputs, concatenated in declaration order, for the inputs concatenated likewise, in float64.
func (g *Graph) EvalFlat(x []float64) ([]float64, error) { return g.flat(x, nil) }

// EvalFloat32 is EvalFlat with the inputs and every node's result rounded to float32 (where the graph says float32): one
// plausible float32 execution, in which sums within a node carry more digits. It replays witnesses; it proves nothing.
func (g *Graph) EvalFloat32(x []float64) ([]float64, error) { return g.flat(x, roundFloat32) }

func (g *Graph) flat(x []float64, round func(*op.Tensor) *op.Tensor) ([]float64, error) {
	if len(x) != g.NumInputs() {
		return nil, fmt.Errorf("nn: %d input elements given, the network has %d", len(x), g.NumInputs())
	}
	in := make([]*op.Tensor, len(g.Inputs))
	for i, p := range g.Inputs {
		n := op.Size(p.Shape)
		in[i] = &op.Tensor{Type: p.Type, Shape: p.Shape, Data: x[:n:n]}
		x = x[n:]
	}
	out, err := g.run(in, round)
	if err != nil {
		return nil, err
	}
	y := make([]float64, 0, g.NumOutputs())
	for _, t := range out {
		y = append(y, t.Data...)
	}
	return y, nil
}

// run evaluates the nodes in order and drops every value after its last use. round, if any, is applied to every value
// that no file stores: inputs, results, folded constants.
func (g *Graph) run(in []*op.Tensor, round func(*op.Tensor) *op.Tensor) ([]*op.Tensor, error) {
	if len(in) != len(g.Inputs) {
		return nil, fmt.Errorf("nn: %d inputs given, the network has %d", len(in), len(g.Inputs))
	}
	if round == nil {
		round = func(t *op.Tensor) *op.Tensor { return t }
	}
	val := make([]*op.Tensor, len(g.Values))
	for i := range g.Values {
		val[i] = g.Values[i].Const
	}
	for i, p := range g.Inputs {
		if in[i] == nil || len(in[i].Data) != op.Size(p.Shape) {
			return nil, fmt.Errorf("nn: input %q needs %d elements (shape %v)", p.Name, op.Size(p.Shape), p.Shape)
		}
		val[p.Value] = round(&op.Tensor{Type: p.Type, Shape: p.Shape, Data: in[i].Data})
	}
	var args []*op.Tensor
	for k := range g.Nodes {
		n := &g.Nodes[k]
		args = args[:0]
		for _, v := range n.In {
			if v < 0 {
				args = append(args, nil)
			} else {
				args = append(args, val[v])
			}
		}
		out, err := evalNode(n, args)
		if err != nil {
			return nil, err
		}
		for i, v := range n.Out {
			if v >= 0 {
				val[v] = round(out[i])
			}
		}
		if g.free != nil {
			for _, v := range g.free[k] {
				val[v] = nil
			}
		}
	}
	res := make([]*op.Tensor, len(g.Outputs))
	for i, p := range g.Outputs {
		res[i] = val[p.Value]
	}
	return res, nil
}

// roundFloat32 returns t with float32 and float16 elements rounded to float32; t itself when that changes nothing.
func roundFloat32(t *op.Tensor) *op.Tensor {
	if t.Type != op.Float32 && t.Type != op.Float16 {
		return t
	}
	for i, v := range t.Data {
		if float64(float32(v)) == v {
			continue
		}
		r := &op.Tensor{Type: t.Type, Shape: t.Shape, Data: make([]float64, len(t.Data))}
		copy(r.Data, t.Data[:i])
		for j := i; j < len(t.Data); j++ {
			r.Data[j] = float64(float32(t.Data[j]))
		}
		return r
	}
	return t
}

// liveness returns, for every node, the values that no later node and no output reads.
func (g *Graph) liveness() [][]int {
	last := make([]int, len(g.Values))
	for v := range last {
		last[v] = -1
	}
	for k := range g.Nodes {
		for _, v := range g.Nodes[k].Out {
			if v >= 0 {
				last[v] = k
			}
		}
		for _, v := range g.Nodes[k].In {
			if v >= 0 {
				last[v] = k
			}
		}
	}
	for _, p := range g.Outputs {
		last[p.Value] = -1
	}
	free := make([][]int, len(g.Nodes))
	for v, k := range last {
		if k >= 0 {
			free[k] = append(free[k], v)
		}
	}
	return free
}
