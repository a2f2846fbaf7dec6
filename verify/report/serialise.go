package report

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Serialise writes the witness of r into dir as the VNN-LIB 2.0 standard wants it: one file NAME.pb per declared variable,
// an ONNX TensorProto in its type (float32 for reals, whose witness values are float32 numbers, outputs as float64).
func Serialise(dir string, r *Run) error {
	vars, err := variables(r.Problem, r.Result.Witness)
	if err != nil {
		return err
	}
	for _, v := range vars {
		if v.Name != filepath.Base(v.Name) || strings.HasPrefix(v.Name, ".") {
			return fmt.Errorf("report: variable name %q cannot be a file name", v.Name)
		}
		if err := os.WriteFile(filepath.Join(dir, v.Name+".pb"), tensorProto(v), 0o644); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// The fields of onnx.TensorProto that are written, and two of its element types.
const (
	fieldDims, fieldType, fieldName, fieldRaw = 1, 2, 8, 9
	typeFloat, typeDouble                     = 1, 11
)

func tensorProto(v variable) []byte {
	var b, raw []byte
	double := strings.EqualFold(v.Type, "float64") || v.Output && strings.EqualFold(v.Type, "real")
	typ := uint64(typeFloat)
	if double {
		typ = typeDouble
	}
	for _, x := range v.values {
		if double {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
		} else {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
		}
	}
	for _, d := range v.Shape {
		b = protowire.AppendTag(b, fieldDims, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(d))
	}
	b = protowire.AppendTag(b, fieldType, protowire.VarintType)
	b = protowire.AppendVarint(b, typ)
	b = protowire.AppendTag(b, fieldName, protowire.BytesType)
	b = protowire.AppendString(b, v.Name)
	b = protowire.AppendTag(b, fieldRaw, protowire.BytesType)
	return protowire.AppendBytes(b, raw)
}
