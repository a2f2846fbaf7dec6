package poison

import (
	"context"
	"math"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
)

// A pass evaluates the objective of a Learner on examples with its gradient, and then products with its second derivatives by
// Pearlmutter's R-operator (1994): the forward and the backward pass are themselves differentiated along a direction v of the
// parameters, which gives H·v exactly, at about the cost of two gradients, and with it the derivative of ∇_x along v.
//
// Rows are cut into shards whose sums are added up in their order.
type pass struct {
	m       *Learner
	ls      []layer
	e       *Examples
	workers int
	weight  func(i int) float64

	// what the last gradient left, one slice per layer, one row per example: outputs, gradients of what goes into the activation,
	// gradients of hidden outputs, and the probabilities of the last layer
	theta         []float64
	flat, flatV   [][]float64 // transposed weights of θ and v, of narrow layers
	act, dz, da   [][]float64
	prob, losses  []float64
	grad          []float64
	ra, rdz       [][]float64 // derivatives of act and dz along v
	product       []float64   // H·v
	mixed         []float64   // (∂/∂x)(v·∇_θ) of the rows from mixedFrom on
	mixedFrom     int
	shards        [][]float64
	room          []scratch
	direction     []float64
	gradientShard func(worker, shard int)
	productShard  func(worker, shard int)
}

// scratch is the room of one worker.
type scratch struct {
	mul    kernel.Multiplier[float64]
	rda    []float64
	narrow []float64 // [out in] of a narrow layer
}

// narrow says that a layer has so few outputs that products are faster row by row: matrix products would spend their time on
// packing the inputs.
func (l layer) narrow() bool { return l.out <= 16 }

// forward adds x·W to out, for n rows. flat is Wᵀ of a narrow layer.
func (s *scratch) forward(l layer, x, w, flat, out []float64, n int) {
	if !l.narrow() {
		s.mul.Mul(n, l.out, l.in, 1, rows(x, l.in), rows(w, l.out), rows(out, l.out))
		return
	}
	for r := range n {
		xr := x[r*l.in:][:l.in]
		for j := range l.out {
			out[r*l.out+j] += kernel.Dot(xr, flat[j*l.in:][:l.in])
		}
	}
}

// outer adds xᵀ·dz to g, for n rows.
func (s *scratch) outer(l layer, x, dz, g []float64, n int) {
	if !l.narrow() {
		s.mul.Mul(l.in, l.out, n, 1, columns(x, l.in), rows(dz, l.out), rows(g, l.out))
		return
	}
	t := s.narrow[:l.in*l.out]
	clear(t)
	for r := range n {
		xr := x[r*l.in:][:l.in]
		for j, d := range dz[r*l.out:][:l.out] {
			if d != 0 {
				kernel.Axpy(t[j*l.in:][:l.in], xr, d)
			}
		}
	}
	for j := range l.out {
		for i, v := range t[j*l.in:][:l.in] {
			g[i*l.out+j] += v
		}
	}
}

// flatten writes the transposed weights of the narrow layers.
func (p *pass) flatten(flat [][]float64, theta []float64) {
	for k, l := range p.ls {
		if l.narrow() {
			kernel.Transpose(flat[k], l.in, l.weights(theta), l.out, l.in, l.out)
		}
	}
}

// pass returns a pass on examples, which must fit and must not change meanwhile. Second derivatives with respect to inputs are
// not computed until mixedRows asks for them.
func (m *Learner) pass(e *Examples, workers int) *pass {
	n := len(e.Labels)
	p := &pass{m: m, ls: m.layers(), e: e, workers: workerCount(workers), mixedFrom: n, losses: make([]float64, n),
		grad: make([]float64, m.Size()), prob: make([]float64, n*m.Classes)}
	p.weight = func(int) float64 { return 1 / float64(n) }
	if len(e.Weights) > 0 {
		p.weight = func(i int) float64 { return e.Weights[i] }
	}
	widest := m.Inputs
	for _, l := range p.ls {
		p.act, p.dz = append(p.act, make([]float64, n*l.out)), append(p.dz, make([]float64, n*l.out))
		p.da = append(p.da, make([]float64, n*l.out))
		widest = max(widest, l.out)
		size := 0
		if l.narrow() {
			size = l.in * l.out
		}
		p.flat, p.flatV = append(p.flat, make([]float64, size)), append(p.flatV, make([]float64, size))
	}
	for range (n + shardRows - 1) / shardRows {
		p.shards = append(p.shards, make([]float64, m.Size()))
	}
	p.room = make([]scratch, p.workers)
	for i := range p.room {
		p.room[i].rda = make([]float64, shardRows*widest)
		for _, f := range p.flat {
			p.room[i].narrow = slices.Grow(p.room[i].narrow, len(f))[:max(len(f), len(p.room[i].narrow))]
		}
	}
	p.gradientShard, p.productShard = p.backward, p.curved
	return p
}

