package onnx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// irVersions is the IR version that came with an opset, from opset 8 on.
var irVersions = []int{3, 4, 5, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 10}

// Write writes g as an ONNX model with every constant as an initialiser in raw_data of its own type. Numbers are never
// rounded: a value that its type cannot hold is an error. Reading the result gives a graph that computes the same.
func Write(w io.Writer, g *nn.Graph) error {
	if g.Opset < minOpset || g.Opset > maxOpset {
		return fmt.Errorf("onnx: cannot write opset %d; opsets %d to %d are known", g.Opset, minOpset, maxOpset)
	}
	e := encoder{g: g, used: make([]bool, len(g.Values))}
	graph, err := e.graph()
	if err != nil {
		return err
	}
	// The tensors are streamed behind the rest: only their sizes are needed up front.
	var tensors int
	for v := range g.Values {
		if e.used[v] {
			n, err := e.tensorSize(v)
			if err != nil {
				return err
			}
			tensors += sizeField(n)
		}
	}
	head := appendInt(nil, 1, uint64(irVersions[g.Opset-minOpset]))
	head = appendString(head, 2, g.Producer)
	head = appendBytes(head, 8, appendInt(nil, 2, uint64(g.Opset)))
	head = protowire.AppendTag(head, 7, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(graph)+tensors))
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(head) // errors of a bufio.Writer stick until Flush
	out.Write(graph)
	for v := range g.Values {
		if e.used[v] {
			e.tensor(out, v)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}

// encoder writes one graph.
type encoder struct {
	g    *nn.Graph
	used []bool // constants that nodes or outputs read
}

// graph encodes everything of a GraphProto but the initialisers.
func (e *encoder) graph() ([]byte, error) {
	var b []byte
	for k := range e.g.Nodes {
		n, err := e.node(&e.g.Nodes[k])
		if err != nil {
			return nil, err
		}
		b = appendBytes(b, 1, n)
	}
	b = appendString(b, 2, "certify")
	for _, p := range e.g.Inputs {
		b = appendBytes(b, 11, valueInfo(p))
	}
	for _, p := range e.g.Outputs {
		e.use(p.Value)
		b = appendBytes(b, 12, valueInfo(p))
	}
	return b, nil
}

func (e *encoder) use(v int) string {
	if v < 0 {
		return ""
	}
	e.used[v] = e.g.Values[v].Const != nil
	return e.g.Values[v].Name
}

func (e *encoder) node(n *nn.Node) ([]byte, error) {
	var b []byte
	for _, v := range n.In {
		b = appendEmpty(b, 1, e.use(v))
	}
	for _, v := range n.Out {
		b = appendEmpty(b, 2, e.use(v))
	}
	b = appendString(b, 3, n.Name)
	b = appendString(b, 4, n.Type)
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		a, err := encodeAttr(name, n.Attrs[name])
		if err != nil {
			return nil, fmt.Errorf("onnx: node %q: %w", n.Name, err)
		}
		b = appendBytes(b, 5, a)
	}
	return b, nil
}

// floatAttrs names the attributes that are floats. A decoded attribute does not say its type, which matters only when it
// is 0: the operators' definitions decide.
var floatAttrs = map[string]bool{
	"alpha": true, "beta": true, "gamma": true, "lambd": true, "bias": true, "epsilon": true, "momentum": true,
	"ratio": true, "value": true, "value_float": true, "min": true, "max": true, "low": true, "high": true,
	"cubic_coeff_a": true, "extrapolation_value": true, "norm_coefficient": true,
}

// encodeAttr encodes an AttributeProto.
func encodeAttr(name string, a op.Attr) ([]byte, error) {
	b := appendString(nil, 1, name)
	switch {
	case a.T != nil:
		h, _, err := tensorHead(a.T, "")
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		for _, v := range a.T.Data {
			h = appendNumber(h, v, a.T.Type)
		}
		return appendInt(appendBytes(b, 5, h), 20, 4), nil
	case a.Is != nil:
		for _, v := range a.Is {
			b = appendInt(b, 8, uint64(v))
		}
		return appendInt(b, 20, 7), nil
	case a.Fs != nil:
		for _, v := range a.Fs {
			if float64(float32(v)) != v {
				return nil, fmt.Errorf("attribute %q: %v is no float32", name, v)
			}
			b = appendFloat(b, 7, v)
		}
		return appendInt(b, 20, 6), nil
	case a.S != "":
		return appendInt(appendString(b, 4, a.S), 20, 3), nil
	case a.F != 0 || a.I == 0 && floatAttrs[name]:
		if float64(float32(a.F)) != a.F {
			return nil, fmt.Errorf("attribute %q: %v is no float32", name, a.F)
		}
		return appendInt(appendFloat(b, 2, a.F), 20, 1), nil
	}
	return appendInt(appendInt(b, 3, uint64(a.I)), 20, 2), nil
}

