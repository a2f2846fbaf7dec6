package kolter

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/relax"
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

// TestRows: a row's results do not depend on the rows beside it, and gradients add up.
func TestRows(t *testing.T) {
	for name, layers := range architectures() {
		k := newTask(name, layers, 5, 6)
		w, err := NewLoss[float64](k.layers, Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := w.Classes()
		out, dout := make([]float64, 5*c), make([]float64, 5*c)
		for i := range dout {
			dout[i] = float64(i%7) - 3
		}
		grad, sum := make([]float64, w.Params()), make([]float64, w.Params())
		w.Forward(k.params, k.x, k.labels, k.eps, out)
		chunk, used := w.nums.chunk, w.nums.used
		w.Backward(k.params, dout, grad)
		w.Backward(k.params, dout, grad) // again: twice the gradient
		if w.nums.chunk != chunk || w.nums.used != used {
			t.Errorf("%s: Backward keeps memory", name)
		}
		for i, y := range k.labels {
			one := make([]float64, c)
			w.Forward(k.params, k.row(i), []int{y}, k.eps, one)
			for j, v := range one {
				if v != out[i*c+j] {
					t.Fatalf("%s: row %d alone has %v, beside others %v", name, i, v, out[i*c+j])
				}
			}
			w.Backward(k.params, dout[i*c:(i+1)*c], sum)
		}
		for i, g := range grad {
			if math.Abs(g-2*sum[i]) > 1e-9*(1+math.Abs(g)) {
				t.Fatalf("%s: parameter %d has the gradient %v, row by row %v", name, i, g/2, sum[i])
			}
		}
	}
}

// TestFloat32: results and gradients of the two types are close.
func TestFloat32(t *testing.T) {
	for name, layers := range architectures() {
		k := newTask(name, layers, 4, 8)
		a, err := NewLoss[float64](k.layers, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewLoss[float32](k.layers, Options{})
		if err != nil {
			t.Fatal(err)
		}
		params, x := convert[float32](k.params), convert[float32](k.x)
		wide, far := make([]float64, 4*a.Classes()), make([]float32, 4*a.Classes())
		a.Forward(convert[float64](params), convert[float64](x), k.labels, float64(float32(k.eps)), wide)
		b.Forward(params, x, k.labels, float32(k.eps), far)
		for i, v := range wide {
			if math.Abs(v-float64(far[i])) > 1e-4*(1+math.Abs(v)) {
				t.Fatalf("%s: result %v, in float32 %v", name, v, far[i])
			}
		}
		g, h := make([]float64, len(params)), make([]float32, len(params))
		a.Backward(convert[float64](params), wide, g)
		b.Backward(params, far, h)
		size, diff := 0.0, 0.0
		for i, v := range g {
			size, diff = math.Hypot(size, v), math.Hypot(diff, v-float64(h[i]))
		}
		if diff > 1e-3*size {
			t.Errorf("%s: gradient of length %v, in float32 off by %v", name, size, diff)
		}
	}
}

// TestAllocations: nothing is allocated once the memory is there.
func TestAllocations(t *testing.T) {
	l2 := relax.L2
	for name, layers := range architectures() {
		for _, opt := range []Options{{}, {Ball: &l2}} {
			k := newTask(name, layers, 3, 1)
			w, err := NewLoss[float32](k.layers, opt)
			if err != nil {
				t.Fatal(err)
			}
			params, x := convert[float32](k.params), convert[float32](k.x)
			out, grad := make([]float32, 3*w.Classes()), make([]float32, len(params))
			step := func() {
				w.Forward(params, x, k.labels, 0.1, out)
				w.Backward(params, out, grad)
			}
			step()
			if n := testing.AllocsPerRun(5, step); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
}

// TestClips: without clipping the set is larger, so bounds are.
func TestClips(t *testing.T) {
	k := newTask("clip", architectures()["conv"], 4, 3)
	for i := range k.x {
		k.x[i] = float64(i % 2) // at the ends
	}
	var out [2][]float64
	for i, opt := range []Options{{}, {Clip: true, Hi: 1}} {
		w, err := NewLoss[float64](k.layers, opt)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = make([]float64, 12)
		w.Forward(k.params, k.x, k.labels, k.eps, out[i])
	}
	for i, v := range out[0] {
		if y := k.labels[i/3]; i%3 != y && !(v > out[1][i]) {
			t.Errorf("result %d is %v, clipped %v", i, v, out[1][i])
		}
	}
}

func TestNewLossRejects(t *testing.T) {
	d := func(in, out int) Layer { return Layer{Kind: Dense, In: in, Out: out} }
	c := Layer{Kind: Conv, C: 1, H: 4, W: 4, M: 2, K: 3, Stride: 1, Pad: 1}
	l1 := relax.L1
	for name, x := range map[string]struct {
		layers []Layer
		opt    Options
	}{
		"none":        {nil, Options{}},
		"sizes":       {[]Layer{d(3, 4), d(5, 2)}, Options{}},
		"one class":   {[]Layer{d(3, 1)}, Options{}},
		"conv last":   {[]Layer{c}, Options{}},
		"conv late":   {[]Layer{d(3, 16), c, d(32, 2)}, Options{}},
		"pictures":    {[]Layer{c, {Kind: Conv, C: 1, H: 4, W: 8, M: 2, K: 3, Stride: 1, Pad: 1}, d(64, 2)}, Options{}},
		"padding":     {[]Layer{{Kind: Conv, C: 1, H: 4, W: 4, M: 2, K: 3, Stride: 1, Pad: 3}, d(128, 2)}, Options{}},
		"stride":      {[]Layer{{Kind: Conv, C: 1, H: 4, W: 4, M: 2, K: 3}, d(8, 2)}, Options{}},
		"offset":      {[]Layer{{Kind: Dense, In: 2, Out: 2, Offset: -1}}, Options{}},
		"kind":        {[]Layer{{Kind: 7}}, Options{}},
		"huge":        {[]Layer{d(1<<28, 1<<28)}, Options{}},
		"l1":          {[]Layer{d(3, 2)}, Options{Ball: &l1}},
		"clipped l2":  {[]Layer{d(3, 2)}, Options{Ball: new(relax.Norm), Clip: true, Hi: 1}},
		"empty range": {[]Layer{d(3, 2)}, Options{Clip: true, Lo: 1, Hi: 1}},
	} {
		if _, err := NewLoss[float32](x.layers, x.opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
