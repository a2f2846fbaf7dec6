package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

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
// which the multipliers of all fixed neurons take part (those of a row's own layer included), must contain the point. Two thirds of
// the frames also take for granted a row that the point satisfies by a hair.
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
		splits := heldSplits(r, f, v, 3)
		o := Tightening{Alpha: 12, Splits: splits}
		if s%3 != 0 { // s%4 chooses the network
			o.Refute = &Refutation{Row: touchingRow(r, v[0], v[p.Output]), From: f, Bound: -r.ExpFloat64()}
		}
		g, ok := f.Sub(context.Background(), pool, o)
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

// heldSplits decides one unstable neuron of f in n, each on the side on which the exact values v have it.
func heldSplits(r *rand.Rand, f *Frame, v [][]*big.Rat, n int) []Split {
	var splits []Split
	for k, nd := range f.Net.P.Nodes {
		for _, j := range f.Unstable(k) {
			if r.IntN(n) > 0 {
				continue
			}
			sign := int8(1)
			if v[nd.Src][j].Sign() < 0 {
				sign = -1
			}
			splits = append(splits, Split{int32(k), j, sign})
		}
	}
	return splits
}

// touchingRow is a random row Σ X·x + Σ Y·y ≤ RHS that the exact values x and y satisfy with next to nothing to spare.
func touchingRow(r *rand.Rand, x, y []*big.Rat) *spec.Row {
	row := &spec.Row{}
	sum := new(big.Rat)
	add := func(to *[]spec.Coef, j int, v *big.Rat) {
		c := r.NormFloat64() * math.Pow(2, float64(r.IntN(20)-10))
		*to = append(*to, spec.Coef{Index: j, Value: c})
		sum.Add(sum, new(big.Rat).Mul(ratOf(c), v))
	}
	for j, v := range y {
		if r.IntN(2) == 0 || j == 0 {
			add(&row.Y, j, v)
		}
	}
	if r.IntN(2) == 0 {
		j := r.IntN(len(x))
		add(&row.X, j, x[j])
	}
	row.RHSUpper, _ = sum.Float64()
	for ratOf(row.RHSUpper).Cmp(sum) < 0 {
		row.RHSUpper = math.Nextafter(row.RHSUpper, math.Inf(1))
	}
	return row
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
