package nn

import "github.com/spai-project/certify/nn/op"

// Logits returns g without the Softmax or LogSoftmax that makes its only output, and true; g and false when no such node is
// there. In real arithmetic both order the classes, ties included, in the same way. A binary32 execution of the whole network may
// round different logits to the same probability, so nothing about those follows. The hash stays that of the file.
func (g *Graph) Logits() (*Graph, bool) {
	if len(g.Outputs) != 1 || len(g.Nodes) == 0 {
		return g, false
	}
	last := &g.Nodes[len(g.Nodes)-1]
	if len(last.Out) != 1 || last.Out[0] != g.Outputs[0].Value || len(last.In) != 1 {
		return g, false
	}
	in := &g.Values[last.In[0]]
	if in.Const != nil || !op.KeepsOrder(&last.Node, in.Shape) {
		return g, false
	}
	d := &Draft{Opset: g.Opset, Producer: g.Producer, Hash: g.Hash, Outputs: []DraftPort{{Name: in.Name}}}
	for _, p := range g.Inputs {
		d.Inputs = append(d.Inputs, DraftPort{Name: g.Values[p.Value].Name, Type: p.Type, Shape: p.Shape})
	}
	name := func(values []int) (names []string) {
		for _, v := range values {
			if v < 0 {
				names = append(names, "")
				continue
			}
			names = append(names, g.Values[v].Name)
		}
		return names
	}
	for i := range g.Values {
		if c := g.Values[i].Const; c != nil {
			d.Consts = append(d.Consts, DraftConst{Name: g.Values[i].Name, Tensor: c})
		}
	}
	for i := range g.Nodes[:len(g.Nodes)-1] {
		n := &g.Nodes[i]
		d.Nodes = append(d.Nodes, DraftNode{Node: n.Node, In: name(n.In), Out: name(n.Out)})
	}
	cut, err := Build(d)
	if err != nil { // such as an input that only the last node read
		return g, false
	}
	cut.folded32 = g.folded32
	return cut, true
}
