package op

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

type goldenNumber float64

func (g *goldenNumber) UnmarshalJSON(b []byte) error {
	if string(b) == `"NaN"` {
		*g = goldenNumber(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(g))
}

type goldenTensor struct {
	Type  DType
	Shape []int
	Data  []goldenNumber
}

func (g *goldenTensor) tensor() *Tensor {
	if g == nil {
		return nil
	}
	t := &Tensor{Type: g.Type, Shape: g.Shape, Data: make([]float64, len(g.Data))}
	for i, v := range g.Data {
		t.Data[i] = float64(v)
		if g.Type == Float32 {
			t.Data[i] = float64(float32(v))
		}
	}
	return t
}

type goldenCase struct {
	Op      string
	Opset   int
	Outputs int
	Attrs   map[string]struct {
		I  int64
		F  float64
		S  string
		Is []int64
		Fs []float64
		T  *goldenTensor
	}
	In, Want []*goldenTensor
}

func (c *goldenCase) example() Example {
	ex := Example{Node: Node{Name: "n", Type: c.Op, Opset: c.Opset, Outputs: c.Outputs, Attrs: map[string]Attr{}}}
	for name, a := range c.Attrs {
		ex.Node.Attrs[name] = Attr{I: a.I, F: a.F, S: a.S, Is: a.Is, Fs: a.Fs, T: a.T.tensor()}
	}
	for i, t := range c.In {
		ex.In = append(ex.In, t.tensor())
		ex.Const = append(ex.Const, i > 0)
	}
	return ex
}

// TestGolden compares evaluation with onnxruntime's results (testdata/gen.py), and the lowering, where there is one, with
// evaluation.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	seen, bounded := map[string]bool{}, 0
	for i := range cases {
		c := &cases[i]
		t.Run(fmt.Sprintf("%s-%d-%d", c.Op, c.Opset, i), func(t *testing.T) {
			ex := c.example()
			s, ok := Lookup(c.Op)
			if !ok {
				t.Fatal("unknown operator")
			}
			seen[c.Op] = true
			got, err := s.Eval(&ex.Node, ex.In)
			if err != nil {
				t.Fatalf("%+v: %v", ex.Node, err)
			}
			compareGolden(t, c, got)
			if t.Failed() || s.Lower == nil || len(ex.In) == 0 || ex.In[0].Type != Float32 || len(ex.In[0].Data) == 0 {
				return
			}
			if _, err := lower(s, &ex, got); errors.As(err, new(*UnsupportedError)) {
				return
			}
			bounded++
			compareLowered(t, s, &ex, got)
		})
	}
	for _, s := range All() {
		if !seen[s.Name] {
			t.Errorf("no golden case for %s", s.Name)
		}
	}
	t.Logf("%d cases, %d of them lowered", len(cases), bounded)
}

func compareGolden(t *testing.T, c *goldenCase, got []*Tensor) {
	t.Helper()
	if len(got) < len(c.Want) {
		t.Fatalf("%d outputs, want %d", len(got), len(c.Want))
	}
	for i, g := range c.Want {
		w := g.tensor()
		if !slices.Equal(got[i].Shape, w.Shape) || got[i].Type != w.Type {
			t.Fatalf("%v: output %d has type %d, shape %v, want %d, %v", c.Attrs, i, got[i].Type, got[i].Shape, w.Type, w.Shape)
		}
		for k, v := range w.Data {
			x := got[i].Data[k]
			if x != v && !(x != x && v != v) && !(math.Abs(x-v) <= 1e-5*max(1, math.Abs(v))) {
				t.Fatalf("%v: output %d = %v, want %v", c.Attrs, i, got[i].Data, w.Data)
			}
		}
	}
}
