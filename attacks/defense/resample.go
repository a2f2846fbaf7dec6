package defense

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/attacks/access"
)

// RandomCrop cuts a random window of side×side pixels out and enlarges it to the whole (Guo et al., "Countering adversarial
// images using input transformations", 2018; they average over crops at prediction, which EOT does here). It is linear for a
// given draw: the gradient is not hidden but follows another window at each call; EOT averages it.
func RandomCrop(shape []int, side int) (access.Transform, error) {
	n, err := size("RandomCrop", shape)
	if err != nil {
		return nil, err
	}
	h, w := shape[1], shape[2]
	if side < 1 || side > min(h, w) {
		return nil, fmt.Errorf("defense: RandomCrop of %d pixels from %d×%d", side, h, w)
	}
	return &resampling{c: shape[0], h: h, w: w, oh: h, ow: w, in: n, out: n, axes: func(rng *rand.Rand) (y, x axis) {
		return window(h, h, rng.IntN(h-side+1), side, 0, h), window(w, w, rng.IntN(w-side+1), side, 0, w)
	}}, nil
}

// RandomResizePad resizes to a random side from smallest to side and pads with zeros at a random place to side×side (Xie et al.,
// "Mitigating adversarial effects through randomization", 2018). The model behind it sees side×side pixels. As with RandomCrop,
// EOT averages the draws.
func RandomResizePad(shape []int, smallest, side int) (access.Transform, error) {
	n, err := size("RandomResizePad", shape)
	if err != nil {
		return nil, err
	}
	if smallest < 1 || smallest > side || side > 1<<12 {
		return nil, fmt.Errorf("defense: RandomResizePad from %d to %d pixels", smallest, side)
	}
	h, w := shape[1], shape[2]
	return &resampling{c: shape[0], h: h, w: w, oh: side, ow: side, in: n, out: shape[0] * side * side,
		axes: func(rng *rand.Rand) (y, x axis) {
			s := smallest + rng.IntN(side-smallest+1)
			return window(side, h, 0, h, rng.IntN(side-s+1), s), window(side, w, 0, w, rng.IntN(side-s+1), s)
		}}, nil
}

// resampling interpolates bilinearly along two axes that are drawn.
type resampling struct {
	c, h, w, oh, ow int
	in, out         int
	axes            func(rng *rand.Rand) (y, x axis)
}

// axis says for every output where it comes from: weights 1−b and b of inputs from and from+1 (b = 0 at the end); from = −1 is
// padding.
type axis struct {
	from []int
	b    []float64
}

// window maps the n inputs' part [at, at+length) onto outputs [to, to+span) of total.
func window(total, n, at, length, to, span int) axis {
	a := axis{make([]int, total), make([]float64, total)}
	for o := range total {
		if o < to || o >= to+span {
			a.from[o] = -1
			continue
		}
		x := float64(at) + (float64(o-to)+0.5)*float64(length)/float64(span) - 0.5
		x = min(max(x, float64(at)), float64(at+length-1))
		f := min(int(math.Floor(x)), n-1)
		a.from[o], a.b[o] = f, x-float64(f)
	}
	return a
}

func (t *resampling) Dims() (inputs, outputs int) { return t.in, t.out }

// each visits every output with the four inputs it is made of and their weights.
func (t *resampling) each(draw uint64, f func(out int, in [4]int, w [4]float64)) {
	y, x := t.axes(random(draw))
	for ch := range t.c {
		for r, fy := range y.from {
			for c, fx := range x.from {
				var in [4]int
				var w [4]float64
				if fy >= 0 && fx >= 0 {
					y1, x1 := min(fy+1, t.h-1), min(fx+1, t.w-1)
					a, b := y.b[r], x.b[c]
					base := ch * t.h * t.w
					in = [4]int{base + fy*t.w + fx, base + fy*t.w + x1, base + y1*t.w + fx, base + y1*t.w + x1}
					w = [4]float64{(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b}
				}
				f((ch*t.oh+r)*t.ow+c, in, w)
			}
		}
	}
}

func (t *resampling) Forward(dst, x []float64, draw uint64) {
	t.each(draw, func(out int, in [4]int, w [4]float64) {
		dst[out] = w[0]*x[in[0]] + w[1]*x[in[1]] + w[2]*x[in[2]] + w[3]*x[in[3]]
	})
}

func (t *resampling) Pull(dx, _, dy []float64, draw uint64) {
	clear(dx)
	t.each(draw, func(out int, in [4]int, w [4]float64) {
		for k, i := range in {
			dx[i] += w[k] * dy[out]
		}
	})
}
