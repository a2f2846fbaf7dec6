package onnx_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
)

func list(s ...string) []string { return s }

// oneNode is a model of one node n with input x of shape [1, 3], output y and the given initialisers.
func oneNode(n pb, inits ...pb) []byte {
	return encModel(13, encGraph([]pb{n}, inits, []pb{encPort("x", 1, 3)}, []pb{encPort("y", 1, 3)}))
}

// TestRefusals reads files that must be refused and checks the kind of the error and that it says what and where.
func TestRefusals(t *testing.T) {
	x, y := encPort("x", 1, 3), encPort("y", 1, 3)
	add := func(inits ...pb) []byte { return oneNode(encNode("sum", "Add", list("x", "w"), list("y")), inits...) }
	raw := func(n int) pb { return pb(nil).bytes(9, make([]byte, n)) }
	graph := func(nodes ...pb) []byte { return encModel(13, encGraph(nodes, nil, []pb{x}, []pb{y})) }
	subgraph := pb(nil).bytes(5, pb(nil).str(1, "then_branch").bytes(6, relu()))
	tests := []struct {
		name string
		data []byte
		kind string // "format", "unsupported"
		want []string
	}{
		{"empty", nil, "format", list("no graph")},
		{"text", []byte("hello, world"), "format", list("model")},
		{"no opset", pb(nil).bytes(7, relu()), "format", list("no opset")},
		{"old opset", encModel(7, relu()), "unsupported", list("opset 7")},
		{"new opset", encModel(22, relu()), "unsupported", list("opset 22")},
		{"two graphs", pb(nil).bytes(7, relu()).bytes(7, relu()), "format", list("second graph")},
		{"no outputs", encModel(13, encGraph([]pb{encNode("r", "Relu", list("x"), list("y"))}, nil, []pb{x}, nil)), "format", list("no outputs")},
		{"dangling operand", graph(encNode("r", "Relu", list("nowhere"), list("y"))), "format", list(`node "r"`, `"nowhere"`)},
		{"dangling output", graph(encNode("r", "Relu", list("x"), list("z"))), "format", list(`output "y"`)},
		{"cycle", graph(encNode("a", "Relu", list("v"), list("u")), encNode("b", "Relu", list("u"), list("v")),
			encNode("c", "Add", list("u", "x"), list("y"))), "format", list("cycle", `"a"`, `"b"`)},
		{"duplicate value", graph(encNode("a", "Relu", list("x"), list("y")), encNode("b", "Relu", list("x"), list("y"))),
			"format", list(`node "b"`, `"y"`, "already")},
		{"duplicate initialiser", add(encFloats("w", []int64{1}, 1), encFloats("w", []int64{1}, 1)), "format", list(`"w"`, "already")},
		{"NaN weight", add(encFloats("w", []int64{3}, 0, float32(math.NaN()), 0)), "format", list(`"w"`, "element 1", "NaN")},
		{"infinite weight", add(encFloats("w", []int64{1}, float32(math.Inf(-1)))), "format", list(`"w"`, "-Inf")},
		{"too few numbers", add(encFloats("w", []int64{3}, 1, 2)), "format", list(`"w"`, "2 elements", "needs 3")},
		{"huge shape", add(encFloats("w", []int64{1 << 30, 1 << 30}, 1)), "format", list(`"w"`, "too large")},
		{"large shape, no data", add(encTensor("w", 1, []int64{1 << 30}, nil)), "format", list(`"w"`, "holds 0")},
		{"negative dimension", add(encFloats("w", []int64{-1}, 1)), "format", list("negative")},
		{"odd bytes", add(encTensor("w", 1, []int64{1}, raw(3))), "format", list(`"w"`)},
		{"shapes do not fit", add(encFloats("w", []int64{2}, 1, 2)), "format", list(`"sum"`)},
		{"external data", add(encTensor("w", 1, []int64{3}, pb(nil).int(14, 1))), "unsupported", list("w", "external data")},
		{"bfloat16", add(encTensor("w", 16, []int64{1}, raw(2))), "unsupported", list("w", "bfloat16")},
		{"unknown element type", add(encTensor("w", 99, []int64{1}, raw(2))), "unsupported", list("w", "99")},
		{"sub-graph", oneNode(encNode("if", "If", list("x"), list("y"), subgraph)), "unsupported", list(`"if"`, "sub-graph")},
		{"custom domain", oneNode(encNode("own", "Relu", list("x"), list("y"), pb(nil).str(7, "acme"))), "unsupported", list(`"own"`, "acme")},
		{"unknown operators", graph(encNode("a", "Frobnicate", list("x"), list("u")), encNode("b", "Twiddle", list("u"), list("y"))),
			"unsupported", list(`"a": Frobnicate`, `"b": Twiddle`)},
		{"input without shape", encModel(13, encGraph([]pb{encNode("r", "Relu", list("x"), list("y"))}, nil,
			[]pb{pb(nil).str(1, "x").bytes(2, pb(nil).bytes(1, pb(nil).int(1, 1)))}, []pb{y})), "format", list(`"x"`, "no shape")},
		{"attribute twice", oneNode(encNode("r", "Relu", list("x"), list("y"), pb(nil).bytes(5, pb(nil).str(1, "a").int(3, 1)),
			pb(nil).bytes(5, pb(nil).str(1, "a").int(3, 1)))), "format", list(`"a"`, "twice")},
		{"attribute of two types", oneNode(encNode("r", "Relu", list("x"), list("y"), pb(nil).bytes(5, pb(nil).str(1, "a").int(3, 1).int(8, 1)))),
			"format", list(`"a"`, "several types")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := onnx.Read(tt.data)
			var format *onnx.FormatError
			var unsupported *nn.UnsupportedError
			kind := "other"
			switch {
			case errors.As(err, &format):
				kind = "format"
			case errors.As(err, &unsupported):
				kind = "unsupported"
			}
			if kind != tt.kind {
				t.Fatalf("error %v (%s), want one of kind %s", err, kind, tt.kind)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

// TestDeadNodes checks that what the outputs do not need is neither evaluated nor an error.
func TestDeadNodes(t *testing.T) {
	g, err := onnx.Read(encModel(13, encGraph([]pb{
		encNode("dead", "Frobnicate", list("x"), list("u")),
		encNode("r", "Relu", list("x"), list("y")),
	}, nil, []pb{encPort("x", 0, 3)}, []pb{encPort("y", 1, 3)})))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Nodes) != 1 || g.NumInputs() != 3 {
		t.Errorf("%d nodes, %d inputs; want 1, 3", len(g.Nodes), g.NumInputs())
	}
}

// TestTruncated reads every proper prefix of valid files: each is an error.
func TestTruncated(t *testing.T) {
	for _, gold := range readGoldens(t, "small.json") {
		data := gold.bytes(t)
		for n := range data {
			if _, err := onnx.Read(data[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are read as a network", gold.Name, n, len(data))
			}
		}
	}
}

// TestInitialisers decodes one tensor in every type and both places and compares the numbers.
func TestInitialisers(t *testing.T) {
	tests := []struct {
		name string
		typ  op.DType
		data pb
		want []float64
	}{
		{"float32 typed", op.Float32, pb(nil).bytes(4, []byte{0, 0, 0x20, 0x40, 0, 0, 0x80, 0xbf}), []float64{2.5, -1}},
		{"float64 raw", op.Float64, pb(nil).bytes(9, []byte{0, 0, 0, 0, 0, 0, 4, 0x40, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf}), []float64{2.5, -1}},
		{"float64 typed", op.Float64, pb(nil).bytes(10, []byte{0, 0, 0, 0, 0, 0, 4, 0x40, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf}), []float64{2.5, -1}},
		{"float16 raw", op.Float16, pb(nil).bytes(9, []byte{0x00, 0x41, 0x01, 0x80}), []float64{2.5, -0x1p-24}},
		{"float16 typed", op.Float16, pb(nil).int(5, 0x7bff).int(5, 0xbc00), []float64{65504, -1}},
		{"int8 raw", op.Int8, pb(nil).bytes(9, []byte{0x80, 5}), []float64{-128, 5}},
		{"int8 typed", op.Int8, pb(nil).int(5, -3).int(5, 5), []float64{-3, 5}},
		{"uint8 raw", op.Uint8, pb(nil).bytes(9, []byte{0x80, 5}), []float64{128, 5}},
		{"int32 raw", op.Int32, pb(nil).bytes(9, []byte{0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0}), []float64{-1, 7}},
		{"int32 packed", op.Int32, pb(nil).bytes(5, pb{}.int(1, 9)[1:]).int(5, -7), []float64{9, -7}},
		{"int64 typed", op.Int64, pb(nil).int(7, -1).int(7, math.MaxInt64), []float64{-1, 1<<63 - 1024}},
		{"bool raw", op.Bool, pb(nil).bytes(9, []byte{2, 0}), []float64{1, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := encModel(13, encGraph(nil, []pb{encTensor("w", int64(tt.typ), []int64{2}, tt.data)},
				[]pb{encPort("x", 1)}, []pb{encPort("w", 2)}))
			g, err := onnx.Read(data)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.Outputs[0].Type; got != tt.typ {
				t.Errorf("type %d, want %d", got, tt.typ)
			}
			y, err := g.EvalFlat([]float64{0})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range tt.want {
				if y[i] != v {
					t.Errorf("element %d is %v, want %v", i, y[i], v)
				}
			}
			var file bytes.Buffer
			if err := onnx.Write(&file, g); err != nil {
				t.Fatal(err)
			}
			again, err := onnx.Read(file.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if z, _ := again.EvalFlat([]float64{0}); len(z) != 2 || z[0] != y[0] || z[1] != y[1] {
				t.Errorf("after writing and reading %v, before %v", z, y)
			}
		})
	}
}

// TestFiles reads gzipped and plain files, by their own name and without the .gz.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	plain := encModel(13, relu())
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(plain)
	z.Close()
	for name, data := range map[string][]byte{"a.onnx": plain, "b.onnx.gz": packed.Bytes(), "c.onnx": packed.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var hash string
	for _, name := range list("a.onnx", "b.onnx", "b.onnx.gz", "c.onnx") {
		g, err := onnx.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if hash == "" {
			hash = g.Hash
		}
		if g.Hash != hash {
			t.Errorf("%s: hash %s, want that of the plain file, %s", name, g.Hash, hash)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "t.nnet"), []byte(tiny), 0o600); err != nil {
		t.Fatal(err)
	}
	if g, err := onnx.ReadFile(filepath.Join(dir, "t.nnet")); err != nil || g.NumInputs() != 2 {
		t.Errorf("t.nnet: %v", err)
	}
	if _, err := onnx.ReadFile(filepath.Join(dir, "none.onnx")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	var format *onnx.FormatError
	if _, err := onnx.Read(packed.Bytes()[:packed.Len()-9]); !errors.As(err, &format) {
		t.Errorf("truncated gzip: %v", err)
	}
}

// TestBomb checks that decompression stops at the limit.
func TestBomb(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(make([]byte, 10<<20))
	z.Close()
	var limit *onnx.LimitError
	_, err := onnx.Options{MaxBytes: 1 << 20}.Read(packed.Bytes())
	if !errors.As(err, &limit) || limit.Limit != 1<<20 {
		t.Errorf("10 MiB of zeros with a limit of 1 MiB: %v", err)
	}
}
