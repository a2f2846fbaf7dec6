package relax

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// convNet draws a residual convolutional network with a strided layer, and the same function on dense maps.
func convNet(r *rand.Rand) (conv, dense *prog.Program) {
	build := func(wrap func(prog.Linear) prog.Linear, r *rand.Rand) *prog.Program {
		const c, h = 2, 7
		b := prog.NewBuilder(c * h * h)
		rnd := func(n int, s float64) []float64 {
			v := make([]float64, n)
			for i := range v {
				v[i] = float64(float32(s * r.NormFloat64()))
			}
			return v
		}
		layer := func(src int, g prog.ConvGeom, extra ...prog.Term) int {
			oh, ow := g.OutHW()
			n := g.M * oh * ow
			m := prog.Conv(g, rnd(g.M*g.C*g.KH*g.KW, 0.4))
			return b.Affine("", n, rnd(n, 0.2), 0, append([]prog.Term{{Src: src, Map: wrap(m)}}, extra...)...)
		}
		g := prog.ConvGeom{C: c, H: h, W: h, M: 3, KH: 3, KW: 3, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1}
		// a permutation of the input, as a change of layout makes it: a map that knows no windows below ones that do
		perm := make([]int32, c*h*h)
		for i, j := range r.Perm(len(perm)) {
			perm[i] = int32(j)
		}
		x0 := b.Affine("", len(perm), nil, 0, prog.Term{Src: 0, Map: wrap(prog.Index(len(perm), perm))})
		x1 := b.Relu("", layer(x0, g))
		g.C = 3
		x2 := b.Relu("", layer(x1, g, prog.Term{Src: x1, Map: wrap(prog.Identity(3 * h * h))}))
		g.StrideH, g.StrideW, g.M = 2, 2, 2
		x3 := b.Relu("", layer(x2, g))
		n := b.N(x3)
		x4 := b.Relu("", b.Affine("", 5, rnd(5, 0.1), 0, prog.Term{Src: x3, Map: prog.Dense(5, n, rnd(5*n, 0.2))}))
		p, err := b.Program(b.Affine("", 2, nil, 0, prog.Term{Src: x4, Map: prog.Dense(2, 5, rnd(10, 1))}))
		if err != nil {
			panic(err)
		}
		return p
	}
	toDense := func(l prog.Linear) prog.Linear {
		m, n := l.Dims()
		w := make([]float64, m*n)
		l.Each(func(i, j int, v float64) { w[i*n+j] += v })
		return prog.Dense(m, n, w)
	}
	s1, s2 := r.Uint64(), r.Uint64()
	conv = build(func(l prog.Linear) prog.Linear { return l }, rand.New(rand.NewPCG(s1, s2)))
	dense = build(toDense, rand.New(rand.NewPCG(s1, s2)))
	return conv, dense
}

// TestWindowsChangeNothing compares bounds computed through receptive-field windows with those of the same network on dense
// maps, plain and with ascent, and checks both against samples.
func TestWindowsChangeNothing(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		conv, dense := convNet(r)
		box := Box{make([]float64, conv.Nodes[0].N), make([]float64, conv.Nodes[0].N)}
		for i := range box.Lo {
			c := r.NormFloat64()
			box.Lo[i], box.Hi[i] = c-0.15, c+0.15
		}
		var got [2]*Bounds
		windowed := false
		for v, p := range []*prog.Program{conv, dense} {
			n := NewNet(p)
			b := n.NewBounds()
			n.IBP(box, b)
			f := n.NewFrame(box, b, n.NewScale(b))
			pool := NewPool(n, 2)
			if !n.Crown(context.Background(), pool, f, Tightening{Alpha: int(seed%2) * 5, Lanes: 16}) {
				t.Fatal("empty")
			}
			inBounds(t, r, p, box, b, "crown")
			got[v] = b
			if v == 0 {
				w := pool.W[0]
				w.Begin(8)
				w.PlanWindows(n.Pre[2], []int32{0})
				windowed = !w.win[2].IsAll()
			}
		}
		if !windowed {
			t.Fatal("the test network does not use windows")
		}
		for k := range got[0].L {
			for j := range got[0].L[k] {
				if d := math.Abs(got[0].L[k][j] - got[1].L[k][j]); d > 1e-9 {
					t.Fatalf("seed %d node %d element %d: lower %v and %v", seed, k, j, got[0].L[k][j], got[1].L[k][j])
				}
				if d := math.Abs(got[0].U[k][j] - got[1].U[k][j]); d > 1e-9 {
					t.Fatalf("seed %d node %d element %d: upper %v and %v", seed, k, j, got[0].U[k][j], got[1].U[k][j])
				}
			}
		}
	}
}
