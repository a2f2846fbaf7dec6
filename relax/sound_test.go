package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// The tests of this file look for a bound on the wrong side of the exact value, in rational arithmetic and without any
// tolerance, where rounding, underflow and overflow matter.

// ratOf converts a finite float64 exactly.
func ratOf(v float64) *big.Rat { return new(big.Rat).SetFloat64(v) }

// exactEval returns every node of a program without Sigmoid nodes at x.
func exactEval(p *prog.Program, x []float64) [][]*big.Rat {
	v := make([][]*big.Rat, len(p.Nodes))
	for k := range p.Nodes {
		nd := &p.Nodes[k]
		v[k] = make([]*big.Rat, nd.N)
		for j := range v[k] {
			switch nd.Kind {
			case prog.Input:
				v[k][j] = ratOf(x[j])
			case prog.Affine:
				v[k][j] = new(big.Rat)
				if nd.Bias != nil {
					v[k][j] = ratOf(nd.Bias[j])
				}
			case prog.Relu:
				v[k][j] = new(big.Rat)
				if s := v[nd.Src][j]; s.Sign() > 0 {
					v[k][j] = s
				}
			}
		}
		for _, t := range nd.Terms {
			t.Map.Each(func(i, j int, w float64) {
				v[k][i] = new(big.Rat).Add(v[k][i], new(big.Rat).Mul(ratOf(w), v[t.Src][j]))
			})
		}
	}
	return v
}

// below reports whether the claim lb ≤ v holds.
func below(lb float64, v *big.Rat) bool {
	if math.IsInf(lb, 0) {
		return lb < 0
	}
	return !math.IsNaN(lb) && ratOf(lb).Cmp(v) <= 0
}

func mustProgram(t *testing.T, b *prog.Builder, out int) *prog.Program {
	t.Helper()
	p, err := b.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fill(n int, v float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = v
	}
	return x
}

// ibpFrame is the frame of interval bounds over box.
func ibpFrame(n *Net, box Box) *Frame {
	b := n.NewBounds()
	n.IBP(box, b)
	return n.NewFrame(box, b, n.NewScale(b))
}

// TestRoundingOfInputRows bounds Σ X·x over 4000 inputs where every addition after the first loses just under half a unit:
// the input term is a sum of twice as many numbers as there are inputs, and a row over inputs alone has no other charge.
func TestRoundingOfInputRows(t *testing.T) {
	const n = 4000
	b := prog.NewBuilder(n)
	p := mustProgram(t, b, 0)
	net := NewNet(p)
	const d = 0.49 * 0x1p-52
	box := Box{fill(n, -2*d), fill(n, 0)}
	box.Lo[0], box.Hi[0] = 1+0x1p-50, 1+0x1p-50
	f := ibpFrame(net, box)
	w := NewWorker(net)
	w.Begin(8)
	want := new(big.Rat)
	for i := range n {
		w.Seed(0, i, 0, 1)
		want.Add(want, ratOf(box.Lo[i]))
	}
	w.Run(f, 0)
	if !below(w.LB[0], want) {
		v, _ := want.Float64()
		t.Errorf("bound %v, exact minimum %v: too high by %v", w.LB[0], v, w.LB[0]-v)
	}
}

// TestUnderflowOfCoefficients has coefficients among the subnormal numbers in front of huge values.
func TestUnderflowOfCoefficients(t *testing.T) {
	b := prog.NewBuilder(1)
	z := b.Relu("", b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, 1, []float64{1e300})}))
	y := b.Relu("", b.Affine("", 1, nil, 0, prog.Term{Src: z, Map: prog.Dense(1, 1, []float64{3e-162})}))
	p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: y, Map: prog.Dense(1, 1, []float64{3e-162})}))
	net := NewNet(p)
	box := Box{[]float64{1}, []float64{1 + 0x1p-52}}
	f := ibpFrame(net, box)
	if !net.Crown(context.Background(), NewPool(net, 1), f, Tightening{}) {
		t.Fatal("empty")
	}
	w := NewWorker(net)
	w.Begin(8)
	w.Seed(p.Output, 0, 0, 1)
	w.Seed(p.Output, 0, 1, -1)
	w.Run(f, p.Output)
	v := exactEval(p, box.Lo)[p.Output][0]
	if !below(w.LB[0], v) || !below(w.LB[1], new(big.Rat).Neg(v)) {
		g, _ := v.Float64()
		t.Errorf("bounds [%v, %v], exact value %v", w.LB[0], -w.LB[1], g)
	}
}

