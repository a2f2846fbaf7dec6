package kolter

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
)

// A task is a network with random parameters and inputs.
type task struct {
	name   string
	layers []Layer
	params []float64
	x      []float64 // rows
	labels []int
	eps    float64
}

// place sets the layers' offsets, one after the other, and returns the number of parameters.
func place(layers []Layer) int {
	at := 0
	for i := range layers {
		l := &layers[i]
		l.Offset = at
		_, _, n := l.sizes()
		at += n + l.biases()
	}
	return at
}

// architectures are small networks of every shape of layer that the blocks treat differently.
func architectures() map[string][]Layer {
	conv := func(c, h, w, m, k, s, p int) Layer {
		return Layer{Kind: Conv, C: c, H: h, W: w, M: m, K: k, Stride: s, Pad: p}
	}
	dense := func(in, out int) Layer { return Layer{Kind: Dense, In: in, Out: out} }
	return map[string][]Layer{
		"linear":     {dense(5, 3)},
		"one hidden": {dense(5, 12), dense(12, 3)},
		"dense":      {dense(6, 14), dense(14, 150), dense(150, 9), dense(9, 3)},
		"conv":       {conv(1, 6, 6, 3, 4, 2, 1), dense(27, 8), dense(8, 3)},
		"two convs":  {conv(2, 6, 5, 3, 3, 1, 1), conv(3, 6, 5, 4, 4, 2, 1), dense(4*3*2, 7), dense(7, 4)},
		"odd": {conv(1, 9, 8, 2, 3, 2, 0), conv(2, 4, 3, 3, 3, 2, 2), conv(3, 3, 3, 3, 2, 1, 1),
			dense(3*4*4, 3)},
		"stride 3": {conv(1, 11, 11, 2, 2, 3, 0), conv(2, 4, 4, 3, 3, 1, 1), dense(48, 3)},
	}
}

func newTask(name string, layers []Layer, rows int, seed uint64) *task {
	r := rand.New(rand.NewPCG(seed, 7))
	t := &task{name: name, layers: layers, params: make([]float64, place(layers)), eps: 0.1}
	for i := range layers {
		l := &layers[i]
		_, _, n := l.sizes()
		in := float64(l.In)
		if l.Kind == Conv {
			in = float64(l.depth())
		}
		for j := range n + l.biases() {
			t.params[l.Offset+j] = r.NormFloat64() * math.Sqrt(2/in)
			if j >= n {
				t.params[l.Offset+j] /= 4
			}
		}
	}
	in, _, _ := layers[0].sizes()
	for range rows {
		for range in {
			t.x = append(t.x, r.Float64())
		}
		t.labels = append(t.labels, r.IntN(layers[len(layers)-1].Out))
	}
	return t
}

// convert returns x as numbers of another type.
func convert[T, S kernel.Float](x []S) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v)
	}
	return y
}

// program returns the network as it is verified.
func (t *task) program() *prog.Program {
	p := &prog.Program{}
	in, _, _ := t.layers[0].sizes()
	p.Nodes = append(p.Nodes, prog.Node{Kind: prog.Input, N: in})
	for i := range t.layers {
		l := &t.layers[i]
		_, out, n := l.sizes()
		w, b := t.params[l.Offset:][:n], t.params[l.Offset+n:][:l.biases()]
		nd := prog.Node{Kind: prog.Affine, N: out, Bias: make([]float64, out), Name: fmt.Sprint("layer ", i+1)}
		src := len(p.Nodes) - 1
		for j := range nd.Bias {
			nd.Bias[j] = b[j*len(b)/out]
		}
		if l.Kind == Dense {
			m := make([]float64, n)
			for j := range l.In {
				for o := range l.Out {
					m[o*l.In+j] = w[j*l.Out+o]
				}
			}
			nd.Terms = []prog.Term{{Src: src, Map: prog.Dense(l.Out, l.In, m)}}
		} else {
			g := prog.ConvGeom{C: l.C, H: l.H, W: l.W, M: l.M, KH: l.K, KW: l.K, Group: 1, StrideH: l.Stride, StrideW: l.Stride,
				DilH: 1, DilW: 1, PadT: l.Pad, PadL: l.Pad, PadB: l.Pad, PadR: l.Pad}
			nd.Terms = []prog.Term{{Src: src, Map: prog.Conv(g, w)}}
		}
		p.Nodes = append(p.Nodes, nd)
		if i < len(t.layers)-1 {
			p.Nodes = append(p.Nodes, prog.Node{Kind: prog.Relu, N: out, Src: len(p.Nodes) - 1})
		}
	}
	p.Output = len(p.Nodes) - 1
	return p
}

// row returns one input.
func (t *task) row(i int) []float64 {
	n := len(t.x) / len(t.labels)
	return t.x[i*n : (i+1)*n]
}

// region returns the set that a loss with opt means.
func (t *task) region(i int, opt Options) *Region {
	r := &Region{}
	for _, v := range t.row(i) {
		lo, hi := v-t.eps, v+t.eps
		if opt.Clip {
			lo, hi = max(lo, opt.Lo), min(hi, opt.Hi)
		}
		r.Box.Lo, r.Box.Hi = append(r.Box.Lo, lo), append(r.Box.Hi, hi)
	}
	if opt.Ball != nil {
		r.Ball = &relax.Ball{Norm: *opt.Ball, X: t.row(i), Eps: t.eps}
	}
	return r
}

// balls are the perturbations of a Loss.
func balls() map[string]Options {
	l2 := relax.L2
	return map[string]Options{"linf": {}, "clipped": {Clip: true, Hi: 1}, "l2": {Ball: &l2}}
}
