package spec

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// A value is an exact real number v as the floats see it: near is the float64 nearest to it, dir the sign of v − near, and
// near32 the float32 nearest to it (±Inf beyond the range of float32).
type value struct {
	near   float64
	near32 float32
	dir    int8
}

// exactly returns the value of a float64.
func exactly(f float64) value {
	if f == 0 {
		f = 0 // no negative zero
	}
	return value{near: f, near32: float32(f)}
}

// ratValue returns the value of r; ok is false beyond the range of float64.
func ratValue(r *big.Rat) (v value, ok bool) {
	v.near, _ = r.Float64()
	v.near32, _ = r.Float32()
	if math.IsInf(v.near, 0) {
		return v, false
	}
	v.dir = int8(r.Cmp(new(big.Rat).SetFloat64(v.near)))
	return v.settle()
}

// settle turns −0 into 0 and refuses values whose enclosing floats would be infinite.
func (v value) settle() (value, bool) {
	if v.near == 0 {
		v.near = 0
	}
	if v.near32 == 0 {
		v.near32 = 0
	}
	return v, !math.IsInf(v.floor64(), 0) && !math.IsInf(v.ceil64(), 0)
}

func (v value) neg() value { return value{near: 0 - v.near, near32: 0 - v.near32, dir: -v.dir} }

// floor64 returns the greatest float64 ≤ v.
func (v value) floor64() float64 {
	if v.dir < 0 {
		return math.Nextafter(v.near, math.Inf(-1))
	}
	return v.near
}

// ceil64 returns the least float64 ≥ v.
func (v value) ceil64() float64 {
	if v.dir > 0 {
		return math.Nextafter(v.near, math.Inf(1))
	}
	return v.near
}

// cmp32 returns the sign of v − near32. Sound: rounding to the nearest float64 is monotone and near32 is a float64, so
// near < near32 implies v < near32, and where they are equal dir decides.
func (v value) cmp32() int {
	switch w := float64(v.near32); {
	case v.near < w:
		return -1
	case v.near > w:
		return 1
	}
	return int(v.dir)
}

// floor32 returns the greatest float32 ≤ v (< v when strict), −Inf when there is none.
func (v value) floor32(strict bool) float32 {
	c := v.cmp32()
	if c < 0 || c == 0 && strict {
		return math.Nextafter32(v.near32, float32(math.Inf(-1)))
	}
	return v.near32
}

// ceil32 returns the least float32 ≥ v (> v when strict), +Inf when there is none.
func (v value) ceil32(strict bool) float32 {
	c := v.cmp32()
	if c > 0 || c == 0 && strict {
		return math.Nextafter32(v.near32, float32(math.Inf(1)))
	}
	return v.near32
}

// lowerEnd returns Box.Lower for a lower bound v. A near32 of ±Inf is no float32 input and is left out of the hull: every
// finite float32 lies on v's inner side already.
func (v value) lowerEnd() float64 {
	f := v.floor64()
	if w := float64(v.near32); w < f && !math.IsInf(w, 0) {
		return w
	}
	return f
}

// upperEnd returns Box.Upper for an upper bound v.
func (v value) upperEnd() float64 {
	f := v.ceil64()
	if w := float64(v.near32); w > f && !math.IsInf(w, 0) {
		return w
	}
	return f
}

// An interval is one input's range with exact ends.
type interval struct {
	lower, upper             value
	strictLower, strictUpper bool
}

// store writes the interval's roundings to position i of b.
func (iv *interval) store(b *Box, i int) {
	b.Lower[i], b.Upper[i] = iv.lower.lowerEnd(), iv.upper.upperEnd()
	in, out := iv.lower.ceil32(iv.strictLower), iv.upper.floor32(iv.strictUpper)
	if in > out || math.IsInf(float64(in), 0) || math.IsInf(float64(out), 0) {
		b.Inexact = true
		in = max(-math.MaxFloat32, min(math.MaxFloat32, iv.lower.near32))
		out = in
	}
	b.InLower[i], b.InUpper[i] = in, out
}

// newBox returns a box of n inputs in two allocations.
func newBox(n int) Box {
	f, g := make([]float64, 2*n), make([]float32, 2*n)
	return Box{Lower: f[:n:n], Upper: f[n:], InLower: g[:n:n], InUpper: g[n:]}
}

const (
	maxExponent = 5000 // of a decimal constant; keeps exact arithmetic on it small
	maxDigits   = 4096 // characters of one constant
)

