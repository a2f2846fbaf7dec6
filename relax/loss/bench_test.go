package loss

import (
	"testing"
	"time"

	"github.com/spai-project/certify/nn/train"
)

// BenchmarkDescend measures losses with their gradients on batches of 128 images of the size of MNIST's, against the clean loss in
// the same run.
func BenchmarkDescend(b *testing.B) {
	layers := []train.Layer{train.Conv2D{Out: 16, Kernel: 4, Stride: 2, Pad: 1}, train.ReLU{},
		train.Conv2D{Out: 32, Kernel: 4, Stride: 2, Pad: 1}, train.ReLU{}, train.Dense{Out: 100}, train.ReLU{}, train.Dense{Out: 10}}
	const rows = 128
	for _, s := range cases() {
		b.Run(s.Method, func(b *testing.B) {
			if s.Method == "taps" {
				s.Split = 4
			}
			l, clean := newBench[float32](b, []int{1, 28, 28}, layers, s, rows), newBench[float32](b, []int{1, 28, 28}, layers, cases()[0], rows)
			l.loss(b)
			clean.loss(b)
			var took, plain time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				l.loss(b)
				middle := time.Now()
				clean.loss(b)
				took += middle.Sub(start)
				plain += time.Since(middle)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(rows*b.N)/took.Seconds(), "images/s")
			b.ReportMetric(took.Seconds()/plain.Seconds(), "times-clean")
		})
	}
}
