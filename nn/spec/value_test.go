package spec

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// genDecimal draws decimals as files spell them, float32 and float64 values and their neighbourhoods, and ties.
func genDecimal(t *rapid.T, label string) string {
	switch rapid.IntRange(0, 4).Draw(t, label+" kind") {
	case 0:
		return rapid.StringMatching(`-?[0-9]{1,3}(\.[0-9]{0,20})?(e-?[0-9]{1,2})?`).Draw(t, label)
	case 1:
		f := rapid.Float32Range(-1e30, 1e30).Draw(t, label)
		return exactText(float64(f))
	case 2:
		f := rapid.Float64Range(-1e30, 1e30).Draw(t, label)
		return shortest(f, rapid.SampledFrom([]int{32, 64}).Draw(t, label+" bits"))
	case 3: // the middle of two float32, or next to it
		f := rapid.Float32Range(-1e10, 1e10).Draw(t, label)
		r := new(big.Rat).SetFloat64(float64(f))
		r.Add(r, new(big.Rat).SetFloat64(float64(math.Nextafter32(f, 2e10)))).Mul(r, big.NewRat(1, 2))
		r.Add(r, big.NewRat(rapid.Int64Range(-1, 1).Draw(t, label+" side"), 1<<62))
		return plain(ratKey(r))
	default:
		return rapid.StringMatching(`-?[0-9]{1,30}e-?[0-9]{1,3}`).Filter(func(s string) bool {
			_, ok := textValue(s)
			return ok
		}).Draw(t, label)
	}
}

// Every rounding of a decimal is the one exact arithmetic gives.
func TestValueRoundings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := genDecimal(t, "decimal")
		v, ok := textValue(text)
		if !ok {
			t.Skip("out of range")
		}
		r, _ := new(big.Rat).SetString(text)
		near, _ := r.Float64()
		near32, _ := r.Float32()
		if v.near != near || v.near32 != near32 || int(v.dir) != r.Cmp(rat(near)) {
			t.Fatalf("%s: %+v, want %v, %v, %d", text, v, near, near32, r.Cmp(rat(near)))
		}
		if w, ok := ratValue(r); !ok || w != v {
			t.Fatalf("%s: %+v as a rational, %+v as a decimal", text, w, v)
		}
		lo, hi := v.floor64(), v.ceil64()
		if rat(lo).Cmp(r) > 0 || rat(hi).Cmp(r) < 0 || lo != hi && math.Nextafter(lo, hi) != hi {
			t.Fatalf("%s is not tight in [%v, %v]", text, lo, hi)
		}
		for _, strict := range []bool{false, true} {
			checkFloor32(t, text, r, v, strict)
			checkFloor32(t, "-"+text, new(big.Rat).Neg(r), v.neg(), strict)
		}
	})
}

// checkFloor32 checks floor32 against its definition, and ceil32 by symmetry.
func checkFloor32(t *rapid.T, text string, r *big.Rat, v value, strict bool) {
	below := func(f float32) bool {
		if math.IsInf(float64(f), 0) {
			return f < 0
		}
		c := rat(float64(f)).Cmp(r)
		return c < 0 || c == 0 && !strict
	}
	f := v.floor32(strict)
	if !below(f) || below(math.Nextafter32(f, float32(math.Inf(1)))) && f != math.MaxFloat32 {
		t.Fatalf("%s: floor32(%v) = %v", text, strict, f)
	}
	if g := v.neg().ceil32(strict); g != -f {
		t.Fatalf("%s: ceil32 of the negative is %v, floor32 %v", text, g, f)
	}
}

// The 128-bit comparison agrees with rationals wherever it answers, and answers on decimals of ordinary size.
func TestDirection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.Uint64Range(1, 9_999_999_999_999_999_999).Draw(t, "digits")
		e := rapid.IntRange(-27, 27).Draw(t, "exponent")
		key := fmt.Sprintf("%de%d", digits, e)
		if rapid.Bool().Draw(t, "negative") {
			key = "-" + key
		}
		r, _ := new(big.Rat).SetString(key)
		f, _ := r.Float64()
		got, fast := direction(key, f)
		if !fast {
			t.Fatalf("%s was not decided", key)
		}
		if want := r.Cmp(rat(f)); int(got) != want {
			t.Fatalf("%s: %d, want %d", key, got, want)
		}
	})
}

