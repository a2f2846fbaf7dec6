package kernel

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// An i128 is a two's complement integer.
type i128 struct{ hi, lo uint64 }

// mul64 returns x·y.
func mul64(x, y int64) i128 {
	hi, lo := bits.Mul64(uint64(x), uint64(y))
	return i128{hi - (uint64(x>>63)&uint64(y) + uint64(y>>63)&uint64(x)), lo}
}

func from64(x int64) i128 { return i128{uint64(x >> 63), uint64(x)} }

func (a i128) plus(b i128) i128 {
	lo, c := bits.Add64(a.lo, b.lo, 0)
	return i128{a.hi + b.hi + c, lo}
}

func (a i128) minus(b i128) i128 {
	lo, c := bits.Sub64(a.lo, b.lo, 0)
	return i128{a.hi - b.hi - c, lo}
}

// shl returns a·2^s for 0 ≤ s < 128; the caller has checked that it fits.
func (a i128) shl(s int) i128 {
	if s >= 64 {
		return i128{a.lo << (s - 64), 0}
	}
	return i128{a.hi<<s | a.lo>>(64-s), a.lo << s}
}

// shr returns ⌊a/2^s⌋ for 0 ≤ s < 128.
func (a i128) shr(s int) i128 {
	if s >= 64 {
		return from64(int64(a.hi) >> (s - 64))
	}
	return i128{uint64(int64(a.hi) >> s), a.lo>>s | a.hi<<(64-s)}
}

func (a i128) negative() bool { return int64(a.hi) < 0 }

// abs returns |a| as an unsigned number.
func (a i128) abs() i128 {
	if a.negative() {
		return i128{}.minus(a)
	}
	return a
}

// float returns a number near a. It serves proposals only.
func (a i128) float() float64 {
	m := a.abs()
	f := float64(float64(m.hi)*(1<<64)) + float64(m.lo)
	if a.negative() {
		return -f
	}
	return f
}

// maxBits returns the least n with |x| < 2^n for all x.
func maxBits(a []i128) int {
	var or i128
	for _, x := range a {
		x = x.abs()
		or.hi, or.lo = or.hi|x.hi, or.lo|x.lo
	}
	if or.hi != 0 {
		return 64 + bits.Len64(or.hi)
	}
	return bits.Len64(or.lo)
}

// An i256 is a two's complement integer, lowest word first.
type i256 [4]uint64

// times returns a·y.
func (a i128) times(y int64) i256 {
	m, u := a.abs(), uint64(max(y, -y))
	h0, l0 := bits.Mul64(m.lo, u)
	h1, l1 := bits.Mul64(m.hi, u)
	mid, c := bits.Add64(h0, l1, 0)
	if r := (i256{l0, mid, h1 + c}); a.negative() != (y < 0) {
		return r.negated()
	} else {
		return r
	}
}

// wide returns a·2^s for 0 ≤ s ≤ 126.
func (a i128) wide(s int) i256 {
	sign := uint64(int64(a.hi) >> 63)
	r := i256{a.lo, a.hi, sign, sign}
	if s >= 64 {
		r, s = i256{0, r[0], r[1], r[2]}, s-64
	}
	return i256{r[0] << s, r[1]<<s | r[0]>>(64-s), r[2]<<s | r[1]>>(64-s), r[3]<<s | r[2]>>(64-s)}
}

func (a i256) plus(b i256) i256 {
	var c uint64
	for i := range a {
		a[i], c = bits.Add64(a[i], b[i], c)
	}
	return a
}

func (a i256) negated() i256 { return i256{^a[0], ^a[1], ^a[2], ^a[3]}.plus(i256{1}) }

func (a i256) negative() bool { return int64(a[3]) < 0 }

// less reports a < b for numbers below 2^254.
func (a i256) less(b i256) bool { return a.plus(b.negated()).negative() }

// small reports whether |a| is at most 2^192.
func (a i256) small() bool { return a[3]+1 <= 1 }

// bitLen returns the least n with |a| < 2^n.
func (a i256) bitLen() int {
	if a.negative() {
		a = a.negated()
	}
	n := maxBits([]i128{{a[3], a[2]}})
	if n > 0 {
		return 128 + n
	}
	if a[1] != 0 {
		return 64 + bits.Len64(a[1])
	}
	return bits.Len64(a[0])
}

// floor returns ⌊a·2^-s⌋, s of either sign, and refuses more than boundBits bits.
func (a i256) floor(s int) int64 {
	need(a.bitLen()-s < boundBits, tooWide)
	return int64(a.shift(-s)[0])
}

