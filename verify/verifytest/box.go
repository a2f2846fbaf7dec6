package verifytest

import (
	"math"
	"math/big"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/spec"
)

// DecimalBox returns the box of exact interval ends, rounded as spec.Box documents; it panics when the slices differ in
// length or some lower end exceeds its upper end.
func DecimalBox(lo, hi []*big.Rat) spec.Box {
	var b spec.Box
	for j := range lo {
		if lo[j].Cmp(hi[j]) > 0 {
			panic("verifytest: empty box")
		}
		l32, _ := lo[j].Float32()
		h32, _ := hi[j].Float32()
		b.Lower = append(b.Lower, min(float64(l32), towards(lo[j], -1)))
		b.Upper = append(b.Upper, max(float64(h32), towards(hi[j], 1)))
		il, iu := l32, h32
		if new(big.Rat).SetFloat64(float64(il)).Cmp(lo[j]) < 0 {
			il = math.Nextafter32(il, float32(math.Inf(1)))
		}
		if new(big.Rat).SetFloat64(float64(iu)).Cmp(hi[j]) > 0 {
			iu = math.Nextafter32(iu, float32(math.Inf(-1)))
		}
		if il > iu {
			il, iu, b.Inexact = l32, l32, true
		}
		b.InLower, b.InUpper = append(b.InLower, il), append(b.InUpper, iu)
	}
	return b
}

// towards rounds a rational to float64 downward (dir < 0) or upward.
func towards(x *big.Rat, dir int) float64 {
	f, exact := x.Float64()
	if exact || new(big.Rat).SetFloat64(f).Cmp(x) == dir {
		return f
	}
	return math.Nextafter(f, math.Inf(dir))
}

// randomBox draws a box, sometimes with fixed inputs. Its ends are dyadic, so that the decimal box, its float32 rounding
// and their hull are the same, or decimals that no float32 equals.
func randomBox(r *rand.Rand, n int) spec.Box {
	lo, hi := make([]*big.Rat, n), make([]*big.Rat, n)
	den := int64(4)
	if r.IntN(4) == 0 {
		den = 10
	}
	scale := int64(1)
	if r.IntN(4) == 0 {
		scale = 1 << r.IntN(6)
	}
	for j := range lo {
		lo[j] = big.NewRat(int64(r.IntN(17)-8), den)
		width := big.NewRat(int64(1+r.IntN(8)), den*scale)
		if r.IntN(8) == 0 {
			width.SetInt64(0)
		}
		hi[j] = width.Add(width, lo[j])
	}
	return DecimalBox(lo, hi)
}

// sample draws a point of Lower..Upper from a grid of 2^bits steps per input.
func sample(r *rand.Rand, b *spec.Box, bits int) []float64 {
	x := make([]float64, len(b.Lower))
	for j, lo := range b.Lower {
		x[j] = min(b.Upper[j], lo+math.Ldexp(float64(r.IntN(1<<bits+1)), -bits)*(b.Upper[j]-lo))
	}
	return x
}

// plainBox is the box whose ends are the given numbers in every reading.
func plainBox(lo, hi []float64) spec.Box {
	b := spec.Box{Lower: lo, Upper: hi}
	for j := range lo {
		b.InLower, b.InUpper = append(b.InLower, float32(lo[j])), append(b.InUpper, float32(hi[j]))
	}
	return b
}

// isPlain reports whether every reading of a box is the same.
func isPlain(b *spec.Box) bool {
	for j := range b.Lower {
		if b.Lower[j] != float64(b.InLower[j]) || b.Upper[j] != float64(b.InUpper[j]) {
			return false
		}
	}
	return !b.Inexact
}

// GridHides reports whether some end of a box is no float32 number: a counterexample there may have no witness.
func (in *Instance) GridHides() bool {
	for i := range in.Problem.Boxes {
		if !isPlain(&in.Problem.Boxes[i]) {
			return true
		}
	}
	return false
}

// onGrid reports whether x is a float32 input inside the decimal box (or its nearest one where none is inside).
func onGrid(b *spec.Box, x []float64) bool {
	for j, v := range x {
		if v != float64(float32(v)) || v < float64(b.InLower[j]) || v > float64(b.InUpper[j]) {
			return false
		}
	}
	return true
}

// contains reports whether an exact input lies in Lower..Upper of a box.
func contains(b *spec.Box, x []*big.Rat) bool {
	t := new(big.Rat)
	for j := range x {
		if x[j].Cmp(t.SetFloat64(b.Lower[j])) < 0 || x[j].Cmp(t.SetFloat64(b.Upper[j])) > 0 {
			return false
		}
	}
	return true
}
