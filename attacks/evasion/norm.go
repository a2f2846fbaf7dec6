package evasion

import (
	"fmt"
	"math"
)

// Norm measures the size of a perturbation.
type Norm uint8

// The norms; L0 counts the changed inputs.
const (
	Linf Norm = iota
	L2
	L1
	L0
)

var normNames = [...]string{"linf", "l2", "l1", "l0"}

func (n Norm) String() string { return normNames[n] }

// ParseNorm reads linf, l2, l1, l0 and inf, 2, 1, 0.
func ParseNorm(s string) (Norm, error) {
	for k, name := range normNames {
		if s == name || s == name[1:] {
			return Norm(k), nil
		}
	}
	return 0, fmt.Errorf("evasion: norm %q: want linf, l2, l1 or l0", s)
}

// Distance returns the size of x − x0, rounded up: never less than the true one.
func (n Norm) Distance(x, x0 []float64) float64 {
	d := 0.0
	for i, v := range x {
		e := math.Abs(v - x0[i])
		switch n {
		case Linf:
			d = max(d, e)
		case L2:
			d += e * e
		case L1:
			d += e
		case L0:
			if e != 0 {
				d++
			}
		}
	}
	if n == L0 || d == 0 {
		return d
	}
	// Differences of the float32 numbers of a picture are exact in float64 or off by half an ulp, sums by n−1 of them.
	up := 1 + float64(len(x)+4)*0x1p-52
	if n == L2 {
		return math.Sqrt(d*up) * (1 + 0x1p-51)
	}
	return d * up
}

// dual returns the norm whose unit ball bounds linear functions on the unit ball of n: of w, Σ|w| for Linf, max|w| for L1.
func (n Norm) dual(w []float64) float64 {
	d := 0.0
	for _, v := range w {
		switch e := math.Abs(v); n {
		case Linf:
			d += e
		case L2:
			d += e * e
		default:
			d = max(d, e)
		}
	}
	if n == L2 {
		return math.Sqrt(d)
	}
	return d
}
