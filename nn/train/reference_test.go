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
			c.visit(func(in, weight, out int) { y[out] += x[in] * w[weight] })
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
			c.visit(func(i, weight, out int) {
				g[weight] += in[i] * dy[out]
				dx[i] += w[weight] * dy[out]
			})
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

// visit calls f for every product of an input and a weight that an output sums.
func (l conv[T]) visit(f func(in, weight, out int)) {
	for m := range l.m {
		for oy := range l.oh {
			for ox := range l.ow {
				for c := range l.c {
					for ky := range l.k {
						for kx := range l.k {
							y, x := oy*l.stride+ky-l.pad, ox*l.stride+kx-l.pad
							if y >= 0 && y < l.h && x >= 0 && x < l.w {
								f((c*l.h+y)*l.w+x, ((m*l.c+c)*l.k+ky)*l.k+kx, (m*l.oh+oy)*l.ow+ox)
							}
						}
					}
				}
			}
		}
	}
}
