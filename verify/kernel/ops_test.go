package kernel

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
)

// opCases are single operators x → op(x, constants…) over an input of the given shape.
var opCases = []struct {
	kind   string
	shape  []int
	attrs  map[string]op.Attr
	consts []op.Tensor // of element type 0: float32
	first  bool        // the constants come before x
	square bool        // x is the last operand too
	opset  int         // 13 where it is 0
}{
	{kind: "Add", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{3}}}},
	{kind: "Add", shape: []int{3}, consts: []op.Tensor{{Shape: []int{2, 1}}}},
	{kind: "Add", shape: []int{2, 3}, square: true},
	{kind: "Sub", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{2, 1}}}},
	{kind: "Sub", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{2, 3}}}, first: true},
	{kind: "Mul", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{2, 1}}}},
	{kind: "Mul", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{1}}}, first: true},
	{kind: "MatMul", shape: []int{1, 4}, consts: []op.Tensor{{Shape: []int{4, 3}}}},
	{kind: "MatMul", shape: []int{4}, consts: []op.Tensor{{Shape: []int{4, 3}}}},
	{kind: "MatMul", shape: []int{2, 3, 4}, consts: []op.Tensor{{Shape: []int{4, 2}}}},
	{kind: "MatMul", shape: []int{2, 4}, consts: []op.Tensor{{Shape: []int{4}}}},
	{kind: "MatMul", shape: []int{4, 3}, consts: []op.Tensor{{Shape: []int{2, 4}}}, first: true},
	{kind: "MatMul", shape: []int{4}, consts: []op.Tensor{{Shape: []int{2, 4}}}, first: true},
	{kind: "Gemm", shape: []int{2, 4}, consts: []op.Tensor{{Shape: []int{4, 3}}, {Shape: []int{3}}}},
	{kind: "Gemm", shape: []int{4, 2}, consts: []op.Tensor{{Shape: []int{3, 4}}, {Shape: []int{2, 1}}},
		attrs: map[string]op.Attr{"transA": {I: 1}, "transB": {I: 1}, "alpha": {F: 0.5}, "beta": {F: float64(float32(0.3))}}},
	{kind: "Gemm", shape: []int{4, 3}, consts: []op.Tensor{{Shape: []int{2, 4}}}, first: true,
		attrs: map[string]op.Attr{"alpha": {F: float64(float32(0.7))}}},
	{kind: "Conv", shape: []int{1, 2, 7}, consts: []op.Tensor{{Shape: []int{3, 2, 3}}, {Shape: []int{3}}}},
	{kind: "Conv", shape: []int{2, 4, 5, 6}, consts: []op.Tensor{{Shape: []int{4, 2, 3, 2}}, {Shape: []int{4}}},
		attrs: map[string]op.Attr{"group": {I: 2}, "strides": {Is: []int64{2, 1}}, "dilations": {Is: []int64{1, 2}}, "pads": {Is: []int64{1, 0, 2, 3}}}},
	{kind: "Conv", shape: []int{1, 1, 4, 4}, consts: []op.Tensor{{Shape: []int{2, 1, 1, 1}}},
		attrs: map[string]op.Attr{"strides": {Is: []int64{3, 2}}}},
	{kind: "BatchNormalization", shape: []int{2, 3, 2, 2},
		consts: []op.Tensor{{Shape: []int{3}}, {Shape: []int{3}}, {Shape: []int{3}},
			{Type: op.Float32, Shape: []int{3}, Data: []float64{0.5, 2, 0.125}}}, attrs: map[string]op.Attr{"epsilon": {F: 0.25}}},
	{kind: "AveragePool", shape: []int{1, 2, 5, 4},
		attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{3, 2}}, "strides": {Is: []int64{2, 1}}}},
	{kind: "Concat", shape: []int{2, 3}, square: true, attrs: map[string]op.Attr{"axis": {I: 1}}},
	{kind: "Concat", shape: []int{2, 3}, square: true, attrs: map[string]op.Attr{"axis": {I: -2}}},
	{kind: "Transpose", shape: []int{2, 3, 4}, attrs: map[string]op.Attr{"perm": {Is: []int64{2, 0, 1}}}},
	{kind: "Transpose", shape: []int{2, 3}},
	{kind: "Flatten", shape: []int{2, 3, 2}, attrs: map[string]op.Attr{"axis": {I: 2}}},
	{kind: "Reshape", shape: []int{2, 3, 2}, consts: []op.Tensor{{Type: op.Int64, Shape: []int{2}, Data: []float64{0, -1}}}},
	{kind: "Flatten", shape: []int{2, 3, 2}, attrs: map[string]op.Attr{"axis": {I: -1}}},
	{kind: "Flatten", shape: []int{2, 3}, attrs: map[string]op.Attr{"axis": {I: 2}}},
	{kind: "Squeeze", shape: []int{1, 3, 1}},
	{kind: "Squeeze", shape: []int{1, 3, 1}, consts: []op.Tensor{{Type: op.Int64, Shape: []int{1}, Data: []float64{-1}}}},
	{kind: "Squeeze", shape: []int{1, 3, 1}, attrs: map[string]op.Attr{"axes": {Is: []int64{0}}}, opset: 11},
	{kind: "Unsqueeze", shape: []int{3, 2}, consts: []op.Tensor{{Type: op.Int64, Shape: []int{2}, Data: []float64{-1, 1}}}},
	{kind: "Unsqueeze", shape: []int{3, 2}, attrs: map[string]op.Attr{"axes": {Is: []int64{0, 3}}}, opset: 11},
	{kind: "Slice", shape: []int{3, 5}, consts: []op.Tensor{{Type: op.Int64, Shape: []int{1}, Data: []float64{-4}},
		{Type: op.Int64, Shape: []int{1}, Data: []float64{1 << 62}}, {Type: op.Int64, Shape: []int{1}, Data: []float64{1}},
		{Type: op.Int64, Shape: []int{1}, Data: []float64{2}}}},
	{kind: "Slice", shape: []int{3, 5},
		attrs: map[string]op.Attr{"starts": {Is: []int64{1, 0}}, "ends": {Is: []int64{9, -1}}}, opset: 9},
	{kind: "Pad", shape: []int{2, 3}, consts: []op.Tensor{{Type: op.Int64, Shape: []int{4}, Data: []float64{1, -1, 0, 2}}}},
	{kind: "Pad", shape: []int{2, 3}, attrs: map[string]op.Attr{"pads": {Is: []int64{0, 2, 1, 0}}}, opset: 10},
	{kind: "Dropout", shape: []int{2, 3}},
	{kind: "Sum", shape: []int{2, 3}, square: true, consts: []op.Tensor{{Shape: []int{3}}, {Shape: []int{2, 1}}}},
	{kind: "Sum", shape: []int{3}, consts: []op.Tensor{{Shape: []int{2, 1}}}},
	{kind: "Neg", shape: []int{2, 3}},
	{kind: "Div", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{3}}}},
	{kind: "Div", shape: []int{3}, consts: []op.Tensor{{Type: op.Float32, Shape: []int{2, 1}, Data: []float64{0.5, -4}}}},
	{kind: "GlobalAveragePool", shape: []int{2, 2, 3, 2}},
	{kind: "GlobalAveragePool", shape: []int{1, 2, 3}},
	{kind: "Relu", shape: []int{2, 3}},
	{kind: "LeakyRelu", shape: []int{2, 3}},
	{kind: "LeakyRelu", shape: []int{2, 3}, attrs: map[string]op.Attr{"alpha": {F: -0.5}}},
	{kind: "LeakyRelu", shape: []int{2, 3}, attrs: map[string]op.Attr{"alpha": {F: 0x1.fffffep-31}}}, // 1 − alpha is rounded
	{kind: "PRelu", shape: []int{2, 3, 2}, consts: []op.Tensor{{Shape: []int{3, 1}}}},
	{kind: "PRelu", shape: []int{2, 3}, consts: []op.Tensor{{Shape: []int{1}}}},
	{kind: "Abs", shape: []int{2, 3}},
	{kind: "Clip", shape: []int{2, 3}},
	{kind: "Clip", shape: []int{2, 3},
		consts: []op.Tensor{{Type: op.Float32, Data: []float64{-0.25}}, {Type: op.Float32, Data: []float64{1}}}},
	{kind: "Clip", shape: []int{2, 3},
		consts: []op.Tensor{{Type: op.Float32, Data: []float64{0}}, {Type: op.Float32, Data: []float64{6}}}},
	{kind: "Clip", shape: []int{2, 3}, consts: []op.Tensor{{Type: op.Float32, Data: []float64{0}}}},
	{kind: "Clip", shape: []int{2, 3}, consts: []op.Tensor{{}, {Type: op.Float32, Data: []float64{0.5}}}},
	{kind: "Clip", shape: []int{2, 3}, attrs: map[string]op.Attr{"min": {F: -1}, "max": {F: 0.5}}, opset: 10},
	{kind: "Clip", shape: []int{2, 3}, attrs: map[string]op.Attr{"max": {F: 0.5}}, opset: 10},
	{kind: "MaxPool", shape: []int{2, 2, 4, 6},
		attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{2, 2}}, "strides": {Is: []int64{2, 2}}}},
	{kind: "MaxPool", shape: []int{1, 2, 5, 6},
		attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{3, 2}}, "strides": {Is: []int64{2, 1}},
			"pads": {Is: []int64{1, 0, 2, 1}}, "dilations": {Is: []int64{1, 2}}}},
	{kind: "MaxPool", shape: []int{1, 2, 7},
		attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{3}}, "pads": {Is: []int64{1, 1}}}},
	{kind: "MaxPool", shape: []int{1, 1, 4, 4},
		attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{1, 1}}, "strides": {Is: []int64{2, 3}}}},
	{kind: "MaxPool", shape: []int{1, 1, 2, 1}, attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{1, 1}}}},
	{kind: "Identity", shape: []int{2, 3}},
}

