package robust

import (
	"math"
	"math/big"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/verify"
)

// layer is one row of a chain of nodes.
func layer(typ string, attrs map[string]op.Attr, consts ...string) nn.DraftNode {
	return nn.DraftNode{Node: op.Node{Type: typ, Opset: 13, Attrs: attrs}, In: append([]string{""}, consts...)}
}

// chain is a network of nodes one after the other over two inputs; w is the identity, n x (0.25, 0.75).
func chain(t testing.TB, nodes ...nn.DraftNode) *nn.Graph {
	t.Helper()
	matrix := func(name string, v ...float64) nn.DraftConst {
		return nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Float32, Shape: []int{2, 2}, Data: v}}
	}
	d := &nn.Draft{Opset: 13, Hash: "hash", Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, 2}}},
		Outputs: []nn.DraftPort{{Name: "y"}},
		Consts:  []nn.DraftConst{matrix("w", 1, 0, 0, 1), matrix("zero", 0, 0, 0, 0), matrix("bias", 0.25, 0.75, 0, 0)}}
	d.Consts[2].Tensor.Shape, d.Consts[2].Tensor.Data = []int{2}, []float64{0.25, 0.75}
	from := "x"
	for i, n := range nodes {
		n.In[0], n.Out = from, []string{string(rune('a' + i))}
		if i == len(nodes)-1 {
			n.Out[0] = "y"
		}
		from = n.Out[0]
		d.Nodes = append(d.Nodes, n)
	}
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// larger tells which of two inputs that are not negative is larger: y = relu(x). The radius of x is half of their difference, as
// long as there is no clipping.
func larger(t testing.TB) *Model {
	return model(t, chain(t, layer("MatMul", nil, "w"), layer("Relu", nil), layer("MatMul", nil, "w")), verify.Real)
}

func model(t testing.TB, g *nn.Graph, s verify.Semantics) *Model {
	t.Helper()
	m, err := NewModel(g, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func header(t testing.TB, m *Model, set *data.Set, opt *EvalOptions) *Header {
	t.Helper()
	h, err := m.NewHeader(set, opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// points is a data set of pairs labelled by the larger one; every fifth has the wrong label.
func points(n int) *data.Set {
	s := &data.Set{Shape: []int{2}, Hash: "data"}
	for i := range n {
		a, b := float64(float32(0.5+0.4*math.Sin(float64(3*i)))), float64(float32(0.5+0.4*math.Cos(float64(5*i+1))))
		label := 0
		if b > a {
			label = 1
		}
		if i%5 == 4 {
			label = 1 - label
		}
		s.X, s.Labels, s.Names = append(s.X, a, b), append(s.Labels, label), append(s.Names, string(rune('A'+i)))
	}
	return s
}

// robustAt says in exact arithmetic whether no point of the ball, which lies within [0, 1], is lost by larger.
func robustAt(x []float64, label int, eps float64) bool {
	lead := new(big.Rat).Sub(rat(x[label]), rat(x[1-label]))
	return lead.Cmp(new(big.Rat).Mul(rat(2), rat(eps))) > 0
}

func rat(v float64) *big.Rat { return new(big.Rat).SetFloat64(v) }
