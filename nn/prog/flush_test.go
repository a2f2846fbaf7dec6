package prog

import (
	"math"
	"math/rand/v2"
	"testing"
)

// flushed32 rounds to binary32 and flushes subnormal numbers to zero if ftz is set.
func flushed32(v float64, ftz bool) float64 {
	if ftz && math.Abs(v) < 0x1p-126 {
		return 0
	}
	return float64(float32(v))
}

// TestCurvesFlush evaluates curves and products of tiny and huge numbers as executions do that flush subnormal operands and
// results to zero, and as those that do not. What comes next would be enlarged by a weight, so intervals count to the last bit.
func TestCurvesFlush(t *testing.T) {
	zeros := 0
	for s := range uint64(4000) {
		r := rand.New(rand.NewPCG(s, 17))
		draw := func() float64 {
			v := math.Ldexp(1+r.Float64(), r.IntN(80)-150)
			if r.IntN(2) == 0 {
				v = math.Ldexp(1+r.Float64(), r.IntN(100)+20)
			}
			if r.IntN(2) == 0 {
				v = -v
			}
			return float64(float32(v))
		}
		x := []float64{draw(), draw()}
		b := NewBuilder(2)
		fn := Fn(r.IntN(7))
		var k int
		if fn > Floor {
			k = b.Product("", 0, b.Relu("", 0))
		} else {
			k = b.Curve("", fn, 0)
		}
		p, err := b.Program(k)
		if err != nil {
			t.Fatal(err)
		}
		L, U := p.Enclose(x, x, Unit32)
		pt := p.NewPoint(x, Unit32)
		for i, v := range x {
			for _, ftz := range []bool{false, true} {
				z := flushed32(v, ftz)
				var f float64
				if fn > Floor {
					f = flushed32(z*max(z, 0), ftz)
				} else {
					f = flushed32(fn.Value(z), ftz)
				}
				if math.IsInf(f, 0) {
					if !math.IsInf(L[k][i], -1) || !math.IsInf(U[k][i], 1) {
						t.Fatalf("function %d of %v overflows: [%v, %v]", fn, v, L[k][i], U[k][i])
					}
					continue
				}
				if f == 0 && v != 0 {
					zeros++
				}
				c := make([]float64, 2)
				c[i] = 1
				if lo, hi := pt.Bound(c); !(lo <= f && f <= hi) || !(L[k][i] <= f && f <= U[k][i]) {
					t.Fatalf("function %d of %v, flushed %v: %v outside [%v, %v] or [%v, %v]", fn, v, ftz, f, lo, hi, L[k][i], U[k][i])
				}
			}
		}
	}
	if zeros < 500 {
		t.Errorf("%d results are flushed: the test says little", zeros)
	}
}

// TestFlushedInput: adjoint bounds behind a curve or a product cover the flush of an input that the node enlarges.
func TestFlushedInput(t *testing.T) {
	for name, build := range map[string]func(b *Builder) int{
		"product": func(b *Builder) int { return b.Product("", 0, b.Affine("", 1, []float64{0x1p120}, 0)) },
		"sign":    func(b *Builder) int { return b.Curve("", Sign, b.Relu("", 0)) },
	} {
		b := NewBuilder(1)
		k := build(b)
		p, err := b.Program(b.Affine("", 1, nil, 0, Term{k, Dense(1, 1, []float64{0x1p20})}))
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{0x1.8p-130}
		for _, pt := range []*Point{p.NewPoint(x, Unit32), p.NewTightPoint(x, Unit32)} {
			if lo, hi := pt.Bound([]float64{1}); !(lo <= 0 && hi >= pt.Value()[0]) {
				t.Errorf("%s: [%v, %v] without 0 or %v", name, lo, hi, pt.Value()[0])
			}
		}
		if lo, _ := p.NewPoint(x, UnitReal).Bound([]float64{1}); !(lo > 0) {
			t.Errorf("%s: real arithmetic flushes nothing, but the bound is %v", name, lo)
		}
	}
}

// TestOverflowIsNotANumber: where sums may overflow, the activations behind them may be NaN, and no bound holds.
func TestOverflowIsNotANumber(t *testing.T) {
	for name, f := range map[string]func(b *Builder, z int) int{
		"relu":    func(b *Builder, z int) int { return b.Relu("", z) },
		"sigmoid": func(b *Builder, z int) int { return b.Sigmoid("", z) },
		"sign":    func(b *Builder, z int) int { return b.Curve("", Sign, z) },
	} {
		b := NewBuilder(2)
		p, err := b.Program(f(b, b.Affine("", 1, nil, 0, Term{0, Dense(1, 2, []float64{0x1p100, -0x1p100})})))
		if err != nil {
			t.Fatal(err)
		}
		if lo, hi := p.NewPoint([]float64{0x1p100, 0x1p100}, Unit32).Bound([]float64{1}); !math.IsInf(lo, -1) || !math.IsInf(hi, 1) {
			t.Errorf("%s of ∞ − ∞ lies in [%v, %v]", name, lo, hi)
		}
	}
}
