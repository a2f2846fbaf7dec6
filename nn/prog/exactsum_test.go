package prog

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestBiasSum compares sums with heavy cancellation with exact ones.
func TestBiasSum(t *testing.T) {
	bounded, exact := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		a, b := noise(t, n, "a"), noise(t, n, "b")
		if rapid.Bool().Draw(t, "cancel") { // the sum is nearly zero
			for i := 1; i < n; i += 2 {
				a[i], b[i] = -a[i-1], b[i-1]*(1+float64(rapid.IntRange(-3, 3).Draw(t, "ulps"))*0x1p-52)
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
			for i := range a {
				a[i], b[i] = math.Round(a[i]), math.Round(b[i])
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "tiny") == 0 { // each addition alone is lost
			for i := range a {
				a[i], b[i] = 0x0.ep-53, 1
			}
			a[0] = 1
		}
		var s biasSum
		truth := new(big.Rat)
		for i := range a {
			rel := rapid.IntRange(0, 2).Draw(t, "rel")
			s.add(a[i], b[i], rel)
			p := new(big.Rat).Mul(rat(a[i]), rat(b[i]))
			d := new(big.Rat).Mul(rat(float64(rel)*0x1p-53), new(big.Rat).Abs(p))
			if rapid.Bool().Draw(t, "below") {
				d.Neg(d)
			}
			truth.Add(truth, p.Add(p, d))
		}
		v, rel, ok := s.result()
		if !ok {
			return
		}
		bounded++
		if rel == 0 {
			exact++
		}
		d := new(big.Rat).Sub(truth, rat(v))
		if limit := new(big.Rat).Mul(rat(float64(rel)*0x1p-53), rat(math.Abs(v))); d.Abs(d).Cmp(limit) > 0 {
			t.Fatalf("sum %g is off by more than %d units", v, rel)
		}
	})
	if bounded < 5 || exact == 0 && !testing.Short() { // -short draws 20 only
		t.Errorf("%d sums were bounded, %d exact: the test shows nothing", bounded, exact)
	}
}
