package onnx_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
)

// FuzzRead reads arbitrary bytes: a typed error or a graph that evaluates, and that survives writing and reading.
func FuzzRead(f *testing.F) {
	for _, gold := range readGoldens(f, "small.json") {
		data := gold.bytes(f)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte(encModel(13, relu())))
	opt := onnx.Options{MaxBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := opt.Read(data)
		if err != nil {
			var format *onnx.FormatError
			var limit *onnx.LimitError
			var unsupported *nn.UnsupportedError
			if !errors.As(err, &format) && !errors.As(err, &limit) && !errors.As(err, &unsupported) {
				t.Fatalf("untyped error %T: %v", err, err)
			}
			return
		}
		// Operators may refuse numbers (a shape computed from the input), but must not panic.
		y, err := g.EvalFlat(goldenInput(1, g.NumInputs()))
		if err != nil {
			return
		}
		if p, err := g.Lower(); err == nil {
			if n := p.Nodes[p.Output].N; n != g.NumOutputs() {
				t.Fatalf("the program has %d outputs, the graph %d", n, g.NumOutputs())
			}
		}
		var file bytes.Buffer
		if err := onnx.Write(&file, g); err != nil {
			return
		}
		again, err := onnx.Read(file.Bytes())
		if err != nil {
			t.Fatalf("written graph cannot be read: %v", err)
		}
		z, err := again.EvalFlat(goldenInput(1, again.NumInputs()))
		if err != nil || len(z) != len(y) {
			t.Fatalf("written graph: %d outputs, %v; want %d", len(z), err, len(y))
		}
	})
}

// FuzzReadNNet reads arbitrary text: a typed error or a graph.
func FuzzReadNNet(f *testing.F) {
	f.Add([]byte(tiny))
	f.Add([]byte(tiny[:len(tiny)/2]))
	opt := onnx.Options{MaxBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := opt.ReadNNet(data)
		var format *onnx.FormatError
		var limit *onnx.LimitError
		if err != nil && !errors.As(err, &format) && !errors.As(err, &limit) {
			t.Fatalf("untyped error %T: %v", err, err)
		}
	})
}
