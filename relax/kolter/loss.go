package kolter

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/relax"
)

// Options choose the perturbations of a Loss.
type Options struct {
	// Ball is the norm of a ball that is no box; nil: the norm L∞.
	Ball *relax.Norm
	// Clip says that in the norm L∞ inputs stay within Lo and Hi.
	Clip   bool
	Lo, Hi float64
}

// A Loss is the bound as a function of the parameters, for training: Forward, then Backward. It holds the memory of one worker
// and of as many rows as one Forward had; it serves one goroutine at a time, and allocates only while it sees more open neurons
// than ever before. A result depends on its row alone.
//
// Every row has its own slopes, so rows are worked on one by one: a pass takes the rows of the dual network of one layer, and
// neurons that are off are left out of every product. Convolutions are small products of matrices (variable), and rows of a
// convolution go in groups of the same pixel, within their field of view.
type Loss[T kernel.Float] struct {
	layers  []Layer
	vars    []*variable
	params  int
	classes int
	opt     Options

	samples []*sample[T]
	rows    int // of the last Forward
	eps     T
	nums    arena[T]
	ints    arena[int32]
	mul     kernel.Multiplier[T]

	input       state[T] // of variable 0
	abs         []T      // |parameters|
	radius1     []T      // of the first layer's neurons, where it is the same for all rows
	c, r        []T      // centres and radii of a layer's inputs
	z, zr       []T      // and of its outputs
	lo, hi      []T      // bounds of a layer's neurons
	col         []T
	taps        []int32
	filters     []int32
	lane        []int32
	few         *pass[T] // the lanes of a pass that have gradients
	turned      []T      // gradients of a level, lanes by neurons
	open        []int32
	up, down    []T // gradients of a level
	gl, gu, gn  []T // and of lanes
	psi, nm, pm []T // per lane: value, sums of relaxation terms
	side        []T // two numbers per lane, for multipliers that are not negative and for those that are
}

// sample is what Backward needs of one row.
type sample[T kernel.Float] struct {
	label  int
	x, r   []T // centre and radius of the inputs, by place
	st     []*state[T]
	passes []*pass[T]
	n      int // passes in use
	out    *pass[T]
}

// NewLoss prepares for a network. The last layer must be Dense.
func NewLoss[T kernel.Float](layers []Layer, opt Options) (*Loss[T], error) {
	params, err := checkLayers(layers)
	if err != nil {
		return nil, err
	}
	if opt.Ball != nil && (opt.Clip || *opt.Ball != relax.L2) {
		return nil, fmt.Errorf("kolter: losses know L∞, clipped or not, and L2")
	}
	if opt.Clip && !(opt.Lo < opt.Hi) {
		return nil, fmt.Errorf("kolter: the valid range is [%v, %v]", opt.Lo, opt.Hi)
	}
	w := &Loss[T]{layers: append([]Layer(nil), layers...), params: params, opt: opt, classes: layers[len(layers)-1].Out}
	w.vars = pictures(w.layers)
	widest := 0
	for i := range w.layers {
		in, out, _ := w.layers[i].sizes()
		widest = max(widest, in, out)
	}
	for _, p := range []*[]T{&w.c, &w.r, &w.z, &w.zr, &w.lo, &w.hi} {
		*p = make([]T, widest)
	}
	w.input.everything(w.vars[0])
	w.few = w.newPass()
	return w, nil
}

// Params returns the number of parameters.
func (w *Loss[T]) Params() int { return w.params }

// Inputs and Classes return the lengths of a row of inputs and of results.
func (w *Loss[T]) Inputs() int  { return w.vars[0].n }
func (w *Loss[T]) Classes() int { return w.classes }

// Forward writes, for every row of x (len(labels) rows), upper bounds on score[t] − score[label] over the ball of radius eps
// into out[row*Classes+t], 0 for the label itself: logits whose cross-entropy is the robust loss. It panics on slices of other
// lengths; labels are below Classes.
func (w *Loss[T]) Forward(params, x []T, labels []int, eps T, out []T) {
	n := w.Inputs()
	if len(params) < w.params || len(x) != len(labels)*n || len(out) != len(labels)*w.classes {
		panic("kolter: Forward: wrong length")
	}
	w.nums.reset()
	w.ints.reset()
	w.rows, w.eps = len(labels), eps
	w.prepare(params)
	for len(w.samples) < w.rows {
		w.samples = append(w.samples, w.newSample())
	}
	for i, y := range labels {
		s := w.samples[i]
		s.label, s.n = y, 0
		w.enter(s, x[i*n:(i+1)*n])
		for k := 1; k < len(w.layers); k++ {
			w.bound(s, params, k)
			s.st[k].build(w, params, k)
			w.gather(s, params, k)
			s.adopt(w, k)
		}
		w.margins(s, params, out[i*w.classes:(i+1)*w.classes])
	}
}