// TestOperators compares every operator with package nn, at points and backward: the bound of a random objective over a box
// must enclose its values at points of the box, and be attained where no Relu is.
func TestOperators(t *testing.T) {
	covered := map[string]bool{}
	for i, c := range opCases {
		covered[c.kind] = true
		t.Run(fmt.Sprintf("%s/%d", c.kind, i), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 5))
			opset := cmp.Or(c.opset, 13)
			d := &nn.Draft{Opset: opset, Inputs: []nn.DraftPort{{Name: "in", Type: op.Float32, Shape: c.shape}},
				Outputs: []nn.DraftPort{{Name: "y"}}}
			// Scaling the input first makes the operator's own transpose act on something.
			two := &op.Tensor{Type: op.Float32, Shape: []int{1}, Data: []float64{2}}
			d.Consts = append(d.Consts, nn.DraftConst{Name: "two", Tensor: two})
			node := func(kind string, attrs map[string]op.Attr, out string, in ...string) {
				node := op.Node{Name: out, Type: kind, Opset: opset, Attrs: attrs}
				d.Nodes = append(d.Nodes, nn.DraftNode{Node: node, In: in, Out: []string{out}})
			}
			node("Mul", nil, "x", "in", "two")
			in := []string{"x"}
			for k := range c.consts {
				w := c.consts[k]
				if w.Data == nil && w.Shape == nil {
					in = append(in, "") // absent
					continue
				}
				if w.Data == nil {
					w.Type = op.Float32
					for range op.Size(w.Shape) {
						w.Data = append(w.Data, float64(float32(rng.NormFloat64())))
					}
				}
				name := fmt.Sprintf("w%d", k)
				d.Consts = append(d.Consts, nn.DraftConst{Name: name, Tensor: &w})
				in = append(in, name)
			}
			if c.first {
				in[0], in[1] = in[1], in[0]
			}
			if c.square {
				in = append(in, "x")
			}
			node(c.kind, c.attrs, "y", in...)
			g, err := nn.Build(d)
			if err != nil {
				t.Fatal(err)
			}
			var model bytes.Buffer
			if err := onnx.Write(&model, g); err != nil {
				t.Fatal(err)
			}
			n := op.Size(c.shape)
			var q strings.Builder
			for j := range n {
				fmt.Fprintf(&q, "(declare-const X_%d Real)(assert (>= X_%d -%d.5))(assert (<= X_%d 1.%d))", j, j, j%3, j, j)
			}
			for j := range g.NumOutputs() {
				fmt.Fprintf(&q, "(declare-const Y_%d Real)", j)
			}
			compare(t, model.Bytes(), []byte(q.String()), 5)
			p, err := Open(model.Bytes(), []byte(q.String()))
			if err != nil {
				t.Fatal(err)
			}
			backward(t, p, g, rng)
		})
	}
	for kind := range rules {
		if kind != "Constant" && !covered[kind] {
			t.Errorf("%s is not tested", kind)
		}
	}
}

