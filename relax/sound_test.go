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
			case prog.Curve:
				v[k][j] = exactCurve(nd.Fn, v[nd.Src][j])
			case prog.Product:
				v[k][j] = new(big.Rat).Mul(v[nd.Src][j], v[nd.Src2][j])
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

// wild draws a number of any magnitude up to 2^±spread with few or many bits.
func wild(r *rand.Rand, spread int) float64 {
	m := 1 + r.Float64()
	if r.IntN(2) == 0 {
		m = 1 + float64(r.IntN(4))/4
	}
	if r.IntN(2) == 0 {
		m = -m
	}
	return math.Ldexp(m, r.IntN(2*spread+1)-spread)
}

// cancellingNet draws a small network in which large terms cancel to their last bits: neighbouring weights are almost equal
// or opposite, and pre-activations also enter later layers directly.
func cancellingNet(r *rand.Rand, t *testing.T, spread int) *prog.Program {
	b := prog.NewBuilder(1 + r.IntN(4))
	matrix := func(m, n int) []float64 {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = wild(r, spread)
			if k := 1 + r.IntN(n); i >= k && r.IntN(2) == 0 {
				w[i] = -w[i-k] * (1 + float64(r.IntN(5)-2)*0x1p-51)
			}
		}
		return w
	}
	bias := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = wild(r, spread)
		}
		return v
	}
	cur := 0
	pre := []int{0}
	for range 1 + r.IntN(4) {
		m := 1 + r.IntN(4)
		terms := []prog.Term{{Src: cur, Map: prog.Dense(m, b.N(cur), matrix(m, b.N(cur)))}}
		for _, s := range pre {
			if r.IntN(3) == 0 {
				terms = append(terms, prog.Term{Src: s, Map: prog.Dense(m, b.N(s), matrix(m, b.N(s)))})
			}
		}
		z := b.Affine("", m, bias(m), 0, terms...)
		pre = append(pre, z)
		cur = b.Relu("", z)
	}
	if r.IntN(4) > 0 {
		z := pre[len(pre)-1] // |z| = 2·relu(z) − z and the like
		cur = b.Affine("", 2, bias(2), 0, prog.Term{Src: cur, Map: prog.Dense(2, b.N(cur), matrix(2, b.N(cur)))},
			prog.Term{Src: z, Map: prog.Dense(2, b.N(z), matrix(2, b.N(z)))})
	}
	return mustProgram(t, b, cur)
}

// TestBoundsAgainstExactValues compares every bound that the package can compute with exact values at corners and random
// points, without tolerance. Many boxes are points or a few units in the last place wide, so that rounding is all there is.
func TestBoundsAgainstExactValues(t *testing.T) {
	rounds := 1500
	if testing.Short() {
		rounds = 300
	}
	tight := 0
	for s := range uint64(rounds) {
		r := rand.New(rand.NewPCG(s, 5))
		p := cancellingNet(r, t, []int{0, 4, 20, 60}[r.IntN(4)])
		net := NewNet(p)
		box := wildBox(r, p.Nodes[0].N)
		var points [][][]*big.Rat
		for range 6 {
			points = append(points, exactEval(p, samplePoint(r, box)))
		}
		f := ibpFrame(net, box)
		check := func(what string, b *Bounds) {
			for _, v := range points {
				for k := range v {
					for j, y := range v[k] {
						if !below(b.L[k][j], y) || !below(-b.U[k][j], new(big.Rat).Neg(y)) {
							g, _ := y.Float64()
							t.Fatalf("seed %d %s: node %d (%v) element %d: %v outside [%v, %v]", s, what, k, p.Nodes[k].Kind, j, g, b.L[k][j], b.U[k][j])
						}
					}
				}
			}
		}
		check("ibp", f.B)
		pool := NewPool(net, 1)
		if s%2 == 0 {
			if !net.Forward(f) {
				t.Fatalf("seed %d: forward: empty", s)
			}
			check("forward", f.B)
		}
		if !net.Crown(context.Background(), pool, f, Tightening{Alpha: int(s % 4)}) {
			t.Fatalf("seed %d: crown: empty", s)
		}
		check("crown", f.B)
		f.S = net.NewScale(f.B)
		tight += rowsAgainstExact(t, r, net, f, points, s)
	}
	if tight < rounds/4 {
		t.Errorf("only %d bounds within 1e-9 of a value: the test has lost its grip", tight)
	}
}

func wildBox(r *rand.Rand, n int) Box {
	box := Box{make([]float64, n), make([]float64, n)}
	for i := range box.Lo {
		c := wild(r, 8)
		box.Lo[i], box.Hi[i] = c, c
		switch r.IntN(4) {
		case 0:
			box.Hi[i] = c + math.Abs(c)*r.Float64()
		case 1:
			for range r.IntN(4) {
				box.Hi[i] = up(box.Hi[i])
			}
		}
	}
	return box
}

