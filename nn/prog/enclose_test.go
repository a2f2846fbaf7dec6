package prog

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactEval evaluates p at x in real arithmetic: rationals, and 300-bit floats for the sigmoid.
func exactEval(p *Program, x []float64) [][]*big.Rat {
	v := make([][]*big.Rat, len(p.Nodes))
	for k := range p.Nodes {
		n := &p.Nodes[k]
		v[k] = make([]*big.Rat, n.N)
		for i := range v[k] {
			v[k][i] = new(big.Rat)
			switch n.Kind {
			case Input:
				v[k][i].SetFloat64(x[i])
			case Affine:
				if n.Bias != nil {
					v[k][i].SetFloat64(n.Bias[i])
				}
			case Relu:
				if z := v[n.Src][i]; z.Sign() > 0 {
					v[k][i].Set(z)
				}
			case Sigmoid:
				v[k][i] = exactSigmoid(v[n.Src][i])
			case Curve:
				v[k][i] = exactCurve(n.Fn, v[n.Src][i])
			case Product:
				v[k][i].Mul(v[n.Src][i], v[n.Src2][i])
			}
		}
		for _, t := range n.Terms {
			t.Map.Each(func(i, j int, w float64) {
				v[k][i].Add(v[k][i], new(big.Rat).Mul(new(big.Rat).SetFloat64(w), v[t.Src][j]))
			})
		}
	}
	return v
}

// exactCurve evaluates a curve over the rationals.
func exactCurve(f Fn, z *big.Rat) *big.Rat {
	v := new(big.Rat)
	switch f {
	case Square:
		return v.Mul(z, z)
	case Cube:
		return v.Mul(v.Mul(z, z), z)
	case Sign:
		return v.SetInt64(int64(z.Sign()))
	case Floor:
		return v.SetInt(new(big.Int).Div(z.Num(), z.Denom()))
	case Exp:
		s := exactSigmoid(z)
		return v.Quo(s, new(big.Rat).Sub(big.NewRat(1, 1), s))
	}
	return v.Inv(z)
}

// exactSigmoid is 1/(1+e^{-z}) to about 250 bits, by e^{-z} = (e^{-z/2^k})^{2^k} and Taylor's series.
func exactSigmoid(z *big.Rat) *big.Rat {
	t := new(big.Float).SetPrec(400).SetRat(z)
	t.Neg(t)
	t.SetMantExp(t, -12)
	sum, term := big.NewFloat(1).SetPrec(400), big.NewFloat(1).SetPrec(400)
	for i := 1; i < 80; i++ {
		term.Mul(term, t)
		term.Quo(term, big.NewFloat(float64(i)).SetPrec(400))
		sum.Add(sum, term)
	}
	for range 12 {
		sum.Mul(sum, sum)
	}
	sum.Add(sum, big.NewFloat(1))
	sum.Quo(big.NewFloat(1).SetPrec(400), sum)
	r, _ := sum.Rat(nil)
	return r
}

// f32Eval runs p in binary32, every row summed in a random order, with random fused multiply-adds and random blocking.
func f32Eval(p *Program, x []float64, r *rand.Rand) [][]float64 {
	v := make([][]float64, len(p.Nodes))
	for k := range p.Nodes {
		n := &p.Nodes[k]
		v[k] = make([]float64, n.N)
		rows := make([][][2]float32, n.N)
		for _, t := range n.Terms {
			t.Map.Each(func(i, j int, w float64) {
				rows[i] = append(rows[i], [2]float32{float32(w), float32(v[t.Src][j])})
			})
		}
		for i := range v[k] {
			switch n.Kind {
			case Input:
				v[k][i] = x[i]
			case Relu:
				v[k][i] = max(v[n.Src][i], 0)
			case Sigmoid:
				v[k][i] = float64(float32(1 / (1 + math.Exp(-v[n.Src][i]))))
			case Curve:
				u := float32(n.Fn.Value(v[n.Src][i]))
				v[k][i] = float64(u + u*float32(r.IntN(7)-3)*0x1p-24) // a library's function is off by some units
			case Product:
				v[k][i] = float64(float32(v[n.Src][i]) * float32(v[n.Src2][i]))
			case Affine:
				b := 0.0
				if n.Bias != nil {
					b = n.Bias[i]
				}
				v[k][i] = float64(f32Row(rows[i], float32(b), r))
			}
		}
	}
	return v
}

func f32Row(terms [][2]float32, bias float32, r *rand.Rand) float32 {
	r.Shuffle(len(terms), func(i, j int) { terms[i], terms[j] = terms[j], terms[i] })
	blocks := make([]float32, 1+r.IntN(4))
	blocks[r.IntN(len(blocks))] = bias
	for _, t := range terms {
		b := &blocks[r.IntN(len(blocks))]
		if r.IntN(2) == 0 {
			*b = float32(float64(t[0])*float64(t[1]) + float64(*b))
		} else {
			*b += float32(t[0] * t[1])
		}
	}
	s := blocks[0]
	for _, b := range blocks[1:] {
		s += b
	}
	return s
}

