package defense

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// TV says how a picture is smoothed.
type TV struct {
	Keep   float64 // the probability that a pixel is kept; the others are filled in
	Weight float64 // of the total variation against the distance to the kept pixels
	Bend   float64 // below this difference of neighbours the variation is smooth
	Steps  int     // of gradient descent
}

// TotalVariation drops pixels at random and puts in place of the picture x the z that minimises Σ_kept (z − x)² + Weight·TV(z),
// TV being the sum of √(d² + Bend²) over the differences d of neighbours (Guo et al., "Countering adversarial images using input
// transformations", 2018, after Rudin, Osher and Fatemi, 1992), by a fixed number of gradient steps from the kept pixels. Its
// derivative is that of these steps: small across edges, and another one for every choice of pixels. The identity on the way back
// with EOT sees through both.
func TotalVariation(shape []int, o TV) (access.Transform, error) {
	n, err := size("TotalVariation", shape)
	if err != nil {
		return nil, err
	}
	if !(o.Keep > 0 && o.Keep <= 1 && o.Weight >= 0 && o.Weight <= 1e6 && o.Bend > 0 && o.Bend <= 1e6) || o.Steps < 0 {
		return nil, fmt.Errorf("defense: TotalVariation of %+v", o)
	}
	// The curvature of the objective is at most 2 + 8·Weight/Bend.
	return &tv{n: n, c: shape[0], h: shape[1], w: shape[2], o: o, step: 1 / (2 + 8*o.Weight/o.Bend)}, nil
}

type tv struct {
	n, c, h, w int
	o          TV
	step       float64
}

func (t *tv) Dims() (inputs, outputs int) { return t.n, t.n }

// mask draws the kept pixels; the channels of a pixel share its fate.
func (t *tv) mask(draw uint64) []float64 {
	rng := random(draw)
	m := make([]float64, t.n)
	for i := range t.h * t.w {
		if rng.Float64() < t.o.Keep {
			for ch := range t.c {
				m[ch*t.h*t.w+i] = 1
			}
		}
	}
	return m
}

// edges visits every pair of neighbours, n pairs (i+k, j+k) at a time.
func (t *tv) edges(f func(i, j, n int)) {
	for r := range t.c * t.h {
		f(r*t.w, r*t.w+1, t.w-1)
		if (r+1)%t.h != 0 {
			f(r*t.w, (r+1)*t.w, t.w)
		}
	}
}

// descend takes one step from z; g is scratch.
func (t *tv) descend(z, g, x, m []float64) {
	for i, v := range z {
		g[i] = 2 * m[i] * (v - x[i])
	}
	bb := t.o.Bend * t.o.Bend
	t.edges(func(i, j, n int) {
		for k := range n {
			d := z[j+k] - z[i+k]
			s := t.o.Weight * d / math.Sqrt(d*d+bb)
			g[j+k] += s
			g[i+k] -= s
		}
	})
	for i, v := range g {
		z[i] -= t.step * v
	}
}

func (t *tv) Forward(dst, x []float64, draw uint64) {
	m, g := t.mask(draw), make([]float64, t.n)
	for i, v := range x {
		dst[i] = m[i] * v
	}
	for range t.o.Steps {
		t.descend(dst, g, x, m)
	}
}

func (t *tv) Pull(dx, x, dy []float64, draw uint64) {
	m, g := t.mask(draw), make([]float64, t.n)
	path := make([]float64, (t.o.Steps+1)*t.n) // z before every step
	for i, v := range x {
		path[i] = m[i] * v
	}
	for k := range t.o.Steps {
		z := path[(k+1)*t.n:][:t.n]
		copy(z, path[k*t.n:])
		t.descend(z, g, x, m)
	}
	clear(dx)
	bb := t.o.Bend * t.o.Bend
	a := make([]float64, t.n) // the gradient by z after the step that is undone
	copy(a, dy)
	for k := t.o.Steps - 1; k >= 0; k-- {
		z := path[k*t.n:][:t.n]
		for i := range g {
			g[i] = 2 * m[i] * a[i]
			dx[i] += t.step * g[i]
		}
		t.edges(func(i, j, n int) {
			for k := range n {
				d := z[j+k] - z[i+k]
				s := d*d + bb
				e := t.o.Weight * bb / (s * math.Sqrt(s)) * (a[j+k] - a[i+k])
				g[j+k] += e
				g[i+k] -= e
			}
		})
		for i, v := range g {
			a[i] -= t.step * v
		}
	}
	for i, v := range a {
		dx[i] += m[i] * v
	}
}