// mixedRows makes products also compute mixed, for the rows from the given one on.
func (p *pass) mixedRows(from int) {
	p.mixedFrom = from
	p.mixed = make([]float64, (len(p.e.Labels)-from)*p.m.Inputs)
}

func rows(x []float64, width int) kernel.Matrix[float64] {
	return kernel.Matrix[float64]{Data: x, Stride: width}
}

func columns(x []float64, width int) kernel.Matrix[float64] {
	return kernel.Matrix[float64]{Data: x, Stride: width, Trans: true}
}

// part is rows of a slice with so many numbers per row.
func part(x []float64, width, from, n int) []float64 { return x[from*width : (from+n)*width] }

// span returns the rows of a shard.
func (p *pass) span(shard int) (from, n int) {
	from = shard * shardRows
	return from, min(shardRows, len(p.e.Labels)-from)
}

// input returns what goes into layer l for some rows.
func (p *pass) input(l, from, n int) []float64 {
	if l == 0 {
		return part(p.e.X, p.m.Inputs, from, n)
	}
	return part(p.act[l-1], p.ls[l].in, from, n)
}

// sum adds the shards up, and λ·v, into dst.
func (p *pass) sum(dst, v []float64) {
	for i := range dst {
		dst[i] = p.m.L2 * v[i]
	}
	for _, s := range p.shards {
		kernel.Axpy(dst, s, 1)
	}
}

// gradient returns the objective at θ and leaves its gradient in p.grad. θ must not change before the products that follow. The
// error is that of ctx, or ErrDiverged.
func (p *pass) gradient(ctx context.Context, theta []float64) (float64, error) {
	p.theta = theta
	p.flatten(p.flat, theta)
	if err := each(ctx, p.workers, len(p.shards), p.gradientShard); err != nil {
		return 0, err
	}
	p.sum(p.grad, theta)
	loss := p.m.L2 / 2 * kernel.Dot(theta, theta)
	for i, v := range p.losses {
		loss += p.weight(i) * v
	}
	if loss-loss != 0 {
		return loss, ErrDiverged
	}
	return loss, nil
}

func (p *pass) backward(worker, shard int) {
	from, n := p.span(shard)
	s := &p.room[worker]
	last := len(p.ls) - 1
	for k, l := range p.ls {
		out := part(p.act[k], l.out, from, n)
		for r := range n {
			copy(out[r*l.out:], l.biases(p.theta))
		}
		s.forward(l, p.input(k, from, n), l.weights(p.theta), p.flat[k], out, n)
		if k < last {
			for i, v := range out {
				out[i] = math.Tanh(v)
			}
		}
	}
	c := p.m.Classes
	for i := from; i < from+n; i++ {
		at := i * c
		p.losses[i] = p.m.Loss.value(p.act[last][at:at+c], p.e.Labels[i], p.weight(i), p.dz[last][at:at+c], p.prob[at:at+c])
	}
	g := p.shards[shard]
	clear(g)
	for k := last; k >= 0; k-- {
		l := p.ls[k]
		dz := part(p.dz[k], l.out, from, n)
		s.outer(l, p.input(k, from, n), dz, l.weights(g), n)
		addRows(l.biases(g), dz)
		if k == 0 {
			break
		}
		da := part(p.da[k-1], l.in, from, n)
		clear(da)
		s.mul.Mul(n, l.in, l.out, 1, rows(dz, l.out), columns(l.weights(p.theta), l.out), rows(da, l.in))
		a, below := part(p.act[k-1], l.in, from, n), part(p.dz[k-1], l.in, from, n)
		for i, v := range da {
			below[i] = v * (1 - a[i]*a[i])
		}
	}
}

// inputs returns the gradient of the objective with respect to the rows from the given one on, after gradient.
func (p *pass) inputs(from int) []float64 {
	l := p.ls[0]
	n := len(p.e.Labels) - from
	dx := make([]float64, n*l.in)
	p.room[0].mul.Mul(n, l.in, l.out, 1, rows(p.dz[0][from*l.out:], l.out), columns(l.weights(p.theta), l.out), rows(dx, l.in))
	return dx
}