// randomProgram draws a small network with float32 weights: dense and sparse maps, a skip connection, optional sigmoid.
func randomProgram(r *rand.Rand, sigmoid bool) *Program {
	mat := func(m, n int) Linear {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64()))
		}
		return Dense(m, n, w)
	}
	vec := func(n int) []float64 {
		b := make([]float64, n)
		for i := range b {
			b[i] = float64(float32(r.NormFloat64()))
		}
		return b
	}
	in, h := 1+r.IntN(5), 2+r.IntN(8)
	b := NewBuilder(in)
	z := b.Affine("z", h, vec(h), 0, Term{0, mat(h, in)})
	x := b.Relu("x", z)
	z2 := b.Affine("z2", h, nil, 0, Term{x, mat(h, h)}, Term{0, mat(h, in)})
	if sigmoid {
		x = b.Sigmoid("s", z2)
	} else {
		x = b.Relu("x2", z2)
	}
	p, err := b.Program(b.Affine("y", 2, vec(2), 0, Term{x, mat(2, h)}, Term{z, mat(2, h)}))
	if err != nil {
		panic(err)
	}
	return p
}

func randomPoint(r *rand.Rand, lo, hi []float64) []float64 {
	x := make([]float64, len(lo))
	for i := range x {
		x[i] = float64(float32(lo[i] + (hi[i]-lo[i])*r.Float64()))
		x[i] = min(max(x[i], lo[i]), hi[i])
	}
	return x
}

func checkInside(t *testing.T, what string, L, U [][]float64, v [][]*big.Rat) {
	t.Helper()
	for k := range v {
		for i, e := range v[k] {
			f := new(big.Float).SetPrec(500).SetRat(e)
			if f.Cmp(big.NewFloat(L[k][i])) < 0 || f.Cmp(big.NewFloat(U[k][i])) > 0 {
				t.Fatalf("%s: node %d element %d: %v outside [%v, %v]", what, k, i, f, L[k][i], U[k][i])
			}
		}
	}
}

func TestEncloseContainsExactAndFloat32(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for trial := range 300 {
		p := randomProgram(r, trial%3 == 0)
		n := p.Nodes[0].N
		lo, hi := make([]float64, n), make([]float64, n)
		for i := range lo {
			lo[i] = float64(float32(r.NormFloat64()))
			hi[i] = lo[i] + float64(r.IntN(3))*0.25 // sometimes a point
			hi[i] = float64(float32(hi[i]))
		}
		x := randomPoint(r, lo, hi)
		exact := exactEval(p, x)
		for _, unit := range []float64{UnitReal, Unit32} {
			L, U := p.Enclose(lo, hi, unit)
			checkInside(t, "box", L, U, exact)
			L, U = p.Enclose(x, x, unit)
			checkInside(t, "point", L, U, exact)
			if unit == Unit32 {
				for range 20 {
					checkFloats(t, L, U, f32Eval(p, x, r))
				}
			}
		}
	}
}

func checkFloats(t *testing.T, L, U, v [][]float64) {
	t.Helper()
	for k := range v {
		for i, e := range v[k] {
			if !(L[k][i] <= e && e <= U[k][i]) {
				t.Fatalf("binary32: node %d element %d: %v outside [%v, %v]", k, i, e, L[k][i], U[k][i])
			}
		}
	}
}

// TestEnclosePoint checks the adjoint bound against exact and binary32 values, also with objectives that cancel, and that
// it is tighter than the intervals on average.
func TestEnclosePoint(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var wins int
	for trial := range 300 {
		p := randomProgram(r, trial%3 == 0)
		x := make([]float64, p.Nodes[0].N)
		for i := range x {
			x[i] = float64(float32(r.NormFloat64()))
		}
		c := []float64{float64(float32(r.NormFloat64())), float64(float32(r.NormFloat64()))}
		want := new(big.Rat)
		for i, y := range exactEval(p, x)[p.Output] {
			want.Add(want, new(big.Rat).Mul(new(big.Rat).SetFloat64(c[i]), y))
		}
		w := new(big.Float).SetPrec(500).SetRat(want)
		lo, hi := p.EnclosePoint(x, c, UnitReal)
		if w.Cmp(big.NewFloat(lo)) < 0 || w.Cmp(big.NewFloat(hi)) > 0 {
			t.Fatalf("trial %d: exact %v outside [%v, %v]", trial, w, lo, hi)
		}
		if hi-lo > 1e-11 {
			t.Errorf("trial %d: real enclosure has width %g", trial, hi-lo)
		}
		pt := p.NewPoint(x, Unit32)
		lo, hi = pt.Bound(c)
		for range 20 {
			y := f32Eval(p, x, r)[p.Output]
			if s := c[0]*y[0] + c[1]*y[1]; !(lo <= s+1e-13 && s-1e-13 <= hi) {
				t.Fatalf("trial %d: binary32 %v outside [%v, %v]", trial, s, lo, hi)
			}
		}
		if il, ih := pt.interval(c); hi-lo < ih-il {
			wins++
		}
	}
	if wins < 100 {
		t.Errorf("adjoint bound tighter than the intervals in only %d of 300", wins)
	}
}

