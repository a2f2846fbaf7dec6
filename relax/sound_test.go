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

// randomConvNet draws a network of convolutions and transposed convolutions of any geometry (groups, strides, dilations,
// uneven pads), residual sums of equal pictures, permutations, pictures of another layout of the same length, and scalings.
// With toDense every map is stored densely: the same function without windows.
func randomConvNet(r *rand.Rand, t *testing.T, toDense bool) *prog.Program {
	type picture struct{ node, c, h, w int }
	cur := picture{0, 2 * (1 + r.IntN(2)), 3 + r.IntN(4), 3 + r.IntN(4)}
	b := prog.NewBuilder(cur.c * cur.h * cur.w)
	wrap := func(l prog.Linear) prog.Linear {
		if !toDense {
			return l
		}
		m, n := l.Dims()
		w := make([]float64, m*n)
		l.Each(func(i, j int, v float64) { w[i*n+j] += v })
		return prog.Dense(m, n, w)
	}
	dyadic := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(r.IntN(33)-16) / 32
		}
		return v
	}
	conv := func(transpose bool) {
		g := prog.ConvGeom{C: cur.c, H: cur.h, W: cur.w, M: 2 * (1 + r.IntN(2)), KH: 1 + r.IntN(3), KW: 1 + r.IntN(3), Group: 1 + r.IntN(2),
			StrideH: 1 + r.IntN(2), StrideW: 1 + r.IntN(2), DilH: 1 + r.IntN(2), DilW: 1 + r.IntN(2),
			PadT: r.IntN(3), PadL: r.IntN(3), PadB: r.IntN(3), PadR: r.IntN(3)}
		next := picture{c: g.M}
		if transpose { // cur is the output side of g
			g.C, g.M = g.M, g.C
			next.c = g.C
			g.H = max((cur.h-1)*g.StrideH+g.DilH*(g.KH-1)+1-g.PadT-g.PadB+r.IntN(g.StrideH), 1)
			g.W = max((cur.w-1)*g.StrideW+g.DilW*(g.KW-1)+1-g.PadL-g.PadR+r.IntN(g.StrideW), 1)
			next.h, next.w = g.H, g.W
		} else {
			next.h, next.w = g.OutHW()
		}
		oh, ow := g.OutHW()
		if oh < 1 || ow < 1 || g.H+g.PadT+g.PadB < g.DilH*(g.KH-1)+1 || g.W+g.PadL+g.PadR < g.DilW*(g.KW-1)+1 ||
			transpose && (oh != cur.h || ow != cur.w) || next.h*next.w > 64 {
			return
		}
		m := prog.Conv(g, dyadic(g.M*(g.C/g.Group)*g.KH*g.KW))
		if transpose {
			m = prog.Transpose(m)
		}
		n := next.c * next.h * next.w
		terms := []prog.Term{{Src: cur.node, Map: wrap(m)}}
		if n == b.N(cur.node) && r.IntN(2) == 0 {
			terms = append(terms, prog.Term{Src: cur.node, Map: wrap([]func() prog.Linear{
				func() prog.Linear { return prog.Identity(n) },
				func() prog.Linear { return prog.Diag(dyadic(n)) },
				func() prog.Linear { return prog.Index(n, permutation(r, n)) },
			}[r.IntN(3)]())})
		}
		for back := cur.node - 1; back >= 0; back-- { // an older node of the same length, whatever its layout
			if b.N(back) == n && r.IntN(3) == 0 {
				terms = append(terms, prog.Term{Src: back, Map: wrap(prog.Identity(n))})
				break
			}
		}
		next.node = b.Affine("", n, dyadic(n), 0, terms...)
		cur = next
	}
	for range 2 + r.IntN(3) {
		conv(r.IntN(3) == 0)
		if r.IntN(5) == 0 {
			n := b.N(cur.node)
			cur.node = b.Affine("", n, nil, 0, prog.Term{Src: cur.node, Map: wrap(prog.Index(n, permutation(r, n)))})
		}
		cur.node = b.Relu("", cur.node)
	}
	n := b.N(cur.node)
	return mustProgram(t, b, b.Affine("", 2, dyadic(2), 0, prog.Term{Src: cur.node, Map: prog.Dense(2, n, dyadic(2*n))}))
}

func permutation(r *rand.Rand, n int) []int32 {
	p := make([]int32, n)
	for i, j := range r.Perm(n) {
		p[i] = int32(j)
	}
	return p
}

