package nn

import (
	"errors"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/op"
)

// vec is a float32 constant of shape [n].
func vec(v ...float64) *op.Tensor {
	return &op.Tensor{Type: op.Float32, Shape: []int{len(v)}, Data: v}
}

// nd is a node for drafts.
func nd(typ, out string, in ...string) DraftNode {
	return DraftNode{Node: op.Node{Type: typ, Opset: 13}, In: in, Out: []string{out}}
}

// draft has inputs of shape [2] and outputs by name.
func draft(in, out []string, consts map[string]*op.Tensor, nodes ...DraftNode) *Draft {
	d := &Draft{Opset: 13, Nodes: nodes}
	for _, name := range in {
		d.Inputs = append(d.Inputs, DraftPort{Name: name, Type: op.Float32, Shape: []int{2}})
	}
	for _, name := range out {
		d.Outputs = append(d.Outputs, DraftPort{Name: name})
	}
	for name, t := range consts {
		d.Consts = append(d.Consts, DraftConst{Name: name, Tensor: t})
	}
	return d
}

func build(t *testing.T, d *Draft) *Graph {
	t.Helper()
	g, err := Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestBuildSortsAndPrunes gives nodes in reverse with a dead branch and unused constants.
func TestBuildSortsAndPrunes(t *testing.T) {
	g := build(t, draft([]string{"x"}, []string{"y"}, map[string]*op.Tensor{"w": vec(1, -3), "unused": vec(7)},
		nd("Relu", "y", "b"), nd("Relu", "dead", "a"), nd("Add", "b", "a", "w"), nd("Relu", "a", "x")))
	var order []string
	for _, n := range g.Nodes {
		order = append(order, n.Name)
	}
	if got := strings.Join(order, " "); got != "a b y" {
		t.Errorf("nodes %q, want a b y", got)
	}
	if len(g.Values) != 5 {
		t.Errorf("%d values, want x, w, a, b, y", len(g.Values))
	}
	for _, v := range g.Values {
		if len(v.Shape) != 1 || v.Shape[0] != 2 {
			t.Errorf("value %s has shape %v, want [2]", v.Name, v.Shape)
		}
	}
	y, err := g.EvalFlat([]float64{2, 2})
	if err != nil || y[0] != 3 || y[1] != 0 {
		t.Errorf("got %v %v, want [3 0]", y, err)
	}
	if _, err := g.EvalFlat([]float64{1}); err == nil {
		t.Error("too few inputs are accepted")
	}
}

// TestFolding checks that constants are folded exactly when float64 computes them without rounding.
func TestFolding(t *testing.T) {
	tests := []struct {
		name string
		w    *op.Tensor
		node DraftNode
		fold bool
	}{
		{"moves do not round", vec(0.1, 3e8), nd("Relu", "c", "w"), true},
		{"small integers", vec(7, 2), nd("Mul", "c", "w", "w"), true},
		{"halves", vec(7.5, 2), nd("Add", "c", "w", "w"), true},
		{"a product that rounds", vec(float64(float32(0.1)), 0x1p40), nd("Mul", "c", "w", "w"), false},
		{"a function that rounds", vec(0, 0), nd("Sigmoid", "c", "w"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := build(t, draft([]string{"x"}, []string{"y"}, map[string]*op.Tensor{"w": tt.w}, tt.node, nd("Add", "y", "x", "c")))
			if got := len(g.Nodes) == 1; got != tt.fold {
				t.Errorf("folded: %v, want %v", got, tt.fold)
			}
			want, err := g.EvalFlat([]float64{0.5, -1})
			if err != nil {
				t.Fatal(err)
			}
			p, err := g.Lower()
			var u *UnsupportedError
			if errors.As(err, &u) && u.Nodes[0].Op == "Mul" {
				return // a product of two variables, which is what an unfolded constant is
			}
			if err != nil {
				t.Fatal(err)
			}
			got := p.Eval([]float64{0.5, -1}, 1, nil)[p.Output]
			if got[0] != want[0] || got[1] != want[1] {
				t.Errorf("program %v, graph %v", got, want)
			}
		})
	}
}

// TestLowerPorts covers several inputs and outputs, an output that is an input, one that is a constant.
func TestLowerPorts(t *testing.T) {
	g := build(t, draft([]string{"u", "v"}, []string{"s", "v", "w", "s"}, map[string]*op.Tensor{"w": vec(5, 6)},
		nd("Add", "s", "u", "v")))
	x := []float64{1, 2, 10, 20}
	want := []float64{11, 22, 10, 20, 5, 6, 11, 22}
	y, err := g.EvalFlat(x)
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	z := p.Eval(x, 1, nil)[p.Output]
	for i, v := range want {
		if y[i] != v || z[i] != v {
			t.Errorf("output %d: graph %v, program %v, want %v", i, y[i], z[i], v)
		}
	}
	id := build(t, draft([]string{"x"}, []string{"x"}, nil))
	if p, err := id.Lower(); err != nil || p.Output != 0 || len(p.Nodes) != 1 {
		t.Errorf("the identity lowers to %v (%v), want the input alone", p, err)
	}
}

// TestLowerListsAll checks that all refused nodes are reported, also those behind a refused one.
func TestLowerListsAll(t *testing.T) {
	g := build(t, draft([]string{"u", "v"}, []string{"y"}, nil,
		nd("Sin", "p", "u"), nd("Relu", "r", "p"), nd("Sin", "q", "r"), nd("Add", "y", "q", "v")))
	_, err := g.Lower()
	var u *UnsupportedError
	if !errors.As(err, &u) || len(u.Nodes) != 2 || u.Nodes[0].Node != "p" || u.Nodes[1].Node != "q" {
		t.Errorf("got %v, want the nodes p and q", err)
	}
}

// TestEvalFloat32 rounds inputs and every node's result.
func TestEvalFloat32(t *testing.T) {
	g := build(t, draft([]string{"x"}, []string{"y"}, map[string]*op.Tensor{"w": vec(1, 1)},
		nd("Add", "a", "x", "w"), nd("Sub", "y", "a", "w")))
	x := []float64{0x1p-30, 0.1}
	y, err := g.EvalFlat(x)
	if err != nil {
		t.Fatal(err)
	}
	y32, err := g.EvalFloat32(x)
	if err != nil {
		t.Fatal(err)
	}
	if y[0] != 0x1p-30 || y32[0] != 0 {
		t.Errorf("1 + 2⁻³⁰ − 1 is %v in float64 and %v in float32, want 2⁻³⁰ and 0", y[0], y32[0])
	}
	if want := float64(float32(float32(0.1)+1) - 1); y32[1] != want {
		t.Errorf("0.1 + 1 − 1 in float32 is %v, want %v", y32[1], want)
	}
	if x[1] != 0.1 {
		t.Error("the caller's input was changed")
	}
}

func TestSummary(t *testing.T) {
	w := &op.Tensor{Type: op.Float32, Shape: []int{2, 3}, Data: []float64{1, 0, 2, 0, 3, 4}}
	s := build(t, draft([]string{"x"}, []string{"y"}, map[string]*op.Tensor{"w": w},
		nd("MatMul", "z", "x", "w"), nd("Relu", "y", "z"))).Summary()
	if s.Nodes != 2 || s.Params != 6 || s.NonZero != 4 || s.MACs != 6 || s.Relus != 3 || s.Widest != 3 {
		t.Errorf("%+v", s)
	}
	if len(s.Ops) != 2 || s.Ops[0].Type != "MatMul" || s.Ops[1].Elements != 3 {
		t.Errorf("operators %+v", s.Ops)
	}
}
