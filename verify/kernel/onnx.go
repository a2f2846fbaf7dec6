package kernel

import (
	"encoding/binary"
	"iter"
	"math"
)

// The ONNX file: messages of the protocol-buffer wire format, of every message only the fields that the checker uses.

// The wire formats of a field.
const (
	varint  = 0
	fixed64 = 1
	chunk   = 2
	fixed32 = 5
)

// A field is a number, or bytes.
type field struct {
	wire byte
	num  uint64
	data []byte
}

const notWhole = "the model is not a whole ONNX file"

// number takes a number off the front of b.
func number(b []byte, wire byte) (uint64, []byte) {
	switch {
	case wire == fixed32 && len(b) >= 4:
		return uint64(binary.LittleEndian.Uint32(b)), b[4:]
	case wire == fixed64 && len(b) >= 8:
		return binary.LittleEndian.Uint64(b), b[8:]
	}
	v, n := binary.Uvarint(b)
	need(n > 0 && wire == varint, notWhole)
	return v, b[n:]
}

// all returns the fields of a message that have the given number.
func all(b []byte, id uint64) iter.Seq[field] {
	return func(yield func(field) bool) {
		for rest := b; len(rest) > 0; {
			var tag uint64
			tag, rest = number(rest, varint)
			f := field{wire: byte(tag & 7)}
			if f.wire == chunk {
				f.num, rest = number(rest, varint)
				need(f.num <= uint64(len(rest)), notWhole)
				f.data, rest = rest[:f.num], rest[f.num:]
			} else {
				f.num, rest = number(rest, f.wire)
			}
			if tag>>3 == id && !yield(f) {
				return
			}
		}
	}
}

// only returns the field that a message has once at most.
func only(b []byte, id uint64, wire byte) (f field) {
	seen := false
	for g := range all(b, id) {
		need(!seen && g.wire == wire, notWhole)
		f, seen = g, true
	}
	return f
}

func text(b []byte, id uint64) string { return string(only(b, id, chunk).data) }

// parts returns repeated bytes.
func parts(b []byte, id uint64) (list [][]byte) {
	for f := range all(b, id) {
		need(f.wire == chunk, notWhole)
		list = append(list, f.data)
	}
	return list
}

// numbers returns a repeated number, packed or not.
func numbers(b []byte, id uint64, wire byte) (list []uint64) {
	for f := range all(b, id) {
		if f.wire == chunk {
			list = append(list, packed(f.data, wire)...)
		} else {
			need(f.wire == wire, notWhole)
			list = append(list, f.num)
		}
	}
	return list
}

func packed(b []byte, wire byte) []uint64 {
	list := make([]uint64, 0, len(b)/4)
	for len(b) > 0 {
		var v uint64
		v, b = number(b, wire)
		list = append(list, v)
	}
	return list
}

// single returns a float32.
func single(v uint64) float64 { return float64(math.Float32frombits(uint32(v))) }

// A constant is a tensor of the file; its numbers are exact, or infinite.
type constant struct {
	shape []int
	data  []float64
}

// parseTensor reads a TensorProto of float32 or int64.
func parseTensor(b []byte) (name string, c *constant) {
	name, c = text(b, 8), &constant{}
	need(len(parts(b, 3))+len(parts(b, 13)) == 0 && only(b, 14, varint).num == 0, "tensor %q lies outside the file", name)
	size := 1
	for _, d := range numbers(b, 1, varint) {
		need(d <= maxConstant && size*int(d) <= maxConstant, "tensor %q is too large", name)
		c.shape, size = append(c.shape, int(d)), size*int(d)
	}
	kind := only(b, 2, varint).num
	need(kind == 1 || kind == 7, "tensor %q has element type %d; float32 and int64 are read", name, kind)
	id, wire, rawWire := uint64(4), byte(fixed32), byte(fixed32)
	if kind == 7 {
		id, wire, rawWire = 7, varint, fixed64
	}
	values := numbers(b, id, wire)
	if raw := only(b, 9, chunk).data; raw != nil {
		values = packed(raw, rawWire)
	}
	need(len(values) == size, "tensor %q has %d numbers for shape %v", name, len(values), c.shape)
	c.data = make([]float64, size)
	for i, v := range values {
		if c.data[i] = single(v); kind == 7 {
			if c.data[i] = float64(int64(v)); math.Abs(c.data[i]) >= 1<<53 {
				c.data[i] = math.Inf(int(int64(v) >> 63)) // as good an end of a Slice; nothing else takes it
			}
		}
	}
	return name, c
}

// An attribute of an operator: the fields that are set.
type attribute struct {
	f    float64
	i    int64
	s    string
	t    *constant
	ints []int  // at most 2^31 in size
	kind uint64 // which of them the file says it is, 0 where it does not
}

// The kinds of attributes.
const (
	anyKind = iota
	aFloat
	anInt
	aString
	aTensor
	listOfInts = 7
)

// consistent reports whether only the field of its kind is set.
func (a *attribute) consistent() bool {
	k := a.kind
	return k == anyKind || (k == aFloat || a.f == 0) && (k == anInt || a.i == 0) && (k == aString || a.s == "") &&
		(k == aTensor) == (a.t != nil) && (k == listOfInts) == (a.ints != nil)
}

