package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// The opsets of the default domain that are read, and the most nodes and tensors a file may have: far more than any network
// has, few enough that a file of empty ones cannot exhaust memory.
const (
	minOpset = 8
	maxOpset = 21
	maxItems = 1 << 20
)

// decoder collects the parts of a ModelProto.
type decoder struct {
	d      nn.Draft
	opset  int64
	graph  *message
	refuse []op.UnsupportedError
	inits  map[string]bool
	inputs []nn.DraftPort
	items  int
}

// decodeModel decodes a ModelProto.
func decodeModel(data []byte) (*nn.Draft, error) {
	c := &decoder{inits: map[string]bool{}}
	m := message{data, 0}
	if err := m.fields("model", c.modelField); err != nil {
		return nil, err
	}
	if c.graph == nil {
		return nil, m.fail("model", "no graph in %d bytes; is this an ONNX file?", len(data))
	}
	if c.opset == 0 {
		return nil, m.fail("model", "no opset of the default domain is declared")
	}
	if c.opset < minOpset || c.opset > maxOpset {
		why := fmt.Sprintf("opset %d; opsets %d to %d are supported", c.opset, minOpset, maxOpset)
		return nil, &nn.UnsupportedError{Nodes: []op.UnsupportedError{{Node: "model", Op: "opset_import", Why: why}}}
	}
	c.d.Opset = int(c.opset)
	if err := c.graph.fields("graph", c.graphField); err != nil {
		return nil, err
	}
	if c.refuse != nil {
		return nil, &nn.UnsupportedError{Nodes: c.refuse}
	}
	for _, p := range c.inputs {
		if !c.inits[p.Name] {
			c.d.Inputs = append(c.d.Inputs, p)
		}
	}
	for i := range c.d.Nodes {
		c.d.Nodes[i].Opset = c.d.Opset
	}
	return &c.d, nil
}

func (c *decoder) modelField(f field) (err error) {
	switch f.id {
	case 2:
		c.d.Producer, err = f.str("producer name")
	case 7:
		if c.graph != nil {
			return f.data.fail("model", "a second graph")
		}
		err = f.want("graph", protowire.BytesType)
		c.graph = &f.data
	case 8:
		return c.opsetImport(f)
	}
	return err
}

func (c *decoder) opsetImport(f field) error {
	if err := f.want("opset import", protowire.BytesType); err != nil {
		return err
	}
	var domain string
	var version int64
	err := f.data.fields("opset import", func(f field) (err error) {
		switch f.id {
		case 1:
			domain, err = f.str("opset domain")
		case 2:
			version = int64(f.num)
			err = f.want("opset version", protowire.VarintType)
		}
		return err
	})
	if domain == "" || domain == "ai.onnx" {
		c.opset = version
	}
	return err
}

func (c *decoder) graphField(f field) error {
	switch f.id {
	case 1, 5, 11, 12, 15:
		if err := f.want("graph", protowire.BytesType); err != nil {
			return err
		}
		if c.items++; c.items > maxItems {
			return f.data.fail("graph", "more than %d nodes and tensors", maxItems)
		}
	}
	switch f.id {
	case 1:
		return c.node(f.data)
	case 5:
		return c.initialiser(f.data)
	case 11:
		p, err := c.port(f.data, true)
		c.inputs = append(c.inputs, p)
		return err
	case 12:
		p, err := c.port(f.data, false)
		c.d.Outputs = append(c.d.Outputs, p)
		return err
	case 15:
		c.refuse = append(c.refuse, op.UnsupportedError{Node: "graph", Op: "initialiser", Why: "sparse initialisers are not supported"})
	}
	return nil
}

func (c *decoder) initialiser(m message) error {
	raw, err := decodeTensor(m)
	if err != nil {
		return err
	}
	t, err := raw.tensor(fmt.Sprintf("initialiser %q", raw.name))
	if r, ok := err.(*refusal); ok {
		c.refuse = append(c.refuse, op.UnsupportedError{Node: raw.name, Op: "initialiser", Why: r.why})
		return nil
	}
	if err != nil {
		return err
	}
	c.inits[raw.name] = true
	c.d.Consts = append(c.d.Consts, nn.DraftConst{Name: raw.name, Tensor: t})
	return nil
}

// port decodes a ValueInfoProto. Of outputs only the name is needed: their shapes are computed.
func (c *decoder) port(m message, input bool) (nn.DraftPort, error) {
	var p nn.DraftPort
	var typ *message
	err := m.fields("value info", func(f field) (err error) {
		switch f.id {
		case 1:
			p.Name, err = f.str("value name")
		case 2:
			err = f.want("value type", protowire.BytesType)
			typ = &f.data
		}
		return err
	})
	if err != nil || !input {
		return p, err
	}
	what := fmt.Sprintf("input %q", p.Name)
	if typ == nil {
		return p, m.fail(what, "has no type")
	}
	return p, c.typeOf(*typ, what, &p)
}

// typeOf decodes a TypeProto, which must be a tensor type.
func (c *decoder) typeOf(m message, what string, p *nn.DraftPort) error {
	var tensor, shape *message
	var elem int64
	err := m.fields(what, func(f field) error {
		switch f.id {
		case 1:
			tensor = &f.data
			return f.want(what, protowire.BytesType)
		case 4, 5, 8, 9:
			c.refuse = append(c.refuse, op.UnsupportedError{Node: p.Name, Op: "input", Why: "is no dense tensor"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if tensor == nil {
		return m.fail(what, "has no tensor type")
	}
	err = tensor.fields(what, func(f field) error {
		switch f.id {
		case 1:
			elem = int64(f.num)
			return f.want(what, protowire.VarintType)
		case 2:
			shape = &f.data
			return f.want(what, protowire.BytesType)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.Type = op.DType(elem)
	if _, ok := widths[p.Type]; !ok || int64(p.Type) != elem {
		c.refuse = append(c.refuse, op.UnsupportedError{Node: p.Name, Op: "input", Why: "element type " + typeName(elem)})
	}
	if shape == nil {
		return tensor.fail(what, "has no shape")
	}
	p.Shape, err = decodeShape(*shape, what)
	return err
}

// decodeShape decodes a TensorShapeProto; symbolic, missing, zero and negative dimensions are read as 1.
func decodeShape(m message, what string) ([]int, error) {
	shape := []int{}
	err := m.fields(what, func(f field) error {
		if f.id != 1 {
			return nil
		}
		if err := f.want(what, protowire.BytesType); err != nil {
			return err
		}
		if len(shape) >= maxRank {
			return f.data.fail(what, "more than %d dimensions", maxRank)
		}
		d := int64(1)
		err := f.data.fields(what, func(f field) error {
			if f.id == 1 {
				d = int64(f.num)
				return f.want(what, protowire.VarintType)
			}
			return nil
		})
		if d > math.MaxInt32 {
			return f.data.fail(what, "dimension %d is too large", d)
		}
		shape = append(shape, int(max(d, 1)))
		return err
	})
	return shape, err
}
