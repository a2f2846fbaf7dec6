package defense

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// JPEG does to every channel what the lossy part of baseline JPEG does to luminance: cosine transform of 8×8 blocks, rounding by
// the standard's example table scaled to a quality from 1 to 100, and back, in 8 bits a pixel (Das et al., "Keeping the bad guys
// out: protecting and vaccinating deep learning with JPEG compression", 2017; Guo et al., 2018). Pictures are continued by their
// last row and column. The derivative is zero almost everywhere; the identity on the way back restores the gradient.
func JPEG(shape []int, quality int) (access.Transform, error) {
	n, err := size("JPEG", shape)
	if err != nil {
		return nil, err
	}
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("defense: JPEG of quality %d: want 1 to 100", quality)
	}
	t := &jpeg{n: n, c: shape[0], h: shape[1], w: shape[2]}
	scale := 200 - 2*quality
	if quality < 50 {
		scale = 5000 / quality
	}
	for i, q := range luminance {
		t.table[i] = float64(min(max((q*scale+50)/100, 1), 255))
	}
	return t, nil
}

// luminance is table K.1 of ITU-T T.81.
var luminance = [64]int{
	16, 11, 10, 16, 24, 40, 51, 61,
	12, 12, 14, 19, 26, 58, 60, 55,
	14, 13, 16, 24, 40, 57, 69, 56,
	14, 17, 22, 29, 51, 87, 80, 62,
	18, 22, 37, 56, 68, 109, 103, 77,
	24, 35, 55, 64, 81, 104, 113, 92,
	49, 64, 78, 87, 103, 121, 120, 101,
	72, 92, 95, 98, 112, 100, 103, 99,
}

// cosines[u][x] is the orthonormal cosine transform of eight numbers.
var cosines = func() (m [8][8]float64) {
	for u := range m {
		for x := range m[u] {
			m[u][x] = math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) / 2
			if u == 0 {
				m[u][x] = math.Sqrt2 / 4
			}
		}
	}
	return m
}()

type jpeg struct {
	n, c, h, w int
	table      [64]float64
}

func (t *jpeg) Dims() (inputs, outputs int) { return t.n, t.n }

func (t *jpeg) Forward(dst, x []float64, _ uint64) {
	var a, b [64]float64
	for ch := range t.c {
		src, out := x[ch*t.h*t.w:][:t.h*t.w], dst[ch*t.h*t.w:][:t.h*t.w]
		for r := 0; r < t.h; r += 8 {
			for c := 0; c < t.w; c += 8 {
				for k := range a {
					v := src[min(r+k/8, t.h-1)*t.w+min(c+k%8, t.w-1)]
					a[k] = math.Floor(min(max(v, 0), 1)*255+0.5) - 128
				}
				transform(&b, &a, false)
				for k, q := range t.table {
					b[k] = math.Round(b[k]/q) * q
				}
				transform(&a, &b, true)
				for k, v := range a {
					if r+k/8 < t.h && c+k%8 < t.w {
						out[(r+k/8)*t.w+c+k%8] = min(max(math.Floor(v+128.5), 0), 255) / 255
					}
				}
			}
		}
	}
}

// transform stores M·src·Mᵀ, or Mᵀ·src·M for the inverse, M being the cosines.
func transform(dst, src *[64]float64, inverse bool) {
	m := &cosines
	at := func(u, x int) float64 {
		if inverse {
			return m[x][u]
		}
		return m[u][x]
	}
	var half [64]float64
	for u := range 8 {
		for x := range 8 {
			s := 0.0
			for k := range 8 {
				s += at(u, k) * src[k*8+x]
			}
			half[u*8+x] = s
		}
	}
	for u := range 8 {
		for v := range 8 {
			s := 0.0
			for k := range 8 {
				s += half[u*8+k] * at(v, k)
			}
			dst[u*8+v] = s
		}
	}
}

func (t *jpeg) Pull(dx, _, _ []float64, _ uint64) { clear(dx) }
