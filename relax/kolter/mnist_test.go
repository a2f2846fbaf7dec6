package kolter

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
)

// small is Wong and Kolter's small network for 28×28 pictures.
func small() []Layer {
	return []Layer{
		{Kind: Conv, C: 1, H: 28, W: 28, M: 16, K: 4, Stride: 2, Pad: 1},
		{Kind: Conv, C: 16, H: 14, W: 14, M: 32, K: 4, Stride: 2, Pad: 1},
		{Kind: Dense, In: 1568, Out: 100}, {Kind: Dense, In: 100, Out: 10},
	}
}

// read takes the parameters of a task's layers from a program.
func (t *task) read(p *prog.Program) {
	i := 0
	for k := range p.Nodes {
		nd := &p.Nodes[k]
		if nd.Kind != prog.Affine {
			continue
		}
		l := &t.layers[i]
		i++
		_, out, n := l.sizes()
		for j := range l.biases() {
			t.params[l.Offset+n+j] = nd.Bias[j*out/l.biases()]
		}
		nd.Terms[0].Map.Each(func(o, j int, v float64) {
			if l.Kind == Dense {
				t.params[l.Offset+j*l.Out+o] = v
				return
			}
			oh, ow := l.outHW()
			m, oy, ox := o/(oh*ow), o/ow%oh, o%ow
			c, y, x := j/(l.H*l.W), j/l.W%l.H, j%l.W
			t.params[l.Offset+((m*l.C+c)*l.K+y+l.Pad-oy*l.Stride)*l.K+x+l.Pad-ox*l.Stride] = v
		})
	}
}

// wk17 is the network that Wong and Kolter trained for ε = 0.1, with test digits.
func wk17(t testing.TB, items string) (*task, *prog.Program) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" || testing.Short() {
		t.Skip("CERTIFY_BENCH is not set, or -short")
	}
	g, err := onnx.ReadFile(filepath.Join(root, "fixtures", "wk17_mnist_eps0.1.onnx"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no fixtures there")
	} else if err != nil {
		t.Fatal(err)
	}
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Open(items, data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	k := newTask("wk17", small(), 0, 1)
	k.read(p)
	k.x, k.labels = set.X, set.Labels
	return k, p
}

// TestKnownAnswer: of the first 200 test digits the network has no certificate for 8, and the loss in float32 says the same.
func TestKnownAnswer(t *testing.T) {
	k, p := wk17(t, "mnist:test[0:200]")
	n, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewLoss[float32](k.layers, Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, 10*len(k.labels))
	w.Forward(convert[float32](k.params), convert[float32](k.x), k.labels, float32(k.eps), out)
	s := n.NewSolver()
	lower := make([]float64, 10)
	lost := 0
	for i, y := range k.labels {
		s.Margins(&Region{Box: k.region(i, Options{}).Box}, y, lower, nil)
		bad := false
		for c, v := range lower {
			bad = bad || c != y && !(v > 0)
			if math.Abs(float64(out[i*10+c])+v) > 1e-3*(1+math.Abs(v)) {
				t.Errorf("digit %d class %d: loss %v, certificate %v", i, c, out[i*10+c], v)
			}
		}
		if bad {
			lost++
		}
	}
	if lost != 8 {
		t.Errorf("%d of %d are not certified", lost, len(k.labels))
	}
}

func BenchmarkLoss(b *testing.B) {
	trained, _ := wk17(b, "mnist:test[0:50]")
	random := newTask("random", small(), 0, 1)
	random.x, random.labels = trained.x, trained.labels
	l2 := relax.L2
	for _, c := range []struct {
		name string
		t    *task
		eps  float32
		opt  Options
	}{{"trained/0.1", trained, 0.1, Options{}}, {"random/0.01", random, 0.01, Options{}}, {"random/0.05", random, 0.05, Options{}},
		{"random/0.1", random, 0.1, Options{}}, {"trained/clipped", trained, 0.1, Options{Clip: true, Hi: 1}},
		{"trained/l2", trained, 0.5, Options{Ball: &l2}}} {
		w, err := NewLoss[float32](c.t.layers, c.opt)
		if err != nil {
			b.Fatal(err)
		}
		params, x := convert[float32](c.t.params), convert[float32](c.t.x)
		out, grad := make([]float32, 10*len(c.t.labels)), make([]float32, len(params))
		for _, what := range []string{"forward", "both"} {
			b.Run(c.name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					w.Forward(params, x, c.t.labels, c.eps, out)
					if what == "both" {
						w.Backward(params, out, grad)
					}
				}
				b.ReportMetric(float64(b.N*len(c.t.labels))/b.Elapsed().Seconds(), "images/s")
				open, on, rows := make([]int, 4), make([]int, 4), make([]int, 4)
				for _, s := range w.samples[:w.rows] {
					for k := 1; k < 4; k++ {
						open[k] += len(s.st[k].open)
						on[k] += len(s.st[k].d)
					}
					for _, p := range s.passes[:s.n] {
						rows[p.k] += len(p.rows)
					}
				}
				for k := 1; k < 4; k++ {
					b.Logf("layer %d: on %d open %d rows %d", k, on[k]/w.rows, open[k]/w.rows, rows[k]/w.rows)
				}
			})
		}
	}
}
