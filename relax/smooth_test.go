package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// The tests of this file compare lines, planes and bounds of programs with curves and products with exact rational values,
// without tolerance.

var allFns = []prog.Fn{prog.Square, prog.Cube, prog.Reciprocal, prog.Sign, prog.Floor}

// exactCurve evaluates a curve over the rationals.
func exactCurve(f prog.Fn, z *big.Rat) *big.Rat {
	v := new(big.Rat)
	switch f {
	case prog.Square:
		return v.Mul(z, z)
	case prog.Cube:
		return v.Mul(v.Mul(z, z), z)
	case prog.Sign:
		return v.SetInt64(int64(z.Sign()))
	case prog.Floor:
		return v.SetInt(new(big.Int).Div(z.Num(), z.Denom()))
	}
	return v.Inv(z)
}

// along returns n+1 rational points from l to u.
func along(l, u float64, n int64) []*big.Rat {
	d := new(big.Rat).Sub(ratOf(u), ratOf(l))
	var out []*big.Rat
	for i := range n + 1 {
		out = append(out, new(big.Rat).Add(ratOf(l), new(big.Rat).Mul(d, big.NewRat(i, n))))
	}
	return out
}

// plane evaluates k·x + h·y + t exactly.
func plane(k, h, t float64, x, y *big.Rat) *big.Rat {
	v := new(big.Rat).Mul(ratOf(k), x)
	v.Add(v, new(big.Rat).Mul(ratOf(h), y))
	return v.Add(v, ratOf(t))
}

// TestCurveLinesAgainstExactValues checks lines at the ends, between them and where a line touches.
func TestCurveLinesAgainstExactValues(t *testing.T) {
	loose := 0
	for s := range uint64(3000) {
		r := rand.New(rand.NewPCG(s, 31))
		l := wild(r, []int{2, 30, 150}[r.IntN(3)])
		u := l
		switch r.IntN(5) {
		case 0:
			u = up(l)
		case 1:
			u = l + math.Abs(l)*r.Float64()*0x1p-20
		case 2:
			u = l + math.Abs(l)*r.Float64()
		case 3:
			u = l + math.Abs(wild(r, 4)*l)
		}
		fn := allFns[s%5]
		kl, tl, ku, tu := curveLines(fn, l, u)
		if fn == prog.Reciprocal && l <= 0 && u >= 0 {
			if !math.IsInf(tl, -1) || !math.IsInf(tu, 1) {
				t.Fatalf("1/[%v, %v] has lines", l, u)
			}
			continue
		}
		points := along(l, u, 8)
		for _, sign := range []float64{1, -1} {
			c := side{fn, sign}
			for _, k := range []float64{kl, -ku} {
				if p := c.stationary(l, u, k); p >= l && p <= u {
					points = append(points, ratOf(p))
				}
			}
		}
		for _, z := range points {
			v := exactCurve(fn, z)
			if math.IsInf(tl, 0) || math.IsInf(tu, 0) {
				loose++
				break
			}
			if plane(kl, 0, tl, z, z).Cmp(v) > 0 || plane(ku, 0, tu, z, z).Cmp(v) < 0 {
				f, _ := z.Float64()
				t.Fatalf("seed %d: %v on [%v, %v] at %v: %v·z+%v or %v·z+%v is on the wrong side", s, fn, l, u, f, kl, tl, ku, tu)
			}
		}
	}
	if loose > 300 {
		t.Errorf("%d of 3000 intervals have no lines", loose)
	}
}

// TestCurveResidualOfAnySlope asks for the least value beside slopes that no rule would pick.
func TestCurveResidualOfAnySlope(t *testing.T) {
	for s := range uint64(900) {
		r := rand.New(rand.NewPCG(s, 32))
		fn := allFns[s%3] // the smooth ones
		l := r.NormFloat64()
		u := l + r.ExpFloat64()
		if fn == prog.Reciprocal && l <= 0 {
			l, u = 0.1-l, 0.2+u-2*l
			if r.IntN(2) == 0 {
				l, u = -u, -l
			}
		}
		k := 4 * r.NormFloat64()
		for _, sign := range []float64{1, -1} {
			c := side{fn, sign}
			m := c.least(l, u, k)
			best := math.Inf(1)
			for _, z := range append(along(l, u, 64), ratOf(min(max(c.stationary(l, u, k), l), u))) {
				v := new(big.Rat).Mul(ratOf(sign), exactCurve(fn, z))
				v.Sub(v, new(big.Rat).Mul(ratOf(k), z))
				if ratOf(m).Cmp(v) > 0 {
					t.Fatalf("seed %d: %v·%v − %v·z on [%v, %v]: %v is not below", s, sign, fn, k, l, u, m)
				}
				g, _ := v.Float64()
				best = min(best, g)
			}
			if best-m > 1e-2*(1+math.Abs(best))*(1+(u-l)) {
				t.Errorf("seed %d: %v·%v − %v·z on [%v, %v]: %v, attained %v", s, sign, fn, k, l, u, m, best)
			}
		}
	}
}

