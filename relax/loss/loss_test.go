package loss

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
)

var ctx = context.Background()

var nets = []struct {
	name   string
	input  []int
	layers []train.Layer
}{
	{"mlp", []int{6}, []train.Layer{train.Dense{Out: 9}, train.ReLU{}, train.Dense{Out: 7}, train.ReLU{}, train.Dense{Out: 4}}},
	{"conv", []int{2, 5, 6}, []train.Layer{train.Conv2D{Out: 3, Kernel: 3, Stride: 2, Pad: 1}, train.ReLU{},
		train.Conv2D{Out: 4, Kernel: 2}, train.ReLU{}, train.Dense{Out: 8}, train.ReLU{}, train.Dense{Out: 3}}},
	{"norm", []int{1, 4, 5}, []train.Layer{train.Conv2D{Out: 3, Kernel: 3, Pad: 1}, train.BatchNorm{}, train.ReLU{},
		train.Dense{Out: 6}, train.BatchNorm{}, train.ReLU{}, train.Dense{Out: 3}}},
}

// cases has the settings of every method in the middle of a ramp.
func cases() []Settings {
	var all []Settings
	for _, m := range methods {
		s := Settings{Method: m.Name, Eps: 0.2, Lower: -1.5, Upper: 1.5, Ramp: [2]float64{0, 2}, Kappa: [2]float64{1, 0.5}}
		switch m.Name {
		case "sabr":
			s.Part, s.Steps = 0.4, 3
		case "mtl-ibp", "cc-ibp", "exp-ibp":
			s.Alpha, s.Steps, s.Reach = 0.3, 2, 1.5
		case "crown-ibp":
			s.Beta = [2]float64{1, 0.2}
		case "taps":
			s.Split, s.Steps, s.Alpha = 3, 3, 0.5
		}
		all = append(all, s)
	}
	return all
}

func drawn[T kernel.Float](seed uint64, n int, scale float64) []T {
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]T, n)
	for i := range x {
		x[i] = T(r.NormFloat64() * scale)
	}
	return x
}

// bench is a loss on a net and a batch.
type bench[T kernel.Float] struct {
	net     *train.Net[T]
	program *tape.Tape[T]
	rec     train.Recorded
	run     *tape.Runner[T]
	batch   tape.Batch[T]
}

func newBench[T kernel.Float](t testing.TB, input []int, layers []train.Layer, s Settings, rows int) *bench[T] {
	t.Helper()
	net, err := train.New[T](3, input, layers...)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range drawn[T](5, len(net.Weights), 0.1) {
		net.Weights[i] += v // biases too
	}
	o, err := New[T](s)
	if err != nil {
		t.Fatal(err)
	}
	program := tape.New[T](net.Inputs(), len(net.Weights))
	rec, err := o.Record(program, net)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []tape.Value{rec.Logits}
	if rec.Worst != nil {
		outputs = append(outputs, *rec.Worst)
	}
	b := &bench[T]{net: net, program: program, rec: rec, run: tape.NewRunner(program, tape.Options{Workers: 2, Outputs: outputs})}
	b.batch.X = drawn[T](9, rows*net.Inputs(), 0.7)
	for i := range rows {
		b.batch.Labels = append(b.batch.Labels, i%net.Classes())
	}
	rec.Begin(train.Moment{Epochs: 1.3, All: 4}, b.run.Set)
	return b
}

func (b *bench[T]) loss(t testing.TB) (float64, []T) {
	t.Helper()
	v, g, err := b.run.Descend(ctx, b.net.Weights, b.batch, b.rec.Loss)
	if err != nil {
		t.Fatal(err)
	}
	return v, g
}

// TestGradients compares the gradient of every loss with central differences in every parameter, in float64. Attacks move with the
// parameters in jumps only, and the gradient takes their points as given, so where a difference sees such a jump or a kink of a
// ReLU both one-sided differences must not agree with each other either.
func TestGradients(t *testing.T) {
	const h = 1e-6
	for _, n := range nets {
		for _, s := range cases() {
			if s.Method == "wong-kolter" && n.name == "norm" {
				continue
			}
			if s.Method == "taps" && n.name != "mlp" {
				continue // the gradient connector is a derivative only where all points are in corners, as they are there
			}
			t.Run(n.name+"/"+s.Method, func(t *testing.T) {
				b := newBench[float64](t, n.input, n.layers, s, 5)
				at, g := b.loss(t)
				g = append([]float64(nil), g...)
				jumps := 0
				for i, old := range b.net.Weights {
					b.net.Weights[i] = old + h
					up, _ := b.loss(t)
					b.net.Weights[i] = old - h
					down, _ := b.loss(t)
					b.net.Weights[i] = old
					if !(math.Abs((up-at)/h-(at-down)/h) <= 1e-4) {
						jumps++
						continue
					}
					if d := (up - down) / (2 * h); !(math.Abs(d-g[i]) <= 1e-7*max(1, math.Abs(d))) {
						t.Fatalf("parameter %d: %v, differences say %v", i, g[i], d)
					}
				}
				if jumps > len(g)/20 {
					t.Errorf("%d of %d parameters are at a kink", jumps, len(g))
				}
			})
		}
	}
}