// TestWindowsOfAnyGeometry compares bounds through windows with those of the dense network and with exact values, and asks
// that no coefficient outside a window is ever read: those are NaN here.
func TestWindowsOfAnyGeometry(t *testing.T) {
	rounds := uint64(80)
	if testing.Short() {
		rounds = 20
	}
	windowed := 0
	for s := range rounds {
		p := randomConvNet(rand.New(rand.NewPCG(s, 6)), t, false)
		d := randomConvNet(rand.New(rand.NewPCG(s, 6)), t, true)
		r := rand.New(rand.NewPCG(s, 7))
		box := Box{make([]float64, p.Nodes[0].N), make([]float64, p.Nodes[0].N)}
		for i := range box.Lo {
			c := float64(r.IntN(64)-32) / 16
			box.Lo[i], box.Hi[i] = c, c+float64(r.IntN(8))/16
		}
		v := exactEval(p, box.Lo)
		var got [2]*Bounds
		for i, q := range []*prog.Program{p, d} {
			net := NewNet(q)
			f := ibpFrame(net, box)
			pool := NewPool(net, 1)
			w := pool.W[0]
			for k := range w.buf {
				w.buf[k] = fill(q.Nodes[k].N*16, math.NaN())
			}
			if !net.Crown(context.Background(), pool, f, Tightening{Lanes: 16, Alpha: int(s%2) * 3}) {
				t.Fatalf("seed %d: empty", s)
			}
			for _, win := range w.win {
				if !win.IsAll() && i == 0 {
					windowed++
					break
				}
			}
			got[i] = f.B
		}
		for k := range v {
			for j, y := range v[k] {
				for i, b := range got {
					if !below(b.L[k][j], y) || !below(-b.U[k][j], new(big.Rat).Neg(y)) {
						g, _ := y.Float64()
						t.Fatalf("seed %d program %d node %d element %d: %v outside [%v, %v]", s, i, k, j, g, b.L[k][j], b.U[k][j])
					}
				}
				l, u := got[0].L[k][j]-got[1].L[k][j], got[0].U[k][j]-got[1].U[k][j]
				if max(math.Abs(l), math.Abs(u)) > 1e-9*(1+math.Abs(got[1].U[k][j])+math.Abs(got[1].L[k][j])) {
					t.Fatalf("seed %d node %d element %d: [%v, %v] with windows, [%v, %v] without", s, k, j,
						got[0].L[k][j], got[0].U[k][j], got[1].L[k][j], got[1].U[k][j])
				}
			}
		}
	}
	if windowed < int(rounds)/4 {
		t.Errorf("only %d of %d networks used windows", windowed, rounds)
	}
}

// TestSubFramesAgainstExactValues fixes random neurons to the side on which a point has them: the bounds of the sub-frame, in
// which the multipliers of all fixed neurons take part (those of a row's own layer included), must contain the point.
func TestSubFramesAgainstExactValues(t *testing.T) {
	rounds := uint64(800)
	if testing.Short() {
		rounds = 250
	}
	tighter := 0
	for s := range rounds {
		r := rand.New(rand.NewPCG(s, 12))
		var p *prog.Program
		if s%2 == 0 {
			p = cancellingNet(r, t, 2)
		} else {
			p = randomConvNet(r, t, s%4 == 1)
		}
		net := NewNet(p)
		box := wildBox(r, p.Nodes[0].N)
		for i := range box.Lo {
			box.Lo[i], box.Hi[i] = box.Lo[i]/256, box.Hi[i]/256
			if r.IntN(3) > 0 {
				c := r.NormFloat64()
				box.Lo[i], box.Hi[i] = c-1, c+1
			}
		}
		f := ibpFrame(net, box)
		pool := NewPool(net, 1)
		if !net.Crown(context.Background(), pool, f, Tightening{}) {
			t.Fatalf("seed %d: empty", s)
		}
		v := exactEval(p, samplePoint(r, box))
		var splits []Split
		for k := range p.Nodes {
			for _, j := range f.Unstable(k) {
				if r.IntN(3) > 0 {
					continue
				}
				sign := int8(1)
				if v[p.Nodes[k].Src][j].Sign() < 0 {
					sign = -1
				}
				splits = append(splits, Split{int32(k), j, sign})
			}
		}
		g, ok := f.Sub(context.Background(), pool, splits, 12)
		if !ok {
			t.Fatalf("seed %d: a set with a point counts as empty", s)
		}
		for k := range v {
			for j, y := range v[k] {
				if !below(g.B.L[k][j], y) || !below(-g.B.U[k][j], new(big.Rat).Neg(y)) {
					z, _ := y.Float64()
					t.Fatalf("seed %d: node %d (%v) element %d: %v outside [%v, %v]", s, k, p.Nodes[k].Kind, j, z, g.B.L[k][j], g.B.U[k][j])
				}
				if g.B.U[k][j]-g.B.L[k][j] < 0.9*(f.B.U[k][j]-f.B.L[k][j]) {
					tighter++
				}
			}
		}
	}
	if tighter < int(rounds) {
		t.Errorf("only %d bounds became tighter", tighter)
	}
}

