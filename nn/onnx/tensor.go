package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spai-project/certify/nn/op"
)

// A rawTensor is a TensorProto with its numbers still encoded.
type rawTensor struct {
	name     string
	dims     []int
	typ      int64
	raw      []byte // raw_data
	hasRaw   bool
	fixed    [][]byte // float_data, double_data
	width    int      // of the numbers in fixed
	ints     []field  // int32_data, int64_data
	external bool
	off      int64
	refused  string // why the tensor cannot be read although it is well-formed
}

// A refusal says that a well-formed part of the file is not supported.
type refusal struct{ what, why string }

func (r *refusal) Error() string { return r.what + ": " + r.why }

// maxRank bounds the number of dimensions of a tensor.
const maxRank = 64

// decodeTensor decodes a TensorProto.
func decodeTensor(m message) (*rawTensor, error) {
	t := &rawTensor{off: m.off}
	err := m.fields("tensor", func(f field) (err error) {
		switch f.id {
		case 1: // dims
			var bad bool
			err = f.varints("tensor dimensions", func(v uint64) {
				bad = bad || int64(v) < 0 || v > math.MaxInt32 || len(t.dims) >= maxRank
				if !bad {
					t.dims = append(t.dims, int(v))
				}
			})
			if bad {
				return &FormatError{Offset: f.off, What: "tensor dimensions", Why: "negative, too large or too many"}
			}
		case 2: // data_type
			t.typ = int64(f.num)
			err = f.want("tensor data type", protowire.VarintType)
		case 4, 10: // float_data, double_data
			return t.addFixed(f)
		case 5, 7, 11: // int32_data, int64_data, uint64_data
			t.ints = append(t.ints, f)
		case 6: // string_data
			t.refused = "holds strings"
		case 8:
			t.name, err = f.str("tensor name")
		case 9:
			t.raw, t.hasRaw = f.data.b, true
			err = f.want("raw tensor data", protowire.BytesType)
		case 13, 14: // external_data, data_location (0 is the default: inside the file)
			t.external = t.external || f.id == 13 || f.num != 0
		}
		return err
	})
	return t, err
}

func (t *rawTensor) addFixed(f field) error {
	t.width = 4
	if f.id == 10 {
		t.width = 8
	}
	b, err := f.fixed("tensor data", t.width)
	t.fixed = append(t.fixed, b)
	return err
}

// widths is the size of an element in raw_data.
var widths = map[op.DType]int{
	op.Float32: 4, op.Uint8: 1, op.Int8: 1, op.Int32: 4, op.Int64: 8, op.Bool: 1, op.Float16: 2, op.Float64: 8,
}

// tensor decodes the numbers. what names the tensor in errors, which are *FormatError or *refusal.
func (t *rawTensor) tensor(what string) (*op.Tensor, error) {
	dt := op.DType(t.typ)
	width, ok := widths[dt]
	switch {
	case t.external:
		return nil, &refusal{what, "stores its data in another file (external data); save the model with its data inside"}
	case t.refused != "":
		return nil, &refusal{what, t.refused}
	case !ok || int64(dt) != t.typ:
		return nil, &refusal{what, fmt.Sprintf("element type %s", typeName(t.typ))}
	}
	size := 1
	for _, d := range t.dims {
		if d != 0 && size > math.MaxInt32/d {
			return nil, t.fail(what, "shape %v is too large", t.dims)
		}
		size *= d
	}
	// The numbers are counted in the file before memory is asked for.
	if have := t.count(dt, width); have != size {
		return nil, t.fail(what, "holds %d elements, its shape %v needs %d", have, t.dims, size)
	}
	out := &op.Tensor{Type: dt, Shape: t.dims, Data: make([]float64, size)}
	if t.dims == nil {
		out.Shape = []int{}
	}
	if t.hasRaw && len(t.raw) > 0 {
		decodeRaw(out.Data, t.raw, dt)
	} else {
		t.decodeTyped(out.Data, dt)
	}
	if dt == op.Int64 {
		for i, v := range out.Data {
			out.Data[i] = min(v, maxInt64)
		}
	}
	return out, nil
}

// maxInt64 is the largest float64 that an int64 can hold. Files use the largest int64 for "to the end", which would round up.
const maxInt64 = 1<<63 - 1024

