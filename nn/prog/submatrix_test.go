package prog

import (
	"math/rand/v2"
	"testing"
)

// TestSubmatrix compares the parts of maps of every kind with their entries.
func TestSubmatrix(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 41))
	vals := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = r.NormFloat64()
		}
		return v
	}
	pick := func(n int) []int32 {
		if r.IntN(4) == 0 {
			return nil
		}
		list := []int32{}
		for i := range n {
			if r.IntN(2) == 0 {
				list = append(list, int32(i))
			}
		}
		return list
	}
	g := ConvGeom{C: 2, H: 4, W: 5, M: 3, KH: 3, KW: 2, Group: 1, StrideH: 1, StrideW: 2, DilH: 1, DilW: 1, PadT: 1, PadB: 1}
	conv := Conv(g, vals(3*2*3*2))
	maps := map[string]Linear{
		"dense": Dense(7, 9, vals(63)), "conv": conv, "transposed": Transpose(conv), "identity": Identity(6), "diagonal": Diag(vals(5)),
		"sparse": Sparse(3, 4, []int32{0, 2, 2, 5}, []int32{0, 3, 0, 1, 2}, vals(5)), "index": Index(6, []int32{5, 0, 0, 2}),
	}
	for name, m := range maps {
		out, in := m.Dims()
		full := make([]float64, out*in)
		m.Each(func(i, j int, v float64) { full[i*in+j] += v })
		for range 50 {
			rows, cols := pick(out), pick(in)
			s := Submatrix(m, rows, cols)
			if rows == nil {
				rows = upTo(out)
			}
			if cols == nil {
				cols = upTo(in)
			}
			so, si := s.Dims()
			if so != len(rows) || si != len(cols) {
				t.Fatalf("%s: %d×%d, want %d×%d", name, so, si, len(rows), len(cols))
			}
			got := make([]float64, so*si)
			s.Each(func(i, j int, v float64) { got[i*si+j] += v })
			for i, a := range rows {
				for j, b := range cols {
					if got[i*si+j] != full[int(a)*in+int(b)] {
						t.Fatalf("%s: entry %d, %d is %v, want %v", name, i, j, got[i*si+j], full[int(a)*in+int(b)])
					}
				}
			}
			if w := SubmatrixWork(m, so, si); w < 0 || so == out && si == in && w != Work(m) {
				t.Errorf("%s: work %d of the whole %d", name, w, Work(m))
			}
		}
	}
}
