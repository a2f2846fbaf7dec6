package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// node decodes a NodeProto. What cannot be decoded is noted in the node; it is an error only when the outputs need it.
func (c *decoder) node(m message) error {
	n := nn.DraftNode{Node: op.Node{Attrs: map[string]op.Attr{}}}
	var domain string
	err := m.fields("node", func(f field) (err error) {
		var s string
		switch f.id {
		case 1:
			s, err = f.str("node input")
			n.In = append(n.In, s)
		case 2:
			s, err = f.str("node output")
			n.Out = append(n.Out, s)
		case 3:
			n.Name, err = f.str("node name")
		case 4:
			n.Type, err = f.str("operator name")
		case 5:
			if err = f.want("attribute", protowire.BytesType); err == nil {
				err = attribute(f.data, &n)
			}
		case 7:
			domain, err = f.str("operator domain")
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(n.In)+len(n.Out) > maxItems {
		return m.fail(fmt.Sprintf("node %q", n.Name), "more than %d operands", maxItems)
	}
	if domain != "" && domain != "ai.onnx" {
		n.Refused = fmt.Sprintf("operator of the custom domain %q", domain)
	}
	if n.Type == "Constant" && n.Refused == "" {
		return c.constant(m, &n)
	}
	c.d.Nodes = append(c.d.Nodes, n)
	return nil
}

// constant turns a Constant node into a constant of the draft.
func (c *decoder) constant(m message, n *nn.DraftNode) error {
	what := fmt.Sprintf("node %q", n.Name)
	if len(n.Out) != 1 || len(n.In) != 0 || len(n.Attrs) != 1 {
		return m.fail(what, "a Constant has no input, one output and one value")
	}
	var t *op.Tensor
	for name, a := range n.Attrs {
		switch name {
		case "value":
			t = a.T
		case "value_float":
			t = &op.Tensor{Type: op.Float32, Shape: []int{}, Data: []float64{a.F}}
		case "value_int":
			t = intTensor([]int64{a.I})
			t.Shape = []int{}
		case "value_floats":
			t = &op.Tensor{Type: op.Float32, Shape: []int{len(a.Fs)}, Data: a.Fs}
		case "value_ints":
			t = intTensor(a.Is)
		}
	}
	if t == nil {
		return m.fail(what, "a Constant without a numeric value")
	}
	c.d.Consts = append(c.d.Consts, nn.DraftConst{Name: n.Out[0], Tensor: t})
	return nil
}

func intTensor(v []int64) *op.Tensor {
	t := &op.Tensor{Type: op.Int64, Shape: []int{len(v)}, Data: make([]float64, len(v))}
	for i, x := range v {
		t.Data[i] = min(float64(x), maxInt64)
	}
	return t
}

// attribute decodes an AttributeProto into n.
func attribute(m message, n *nn.DraftNode) error {
	var name string
	var a op.Attr
	var refused string
	err := m.fields("attribute", func(f field) (err error) {
		what := fmt.Sprintf("attribute %q", name)
		switch f.id {
		case 1:
			name, err = f.str("attribute name")
		case 2:
			a.F = float64(math.Float32frombits(uint32(f.num)))
			err = f.want(what, protowire.Fixed32Type)
		case 3:
			a.I = int64(f.num)
			err = f.want(what, protowire.VarintType)
		case 4:
			a.S, err = f.str(what)
		case 5:
			a.T, refused, err = tensorAttr(f, what)
		case 6, 11:
			refused = "contains a sub-graph"
		case 7:
			a.Fs, err = floats(f, what, a.Fs)
		case 8:
			err = f.varints(what, func(v uint64) { a.Is = append(a.Is, int64(v)) })
		case 9, 10, 14, 15, 21, 22, 23:
			refused = fmt.Sprintf("attribute %q has an unsupported type", name)
		case 20:
			a.Is, a.Fs = emptyLists(f.num, a)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, dup := n.Attrs[name]; dup || name == "" {
		return m.fail(fmt.Sprintf("node %q", n.Name), "attribute %q is nameless or given twice", name)
	}
	if refused != "" {
		n.Refused = refused
	}
	if kinds(&a) > 1 {
		return m.fail(fmt.Sprintf("node %q", n.Name), "attribute %q has values of several types", name)
	}
	if v := a.F; v-v != 0 {
		return m.fail(fmt.Sprintf("node %q", n.Name), "attribute %q is %v; numbers must be finite", name, v)
	}
	n.Attrs[name] = a
	return nil
}

// kinds counts the types of which an attribute has a value other than zero: which one counts would be a guess.
func kinds(a *op.Attr) (n int) {
	for _, set := range []bool{a.F != 0, a.I != 0, a.S != "", a.T != nil, a.Fs != nil, a.Is != nil} {
		if set {
			n++
		}
	}
	return n
}

// emptyLists makes a list attribute without elements a list: typ is AttributeProto.type.
func emptyLists(typ uint64, a op.Attr) ([]int64, []float64) {
	switch {
	case typ == 7 && a.Is == nil:
		return []int64{}, a.Fs
	case typ == 6 && a.Fs == nil:
		return a.Is, []float64{}
	}
	return a.Is, a.Fs
}

// tensorAttr decodes a tensor attribute; refused says why it is not supported.
func tensorAttr(f field, what string) (t *op.Tensor, refused string, err error) {
	if err := f.want(what, protowire.BytesType); err != nil {
		return nil, "", err
	}
	raw, err := decodeTensor(f.data)
	if err != nil {
		return nil, "", err
	}
	t, err = raw.tensor(what)
	if r, ok := err.(*refusal); ok {
		return nil, r.Error(), nil
	}
	return t, "", err
}

// floats appends a repeated float field, packed or not.
func floats(f field, what string, dst []float64) ([]float64, error) {
	b, err := f.fixed(what, 4)
	if err != nil {
		return dst, err
	}
	v := make([]float64, len(b)/4)
	decodeRaw(v, b, op.Float32)
	return append(dst, v...), nil
}