// TestBounds wants no point of the ball to lead by more than the bound says, and for a single layer some corner to lead by as much.
func TestBounds(t *testing.T) {
	one := []train.Layer{train.Dense{Out: 4}}
	for _, n := range append(nets[:2:2], struct {
		name   string
		input  []int
		layers []train.Layer
	}{"one layer", []int{3}, one}) {
		for _, s := range []Settings{{Method: "ibp", Eps: 0.3, Lower: -1, Upper: 1}, {Method: "crown-ibp", Beta: [2]float64{1, 1}, Eps: 0.3, Lower: -1, Upper: 1}} {
			if n.name == "one layer" && s.Method == "crown-ibp" {
				continue // needs a layer before the last
			}
			const rows = 6
			b := newBench[float64](t, n.input, n.layers, s, rows)
			for i, v := range b.batch.X {
				b.batch.X[i] = min(max(v, -1), 1)
			}
			b.loss(t)
			in, K := b.net.Inputs(), b.net.Classes()
			worst := slices.Clone(b.run.Output(1))
			most := slices.Repeat([]float64{math.Inf(-1)}, len(worst))
			r := rand.New(rand.NewPCG(1, 1))
			x := make([]float64, rows*in)
			for range 400 {
				for i, v := range b.batch.X {
					lo, hi := max(v-s.Eps, -1), min(v+s.Eps, 1)
					x[i] = []float64{lo, hi, lo + r.Float64()*(hi-lo)}[r.IntN(3)]
					if n.name == "one layer" {
						x[i] = []float64{lo, hi}[r.IntN(2)]
					}
				}
				y, err := b.net.Logits(ctx, x, 1)
				if err != nil {
					t.Fatal(err)
				}
				for i := range most {
					most[i] = max(most[i], y[i]-y[i/K*K+b.batch.Labels[i/K]])
				}
			}
			for i, v := range worst {
				if most[i] > v+1e-12 || n.name == "one layer" && most[i] < v-1e-12 {
					t.Errorf("%s, %s: row %d class %d: %v is reached, the bound is %v", n.name, s.Method, i/K, i%K, most[i], v)
				}
			}
		}
	}
}

// TestWorkers wants the same bytes whatever the number of workers, attacks included.
func TestWorkers(t *testing.T) {
	for _, s := range cases() {
		if s.Method == "taps" {
			s.Split = 4
		}
		var want []float32
		for _, workers := range []int{1, 2, 5} {
			b := newBench[float32](t, nets[1].input, nets[1].layers, s, 70)
			b.run = tape.NewRunner(b.program, tape.Options{Workers: workers})
			b.rec.Begin(train.Moment{Epochs: 1.3, All: 4}, b.run.Set)
			_, g := b.loss(t)
			if want == nil {
				want = slices.Clone(g)
			} else if !slices.Equal(g, want) {
				t.Errorf("%s: %d workers give another gradient", s.Method, workers)
			}
		}
	}
}

// TestAllocations wants no allocation after the first run.
func TestAllocations(t *testing.T) {
	for _, s := range cases() {
		b := newBench[float32](t, nets[0].input, nets[0].layers, s, 40)
		b.run = tape.NewRunner(b.program, tape.Options{Workers: 1}) // or a worker may meet its first shard late
		b.rec.Begin(train.Moment{Epochs: 1.3, All: 4}, b.run.Set)
		b.loss(t)
		if n := testing.AllocsPerRun(5, func() { b.loss(t) }); n > 0 {
			t.Errorf("%s: %v allocations per step", s.Method, n)
		}
	}
}

// TestSettings wants an error for what makes no sense.
func TestSettings(t *testing.T) {
	for _, s := range []Settings{{Method: "magic"}, {Method: "ibp", Eps: -1}, {Method: "ibp", Eps: math.NaN()}, {Method: "ibp", Lower: 1, Upper: 0},
		{Method: "ibp", Ramp: [2]float64{3, 2}}, {Method: "ibp", Kappa: [2]float64{2, 0}}, {Method: "sabr", Part: -0.1}, {Method: "pgd", Steps: -1},
		{Method: "mtl-ibp", Reach: math.Inf(1)}} {
		if _, err := New[float32](s); err == nil {
			t.Errorf("%+v: accepted", s)
		}
	}
	net, err := train.New[float32](1, []int{4}, train.Dense{Out: 3}, train.ReLU{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := New[float32](Settings{Method: "ibp"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Record(tape.New[float32](4, len(net.Weights)), net); err == nil {
		t.Error("a network that ends in a ReLU: accepted")
	}
}

// TestRamp wants the radius to grow from 0 to 1 without a jump, slowly at first.
func TestRamp(t *testing.T) {
	s := Settings{Ramp: [2]float64{1, 5}}
	last := 0.0
	for e := 0.0; e <= 6; e += 1.0 / 64 {
		v := s.Ramped(e)
		if v < last || v-last > 0.021 || e <= 1 && v != 0 || e >= 5 && v != 1 {
			t.Fatalf("%v after %v epochs, %v before", v, e, last)
		}
		last = v
	}
	if v := s.Ramped(2); v > 0.08 {
		t.Errorf("%v after a quarter of the ramp", v)
	}
}

// TestWantsLabels: margins over a label are of no use to rows that have probabilities alone, and must not be made up for them.
func TestWantsLabels(t *testing.T) {
	for _, s := range cases() {
		o, err := New[float32](s)
		if err != nil {
			t.Fatal(err)
		}
		net, err := train.New[float32](1, nets[0].input, nets[0].layers...)
		if err != nil {
			t.Fatal(err)
		}
		soft := &train.Samples[float32]{X: drawn[float32](1, 12, 1), Soft: []float32{0.5, 0.5, 0, 0, 0, 0, 0.25, 0.75}}
		_, err = train.Fit(ctx, net, soft, train.Recipe{Workers: 1}, train.Hooks[float32]{Objective: o})
		if want := s.Method != "natural" && s.Method != "pgd"; (err != nil) != want {
			t.Errorf("%s: %v", s.Method, err)
		}
	}
}
