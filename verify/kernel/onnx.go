package kernel

import (
	"encoding/binary"
	"iter"
	"math"
)

// The ONNX file: messages of the protocol-buffer wire format, of every message only the fields that the checker uses.

// A field is a varint or fixed-width number in num, or bytes in data.
type field struct {
	id   int
	wire byte
	num  uint64
	data []byte
}

const notWhole = "the model is not a whole ONNX file"

// number takes a number of the given wire type off the front of b.
func number(b []byte, wire byte) (uint64, []byte) {
	switch {
	case wire == 5 && len(b) >= 4:
		return uint64(binary.LittleEndian.Uint32(b)), b[4:]
	case wire == 1 && len(b) >= 8:
		return binary.LittleEndian.Uint64(b), b[8:]
	}
	v, n := binary.Uvarint(b)
	need(n > 0 && wire == 0, notWhole)
	return v, b[n:]
}

// fields returns the fields of a message.
func fields(b []byte) iter.Seq[field] {
	return func(yield func(field) bool) {
		for len(b) > 0 {
			var tag uint64
			tag, b = number(b, 0)
			f := field{id: int(min(tag>>3, math.MaxInt32)), wire: byte(tag & 7)}
			if f.wire != 2 {
				f.num, b = number(b, f.wire)
			} else {
				f.num, b = number(b, 0)
				need(f.num <= uint64(len(b)), notWhole)
				f.data, b = b[:f.num], b[f.num:]
			}
			if !yield(f) {
				return
			}
		}
	}
}

// list appends a repeated number, packed or not; wire is that of one.
func (f *field) list(dst []uint64, wire byte) []uint64 {
	if f.wire == wire {
		return append(dst, f.num)
	}
	need(f.wire == 2, notWhole)
	for b := f.data; len(b) > 0; {
		var v uint64
		v, b = number(b, wire)
		dst = append(dst, v)
	}
	return dst
}

// A constant is a tensor of the file; its numbers are exact.
type constant struct {
	shape []int
	data  []float64
}

// parseTensor reads a TensorProto of float32 or int64.
func parseTensor(b []byte) (name string, c *constant) {
	c = &constant{}
	var floats, ints, dims []uint64
	var raw field
	kind, size := uint64(0), 1
	for f := range fields(b) {
		switch f.id {
		case 1:
			dims = f.list(dims, 0)
		case 2:
			kind = f.num
		case 4:
			floats = f.list(floats, 5)
		case 7:
			ints = f.list(ints, 0)
		case 8:
			name = string(f.data)
		case 9:
			raw = f
		case 3, 13, 14:
			need(f.id == 14 && f.num == 0, "tensor %q lies outside the file", name)
		}
	}
	for _, d := range dims {
		need(d <= 1<<26 && size*int(d) <= 1<<26, "tensor %q is too large", name)
		c.shape, size = append(c.shape, int(d)), size*int(d)
	}
	need(kind == 1 || kind == 7, "tensor %q has element type %d; float32 and int64 are read", name, kind)
	values, wire := floats, byte(5)
	if kind == 7 {
		values, wire = ints, 1
	}
	if raw.data != nil {
		values = raw.list(nil, wire)
	}
	need(len(values) == size, "tensor %q has %d numbers for shape %v", name, len(values), c.shape)
	for _, v := range values {
		f := float64(math.Float32frombits(uint32(v)))
		if kind == 7 {
			f = float64(int64(v))
			need(math.Abs(f) < 1<<53, "tensor %q has an integer that is too large", name)
		}
		c.data = append(c.data, f)
	}
	return name, c
}

// An attribute of an operator: the fields that are set.
type attribute struct {
	f    float64
	i    int64
	s    string
	t    *constant
	ints []int64
}

// An operator is one node of the file.
type operator struct {
	name, kind string
	in, out    []string
	attr       map[string]attribute
}

