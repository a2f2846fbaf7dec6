package onnx_test

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spai-project/certify/nn/onnx"
)

// nested says which fields of a message are messages, and of what kind.
var nested = map[string]map[protowire.Number]string{
	"model": {7: "graph", 8: "opset"},
	"graph": {1: "node", 5: "tensor", 11: "value", 12: "value"},
	"node":  {5: "attribute"}, "attribute": {5: "tensor"},
	"value": {2: "type"}, "type": {1: "tensorType"}, "tensorType": {2: "shape"}, "shape": {1: "dimension"},
}

// extremes are the numbers that break careless code.
var extremes = []int64{0, 1, 2, 3, 4, 7, 16, 100, 4096, -1, -2, -3, -100, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, 1 << 40}

// mutator changes leaves of an encoded model but keeps it well-formed, so that the changes reach the operators.
type mutator struct {
	r    *rand.Rand
	rate float64
}

// message returns a changed copy of the message b.
func (m *mutator) message(kind string, b []byte) pb {
	var out pb
	for len(b) > 0 {
		id, typ, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(id, typ, b[n:])
		field, value := b[:n+size], b[n:n+size]
		b = b[n+size:]
		inner := nested[kind][id]
		switch {
		case inner != "":
			v, _ := protowire.ConsumeBytes(value)
			out = out.bytes(id, m.message(inner, v))
		case m.r.Float64() >= m.rate || kind == "model" || kind == "opset":
			out = append(out, field...)
		default:
			out = m.leaf(out, field, id, typ, value)
		}
	}
	return out
}

// leaf appends a changed leaf: dropped, doubled, or with another value.
func (m *mutator) leaf(out pb, field []byte, id protowire.Number, typ protowire.Type, value []byte) pb {
	switch k := m.r.IntN(8); {
	case k == 0:
		return out
	case k == 1:
		return append(append(out, field...), field...)
	case typ == protowire.VarintType:
		return out.int(id, extremes[m.r.IntN(len(extremes))])
	case typ == protowire.BytesType:
		v, _ := protowire.ConsumeBytes(value)
		v = append([]byte(nil), v...)
		if len(v) > 0 && len(v)%8 == 0 && m.r.IntN(2) == 0 { // int64 raw data, or something that does not mind
			binary.LittleEndian.PutUint64(v[8*m.r.IntN(len(v)/8):], uint64(extremes[m.r.IntN(len(extremes))]))
		} else if len(v) > 0 {
			v[m.r.IntN(len(v))] = byte(m.r.IntN(256))
		}
		return out.bytes(id, v)
	}
	return append(out, field...)
}

// mutateFor is how long TestMutated looks for trouble.
const mutateFor = 2 * time.Second

// smallSuiteModels returns, when CERTIFY_BENCH is set, a small model of every suite that has one.
func smallSuiteModels(t *testing.T) [][]byte {
	files, _ := filepath.Glob(filepath.Join(os.Getenv("CERTIFY_BENCH"), "vnncomp", "*", "onnx", "*.onnx.gz"))
	var models [][]byte
	seen := map[string]bool{}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 400<<10 || seen[filepath.Dir(f)] {
			continue
		}
		seen[filepath.Dir(f)] = true
		models = append(models, gunzip(t, f))
	}
	return models
}

// gunzip returns the decompressed contents of a file.
func gunzip(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMutated reads, evaluates and lowers well-formed but senseless models: errors, never panics, and never slow.
func TestMutated(t *testing.T) {
	var models [][]byte
	for _, gold := range readGoldens(t, "small.json") {
		models = append(models, gold.bytes(t))
	}
	models = append(models, smallSuiteModels(t)...)
	read := 0
	var seed uint64
	for stop := time.Now().Add(mutateFor); time.Now().Before(stop) && !t.Failed(); seed++ {
		if tryMutated(t, models[int(seed)%len(models)], seed) {
			read++
		}
	}
	t.Logf("%d of %d mutants are networks", read, seed)
	if read == 0 || read == int(seed) {
		t.Errorf("%d of %d mutants are networks: the test tests nothing", read, seed)
	}
}

// tryMutated runs one mutant and reports whether it is a network.
func tryMutated(t *testing.T, model []byte, seed uint64) bool {
	t.Helper()
	m := mutator{r: rand.New(rand.NewPCG(seed, 1)), rate: []float64{0.01, 0.05, 0.2}[seed%3]}
	data := m.message("model", model)
	start := time.Now()
	defer func() {
		if e := recover(); e != nil {
			panic(fmt.Sprintf("mutant %d: %v", seed, e))
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("mutant %d took %v", seed, d)
		}
	}()
	g, err := onnx.Read(data)
	if err != nil {
		return false
	}
	x := goldenInput(1, g.NumInputs())
	y, err := g.EvalFlat(x)
	if err != nil {
		return true
	}
	p, err := g.Lower()
	if err != nil {
		return true
	}
	z := p.Eval(x, 1, nil)[p.Output]
	for i := range z {
		if d := math.Abs(z[i] - y[i]); d > 1e-6*(1+math.Abs(y[i])) && d < math.Inf(1) {
			t.Errorf("mutant %d: output %d of the program is %v, of the graph %v", seed, i, z[i], y[i])
			break
		}
	}
	return true
}
