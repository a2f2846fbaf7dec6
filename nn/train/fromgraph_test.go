package train

import (
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// TestFromGraph wants every network back from its graph: layers, parameters and where they came from.
func TestFromGraph(t *testing.T) {
	for _, c := range networks {
		if c.name == "planes last" { // its flattening node follows the convolution
			continue
		}
		net := mustNew[float32](t, 1, c.input, c.layers...)
		g, err := net.Graph()
		if err != nil {
			t.Fatal(err)
		}
		back, sources, err := FromGraph[float32](g)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(back.Weights, net.Weights) {
			t.Errorf("%s: other weights", c.name)
		}
		for i, p := range net.Params() {
			if sources[i].Name != p.Name || !slices.Equal(sources[i].Shape, p.Shape) {
				t.Errorf("%s: %s came from %+v", c.name, p.Name, sources[i])
			}
		}
	}
}

// TestFromGraphForms reads what other programs write: transposed weights, a bias that is added later, none at all, and says which
// node cannot be trained.
func TestFromGraphForms(t *testing.T) {
	node := func(kind string, attrs map[string]op.Attr, out string, in ...string) nn.DraftNode {
		return nn.DraftNode{Node: op.Node{Name: kind, Type: kind, Opset: 13, Attrs: attrs, Outputs: 1}, In: in, Out: []string{out}}
	}
	constant := func(name string, shape []int, data ...float64) nn.DraftConst {
		return nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Float32, Shape: shape, Data: data}}
	}
	draft := func(nodes ...nn.DraftNode) *nn.Draft {
		return &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, 2}}},
			Outputs: []nn.DraftPort{{Name: "y"}}, Nodes: nodes, Consts: []nn.DraftConst{
				constant("A", []int{3, 2}, 1, 2, 3, 4, 5, 6), constant("B", []int{3, 2}, 1, -1, 2, -2, 3, -3), constant("b", []int{1, 2}, 7, 8)}}
	}
	transB := map[string]op.Attr{"transB": {I: 1}}
	g, err := nn.Build(draft(node("Gemm", transB, "h", "x", "A"), node("Relu", nil, "r", "h"), node("MatMul", nil, "z", "r", "B"),
		node("Add", nil, "y", "b", "z")))
	if err != nil {
		t.Fatal(err)
	}
	net, sources, err := FromGraph[float64](g)
	if err != nil {
		t.Fatal(err)
	}
	y, err := net.Logits(ctx, []float64{1, -2}, 1)
	if err != nil {
		t.Fatal(err)
	}
	want, err := g.EvalFlat([]float64{1, -2})
	if err != nil || !slices.Equal(y, want) {
		t.Errorf("net %v, graph %v, error %v", y, want, err)
	}
	back := make([]float32, 6)
	sources[0].Unload(back, []float32{1, 3, 5, 2, 4, 6})
	if !sources[0].Transposed || !slices.Equal(back, []float32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("source %+v, unloaded %v", sources[0], back)
	}
	if sources[1].Name != "" || sources[3].Name != "b" {
		t.Errorf("biases came from %+v and %+v", sources[1], sources[3])
	}
	g, err = nn.Build(draft(node("Gemm", transB, "h", "x", "A"), node("Sigmoid", nil, "r", "h"), node("MatMul", nil, "y", "r", "B")))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := FromGraph[float64](g); err == nil || !strings.Contains(err.Error(), "Sigmoid") {
		t.Errorf("a Sigmoid: %v", err)
	}
}

// TestFromGraphShapes wants graphs refused in which what only changes shapes makes a layer another function than that of a net.
func TestFromGraphShapes(t *testing.T) {
	node := func(kind string, attrs map[string]op.Attr, out string, in ...string) nn.DraftNode {
		return nn.DraftNode{Node: op.Node{Name: kind + out, Type: kind, Opset: 13, Attrs: attrs, Outputs: 1}, In: in, Out: []string{out}}
	}
	ones := func(name string, shape ...int) nn.DraftConst {
		c := &op.Tensor{Type: op.Float32, Shape: shape, Data: make([]float64, op.Size(shape))}
		for i := range c.Data {
			c.Data[i] = float64(i%3) + 1
		}
		return nn.DraftConst{Name: name, Tensor: c}
	}
	shape := func(name string, v ...float64) nn.DraftConst {
		return nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Int64, Shape: []int{len(v)}, Data: v}}
	}
	norm := func(n int) []nn.DraftConst {
		return []nn.DraftConst{ones("s", n), ones("o", n), ones("m", n), ones("v", n)}
	}
	for _, c := range []struct {
		name   string
		consts []nn.DraftConst
		nodes  []nn.DraftNode
	}{
		{"planes become lines", []nn.DraftConst{ones("A", 4, 1, 3, 3), shape("S", 1, 1, 8, 8), ones("B", 1, 1, 3, 3)},
			[]nn.DraftNode{node("Conv", nil, "h", "x", "A"), node("Reshape", nil, "r", "h", "S"), node("Conv", nil, "y", "r", "B")}},
		{"height becomes width", []nn.DraftConst{ones("A", 4, 1, 3, 3), shape("S", 1, 4, 2, 8), ones("B", 1, 4, 2, 2)},
			[]nn.DraftNode{node("Conv", nil, "h", "x", "A"), node("Reshape", nil, "r", "h", "S"), node("Conv", nil, "y", "r", "B")}},
		{"a batch", []nn.DraftConst{ones("A", 4, 1, 3, 3), shape("S", 4, 16), ones("B", 16, 2)},
			[]nn.DraftNode{node("Conv", nil, "h", "x", "A"), node("Reshape", nil, "r", "h", "S"), node("Gemm", nil, "y", "r", "B")}},
		{"a norm of every number", append(norm(64), ones("A", 4, 1, 3, 3)), []nn.DraftNode{node("Conv", nil, "h", "x", "A"),
			node("Flatten", nil, "r", "h"), node("BatchNormalization", nil, "y", "r", "s", "o", "m", "v")}},
		{"a sum that is a matrix", []nn.DraftConst{ones("A", 36, 3), ones("b", 3, 1)}, []nn.DraftNode{node("Flatten", nil, "f", "x"),
			node("MatMul", nil, "h", "f", "A"), node("Add", nil, "y", "h", "b")}},
	} {
		g, err := nn.Build(&nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, 1, 6, 6}}},
			Outputs: []nn.DraftPort{{Name: "y"}}, Nodes: c.nodes, Consts: c.consts})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panic: %v", c.name, p)
				}
			}()
			if _, _, err := FromGraph[float64](g); err == nil {
				t.Errorf("%s: no error", c.name)
			}
		}()
	}
}
