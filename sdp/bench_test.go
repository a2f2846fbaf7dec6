package sdp

import (
	"math"
	"testing"
)

// BenchmarkDeep bounds a lead of the trained network on a test digit that linear relaxation leaves open.
func BenchmarkDeep(b *testing.B) {
	g, set := fixture(b, "mnist:test[0:12]")
	net := netOf(b, g)
	x, label := set.Item(1), set.Labels[1]
	lo, hi := make([]float64, len(x)), make([]float64, len(x))
	for k, v := range x {
		lo[k], hi[k] = math.Max(v-0.1, 0), math.Min(v+0.1, 1)
	}
	box, err := reduceBox(b.Context(), net, lo, hi, label, make([]float64, 10))
	if err != nil {
		b.Fatal(err)
	}
	deep, err := NewDeep(box.r, box.lo, box.hi, box.l, box.u)
	if err != nil {
		b.Fatal(err)
	}
	var w DeepWorker
	b.ResetTimer()
	sweeps := 0
	for b.Loop() {
		if _, err := w.Bound(b.Context(), deep, 5, DeepOptions{}); err != nil {
			b.Fatal(err)
		}
		sweeps += w.Sweeps
	}
	flops := 4 * float64(deep.n) * float64(deep.p) * 16 * float64(sweeps)
	b.ReportMetric(flops/float64(b.Elapsed().Nanoseconds()), "GF/s")
}