// shift returns ⌊a·2^s⌋, s of either sign; the caller has checked that it fits.
func (a i256) shift(s int) i256 {
	sign := uint64(int64(a[3]) >> 63)
	for ; s <= -64; s += 64 {
		a = i256{a[1], a[2], a[3], sign}
	}
	for ; s >= 64; s -= 64 {
		a = i256{0, a[0], a[1], a[2]}
	}
	if s < 0 {
		return i256{a[0]>>-s | a[1]<<(64+s), a[1]>>-s | a[2]<<(64+s), a[2]>>-s | a[3]<<(64+s), uint64(int64(a[3]) >> -s)}
	}
	return i256{a[0] << s, a[1]<<s | a[0]>>(64-s), a[2]<<s | a[1]>>(64-s), a[3]<<s | a[2]>>(64-s)}
}

// A sum is a number v·2^-exp that is rounded down where it does not fit.
type sum struct {
	v   i256
	exp int
}

const sumBits = 250 // of a sum

// add adds v·2^-exp, |v| < 2^sumBits.
func (s *sum) add(v i256, exp int) {
	if v == (i256{}) {
		return
	}
	if s.v == (i256{}) {
		s.v, s.exp = v, exp
		return
	}
	if d := exp - s.exp; d == 0 && v.small() && s.v.small() {
		s.v = s.v.plus(v)
		return
	} else if d > 0 && d < 56 && s.v.small() && v.small() {
		s.v, s.exp = s.v.shift(d).plus(v), exp
		return
	} else if d < 0 && d > -56 && s.v.small() && v.small() {
		s.v = s.v.plus(v.shift(-d))
		return
	}
	fine, coarse := sum{v, exp}, *s
	if exp < s.exp {
		fine, coarse = coarse, fine
	}
	up := min(fine.exp-coarse.exp, sumBits-coarse.v.bitLen(), sumBits-fine.v.bitLen()+fine.exp-coarse.exp)
	s.exp = coarse.exp + up
	s.v = coarse.v.shift(up).plus(fine.v.shift(s.exp - fine.exp))
}

// addRat adds r, rounded down to a multiple of 2^-finest.
func (s *sum) addRat(r *big.Rat) {
	v := floorRat(r, finest)
	need(v.BitLen() < sumBits, tooWide)
	s.add(fromBig(v), finest)
}

// sign returns −1, 0 or 1.
func (s *sum) sign() int {
	switch {
	case s.v.negative():
		return -1
	case s.v == (i256{}):
		return 0
	}
	return 1
}

// units returns ⌊s·2^exp⌋, or a number beyond all bounds on the same side.
func (s *sum) units(exp int) int64 {
	switch {
	case s.v == (i256{}) || s.v.bitLen()+exp-s.exp < boundBits:
		return s.v.shift(exp - s.exp).low()
	case s.v.negative():
		return -2 << boundBits
	}
	return 2 << boundBits
}

// float returns a number near s. It serves messages and heuristics only.
func (s *sum) float() float64 {
	f, _ := new(big.Float).SetInt(s.v.big()).Float64()
	return math.Ldexp(f, -s.exp)
}

// low returns a number that fits in 64 bits.
func (a i256) low() int64 { return int64(a[0]) }

// fromBig returns v, which has fewer than 255 bits.
func fromBig(v *big.Int) (a i256) {
	var b [32]byte
	v.FillBytes(b[:])
	for i := range a {
		a[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	if v.Sign() < 0 {
		return a.negated()
	}
	return a
}

func (a i256) big() *big.Int {
	if a.negative() {
		v := a.negated().big()
		return v.Neg(v)
	}
	v := new(big.Int)
	for i := 3; i >= 0; i-- {
		v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(a[i]))
	}
	return v
}

// scaled returns v·2^-exp.
func scaled(v *big.Int, exp int) *big.Rat {
	num, den := new(big.Int).Lsh(v, uint(max(0, -exp))), new(big.Int).Lsh(big.NewInt(1), uint(max(0, exp)))
	return new(big.Rat).SetFrac(num, den)
}

// floorRat returns ⌊r·2^exp⌋.
func floorRat(r *big.Rat, exp int) *big.Int {
	num, den := new(big.Int).Lsh(r.Num(), uint(max(0, exp))), new(big.Int).Lsh(r.Denom(), uint(max(0, -exp)))
	return num.Div(num, den) // Euclidean, and den > 0: the floor
}
