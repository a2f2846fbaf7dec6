package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The ONNX file as messages of the protocol-buffer wire format: of every message only the fields that the checker uses.

// A field is a varint or fixed-width number in num, or bytes in data.
type field struct {
	id   int
	num  uint64
	data []byte
	wire byte
}

var errWire = errors.New("the model is not a whole ONNX file")

// fields calls f for every field of a message.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > math.MaxInt32 {
			return errWire
		}
		b = b[n:]
		fl := field{id: int(tag >> 3), wire: byte(tag & 7)}
		switch fl.wire {
		case 0:
			if fl.num, n = binary.Uvarint(b); n <= 0 {
				return errWire
			}
		case 1, 5:
			if n = 8; fl.wire == 5 {
				n = 4
			}
			if len(b) < n {
				return errWire
			}
			for i := n - 1; i >= 0; i-- {
				fl.num = fl.num<<8 | uint64(b[i])
			}
		case 2:
			size, m := binary.Uvarint(b)
			if m <= 0 || size > uint64(len(b)-m) {
				return errWire
			}
			n = m + int(size)
			fl.data = b[m:n]
		default:
			return errWire
		}
		b = b[n:]
		if err := f(fl); err != nil {
			return err
		}
	}
	return nil
}

// numbers appends a repeated number, packed or not. wire is that of one element: 0, 1 or 5.
func (f *field) numbers(dst []uint64, wire byte) ([]uint64, error) {
	if f.wire == wire {
		return append(dst, f.num), nil
	}
	if f.wire != 2 {
		return nil, errWire
	}
	for b := f.data; len(b) > 0; {
		v, n := uint64(0), 4
		switch {
		case wire == 0:
			if v, n = binary.Uvarint(b); n <= 0 {
				return nil, errWire
			}
		case wire == 5 && len(b) >= 4:
			v = uint64(binary.LittleEndian.Uint32(b))
		case wire == 1 && len(b) >= 8:
			v, n = binary.LittleEndian.Uint64(b), 8
		default:
			return nil, errWire
		}
		dst, b = append(dst, v), b[n:]
	}
	return dst, nil
}

// An attribute of an operator: the fields that are set.
type attribute struct {
	f float32
	i int64
	s string
	t *constant
	l []int64
}

// An operator is one node of the file.
type operator struct {
	name, kind string
	in, out    []string
	attr       map[string]attribute
}

func (op *operator) int(name string, def int64) int64 {
	if a, ok := op.attr[name]; ok {
		return a.i
	}
	return def
}

func (op *operator) float(name string, def float64) float64 {
	if a, ok := op.attr[name]; ok {
		return float64(a.f)
	}
	return def
}

func (op *operator) fail(format string, args ...any) error {
	return fmt.Errorf("node %q %s: "+format, append([]any{op.name, op.kind}, args...)...)
}

// A constant is a tensor of the file, its numbers exact in float64 unless approx: then each is off by at most half an ulp.
type constant struct {
	shape  []int
	data   []float64
	approx bool
}

// parseTensor reads a TensorProto of numbers.
func parseTensor(b []byte) (name string, c *constant, err error) {
	var dims, floats, doubles, ints []uint64
	var raw []byte
	isRaw, kind := false, uint64(0)
	err = fields(b, func(f field) (err error) {
		switch f.id {
		case 1:
			dims, err = f.numbers(dims, 0)
		case 2:
			kind = f.num
		case 4:
			floats, err = f.numbers(floats, 5)
		case 5, 7:
			ints, err = f.numbers(ints, 0)
		case 8:
			name = string(f.data)
		case 9:
			raw, isRaw = f.data, true
		case 10:
			doubles, err = f.numbers(doubles, 1)
		case 3, 13, 14:
			if f.id != 14 || f.num != 0 {
				err = fmt.Errorf("tensor %q lies outside the file", name)
			}
		}
		return err
	})
	if err != nil {
		return "", nil, err
	}
	c = &constant{}
	size := 1
	for _, d := range dims {
		if d > 16*maxElements || size*int(d) > 16*maxElements {
			return "", nil, fmt.Errorf("tensor %q is too large", name)
		}
		c.shape, size = append(c.shape, int(d)), size*int(d)
	}
	wire := map[uint64]byte{1: 5, 6: 5, 7: 1, 11: 1}[kind] // float, int32, int64, double
	values := map[uint64][]uint64{1: floats, 6: ints, 7: ints, 11: doubles}[kind]
	if wire == 0 {
		return "", nil, fmt.Errorf("tensor %q has element type %d; float, double, int32 and int64 are read", name, kind)
	}
	if isRaw {
		if values, err = (&field{wire: 2, data: raw}).numbers(nil, wire); err != nil {
			return "", nil, err
		}
	}
	if len(values) != size {
		return "", nil, fmt.Errorf("tensor %q has %d numbers for shape %v", name, len(values), c.shape)
	}
	c.data = make([]float64, size)
	for i, v := range values {
		switch kind {
		case 1:
			c.data[i] = float64(math.Float32frombits(uint32(v)))
		case 6:
			c.data[i] = float64(int32(v))
		case 7:
			if c.data[i] = float64(int64(v)); int64(v) > 1<<53 || int64(v) < -1<<53 {
				c.data[i] = math.Copysign(1<<53, c.data[i]) // shapes and axes use such numbers for "to the end"
				c.approx = true
			}
		case 11:
			c.data[i] = math.Float64frombits(v)
		}
	}
	return name, c, nil
}

// parseOperator reads a NodeProto.
func parseOperator(b []byte) (*operator, error) {
	op := &operator{attr: map[string]attribute{}}
	domain := ""
	err := fields(b, func(f field) error {
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
			name, a, err := parseAttribute(f.data)
			if err != nil {
				return err
			}
			if _, twice := op.attr[name]; twice {
				return op.fail("attribute %s is given twice", name)
			}
			op.attr[name] = a
		case 7:
			domain = string(f.data)
		}
		return nil
	})
	if err == nil && domain != "" && domain != "ai.onnx" {
		err = op.fail("domain %q is not checked", domain)
	}
	return op, err
}

func parseAttribute(b []byte) (name string, a attribute, err error) {
	err = fields(b, func(f field) (err error) {
		switch f.id {
		case 1:
			name = string(f.data)
		case 2:
			a.f = math.Float32frombits(uint32(f.num))
		case 3:
			a.i = int64(f.num)
		case 4:
			a.s = string(f.data)
		case 5:
			_, a.t, err = parseTensor(f.data)
		case 8:
			var l []uint64
			l, err = f.numbers(nil, 0)
			for _, v := range l {
				a.l = append(a.l, int64(v))
			}
		}
		return err
	})
	return name, a, err
}
