package train

import (
	"bytes"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
)

// TestGraph compares network and graph, also after the graph was written and read again, and wants it to be lowered.
func TestGraph(t *testing.T) {
	for _, c := range networks {
		t.Run(c.name, func(t *testing.T) {
			t.Run("float64", func(t *testing.T) { compareGraph[float64](t, c.input, c.layers, 1e-13) })
			t.Run("float32", func(t *testing.T) { compareGraph[float32](t, c.input, c.layers, 1e-4) })
		})
	}
}

func compareGraph[T kernel.Float](t *testing.T, input []int, layers []Layer, tolerance float64) {
	net := mustNew[T](t, 5, input, layers...)
	before := slices.Clone(net.Weights)
	g := graph(t, net)
	if !slices.Equal(before, net.Weights) {
		t.Error("Graph changed the network")
	}
	net.RoundFloat32()
	var file bytes.Buffer
	if err := onnx.Write(&file, g); err != nil {
		t.Fatal(err)
	}
	again, err := onnx.Read(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	if p.Nodes[0].N != net.Inputs() || p.Nodes[len(p.Nodes)-1].N != net.Classes() {
		t.Errorf("the program goes from %d to %d numbers", p.Nodes[0].N, p.Nodes[len(p.Nodes)-1].N)
	}
	if in := g.Inputs[0]; in.Name != "input" || !slices.Equal(in.Shape, append([]int{1}, input...)) {
		t.Errorf("input %+v", in)
	}
	if out := g.Outputs[0]; out.Name != "logits" || !slices.Equal(out.Shape, []int{1, net.Classes()}) {
		t.Errorf("output %+v", out)
	}
	for i := range 5 {
		x := normal[T](uint64(i), net.Inputs())
		want, err := net.Logits(ctx, x, 1)
		if err != nil {
			t.Fatal(err)
		}
		wide := make([]float64, len(x))
		for j, v := range x {
			wide[j] = float64(v)
		}
		for _, g := range []*nn.Graph{g, again} {
			y, err := g.EvalFlat(wide)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]T, len(y))
			for j, v := range y {
				got[j] = T(v)
			}
			near(t, "logits", got, want, tolerance)
		}
	}
}

func graph[T kernel.Float](t *testing.T, net *Net[T]) *nn.Graph {
	t.Helper()
	g, err := net.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGraphRefuses wants an error for parameters that are not finite as float32.
func TestGraphRefuses(t *testing.T) {
	net := mustNew[float64](t, 1, []int{2}, Dense{2})
	net.Weights[3] = 1e300
	if _, err := net.Graph(); err == nil {
		t.Error("1e300: accepted")
	}
}