func (t *rawTensor) fail(what, format string, args ...any) error {
	return &FormatError{Offset: t.off, What: what, Why: fmt.Sprintf(format, args...)}
}

// count returns the number of elements the file holds for t, -1 when its data are not a whole number of them.
func (t *rawTensor) count(dt op.DType, width int) int {
	if t.hasRaw && len(t.raw) > 0 {
		if len(t.raw)%width != 0 {
			return -1
		}
		return len(t.raw) / width
	}
	n := 0
	if isFixed(dt) {
		for _, b := range t.fixed {
			n += len(b) / t.width
		}
		return n
	}
	for i := range t.ints {
		if t.ints[i].varints("", func(uint64) { n++ }) != nil {
			return -1
		}
	}
	return n
}

// isFixed reports whether typed data of the type stand in float_data or double_data.
func isFixed(dt op.DType) bool { return dt == op.Float32 || dt == op.Float64 }

// decodeRaw decodes little-endian raw_data into dst, which must be all zeros. Zeros of float32 are not written and so lose their
// sign, which no real number has: large matrices are often nearly all zeros, and a page of fresh memory that nothing is written to
// costs a fraction of one that is.
func decodeRaw(dst []float64, b []byte, dt op.DType) {
	switch dt {
	case op.Float32:
		b = b[:4*len(dst)]
		for i := range dst {
			if bits := binary.LittleEndian.Uint32(b[4*i:]); bits<<1 != 0 {
				dst[i] = float64(math.Float32frombits(bits))
			}
		}
	case op.Float64:
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case op.Float16:
		for i := range dst {
			dst[i] = fromFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case op.Int64:
		for i := range dst {
			dst[i] = float64(int64(binary.LittleEndian.Uint64(b[8*i:])))
		}
	case op.Int32:
		for i := range dst {
			dst[i] = float64(int32(binary.LittleEndian.Uint32(b[4*i:])))
		}
	case op.Int8:
		for i := range dst {
			dst[i] = float64(int8(b[i]))
		}
	case op.Uint8:
		for i := range dst {
			dst[i] = float64(b[i])
		}
	case op.Bool:
		for i := range dst {
			dst[i] = truth(uint64(b[i]))
		}
	}
}

// decodeTyped decodes float_data, double_data, int32_data or int64_data; the counts were checked.
func (t *rawTensor) decodeTyped(dst []float64, dt op.DType) {
	if isFixed(dt) {
		for _, b := range t.fixed {
			n := len(b) / t.width
			if t.width == 4 {
				decodeRaw(dst[:n], b, op.Float32)
			} else {
				decodeRaw(dst[:n], b, op.Float64)
			}
			dst = dst[n:]
		}
		return
	}
	i := 0
	for k := range t.ints {
		_ = t.ints[k].varints("", func(v uint64) {
			dst[i] = fromVarint(v, dt)
			i++
		}) // count decoded the same bytes before
	}
}

// fromVarint reads one number of int32_data or int64_data.
func fromVarint(v uint64, dt op.DType) float64 {
	switch dt {
	case op.Float16:
		return fromFloat16(uint16(v))
	case op.Int32:
		return float64(int32(v))
	case op.Int8:
		return float64(int8(v))
	case op.Uint8:
		return float64(uint8(v))
	case op.Bool:
		return truth(v)
	}
	return float64(int64(v))
}

func truth(v uint64) float64 {
	if v != 0 {
		return 1
	}
	return 0
}

// fromFloat16 widens an IEEE-754 binary16 number.
func fromFloat16(h uint16) float64 {
	frac, exp := float64(h&0x3ff), int(h>>10&0x1f)
	v := 0.0
	switch exp {
	case 0:
		v = math.Ldexp(frac, -24)
	case 31:
		v = math.Inf(1)
		if frac != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1024+frac, exp-25)
	}
	if h>>15 != 0 {
		v = -v
	}
	return v
}

var typeNames = map[int64]string{
	0: "undefined", 4: "uint16", 5: "int16", 8: "string", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
	16: "bfloat16", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
}

// typeName returns ONNX's name of a TensorProto.DataType.
func typeName(t int64) string {
	if s, ok := typeNames[t]; ok {
		return s + " is not supported"
	}
	return fmt.Sprintf("%d is unknown", t)
}
