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