// backward bounds random objectives and compares with values at the corners that minimise them.
func backward(t *testing.T, p *Problem, g *nn.Graph, rng *rand.Rand) {
	t.Helper()
	b, err := p.Root(0)
	if err != nil {
		t.Fatal(err)
	}
	e := newEvaluator(p.net, &budget{limit: math.MaxInt64})
	n := len(p.boxes[0].lo)
	for range 10 {
		c := make([]float64, g.NumOutputs())
		var seeds []seed
		for j := range c {
			c[j] = float64(rng.IntN(7)-3) / 2
			seeds = append(seeds, seed{p.net.output, j, newRat(c[j])})
		}
		v := e.lower(b, starts(nil, seeds, unit), sum{}, &chooser{next: -1})
		bound := v.float()
		value := func(x []float64) float64 {
			y, err := g.EvalFlat(x)
			if err != nil {
				t.Fatal(err)
			}
			s := 0.0
			for j := range y {
				s += c[j] * y[j]
			}
			return s
		}
		// The gradient by differences is exact for an affine map.
		x, corner := make([]float64, n), make([]float64, n)
		base := value(x)
		for j := range x {
			x[j] = 1
			lo, _ := p.boxes[0].lo[j].Float64()
			hi, _ := p.boxes[0].hi[j].Float64()
			if corner[j] = lo; value(x) < base {
				corner[j] = hi
			}
			x[j] = 0
		}
		least := value(corner)
		tol := 1e-9 * (1 + math.Abs(least))
		if bound > least+tol || len(p.net.relus) == 0 && bound < least-tol {
			t.Errorf("bound %v of an objective whose value at a corner is %v", bound, least)
		}
	}
}