func TestProductPlanesAgainstExactValues(t *testing.T) {
	for s := range uint64(3000) {
		r := rand.New(rand.NewPCG(s, 33))
		draw := func() (l, u float64) {
			l = wild(r, []int{2, 30, 150}[r.IntN(3)])
			return l, l + math.Abs(wild(r, 8)*l)*float64(r.IntN(3))
		}
		xl, xu := draw()
		yl, yu := draw()
		at := []float64{0, 0.5, 1, r.Float64()}[r.IntN(4)]
		kl, hl, tl, ku, hu, tu := productPlanes(xl, xu, yl, yu, at)
		for _, x := range along(xl, xu, 4) {
			for _, y := range along(yl, yu, 4) {
				v := new(big.Rat).Mul(x, y)
				if plane(kl, hl, tl, x, y).Cmp(v) > 0 || plane(ku, hu, tu, x, y).Cmp(v) < 0 {
					t.Fatalf("seed %d: [%v, %v]·[%v, %v] at %v: a plane is on the wrong side", s, xl, xu, yl, yu, at)
				}
			}
		}
		if gap, area := tu-tl+(ku-kl)*xl+(hu-hl)*yl, (xu-xl)*(yu-yl); gap > 4*area+1e-9*(math.Abs(xl)+math.Abs(xu))*(math.Abs(yl)+math.Abs(yu)) {
			t.Errorf("seed %d: planes %v apart on a box of area %v", s, gap, area)
		}
	}
}

// smoothNet draws a program with every kind: ReLUs, squares, cubes, products, and quotients whose denominator intervals alone
// may not keep away from zero.
func smoothNet(r *rand.Rand, t *testing.T, n, spread int) *prog.Program {
	b := prog.NewBuilder(n)
	h := 2 + r.IntN(3)
	mat := func(rows, cols int) prog.Linear {
		w := make([]float64, rows*cols)
		for i := range w {
			w[i] = wild(r, spread)
			if i > 0 && r.IntN(3) == 0 {
				w[i] = -w[r.IntN(i)] * (1 + float64(r.IntN(3)-1)*0x1p-50)
			}
		}
		return prog.Dense(rows, cols, w)
	}
	z := b.Affine("", h, fill(h, wild(r, 2)), 0, prog.Term{Src: 0, Map: mat(h, n)})
	x := b.Relu("", z)
	cube := b.Curve("", prog.Cube, z)
	sq := b.Curve("", prog.Square, b.Affine("", h, nil, 0, prog.Term{Src: x, Map: mat(h, h)}, prog.Term{Src: 0, Map: mat(h, n)}))
	near := fill(h, -(1 - 0x1p-30))
	den := b.Affine("", h, fill(h, 1+r.Float64()), 0, prog.Term{Src: sq, Map: prog.Identity(h)}, prog.Term{Src: x, Map: prog.Identity(h)},
		prog.Term{Src: x, Map: prog.Diag(near)})
	q := b.Product("", cube, b.Curve("", prog.Reciprocal, den))
	p := b.Product("", q, []int{x, z, sq, q}[r.IntN(4)])
	out := b.Affine("", 2, nil, 0, prog.Term{Src: p, Map: mat(2, h)}, prog.Term{Src: q, Map: mat(2, h)}, prog.Term{Src: z, Map: mat(2, h)})
	return mustProgram(t, b, out)
}

// TestSmoothBoundsAgainstExactValues compares intervals, forward mode, backward passes and ascent with exact values.
func TestSmoothBoundsAgainstExactValues(t *testing.T) {
	rounds := uint64(500)
	if testing.Short() {
		rounds = 250
	}
	tight, finite := 0, 0
	for s := range rounds {
		r := rand.New(rand.NewPCG(s, 34))
		p := smoothNet(r, t, 1+r.IntN(3), []int{0, 2, 10}[r.IntN(3)])
		net := NewNet(p)
		box := wildBox(r, p.Nodes[0].N)
		var points [][][]*big.Rat
		for range 4 {
			points = append(points, exactEval(p, samplePoint(r, box)))
		}
		f := boundsContain(t, net, box, points, s)
		if f.reach == len(p.Nodes) {
			finite++
		}
		tight += rowsAgainstExact(t, r, net, f, points, s)
	}
	if tight < int(rounds)/4 || finite < int(rounds)*3/4 {
		t.Errorf("%d bounds within 1e-9 of a value, %d of %d programs with finite bounds: the test has lost its grip", tight, finite, rounds)
	}
}