// rowsAgainstExact bounds random objectives over the output, inner nodes and inputs, with ascent and with splits that hold at
// a point, and reports how many bounds are within rounding of a value.
func rowsAgainstExact(t *testing.T, r *rand.Rand, net *Net, f *Frame, points [][][]*big.Rat, s uint64) (tight int) {
	const R = 8
	p := net.P
	out := p.Nodes[p.Output].N
	coef, rhs, cx := make([][]float64, R), make([]float64, R), make([]float64, R)
	splits, beta, at := make([][]Split, R), make([][]float64, R), make([]int, R)
	for l := range R {
		coef[l] = make([]float64, out)
		for j := range coef[l] {
			coef[l][j] = wild(r, 3)
		}
		if r.IntN(2) == 0 {
			cx[l] = wild(r, 30)
		}
		if r.IntN(2) == 0 {
			rhs[l] = wild(r, 30)
		}
		at[l] = r.IntN(len(points))
		for k := range p.Nodes {
			if p.Nodes[k].Kind != prog.Relu || l%2 == 0 {
				continue
			}
			for j := range p.Nodes[k].N {
				if r.IntN(2) == 0 {
					continue
				}
				sign := int8(1)
				if z := points[at[l]][p.Nodes[k].Src][j]; z.Sign() < 0 {
					sign = -1
				}
				splits[l] = append(splits[l], Split{int32(k), int32(j), sign})
				beta[l] = append(beta[l], []float64{0, math.Abs(wild(r, 20))}[r.IntN(2)])
			}
		}
	}
	w := NewWorker(net)
	a := NewAscent(w, f, R)
	a.SetSplits(splits, beta)
	a.Run(f, p.Output, R, splits, func(w *Worker) {
		for l := range R {
			for j, c := range coef[l] {
				w.Seed(p.Output, j, l, c)
			}
			w.Seed(0, 0, l, cx[l])
			w.AddConst(l, -rhs[l])
		}
	}, Steps{N: 1 + r.IntN(4), RateA: 0.3, RateB: 0.5, Decay: 1})
	for l, lb := range a.Best {
		for i, v := range points {
			if l%2 == 1 && i != at[l] {
				continue // the splits were chosen to hold at one point
			}
			y := new(big.Rat).Sub(new(big.Rat).Mul(ratOf(cx[l]), v[0][0]), ratOf(rhs[l]))
			for j, c := range coef[l] {
				y.Add(y, new(big.Rat).Mul(ratOf(c), v[p.Output][j]))
			}
			g, _ := y.Float64()
			if !below(lb, y) {
				t.Fatalf("seed %d lane %d: bound %v, exact value %v at point %d, splits %v", s, l, lb, g, i, splits[l])
			}
			if math.Abs(g-lb) < 1e-9*math.Abs(g) {
				tight++
			}
		}
	}
	return tight
}

// bigSigma returns σ(z) to some 200 bits, |z| ≤ 800.
func bigSigma(z float64) *big.Float {
	const prec = 400
	x := new(big.Float).SetPrec(prec).SetFloat64(-z)
	x.SetMantExp(x, -20) // |x| < 2⁻¹⁰
	e, term := big.NewFloat(1).SetPrec(prec), big.NewFloat(1).SetPrec(prec)
	for i := range 40 {
		term.Mul(term, x).Quo(term, new(big.Float).SetInt64(int64(i+1)))
		e.Add(e, term)
	}
	for range 20 {
		e.Mul(e, e)
	}
	return e.Quo(big.NewFloat(1).SetPrec(prec), e.Add(e, big.NewFloat(1)))
}

// TestSigmoidAgainstExactValues checks enclosures and lines at the places where they touch the curve, without tolerance.
func TestSigmoidAgainstExactValues(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	exactly := func(v float64) *big.Float { return new(big.Float).SetPrec(400).SetFloat64(v) }
	line := func(k, t, z float64) *big.Float {
		v := new(big.Float).SetPrec(2400).Mul(exactly(k), exactly(z))
		return v.Add(v, exactly(t))
	}
	for i := range 4000 {
		l := r.NormFloat64() * math.Pow(10, 3*r.Float64()-2)
		w := math.Pow(10, 18*r.Float64()-16)
		l = min(max(l, -700), 700)
		u := min(l+w*(1+math.Abs(l)), 700)
		switch i % 5 {
		case 0:
			l, u = -math.Abs(l), math.Abs(l) // symmetric
		case 1:
			l, u = -math.Abs(l), 0
		case 2:
			u = math.Nextafter(l, 800)
		}
		kl, tl, ku, tu := sigmoidLines(l, u, []float64{0.5, r.Float64()}[i%2])
		zs := []float64{l, u, l + (u-l)/2, l + r.Float64()*(u-l)}
		for _, k := range []float64{kl, ku} { // where the curve's slope is the line's
			if k > 0 && k < 0.25 {
				q := math.Sqrt(1 - 4*k)
				p := math.Log((1 - q) / (1 + q))
				zs = append(zs, p, -p, math.Nextafter(p, 0), math.Nextafter(-p, 9))
			}
		}
		for _, z := range zs {
			z = min(max(z, l), u)
			s := bigSigma(z)
			lo, hi := sigmoidEnclosure(z)
			if exactly(lo).Cmp(s) > 0 || exactly(hi).Cmp(s) < 0 {
				t.Fatalf("σ(%v) = %v outside [%v, %v]", z, s, lo, hi)
			}
			if line(kl, tl, z).Cmp(s) > 0 || line(ku, tu, z).Cmp(s) < 0 {
				t.Fatalf("[%v,%v] at %v: σ = %v, lines %v and %v", l, u, z, s, line(kl, tl, z), line(ku, tu, z))
			}
			d0, d1 := sigmaSlopeRange(z)
			d := new(big.Float).Mul(s, bigSigma(-z))
			if exactly(d0).Cmp(d) > 0 || exactly(d1).Cmp(d) < 0 {
				t.Fatalf("σ'(%v) = %v outside [%v, %v]", z, d, d0, d1)
			}
		}
	}
}