// along is the derivative of the last gradient's pass along the direction v: it leaves H·v, λ included, in p.product and, of the
// rows that mixedRows named, (∂/∂x)(v·∇_θ) in p.mixed.
func (p *pass) along(ctx context.Context, v []float64) error {
	if p.ra == nil {
		for k := range p.act {
			p.ra, p.rdz = append(p.ra, make([]float64, len(p.act[k]))), append(p.rdz, make([]float64, len(p.dz[k])))
		}
		p.product = make([]float64, len(p.grad))
	}
	p.direction = v
	p.flatten(p.flatV, v)
	if err := each(ctx, p.workers, len(p.shards), p.productShard); err != nil {
		return err
	}
	p.sum(p.product, v)
	return nil
}

func (p *pass) curved(worker, shard int) {
	from, n := p.span(shard)
	s := &p.room[worker]
	last := len(p.ls) - 1
	for k, l := range p.ls {
		rz := part(p.ra[k], l.out, from, n)
		for r := range n {
			copy(rz[r*l.out:], l.biases(p.direction))
		}
		s.forward(l, p.input(k, from, n), l.weights(p.direction), p.flatV[k], rz, n)
		if k > 0 { // inputs do not depend on θ
			s.forward(l, part(p.ra[k-1], l.in, from, n), l.weights(p.theta), p.flat[k], rz, n)
		}
		if k < last {
			for i, a := range part(p.act[k], l.out, from, n) {
				rz[i] *= 1 - a*a
			}
		}
	}
	c := p.m.Classes
	for i := from; i < from+n; i++ {
		at := i * c
		p.m.Loss.curve(p.prob[at:at+c], p.ra[last][at:at+c], p.weight(i), p.rdz[last][at:at+c])
	}
	p.curvedBack(s, p.shards[shard], from, n)
}

// curvedBack is the derivative of the backward pass.
func (p *pass) curvedBack(s *scratch, g []float64, from, n int) {
	clear(g)
	for k := len(p.ls) - 1; k >= 0; k-- {
		l := p.ls[k]
		dz, rdz := part(p.dz[k], l.out, from, n), part(p.rdz[k], l.out, from, n)
		s.outer(l, p.input(k, from, n), rdz, l.weights(g), n)
		addRows(l.biases(g), rdz)
		if k == 0 {
			break
		}
		ra := part(p.ra[k-1], l.in, from, n)
		s.outer(l, ra, dz, l.weights(g), n)
		rda := s.rda[:n*l.in]
		p.through(s, l, dz, rdz, rda, n)
		a, da, below := part(p.act[k-1], l.in, from, n), part(p.da[k-1], l.in, from, n), part(p.rdz[k-1], l.in, from, n)
		for i, v := range rda {
			below[i] = v*(1-a[i]*a[i]) - 2*a[i]*ra[i]*da[i]
		}
	}
	if first := max(from, p.mixedFrom); first < from+n {
		l, m := p.ls[0], from+n-first
		p.through(s, l, part(p.dz[0], l.out, first, m), part(p.rdz[0], l.out, first, m), part(p.mixed, l.in, first-p.mixedFrom,
			m), m)
	}
}

// through writes the derivative of dz·Wᵀ, which is rdz·Wᵀ + dz·Vᵀ.
func (p *pass) through(s *scratch, l layer, dz, rdz, dst []float64, n int) {
	clear(dst)
	s.mul.Mul(n, l.in, l.out, 1, rows(rdz, l.out), columns(l.weights(p.theta), l.out), rows(dst, l.in))
	s.mul.Mul(n, l.in, l.out, 1, rows(dz, l.out), columns(l.weights(p.direction), l.out), rows(dst, l.in))
}

// slopes returns v·∇_θ ℓ_i for every row, of the loss without its weight and without λ, after along(v): the derivative of the
// loss along v is that of the logits times the gradient in the logits. The rows must have weights other than 0.
func (p *pass) slopes() []float64 {
	last, c := len(p.ls)-1, p.m.Classes
	s := make([]float64, len(p.e.Labels))
	for i := range s {
		s[i] = kernel.Dot(p.dz[last][i*c:][:c], p.ra[last][i*c:][:c]) / p.weight(i)
	}
	return s
}

// addRows adds the rows of x to dst.
func addRows(dst, x []float64) {
	for ; len(x) > 0; x = x[len(dst):] {
		kernel.Axpy(dst, x[:len(dst)], 1)
	}
}
