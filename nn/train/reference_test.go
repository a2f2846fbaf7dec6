package train

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// naive is the network one sample at a time, in plain loops: the oracle of forward and backward and the peer of the
// benchmarks.
type naive[T kernel.Float] struct {
	net  *Net[T]
	act  [][]T
	grad []T
	d    [2][]T
}

func newNaive[T kernel.Float](net *Net[T]) *naive[T] {
	n := &naive[T]{net: net, grad: make([]T, len(net.Weights))}
	width := 0
	for _, s := range net.stages {
		n.act = append(n.act, make([]T, s.out))
		width = max(width, s.in, s.out)
	}
	n.d = [2][]T{make([]T, width), make([]T, width)}
	return n
}

func (n *naive[T]) forward(x []T) []T {
	for l, s := range n.net.stages {
		w, y := n.net.Weights[s.from:s.to], n.act[l]
		switch c := s.layer.(type) {
		case dense[T]:
			copy(y, w[c.in*c.out:])
			for i, v := range x {
				for j := range y {
					y[j] += v * w[i*c.out+j]
				}
			}
		case conv[T]:
			for m := range c.m {
				for p := range c.oh * c.ow {
					y[m*c.oh*c.ow+p] = w[c.m*c.c*c.k*c.k+m]
				}
			}
			correlate(c.geometry, x, w, y)
		case relu[T]:
			for i, v := range x {
				y[i] = T(math.Max(0, float64(v)))
			}
		}
		x = y
	}
	return x
}

// backward adds to grad and returns the gradient with respect to x.
func (n *naive[T]) backward(x, dlogits []T) []T {
	dy, dx := n.d[0][:len(dlogits)], n.d[1]
	copy(dy, dlogits)
	for l := len(n.net.stages) - 1; l >= 0; l-- {
		s := &n.net.stages[l]
		in := x
		if l > 0 {
			in = n.act[l-1]
		}
		w, g := n.net.Weights[s.from:s.to], n.grad[s.from:s.to]
		dx = dx[:s.in]
		clear(dx)
		switch c := s.layer.(type) {
		case dense[T]:
			for j, v := range dy {
				g[c.in*c.out+j] += v
			}
			for i, v := range in {
				sum := T(0)
				for j, d := range dy {
					g[i*c.out+j] += v * d
					sum += w[i*c.out+j] * d
				}
				dx[i] = sum
			}
		case conv[T]:
			for i, d := range dy {
				g[c.m*c.c*c.k*c.k+i/(c.oh*c.ow)] += d
			}
			correlateBack(c.geometry, in, w, dy, dx, g)
		case relu[T]:
			for i, v := range in {
				if v > 0 {
					dx[i] = dy[i]
				}
			}
		}
		dy, dx = dx, dy[:cap(dy)]
	}
	return dy
}

// correlate adds the convolution of x with w to y.
func correlate[T kernel.Float](l geometry, x, w, y []T) {
	for m := range l.m {
		for oy := range l.oh {
			for ox := range l.ow {
				sum := T(0)
				for c := range l.c {
					for ky := range l.k {
						iy := oy*l.stride + ky - l.pad
						for kx := range l.k {
							if ix := ox*l.stride + kx - l.pad; iy >= 0 && iy < l.h && ix >= 0 && ix < l.w {
								sum += x[(c*l.h+iy)*l.w+ix] * w[((m*l.c+c)*l.k+ky)*l.k+kx]
							}
						}
					}
				}
				y[(m*l.oh+oy)*l.ow+ox] += sum
			}
		}
	}
}

// correlateBack adds the gradients of x and w.
func correlateBack[T kernel.Float](l geometry, x, w, dy, dx, dw []T) {
	for m := range l.m {
		for oy := range l.oh {
			for ox := range l.ow {
				d := dy[(m*l.oh+oy)*l.ow+ox]
				for c := range l.c {
					for ky := range l.k {
						iy := oy*l.stride + ky - l.pad
						for kx := range l.k {
							if ix := ox*l.stride + kx - l.pad; iy >= 0 && iy < l.h && ix >= 0 && ix < l.w {
								i, j := (c*l.h+iy)*l.w+ix, ((m*l.c+c)*l.k+ky)*l.k+kx
								dw[j] += x[i] * d
								dx[i] += w[j] * d
							}
						}
					}
				}
			}
		}
	}
}
