package prove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/verifytest"
)

// A draft collects the nodes of a network with one input.
type draft struct {
	r *rand.Rand
	d *nn.Draft
}

func newDraft(seed uint64, shape ...int) *draft {
	in := []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: shape}}
	return &draft{rand.New(rand.NewPCG(seed, 7)), &nn.Draft{Opset: 13, Inputs: in}}
}

// node adds a node and returns its output.
func (b *draft) node(kind string, attrs map[string]op.Attr, in ...string) string {
	out := fmt.Sprintf("v%d", len(b.d.Nodes))
	node := op.Node{Name: out, Type: kind, Opset: 13, Attrs: attrs}
	b.d.Nodes = append(b.d.Nodes, nn.DraftNode{Node: node, In: in, Out: []string{out}})
	return out
}

// random adds a constant of small float32 numbers.
func (b *draft) random(shape ...int) string {
	name := fmt.Sprintf("c%d", len(b.d.Consts))
	t := &op.Tensor{Type: op.Float32, Shape: shape}
	for range op.Size(shape) {
		t.Data = append(t.Data, float64(float32(b.r.NormFloat64()/math.Sqrt(float64(op.Size(shape[1:])+1)))))
	}
	b.d.Consts = append(b.d.Consts, nn.DraftConst{Name: name, Tensor: t})
	return name
}

func (b *draft) scalar(v float64) string {
	name := fmt.Sprintf("c%d", len(b.d.Consts))
	b.d.Consts = append(b.d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Float32, Data: []float64{v}}})
	return name
}

