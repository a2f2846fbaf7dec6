package demo

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
)

var update = flag.Bool("update", false, "write suite/model.onnx anew")

// TestModelIsGenerated: the committed model is what Network draws, byte for byte.
func TestModelIsGenerated(t *testing.T) {
	g, err := nn.Build(Network(6, 5, 20, 20, 5))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := onnx.Write(&b, g); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("suite/model.onnx", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := fs.ReadFile(Files(), "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Error("suite/model.onnx differs from Network's; run the test with -update")
	}
	if len(got) > 10_000 {
		t.Errorf("the model has %d bytes, want at most 10000", len(got))
	}
}
