package kernel

import (
	"bytes"
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
	square bool        // x is the second operand too
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
	{kind: "Gemm", shape: []int{4, 3}, consts: []op.Tensor{{Shape: []int{2, 4}}}, first: true, attrs: map[string]op.Attr{"alpha": {F: float64(float32(0.7))}}},
	{kind: "Conv", shape: []int{1, 2, 7}, consts: []op.Tensor{{Shape: []int{3, 2, 3}}, {Shape: []int{3}}}},
	{kind: "Conv", shape: []int{2, 4, 5, 6}, consts: []op.Tensor{{Shape: []int{4, 2, 3, 2}}, {Shape: []int{4}}},
		attrs: map[string]op.Attr{"group": {I: 2}, "strides": {Is: []int64{2, 1}}, "dilations": {Is: []int64{1, 2}}, "pads": {Is: []int64{1, 0, 2, 3}}}},
	{kind: "Conv", shape: []int{1, 1, 4, 4}, consts: []op.Tensor{{Shape: []int{2, 1, 1, 1}}}, attrs: map[string]op.Attr{"strides": {Is: []int64{3, 2}}}},
	{kind: "BatchNormalization", shape: []int{2, 3, 2, 2}, consts: []op.Tensor{{Shape: []int{3}}, {Shape: []int{3}}, {Shape: []int{3}},
		{Type: op.Float32, Shape: []int{3}, Data: []float64{0.5, 2, 0.125}}}, attrs: map[string]op.Attr{"epsilon": {F: 0.25}}},
	{kind: "AveragePool", shape: []int{1, 2, 5, 4}, attrs: map[string]op.Attr{"kernel_shape": {Is: []int64{3, 2}}, "strides": {Is: []int64{2, 1}}}},
	{kind: "Concat", shape: []int{2, 3}, square: true, attrs: map[string]op.Attr{"axis": {I: 1}}},
	{kind: "Concat", shape: []int{2, 3}, square: true, attrs: map[string]op.Attr{"axis": {I: -2}}},
	{kind: "Transpose", shape: []int{2, 3, 4}, attrs: map[string]op.Attr{"perm": {Is: []int64{2, 0, 1}}}},
	{kind: "Transpose", shape: []int{2, 3}},
	{kind: "Flatten", shape: []int{2, 3, 2}, attrs: map[string]op.Attr{"axis": {I: 2}}},
	{kind: "Reshape", shape: []int{2, 3, 2}, consts: []op.Tensor{{Type: op.Int64, Shape: []int{2}, Data: []float64{0, -1}}}},
	{kind: "Relu", shape: []int{2, 3}},
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
			d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "in", Type: op.Float32, Shape: c.shape}}, Outputs: []nn.DraftPort{{Name: "y"}}}
			// Scaling the input first makes the operator's own transpose act on something.
			d.Consts = append(d.Consts, nn.DraftConst{Name: "two", Tensor: &op.Tensor{Type: op.Float32, Shape: []int{1}, Data: []float64{2}}})
			node := func(kind string, attrs map[string]op.Attr, out string, in ...string) {
				d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: out, Type: kind, Opset: 13, Attrs: attrs}, In: in, Out: []string{out}})
			}
			node("Mul", nil, "x", "in", "two")
			in := []string{"x"}
			for k := range c.consts {
				w := c.consts[k]
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
	for _, kind := range []string{"Add", "Sub", "Mul", "MatMul", "Gemm", "Conv", "BatchNormalization", "AveragePool",
		"Concat", "Transpose", "Flatten", "Reshape", "Relu", "Identity"} {
		if !covered[kind] {
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