// scaledMap is M with every entry multiplied by a factor of its own near 1.
func scaledMap(l prog.Linear, factor func() float64) prog.Linear {
	m, n := l.Dims()
	w := make([]float64, m*n)
	l.Each(func(i, j int, v float64) { w[i*n+j] = v * factor() })
	return prog.Dense(m, n, w)
}

// TestInexactCoefficients bounds a program whose coefficients are known to one part in 2⁹ (Node.Rel) and evaluates programs
// whose coefficients differ from the stored ones by that much.
func TestInexactCoefficients(t *testing.T) {
	const rel = 1 << 44
	outside := 0
	for s := range uint64(200) {
		r := rand.New(rand.NewPCG(s, 13))
		p := cancellingNet(r, t, 2)
		for k := range p.Nodes {
			if p.Nodes[k].Kind == prog.Affine {
				p.Nodes[k].Rel = rel
			}
		}
		q := &prog.Program{Nodes: append([]prog.Node(nil), p.Nodes...), Output: p.Output}
		factor := func() float64 { return 1 + float64(1-2*r.IntN(2))*0x1p-9*0.99 }
		for k := range q.Nodes {
			nd := &q.Nodes[k]
			nd.Terms = append([]prog.Term(nil), nd.Terms...)
			for i := range nd.Terms {
				nd.Terms[i].Map = scaledMap(nd.Terms[i].Map, factor)
			}
			nd.Bias = append([]float64(nil), nd.Bias...)
			for j := range nd.Bias {
				nd.Bias[j] *= factor()
			}
		}
		box := wildBox(r, p.Nodes[0].N)
		x := samplePoint(r, box)
		v := exactEval(q, x)
		check := func(what string, b *Bounds) {
			for k := range v {
				for j, y := range v[k] {
					if !below(b.L[k][j], y) || !below(-b.U[k][j], new(big.Rat).Neg(y)) {
						g, _ := y.Float64()
						t.Fatalf("seed %d %s: node %d element %d: %v outside [%v, %v]", s, what, k, j, g, b.L[k][j], b.U[k][j])
					}
				}
			}
		}
		net := NewNet(p)
		f := ibpFrame(net, box)
		check("ibp", f.B)
		if s%2 == 0 && !net.Forward(f) {
			t.Fatalf("seed %d: empty", s)
		}
		check("forward", f.B)
		if !net.Crown(context.Background(), NewPool(net, 1), f, Tightening{}) {
			t.Fatalf("seed %d: empty", s)
		}
		check("crown", f.B)
		w := NewWorker(net)
		w.Begin(8)
		w.Seed(p.Output, 0, 0, 1)
		w.Seed(p.Output, 0, 1, -1)
		w.Run(f, p.Output)
		y := v[p.Output][0]
		if !below(w.LB[0], y) || !below(w.LB[1], new(big.Rat).Neg(y)) {
			g, _ := y.Float64()
			t.Fatalf("seed %d: output %v outside [%v, %v]", s, g, w.LB[0], -w.LB[1])
		}
		exact := NewNet(&prog.Program{Nodes: withoutRel(p.Nodes), Output: p.Output})
		f = ibpFrame(exact, box)
		exact.Crown(context.Background(), NewPool(exact, 1), f, Tightening{})
		w = NewWorker(exact)
		w.Begin(8)
		w.Seed(p.Output, 0, 0, 1)
		w.Seed(p.Output, 0, 1, -1)
		w.Run(f, p.Output)
		if !below(w.LB[0], y) || !below(w.LB[1], new(big.Rat).Neg(y)) {
			outside++
		}
	}
	if outside < 20 {
		t.Errorf("only %d values are out of reach of the stored coefficients: the test has lost its grip", outside)
	}
}

func withoutRel(nodes []prog.Node) []prog.Node {
	nodes = append([]prog.Node(nil), nodes...)
	for k := range nodes {
		nodes[k].Rel = 0
	}
	return nodes
}