// graph ends the network with a dense layer of two outputs.
func (b *draft) graph(t *testing.T, last string, n int) *nn.Graph {
	t.Helper()
	transposed := map[string]op.Attr{"transB": {I: 1}}
	y := b.node("Gemm", transposed, b.node("Flatten", nil, last), b.random(2, n), b.random(2))
	b.d.Outputs = []nn.DraftPort{{Name: y}}
	g, err := nn.Build(b.d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ints(v ...int64) op.Attr { return op.Attr{Is: v} }

// nets have an operator each that becomes several Relus, or several paths.
var nets = map[string]func(t *testing.T) *nn.Graph{
	"maxpool": func(t *testing.T) *nn.Graph {
		b := newDraft(1, 1, 1, 5, 5)
		v := b.node("Conv", map[string]op.Attr{"pads": ints(1, 1, 1, 1)}, "x", b.random(2, 1, 3, 3), b.random(2))
		pool := map[string]op.Attr{"kernel_shape": ints(3, 2), "strides": ints(2, 2), "pads": ints(0, 0, 1, 1)}
		v = b.node("MaxPool", pool, b.node("Relu", nil, v))
		return b.graph(t, v, 2*2*3)
	},
	"leaky": func(t *testing.T) *nn.Graph {
		b := newDraft(2, 1, 12)
		v := b.node("Gemm", nil, "x", b.random(12, 8), b.random(8))
		v = b.node("LeakyRelu", map[string]op.Attr{"alpha": {F: float64(float32(0.1))}}, v)
		v = b.node("PRelu", nil, b.node("Gemm", nil, v, b.random(8, 8), b.random(8)), b.random(8))
		v = b.node("Abs", nil, b.node("Gemm", nil, v, b.random(8, 6), b.random(6)))
		return b.graph(t, v, 6)
	},
	"deep": func(t *testing.T) *nn.Graph { // a form over all its Relus has too many parts for the kernel
		b := newDraft(4, 1, 3)
		v := b.node("Relu", nil, b.node("Gemm", nil, "x", b.random(3, 6), b.random(6)))
		for range 9 {
			v = b.node("Add", nil, v, b.node("Relu", nil, b.node("Gemm", nil, v, b.random(6, 6), b.random(6))))
		}
		return b.graph(t, v, 6)
	},
	"pool3": func(t *testing.T) *nn.Graph {
		b := newDraft(5, 1, 1, 2, 2)
		v := b.node("Conv", map[string]op.Attr{"pads": ints(1, 1, 1, 1)}, "x", b.random(3, 1, 3, 3), b.random(3))
		v = b.node("MaxPool", map[string]op.Attr{"kernel_shape": ints(2, 1)}, v)
		return b.graph(t, b.node("Clip", nil, v, b.scalar(-0.25), b.scalar(0.25)), 6)
	},
	"residual": func(t *testing.T) *nn.Graph {
		b := newDraft(3, 1, 1, 4, 4)
		pads := map[string]op.Attr{"pads": ints(1, 1, 1, 1)}
		v := b.node("Relu", nil, b.node("Conv", pads, "x", b.random(2, 1, 3, 3), b.random(2)))
		u := b.node("Relu", nil, b.node("Conv", pads, v, b.random(2, 2, 3, 3), b.random(2)))
		u = b.node("Conv", pads, u, b.random(2, 2, 3, 3), b.random(2))
		v = b.node("Relu", nil, b.node("Add", nil, u, v))
		return b.graph(t, b.node("GlobalAveragePool", nil, v), 2)
	},
}

const radius = 0.5

// question asks for a point of the box around 0 with Y_0 − Y_1 ≤ limit.
func fileQuestion(n int, limit float64) []byte {
	var q bytes.Buffer
	for i := range n {
		fmt.Fprintf(&q, "(declare-const X_%d Real)(assert (>= X_%d -%v))(assert (<= X_%d %v))\n", i, i, radius, i, radius)
	}
	fmt.Fprintf(&q, "(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (<= (- Y_0 Y_1) %.9f))\n", limit)
	return q.Bytes()
}

// descend looks for the least Y_0 − Y_1 over the box by moving one input at a time.
func descend(t *testing.T, g *nn.Graph) float64 {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	least := math.Inf(1)
	x := make([]float64, g.NumInputs())
	for range 20 {
		for i := range x {
			x[i] = radius * (2*r.Float64() - 1)
		}
		best := math.Inf(1)
		for range 300 {
			i := r.IntN(len(x))
			before := x[i]
			x[i] = radius * []float64{-1, 1, 2*r.Float64() - 1}[r.IntN(3)]
			y, err := g.EvalFlat(x)
			if err != nil {
				t.Fatal(err)
			}
			if v := y[0] - y[1]; v < best {
				best = v
			} else {
				x[i] = before
			}
		}
		least = min(least, best)
	}
	return least
}

// TestOperators proves questions about networks whose operators become several Relus: limits below the least value that descend
// finds, the nearest first for which a proof is found. What is proved splits Relus: then these are the same ones here and there.
func TestOperators(t *testing.T) {
	for name, make := range nets {
		t.Run(name, func(t *testing.T) {
			g := make(t)
			var model bytes.Buffer
			if err := onnx.Write(&model, g); err != nil {
				t.Fatal(err)
			}
			least := descend(t, g)
			for semantics, lower := range []func() (*prog.Program, error){g.Lower, g.Lower32} {
				full, err := lower()
				if err != nil {
					t.Fatal(err)
				}
				if !proved(t, model.Bytes(), full, least, byte(semantics)) {
					t.Errorf("semantics %d: no proof", semantics)
				}
			}
		})
	}
}

// proved looks for the nearest limit and reports whether the proof splits and is accepted; then it cannot be for another limit.
func proved(t *testing.T, model []byte, full *prog.Program, least float64, semantics byte) bool {
	t.Helper()
	for _, gap := range []float64{0.02, 0.1, 0.3, 0.6} {
		q := fileQuestion(full.Nodes[0].N, least-gap)
		k, err := kernel.Open(model, q)
		if err != nil {
			t.Fatal(err)
		}
		k.Semantics = semantics
		p, err := spec.Read("q", bytes.NewReader(q), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		proof, err := Unsat(ctx, k, full, p, Options{Workers: 1})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoProof) {
			t.Logf("gap %v: %v", gap, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		res := k.Check(proof.Encode())
		t.Logf("gap %v: %v", gap, res)
		if !res.Accepted || res.Float32 != (semantics == 1) {
			t.Errorf("gap %v: %v", gap, res)
		}
		return res.Splits > 0
	}
	return false
}

// TestRelusOfRandomNetworks: the kernel has the Relus of every random network that it reads, or the proof could not name them.
func TestRelusOfRandomNetworks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	read := map[string]int{}
	for range 600 {
		g := verifytest.RandomGraph(r)
		var model bytes.Buffer
		if err := onnx.Write(&model, g); err != nil {
			t.Fatal(err)
		}
		full, err := g.Lower()
		if err != nil {
			continue
		}
		var q bytes.Buffer
		for i := range g.NumInputs() {
			fmt.Fprintf(&q, "(declare-const X_%d Real)(assert (>= X_%d -1))(assert (<= X_%d 1))\n", i, i, i)
		}
		for i := range g.NumOutputs() {
			fmt.Fprintf(&q, "(declare-const Y_%d Real)\n", i)
		}
		k, err := kernel.Open(model.Bytes(), q.Bytes())
		if err != nil && strings.Contains(err.Error(), "limits") {
			continue // a Clip whose lower limit is above the upper one
		}
		if err != nil {
			t.Fatal(err)
		}
		var sizes []int
		for i := range full.Nodes {
			if full.Nodes[i].Kind == prog.Relu {
				sizes = append(sizes, full.Nodes[i].N)
			}
		}
		s, err := k.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Sizes(); fmt.Sprint(got) != fmt.Sprint(sizes) {
			t.Errorf("Relus of sizes %v, want %v", got, sizes)
		}
		for i := range g.Nodes {
			read[g.Nodes[i].Type]++
		}
	}
	for _, kind := range []string{"MaxPool", "LeakyRelu", "Clip", "Relu"} {
		if read[kind] < 20 {
			t.Errorf("only %d networks with %s", read[kind], kind)
		}
	}
}
