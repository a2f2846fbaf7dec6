package verifytest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/verifytest"
)

// bounds32 bounds the output and random rows of it in every way that the search has.
func bounds32(p *prog.Program, box relax.Box, rows [][]float64) (low, high, least []float64) {
	n := relax.NewNet(p)
	b := n.NewBounds()
	n.IBP(box, b)
	f := n.NewFrame(box, b, n.NewScale(b))
	pool := relax.NewPool(n, 1)
	n.Forward(f)
	n.Crown(context.Background(), pool, f, relax.Tightening{Alpha: 3})
	f = f.DropInactive(nil)
	w := pool.W[0]
	w.On(f.Net)
	w.Begin(8)
	for r, c := range rows {
		for j, v := range c {
			w.Seed(f.Net.P.Output, j, r, v)
			w.Charge(r, math.Abs(v)*max(math.Abs(f.B.L[f.Net.P.Output][j]), math.Abs(f.B.U[f.Net.P.Output][j])))
		}
	}
	w.Run(f, f.Net.P.Output)
	return f.B.L[f.Net.P.Output], f.B.U[f.Net.P.Output], append([]float64(nil), w.LB[:len(rows)]...)
}

// outside counts the outputs and rows of an execution that break their bounds.
func outside(y []float32, rows [][]float64, low, high, least []float64) (n int) {
	for j, v := range y {
		if float64(v) < low[j] || float64(v) > high[j] || math.IsNaN(float64(v)) {
			n++
		}
	}
	for r, c := range rows {
		sum := new(big.Rat)
		for j, v := range y {
			sum.Add(sum, new(big.Rat).Mul(exact.Rats([]float64{c[j]})[0], exact.Rats([]float64{float64(v)})[0]))
		}
		if !math.IsInf(least[r], -1) && sum.Cmp(exact.Rats(least[r : r+1])[0]) < 0 {
			n++
		}
	}
	return n
}

// TestBoundsHoldInBinary32 executes random networks in simulated binary32 arithmetics and compares with the bounds. The same
// executions have to break the bounds of real arithmetic often, else the test would see nothing.
func TestBoundsHoldInBinary32(t *testing.T) {
	nets, runs := 1500, 12
	if testing.Short() {
		nets = 400
	}
	r := rand.New(rand.NewPCG(32, 1))
	broken, bounded := 0, 0
	for k := range nets {
		g := verifytest.RandomGraph(r)
		full := lower(t, g.Lower32)
		real := lower(t, g.Lower)
		box, pick := randomBox32(r, g.NumInputs())
		if relax.NewNet(full).Overflows(box) {
			continue
		}
		rows := make([][]float64, 3)
		for i := range rows {
			for range g.NumOutputs() {
				rows[i] = append(rows[i], float64(r.IntN(5)-2))
			}
		}
		low, high, least := bounds32(prog.Simplify(full, nil), box, rows)
		rawLow, rawHigh, rawLeast := bounds32(full, box, rows)
		realLow, realHigh, realLeast := bounds32(prog.Simplify(real, nil), box, rows)
		for j, v := range low {
			if !math.IsInf(v, 0) && !math.IsInf(high[j], 0) {
				bounded++
			}
		}
		for range runs {
			a := verifytest.RandomArithmetic(r)
			y := a.Execute(g, pick())
			if outside(y, rows, low, high, least) > 0 || outside(y, rows, rawLow, rawHigh, rawLeast) > 0 {
				t.Fatalf("net %d: execution %+v gives %v, bounds [%v, %v] and [%v, %v], rows %v", k, *a, y, low, high, rawLow, rawHigh, least)
			}
			broken += min(outside(y, rows, realLow, realHigh, realLeast), 1)
		}
	}
	t.Logf("%d executions, %d of them outside the bounds of real arithmetic; %d outputs bounded", nets*runs, broken, bounded)
	if broken < nets*runs/20 || bounded < nets {
		t.Errorf("%d of %d executions outside the bounds of real arithmetic, %d outputs bounded: too little is seen", broken, nets*runs, bounded)
	}
}

// randomBox32 returns a box, mostly thin, with binary32 ends, and a function that draws points of it.
func randomBox32(r *rand.Rand, n int) (relax.Box, func() []float32) {
	box := relax.Box{Lo: make([]float64, n), Hi: make([]float64, n)}
	scale := []float64{1, 1, 1000, 1e-38}[r.IntN(4)]
	width := []float64{0, 0, 1e-6, 0.1, 1}[r.IntN(5)]
	for i := range box.Lo {
		c := r.NormFloat64() * scale
		box.Lo[i], box.Hi[i] = float64(float32(c-width*scale)), float64(float32(c+width*scale))
	}
	return box, func() []float32 {
		x := make([]float32, n)
		for i := range x {
			lo, hi := box.Lo[i], box.Hi[i]
			x[i] = float32(min(max(lo+(hi-lo)*[]float64{0, 1, r.Float64()}[r.IntN(3)], lo), hi))
			x[i] = min(max(x[i], float32(lo)), float32(hi))
		}
		return x
	}
}

func lower(t *testing.T, f func() (*prog.Program, error)) *prog.Program {
	t.Helper()
	p, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// steps builds a network of constants: each step is an operator and the numbers of its second operand, if any.
func steps(t *testing.T, inputs int, list ...step) *nn.Graph {
	t.Helper()
	d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, inputs}}}}
	cur := "x"
	for i, s := range list {
		c, out := fmt.Sprintf("c%d", i), fmt.Sprintf("v%d", i)
		in := []string{cur}
		if s.v != nil {
			in = append(in, c)
			d.Consts = append(d.Consts, nn.DraftConst{Name: c, Tensor: &op.Tensor{Type: op.Float32, Shape: s.shape, Data: s.v}})
		}
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Type: s.op, Opset: 13}, In: in, Out: []string{out}})
		cur = out
	}
	d.Outputs = []nn.DraftPort{{Name: cur}}
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

