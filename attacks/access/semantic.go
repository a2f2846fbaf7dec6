package access

import (
	"fmt"
	"math"
)

// Property is what a semantic transform changes of a picture. A value of 0 leaves the picture as it is.
type Property uint8

const (
	// Brightness is added to every pixel.
	Brightness Property = iota
	// Contrast scales the differences from the picture's mean by 1 + its value.
	Contrast
	// Rotation turns the picture clockwise about its centre, in radians.
	Rotation
	// ShiftX and ShiftY move the picture to the right and down, in pixels.
	ShiftX
	ShiftY
	// Zoom enlarges the picture by the factor exp of its value.
	Zoom
	properties
)

// Semantic returns the pictures that differ from one picture (of shape [C H W], values in [lo, hi]) in the given properties, as a
// transform of their values: a box of a few dimensions in front of a network, so that attacks and verifiers alike search among
// changes that have a meaning. Geometry is resampled bilinearly, outside the picture lies lo, pixels are clipped to [lo, hi].
// After Engstrom et al., "Exploring the landscape of spatial robustness", 2019, and the parametric attacks of Joshi et al.,
// "Semantic adversarial attacks", 2019.
func Semantic(picture []float64, shape []int, lo, hi float64, change ...Property) (Transform, error) {
	if len(shape) != 3 || shape[0]*shape[1]*shape[2] != len(picture) || len(picture) == 0 {
		return nil, fmt.Errorf("access: a picture of %d values of shape %v: want [channels height width]", len(picture), shape)
	}
	for _, p := range change {
		if p >= properties {
			return nil, fmt.Errorf("access: there is no property %d of a picture", p)
		}
	}
	if len(change) == 0 {
		return nil, fmt.Errorf("access: a semantic transform that changes nothing")
	}
	s := &semantic{x: picture, c: shape[0], h: shape[1], w: shape[2], lo: lo, hi: hi, change: change}
	for _, v := range picture {
		s.mean += v / float64(len(picture))
	}
	return s, nil
}

type semantic struct {
	x       []float64
	c, h, w int
	lo, hi  float64
	mean    float64
	change  []Property
}

func (s *semantic) Dims() (inputs, outputs int) { return len(s.change), len(s.x) }

// values adds up the values of every property.
func (s *semantic) values(z []float64) (v [properties]float64) {
	for k, p := range s.change {
		v[p] += z[k]
	}
	return v
}

func (s *semantic) Forward(dst, z []float64, _ uint64) {
	v := s.values(z)
	s.each(&v, func(i int, value, _ float64, _, _, _, _ float64) { dst[i] = min(max(value, s.lo), s.hi) })
}

// each visits every pixel with its value before clipping, the picture's value there before brightness and contrast, that value's
// slopes by the place it is taken from, and that place relative to the centre.
func (s *semantic) each(v *[properties]float64, f func(i int, value, raw, du, dv, y, x float64)) {
	sin, cos := math.Sincos(v[Rotation])
	scale := math.Exp(-v[Zoom])
	cy, cx := float64(s.h-1)/2, float64(s.w-1)/2
	for row := range s.h {
		for col := range s.w {
			// the place that comes to lie here: the shift undone, then the rotation, then the zoom
			dy, dx := float64(row)-cy-v[ShiftY], float64(col)-cx-v[ShiftX]
			y, x := scale*(cos*dy-sin*dx), scale*(sin*dy+cos*dx)
			for ch := range s.c {
				raw, du, dv := s.sample(ch, y+cy, x+cx)
				value := s.mean + (1+v[Contrast])*(raw-s.mean) + v[Brightness]
				f((ch*s.h+row)*s.w+col, value, raw, du, dv, y, x)
			}
		}
	}
}

// sample interpolates and differentiates channel ch at (y, x).
func (s *semantic) sample(ch int, y, x float64) (value, dy, dx float64) {
	fy, fx := math.Floor(y), math.Floor(x)
	r, c := int(fy), int(fx)
	a, b := y-fy, x-fx
	p00, p01, p10, p11 := s.at(ch, r, c), s.at(ch, r, c+1), s.at(ch, r+1, c), s.at(ch, r+1, c+1)
	value = (1-a)*((1-b)*p00+b*p01) + a*((1-b)*p10+b*p11)
	return value, (1-b)*(p10-p00) + b*(p11-p01), (1-a)*(p01-p00) + a*(p11-p10)
}

func (s *semantic) at(ch, r, c int) float64 {
	if r < 0 || r >= s.h || c < 0 || c >= s.w {
		return s.lo
	}
	return s.x[(ch*s.h+r)*s.w+c]
}

func (s *semantic) Pull(dx, z, dy []float64, _ uint64) {
	v := s.values(z)
	sin, cos := math.Sincos(v[Rotation])
	scale := math.Exp(-v[Zoom])
	var g [properties]float64
	s.each(&v, func(i int, value, raw, du, dv, y, x float64) {
		if value < s.lo || value > s.hi {
			return
		}
		d := dy[i]
		g[Brightness] += d
		g[Contrast] += d * (raw - s.mean)
		d *= 1 + v[Contrast]
		g[Rotation] += d * (du*-x + dv*y)
		g[ShiftY] += d * -scale * (du*cos + dv*sin)
		g[ShiftX] += d * scale * (du*sin - dv*cos)
		g[Zoom] += d * -(du*y + dv*x)
	})
	for k, p := range s.change {
		dx[k] = g[p]
	}
}
