package kolter

import "github.com/spai-project/certify/internal/kernel"

// setBiases sets z to the biases of layer l.
func (w *Loss[T]) setBiases(l *Layer, params, z []T) {
	_, _, n := l.sizes()
	b := params[l.Offset+n:]
	if l.Kind == Dense {
		copy(z, b[:l.Out])
		return
	}
	plane := len(z) / l.M
	for m := range l.M {
		fill(z[m*plane:][:plane], b[m])
	}
}

// apply adds the product of layer l's weights, or of what stands in their places in weights, with the vector x to z.
func (w *Loss[T]) apply(l *Layer, weights, x, z []T) {
	if l.Kind == Dense {
		for i := range l.In {
			if v := x[i]; v != 0 {
				kernel.Axpy(z[:l.Out], weights[l.Offset+i*l.Out:][:l.Out], v)
			}
		}
		return
	}
	oh, ow := l.outHW()
	plane, depth := oh*ow, l.depth()
	col := room(&w.col, plane*depth)
	clear(col)
	row := 0
	for c := range l.C {
		for ky := range l.K {
			for kx := range l.K {
				dst := col[row*plane:][:plane]
				row++
				for oy := range oh {
					y := oy*l.Stride + ky - l.Pad
					if y < 0 || y >= l.H {
						continue
					}
					src := x[(c*l.H+y)*l.W:][:l.W]
					for ox := range ow {
						if at := ox*l.Stride + kx - l.Pad; at >= 0 && at < l.W {
							dst[oy*ow+ox] = src[at]
						}
					}
				}
			}
		}
	}
	w.mul.Mul(l.M, plane, depth, 1, rowsOf(weights[l.Offset:], 0, depth), rowsOf(col, 0, plane), rowsOf(z, 0, plane))
}
