package nn

import (
	"testing"

	"github.com/spai-project/certify/nn/op"
)

// TestLogits cuts a Softmax over all classes, at the end, and nothing else.
func TestLogits(t *testing.T) {
	w := map[string]*op.Tensor{"w": vec(1, -3)}
	soft := func(typ, out, in string, axis int64) DraftNode {
		n := nd(typ, out, in)
		n.Attrs = map[string]op.Attr{"axis": {I: axis}}
		return n
	}
	for _, c := range []struct {
		name  string
		nodes []DraftNode
		cut   bool
	}{
		{"softmax", []DraftNode{nd("Add", "a", "x", "w"), soft("Softmax", "y", "a", -1)}, true},
		{"logsoftmax", []DraftNode{nd("Add", "a", "x", "w"), soft("LogSoftmax", "y", "a", 0)}, true},
		{"none", []DraftNode{nd("Add", "y", "x", "w")}, false},
		{"inside", []DraftNode{soft("Softmax", "a", "x", -1), nd("Add", "y", "a", "w")}, false},
		{"read twice", []DraftNode{nd("Add", "a", "x", "w"), soft("Softmax", "b", "a", -1), nd("Mul", "y", "b", "a")}, false},
	} {
		d := draft([]string{"x"}, []string{"y"}, w, c.nodes...)
		d.Hash = "h"
		g := build(t, d)
		l, cut := g.Logits()
		if cut != c.cut {
			t.Errorf("%s: cut %v, want %v", c.name, cut, c.cut)
			continue
		}
		if !cut {
			if l != g {
				t.Errorf("%s: another graph, uncut", c.name)
			}
			continue
		}
		y, err := l.EvalFlat([]float64{0.5, 2})
		if err != nil || len(y) != 2 || y[0] != 1.5 || y[1] != -1 || l.Hash != "h" || l.NumInputs() != 2 {
			t.Errorf("%s: %v, %v, hash %q; want the sums below", c.name, y, err, l.Hash)
		}
	}
	// Two rows of two classes: softmax of each, which orders nothing across rows.
	d := &Draft{Opset: 13, Inputs: []DraftPort{{Name: "x", Type: op.Float32, Shape: []int{2, 2}}}, Outputs: []DraftPort{{Name: "y"}},
		Nodes: []DraftNode{nd("Relu", "a", "x"), soft("Softmax", "y", "a", -1)}}
	if _, cut := build(t, d).Logits(); cut {
		t.Error("a softmax of two rows was cut")
	}
}
