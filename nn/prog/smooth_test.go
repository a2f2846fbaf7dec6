package prog

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

var allFns = []Fn{Square, Cube, Reciprocal, Sign, Floor}

// interval draws an interval of any magnitude and a few exact points of it, its ends included.
func drawInterval(r *rand.Rand, spread int) (l, u float64, points []*big.Rat) {
	l, u = awkward(r, spread), awkward(r, spread)
	switch r.IntN(4) {
	case 0:
		u = l
	case 1:
		u = l * (1 + float64(r.IntN(9))*0x1p-52)
	case 2:
		l = 0
	}
	l, u = min(l, u), max(l, u)
	d := new(big.Rat).Sub(rat(u), rat(l))
	for i := range 5 {
		points = append(points, new(big.Rat).Add(rat(l), new(big.Rat).Mul(d, big.NewRat(int64(i), 4))))
	}
	if l < 0 && u > 0 {
		points = append(points, new(big.Rat))
	}
	return l, u, points
}

func within(lo, hi float64, v *big.Rat) bool {
	return (math.IsInf(lo, -1) || rat(lo).Cmp(v) <= 0) && (math.IsInf(hi, 1) || rat(hi).Cmp(v) >= 0)
}

// TestImagesAgainstExactValues compares images, values and curvature bounds with rationals, without tolerance.
func TestImagesAgainstExactValues(t *testing.T) {
	finite := 0
	for s := range uint64(20000) {
		r := rand.New(rand.NewPCG(s, 3))
		l, u, points := drawInterval(r, []int{2, 40, 300, 540}[r.IntN(4)])
		fn := allFns[r.IntN(5)]
		lo, hi := fn.Image(l, u)
		if !math.IsInf(hi-lo, 0) {
			finite++
		}
		if fn == Reciprocal && l <= 0 && u >= 0 {
			if !math.IsInf(lo, -1) || !math.IsInf(hi, 1) {
				t.Fatalf("1/[%v, %v] is [%v, %v]", l, u, lo, hi)
			}
			continue
		}
		for _, z := range points {
			if v := exactCurve(fn, z); !within(lo, hi, v) {
				t.Fatalf("seed %d: %v at %v outside [%v, %v], the image of [%v, %v]", s, fn, z, lo, hi, l, u)
			}
		}
		if math.IsInf(fn.Value(u), 0) {
			continue
		}
		if a, b := fn.At(u); !within(a, b, exactCurve(fn, rat(u))) {
			t.Fatalf("%v(%v) outside [%v, %v]", fn, u, a, b)
		}
		bend := fn.bend(l, u)
		if math.IsInf(bend, 1) || math.Abs(l) < 0x1p-200 && l != 0 || max(math.Abs(l), math.Abs(u)) > 0x1p200 {
			continue
		}
		at := exactCurve(fn, rat(l))
		slope := new(big.Rat)
		switch fn {
		case Square:
			slope.Mul(rat(2), rat(l))
		case Cube:
			slope.Mul(rat(3), new(big.Rat).Mul(rat(l), rat(l)))
		case Reciprocal:
			slope.Neg(new(big.Rat).Mul(at, at))
		}
		if got := rat(fn.Slope(l)); new(big.Rat).Sub(got, slope).Cmp(new(big.Rat)) != 0 {
			err, _ := new(big.Rat).Quo(new(big.Rat).Sub(got, slope), slope).Float64()
			if math.Abs(err) > 4*unit64 {
				t.Fatalf("%v'(%v) errs by %g", fn, l, err)
			}
		}
		for _, z := range points {
			d := new(big.Rat).Sub(z, rat(l))
			rest := new(big.Rat).Sub(exactCurve(fn, z), at)
			rest.Sub(rest, new(big.Rat).Mul(slope, d)).Abs(rest)
			if rest.Cmp(new(big.Rat).Mul(rat(bend), new(big.Rat).Mul(d, d))) > 0 {
				t.Fatalf("%v on [%v, %v]: curvature above %v", fn, l, u, bend)
			}
		}
	}
	if finite < 10000 {
		t.Errorf("only %d images are finite: the test shows little", finite)
	}
}

