package kernel

import (
	"bytes"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/verifytest"
)

const declared = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-fun Y_0 () Real)(declare-const Y_1 Real)\n"
const boxed = declared + "(assert (<= X_0 0.1))(assert (>= X_0 -1e-1))(assert (and (<= X_1 2) (>= X_1 1)))"

var queries = []string{
	boxed,
	boxed + "(assert (<= Y_0 Y_1))",
	boxed + "(assert (< (+ (* 2 Y_0) (- Y_1) 3) (- X_0 0.25 Y_0)))",
	boxed + "(assert (= Y_0 1.5e-3)) ; comment (\n(assert (> 3 Y_1))",
	boxed + "(assert (or (and (<= Y_0 1) (>= Y_1 2)) (<= Y_1 3)))(assert (or (>= Y_0 9) (>= Y_0 8)))",
	boxed + "(assert (<= X_0 0.05))(assert (< X_0 0.05))(assert (>= X_0 0.025))",
	boxed + "(assert (or (and (<= X_0 0.05) (<= Y_0 1)) (and (>= X_0 0.05) (<= Y_0 2)) (and (>= X_0 7) (<= Y_0 2))))",
	boxed + "(assert (<= (* 2 X_0 3) 0.3))(assert (<= (- X_1) -1.25))",
	boxed + "(assert (<= (+ X_0 Y_0 X_0) (* 2 X_0)))",
}

// openQuery reads a question without a network: node 9 stands for Y.
func openQuery(text string) (p *Problem, err error) {
	defer door(&err)
	p = &Problem{net: &network{output: 9}}
	p.boxes, p.cases = parseQuery([]byte(text), 9).split()
	return p, nil
}

