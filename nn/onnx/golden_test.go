package onnx_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
)

// A golden is what onnxruntime computed for one model; testdata/golden.py writes them.
type golden struct {
	Name    string
	Model   string // base64, small models only
	SHA256  string
	Seed    uint64
	Inputs  int
	Count   int     // number of outputs, suite models only
	Scale   float64 // largest output in magnitude
	Outputs []float64
}

func readGoldens(t testing.TB, name string) []golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var gs []golden
	if err := json.Unmarshal(data, &gs); err != nil {
		t.Fatal(err)
	}
	return gs
}

func (g *golden) bytes(t testing.TB) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(g.Model)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldenInput is the input of the golden files: splitmix64(seed + i) >> 40, times 2⁻²⁴.
func goldenInput(seed uint64, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		z := (seed + uint64(i)) * 0x9E3779B97F4A7C15
		z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
		z = (z ^ (z >> 27)) * 0x94D049BB133111EB
		z ^= z >> 31
		x[i] = float64(z>>40) * 0x1p-24
	}
	return x
}

// check compares y with the golden outputs, 1e-4 relative to the largest: the oracle computes in float32.
func (g *golden) check(t *testing.T, what string, y []float64) {
	t.Helper()
	scale := g.Scale
	for _, v := range g.Outputs {
		scale = max(scale, math.Abs(v))
	}
	if len(g.Outputs) == 0 || len(y) < len(g.Outputs) {
		t.Fatalf("%s: %s has %d outputs, the golden file %d", g.Name, what, len(y), len(g.Outputs))
	}
	for i, v := range g.Outputs {
		if d := math.Abs(y[i] - v); !(d <= 1e-4*scale) {
			t.Errorf("%s: output %d of %s is %v, of onnxruntime %v", g.Name, i, what, y[i], v)
			return
		}
	}
}

// TestGolden compares tiny models with onnxruntime: evaluation in both precisions, the lowered program, and the graph
// written and read again.
func TestGolden(t *testing.T) {
	for _, gold := range readGoldens(t, "small.json") {
		t.Run(gold.Name, func(t *testing.T) {
			g, err := onnx.Read(gold.bytes(t))
			if err != nil {
				t.Fatal(err)
			}
			x := goldenInput(gold.Seed, g.NumInputs())
			y, err := g.EvalFlat(x)
			if err != nil {
				t.Fatal(err)
			}
			if len(y) != len(gold.Outputs) || g.NumOutputs() != len(y) {
				t.Fatalf("%d outputs (NumOutputs %d), want %d", len(y), g.NumOutputs(), len(gold.Outputs))
			}
			gold.check(t, "Eval", y)
			y32, err := g.EvalFloat32(x)
			if err != nil {
				t.Fatal(err)
			}
			gold.check(t, "EvalFloat32", y32)
			p, err := g.Lower()
			if err != nil {
				t.Fatal(err)
			}
			gold.check(t, "the program", p.Eval(x, 1, nil)[p.Output])
			writeAgrees(t, gold.Name, g, x, y)
		})
	}
}

// writeAgrees writes g, reads it again, and compares the outputs at x, which must not change in any bit.
func writeAgrees(t *testing.T, name string, g *nn.Graph, x, y []float64) {
	t.Helper()
	var file bytes.Buffer
	if err := onnx.Write(&file, g); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	again, err := onnx.Read(file.Bytes())
	if err != nil {
		t.Errorf("%s: written and read: %v", name, err)
		return
	}
	z, err := again.EvalFlat(x)
	if err != nil || len(z) != len(y) {
		t.Errorf("%s: written and read: %d outputs, %v", name, len(z), err)
		return
	}
	for i := range y {
		if math.Float64bits(y[i]) != math.Float64bits(z[i]) {
			t.Errorf("%s: output %d is %v, after writing and reading %v", name, i, y[i], z[i])
			return
		}
	}
}

// TestSuites loads every suite model, compares it with onnxruntime, and the lowered program, if there is one, with Eval.
func TestSuites(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	lowered := 0
	goldens := readGoldens(t, "suites.json")
	for i, gold := range goldens {
		dir, file, _ := strings.Cut(gold.Name, "/")
		if testing.Short() && i%5 != 0 {
			continue
		}
		start := time.Now()
		g, err := onnx.ReadFile(filepath.Join(root, "vnncomp", dir, "onnx", file))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		load := time.Since(start)
		if g.Hash != gold.SHA256 {
			t.Errorf("%s: SHA-256 %s, recorded %s", gold.Name, g.Hash, gold.SHA256)
		}
		if g.NumInputs() != gold.Inputs || g.NumOutputs() != gold.Count {
			t.Errorf("%s: %d inputs, %d outputs; want %d, %d", gold.Name, g.NumInputs(), g.NumOutputs(), gold.Inputs, gold.Count)
			continue
		}
		x := goldenInput(gold.Seed, g.NumInputs())
		y, err := g.EvalFlat(x)
		if err != nil {
			t.Errorf("%s: %v", gold.Name, err)
			continue
		}
		gold.check(t, "Eval", y)
		if g.Params < 1<<21 {
			writeAgrees(t, gold.Name, g, x, y)
		}
		if lowerAgrees(t, gold.Name, g, x, y) {
			lowered++
		}
		t.Logf("%s: %d nodes, read in %v, all in %v", gold.Name, len(g.Nodes), load.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	}
	t.Logf("%d of %d models lower", lowered, len(goldens))
}

// lowerAgrees lowers g and compares the program's value at x with y; it reports whether g lowers.
func lowerAgrees(t *testing.T, name string, g *nn.Graph, x, y []float64) bool {
	t.Helper()
	p, err := g.Lower()
	var u *nn.UnsupportedError
	if errors.As(err, &u) {
		t.Logf("%s: %d of %d nodes do not lower, first: %v", name, len(u.Nodes), len(g.Nodes), &u.Nodes[0])
		return false
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	z := p.Eval(x, 1, nil)[p.Output]
	scale := 0.0
	for _, v := range y {
		scale = max(scale, math.Abs(v))
	}
	for i := range z {
		if d := math.Abs(z[i] - y[i]); !(d <= 1e-9*scale) {
			t.Errorf("%s: output %d of the program is %v, of the graph %v", name, i, z[i], y[i])
			break
		}
	}
	return true
}
