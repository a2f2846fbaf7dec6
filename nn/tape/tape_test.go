package tape

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var ctx = context.Background()

func drawn(seed uint64, n int) []float64 {
	r := rand.New(rand.NewPCG(seed, 3))
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// copies repeats every number of a row k times, the copies times 1, 2, …
type copies struct{ k int }

func (o copies) Forward(c *Context[float64], out []float64, in [][]float64) {
	for i, v := range in[0] {
		for k := range o.k {
			out[(i/c.Rows*o.k+k)*c.Rows+i%c.Rows] = float64(k+1) * v
		}
	}
}

func (o copies) Backward(*Context[float64], []float64, []float64, [][]float64, [][]float64) {}

// TestTransposed wants ⟨M·x, y⟩ = ⟨x, Mᵀ·y⟩ for every linear operation, row by row and copy by copy.
func TestTransposed(t *testing.T) {
	g := Geometry{C: 2, H: 5, W: 4, Out: 3, Kernel: 3, Stride: 2, Pad: 1}
	const K, rows = 3, 5
	for name, n := range map[string][2]int{"conv": {g.Inputs(), g.Outputs()}, "dense": {7, 4}} {
		in, out := n[0], n[1]
		weights := 7 * 4
		if name == "conv" {
			weights = g.Out * g.C * g.Kernel * g.Kernel
		}
		p := New[float64](in+out, weights) // a row is x, then y
		w := p.Param(0, weights)
		part := func(from, n int) Value {
			return p.Record(n, 1, func() Op[float64] { return slice{from} }, p.Input())
		}
		repeat := func(v Value) Value {
			return p.Record(p.Width(v), K, func() Op[float64] { return copies{K} }, v)
		}
		x, y := repeat(part(0, in)), repeat(part(in, out))
		var mx, my Value
		if name == "conv" {
			mx, my = p.Conv(x, w, nil, g), p.ConvTransposed(y, w, g)
		} else {
			mx, my = p.Dense(x, w, nil, out), p.DenseTransposed(y, w, in)
		}
		r := NewRunner(p, Options{Workers: 2, Shard: 2, Outputs: []Value{mx, my}})
		batch := drawn(1, rows*(in+out))
		if err := r.Forward(ctx, drawn(2, weights), Batch[float64]{X: batch}); err != nil {
			t.Fatal(err)
		}
		for row := range rows {
			x, y := batch[row*(in+out):][:in], batch[row*(in+out)+in:][:out]
			for k := range K {
				a, b := 0.0, 0.0
				for i, v := range y {
					a += v * r.Output(0)[(row*out+i)*K+k]
				}
				for i, v := range x {
					b += v * r.Output(1)[(row*in+i)*K+k]
				}
				if !(math.Abs(a-b) <= 1e-12*max(1, math.Abs(a))) {
					t.Errorf("%s: row %d copy %d: %v and %v", name, row, k, a, b)
				}
			}
		}
	}
}

// slice takes numbers of a row from an index on.
type slice struct{ from int }

func (o slice) Forward(c *Context[float64], out []float64, in [][]float64) {
	copy(out, in[0][o.from*c.Rows:])
}

func (o slice) Backward(*Context[float64], []float64, []float64, [][]float64, [][]float64) {}

// TestRunners wants Descend, and Forward with Backward, to give the same gradient, also with weights, of which 0 leaves a row out.
func TestRunners(t *testing.T) {
	p := New[float64](3, 3*2+2)
	b := p.Param(6, 2)
	logits := p.ReLU(p.Dense(p.Input(), p.Param(0, 6), &b, 2))
	one := p.Scalar()
	loss := p.CrossEntropy(logits, one)
	params := drawn(3, 8)
	batch := Batch[float64]{X: drawn(4, 5*3), Labels: []int{0, 1, 1, 0, 1}, Weights: []float64{1, 2, 0, 0.5, 0.5}}
	whole := NewRunner(p, Options{Shard: 2})
	whole.Set(one, 1)
	mean, grad, err := whole.Descend(ctx, params, batch, loss)
	if err != nil {
		t.Fatal(mean, err)
	}
	grad = slices.Clone(grad)
	split := NewRunner(p, Options{Shard: 2, Split: true, Outputs: []Value{loss}})
	split.Set(one, 1)
	if err := split.Forward(ctx, params, batch); err != nil {
		t.Fatal(err)
	}
	sum, seed := 0.0, make([]float64, 5)
	for i, w := range batch.Weights {
		seed[i] = w / 4
		sum += seed[i] * split.Output(0)[i]
	}
	dx := make([]float64, 15)
	back, err := split.Backward(ctx, loss, seed, true, dx)
	if err != nil {
		t.Fatal(err)
	}
	if !(math.Abs(sum-mean) <= 1e-15) {
		t.Errorf("losses %v and %v", mean, sum)
	}
	for i, g := range grad {
		if !(math.Abs(g-back[i]) <= 1e-15) {
			t.Errorf("gradient %d: %v and %v", i, g, back[i])
		}
	}
	if slices.Equal(dx[:3], make([]float64, 3)) || !slices.Equal(dx[6:9], make([]float64, 3)) {
		t.Errorf("gradients of the inputs %v", dx)
	}
	for _, bad := range []Batch[float64]{{X: make([]float64, 4)}, {X: make([]float64, 6), Labels: []int{1}}, {X: make([]float64, 6), Weights: []float64{1}}} {
		if err := whole.Forward(ctx, params, bad); err == nil {
			t.Errorf("%+v: accepted", bad)
		}
	}
	if err := whole.Forward(ctx, params[1:], batch); err == nil {
		t.Error("too few parameters: accepted")
	}
}