// TestQueries compares the parser with package spec; a network is not needed.
func TestQueries(t *testing.T) {
	open := func(text string) *Problem {
		p, err := openQuery(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return p
	}
	n := 0
	compare := func(text string) {
		sp, err := spec.Read("q", strings.NewReader(text), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		n += len(sp.Cases)
		compareQuery(t, open(text), sp)
	}
	for _, text := range queries {
		compare(text)
	}
	for seed := range uint64(300) {
		var q bytes.Buffer
		if err := spec.WriteVNNLIB(&q, verifytest.RandomInstance(seed).Problem); err != nil {
			t.Fatal(err)
		}
		compare(q.String())
	}
	if n < 300 {
		t.Errorf("only %d cases", n)
	}
}

// TestBadQueries: what is not understood is refused, not skipped.
func TestBadQueries(t *testing.T) {
	for _, text := range []string{
		"", "(", ")", "x", "(assert)", "(check-sat)", declared, boxed + "(", boxed + "(assert (<= Y_0 1)", boxed + "(assert (<= Y_2 1))",
		boxed + "(assert (<= Y_0 Z_0))", boxed + "(assert (<= Y_0 0x10))", boxed + "(assert (<= Y_0 1/3))", boxed + "(assert (<= Y_0 1_0))",
		boxed + "(assert (<= Y_0 inf))", boxed + "(assert (<= Y_0 1e99999))", boxed + "(assert (not (<= Y_0 1)))", boxed + "(assert (<= Y_0 1 2))",
		boxed + "(assert (<= Y_0))", boxed + "(assert (<= (* Y_0 Y_1) 1))", boxed + "(assert (<= (/ Y_0 2) 1))", boxed + "(assert (<= (+) 1))",
		boxed + "(assert true)", boxed + "(declare-const X_1 Real)", boxed + "(declare-const Y_2 Int)", boxed + "(declare-fun Y_2 (Real) Real)",
		declared + "(assert (<= X_0 1))(assert (>= X_0 0))", boxed + strings.Repeat("(assert (or (<= Y_0 1) (<= Y_1 1)))", 30),
		boxed + "(assert " + strings.Repeat("(and ", 300) + "(<= Y_0 1)" + strings.Repeat(")", 301),
		boxed + "(assert (<= " + strings.Repeat("(+ ", 300) + "1" + strings.Repeat(")", 300) + " Y_0))",
	} {
		if _, err := openQuery(text); err == nil || strings.Contains(err.Error(), "defect") {
			t.Errorf("%v: %.200s", err, text)
		}
	}
}

// demo returns the model of the bundled example.
func demo(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../cmd/certify/demo/suite/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDemo compares both readers on the bundled example.
func TestDemo(t *testing.T) {
	for _, q := range []string{"safe.vnnlib", "unsafe.vnnlib"} {
		compare(t, demo(t, "model.onnx"), demo(t, q), 20)
	}
}

// TestWitness: a witness must satisfy a case, exactly, with float32 inputs inside the decimal box.
func TestWitness(t *testing.T) {
	model := demo(t, "model.onnx")
	g, err := onnx.Read(model)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.5, -0.25, 0.125, 0, 0.25}
	y, err := g.EvalFlat(x)
	if err != nil {
		t.Fatal(err)
	}
	head := strings.SplitAfter(string(demo(t, "safe.vnnlib")), "(assert (>= Y_0")[0]
	head = head[:strings.Index(head, "(assert (>= Y_0")]
	const good = "sat\n((X_0 0.5)\n(X_1 -0.25)\n(X_2 0.125)\n(X_3 0)\n(X_4 0.25)\n(Y_0 1)(Y_1 1))\n"
	const lines = "sat\nX float32 [5]\n0.5\n-0.25\n0.125\n0\n0.25\nY float32 [5]\n1\n1\n1\n1\n1\n"
	for _, c := range []struct {
		rows, text string
		ok         bool
	}{
		{"(assert (>= Y_0 " + new(big.Rat).SetFloat64(y[0]-1e-6).FloatString(30) + "))", good, true},
		{"(assert (>= Y_0 " + new(big.Rat).SetFloat64(y[0]+1e-6).FloatString(30) + "))", good, false},
		{"(assert (<= Y_0 " + new(big.Rat).SetFloat64(y[0]+1e-6).FloatString(30) + "))", good, true},
		{"(assert (<= Y_0 1000))", strings.Replace(good, "0.5", "1.5", 1), false},             // outside
		{"(assert (<= Y_0 1000))", strings.Replace(good, "0.125", "0.1", 1), false},           // no float32
		{"(assert (<= Y_0 1000))", strings.Replace(good, "(X_4 0.25)", "", 1), false},         // missing
		{"(assert (<= Y_0 1000))", strings.Replace(good, "X_3 ", "X_2 ", 1), false},           // twice
		{"(assert (<= Y_0 1000))", good + "(X_0 1)", false},                                   // more
		{"(assert (<= Y_0 1000))", strings.Replace(good, "0.25", "NaN", 1), false},            // no number
		{"(assert (<= Y_0 1000))(assert (<= X_0 0.5))(assert (>= X_1 -0.25))", good, true},    // at the ends
		{"(assert (<= Y_0 1000))(assert (< X_0 0.5))", good, false},                           // just outside
		{"(assert (<= (+ Y_0 X_0) (+ Y_0 0.5)))", good, true},                                 // equal, exactly
		{"(assert (< (+ Y_0 X_1) (+ Y_0 X_1)))", good, false},                                 // never
		{"(assert (or (>= Y_0 1000) (and (<= Y_0 1000) (<= (+ X_0 X_1) 0.25))))", good, true}, // the second case, at its edge
		{"(assert (< (+ X_0 X_1) 0.25))", good, false},
		{"(assert (<= Y_0 1000))", lines, true},
		{"(assert (>= Y_0 1000))", lines, false},
		{"(assert (<= Y_0 1000))", strings.Replace(lines, "0.125", "0.1", 1), true}, // means the float32 nearest to it
		{"(assert (<= Y_0 1000))", strings.Replace(lines, "float32", "Real", 1), true},
		{"(assert (<= Y_0 1000))", strings.Replace(strings.Replace(lines, "0.125", "0.1", 1), "float32", "Real", 1), false},
		{"(assert (<= Y_0 1000))", strings.Replace(lines, "0.125\n", "", 1), false},
	} {
		p, err := Open(model, []byte(head+c.rows))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Check([]byte(c.text)); r.Accepted != c.ok || r.Claim != "sat" && c.ok {
			t.Errorf("%s with\n%s: %v", c.rows, c.text, r)
		}
	}
}

// FuzzQuery parses anything: no panic, and what is accepted package spec accepts too, with the same cases.
func FuzzQuery(f *testing.F) {
	for _, q := range queries {
		f.Add([]byte(q))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		p, err := openQuery(string(data))
		if err != nil && strings.Contains(err.Error(), "defect") {
			t.Fatal(err)
		}
		if err != nil || len(p.cases) > 64 {
			return
		}
		sp, err := spec.Read("q", bytes.NewReader(data), nil)
		if err != nil {
			return // stricter in places: an empty box of all cases, numbers beyond float64
		}
		compareQuery(t, p, sp)
	})
}

// tiny is relu(x·W + b)·V with two inputs and outputs, as a file of few bytes: a fuzzer works better on those.
func tiny(t testing.TB) []byte {
	t.Helper()
	d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, 2}}}, Outputs: []nn.DraftPort{{Name: "y"}}}
	for name, data := range map[string][]float64{"W": {1, -1, 0.5, 2}, "b": {0.25, -3}, "V": {1, 0, -1, 1}} {
		shape := []int{len(data) / 2, 2}
		d.Consts = append(d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Float32, Shape: shape, Data: data}})
	}
	for _, n := range [][]string{{"Gemm", "z", "x", "W", "b"}, {"Relu", "r", "z"}, {"MatMul", "y", "r", "V"}} {
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: n[1], Type: n[0], Opset: 13}, In: n[2:], Out: n[1:2]})
	}
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := onnx.Write(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pooled has a window, a slope, limits, a slice and an average, in a file of few bytes.
func pooled(t testing.TB) []byte {
	t.Helper()
	d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, 2}}},
		Outputs: []nn.DraftPort{{Name: "y"}}}
	for name, data := range map[string][]float64{"s": {1, 2, 1, 1}, "p": {0, 0, 0, 0, 0, 0, 1, 2}, "0": {0}, "2": {2}, "3": {3}} {
		d.Consts = append(d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Int64, Shape: []int{len(data)}, Data: data}})
	}
	for name, v := range map[string]float64{"lo": -1, "hi": 2.5} {
		d.Consts = append(d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Float32, Data: []float64{v}}})
	}
	for _, n := range []struct {
		kind, in string
		attrs    map[string]op.Attr
	}{
		{"Reshape", "x s", nil}, {"Pad", "a p", nil}, {"MaxPool", "b", map[string]op.Attr{"kernel_shape": {Is: []int64{2, 3}}}},
		{"LeakyRelu", "c", nil}, {"Slice", "d 0 2 3", nil}, {"Clip", "e lo hi", nil},
		{"Concat", "e f", map[string]op.Attr{"axis": {I: 1}}}, {"Squeeze", "g", nil}, {"Abs", "h", nil},
	} {
		out := string(rune('a' + len(d.Nodes)))
		node := op.Node{Name: out, Type: n.kind, Opset: 13, Attrs: n.attrs}
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: node, In: strings.Fields(n.in), Out: []string{out}})
	}
	d.Nodes[len(d.Nodes)-1].Out = []string{"y"}
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := onnx.Write(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzModel parses anything: no panic (Open would report it as a defect).
func FuzzModel(f *testing.F) {
	f.Add(tiny(f))
	f.Add(pooled(f))
	question := []byte(boxed)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Open(data, question)
		if err == nil {
			_, err = p.Root(0)
		}
		if err != nil && strings.Contains(err.Error(), "defect") {
			t.Fatal(err)
		}
	})
}

// TestTiny: the fuzzer's seeds are models that are accepted.
func TestTiny(t *testing.T) {
	compare(t, tiny(t), []byte(boxed), 20)
	compare(t, pooled(t), []byte(strings.Replace(boxed, "Y_1 Real)", "Y_1 Real)(declare-const Y_2 Real)(declare-const Y_3 Real)", 1)), 20)
}