// tensorHead encodes a TensorProto up to and including the length of its raw_data, which must follow.
func tensorHead(t *op.Tensor, name string) (head []byte, width int, err error) {
	width, ok := widths[t.Type]
	if !ok {
		return nil, 0, fmt.Errorf("element type %d cannot be written", t.Type)
	}
	for i, v := range t.Data {
		if !fits(v, t.Type) {
			return nil, 0, fmt.Errorf("element %d is %v, which its type cannot hold", i, v)
		}
	}
	for _, d := range t.Shape {
		head = appendInt(head, 1, uint64(d))
	}
	head = appendInt(head, 2, uint64(t.Type))
	head = appendString(head, 8, name)
	head = protowire.AppendTag(head, 9, protowire.BytesType)
	return protowire.AppendVarint(head, uint64(width*len(t.Data))), width, nil
}

// fits reports whether the type can hold v exactly.
func fits(v float64, t op.DType) bool {
	switch t {
	case op.Float64:
		return true
	case op.Float32:
		return float64(float32(v)) == v
	case op.Float16:
		return fromFloat16(toFloat16(v)) == v
	case op.Bool:
		return v == 0 || v == 1
	}
	bits := 8*widths[t] - 1
	low, high := -math.Ldexp(1, bits), math.Ldexp(1, bits)
	if t == op.Uint8 {
		low, high = 0, 256
	}
	return v == math.Trunc(v) && v >= low && v < high
}

// toFloat16 returns a binary16 number that equals v when there is one.
func toFloat16(v float64) uint16 {
	var sign uint16
	if math.Signbit(v) {
		sign, v = 0x8000, -v
	}
	frac, exp := math.Frexp(v) // v = frac·2^exp, frac in [½, 1)
	switch {
	case v == 0 || exp < -24 || exp > 16:
		return sign
	case exp <= -14:
		return sign | uint16(math.Ldexp(v, 24))
	}
	return sign | uint16(exp+14)<<10 | uint16(math.Ldexp(frac, 11))&0x3ff
}

func (e *encoder) tensorSize(v int) (int, error) {
	c := e.g.Values[v].Const
	head, width, err := tensorHead(c, e.g.Values[v].Name)
	if err != nil {
		return 0, fmt.Errorf("onnx: constant %q: %w", e.g.Values[v].Name, err)
	}
	return len(head) + width*len(c.Data), nil
}

// tensor writes constant v as an initialiser field of the graph.
func (e *encoder) tensor(w *bufio.Writer, v int) {
	c := e.g.Values[v].Const
	head, width, _ := tensorHead(c, e.g.Values[v].Name) // checked by tensorSize
	b := protowire.AppendTag(nil, 5, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(head)+width*len(c.Data)))
	w.Write(append(b, head...))
	for _, x := range c.Data {
		b = appendNumber(b[:0], x, c.Type)
		w.Write(b)
	}
}

// appendNumber appends v in raw_data's encoding.
func appendNumber(b []byte, v float64, t op.DType) []byte {
	switch t {
	case op.Float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	case op.Float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	case op.Float16:
		return binary.LittleEndian.AppendUint16(b, toFloat16(v))
	case op.Int64:
		return binary.LittleEndian.AppendUint64(b, uint64(int64(v)))
	case op.Int32:
		return binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
	}
	return append(b, byte(int(v)))
}

// valueInfo encodes a ValueInfoProto.
func valueInfo(p nn.Port) []byte {
	var shape []byte
	for _, d := range p.Shape {
		shape = appendBytes(shape, 1, appendInt(nil, 1, uint64(d)))
	}
	tensor := appendBytes(appendInt(nil, 1, uint64(p.Type)), 2, shape)
	return appendBytes(appendString(nil, 1, p.Name), 2, appendBytes(nil, 1, tensor))
}

// sizeField returns the encoded size of a length-delimited field of n bytes with a one-byte tag.
func sizeField(n int) int { return 1 + protowire.SizeBytes(n) }

func appendInt(b []byte, id protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, id, protowire.VarintType), v)
}

func appendFloat(b []byte, id protowire.Number, v float64) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(b, id, protowire.Fixed32Type), math.Float32bits(float32(v)))
}

func appendBytes(b []byte, id protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, id, protowire.BytesType), v)
}

// appendString appends a string field unless it is empty.
func appendString(b []byte, id protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendEmpty(b, id, s)
}

// appendEmpty appends a string field even when it is empty: position matters among a node's operands.
func appendEmpty(b []byte, id protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, id, protowire.BytesType), s)
}
