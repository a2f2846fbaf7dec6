// Package sdp certifies networks with semidefinite relaxations, and trains for such certificates.
//
// A quadratic form in variables from [−1,1] is at most Σc over that cube if diag(c) − M is positive semidefinite, whatever c is: so c
// is the certificate. Finding it may use any arithmetic (mixing.go); what is claimed rests on a Cholesky factorisation with an a-priori
// bound on its rounding (psd.go), never on an estimate of an eigenvalue.
//
// Reading order: psd.go, schur.go; mixing.go, repair.go; network.go, twolayer.go, certificate.go, check.go, baseline.go; train.go,
// eigen.go; deep.go, deepdual.go, margins.go, split.go; offset.go, crown_l2.go.
package sdp

import "math"

const unit = 0x1p-53 // unit roundoff of float64, round to nearest

// gamma returns an upper bound on n·u/(1−n·u), the relative error of a product of n rounded steps, for n·u ≤ 1/4.
func gamma(n int) float64 { x := float64(n) * unit; return x / (1 - x) * (1 + 4*unit) }

func down(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }
func up(x float64) float64   { return math.Nextafter(x, math.Inf(1)) }

// loose is a factor that makes a computed sum of at most maxDim non-negative terms an upper bound on the sum: γ of so many roundings
// is less than 2⁻³⁰.
const loose = 1 + 0x1p-30

// maxDim is the largest dimension that is looked at; the error terms are meaningful far beyond.
const maxDim = 1 << 20
