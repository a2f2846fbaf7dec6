package kolter

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestForward: in float64 a loss has the margins of the certificate, but for rounding.
func TestForward(t *testing.T) {
	for name, layers := range architectures() {
		for ball, opt := range balls() {
			t.Run(name+"/"+ball, func(t *testing.T) {
				k := newTask(name, layers, 6, 1)
				if opt.Ball != nil {
					k.eps = 0.4
				}
				w, err := NewLoss[float64](k.layers, opt)
				if err != nil {
					t.Fatal(err)
				}
				out := make([]float64, len(k.labels)*w.Classes())
				w.Forward(k.params, k.x, k.labels, k.eps, out)
				n, err := New(k.program())
				if err != nil {
					t.Fatal(err)
				}
				s := n.NewSolver()
				lower := make([]float64, w.Classes())
				open := 0
				for i, y := range k.labels {
					s.Margins(k.region(i, opt), y, lower, nil)
					for c, v := range lower {
						if f := out[i*len(lower)+c]; math.Abs(f+v) > 1e-9*(1+math.Abs(v)) {
							t.Errorf("row %d class %d: loss %v, certificate %v", i, c, f, v)
						}
					}
					for _, st := range w.samples[i].st[1:] {
						open += len(st.open)
					}
				}
				if len(layers) > 1 && open == 0 {
					t.Error("no open neurons: nothing was tested")
				}
			})
		}
	}
}

// TestGradient: Backward is the derivative of Forward, by central differences in random directions. A kink between the two points
// shows as a difference that does not shrink with the step, so only small steps count.
func TestGradient(t *testing.T) {
	for name, layers := range architectures() {
		for ball, opt := range balls() {
			t.Run(name+"/"+ball, func(t *testing.T) {
				k := newTask(name, layers, 3, 2)
				if opt.Ball != nil {
					k.eps = 0.4
				}
				w, err := NewLoss[float64](k.layers, opt)
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(3, 3))
				dout := make([]float64, len(k.labels)*w.Classes())
				for i := range dout {
					dout[i] = r.NormFloat64()
				}
				out := make([]float64, len(dout))
				value := func(params []float64) float64 {
					w.Forward(params, k.x, k.labels, k.eps, out)
					s := 0.0
					for i, v := range out {
						s += v * dout[i]
					}
					return s
				}
				value(k.params)
				grad := make([]float64, len(k.params))
				w.Backward(k.params, dout, grad)
				good := 0
				for range 8 {
					dir, dot := make([]float64, len(grad)), 0.0
					for i := range dir {
						dir[i] = r.NormFloat64()
						dot += dir[i] * grad[i]
					}
					const h = 1e-7
					at := func(h float64) float64 {
						p := append([]float64(nil), k.params...)
						for i := range p {
							p[i] += h * dir[i]
						}
						return value(p)
					}
					if d := (at(h) - at(-h)) / (2 * h); math.Abs(d-dot) <= 1e-5*(1+math.Abs(dot)) {
						good++
					} else {
						t.Logf("difference %v, gradient %v", d, dot)
					}
				}
				if good < 7 {
					t.Errorf("%d of 8 directions agree", good)
				}
			})
		}
	}
}