// The laws of spec.Box, against exact arithmetic.
func TestBoxLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo, hi := genDecimal(t, "lower"), genDecimal(t, "upper")
		if rapid.IntRange(0, 3).Draw(t, "fixed") == 0 {
			hi = lo
		}
		l, _ := new(big.Rat).SetString(lo)
		h, _ := new(big.Rat).SetString(hi)
		if l.Cmp(h) > 0 {
			lo, hi, l, h = hi, lo, h, l
		}
		p, err := Read("q", strings.NewReader(declare1(1, 1)+"(assert (>= X_0 "+lo+"))(assert (<= X_0 "+hi+"))"), nil)
		if err != nil {
			t.Skip(err)
		}
		if len(p.Cases) != 1 {
			t.Fatalf("[%s, %s] counts as empty: %v", lo, hi, p.Vacuous)
		}
		b := p.Boxes[0]
		in := func(f float32) bool { return l.Cmp(rat(float64(f))) <= 0 && rat(float64(f)).Cmp(h) <= 0 }
		if rat(b.Lower[0]).Cmp(l) > 0 || rat(b.Upper[0]).Cmp(h) < 0 {
			t.Fatalf("[%v, %v] does not enclose [%s, %s]", b.Lower[0], b.Upper[0], lo, hi)
		}
		for _, r := range []*big.Rat{l, h} {
			if f, _ := r.Float32(); !math.IsInf(float64(f), 0) && (float64(f) < b.Lower[0] || float64(f) > b.Upper[0]) {
				t.Fatalf("[%v, %v] misses the float32 end %v", b.Lower[0], b.Upper[0], f)
			}
		}
		f, g := b.InLower[0], b.InUpper[0]
		if b.Inexact {
			if f != g || in(f) || in(math.Nextafter32(f, math.MaxFloat32)) || in(math.Nextafter32(f, -math.MaxFloat32)) {
				t.Fatalf("inexact at %v, %v for [%s, %s]", f, g, lo, hi)
			}
			return
		}
		if f > g || !in(f) || !in(g) || f > -math.MaxFloat32 && in(math.Nextafter32(f, -math.MaxFloat32)) ||
			g < math.MaxFloat32 && in(math.Nextafter32(g, math.MaxFloat32)) {
			t.Fatalf("float32 grid [%v, %v] of [%s, %s]", f, g, lo, hi)
		}
	})
}

// Comparing constants and deciding emptiness is exact, also where floats cannot tell them apart.
func TestExactComparison(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genDecimal(t, "a")
		b := genDecimal(t, "b")
		if rapid.Bool().Draw(t, "close") {
			r, _ := new(big.Rat).SetString(a)
			r.Add(r, new(big.Rat).Quo(big.NewRat(rapid.Int64Range(-1, 1).Draw(t, "step"), 1), rat(0x1p300)))
			b = plain(ratKey(r))
		}
		n := newNumbers()
		x, bad := n.decimal([]byte(a))
		y, worse := n.decimal([]byte(b))
		if bad != "" || worse != "" {
			t.Skip("out of range")
		}
		r, _ := new(big.Rat).SetString(a)
		s, _ := new(big.Rat).SetString(b)
		if got := n.cmp(x, y); (got > 0) != (r.Cmp(s) > 0) || (got < 0) != (r.Cmp(s) < 0) {
			t.Fatalf("cmp(%s, %s) = %d", a, b, got)
		}
		if (x == y) != (r.Cmp(s) == 0) {
			t.Fatalf("IDs %d and %d of %s and %s", x, y, a, b)
		}
		if z, _ := n.rational(r); z != x {
			t.Fatalf("%s has the ID %d as a decimal, %d as a quotient", a, x, z)
		}
		if back, _ := new(big.Rat).SetString(n.list[x].String()); back.Cmp(r) != 0 {
			t.Fatalf("%s prints as %s", a, n.list[x].String())
		}
	})
}

// Linear rows enclose the exact coefficients and right-hand sides.
func TestRowEnclosures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, k := genDecimal(t, "coefficient"), genDecimal(t, "constant")
		q, _ := new(big.Rat).SetString(c)
		r, _ := new(big.Rat).SetString(k)
		text := declare1(1, 2) + box1 + "(assert (>= (* " + k + " 2) (+ Y_1 (* 3 " + c + " Y_0))))"
		p, err := Read("q", strings.NewReader(text), nil)
		if err != nil {
			t.Skip(err)
		}
		q.Mul(q, big.NewRat(3, 1))
		r.Mul(r, big.NewRat(2, 1))
		row := p.Cases[0].Rows[0]
		if rat(row.RHSLower).Cmp(r) > 0 || rat(row.RHSUpper).Cmp(r) < 0 {
			t.Fatalf("right-hand side [%v, %v]", row.RHSLower, row.RHSUpper)
		}
		y := row.Y[0]
		if q.Sign() == 0 {
			if len(row.Y) != 1 || y.Index != 1 {
				t.Fatalf("zero coefficient kept: %v", row)
			}
			return
		}
		if d := new(big.Rat).Sub(q, rat(y.Value)); d.Abs(d).Cmp(rat(y.Err)) > 0 || (d.Sign() == 0) != (y.Err == 0) {
			t.Fatalf("coefficient %v ± %v for 3·%s", y.Value, y.Err, c)
		}
	})
}

// Sums of two floats are as exact as decimals.
func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(-1e10, 1e10).Draw(t, "a")
		b := rapid.Float64Range(-1, 1).Draw(t, "b")
		if rapid.Bool().Draw(t, "tie") { // near the middle of two float32
			f := float32(a)
			a = (float64(f) + float64(math.Nextafter32(f, 2e10))) / 2
			b *= 0x1p-60
		}
		want, _ := ratValue(new(big.Rat).Add(rat(a), rat(b)))
		if got := sum(a, b); got != want {
			t.Fatalf("%v + %v = %+v, want %+v", a, b, got, want)
		}
	})
}

func TestPlain(t *testing.T) {
	for key, want := range map[string]string{
		"0": "0", "1e0": "1", "12e2": "1200", "-5e-1": "-0.5", "125e-2": "1.25", "1e-6": "0.000001", "1e-7": "1e-7",
		"123e-20": "1.23e-18", "1e30": "1e30", "-17e40": "-1.7e41", "1/3": "1/3",
	} {
		if got := plain(key); got != want {
			t.Errorf("plain(%s) = %s, want %s", key, got, want)
		}
	}
}