func TestProductImageAgainstExactValues(t *testing.T) {
	for s := range uint64(20000) {
		r := rand.New(rand.NewPCG(s, 4))
		spread := []int{2, 40, 500, 1000}[r.IntN(4)]
		xl, xu, xs := drawInterval(r, spread)
		yl, yu, ys := drawInterval(r, spread)
		lo, hi := ProductImage(xl, xu, yl, yu)
		for _, x := range xs {
			for _, y := range ys {
				if v := new(big.Rat).Mul(x, y); !within(lo, hi, v) {
					t.Fatalf("[%v, %v]·[%v, %v] misses %v·%v: [%v, %v]", xl, xu, yl, yu, x, y, lo, hi)
				}
			}
		}
	}
	if lo, hi := ProductImage(0, 0, -3, 5); lo < -1e-300 || hi > 1e-300 {
		t.Errorf("0·[-3, 5] is [%v, %v]", lo, hi)
	}
	if lo, hi := ProductImage(0, 0, -3, math.Inf(1)); !math.IsInf(lo, -1) || !math.IsInf(hi, 1) {
		t.Errorf("0·[-3, ∞] is [%v, %v]", lo, hi)
	}
}

// smoothProgram draws a program with every curve and with products, whose denominators stay away from zero: squares plus one.
func smoothProgram(r *rand.Rand) *Program {
	in, h := 1+r.IntN(4), 2+r.IntN(5)
	b := NewBuilder(in)
	mat := func(m, n int) Linear {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64()))
		}
		return Dense(m, n, w)
	}
	z := b.Affine("z", h, nil, 0, Term{0, mat(h, in)})
	x := b.Relu("x", z)
	sq := b.Curve("sq", Square, b.Affine("z2", h, nil, 0, Term{x, mat(h, h)}, Term{0, mat(h, in)}))
	one := make([]float64, h)
	for i := range one {
		one[i] = 1
	}
	rec := b.Curve("rec", Reciprocal, b.Affine("den", h, one, 0, Term{sq, Identity(h)}))
	cube := b.Curve("cube", Cube, z)
	p := b.Product("p", rec, cube)
	q := b.Product("q", p, x)
	all := []Term{{p, mat(2, h)}, {q, mat(2, h)}, {sq, mat(2, h)}, {cube, mat(2, h)}}
	prog, err := b.Program(b.Affine("y", 2, nil, 0, all[r.IntN(2):1+r.IntN(3)+1]...))
	if err != nil {
		panic(err)
	}
	return prog
}

