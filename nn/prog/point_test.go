package prog

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// deepProgram is a chain of depth relu (and a few sigmoid) layers without biases of its own scale, so that intervals blow up.
func deepProgram(r *rand.Rand, depth, width int, sigmoid bool) *Program {
	b := NewBuilder(3)
	at, n := 0, 3
	for k := range depth {
		w := make([]float64, width*n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64() * math.Sqrt(2/float64(n))))
		}
		bias := make([]float64, width)
		for i := range bias {
			bias[i] = float64(float32(r.NormFloat64() * 0.1))
		}
		z := b.Affine("z", width, bias, 0, Term{at, Dense(width, n, w)})
		if at, n = b.Relu("x", z), width; sigmoid && k%4 == 3 {
			at = b.Sigmoid("s", z)
		}
	}
	p, err := b.Program(at)
	if err != nil {
		panic(err)
	}
	return p
}

// TestPointDeep: on deep nets the adjoint bound must contain the exact value and every binary32 execution, and be far
// tighter than the intervals.
func TestPointDeep(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for trial := range 12 {
		p := deepProgram(r, 10, 16, trial%2 == 1)
		x := []float64{float64(r.Float32()), float64(r.Float32()), float64(r.Float32())}
		c := make([]float64, 16)
		for i := range c {
			c[i] = float64(float32(r.NormFloat64()))
		}
		want := new(big.Rat)
		for i, y := range exactEval(p, x)[p.Output] {
			want.Add(want, new(big.Rat).Mul(new(big.Rat).SetFloat64(c[i]), y))
		}
		exact, _ := want.Float64()
		pt := p.NewTightPoint(x, Unit32)
		lo, hi := pt.Bound(c)
		rlo, rhi := p.NewPoint(x, UnitReal).Bound(c)
		if !(lo <= exact && exact <= hi) || !(rlo <= exact && exact <= rhi) {
			t.Fatalf("trial %d: %v outside [%v, %v] or [%v, %v]", trial, exact, lo, hi, rlo, rhi)
		}
		L, U := p.Enclose(x, x, Unit32)
		var plain float64
		for i, ci := range c {
			plain += math.Abs(ci) * (U[p.Output][i] - L[p.Output][i])
		}
		if trial%2 == 0 && !(hi-lo < plain/20) {
			t.Errorf("trial %d: adjoint width %g, intervals %g", trial, hi-lo, plain)
		}
		for range 40 {
			v := f32Eval(p, x, r)
			var s float64
			for i, ci := range c {
				s += ci * v[p.Output][i]
			}
			if s < lo-1e-12 || s > hi+1e-12 {
				t.Fatalf("trial %d: binary32 %v outside [%v, %v]", trial, s, lo, hi)
			}
			checkFloats(t, pt.e.L, pt.e.U, v)
		}
	}
}

// TestPointTightens: an adjoint bound decides the sign of a relu that the intervals leave open, and the answer uses it.
func TestPointTightens(t *testing.T) {
	n := 200
	b := NewBuilder(n)
	x, w := make([]float64, n), make([]float64, n)
	for i := range w {
		w[i], x[i] = 1, float64(float32(1.1))
	}
	z := b.Affine("z", 1, nil, 0, Term{0, Dense(1, n, w)}) // 220 with an error of 2e-3
	c := b.Affine("c", 2, nil, 0, Term{z, Dense(2, 1, []float64{1, 1})})
	d := b.Affine("d", 1, []float64{0x1p-8}, 0, Term{c, Dense(1, 2, []float64{1, -1})}) // which cancels
	p, err := b.Program(b.Affine("y", 1, nil, 0, Term{b.Relu("x", d), Dense(1, 1, []float64{1})}))
	if err != nil {
		t.Fatal(err)
	}
	if L, _ := p.Enclose(x, x, Unit32); L[d][0] >= 0 {
		t.Fatal("the intervals decide the sign: the test tests nothing")
	}
	if lo, _ := p.NewPoint(x, Unit32).Bound([]float64{1}); lo > 0 {
		t.Error("decided without the second look")
	}
	lo, hi := p.EnclosePoint(x, []float64{1}, Unit32)
	if !(lo > 0x1p-9 && hi < 0x1p-7) {
		t.Errorf("[%v, %v], want about 2⁻⁸", lo, hi)
	}
}
