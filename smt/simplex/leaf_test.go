package simplex

import (
	"math/rand/v2"
	"testing"
)

// leaf draws what a branch and bound hands over: the input box of a random ReLU network whose phases are all fixed, mostly
// those of one point, so that the rows are badly scaled, nearly parallel in places, and mostly implied.
func leaf(r *rand.Rand, n, width, depth int, flip float64) *Problem {
	p := &Problem{}
	x := make([]float64, n+1)
	x[n] = 1
	forms := make([][]float64, n)
	for j := range n {
		x[j] = r.Float64()*2 - 1
		p.Lo, p.Hi = append(p.Lo, -1), append(p.Hi, 1)
		forms[j] = make([]float64, n+1)
		forms[j][j] = 1
	}
	affine := func() []float64 {
		f := make([]float64, n+1)
		f[n] = r.NormFloat64() / 10
		for _, g := range forms {
			axpy(f, r.NormFloat64()/6, g)
		}
		return f
	}
	for range depth {
		next := make([][]float64, width)
		for i := range next {
			f := affine()
			g, h := append([]float64(nil), f[:n]...), -f[n] // inactive: f ≤ 0
			if active := dot(f, x) > 0; active != (r.Float64() < flip) {
				for j := range g {
					g[j] = -g[j]
				}
				h = f[n]
			} else {
				clear(f)
			}
			p.G, p.H, next[i] = append(p.G, g), append(p.H, h), f
		}
		forms = next
	}
	p.C = affine()[:n]
	return p
}

func TestLeaves(t *testing.T) {
	r := rand.New(rand.NewPCG(77, 30))
	for _, size := range []struct {
		n, count int
		flip     float64
	}{{5, 100, 0.005}, {20, 50, 0.005}, {100, 10, 0.002}, {5, 50, 0}} {
		count, pivots := map[Status]int{}, 0
		for range size.count {
			p := leaf(r, size.n, 50, 4, size.flip)
			s := solve(t, p, Options{})
			verify(t, p, s)
			count[s.Status]++
			pivots += s.Pivots
			if size.flip == 0 && s.Status != Optimal {
				t.Errorf("%v, though the region has inner points", s.Status)
			}
		}
		t.Logf("n=%d m=200: %v, %d pivots each", size.n, count, pivots/size.count)
		if count[Limit] > 0 {
			t.Errorf("n=%d: %v", size.n, count)
		}
	}
}

// BenchmarkLeaf is a leaf of an ACAS Xu sized network.
func BenchmarkLeaf(b *testing.B) {
	p := leaf(rand.New(rand.NewPCG(1, 2)), 5, 50, 6, 0)
	var sv Solver
	b.ReportAllocs()
	for b.Loop() {
		if s, err := sv.Solve(b.Context(), p, Options{}); err != nil || s.Status != Optimal {
			b.Fatal(s, err)
		}
	}
}