// boundsContain compares intervals, forward mode (for even seeds) and backward passes with exact values and returns the frame.
func boundsContain(t *testing.T, net *Net, box Box, points [][][]*big.Rat, seed uint64) *Frame {
	t.Helper()
	f := ibpFrame(net, box)
	contains(t, "ibp", net, f.B, points)
	if seed%2 == 0 {
		if !net.Forward(f) {
			t.Fatalf("seed %d: forward: empty", seed)
		}
		contains(t, "forward", net, f.B, points)
	}
	if !net.Crown(context.Background(), NewPool(net, 1), f, Tightening{Alpha: int(seed % 4)}) {
		t.Fatalf("seed %d: crown: empty", seed)
	}
	contains(t, "crown", net, f.B, points)
	f.SetScale(net.NewScale(f.B))
	return f
}

func contains(t *testing.T, what string, net *Net, b *Bounds, points [][][]*big.Rat) {
	t.Helper()
	for _, v := range points {
		for k := range v {
			for j, y := range v[k] {
				if !below(b.L[k][j], y) || !below(-b.U[k][j], new(big.Rat).Neg(y)) {
					g, _ := y.Float64()
					t.Fatalf("%s: node %d (%v) element %d: %v outside [%v, %v]", what, k, net.P.Nodes[k].Kind, j, g, b.L[k][j], b.U[k][j])
				}
			}
		}
	}
}

// TestCancellingContributions has two products read one node with opposite slopes: what remains of their sum is smaller than
// the rounding of either.
func TestCancellingContributions(t *testing.T) {
	for s := range uint64(2000) {
		r := rand.New(rand.NewPCG(s, 35))
		b := prog.NewBuilder(2)
		w := []float64{1 + r.Float64(), 0, 0, 1 + r.Float64()}
		z := b.Affine("", 2, []float64{1e3 * r.Float64(), 1e3 * r.Float64()}, 0, prog.Term{Src: 0, Map: prog.Dense(2, 2, w)})
		cube := b.Curve("", prog.Cube, z)
		sq := b.Curve("", prog.Square, z)
		a := r.Float64()
		zr := b.Affine("", 2, nil, 0, prog.Term{Src: z, Map: prog.Index(2, []int32{1, 0})})
		prod := b.Product("", z, zr)
		out := b.Affine("", 1, nil, 0, prog.Term{Src: cube, Map: prog.Dense(1, 2, []float64{a, -a})},
			prog.Term{Src: sq, Map: prog.Dense(1, 2, []float64{-a * 1e3, 0})}, prog.Term{Src: prod, Map: prog.Dense(1, 2, []float64{1e3, -1e3 * (1 - 0x1p-40)})})
		p := mustProgram(t, b, out)
		net := NewNet(p)
		box := wildBox(r, 2)
		f := ibpFrame(net, box)
		if !net.Crown(context.Background(), NewPool(net, 1), f, Tightening{}) {
			t.Fatal("empty")
		}
		points := [][][]*big.Rat{exactEval(p, samplePoint(r, box)), exactEval(p, box.Lo)}
		contains(t, "crown", net, f.B, points)
		rowsAgainstExact(t, r, net, f, points, s)
	}
}

// TestExpLinesAgainstExactValues checks lines of the exponential at the ends, between them and where one touches.
func TestExpLinesAgainstExactValues(t *testing.T) {
	for s := range uint64(300) {
		r := rand.New(rand.NewPCG(s, 36))
		l := 40 * (r.Float64() - 0.5)
		u := l + r.ExpFloat64()*[]float64{1e-9, 1e-3, 1}[r.IntN(3)]
		kl, tl, ku, tu := curveLines(prog.Exp, l, u)
		z := []float64{l, u, l + (u-l)/2, l + r.Float64()*(u-l)}
		if p := math.Log(kl); p >= l && p <= u {
			z = append(z, p)
		}
		for _, z := range z {
			sg, _ := bigSigma(z).Rat(nil)
			v := new(big.Rat).Quo(sg, new(big.Rat).Sub(big.NewRat(1, 1), sg))
			if plane(kl, 0, tl, ratOf(z), ratOf(z)).Cmp(v) > 0 || plane(ku, 0, tu, ratOf(z), ratOf(z)).Cmp(v) < 0 {
				t.Fatalf("seed %d: [%v, %v] at %v: a line is on the wrong side", s, l, u, z)
			}
		}
		if gap, w := (ku-kl)*l+tu-tl, u-l; gap > 2*math.Exp(u)*w*w+1e-12*math.Exp(u)*(1+math.Abs(l)) {
			t.Errorf("seed %d: lines %v apart on [%v, %v]", s, gap, l, u)
		}
	}
}
