package train

import (
	"fmt"
	"slices"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// opset is that of the graphs: each of their operators has had its present meaning since then.
const opset = 13

// Graph returns the network as an operator graph, with one input "input" of shape [1 C H W] or [1 d] and one output "logits".
// The parameters are copied, rounded to the nearest float32; after RoundFloat32 the graph computes the same function. A
// temperature of the training is not part of it. Parameters that are not finite are an error. Batch normalisation is folded into
// the layers before it.
func (n *Net[T]) Graph() (*nn.Graph, error) {
	n = n.Folded()
	d := &nn.Draft{Opset: opset, Producer: "certify train",
		Inputs:  []nn.DraftPort{{Name: "input", Type: op.Float32, Shape: append([]int{1}, n.input...)}},
		Outputs: []nn.DraftPort{{Name: "logits"}}}
	for _, p := range n.params {
		data := make([]float64, len(p.Data))
		for i, v := range p.Data {
			data[i] = float64(float32(v))
		}
		d.Consts = append(d.Consts, nn.DraftConst{Name: p.Name,
			Tensor: &op.Tensor{Type: op.Float32, Shape: slices.Clone(p.Shape), Data: data}})
	}
	value, shape := "input", n.input
	node := func(name, kind, out string, attrs map[string]op.Attr, params ...string) {
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: name, Type: kind, Opset: opset, Attrs: attrs, Outputs: 1},
			In: append([]string{value}, params...), Out: []string{out}})
		value = out
	}
	for i := range n.stages {
		s := &n.stages[i]
		out := s.Name
		if i == len(n.stages)-1 && len(s.Out) == 1 {
			out = "logits"
		}
		switch l := s.Layer.(type) {
		case Dense:
			if len(shape) > 1 {
				node(s.Name+".flatten", "Flatten", s.Name+".flatten", map[string]op.Attr{"axis": {I: 1}})
			}
			node(s.Name, "Gemm", out, nil, s.Name+".weight", s.Name+".bias")
		case Conv2D:
			k, stride, pad := int64(l.Kernel), int64(max(l.Stride, 1)), int64(l.Pad)
			node(s.Name, "Conv", out, map[string]op.Attr{"kernel_shape": {Is: []int64{k, k}}, "strides": {Is: []int64{stride, stride}},
				"pads": {Is: []int64{pad, pad, pad, pad}}}, s.Name+".weight", s.Name+".bias")
		case ReLU:
			node(s.Name, "Relu", out, nil)
		}
		shape = s.Out
	}
	if value != "logits" { // the last layer's planes, one after the other
		node("flatten", "Flatten", "logits", map[string]op.Attr{"axis": {I: 1}})
	}
	g, err := nn.Build(d)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return g, nil
}
