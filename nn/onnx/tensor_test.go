package onnx

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/spai-project/certify/nn/op"
)

// TestDecodeRawZeros: zeros are left out, whatever their sign, and nothing else is.
func TestDecodeRawZeros(t *testing.T) {
	bits := []uint32{0, 1 << 31, 1, 1<<31 | 1, 0x3f800000, 0xbf800000, 0x00800000}
	want := []float64{0, 0, 0x1p-149, -0x1p-149, 1, -1, 0x1p-126}
	var raw []byte
	for _, b := range bits {
		raw = binary.LittleEndian.AppendUint32(raw, b)
	}
	got := make([]float64, len(bits))
	decodeRaw(got, raw, op.Float32)
	for i, v := range got {
		if math.Float64bits(v) != math.Float64bits(want[i]) {
			t.Errorf("bits %#x: %v, want %v", bits[i], v, want[i])
		}
	}
}
