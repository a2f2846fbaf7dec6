package nn

import (
	"cmp"
	"slices"

	"github.com/spai-project/certify/nn/op"
)

// A Summary describes a network in numbers.
type Summary struct {
	Inputs, Outputs []Port
	Ops             []OpCount // most frequent first
	Nodes           int
	Params          int64 // stored weights
	NonZero         int64 // of the constants that are used, the floating-point numbers other than 0
	MACs            int64 // multiply-accumulates of MatMul, Gemm, Conv and ConvTranspose
	Relus           int64 // elements through Relu nodes; what other operators lower to is not counted
	Widest          int   // elements of the largest value that depends on the inputs
}

// An OpCount says how often an operator occurs and how many elements it computes.
type OpCount struct {
	Type     string
	Count    int
	Elements int64
	Lowers   bool // the operator has rigorous bounds in at least some uses
}

// Summary counts what the graph consists of, after folding and without dead nodes.
func (g *Graph) Summary() Summary {
	s := Summary{Inputs: g.Inputs, Outputs: g.Outputs, Nodes: len(g.Nodes), Params: g.Params}
	for i := range g.Values {
		v := &g.Values[i]
		if v.Const == nil {
			s.Widest = max(s.Widest, op.Size(v.Shape))
		} else if isFloat(v.Type) {
			for _, x := range v.Const.Data {
				if x != 0 {
					s.NonZero++
				}
			}
		}
	}
	at := map[string]int{}
	for k := range g.Nodes {
		n := &g.Nodes[k]
		i, ok := at[n.Type]
		if !ok {
			i = len(s.Ops)
			at[n.Type] = i
			s.Ops = append(s.Ops, OpCount{Type: n.Type, Lowers: n.Spec.Lower != nil})
		}
		e := g.elements(n)
		s.Ops[i].Count++
		s.Ops[i].Elements += e
		s.MACs += g.macs(n)
		if n.Type == "Relu" {
			s.Relus += e
		}
	}
	slices.SortFunc(s.Ops, func(a, b OpCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type))
	})
	return s
}

// elements returns the number of elements a node computes.
func (g *Graph) elements(n *Node) int64 {
	var e int64
	for _, v := range n.Out {
		if v >= 0 {
			e += int64(op.Size(g.Values[v].Shape))
		}
	}
	return e
}

// macs returns the multiply-accumulates of a node: outputs times the length of the sum behind each.
func (g *Graph) macs(n *Node) int64 {
	if len(n.In) < 2 || n.In[0] < 0 || n.In[1] < 0 {
		return 0
	}
	a, b := g.Values[n.In[0]].Shape, g.Values[n.In[1]].Shape
	switch n.Type {
	case "MatMul":
		if len(a) > 0 {
			return g.elements(n) * int64(a[len(a)-1])
		}
	case "Gemm":
		if len(a) == 2 {
			return g.elements(n) * int64(a[1-int(n.Attrs["transA"].I&1)])
		}
	case "Conv":
		if len(b) > 0 && b[0] > 0 {
			return g.elements(n) * int64(op.Size(b)/b[0])
		}
	case "ConvTranspose": // every input element meets the kernels of its channel
		if len(b) > 0 && b[0] > 0 {
			return int64(op.Size(a)) * int64(op.Size(b)/b[0])
		}
	}
	return 0
}
