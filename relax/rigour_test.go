package relax

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
)

// What rigour costs: the same backward passes with their error terms and without. The passes without are here, not in the package, so
// that nothing that bounds can leave them out. A pass without does everything else: bias sums, relaxations, the products with the
// maps, the least value over the box.

// heNet draws layers of the given widths with weights as before training (He et al. 2015).
func heNet(r *rand.Rand, in int, widths ...int) *prog.Program {
	b := prog.NewBuilder(in)
	cur, n := 0, in
	for i, m := range widths {
		cur = b.Affine("", m, normal(r, m, 0.05), 0, prog.Term{Src: cur, Map: prog.Dense(m, n, normal(r, m*n, math.Sqrt(2/float64(n))))})
		if n = m; i < len(widths)-1 {
			cur = b.Relu("", cur)
		}
	}
	p, err := b.Program(cur)
	if err != nil {
		panic(err)
	}
	return p
}

// heConvNet draws a network for 32×32 pictures of three colours: two convolutions with stride 2, two dense layers.
func heConvNet(r *rand.Rand) *prog.Program {
	b := prog.NewBuilder(3 * 32 * 32)
	cur, c, side := 0, 3, 32
	for _, m := range []int{16, 32} {
		g := prog.ConvGeom{C: c, H: side, W: side, M: m, KH: 4, KW: 4, Group: 1, StrideH: 2, StrideW: 2, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1}
		c, side = m, side/2
		cur = b.Relu("", b.Affine("", c*side*side, normal(r, c*side*side, 0.05), 0,
			prog.Term{Src: cur, Map: prog.Conv(g, normal(r, m*g.C*16, math.Sqrt(2/float64(g.C*16))))}))
	}
	n := c * side * side
	cur = b.Relu("", b.Affine("", 100, normal(r, 100, 0.05), 0, prog.Term{Src: cur, Map: prog.Dense(100, n, normal(r, 100*n, math.Sqrt(2/float64(n))))}))
	p, err := b.Program(b.Affine("", 10, normal(r, 10, 0.05), 0, prog.Term{Src: cur, Map: prog.Dense(10, 100, normal(r, 1000, 0.1))}))
	if err != nil {
		panic(err)
	}
	return p
}

func normal(r *rand.Rand, n int, scale float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(r.NormFloat64() * scale))
	}
	return v
}

func firstRows(n int) []int32 {
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

// rigourCases are the passes of a dense network with four layers of 256, of a convolutional one, and of what is left of a network of
// the size of ACAS Xu's on a small box; of that also everything that bounding a box takes.
var rigourCases = []struct {
	name string
	make func() *rigourCase
}{
	{"dense", func() *rigourCase {
		r := rand.New(rand.NewPCG(1, 256))
		return rootPasses(heNet(r, 784, 256, 256, 256, 256, 10), r, 0.005)
	}},
	{"conv", func() *rigourCase {
		r := rand.New(rand.NewPCG(2, 256))
		return rootPasses(heConvNet(r), r, 0.01)
	}},
	{"reduced", func() *rigourCase {
		w, _, _, _, _ := reducedCell()
		return cellPasses(w)
	}},
	{"reduced-box", func() *rigourCase { return boxBounds(reducedCell()) }},
}

func around(r *rand.Rand, n int, eps float64) Box {
	box := Box{make([]float64, n), make([]float64, n)}
	for i := range n {
		x := r.Float64() - 0.5
		box.Lo[i], box.Hi[i] = x-eps, x+eps
	}
	return box
}

// rootPasses bounds a box around a random point and returns the passes on it.
func rootPasses(p *prog.Program, r *rand.Rand, eps float64) *rigourCase {
	n := NewNet(p)
	f := ibpFrame(n, around(r, p.Nodes[0].N, eps))
	n.Crown(context.Background(), NewPool(n, 1), f, Tightening{})
	f.SetScale(n.NewScale(f.B))
	return framePasses(n, f)
}

// TestRigourComparesEquals: the passes without error terms compute what those with them do before these are subtracted.
func TestRigourComparesEquals(t *testing.T) {
	for _, c := range rigourCases {
		apart := 0
		x, y, e := c.make().bounds()
		if len(x) < 30 || len(x) != len(y) || len(x) != len(e) {
			t.Fatalf("%s: %d, %d and %d bounds", c.name, len(x), len(y), len(e))
		}
		for i := range x {
			// both sums err by at most e; the rigorous one is e lower and then rounded down
			if d := y[i] - x[i]; !(d >= 0 && d <= 3*e[i]) || !(e[i] < 1e-6*(1+math.Abs(x[i]))) {
				t.Fatalf("%s, bound %d: %v with an error term of %v, %v without: the difference is %v", c.name, i, x[i], e[i], y[i], d)
			} else if d > 0 {
				apart++
			}
		}
		if apart < len(x)/2 {
			t.Errorf("%s: error terms make a difference to %d of %d bounds", c.name, apart, len(x))
		}
	}
}

// BenchmarkRigour reports what error terms cost: the time of a set of backward passes with them (ns/op), without (plain-ns/op), and
// their share of the former in percent. Times are sums over the passes of medians over the repetitions, those of shares medians of
// differences. The two ways alternate, and now the one and now the other comes first, so that what else runs on the machine meets both.
func BenchmarkRigour(b *testing.B) {
	for _, c := range rigourCases {
		b.Run(c.name, func(b *testing.B) {
			m := c.make()
			with, without, terms := make([][]float64, m.steps), make([][]float64, m.steps), make([][]float64, m.steps)
			for b.Loop() {
				for i := range m.steps {
					var x, y float64
					if len(with[i])%2 == 0 {
						x, y = timed(m.rigorous, i), timed(m.plain, i)
					} else {
						y, x = timed(m.plain, i), timed(m.rigorous, i)
					}
					with[i], without[i], terms[i] = append(with[i], x), append(without[i], y), append(terms[i], x-y)
				}
			}
			x := medians(with)
			b.ReportMetric(x, "ns/op")
			b.ReportMetric(medians(without), "plain-ns/op")
			b.ReportMetric(100*medians(terms)/x, "%rigour")
		})
	}
}

// timed returns the nanoseconds that a step takes.
func timed(f func(int), step int) float64 {
	start := time.Now()
	f(step)
	return float64(time.Since(start))
}

// medians sorts each list and returns the sum of their middles.
func medians(x [][]float64) (sum float64) {
	for _, v := range x {
		slices.Sort(v)
		sum += v[len(v)/2]
	}
	return sum
}
