package sdp

import (
	"context"
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// An L2 bounds a network of dense layers on balls in the norm L2 by linear bounds backward (CROWN) with the offset of SDP-CROWN at
// every layer. A layer's pre-activations lie in a ball around those of the centre, by the spectral norms, which NewL2 proves, and in
// the box that backward passes give. It is immutable and safe for concurrent use.
type L2 struct {
	layers []dense
	sigma  []float64 // upper bounds on ‖W‖₂
	// Box leaves the ball out at inner layers: what linear relaxation gives alone, for comparison.
	Box bool
}

// NewL2 reads a network of dense layers and ReLUs. The error wraps ErrShape for others, and for layers that are too wide.
func NewL2(p *prog.Program) (*L2, error) {
	layers, err := readDense(p)
	if err != nil {
		return nil, err
	}
	widest, most := 0, 0
	for _, l := range layers {
		widest, most = max(widest, l.out), max(most, l.in, l.out)
	}
	if widest > maxWeights/max(most, 1) { // a row for each unit is passed back through all layers
		return nil, fmt.Errorf("%w: a layer of %d units is too wide", ErrShape, widest)
	}
	n := &L2{layers: layers}
	var prover Prover
	for i := range layers {
		s, err := layers[i].norm(&prover)
		if err != nil {
			return nil, err
		}
		n.sigma = append(n.sigma, s)
	}
	return n, nil
}

// Margins returns, for every other class, a lower bound on the label's lead over it in the ball of radius rho around x in the norm L2,
// in real arithmetic; +Inf for the label itself. Each is the better one of what boxes give alone and with the balls: tighter bounds can
// turn the choice of a slope for the worse. The error wraps ErrShape where the arguments do not fit, or is ctx's.
func (n *L2) Margins(ctx context.Context, x []float64, label int, rho float64) ([]float64, error) {
	last := &n.layers[len(n.layers)-1]
	if len(x) != n.layers[0].in || label < 0 || label >= last.out || !(rho >= 0) || !(rho <= 0x1p100) {
		return nil, fmt.Errorf("%w: %d inputs, label %d, radius %v", ErrShape, len(x), label, rho)
	}
	for _, v := range x {
		if !(math.Abs(v) <= 0x1p100) {
			return nil, fmt.Errorf("%w: an input is %v", ErrShape, v)
		}
	}
	rows := make([]float64, last.out*last.out)
	for j := range last.out {
		rows[j*last.out+label]++
		rows[j*last.out+j]--
	}
	margins := make([]float64, last.out)
	for j := range margins {
		margins[j] = math.Inf(-1)
	}
	for _, ball := range []bool{false, true} {
		if ball && n.Box {
			break
		}
		r := &l2run{net: n, x: x, rho: rho, ball: ball}
		for k := range n.layers {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r.magnitudes(k)
			if k < len(n.layers)-1 {
				r.layer(k)
			}
		}
		for j, v := range r.backward(len(n.layers)-1, last.out, rows) {
			margins[j] = max(margins[j], v)
		}
	}
	margins[label] = math.Inf(1)
	return margins, nil
}

// An l2run is the state of one ball.
type l2run struct {
	net  *L2
	x    []float64
	rho  float64
	mag  [][]float64 // per layer: bounds on the magnitudes of what it reads
	s    [][]float64 // per layer: |W|·mag + |b|, rounded up
	ball bool        // use the ball at inner layers, not only its box
	// balls holds, per layer but the last, a set around its pre-activations.
	balls []Ball
	mul   kernel.Multiplier[float64]
}

// magnitudes sets mag and s of layer k from the balls before it.
func (r *l2run) magnitudes(k int) {
	l := &r.net.layers[k]
	mag, s := make([]float64, l.in), make([]float64, l.out)
	for j := range mag {
		if k == 0 {
			mag[j] = up(math.Abs(r.x[j]) + r.rho)
		} else {
			mag[j] = max(r.balls[k-1].U[j], 0)
		}
	}
	for i := range s {
		s[i] = (kernel.AbsDot(l.w[i*l.in:(i+1)*l.in], mag)+math.Abs(l.b[i]))*loose + 0x1p-800
	}
	r.mag, r.s = append(r.mag, mag), append(r.s, s)
}

// layer sets the ball of layer k's pre-activations: around those of the centre, whose own rounding enlarges it, and the box from one
// backward pass each way.
//
// Sound because relu moves no two vectors apart, and ‖W(x−c)‖ ≤ σ‖x−c‖.
func (r *l2run) layer(k int) {
	l := &r.net.layers[k]
	centre, radius := r.x, r.rho
	if k > 0 {
		centre, radius = make([]float64, l.in), r.balls[k-1].Rho
		for j, v := range r.balls[k-1].Centre {
			centre[j] = max(v, 0)
		}
	}
	b := Ball{Centre: make([]float64, l.out), L: make([]float64, l.out), U: make([]float64, l.out)}
	off := 0.0
	g := gamma(l.in+l.rel+8) * loose
	for i := range b.Centre {
		w := l.w[i*l.in : (i+1)*l.in]
		b.Centre[i] = kernel.Dot(w, centre) + l.b[i]
		mag := 0.0
		for j, v := range w {
			mag += math.Abs(v) * math.Abs(centre[j])
		}
		e := g*(mag+math.Abs(l.b[i])) + 0x1p-700
		off += e * e
	}
	b.Rho = up(up(r.net.sigma[k]*radius) + rootUp(off*loose+0x1p-1000)) // squares may underflow
	rows := make([]float64, 2*l.out*l.out)
	for i := range l.out {
		rows[i*l.out+i], rows[(l.out+i)*l.out+i] = 1, -1
	}
	lb := r.backward(k, 2*l.out, rows)
	for i, c := range b.Centre {
		b.L[i], b.U[i] = max(lb[i], down(c-b.Rho)), min(-lb[l.out+i], up(c+b.Rho))
	}
	r.balls = append(r.balls, b)
}

// backward bounds count linear functions of layer k's pre-activations from below; rows is row-major, count×out, and kept.
//
// Sound because what is rounded are the products νᵀW alone, and any g is valid at the layer below: |fl(νᵀW) − νᵀW|·|x| ≤ γ·|ν|ᵀ|W|·mag.
func (r *l2run) backward(k, count int, rows []float64) []float64 {
	n := r.net
	sum, mag, err := make([]float64, count), make([]float64, count), make([]float64, count)
	nu := rows
	for ; ; k-- {
		l := &n.layers[k]
		g := gamma(l.out+l.rel+8) * loose
		for i := range count {
			row := nu[i*l.out : (i+1)*l.out]
			v := kernel.Dot(row, l.b)
			sum[i] += v
			mag[i] += math.Abs(v)
			err[i] += g*kernel.AbsDot(row, r.s[k]) + 0x1p-800
		}
		a := make([]float64, count*l.in)
		r.mul.Mul(count, l.in, l.out, 1, matrix(nu, l.out), matrix(l.w, l.in), matrix(a, l.in))
		if k == 0 {
			return r.concretize(a, sum, mag, err)
		}
		r.relu(k-1, count, a, sum, mag)
		nu = a
	}
}

// relu turns coefficients on the outputs of layer k's ReLUs into coefficients on its pre-activations, and adds the offsets.
func (r *l2run) relu(k, count int, a, sum, mag []float64) {
	b := &r.balls[k]
	n := len(b.L)
	var open []int
	for i := range n {
		if b.L[i] < 0 && b.U[i] > 0 {
			open = append(open, i)
		}
	}
	part := Ball{pick(b.Centre, open), b.Rho, pick(b.L, open), pick(b.U, open)}
	g := make([]float64, len(open))
	for i := range count {
		row := a[i*n : (i+1)*n]
		for j := range row {
			if b.U[j] <= 0 {
				row[j] = 0
			}
		}
		c := pick(row, open)
		for q, j := range open {
			l, u := b.L[j], b.U[j]
			switch {
			case c[q] < 0:
				g[q] = c[q] * (u / (u - l))
			case u > -l:
				g[q] = c[q]
			default:
				g[q] = 0
			}
			row[j] = g[q]
		}
		var h float64
		if r.ball {
			h, _ = part.Best(c, g)
		} else {
			h = part.Offset(c, g, 0)
		}
		sum[i] += h
		mag[i] += math.Abs(h)
	}
}

// concretize returns the bounds of aᵀx + sum over the input ball.
func (r *l2run) concretize(a, sum, mag, err []float64) []float64 {
	n := len(r.x)
	out := make([]float64, len(sum))
	for i := range out {
		row := a[i*n : (i+1)*n]
		v := kernel.Dot(row, r.x)
		size := 0.0
		for j, c := range row {
			size += math.Abs(c) * math.Abs(r.x[j])
		}
		radius := up(r.rho * rootUp(sumSquares(row)))
		e := (err[i] + gamma(n+4*len(r.net.layers)+64)*(size+mag[i]+math.Abs(sum[i])+radius)) * loose
		if out[i] = down(sum[i] + (v - radius) - e); math.IsNaN(out[i]) {
			out[i] = math.Inf(-1)
		}
	}
	return out
}
