package kolter

import (
	"math"

	"github.com/spai-project/certify/relax"
)

// reference is the bound by its formulas, with whole matrices and no regard for speed or rounding: Algorithm 1 of Wong and Kolter
// 2018, with neurons stable where intervals say so. It returns the bounds of the margins.
func (t *task) reference(r *Region, label int) []float64 {
	type layer struct {
		w    [][]float64 // outputs by inputs
		b    []float64
		l, u []float64
	}
	p := t.program()
	var net []*layer
	for k := range p.Nodes {
		if nd := &p.Nodes[k]; len(nd.Terms) > 0 {
			out, in := nd.Terms[0].Map.Dims()
			y := &layer{b: nd.Bias, w: make([][]float64, out)}
			for i := range y.w {
				y.w[i] = make([]float64, in)
			}
			nd.Terms[0].Map.Each(func(i, j int, v float64) { y.w[i][j] = v })
			net = append(net, y)
		}
	}
	slope := func(l, u float64) float64 {
		switch {
		case u <= 0:
			return 0
		case l >= 0:
			return 1
		}
		return u / (u - l)
	}
	// dual bounds c·z_k from below.
	dual := func(k int, c []float64) float64 {
		j, nu := 0.0, c
		for i := k; i >= 0; i-- {
			y := net[i]
			next := make([]float64, len(y.w[0]))
			for o, v := range nu {
				j += v * y.b[o]
				for q, a := range y.w[o] {
					next[q] += v * a
				}
			}
			nu = next
			if i > 0 {
				for q := range nu {
					l, u := net[i-1].l[q], net[i-1].u[q]
					nu[q] *= slope(l, u)
					if l < 0 && u > 0 {
						j += l * max(-nu[q], 0)
					}
				}
			}
		}
		size := 0.0
		for q, v := range nu {
			switch {
			case r.Ball == nil:
				j += min(v*r.Box.Lo[q], v*r.Box.Hi[q])
			case r.Ball.Norm == relax.L2:
				j, size = j+v*r.Ball.X[q], math.Hypot(size, v)
			default:
				j, size = j+v*r.Ball.X[q], max(size, math.Abs(v))
			}
		}
		if r.Ball != nil {
			j -= r.Ball.Eps * size
		}
		return j
	}
	lo, hi := r.Box.Lo, r.Box.Hi
	for k, y := range net[:len(net)-1] {
		for o, row := range y.w {
			l, u := y.b[o], y.b[o]
			for q, v := range row {
				l += min(v*lo[q], v*hi[q])
				u += max(v*lo[q], v*hi[q])
			}
			if l < 0 && u > 0 {
				c := make([]float64, len(y.w))
				c[o] = 1
				l = dual(k, c)
				c[o] = -1
				u = -dual(k, c)
			}
			y.l, y.u = append(y.l, l), append(y.u, u)
		}
		lo, hi = nil, nil
		for o := range y.w {
			lo, hi = append(lo, max(y.l[o], 0)), append(hi, max(y.u[o], 0))
		}
	}
	var out []float64
	for i := range net[len(net)-1].w {
		c := make([]float64, len(net[len(net)-1].w))
		c[label]++
		c[i]--
		out = append(out, dual(len(net)-1, c))
	}
	return out
}