// TestSmoothEnclosures checks intervals and adjoint bounds of programs with curves and products against exact values and
// against executions in binary32, and that they are not needlessly wide.
func TestSmoothEnclosures(t *testing.T) {
	wins := 0
	for s := range uint64(400) {
		r := rand.New(rand.NewPCG(s, 5))
		p := smoothProgram(r)
		x := make([]float64, p.Nodes[0].N)
		hi := make([]float64, len(x))
		for i := range x {
			x[i] = float64(float32(r.NormFloat64()))
			hi[i] = x[i] + float64(r.IntN(2))*0.25
		}
		v := exactEval(p, x)
		c := []float64{float64(float32(r.NormFloat64())), float64(float32(r.NormFloat64()))}
		want := new(big.Rat)
		for i, y := range v[p.Output] {
			want.Add(want, new(big.Rat).Mul(rat(c[i]), y))
		}
		for _, unit := range []float64{UnitReal, Unit32} {
			L, U := p.Enclose(x, hi, unit)
			checkInside(t, "box", L, U, v)
			for _, pt := range []*Point{p.NewPoint(x, unit), p.NewTightPoint(x, unit)} {
				checkInside(t, "point", pt.e.L, pt.e.U, v)
				lo, hi := pt.Bound(c)
				if !within(lo, hi, want) {
					t.Fatalf("seed %d: exact value outside [%v, %v]", s, lo, hi)
				}
				size := 0.0
				for k := range pt.v {
					for _, e := range pt.v[k] {
						size = max(size, math.Abs(e))
					}
				}
				if !(hi-lo <= 1e4*unit*(1+size)*(1+size)) {
					t.Errorf("seed %d: width %g at unit %g with values to %g", s, hi-lo, unit, size)
				}
				if il, ih := pt.interval(c); hi-lo < ih-il {
					wins++
				}
				if unit != Unit32 {
					continue
				}
				for range 10 {
					f := f32Eval(p, x, r)
					checkFloats(t, pt.e.L, pt.e.U, f)
					if y := c[0]*f[p.Output][0] + c[1]*f[p.Output][1]; !(lo <= y+1e-9*math.Abs(y) && y-1e-9*math.Abs(y) <= hi) {
						t.Fatalf("seed %d: binary32 %v outside [%v, %v]", s, y, lo, hi)
					}
				}
			}
		}
	}
	if wins < 200 {
		t.Errorf("the adjoint bound beats intervals in only %d cases", wins)
	}
}

// TestGradientOfSmooth compares the gradient with differences.
func TestGradientOfSmooth(t *testing.T) {
	for s := range uint64(100) {
		r := rand.New(rand.NewPCG(s, 6))
		p := smoothProgram(r)
		x := make([]float64, p.Nodes[0].N)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		f := func() float64 { return p.Eval(x, 1, nil)[p.Output][0] }
		g := p.Gradient([]float64{1, 0}, 1, p.Eval(x, 1, nil), nil)
		for i, d := range append([]float64(nil), g...) {
			const h = 1e-6
			old := x[i]
			x[i] = old + h
			a := f()
			x[i] = old - h
			b := f()
			x[i] = old
			if e := (a - b) / (2 * h); math.Abs(e-d) > 1e-3*(1+math.Abs(d)) {
				t.Errorf("seed %d: ∂y/∂x%d = %v, differences give %v", s, i, d, e)
			}
		}
	}
}

// TestRestrictKeepsDenominators: a row that is not needed must not become a division by zero.
func TestRestrictKeepsDenominators(t *testing.T) {
	b := NewBuilder(8)
	one := make([]float64, 8)
	for i := range one {
		one[i] = 3
	}
	den := b.Affine("den", 8, one, 0, Term{0, Identity(8)})
	y := b.Affine("y", 8, nil, 0, Term{b.Product("q", 0, b.Curve("r", Reciprocal, den)), Identity(8)})
	p, err := b.Program(y)
	if err != nil {
		t.Fatal(err)
	}
	keep := make([]bool, 8)
	keep[2] = true
	q := Simplify(p, keep)
	x := []float64{1, 1, 1, 1, 1, 1, 1, 1}
	for k, v := range q.Eval(x, 1, nil) {
		for i, e := range v {
			if math.IsInf(e, 0) || math.IsNaN(e) {
				t.Errorf("node %d element %d is %v", k, i, e)
			}
		}
	}
	if got := q.Eval(x, 1, nil)[q.Output][2]; got != 0.25 {
		t.Errorf("1/4 = %v", got)
	}
}