// An operator is one node of the file.
type operator struct {
	name, kind string
	in, out    []string
	attr       map[string]attribute
	round      int // what binary32 rounds (float32.go)
}

// parseOperator reads a NodeProto.
func parseOperator(b []byte) *operator {
	op := &operator{name: text(b, 3), kind: text(b, 4), attr: map[string]attribute{}}
	for _, s := range parts(b, 1) {
		op.in = append(op.in, string(s))
	}
	for _, s := range parts(b, 2) {
		op.out = append(op.out, string(s))
	}
	domain := text(b, 7)
	op.need(domain == "" || domain == "ai.onnx", "domain %q is not checked", domain)
	for _, f := range parts(b, 5) {
		name, a := text(f, 1), attribute{f: single(only(f, 2, fixed32).num), i: int64(only(f, 3, varint).num), s: text(f, 4),
			kind: only(f, 20, varint).num}
		if t := only(f, 5, chunk).data; t != nil {
			_, a.t = parseTensor(t)
		}
		for _, v := range numbers(f, 8, varint) {
			a.ints = append(a.ints, int(min(max(int64(v), -1<<31), 1<<31-1)))
		}
		op.need(a.consistent(), "attribute %s is not of its kind, or empty", name)
		_, twice := op.attr[name]
		op.need(!twice, "attribute %s is given twice", name)
		op.attr[name] = a
	}
	return op
}

func (op *operator) need(ok bool, format string, args ...any) {
	if !ok {
		need(false, "node %q %s: "+format, append([]any{op.name, op.kind}, args...)...)
	}
}

func (op *operator) int(name string, def int64) int64 {
	if a, ok := op.attr[name]; ok {
		op.need(a.kind == anyKind || a.kind == anInt, "attribute %s is no integer", name)
		return a.i
	}
	return def
}

func (op *operator) float(name string, def float64) float64 {
	if a, ok := op.attr[name]; ok {
		op.need(a.kind == anyKind || a.kind == aFloat, "attribute %s is no float", name)
		return a.f
	}
	return def
}

// A value is what a name of the file stands for: a constant, or a node of the network seen under a shape.
type value struct {
	shape []int
	node  int
	c     *constant // nil for a node
}

// A builder turns a file into a network.
type builder struct {
	net    *network
	values map[string]value
	opset  uint64
	made   int // numbers of constants computed, and places in windows
}

// make counts n numbers before they are made.
func (w *builder) make(op *operator, n int) {
	w.made += n
	op.need(w.made <= maxConstant, "is too large")
}

// parseModel reads an ONNX file with one input and one output: constants first, then the input, then the operators in order.
func parseModel(b []byte) *network {
	w := &builder{net: &network{}, values: map[string]value{}}
	for _, f := range parts(b, 8) {
		if domain := text(f, 1); domain == "" || domain == "ai.onnx" {
			v := only(f, 2, varint).num
			need(w.opset == 0 || w.opset == v, "opsets %d and %d", w.opset, v)
			w.opset = v
		}
	}
	need(w.opset >= 8 && w.opset <= 21, "opset %d; 8 to 21 are checked", w.opset)
	graph := only(b, 7, chunk).data
	need(len(parts(b, 25)) == 0 && len(parts(graph, 15)) == 0, "functions and sparse constants are not checked")
	for _, f := range parts(graph, 5) {
		name, c := parseTensor(f)
		w.define(name, value{shape: c.shape, c: c})
	}
	for _, f := range parts(graph, 11) {
		name, shape := parseInfo(f)
		if _, isConstant := w.values[name]; isConstant {
			continue
		}
		need(len(w.net.nodes) == 0, "the network has several inputs")
		w.net.add(node{name: name, n: sizeOf(shape)})
		w.net.add(node{name: "1", n: 1})
		w.define(name, value{shape: shape})
	}
	outputs := parts(graph, 12)
	need(len(w.net.nodes) > 0 && len(outputs) == 1, "the network has %d outputs, or no input", len(outputs))
	for _, f := range parts(graph, 1) {
		w.operator(parseOperator(f))
	}
	name, _ := parseInfo(outputs[0])
	out, ok := w.values[name]
	need(ok && out.c == nil, "output %q does not depend on the input", name)
	w.net.output = out.node
	return w.net
}

// define gives a name a value, once.
func (w *builder) define(name string, v value) {
	_, twice := w.values[name]
	need(!twice && name != "", "the name %q is defined twice or empty", name)
	w.values[name] = v
}

// parseInfo reads a ValueInfoProto of a tensor; a free first dimension counts as 1, another free one as 0.
func parseInfo(b []byte) (name string, shape []int) {
	tensor := only(only(b, 2, chunk).data, 1, chunk).data
	for _, f := range parts(only(tensor, 2, chunk).data, 1) {
		d := int64(only(f, 1, varint).num)
		if d < 1 && shape == nil {
			d = 1
		}
		shape = append(shape, int(min(max(d, 0), maxElements+1)))
	}
	return text(b, 1), shape
}

// sizeOf returns the number of elements, 0 when it is out of range.
func sizeOf(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 1 || d > maxElements || n*d > maxElements {
			return 0
		}
		n *= d
	}
	return n
}
