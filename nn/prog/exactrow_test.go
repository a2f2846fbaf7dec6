package prog

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestExactRows: where the enclosure claims that sums are exact, no order of binary32 sums and no fused multiply-add rounds; a bit more
// in a weight, an input or a bias, and it claims nothing.
func TestExactRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	claimed, refused := 0, 0
	for trial := range 400 {
		n, m := 2+r.IntN(20), 1+r.IntN(4)
		bits := 4 + r.IntN(12) // of inputs and weights: products have twice as many
		w, x, bias := make([]float64, n*m), make([]float64, n), make([]float64, m)
		draw := func() float64 { return math.Ldexp(float64(r.IntN(1<<bits)-1<<(bits-1)), r.IntN(3)-5) }
		for i := range w {
			w[i] = draw()
		}
		for i := range x {
			x[i] = draw()
		}
		for i := range bias {
			bias[i] = draw()
		}
		b := NewBuilder(n)
		p, err := b.Program(b.Affine("z", m, bias, 0, Term{0, Dense(m, n, w)}))
		if err != nil {
			t.Fatal(err)
		}
		L, U := p.Enclose(x, x, Unit32)
		if L[1][0] != U[1][0] {
			refused++
			continue
		}
		claimed++
		for range 20 {
			order := r.Perm(n)
			for i := range m {
				s, fused := float32(bias[i]), float32(bias[i])
				for _, j := range order {
					s += float32(w[i*n+j]) * float32(x[j])
					fused = float32(math.FMA(w[i*n+j], x[j], float64(fused)))
				}
				if float64(s) != L[1][i] || float64(fused) != L[1][i] {
					t.Fatalf("trial %d: %v and %v fused, claimed exactly %v", trial, s, fused, L[1][i])
				}
			}
		}
	}
	if claimed < 50 || refused < 50 {
		t.Errorf("%d claimed, %d refused: the test says little", claimed, refused)
	}
}

// TestExactRowLimits: the 24 bits are those of the magnitudes' sum, in units of the finest product.
func TestExactRowLimits(t *testing.T) {
	for _, c := range []struct {
		w, x []float64
		bias float64
		want bool
	}{
		{[]float64{1, -1}, []float64{1 << 22, 1 << 22}, 1, true},
		{[]float64{1, -1}, []float64{1 << 23, 1 << 23}, 0, true}, // the unit is large
		{[]float64{1, -1}, []float64{1 << 23, 1 << 23}, 1, false},
		{[]float64{1, 1}, []float64{1, 0x1p-24}, 0, false},
		{[]float64{0.1, 1}, []float64{0, 1}, 0, false},
		{[]float64{1, 1}, []float64{0x1p-70, 0x1p-70}, 0, false}, // among numbers that may be flushed
		{[]float64{0x1p-59, 1}, []float64{0x1p-59, 0}, 0, false},
		{[]float64{0x1p100, 0}, []float64{0x1p100, 0}, 0, false}, // overflows
		{[]float64{1, 1}, []float64{0x1p127, 0x1p127}, 0, false},
		{[]float64{1, 1}, []float64{0x1p90, 0x1p90}, 0, true},
	} {
		b := NewBuilder(2)
		p, err := b.Program(b.Affine("z", 1, []float64{c.bias}, 0, Term{0, Dense(1, 2, c.w)}))
		if err != nil {
			t.Fatal(err)
		}
		if L, U := p.Enclose(c.x, c.x, Unit32); (L[1][0] == U[1][0]) != c.want {
			t.Errorf("%+v: [%v, %v]", c, L[1][0], U[1][0])
		}
	}
}

// TestStepAtJump: a sum that is 0, and a unit away in some binary32 order, leaves the sign open; one that is exact does not.
func TestStepAtJump(t *testing.T) {
	b := NewBuilder(4)
	z := b.Affine("z", 1, nil, 0, Term{0, Dense(1, 4, []float64{1, 1, 1, 1})})
	y := b.Curve("sign", Sign, z)
	p, err := b.Program(b.Affine("y", 1, nil, 0, Term{y, Dense(1, 1, []float64{3})}))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 8))
	for _, c := range []struct {
		x    []float64
		open bool
	}{{[]float64{1 << 24, 1, -1 << 24, -1}, true}, {[]float64{1 << 20, 1, -1 << 20, -1}, false}} {
		pt := p.NewPoint(c.x, Unit32)
		seen := map[float64]bool{}
		for range 1000 {
			f := f32Eval(p, c.x, r)[p.Output][0]
			seen[f] = true
			if lo, hi := pt.Bound([]float64{1}); !(lo <= f && f <= hi) {
				t.Fatalf("%v: %v outside [%v, %v]", c.x, f, lo, hi)
			}
		}
		if lo, hi := pt.Bound([]float64{1}); (len(seen) > 1) != c.open || (hi-lo > 1) != c.open {
			t.Errorf("%v: values %v, bounds [%v, %v]", c.x, seen, lo, hi)
		}
	}
}
