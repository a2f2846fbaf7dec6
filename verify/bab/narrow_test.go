package bab

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// descend returns the least output that descents over the corners of the box find, one coordinate at a time.
func descend(r *rand.Rand, p *prog.Program, box relax.Box) float64 {
	least := math.Inf(1)
	x := make([]float64, len(box.Lo))
	for range 20 {
		for i := range x {
			x[i] = []float64{box.Lo[i], box.Hi[i]}[r.IntN(2)]
		}
		best := p.Eval(x, 1, nil)[p.Output][0]
		for at := 0; at < len(x); at++ {
			old := x[at]
			x[at] = box.Lo[at] + box.Hi[at] - old
			if y := p.Eval(x, 1, nil)[p.Output][0]; y < best {
				best, at = y, -1
			} else {
				x[at] = old
			}
		}
		least = min(least, best)
	}
	return least
}

// sigmoidQuery asks whether the output of a random network of sigmoids can be at most the least value that descents reach, plus shift.
func sigmoidQuery(seed uint64, wide, shift float64) (*Query, *relax.Frame) {
	r := rand.New(rand.NewPCG(seed, 41))
	b := prog.NewBuilder(12)
	widths := []int{12, 10, 10, 8, 1}
	x := 0
	for i := 1; i < len(widths); i++ {
		m, n := widths[i], widths[i-1]
		w, c := make([]float64, m*n), make([]float64, m)
		for j := range w {
			w[j] = float64(float32(r.NormFloat64() * 3 / math.Sqrt(float64(n))))
		}
		for j := range c {
			c[j] = float64(float32(r.NormFloat64()))
		}
		x = b.Affine("", m, c, 0, prog.Term{Src: x, Map: prog.Dense(m, n, w)})
		if i < len(widths)-1 {
			x = b.Sigmoid("", x)
		}
	}
	p, err := b.Program(x)
	if err != nil {
		panic(err)
	}
	box := relax.Box{Lo: make([]float64, 12), Hi: make([]float64, 12)}
	for i := range box.Lo {
		c := float64(float32(r.NormFloat64()))
		box.Lo[i], box.Hi[i] = c-wide, c+wide
	}
	v := descend(r, p, box) + shift
	row := spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: v, RHSUpper: v}
	net := relax.NewNet(p)
	bd := net.NewBounds()
	net.IBP(box, bd)
	f := net.NewFrame(box, bd, net.NewScale(bd))
	return &Query{Net: net, Box: box, Cases: []spec.Case{{Rows: []spec.Row{row}}}}, f
}

// TestNarrowKeepsCounterexamples asks for values that a descent reached: no bound may close such a query.
func TestNarrowKeepsCounterexamples(t *testing.T) {
	for seed := range seeds(15, 40) {
		q, f := sigmoidQuery(seed, 0.5, 1e-9)
		pool := relax.NewPool(q.Net, 2)
		q.Net.Crown(context.Background(), pool, f, relax.Tightening{Alpha: 8})
		if out := ReluSplit(context.Background(), q, f, []int32{0}, &Config{Pool: pool}); out.Status != Open {
			t.Fatalf("seed %d: status %v although an input satisfies the row", seed, out.Status)
		}
	}
}

// TestNarrowClosesMore asks for values somewhat below what descents reach. Bounds for the whole box leave some of these queries open that
// bounds under the row close.
func TestNarrowClosesMore(t *testing.T) {
	plain, narrowed := 0, 0
	for seed := range seeds(15, 40) {
		q, f := sigmoidQuery(seed, 0.6, -0.3)
		pool := relax.NewPool(q.Net, 1)
		q.Net.Crown(context.Background(), pool, f, relax.Tightening{Alpha: 12})
		s := &reluSearch{q: q, root: f, cfg: &Config{Pool: pool}, steps: 12, cands: 6, out: &Outcome{}}
		b := &reluBranch{lb: math.Inf(-1), at: s.root}
		res := s.ascend(context.Background(), pool.W[0], []*reluBranch{b}, relax.Steps{N: 200, RateA: 0.25, Decay: 0.99})
		if res[0].closed {
			plain++
		}
		if out := ReluSplit(context.Background(), q, f, []int32{0}, &Config{Pool: pool}); out.Status == Closed {
			narrowed++
		}
	}
	t.Logf("closed: %d by bounds of the box, %d with narrowing", plain, narrowed)
	if narrowed <= plain {
		t.Errorf("narrowing closed %d queries, bounds of the box %d", narrowed, plain)
	}
}

// TestNarrowWorkersDoNotMatter compares whole outcomes for one and three workers.
func TestNarrowWorkersDoNotMatter(t *testing.T) {
	for seed := range seeds(5, 15) {
		var want *Outcome
		for _, workers := range []int{1, 3} {
			q, f := sigmoidQuery(seed, 0.8, -0.1)
			pool := relax.NewPool(q.Net, workers)
			q.Net.Crown(context.Background(), pool, f, relax.Tightening{Alpha: 5})
			out := ReluSplit(context.Background(), q, f, []int32{0}, &Config{Pool: pool})
			if want == nil {
				want = out
			} else if out.Status != want.Status || out.Branches != want.Branches || out.Bound != want.Bound {
				t.Errorf("seed %d: %v %d %v with one worker, %v %d %v with three", seed, want.Status, want.Branches, want.Bound, out.Status, out.Branches, out.Bound)
			}
		}
	}
}
