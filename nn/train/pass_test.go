package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
)

var ctx = context.Background()

func mustNew[T kernel.Float](t testing.TB, root uint64, input []int, layers ...Layer) *Net[T] {
	t.Helper()
	net, err := New[T](root, input, layers...)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(root, 1))
	for _, p := range net.params {
		if len(p.Shape) == 1 { // biases of 0 would hide that they are forgotten
			for i := range p.Data {
				p.Data[i] = T(r.NormFloat64() / 10)
			}
		}
	}
	return net
}

func normal[T kernel.Float](seed uint64, n int) []T {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]T, n)
	for i := range x {
		x[i] = T(r.NormFloat64())
	}
	return x
}

// networks are one of every kind of layer in every position, and every geometry of a convolution that is treated apart.
var networks = []struct {
	name   string
	input  []int
	layers []Layer
}{
	{"dense", []int{5}, []Layer{Dense{3}}},
	{"mlp", []int{7}, []Layer{Dense{9}, ReLU{}, Dense{6}, ReLU{}, ReLU{}, Dense{3}}},
	{"relu first and last", []int{6}, []Layer{ReLU{}, ReLU{}, Dense{4}, ReLU{}}},
	{"wide", []int{3}, []Layer{Dense{150}, ReLU{}, Dense{3}}},
	{"conv", []int{2, 5, 6}, []Layer{Conv2D{Out: 3, Kernel: 3, Pad: 1}, ReLU{}, Dense{3}}},
	{"stride", []int{2, 7, 8}, []Layer{Conv2D{Out: 4, Kernel: 4, Stride: 2, Pad: 1}, ReLU{},
		Conv2D{Out: 3, Kernel: 2, Stride: 2}, ReLU{}, Dense{4}}},
	{"stride over padding", []int{1, 3, 2}, []Layer{Conv2D{Out: 2, Kernel: 4, Stride: 3, Pad: 3}, ReLU{}, Dense{3}}},
	{"columns that see padding only", []int{2, 1, 1}, []Layer{Conv2D{Out: 2, Kernel: 6, Pad: 3}, ReLU{}, Dense{3}}},
	{"kernel of one", []int{3, 3, 3}, []Layer{Conv2D{Out: 2, Kernel: 1, Stride: 2}, ReLU{}, Dense{3}}},
	{"conv last", []int{1, 4, 4}, []Layer{Conv2D{Out: 3, Kernel: 4}}},
	{"planes last", []int{1, 4, 4}, []Layer{ReLU{}, Conv2D{Out: 2, Kernel: 3}}},
	{"flat conv", []int{2, 1, 9}, []Layer{Conv2D{Out: 2, Kernel: 3, Pad: 2, Stride: 2}, ReLU{}, Dense{3}}},
	{"many columns", []int{3, 40, 40}, []Layer{Conv2D{Out: 2, Kernel: 5, Pad: 2}, ReLU{},
		Conv2D{Out: 1, Kernel: 5, Stride: 5}, Dense{3}}},
}

// TestAgainstPlainLoops compares logits and gradients, over several shards and one that is not full, with the oracle.
// Both sum the same products in another order, so the difference is at most a few hundred units in the last place.
func TestAgainstPlainLoops(t *testing.T) {
	for _, name := range kernel.Implementations() {
		t.Run(name, func(t *testing.T) {
			defer kernel.Use(name)()
			for _, c := range networks {
				t.Run(c.name+"/float64", func(t *testing.T) { againstPlainLoops[float64](t, c.input, c.layers, 1e-12) })
				t.Run(c.name+"/float32", func(t *testing.T) { againstPlainLoops[float32](t, c.input, c.layers, 1e-3) })
			}
		})
	}
}

func againstPlainLoops[T kernel.Float](t *testing.T, input []int, layers []Layer, tolerance float64) {
	net := mustNew[T](t, 1, input, layers...)
	pass, ref := net.NewPass(2), newNaive(net)
	for _, rows := range []int{2*tape.ShardRows + 5, 1, tape.ShardRows} { // in this order, so that room is left over
		in, classes := net.Inputs(), net.Classes()
		x, dlogits := normal[T](1, rows*in), normal[T](2, rows*classes)
		logits, err := pass.Forward(ctx, x)
		if err != nil {
			t.Fatal(err)
		}
		logits, dx, dx2 := slices.Clone(logits), make([]T, len(x)), make([]T, len(x))
		if err := pass.BackwardInput(ctx, dlogits, dx2); err != nil {
			t.Fatal(err)
		}
		grad, err := pass.Backward(ctx, dlogits, dx)
		if err != nil {
			t.Fatal(err)
		}
		grad2 := slices.Clone(grad)
		if grad, err = pass.Backward(ctx, dlogits, nil); err != nil || !slices.Equal(grad, grad2) {
			t.Errorf("%d rows: a second Backward without dx gives other gradients, error %v", rows, err)
		}
		if !slices.Equal(dx, dx2) {
			t.Errorf("%d rows: BackwardInput and Backward differ", rows)
		}
		clear(ref.grad)
		for r := range rows {
			xr := x[r*in:][:in]
			near(t, "logits", logits[r*classes:][:classes], ref.forward(xr), tolerance)
			near(t, "dx", dx[r*in:][:in], ref.backward(xr, dlogits[r*classes:][:classes]), tolerance)
		}
		near(t, "gradient", grad, ref.grad, tolerance)
	}
}

