package train

import (
	"testing"
	"time"

	"github.com/spai-project/certify/internal/kernel"
)

var (
	benchMLP  = []Layer{Dense{200}, ReLU{}, Dense{100}, ReLU{}, Dense{10}}
	benchConv = []Layer{Conv2D{Out: 16, Kernel: 4, Stride: 2, Pad: 1}, ReLU{}, Conv2D{Out: 32, Kernel: 4, Stride: 2, Pad: 1}, ReLU{},
		Dense{100}, ReLU{}, Dense{10}}
)

// BenchmarkPass measures forward and backward on a batch of 128, without the optimiser, against plain loops in the same run.
func BenchmarkPass(b *testing.B) {
	b.Run("mlp/float32", func(b *testing.B) { benchPass[float32](b, []int{784}, benchMLP) })
	b.Run("mlp/float64", func(b *testing.B) { benchPass[float64](b, []int{784}, benchMLP) })
	b.Run("conv/float32", func(b *testing.B) { benchPass[float32](b, []int{1, 28, 28}, benchConv) })
	b.Run("conv/float64", func(b *testing.B) { benchPass[float64](b, []int{1, 28, 28}, benchConv) })
}

func benchPass[T kernel.Float](b *testing.B, input []int, layers []Layer) {
	const rows, plainRows = 128, 2
	net := mustNew[T](b, 1, input, layers...)
	pass, plain := net.NewPass(0), newNaive(net)
	x, dlogits := normal[T](1, rows*net.Inputs()), normal[T](2, rows*net.Classes())
	var fast, slow time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := pass.Forward(ctx, x); err != nil {
			b.Fatal(err)
		}
		if _, err := pass.Backward(ctx, dlogits, nil); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		for r := range plainRows {
			xr := x[r*net.Inputs():][:net.Inputs()]
			plain.forward(xr)
			plain.backward(xr, dlogits[r*net.Classes():][:net.Classes()])
		}
		fast += middle.Sub(start)
		slow += time.Since(middle)
	}
	rate := func(n int, d time.Duration) float64 { return float64(n*b.N) / d.Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate(rows, fast), "images/s")
	b.ReportMetric(rate(plainRows, slow), "plain-images/s")
	b.ReportMetric(rate(rows, fast)/rate(plainRows, slow), "ratio")
}

// BenchmarkStep measures whole steps of Adam on batches of 128.
func BenchmarkStep(b *testing.B) {
	b.Run("mlp", func(b *testing.B) { benchStep(b, []int{784}, benchMLP) })
	b.Run("conv", func(b *testing.B) { benchStep(b, []int{1, 28, 28}, benchConv) })
}

func benchStep(b *testing.B, input []int, layers []Layer) {
	net := mustNew[float32](b, 1, input, layers...)
	const rows = 4096
	data := &Samples[float32]{X: normal[float32](1, rows*net.Inputs()), Labels: make([]int, rows)}
	r, err := Recipe{}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	tr, err := newTrainer(net, data, r, Hooks[float32]{})
	if err != nil {
		b.Fatal(err)
	}
	tr.shuffle()
	b.ReportAllocs()
	for b.Loop() {
		if len(tr.order) == 0 {
			tr.order = tr.perm
		}
		if err := tr.step(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(128*float64(b.N)/b.Elapsed().Seconds(), "images/s")
}
