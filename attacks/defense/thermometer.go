package defense

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// Order says which way a thermometer is filled. Both begin with the level j = ⌊levels·x⌋ of a value, at most levels−1.
type Order uint8

const (
	// FromLevel is 1 at the level and above: 0.13 in ten levels is 0111111111, as the encoding is printed in surveys.
	FromLevel Order = iota
	// UpToLevel is 1 at the level and below: 0.13 is 1100000000, as the authors' program computes it.
	UpToLevel
)

// Thermometer encodes every value in [0, 1] by levels bits (Buckman et al., "Thermometer encoding: one hot way to resist
// adversarial examples", 2018), for a network trained on the codes. The codes of input i are outputs i·levels to (i+1)·levels−1.
// The derivative is zero almost everywhere; Ramp stands in for it on the way back.
func Thermometer(n, levels int, o Order) (access.Transform, error) {
	if n < 1 || levels < 2 || levels > 1<<12 || o > UpToLevel {
		return nil, fmt.Errorf("defense: Thermometer of %d inputs in %d levels", n, levels)
	}
	return &thermometer{n, levels, o}, nil
}

type thermometer struct {
	n, levels int
	order     Order
}

func (t *thermometer) Dims() (inputs, outputs int) { return t.n, t.n * t.levels }

// level returns ⌊levels·x⌋ within the levels.
func (t *thermometer) level(x float64) int {
	return int(min(max(math.Floor(float64(t.levels)*x), 0), float64(t.levels-1)))
}

func (t *thermometer) Forward(dst, x []float64, _ uint64) {
	for i, v := range x {
		j := t.level(v)
		for l := range t.levels {
			on := l >= j
			if t.order == UpToLevel {
				on = l <= j
			}
			dst[i*t.levels+l] = 0
			if on {
				dst[i*t.levels+l] = 1
			}
		}
	}
}

func (t *thermometer) Pull(dx, _, _ []float64, _ uint64) { clear(dx) }

// Ramp is the stand-in for Thermometer on the way back: bit l, which jumps where x crosses its threshold, becomes a straight line
// that climbs (or falls) over a width around the threshold, as Athalye, Carlini and Wagner (2018) soften it. A wider ramp lets
// more bits speak.
func Ramp(n, levels int, o Order, width float64) (access.Transform, error) {
	if n < 1 || levels < 2 || levels > 1<<12 || o > UpToLevel || !(width > 0) {
		return nil, fmt.Errorf("defense: Ramp of %d inputs in %d levels over %v", n, levels, width)
	}
	return &ramp{thermometer{n, levels, o}, width}, nil
}

type ramp struct {
	thermometer
	width float64
}

// rise returns how far x lies beyond the threshold of bit l, in widths, 0 to 1 on the ramp, and the bit's sign there. The bit at
// the end never changes.
func (t *ramp) rise(x float64, l int) (v, sign float64) {
	threshold := float64(l)
	sign = 1
	if t.order == FromLevel {
		threshold, sign = float64(l+1), -1
	}
	if threshold == 0 || threshold == float64(t.levels) {
		return math.Inf(1), sign
	}
	return (x-threshold/float64(t.levels))/t.width + 0.5, sign
}

func (t *ramp) Forward(dst, x []float64, _ uint64) {
	for i, v := range x {
		for l := range t.levels {
			r, sign := t.rise(v, l)
			switch {
			case math.IsInf(r, 1):
				dst[i*t.levels+l] = 1
			case sign > 0:
				dst[i*t.levels+l] = min(max(r, 0), 1)
			default:
				dst[i*t.levels+l] = 1 - min(max(r, 0), 1)
			}
		}
	}
}

func (t *ramp) Pull(dx, x, dy []float64, _ uint64) {
	for i, v := range x {
		dx[i] = 0
		for l := range t.levels {
			if r, sign := t.rise(v, l); r >= 0 && r <= 1 {
				dx[i] += sign / t.width * dy[i*t.levels+l]
			}
		}
	}
}
