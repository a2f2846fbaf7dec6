package spec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.TensorProto and its element types.
const (
	tensorDims     = 1
	tensorDataType = 2
	tensorName     = 8
	tensorRawData  = 9

	onnxFloat  = 1
	onnxDouble = 11
)

// WriteTensors writes an assignment in the serialised form of VNN-LIB 2.0: one ONNX TensorProto per variable in dir/NAME.pb,
// float32 for float32 variables, float64 for all others. The directory is created when missing.
func WriteTensors(dir string, vars []Var, x, y []float64) error {
	if err := fits(vars, len(x), len(y)); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	for _, v := range vars {
		var part []float64
		part, x, y = take(v, x, y)
		path, err := tensorPath(dir, v)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, encodeTensor(v, part), 0o666); err != nil {
			return fmt.Errorf("spec: %w", err)
		}
	}
	return nil
}

// ReadTensors reads what WriteTensors wrote for the same variables.
func ReadTensors(dir string, vars []Var) (x, y []float64, err error) {
	for _, v := range vars {
		path, err := tensorPath(dir, v)
		if err != nil {
			return nil, nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("spec: %w", err)
		}
		part, err := decodeTensor(v, data)
		if err != nil {
			return nil, nil, fmt.Errorf("spec: %s: %w", path, err)
		}
		if v.Output {
			y = append(y, part...)
		} else {
			x = append(x, part...)
		}
	}
	return x, y, nil
}

// tensorPath refuses names that would leave the directory.
func tensorPath(dir string, v Var) (string, error) {
	if v.Name == "" || v.Name[0] == '.' || strings.ContainsAny(v.Name, `/\:`) {
		return "", fmt.Errorf("spec: the variable name %q is no file name", v.Name)
	}
	return filepath.Join(dir, v.Name+".pb"), nil
}

func encodeTensor(v Var, values []float64) []byte {
	var b []byte
	for _, d := range v.Shape {
		b = protowire.AppendTag(b, tensorDims, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(d))
	}
	kind, raw := uint64(onnxDouble), make([]byte, 0, 8*len(values))
	if bitsOf(v) == 32 {
		kind = onnxFloat
	}
	for _, f := range values {
		if kind == onnxFloat {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(f)))
		} else {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(f))
		}
	}
	b = protowire.AppendTag(b, tensorDataType, protowire.VarintType)
	b = protowire.AppendVarint(b, kind)
	b = protowire.AppendTag(b, tensorName, protowire.BytesType)
	b = protowire.AppendString(b, v.Name)
	b = protowire.AppendTag(b, tensorRawData, protowire.BytesType)
	return protowire.AppendBytes(b, raw)
}

var errTensor = errors.New("malformed TensorProto")

func decodeTensor(v Var, b []byte) ([]float64, error) {
	var shape []int
	var kind uint64
	var raw []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errTensor
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			return nil, errTensor
		}
		switch {
		case num == tensorDims && typ == protowire.VarintType:
			d, _ := protowire.ConsumeVarint(b)
			shape = append(shape, int(d))
		case num == tensorDims && typ == protowire.BytesType: // packed
			for list, _ := protowire.ConsumeBytes(b); len(list) > 0; {
				d, m := protowire.ConsumeVarint(list)
				if m < 0 {
					return nil, errTensor
				}
				shape, list = append(shape, int(d)), list[m:]
			}
		case num == tensorDataType && typ == protowire.VarintType:
			kind, _ = protowire.ConsumeVarint(b)
		case num == tensorRawData && typ == protowire.BytesType:
			raw, _ = protowire.ConsumeBytes(b)
		}
		b = b[n:]
	}
	return tensorValues(v, shape, kind, raw)
}

func tensorValues(v Var, shape []int, kind uint64, raw []byte) ([]float64, error) {
	if shapeText(shape) != shapeText(v.Shape) {
		return nil, fmt.Errorf("shape %s, %s has %s", shapeText(shape), v.Name, shapeText(v.Shape))
	}
	width := 8
	if kind == onnxFloat {
		width = 4
	} else if kind != onnxDouble {
		return nil, fmt.Errorf("element type %d, expected float (1) or double (11)", kind)
	}
	values := make([]float64, elements(v.Shape))
	if len(raw) != width*len(values) {
		return nil, fmt.Errorf("%d bytes of data for %d elements", len(raw), len(values))
	}
	for i := range values {
		if width == 4 {
			values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		} else {
			values[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	}
	return values, nil
}
