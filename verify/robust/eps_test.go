package robust

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/spai-project/certify/attacks/evasion"
)

func TestParseEps(t *testing.T) {
	for text, want := range map[string]*big.Rat{
		"0.1": big.NewRat(1, 10), "2/255": big.NewRat(2, 255), "0": new(big.Rat), "1e-3": big.NewRat(1, 1000),
		" 0.25 ": big.NewRat(1, 4),
		"0.5/2":  big.NewRat(1, 4), "1E2": big.NewRat(100, 1), ".5": big.NewRat(1, 2),
	} {
		f, err := ParseEps(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if rat(f).Cmp(want) < 0 || f > 0 && rat(math.Nextafter(f, 0)).Cmp(want) >= 0 {
			t.Errorf("%q gives %v, not the least float64 that is not below it", text, f)
		}
	}
	for _, text := range []string{"", "-1", "NaN", "inf", "1/0", "1/", "/2", "1/2/3", "1e999999999", "1e-999999999", "0x1p-3",
		"1_0", "a", "1e99", "1..2", "."} {
		if f, err := ParseEps(text); err == nil {
			t.Errorf("%q gives %v", text, f)
		}
	}
}

func TestParseEpsList(t *testing.T) {
	eps, texts, err := ParseEpsList("0.2, 2/255,0.1,0.10")
	if err != nil || len(eps) != 3 || texts[0] != "2/255" || texts[1] != "0.1" || texts[2] != "0.2" || !(eps[0] < eps[1] &&
		eps[1] < eps[2]) {
		t.Errorf("%v %q %v", eps, texts, err)
	}
	if _, _, err := ParseEpsList("0.1,,0.2"); err == nil {
		t.Error("an empty radius passes")
	}
}

// TestFormatDirected: what is printed lies on the safe side and is close.
func TestFormatDirected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64Range(1e-9, 300).Draw(t, "v")
		for sign, text := range map[int]string{-1: FormatDown(v), 1: FormatUp(v)} {
			r, ok := new(big.Rat).SetString(text)
			if !ok || r.Cmp(rat(v)) == -sign {
				t.Fatalf("%v is written %s on the wrong side", v, text)
			}
			if f, _ := r.Float64(); math.Abs(f-v) > 1.1e-3*v {
				t.Fatalf("%v is written %s", v, text)
			}
		}
	})
	if FormatDown(0.1) != "0.1" || FormatUp(0.0999999) != "0.1" || FormatDown(0.0999999) != "0.0999" {
		t.Errorf("%s %s %s", FormatDown(0.1), FormatUp(0.0999999), FormatDown(0.0999999))
	}
}

// TestRounding: sums, products and quotients are the exact ones rounded up.
func TestRounding(t *testing.T) {
	positive := rapid.OneOf(rapid.Float64Range(1e-300, 1e-200), rapid.Float64Range(1e-10, 1e10))
	rapid.Check(t, func(t *rapid.T) {
		a, b := positive.Draw(t, "a"), rapid.Float64Range(1e-6, 1e6).Draw(t, "b")
		for _, c := range []struct {
			got  float64
			want *big.Rat
		}{
			{plusUp(a, b), new(big.Rat).Add(rat(a), rat(b))}, {plusUp(a, -b), new(big.Rat).Sub(rat(a), rat(b))},
			{timesUp(a, b), new(big.Rat).Mul(rat(a), rat(b))}, {overUp(a, b), new(big.Rat).Quo(rat(a), rat(b))},
		} {
			if rat(c.got).Cmp(c.want) < 0 {
				t.Fatalf("%v and %v: %v is below %v", a, b, c.got, c.want)
			}
		}
	})
	if timesUp(5e-324, 0.25) <= 0 || overUp(5e-324, 4) <= 0 {
		t.Error("what vanishes is rounded to 0")
	}
}

// TestProblemCovers: the box of a question covers the ball and the ball's distance measures its corners.
func TestProblemCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := []float64{float64(rapid.Float32Range(0, 1).Draw(t, "x")), float64(rapid.Float32Range(0, 1).Draw(t, "y"))}
		eps := rapid.Float64Range(0, 2).Draw(t, "eps")
		d := Domain{Lower: []float64{0}, Upper: []float64{1}, Unit: []float64{rapid.Float64Range(0.1, 9).Draw(t, "u"),
			rapid.Float64Range(0.1, 9).Draw(t, "v")}}
		p := d.Problem(x, eps, 0, 2)
		for i, v := range x {
			r := new(big.Rat).Mul(rat(eps), rat(d.Unit[i]))
			lo, hi := new(big.Rat).Sub(rat(v), r), new(big.Rat).Add(rat(v), r)
			if lo.Sign() > 0 && rat(p.Boxes[0].Lower[i]).Cmp(lo) > 0 || lo.Sign() <= 0 && p.Boxes[0].Lower[i] > 0 {
				t.Fatalf("the lower end %v is above %v", p.Boxes[0].Lower[i], lo)
			}
			if one := rat(1); hi.Cmp(one) < 0 && rat(p.Boxes[0].Upper[i]).Cmp(hi) < 0 || hi.Cmp(one) >= 0 && p.Boxes[0].Upper[i] < 1 {
				t.Fatalf("the upper end %v is below %v", p.Boxes[0].Upper[i], hi)
			}
		}
		corner := []float64{float64(p.Boxes[0].InLower[0]), float64(p.Boxes[0].InUpper[1])}
		if got := d.distance(evasion.Linf, corner, x); got > eps*(1+1e-15) {
			t.Fatalf("a corner at %v of a ball of %v", got, eps)
		}
	})
}
