package poison

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/spai-project/certify/internal/kernel"
)

// TestPrincipal compares with a decomposition by LAPACK's algorithms.
func TestPrincipal(t *testing.T) {
	const width, n, k = 30, 2100, 4
	r := rand.New(rand.NewPCG(1, 1))
	x := normals(r, n*width)
	for i := range x {
		x[i] *= 1 + 10/float64(1+i%width)
	}
	mean := normals(r, width)
	a, err := moments(ctx, x, mean, width, 3)
	if err != nil {
		t.Fatal(err)
	}
	one, err := moments(ctx, x, mean, width, 1)
	if err != nil || !slices.Equal(a, one) {
		t.Errorf("three workers sum otherwise than one (%v)", err)
	}
	want := mat.NewSymDense(width, nil)
	for i := range n {
		d := mat.NewVecDense(width, moved(x[i*width:][:width], mean, -1))
		want.SymRankOne(want, 1, d)
	}
	for i := range width {
		for j := range width {
			within(t, "moment", a[i*width+j], want.At(i, j), 1e-12)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(want, true) {
		t.Fatal("gonum fails")
	}
	var v mat.Dense
	e.VectorsTo(&v)
	values := e.Values(nil)
	axes, got, err := principal(ctx, a, width, k, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range k {
		within(t, "eigenvalue", got[i], values[width-1-i], 1e-12)
		dot := kernel.Dot(axes[i*width:][:width], mat.Col(nil, width-1-i, &v))
		within(t, "cosine of eigenvectors", math.Abs(dot), 1, 1e-6)
	}
}

// TestIndependent: two sources come out of their mixture, up to order and sign, with lighter tails than the normal's and with
// heavier ones.
func TestIndependent(t *testing.T) {
	const n = 3000
	for try := range uint64(6) {
		r := rand.New(rand.NewPCG(try, 1))
		name, draw := "uniform", func() float64 { return 2*r.Float64() - 1 }
		if try%2 == 1 {
			name, draw = "Laplace", func() float64 { return r.ExpFloat64() * float64(1-2*r.IntN(2)) }
		}
		var source, x []float64
		for range n {
			a, b := draw(), draw()
			source, x = append(source, a, b), append(x, 3*a+2*b, a-b, 1)
		}
		z, dims, err := reduce(ctx, x, 3, 3, true, 1, r)
		if err != nil || dims != 2 {
			t.Fatalf("%d dimensions with variance, want 2 (%v)", dims, err)
		}
		column := func(x []float64, k int) (c []float64) {
			for i := k; i < len(x); i += 2 {
				c = append(c, x[i])
			}
			return c
		}
		nearer := func(x []float64, k int) float64 {
			return max(math.Abs(correlation(column(x, k), column(source, 0))), math.Abs(correlation(column(x, k), column(source,
				1))))
		}
		s, err := independent(ctx, z, dims, r)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 2 {
			within(t, "variance after whitening", kernel.Dot(column(z, k), column(z, k))/n, 1, 1e-9)
			if best := nearer(s, k); best < 0.99 {
				t.Errorf("%s: component %d has correlation %v with the nearer source", name, k, best)
			}
			if most := nearer(z, k); most > 0.99 {
				t.Errorf("%s: whitening alone finds the sources: nothing was tested", name)
			}
		}
	}
}

// TestNeighbours compares with a search by brute force.
func TestNeighbours(t *testing.T) {
	const width, n, m, k = 3, 90, 1500, 7
	r := rand.New(rand.NewPCG(1, 1))
	reference := normals(r, m*width)
	for i := range reference {
		reference[i] = math.Round(4 * reference[i]) // many equal distances, without rounding
	}
	queries := reference[:n*width]
	for _, self := range []func(int) int{nil, func(i int) int { return i }} {
		got, err := neighbours(ctx, queries, reference, width, k, self, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			dist := func(j int) float64 { return math.Sqrt(squares(queries[i*width:][:width], reference[j*width:][:width])) }
			order := byScore(m, dist)
			if self != nil {
				order = slices.DeleteFunc(order, func(j int) bool { return j == i })
			}
			for c, x := range got[i] {
				if x.row != order[c] || x.distance != dist(order[c]) {
					t.Fatalf("neighbour %d of %d: %v, want row %d at %v", c, i, x, order[c], dist(order[c]))
				}
			}
		}
	}
}

// TestPercentile: linear interpolation, as numpy does it.
func TestPercentile(t *testing.T) {
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.7, 4.6}, {0.95, 9.1}, {1, 10}} {
		within(t, "percentile", percentile([]float64{10, 1, 2, 4}, c.q), c.want, 1e-12)
	}
	if v := percentile([]float64{1, math.Inf(1), math.Inf(1)}, 0.9); !math.IsInf(v, 1) {
		t.Errorf("of infinities: %v", v)
	}
}
