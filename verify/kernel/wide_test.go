package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func newRat(f float64) *big.Rat { return new(big.Rat).SetFloat64(f) }

// draw returns an integer of up to n bits; edges are frequent.
func draw(r *rand.Rand, n int) *big.Int {
	v := below(r, new(big.Int).Lsh(big.NewInt(1), uint(r.IntN(n+1))))
	switch r.IntN(6) {
	case 0:
		v.Lsh(big.NewInt(1), uint(r.IntN(n)))
	case 1:
		v.Sub(v.Lsh(big.NewInt(1), uint(r.IntN(n))), big.NewInt(1))
	}
	if r.IntN(2) == 0 {
		v.Neg(v)
	}
	return v
}

func to128(v *big.Int) i128 {
	m := new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64))
	return i128{new(big.Int).And(new(big.Int).Rsh(v, 64), new(big.Int).SetUint64(math.MaxUint64)).Uint64(), m.Uint64()}
}

func big128(a i128) *big.Int { return a.wide(0).big() }

// TestWide compares the fixed-width integers with math/big.
func TestWide(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	is := func(what string, got, want *big.Int) {
		t.Helper()
		if got.Cmp(want) != 0 {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	op := func() *big.Int { return new(big.Int) }
	for range 40000 {
		x, y, a, b := draw(r, 62), draw(r, 62), draw(r, 125), draw(r, 125)
		A, B := to128(a), to128(b)
		is("mul64", big128(mul64(x.Int64(), y.Int64())), op().Mul(x, y))
		is("plus", big128(A.plus(B)), op().Add(a, b))
		is("minus", big128(A.minus(B)), op().Sub(a, b))
		is("times", A.times(y.Int64()).big(), op().Mul(a, y))
		if maxBits([]i128{A, B}) != max(a.BitLen(), b.BitLen()) || A.negative() != (a.Sign() < 0) {
			t.Fatalf("bits, sign of %v", a)
		}
		s := r.IntN(126)
		is("wide", A.wide(s).big(), op().Lsh(a, uint(s)))
		if a.BitLen()+s < 126 {
			is("shl", big128(A.shl(s)), op().Lsh(a, uint(s)))
		}
		is("shr", big128(A.shr(s)), op().Rsh(a, uint(s)))
		W, w := A.times(y.Int64()).plus(B.wide(60)), op().Add(op().Mul(a, y), op().Lsh(b, 60))
		V, v := B.times(x.Int64()), op().Mul(b, x)
		is("i256", W.big(), w)
		is("negated", W.negated().big(), op().Neg(w))
		if W.less(V) != (w.Cmp(v) < 0) || W.bitLen() != w.BitLen() {
			t.Fatalf("less, bitLen of %v and %v", w, v)
		}
		k := r.IntN(260) - 30
		want := op().Lsh(w, uint(max(0, -k)))
		want.Rsh(want, uint(max(0, k)))
		got, err := int64(0), error(nil)
		func() {
			defer door(&err)
			got = W.floor(k)
		}()
		if err == nil {
			is("floor", big.NewInt(got), want)
		} else if w.BitLen()-k < boundBits {
			t.Fatalf("floor of %v by %d is refused", w, k)
		}
		if f, _ := new(big.Float).SetInt(a).Float64(); math.Abs(A.float()-f) > 1e-15*math.Abs(f) {
			t.Fatalf("float of %v is %v", a, A.float())
		}
	}
}

// TestQuantise: stored numbers are exact, or within two steps when they say that they are rounded.
func TestQuantise(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	exact := 0
	for range 3000 {
		data := make([]float64, 1+r.IntN(6))
		spread := 1 << r.IntN(8)
		for i := range data {
			data[i] = math.Ldexp(float64(float32(r.NormFloat64())), r.IntN(2*spread)-spread)
			if r.IntN(8) == 0 {
				data[i] = 0
			}
		}
		q := quantise(data, r.IntN(4) == 0)
		if !q.rounded {
			exact++
		}
		for i, f := range data {
			d := new(big.Rat).Sub(newRat(f), scaled(big.NewInt(q.v[i]), q.exp))
			if q.v[i] >= 1<<weightBits || q.v[i] <= -1<<weightBits-1 || !q.rounded && d.Sign() != 0 || d.Abs(d).Cmp(scaled(big.NewInt(1), q.exp)) > 0 {
				t.Fatalf("%v: %d·2^-%d, rounded %v", f, q.v[i], q.exp, q.rounded)
			}
		}
	}
	if exact < 500 || exact > 2500 {
		t.Errorf("%d of 3000 are exact: the test sees one side only", exact)
	}
	for _, f := range []float64{math.NaN(), math.Inf(1)} {
		var err error
		func() {
			defer door(&err)
			quantise([]float64{1, f}, false)
		}()
		if err == nil {
			t.Errorf("%v is accepted", f)
		}
	}
}

// below returns a random number below n.
func below(r *rand.Rand, n *big.Int) *big.Int {
	v := new(big.Int)
	for range 3 {
		v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(r.Uint64()))
	}
	return v.Mod(v, n)
}
