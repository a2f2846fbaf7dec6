package main

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestBoundText wants the printed number to be no smaller than the bound, and no larger than it must be.
func TestBoundText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	least := big.NewRat(1, 100000)
	for i := range 1000 {
		v := r.Float64()
		if i%4 == 0 {
			v = float64(r.IntN(1000)) / 1e5
		}
		shown, ok := new(big.Rat).SetString(boundText(v))
		exact := new(big.Rat).SetFloat64(v)
		if !ok || shown.Cmp(exact) < 0 || new(big.Rat).Sub(shown, least).Cmp(exact) >= 0 {
			t.Fatalf("%v is printed as %s", v, boundText(v))
		}
	}
}