// near compares in units of the largest number.
func near[T kernel.Float](t *testing.T, what string, got, want []T, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	unit := 1.0
	for _, v := range want {
		unit = max(unit, math.Abs(float64(v)))
	}
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance*unit) {
			t.Fatalf("%s[%d] = %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestGradients compares the gradient of every loss through every network, with respect to every parameter and input,
// with central differences. With a step of 1e-5 these are wrong by about 1e-10 from h² and as much from rounding.
func TestGradients(t *testing.T) {
	const h, tolerance = 1e-5, 2e-9
	for _, c := range networks {
		if c.name == "many columns" {
			continue // for the oracle only: too many inputs
		}
		for _, l := range lossCases {
			t.Run(c.name+"/"+l.name, func(t *testing.T) {
				net := mustNew[float64](t, 3, c.input, c.layers...)
				pass, classes := net.NewPass(2), net.Classes()
				const rows = 3
				s := l.samples(classes, rows)
				s.X = normal[float64](4, rows*net.Inputs())
				dlogits := make([]float64, rows*classes)
				loss := func() float64 {
					logits, err := pass.Forward(ctx, s.X)
					if err != nil {
						t.Fatal(err)
					}
					return CrossEntropy(dlogits, logits, classes, s, l.temperature)
				}
				loss()
				dx := make([]float64, len(s.X))
				grad, err := pass.Backward(ctx, dlogits, dx)
				if err != nil {
					t.Fatal(err)
				}
				difference := func(what string, at []float64, want []float64) {
					for i := range at {
						old := at[i]
						at[i] = old + h
						up := loss()
						at[i] = old - h
						down := loss()
						at[i] = old
						if d := (up - down) / (2 * h); math.Abs(d-want[i]) > tolerance {
							t.Fatalf("%s[%d]: derivative %.12g, differences say %.12g", what, i, want[i], d)
						}
					}
				}
				difference("x", s.X, dx)
				difference("weights", net.Weights, slices.Clone(grad))
			})
		}
	}
}

// TestWorkers wants the same bytes from one, two and seven workers.
func TestWorkers(t *testing.T) {
	net := mustNew[float32](t, 1, []int{1, 9, 9}, Conv2D{Out: 3, Kernel: 3}, ReLU{}, Dense{4})
	const rows = 10*tape.ShardRows + 1
	x, dlogits := normal[float32](1, rows*net.Inputs()), normal[float32](2, rows*net.Classes())
	var logits, grad, dx []float32
	for _, workers := range []int{1, 2, 7} {
		p := net.NewPass(workers)
		y, err := p.Forward(ctx, x)
		if err != nil {
			t.Fatal(err)
		}
		d := make([]float32, len(x))
		g, err := p.Backward(ctx, dlogits, d)
		if err != nil {
			t.Fatal(err)
		}
		if workers > 1 && !(slices.Equal(y, logits) && slices.Equal(g, grad) && slices.Equal(d, dx)) {
			t.Errorf("%d workers give other numbers than one", workers)
		}
		logits, grad, dx = y, g, d
	}
}

// TestPassErrors wants errors, and no later damage, from wrong lengths and a context that ended.
func TestPassErrors(t *testing.T) {
	net := mustNew[float64](t, 1, []int{3}, Dense{2})
	p := net.NewPass(1)
	if _, err := p.Forward(ctx, make([]float64, 4)); err == nil {
		t.Error("a row and a third: accepted")
	}
	if _, err := p.Forward(ctx, make([]float64, 6)); err != nil {
		t.Error(err)
	}
	if _, err := p.Backward(ctx, []float64{1, 2, 3, 4}, nil); err != nil {
		t.Error(err)
	}
	for _, n := range [][2]int{{2, 6}, {4, 3}, {6, 6}} {
		if _, err := p.Backward(ctx, make([]float64, n[0]), make([]float64, n[1])); err == nil {
			t.Errorf("gradients of %d and %d numbers: accepted", n[0], n[1])
		}
	}
	if err := p.BackwardInput(ctx, make([]float64, 4), nil); err == nil {
		t.Error("BackwardInput without room: accepted")
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Forward(over, make([]float64, 6)); !errors.Is(err, context.Canceled) {
		t.Errorf("Forward after cancel: %v", err)
	}
	if _, err := p.Backward(ctx, make([]float64, 4), nil); err == nil {
		t.Error("Backward after a Forward that failed: accepted")
	}
	if y, err := p.Forward(ctx, nil); err != nil || len(y) != 0 {
		t.Errorf("no rows: %v, %v", y, err)
	}
	if g, err := p.Backward(ctx, nil, nil); err != nil || fmt.Sprint(g) != "[0 0 0 0 0 0 0 0]" {
		t.Errorf("the gradient of no rows: %v, %v", g, err)
	}
}

// TestLogits wants the rows of all batches, in order.
func TestLogits(t *testing.T) {
	net := mustNew[float64](t, 1, []int{2}, Dense{3})
	x := normal[float64](1, 2*(batchCheck+tape.ShardRows+1))
	y, err := net.Logits(ctx, x, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref := newNaive(net)
	for r := range len(x) / 2 {
		near(t, "logits", y[3*r:3*r+3], ref.forward(x[2*r:2*r+2]), 1e-14)
	}
	if _, err := net.Logits(ctx, x[:3], 1); err == nil {
		t.Error("a row and a half: accepted")
	}
}