// TestOverflowIsNotDeath has a pre-activation whose interval bounds are NaN (∞ − ∞): its ReLU must not count as stably
// inactive.
func TestOverflowIsNotDeath(t *testing.T) {
	build := func() *prog.Program {
		b := prog.NewBuilder(2)
		h := b.Affine("", 2, nil, 0, prog.Term{Src: 0, Map: prog.Dense(2, 2, []float64{1e308, 0, 1e307, 1e308})})
		z := b.Affine("", 1, nil, 0, prog.Term{Src: h, Map: prog.Dense(1, 2, []float64{0.5, -0.25})})
		return mustProgram(t, b, b.Relu("", z))
	}
	box := Box{fill(2, -1), fill(2, 1)}
	bound := func(t *testing.T, p *prog.Program, f *Frame) {
		w := NewWorker(f.Net)
		w.Begin(8)
		w.Seed(p.Output, 0, 0, -1)
		w.Run(f, p.Output)
		x := []float64{1, -1}
		if v := exactEval(p, x)[p.Output][0]; !below(w.LB[0], v.Neg(v)) {
			g, _ := v.Float64()
			t.Errorf("−y ≥ %v, but at %v it is %v", w.LB[0], x, g)
		}
	}
	for _, mode := range []string{"crown", "forward"} {
		t.Run(mode, func(t *testing.T) {
			p := build()
			net := NewNet(p)
			f := ibpFrame(net, box)
			ok := true
			if mode == "crown" {
				ok = net.Crown(context.Background(), NewPool(net, 1), f, Tightening{})
			} else {
				ok = net.Forward(f)
			}
			if !ok {
				t.Fatal("a box with points counts as empty")
			}
			bound(t, p, f)
		})
	}
}

// TestOverflowOfCoefficients has values of moderate size and coefficients beyond the range of float64, in a sub-box of a root
// whose scale is finite: a bound of NaN must not turn a neuron off.
func TestOverflowOfCoefficients(t *testing.T) {
	// h = relu(1e60·x + 1e160·y), z = 0.9e220 − 1e160·h with y = 1e-100 fixed: ∂z/∂y is beyond float64, its effect is not.
	b := prog.NewBuilder(2)
	h := b.Relu("", b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, 2, []float64{1e60, 1e160})}))
	z := b.Affine("", 1, []float64{0.9e220}, 0, prog.Term{Src: h, Map: prog.Dense(1, 1, []float64{-1e160})})
	p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: b.Relu("", z), Map: prog.Dense(1, 1, []float64{1})}))
	net := NewNet(p)
	pool := NewPool(net, 1)
	f0 := ibpFrame(net, Box{[]float64{-3, 1e-100}, []float64{0.5, 1e-100}})
	if !net.Crown(context.Background(), pool, f0, Tightening{}) {
		t.Fatal("the root counts as empty")
	}
	box := Box{[]float64{-0.5, 1e-100}, []float64{0.5, 1e-100}}
	bb := net.NewBounds()
	bb.Copy(f0.B)
	f := net.NewFrame(box.Clone(), bb, net.NewScale(f0.B))
	f.SetBox()
	if !net.Crown(context.Background(), pool, f, Tightening{}) {
		t.Fatal("a box with points counts as empty")
	}
	for k := range f.B.L {
		for j := range f.B.L[k] {
			if math.IsNaN(f.B.L[k][j]) || math.IsNaN(f.B.U[k][j]) {
				t.Errorf("node %d element %d: bounds [%v, %v]", k, j, f.B.L[k][j], f.B.U[k][j])
			}
		}
	}
	w := NewWorker(net)
	w.Begin(8)
	w.Seed(p.Output, 0, 0, -1)
	w.Run(f, p.Output)
	if v := exactEval(p, box.Lo)[p.Output][0]; !below(w.LB[0], v.Neg(v)) {
		g, _ := v.Float64()
		t.Errorf("−y ≥ %v, but at %v it is %v", w.LB[0], box.Lo, g)
	}
}

// TestActivationOfTheInput bounds relu(x) − x/2 over [0, 1] as a sub-box of [−1, 1]: the relaxation must follow the box.
func TestActivationOfTheInput(t *testing.T) {
	b := prog.NewBuilder(1)
	r := b.Relu("", 0)
	p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: r, Map: prog.Dense(1, 1, []float64{1})},
		prog.Term{Src: 0, Map: prog.Dense(1, 1, []float64{-0.5})}))
	net := NewNet(p)
	f := ibpFrame(net, Box{[]float64{-1}, []float64{1}})
	f.Box.Lo[0] = 0
	f.SetBox()
	if !net.Crown(context.Background(), NewPool(net, 1), f, Tightening{}) {
		t.Fatal("empty")
	}
	w := NewWorker(net)
	w.Begin(8)
	w.Seed(p.Output, 0, 0, 1)
	w.Run(f, p.Output)
	if !(w.LB[0] > -1e-9 && w.LB[0] <= 0) {
		t.Errorf("bound %v of a function with minimum 0 that is linear on the box", w.LB[0])
	}
}

// TestStoppedPassHasNoForm asks for the linear form of a pass that was abandoned before it reached the input.
func TestStoppedPassHasNoForm(t *testing.T) {
	p := randomNet(rand.New(rand.NewPCG(1, 1)), 3, []int{4, 4}, false)
	net := NewNet(p)
	f := ibpFrame(net, Box{fill(3, -1), fill(3, 1)})
	w := NewWorker(net)
	w.Begin(64)
	w.Seed(p.Output, 0, 0, 1)
	w.Stop = func() bool { return true }
	w.Run(f, p.Output)
	if !math.IsInf(w.LB[0], -1) {
		t.Fatalf("bound %v of a stopped pass", w.LB[0])
	}
	c := w.LinearForm(63, make([]float64, 3))
	if !math.IsInf(c, -1) {
		t.Errorf("the form of a stopped pass has constant %v", c)
	}
}
