package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/prog"
)

// TestMergedBatchNorm: enclosures of every binary32 execution cover those that merge the mean of a batch normalisation into its
// offset, also where the difference from the mean is exact.
func TestMergedBatchNorm(t *testing.T) {
	for s := range uint64(200) {
		r := rand.New(rand.NewPCG(s, 8))
		round := func(v float64) float64 { return float64(float32(v)) }
		mean, scale, offset, variance := float64(r.IntN(256)), round(1+r.Float64()), round(r.NormFloat64()/64), round(0.1+r.Float64())
		n := nd("BatchNormalization", "y", "x", "s", "b", "m", "v")
		n.Attrs = map[string]op.Attr{"epsilon": {F: 0x1p-10}}
		g := build(t, draft([]string{"x"}, []string{"y"}, map[string]*op.Tensor{"s": vec(scale), "b": vec(offset), "m": vec(mean),
			"v": vec(variance)}, n))
		real, err := g.Lower()
		if err != nil {
			t.Fatal(err)
		}
		single, err := g.Lower32()
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{float64(r.IntN(256)), mean + float64(r.IntN(3)) - 1}
		gain := float32(scale) / float32(math.Sqrt(float64(float32(variance)+0x1p-10)))
		bias := float32(offset) - float32(float32(mean)*gain)
		for _, p := range []*prog.Program{real, single} {
			L, U := p.Enclose(x, x, prog.Unit32)
			for i, v := range x {
				y := float64(float32(float32(v)*gain) + bias)
				fused := float64(float32(math.FMA(v, float64(gain), float64(bias))))
				for _, y := range []float64{y, fused} {
					if l, u := L[p.Output][i], U[p.Output][i]; !(l <= y && y <= u) {
						t.Fatalf("seed %d, binary32 %v: %v of %v, mean %v outside [%v, %v]", s, p.Binary32, y, v, mean, l, u)
					}
				}
			}
		}
	}
}