// TestSmoothRoundsInItself has functions of exact inputs: what differs from float64 is their own rounding alone.
func TestSmoothRoundsInItself(t *testing.T) {
	for s := range uint64(300) {
		r := rand.New(rand.NewPCG(s, 7))
		b := NewBuilder(2)
		out := b.Product("p", 0, 0)
		if s%4 > 0 {
			out = b.Curve("c", allFns[s%4-1], 0)
		}
		p, err := b.Program(out)
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{float64(float32(1 + r.Float64())), float64(float32(-1 - r.Float64()))}
		pt := p.NewPoint(x, Unit32)
		for range 20 {
			f := f32Eval(p, x, r)
			checkFloats(t, pt.e.L, pt.e.U, f)
			if lo, hi := pt.Bound([]float64{1, 0}); !(lo <= f[out][0] && f[out][0] <= hi) {
				t.Fatalf("%v of %v: binary32 %v outside [%v, %v]", p.Nodes[out].Fn, x, f[out][0], lo, hi)
			}
		}
	}
}

// TestSmoothSecondOrder has arguments that are 0 in float64 and one unit away in some binary32 order of summation, so that
// slopes vanish and only the curvature is left.
func TestSmoothSecondOrder(t *testing.T) {
	b := NewBuilder(4)
	z := b.Affine("z", 2, nil, 0, Term{0, Dense(2, 4, []float64{1, 1, 1, 1, 1, 1, 1, 1})})
	sq := b.Curve("sq", Square, z)
	w := b.Affine("w", 2, nil, 0, Term{z, Index(2, []int32{1, 0})})
	y := b.Affine("y", 2, nil, 0, Term{sq, Dense(2, 2, []float64{1, 0, 0, 0})}, Term{b.Product("p", z, w), Dense(2, 2, []float64{0, 0, 1, 0})})
	p, err := b.Program(y)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{1 << 24, 1, -1 << 24, -1}
	pt := p.NewPoint(x, Unit32)
	r := rand.New(rand.NewPCG(1, 8))
	hit := 0
	for range 1000 {
		f := f32Eval(p, x, r)[y]
		for i, c := range [][]float64{{1, 0}, {0, 1}} {
			if lo, hi := pt.Bound(c); !(lo <= f[i] && f[i] <= hi) {
				t.Fatalf("output %d: %v outside [%v, %v]", i, f[i], lo, hi)
			}
			if f[i] != 0 {
				hit++
			}
		}
	}
	if hit < 100 {
		t.Errorf("only %d executions differ: the test shows nothing", hit)
	}
}

// TestExpAgainstExactValues is TestImagesAgainstExactValues for the exponential, with values to some 200 bits.
func TestExpAgainstExactValues(t *testing.T) {
	for s := range uint64(400) {
		r := rand.New(rand.NewPCG(s, 10))
		l := 60 * (r.Float64() - 0.5)
		u := l + math.Abs(awkward(r, 4))*float64(r.IntN(2))
		if u > 60 {
			u = l
		}
		lo, hi := Exp.Image(l, u)
		at := exactCurve(Exp, rat(l))
		bend := rat(Exp.bend(l, u))
		for i := range int64(5) {
			d := new(big.Rat).Mul(new(big.Rat).Sub(rat(u), rat(l)), big.NewRat(i, 4))
			z := new(big.Rat).Add(rat(l), d)
			v := exactCurve(Exp, z)
			if !within(lo, hi, v) {
				t.Fatalf("e^[%v, %v] is not in [%v, %v]", l, u, lo, hi)
			}
			rest := new(big.Rat).Sub(v, at)
			rest.Sub(rest, new(big.Rat).Mul(at, d))
			if rest.Cmp(new(big.Rat).Mul(bend, new(big.Rat).Mul(d, d))) > 0 {
				t.Fatalf("e^z on [%v, %v] bends more than %v", l, u, bend)
			}
		}
		if w := hi - lo; l == u && !(w <= 1e-14*hi) {
			t.Errorf("e^%v has width %v", l, w)
		}
	}
	if lo, hi := Exp.Image(-900, -800); lo != 0 || !(hi > 0 && hi < 1e-300) {
		t.Errorf("e^[-900, -800] is [%v, %v]", lo, hi)
	}
	if _, hi := Exp.Image(0, 800); !math.IsInf(hi, 1) {
		t.Errorf("e^[0, 800] is at most %v", hi)
	}
}