// TestEncloseSigns: the relu sign is uncertain under rounding; a bound that kept the slope of the float64 run would be wrong.
func TestEncloseUncertainRelu(t *testing.T) {
	b := NewBuilder(3)
	z := b.Affine("z", 1, nil, 0, Term{0, Dense(1, 3, []float64{1, 1, 1})})
	y := b.Affine("y", 1, nil, 0, Term{b.Relu("x", z), Dense(1, 1, []float64{1 << 20})})
	p, err := b.Program(y)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{1, 0x1p-25, -1} // binary32 left to right: 0; exactly 2⁻²⁵, times 2²⁰
	lo, hi := p.EnclosePoint(x, []float64{1}, Unit32)
	if lo > 0 || hi < 0x1p-5 {
		t.Errorf("[%v, %v] misses 0 or 2⁻⁵", lo, hi)
	}
	if lo, hi = p.EnclosePoint(x, []float64{1}, UnitReal); lo > 0x1p-5 || hi < 0x1p-5 || hi-lo > 1e-8 {
		t.Errorf("real: [%v, %v], want about 2⁻⁵", lo, hi)
	}
}

func TestEncloseOverflow(t *testing.T) {
	b := NewBuilder(1)
	z := b.Affine("z", 2, nil, 0, Term{0, Dense(2, 1, []float64{0x1p100, 1})})
	y := b.Affine("y", 1, nil, 0, Term{z, Sparse(1, 2, []int32{0, 1}, []int32{1}, []float64{1})}) // dense in a runtime
	p, err := b.Program(y)
	if err != nil {
		t.Fatal(err)
	}
	if _, hi := p.EnclosePoint([]float64{0x1p30}, []float64{1}, Unit32); !math.IsInf(hi, 1) {
		t.Errorf("binary32 overflow (0·Inf) not seen: upper %v", hi)
	}
	if lo, hi := p.EnclosePoint([]float64{0x1p30}, []float64{1}, UnitReal); !(lo <= 0x1p30 && 0x1p30 <= hi && hi < 0x1p31) {
		t.Errorf("real: [%v, %v]", lo, hi)
	}
}

// TestEncloseRel: coefficients known to Rel·2⁻⁵³ only; the true network may be anywhere in between.
func TestEncloseRel(t *testing.T) {
	b := NewBuilder(1)
	p, err := b.Program(b.Affine("z", 1, []float64{1}, 1000, Term{0, Dense(1, 1, []float64{1})}))
	if err != nil {
		t.Fatal(err)
	}
	L, U := p.Enclose([]float64{1}, []float64{1}, UnitReal)
	if d := 2000 * 0x1p-53; L[1][0] > 2-d || U[1][0] < 2+d {
		t.Errorf("[2%+g, 2%+g] misses the coefficient error", L[1][0]-2, U[1][0]-2)
	}
}

func TestSigmoidBoundsTails(t *testing.T) {
	for _, z := range []float64{-800, -710, -701, -699, -40, 0, 37, 800, math.Inf(-1), math.Inf(1)} {
		lo, hi := sigmoidBounds(z, UnitReal)
		if !(0 <= lo && lo <= hi && hi <= 1) {
			t.Errorf("z=%v: [%v, %v]", z, lo, hi)
		}
		if z < -600 && z > -1000 { // e^z > 2^-1000 only above −693.2
			want := new(big.Float).SetMantExp(big.NewFloat(1), int(math.Floor(z/math.Ln2)))
			if big.NewFloat(hi).Cmp(want) < 0 {
				t.Errorf("z=%v: upper %v below e^z", z, hi)
			}
		}
	}
}

// TestPointSigmoid: a runtime's sigmoid is off by a few units in binary32; the bound must leave room for it, and only for it.
func TestPointSigmoid(t *testing.T) {
	b := NewBuilder(1)
	p, err := b.Program(b.Sigmoid("s", 0))
	if err != nil {
		t.Fatal(err)
	}
	s := 1 / (1 + math.Exp(-0.5))
	lo, hi := p.EnclosePoint([]float64{0.5}, []float64{1}, Unit32)
	if e := 4 * Unit32; lo > s-e || hi < s+e || hi-lo > 10*e {
		t.Errorf("[%v, %v] around %v", lo, hi, s)
	}
}
