package train

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/tape"
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
		n.act = append(n.act, make([]T, op.Size(s.Out)))
		width = max(width, op.Size(s.In), op.Size(s.Out))
	}
	n.d = [2][]T{make([]T, width), make([]T, width)}
	return n
}

func (n *naive[T]) forward(x []T) []T {
	for l, s := range n.net.stages {
		w, y := n.net.Weights[s.From:s.to()], n.act[l]
		switch c := s.Layer.(type) {
		case Dense:
			copy(y, w[len(x)*c.Out:])
			for i, v := range x {
				for j := range y {
					y[j] += v * w[i*c.Out+j]
				}
			}
		case Conv2D:
			g := c.Geometry(s.In)
			for i := range y {
				y[i] = w[op.Size(s.Params[0])+i/(g.OutH()*g.OutW())]
			}
			correlate(g, x, w, y)
		case ReLU:
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
		w, g := n.net.Weights[s.From:s.to()], n.grad[s.From:s.to()]
		dx = dx[:op.Size(s.In)]
		clear(dx)
		switch c := s.Layer.(type) {
		case Dense:
			for j, v := range dy {
				g[len(in)*c.Out+j] += v
			}
			for i, v := range in {
				sum := T(0)
				for j, d := range dy {
					g[i*c.Out+j] += v * d
					sum += w[i*c.Out+j] * d
				}
				dx[i] = sum
			}
		case Conv2D:
			shape := c.Geometry(s.In)
			for i, d := range dy {
				g[op.Size(s.Params[0])+i/(shape.OutH()*shape.OutW())] += d
			}
			correlateBack(shape, in, w, dy, dx, g)
		case ReLU:
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
func correlate[T kernel.Float](l tape.Geometry, x, w, y []T) {
	for m := range l.Out {
		for oy := range l.OutH() {
			for ox := range l.OutW() {
				sum := T(0)
				for c := range l.C {
					for ky := range l.Kernel {
						iy := oy*l.Stride + ky - l.Pad
						for kx := range l.Kernel {
							if ix := ox*l.Stride + kx - l.Pad; iy >= 0 && iy < l.H && ix >= 0 && ix < l.W {
								sum += x[(c*l.H+iy)*l.W+ix] * w[((m*l.C+c)*l.Kernel+ky)*l.Kernel+kx]
							}
						}
					}
				}
				y[(m*l.OutH()+oy)*l.OutW()+ox] += sum
			}
		}
	}
}

// correlateBack adds the gradients of x and w.
func correlateBack[T kernel.Float](l tape.Geometry, x, w, dy, dx, dw []T) {
	for m := range l.Out {
		for oy := range l.OutH() {
			for ox := range l.OutW() {
				d := dy[(m*l.OutH()+oy)*l.OutW()+ox]
				for c := range l.C {
					for ky := range l.Kernel {
						iy := oy*l.Stride + ky - l.Pad
						for kx := range l.Kernel {
							if ix := ox*l.Stride + kx - l.Pad; iy >= 0 && iy < l.H && ix >= 0 && ix < l.W {
								i, j := (c*l.H+iy)*l.W+ix, ((m*l.C+c)*l.Kernel+ky)*l.Kernel+kx
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

// to returns the index after the stage's parameters.
func (s *Stage) to() int {
	to := s.From
	for _, shape := range s.Params {
		to += op.Size(shape)
	}
	return to
}