type step struct {
	op    string
	shape []int
	v     []float64
}

// normalised is a batch normalisation of one number.
func normalised(t *testing.T, params ...[]float64) *nn.Graph {
	t.Helper()
	d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, 1}}},
		Outputs: []nn.DraftPort{{Name: "y"}}}
	in := []string{"x"}
	for i, v := range params {
		in = append(in, fmt.Sprint("c", i))
		d.Consts = append(d.Consts, nn.DraftConst{Name: in[i+1], Tensor: &op.Tensor{Type: op.Float32, Shape: []int{1}, Data: v}})
	}
	attrs := map[string]op.Attr{"epsilon": {F: 0x1p-10}}
	d.Nodes = []nn.DraftNode{{Node: op.Node{Type: "BatchNormalization", Opset: 13, Attrs: attrs}, In: in, Out: []string{"y"}}}
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestErrorIsNeeded holds executions that come close to the error terms against bounds, whole and with a part of the terms taken
// away, which the executions have to break.
func TestErrorIsNeeded(t *testing.T) {
	const n = 64
	ones, x, tiny := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range ones {
		ones[i], x[i], tiny[i] = 1, 0x1.fffffcp-25, 0x1.8p-127
	}
	x[0] = 1 + 0x1p-23 // every further summand is a little less than half a unit in its last place
	left := &verifytest.Arithmetic{Rand: rand.New(rand.NewPCG(1, 1))}
	flushing := &verifytest.Arithmetic{Rand: rand.New(rand.NewPCG(1, 1)), Flush: true}
	many := make([]step, 40)
	for i := range many {
		many[i] = step{"Add", []int{1, 1}, x[1:2]}
	}
	none := func(n *prog.Node) { n.Rounding = prog.Rounding{} }
	one := []float64{1}
	halve := func(n *prog.Node) { n.Rounding.Steps /= 2 }
	for _, c := range []struct {
		name string
		g    *nn.Graph
		x    []float64
		a    *verifytest.Arithmetic
		cut  func(n *prog.Node)
	}{
		{"half the steps", steps(t, n, step{"MatMul", []int{n, 1}, ones}), x, left, halve},
		{"half the steps of a folded addition",
			steps(t, n, step{"MatMul", []int{n, 1}, ones}, step{"Add", []int{1, 1}, []float64{0}}), x, left, halve},
		{"no steps", steps(t, n, step{"MatMul", []int{n, 1}, ones}), x, left, none},
		{"many additions", steps(t, 1, many...), x[:1], left, func(n *prog.Node) { n.Rounding.Steps /= 6 }},
		{"flushed before a large weight", steps(t, 2, step{"Mul", []int{1, 2}, []float64{0x1p-100, 0x1p-100}},
			step{"MatMul", []int{2, 1}, []float64{0x1p90, 0x1p90}}), []float64{0x1p-30, 0x1p-30}, flushing, none},
		{"a flushed weight of a large number", steps(t, 2, step{"Add", []int{1, 2}, []float64{0x1p90, 0x1p90}},
			step{"MatMul", []int{2, 1}, []float64{0x1p-130, 0x1p-130}}), []float64{0.5, 0.5}, flushing, none},
		{"batch normalisation", normalised(t, one, []float64{0.25}, []float64{100}, one),
			[]float64{float64(float32(100.3))}, left, none},
		{"constants that cancel",
			steps(t, 1, step{"Add", []int{1, 1}, []float64{1 << 20}}, step{"Add", []int{1, 1}, []float64{-1 << 20}}),
			[]float64{float64(float32(0.3))}, left, func(n *prog.Node) { n.Rounding.BiasMag = nil }},
		{"flushes", steps(t, n, step{"MatMul", []int{n, 1}, ones}), tiny, flushing, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := make([]float32, len(c.x))
			for i, v := range c.x {
				in[i] = float32(v)
			}
			p := prog.Simplify(lower(t, c.g.Lower32), nil)
			box := relax.Box{Lo: c.x, Hi: c.x}
			rows := [][]float64{{1}, {-1}}
			low, high, least := bounds32(p, box, rows)
			var all [][]float32
			for range 20 {
				y := c.a.Execute(c.g, in)
				if outside(y, rows, low, high, least) > 0 {
					t.Fatalf("%v outside [%v, %v] or below %v", y, low, high, least)
				}
				all = append(all, y)
			}
			for k := range p.Nodes {
				c.cut(&p.Nodes[k])
			}
			low, high, least = bounds32(p, box, rows)
			for _, y := range all {
				if outside(y, rows, low, high, least) == 2 {
					return
				}
			}
			t.Errorf("%v within [%v, %v] and above %v without the terms", all, low, high, least)
		})
	}
}

// TestUnknownRoundings refuses what has no declared rounding.
func TestUnknownRoundings(t *testing.T) {
	for name, g := range map[string]*nn.Graph{
		"constant of more bits": steps(t, 1, step{"Add", []int{1, 1}, []float64{0.1}}),
		"tiny denominator":      steps(t, 1, step{"Div", []int{1, 1}, []float64{0x1p-130}}),
		"power":                 steps(t, 1, step{"Pow", []int{1, 1}, []float64{2}}),
	} {
		var u *nn.UnsupportedError
		if _, err := g.Lower32(); !errors.As(err, &u) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := g.Lower(); err != nil {
			t.Errorf("%s in real arithmetic: %v", name, err)
		}
	}
}