// canonical appends the one spelling of a decimal constant to dst: "0" or [-]digitse±exponent, no zeros at either end of the
// digits. It reports in words what is wrong with a malformed constant.
func canonical(dst, text []byte) ([]byte, string) {
	if len(text) > maxDigits {
		return dst, "this number has too many digits"
	}
	i, start := 0, len(dst)
	if text[0] == '-' || text[0] == '+' {
		if text[0] == '-' {
			dst = append(dst, '-')
		}
		i++
	}
	first, exp, seen, point := len(dst), 0, false, false
scan:
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			seen = true
			if point {
				exp--
			}
			if c != '0' || len(dst) > first {
				dst = append(dst, c)
			}
		case c == '.' && !point:
			point = true
		default:
			break scan
		}
	}
	if !seen {
		return dst, "malformed number"
	}
	e, bad := exponent(text[i:])
	if bad != "" {
		return dst, bad
	}
	for len(dst) > first && dst[len(dst)-1] == '0' {
		dst, exp = dst[:len(dst)-1], exp+1
	}
	if len(dst) == first {
		return append(dst[:start], '0'), ""
	}
	return strconv.AppendInt(append(dst, 'e'), int64(exp+e), 10), ""
}

// exponent reads "", "e5", "E-05".
func exponent(text []byte) (int, string) {
	if len(text) == 0 {
		return 0, ""
	}
	digits := text[1:]
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if text[0]|0x20 != 'e' || len(digits) == 0 {
		return 0, "malformed number"
	}
	e := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, "malformed number"
		}
		if e = 10*e + int(c-'0'); e > maxExponent {
			return 0, "the exponent of this number is out of range"
		}
	}
	if text[1] == '-' {
		e = -e
	}
	return e, ""
}

// decimalValue returns the value of a decimal in canonical spelling; ok is false beyond the range of float64.
func decimalValue(key string) (v value, ok bool) {
	if key == "0" {
		return value{}, true
	}
	var err error
	if v.near, err = strconv.ParseFloat(key, 64); err != nil && math.IsInf(v.near, 0) {
		return v, false
	}
	w, _ := strconv.ParseFloat(key, 32) // rounded from the decimal, not twice; ±Inf beyond the range
	v.near32 = float32(w)
	if dir, fast := direction(key, v.near); fast {
		v.dir = dir
	} else {
		r, good := new(big.Rat).SetString(key)
		if !good {
			return v, false
		}
		v.dir = int8(r.Cmp(new(big.Rat).SetFloat64(v.near)))
	}
	return v.settle()
}

// direction returns the sign of decimal − f for f the float64 nearest to the decimal, in 128-bit integers; fast is false
// where those do not suffice. With decimal = d·10^e and f = m·2^b the sides d·5^e·2^e and m·2^b agree to 53 bits, so the
// shifted side is as long as the other one: at most 64+63 bits.
func direction(key string, f float64) (dir int8, fast bool) {
	neg := key[0] == '-'
	if neg {
		key, f = key[1:], -f
	}
	var d uint64
	i := 0
	for ; key[i] != 'e'; i++ {
		if i >= 19 {
			return 0, false
		}
		d = 10*d + uint64(key[i]-'0')
	}
	e, err := strconv.Atoi(key[i+1:])
	if err != nil || e < -27 || e > 27 {
		return 0, false
	}
	m, b := mantissa(f)
	l, r := [2]uint64{0, d}, [2]uint64{0, m}
	if e >= 0 {
		l[0], l[1] = bits.Mul64(d, pow5(e))
	} else {
		r[0], r[1] = bits.Mul64(m, pow5(-e))
	}
	if s := b - e; s >= 0 {
		r = shift(r, s)
	} else {
		l = shift(l, -s)
	}
	switch {
	case l[0] > r[0] || l[0] == r[0] && l[1] > r[1]:
		dir = 1
	case l != r:
		dir = -1
	}
	if neg {
		dir = -dir
	}
	return dir, true
}

// mantissa returns m < 2⁵³ and b with f = m·2^b for a normal f > 0.
func mantissa(f float64) (m uint64, b int) {
	u := math.Float64bits(f)
	return u&(1<<52-1) | 1<<52, int(u>>52) - 1075
}

func pow5(n int) uint64 {
	p := uint64(1)
	for ; n > 0; n-- {
		p *= 5
	}
	return p
}

func shift(v [2]uint64, s int) [2]uint64 {
	if s >= 64 {
		v, s = [2]uint64{v[1], 0}, s-64
	}
	return [2]uint64{v[0]<<s | v[1]>>(64-s), v[1] << s}
}