// TestBadOperators: what is not understood is refused, by a reason.
func TestBadOperators(t *testing.T) {
	ints := func(v ...int) attribute { return attribute{ints: v} }
	for i, c := range []struct {
		kind string
		in   string // names, - for an absent one
		attr map[string]attribute
	}{
		{"Gelu", "x", nil}, {"Relu", "c", nil}, {"Relu", "x x", nil}, {"Relu", "y", nil},
		{"Relu", "", nil}, {"Relu", "-", nil},
		{"Clip", "x three two", nil}, {"Clip", "x x", nil}, {"Clip", "x c", nil},
		{"Clip", "x nan", nil}, {"Clip", "x inf", nil}, {"Clip", "x", map[string]attribute{"min": {f: 1}}},
		{"LeakyRelu", "x", map[string]attribute{"alpha": {f: math.Inf(1)}}}, {"PRelu", "x x", nil},
		{"PRelu", "x wide", nil}, {"Dropout", "x two two", nil}, {"Abs", "c", nil},
		{"MaxPool", "x", map[string]attribute{"kernel_shape": ints(1, 1), "pads": ints(1, 0, 0, 0)}},
		{"MaxPool", "x", map[string]attribute{"kernel_shape": ints(2, 2), "ceil_mode": {i: 1}}},
		{"MaxPool", "x", map[string]attribute{"kernel_shape": ints(2, 2), "auto_pad": {s: "SAME_UPPER"}}},
		{"MaxPool", "x", map[string]attribute{"kernel_shape": ints(2)}}, {"MaxPool", "x", nil},
		{"MaxPool", "x", map[string]attribute{"kernel_shape": ints(9, 9)}},
		{"AveragePool", "x", map[string]attribute{"kernel_shape": ints(2, 2), "pads": ints(1, 1, 1, 1)}},
		{"Div", "x zero", nil}, {"Div", "two x", nil}, {"Div", "x nan", nil}, {"Div", "x inf", nil},
		{"Mul", "x x", nil}, {"Sum", "c c", nil}, {"Sum", "x -", nil}, {"Add", "x inf", nil},
		{"Squeeze", "x two", nil}, {"Squeeze", "x three", map[string]attribute{"axes": ints(0)}},
		{"Squeeze", "x zeros", nil}, {"Unsqueeze", "x zeros", nil}, {"Unsqueeze", "x inf", nil},
		{"Reshape", "x half", nil}, {"Reshape", "x x", nil}, {"Reshape", "x three", nil},
		{"Flatten", "x", map[string]attribute{"axis": {i: 5}}}, {"Flatten", "x", map[string]attribute{"axis": {i: -5}}},
		{"Slice", "x two zero", nil}, {"Slice", "x half inf", nil}, {"Slice", "x nan inf", nil},
		{"Slice", "x zero two zero zero", nil}, {"Slice", "x zero zeros", nil},
		{"Slice", "x zeros zeros zeros", nil}, {"Pad", "x zeros", nil}, {"Pad", "x c two", nil},
		{"Pad", "x c", map[string]attribute{"mode": {s: "edge"}}}, {"Pad", "x", nil}, {"Concat", "x -", nil},
		{"Concat", "x", nil}, {"Gemm", "x c -", nil},
	} {
		w := &builder{net: &network{}, opset: 13, values: map[string]value{"x": {shape: []int{1, 2, 3, 4}}}}
		w.net.add(node{n: 24})
		w.net.add(node{n: 1})
		for name, data := range map[string][]float64{"zero": {0}, "zeros": {0, 0}, "half": {0.5}, "two": {2}, "three": {3},
			"nan": {math.NaN()}, "inf": {math.Inf(1)}, "c": {0, 0, 0, 0, 0, 0, 0, 1}, "wide": {1, 2, 3, 4, 5}} {
			w.values[name] = value{shape: []int{len(data)}, c: &constant{shape: []int{len(data)}, data: data}}
		}
		in := strings.Fields(c.in)
		for j := range in {
			in[j] = strings.TrimPrefix(in[j], "-")
		}
		err := func() (err error) {
			defer door(&err)
			w.operator(&operator{kind: c.kind, in: in, out: []string{"z"}, attr: c.attr})
			return nil
		}()
		if err == nil || strings.Contains(err.Error(), "defect") {
			t.Errorf("%d, %s %v %v: %v", i, c.kind, c.in, c.attr, err)
		}
	}
}
