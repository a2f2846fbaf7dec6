package main

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
)

// A check is one item of the self-test.
type check struct {
	name string
	err  error
}

// selfTest checks what the proofs assume of the arithmetic: IEEE-754 binary64, round to nearest, subnormals kept, and
// kernels whose sums err by no more than the a-priori bound.
func selfTest() []check {
	checks := []check{
		{"round to nearest even", nearest()},
		{"subnormal numbers are kept", subnormals()},
		{"fused multiply-add rounds once", fused()},
	}
	for _, impl := range kernel.Implementations() {
		checks = append(checks, check{"sums within their bound (" + impl + ")", dots(impl)})
	}
	return checks
}

// opaque keeps the compiler from folding constants.
//
//go:noinline
func opaque(x float64) float64 { return x }

func nearest() error {
	half := opaque(0x1p-53)
	if opaque(1)+half != 1 || opaque(1+0x1p-52)+half != 1+0x1p-51 || opaque(1)+opaque(0x1.8p-53) != 1+0x1p-52 {
		return fmt.Errorf("sums are not rounded to nearest even")
	}
	return nil
}

func subnormals() error {
	if opaque(0x1p-1022)/2 == 0 || opaque(math.SmallestNonzeroFloat64)*1 == 0 {
		return fmt.Errorf("subnormal numbers are flushed to zero")
	}
	return nil
}

func fused() error {
	x := opaque(1 + 0x1p-30)
	if math.FMA(x, x, -1) != 0x1p-29+0x1p-60 {
		return fmt.Errorf("fused multiply-add is not exact")
	}
	return nil
}

// dots compares scalar products of one implementation with exact ones: |error| ≤ n·2⁻⁵²·Σ|x·y|.
func dots(impl string) error {
	defer kernel.Use(impl)()
	r := rand.New(rand.NewPCG(1, 2))
	for trial := range 200 {
		n := 1 + r.IntN(300)
		x, y := make([]float64, n), make([]float64, n)
		exact, size := new(big.Float).SetPrec(2000), new(big.Float).SetPrec(2000)
		for i := range x {
			x[i], y[i] = math.Ldexp(r.NormFloat64(), r.IntN(40)-20), math.Ldexp(r.NormFloat64(), r.IntN(40)-20)
			t := new(big.Float).SetPrec(200).Mul(big.NewFloat(x[i]), big.NewFloat(y[i]))
			exact.Add(exact, t)
			size.Add(size, t.Abs(t))
		}
		diff := new(big.Float).SetPrec(2000).Sub(big.NewFloat(kernel.Dot(x, y)), exact)
		if diff.Abs(diff).Cmp(size.Mul(size, big.NewFloat(float64(n)*0x1p-52))) > 0 {
			return fmt.Errorf("trial %d: a sum of %d products errs by more than its bound", trial, n)
		}
	}
	return nil
}
