package poison

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// blobs draws two Gaussian classes in d dimensions.
func blobs(r *rand.Rand, n, d int, positive bool) *Binary {
	b := &Binary{D: d}
	for i := range n {
		y := int8(2*(i%2) - 1)
		for range d {
			v := float64(y)*0.6 + r.NormFloat64()
			if positive {
				v = math.Abs(v)
			}
			b.X = append(b.X, v)
		}
		b.Y = append(b.Y, y)
	}
	return b
}

// drawFilter draws a defence and fits it.
func drawFilter(t *testing.T, r *rand.Rand, b *Binary) *Filter {
	t.Helper()
	f := &Filter{Low: math.Inf(-1), High: math.Inf(1)}
	switch r.IntN(8) {
	case 0:
		f.SpherePercent = 70
	case 1:
		f.SpherePercent, f.SlabPercent = 80, 60
	case 2:
		f.SpherePercent, f.SlabPercent, f.Low = 90, 70, 0
	case 3:
		f.SpherePercent, f.Low, f.High = 100, 0, 1.5
	case 4:
		f.SlabPercent, f.Low, f.High = 50, 0, 2
	case 5:
		f.Low, f.High = -1, 2
	case 6:
		f.SpherePercent, f.Moving = 70, true
	case 7:
		f.SpherePercent, f.Low, f.Moving = 90, 0, true
	}
	if err := f.Fit(b); err != nil {
		t.Fatal(err)
	}
	return f
}

// certified searches and makes a certificate.
func certified(t *testing.T, b *Binary, f *Filter, o Options) (*Certificate, *Search) {
	t.Helper()
	s, err := Bound(context.Background(), b, f, o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Certificate("toy", [2]int{0, 1}, b, f, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}