// TestSigmoidResidualOfAnySlope asks for the least σ(z) − k·z with slopes that no rule would pick.
func TestSigmoidResidualOfAnySlope(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	for range 700 {
		l := -r.Float64() * 20
		u := l + r.ExpFloat64()*10
		k := r.Float64() * 0.3
		if r.IntN(2) == 0 {
			k = math.Ldexp(r.Float64(), -r.IntN(40))
		}
		m := new(big.Float).SetPrec(1000).SetFloat64(sigmoidMinResidual(l, u, k))
		zs := []float64{l, u, min(u, 0)}
		for range 12 {
			zs = append(zs, l+r.Float64()*(u-l))
		}
		if k < 0.25 {
			q := math.Sqrt(1 - 4*k)
			p := math.Log((1 - q) / (1 + q))
			if k < 1e-4 {
				p = math.Log(k * (1 + k) / (1 - k))
			}
			zs = append(zs, p, math.Nextafter(p, 0), math.Nextafter(p, -99))
		}
		for _, z := range zs {
			z = min(max(z, l), u)
			kz := new(big.Float).SetPrec(1000).SetFloat64(k)
			kz.Mul(kz, new(big.Float).SetFloat64(z))
			if v := kz.Sub(bigSigma(z), kz); m.Cmp(v) > 0 {
				t.Fatalf("[%v, %v] slope %v: residual %v at %v, claimed at least %v", l, u, k, v, z, m)
			}
		}
	}
}

// TestCentreAndRadiusEnclose checks [l, u] ⊆ [c − r, c + r] exactly.
func TestCentreAndRadiusEnclose(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 14))
	for range 20000 {
		l := wild(r, 60)
		u := l
		if r.IntN(4) > 0 {
			u += math.Abs(wild(r, 60))
		}
		c, rad := centreRadius(l, u)
		lo, hi := new(big.Rat).Sub(ratOf(c), ratOf(rad)), new(big.Rat).Add(ratOf(c), ratOf(rad))
		if lo.Cmp(ratOf(l)) > 0 || hi.Cmp(ratOf(u)) < 0 {
			t.Fatalf("[%v, %v]: centre %v, radius %v", l, u, c, rad)
		}
	}
}

// TestForwardAgainstExactValues runs forward mode where its forms cancel to their last bits and intervals do not: every
// pre-activation is subtracted again, by weights that agree to 50 bits, behind active ReLUs.
func TestForwardAgainstExactValues(t *testing.T) {
	tight := 0
	for s := range uint64(400) {
		r := rand.New(rand.NewPCG(s, 15))
		n := 1 + r.IntN(4)
		b := prog.NewBuilder(n)
		cur := 0
		for range 1 + r.IntN(5) {
			w, w2 := make([]float64, n*n), make([]float64, n*n)
			bias, bias2 := make([]float64, n), make([]float64, n)
			for i := range w {
				w[i] = wild(r, 2)
			}
			for i := range bias {
				bias[i] = 0x1p12 + r.Float64() // active
				bias2[i] = r.NormFloat64()
			}
			z := b.Affine("", n, bias, 0, prog.Term{Src: cur, Map: prog.Dense(n, n, w)})
			x := b.Relu("", z)
			for i := range w {
				w[i], w2[i] = r.Float64(), 0
				w2[i] = -w[i] * (1 + float64(r.IntN(3)-1)*0x1p-50)
			}
			cur = b.Affine("", n, bias2, 0, prog.Term{Src: x, Map: prog.Dense(n, n, w)}, prog.Term{Src: z, Map: prog.Dense(n, n, w2)})
		}
		p := mustProgram(t, b, cur)
		net := NewNet(p)
		box := wildBox(r, n)
		for i := range box.Lo {
			box.Lo[i], box.Hi[i] = box.Lo[i]/256, box.Hi[i]/256
		}
		f := ibpFrame(net, box)
		if !net.Forward(f) {
			t.Fatalf("seed %d: empty", s)
		}
		for range 4 {
			v := exactEval(p, samplePoint(r, box))
			for k := range v {
				for j, y := range v[k] {
					l, u := f.B.L[k][j], f.B.U[k][j]
					if !below(l, y) || !below(-u, new(big.Rat).Neg(y)) {
						g, _ := y.Float64()
						t.Fatalf("seed %d: node %d element %d: %v outside [%v, %v]", s, k, j, g, l, u)
					}
					if u-l < 1e-9*math.Abs(l) {
						tight++
					}
				}
			}
		}
	}
	if tight < 400 {
		t.Errorf("only %d bounds within rounding: the test has lost its grip", tight)
	}
}

// TestUpperLinesLieAbove checks the line at both ends exactly; ReLU is convex, so that is enough.
func TestUpperLinesLieAbove(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 16))
	for range 20000 {
		l, u := -math.Abs(wild(r, 40)), math.Abs(wild(r, 40))
		s, c := upperLine(l, u)
		atL := new(big.Rat).Mul(ratOf(s), ratOf(l))
		atU := new(big.Rat).Mul(ratOf(s), ratOf(u))
		if atL.Add(atL, ratOf(c)).Sign() < 0 || atU.Add(atU, ratOf(c)).Cmp(ratOf(u)) < 0 || s < 0 || s > 1 {
			t.Fatalf("[%v, %v]: %v·z + %v is below relu", l, u, s, c)
		}
	}
}