func (w *Loss[T]) newSample() *sample[T] {
	s := &sample[T]{st: make([]*state[T], len(w.layers)), out: w.newPass()}
	s.st[0] = &w.input
	for k := 1; k < len(s.st); k++ {
		s.st[k] = new(state[T])
	}
	return s
}

// prepare computes what all rows share.
func (w *Loss[T]) prepare(params []T) {
	w.abs = room(&w.abs, w.params)
	l := &w.layers[0]
	_, _, n := l.sizes()
	for k := range w.layers {
		l := &w.layers[k]
		_, _, n := l.sizes()
		for i, v := range params[l.Offset : l.Offset+n] {
			if v < 0 {
				v = -v
			}
			w.abs[l.Offset+i] = v
		}
	}
	if w.opt.Clip {
		return
	}
	_, out, _ := l.sizes()
	w.radius1 = room(&w.radius1, out)
	ones := w.c[:w.Inputs()]
	fill(ones, 1)
	if w.opt.Ball == nil {
		clear(w.radius1)
		w.apply(l, w.abs, ones, w.radius1)
		for i := range w.radius1 {
			w.radius1[i] *= w.eps
		}
		return
	}
	sq := w.abs[l.Offset : l.Offset+n] // squares for a moment
	for i, v := range sq {
		sq[i] = v * v
	}
	clear(w.radius1)
	w.apply(l, w.abs, ones, w.radius1)
	for i, v := range w.radius1 {
		w.radius1[i] = w.eps * T(math.Sqrt(float64(v)))
	}
	for i, v := range params[l.Offset : l.Offset+n] {
		sq[i] = max(v, -v)
	}
}

// enter sets the sample's centre and radius.
func (w *Loss[T]) enter(s *sample[T], x []T) {
	s.x, s.r = w.nums.take(len(x)), w.nums.take(len(x))
	lo, hi := T(w.opt.Lo), T(w.opt.Hi)
	for i, id := range w.vars[0].order {
		v := x[id]
		c, r := v, w.eps
		if w.opt.Clip {
			l, u := max(v-w.eps, lo), min(v+w.eps, hi)
			c, r = l+(u-l)/2, max((u-l)/2, 0)
		}
		s.x[i], s.r[i] = c, r
		w.c[id], w.r[id] = c, r
	}
}

// bound finds the bounds of layer k's neurons: w.lo and w.hi. Neurons whose sign intervals leave open get those of the dual
// network.
func (w *Loss[T]) bound(s *sample[T], params []T, k int) {
	l := &w.layers[k-1]
	_, out, _ := l.sizes()
	z, zr := w.z[:out], w.zr[:out]
	w.setBiases(l, params, z)
	w.apply(l, params, w.c, z)
	if k == 1 && !w.opt.Clip {
		copy(zr, w.radius1)
	} else {
		clear(zr)
		w.apply(l, w.abs, w.r, zr)
	}
	lo, hi := w.lo[:out], w.hi[:out]
	for i, v := range z {
		lo[i], hi[i] = v-zr[i], v+zr[i]
	}
	if k > 1 {
		w.dual(s, params, k)
	}
	w.relu(lo, hi)
}

// relu sets centre and radius of the neurons' outputs.
func (w *Loss[T]) relu(lo, hi []T) {
	for i, l := range lo {
		l, u := max(l, 0), max(hi[i], 0)
		w.c[i], w.r[i] = (l+u)/2, (u-l)/2
	}
}

func room[T any](x *[]T, n int) []T {
	if cap(*x) < n {
		*x = make([]T, n)
	}
	*x = (*x)[:n]
	return *x
}

func fill[T any](x []T, v T) {
	for i := range x {
		x[i] = v
	}
}