// parseOperator reads a NodeProto.
func parseOperator(b []byte) *operator {
	op := &operator{attr: map[string]attribute{}}
	for f := range fields(b) {
		switch f.id {
		case 1:
			op.in = append(op.in, string(f.data))
		case 2:
			op.out = append(op.out, string(f.data))
		case 3:
			op.name = string(f.data)
		case 4:
			op.kind = string(f.data)
		case 5:
			name, a := "", attribute{}
			for f := range fields(f.data) {
				switch f.id {
				case 1:
					name = string(f.data)
				case 2:
					a.f = float64(math.Float32frombits(uint32(f.num)))
				case 3:
					a.i = int64(f.num)
				case 4:
					a.s = string(f.data)
				case 5:
					_, a.t = parseTensor(f.data)
				case 8:
					for _, v := range f.list(nil, 0) {
						a.ints = append(a.ints, int64(v))
					}
				}
			}
			_, twice := op.attr[name]
			op.need(!twice, "attribute %s is given twice", name)
			op.attr[name] = a
		case 7:
			op.need(len(f.data) == 0 || string(f.data) == "ai.onnx", "domain %q is not checked", f.data)
		}
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
		return a.i
	}
	return def
}

func (op *operator) float(name string, def float64) float64 {
	if a, ok := op.attr[name]; ok {
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
}

// parseModel reads an ONNX file with one input and one output: constants first, then the input, then the operators in order.
func parseModel(b []byte) *network {
	w := &builder{net: &network{}, values: map[string]value{}}
	var graph []byte
	opset := uint64(0)
	for f := range fields(b) {
		switch f.id {
		case 7:
			need(graph == nil, notWhole)
			graph = f.data
		case 8:
			domain, version := "", uint64(0)
			for f := range fields(f.data) {
				if f.id == 1 {
					domain = string(f.data)
				} else if f.id == 2 {
					version = f.num
				}
			}
			if domain == "" || domain == "ai.onnx" {
				opset = version
			}
		}
	}
	need(opset >= 8 && opset <= 21, "opset %d; 8 to 21 are checked", opset)
	var ops, inputs, outputs [][]byte
	for f := range fields(graph) {
		switch f.id {
		case 1:
			ops = append(ops, f.data)
		case 5:
			name, c := parseTensor(f.data)
			w.define(name, value{shape: c.shape, c: c})
		case 11:
			inputs = append(inputs, f.data)
		case 12:
			outputs = append(outputs, f.data)
		}
		need(f.id != 15, "sparse constants are not checked")
	}
	for _, f := range inputs {
		name, shape := parseInfo(f)
		if _, isConstant := w.values[name]; isConstant {
			continue
		}
		need(len(w.net.nodes) == 0, "the network has several inputs")
		w.net.add(node{name: name, n: sizeOf(shape)})
		w.net.add(node{name: "1", n: 1})
		w.define(name, value{shape: shape})
	}
	need(len(w.net.nodes) > 0 && len(outputs) == 1, "the network has %d outputs, or no input", len(outputs))
	for _, f := range ops {
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
	for f := range fields(b) {
		if f.id == 1 {
			name = string(f.data)
		}
		for f := range inside(f, 2, 1, 2) { // type, tensor_type, shape: its dimensions
			d := int64(0)
			for f := range fields(f.data) {
				if f.id == 1 {
					d = int64(f.num)
				}
			}
			if d < 1 && shape == nil {
				d = 1
			}
			shape = append(shape, int(min(max(d, 0), maxElements+1)))
		}
	}
	return name, shape
}

// inside returns the fields of the messages that f holds under a path of field numbers, f's own first.
func inside(f field, path ...int) iter.Seq[field] {
	return func(yield func(field) bool) {
		if f.id != path[0] {
			return
		}
		for g := range fields(f.data) {
			if len(path) == 1 {
				yield(g)
				continue
			}
			for h := range inside(g, path[1:]...) {
				yield(h)
			}
		}
	}
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
