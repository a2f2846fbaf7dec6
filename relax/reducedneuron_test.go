package relax

import (
	"math/big"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// exactRows evaluates the stored rows of r's neurons at x in rational arithmetic: one of the functions that r stands for.
func exactRows(r *Reduced, x []float64) []*big.Rat {
	v := []*big.Rat{big.NewRat(1, 1)}
	for _, c := range x {
		v = append(v, ratOf(c))
	}
	var z []*big.Rat
	for _, l := range r.levels[:len(r.levels)-1] {
		for i := range l.n {
			s := new(big.Rat)
			idx, val := l.row(i)
			for k, c := range idx {
				s.Add(s, new(big.Rat).Mul(ratOf(val[k]), v[c]))
			}
			z = append(z, s)
			if h := new(big.Rat); s.Sign() > 0 {
				v = append(v, h.Set(s))
			} else {
				v = append(v, h)
			}
		}
	}
	return z
}

// TestNeuronBoundsAgainstExactRows compares the bounds of the neurons with exact values of the rows as stored, from bounds that
// say little to begin with, and makes sure that missing charges are noticed.
func TestNeuronBoundsAgainstExactRows(t *testing.T) {
	var cases []*reducedCase
	for s := range uint64(300) {
		cases = append(cases, drawReduced(t, 5000+s))
	}
	run := func(crown bool, mutate func(*Reduced)) (outside int) {
		for _, c := range cases {
			r, L, U := c.f.Reduce(c.dims, c.objs)
			if r == nil {
				continue
			}
			mutate(r)
			r.crown = crown
			for q := range L {
				m := 4 * max(-L[q], U[q])
				L[q], U[q] = -m, m
			}
			var w Cell
			lo, hi := make([]float64, len(c.dims)), make([]float64, len(c.dims))
			for d, i := range c.dims {
				lo[d], hi[d] = c.box.Lo[i], c.box.Hi[i]
			}
			w.Enter(r, lo, hi, L, U)
			if !w.Neurons() {
				outside++
				continue
			}
			for _, x := range c.xs {
				v := make([]float64, len(c.dims))
				for d, i := range c.dims {
					v[d] = x[i]
				}
				for q, z := range exactRows(r, v) {
					if !below(w.L[q], z) || !below(-w.U[q], new(big.Rat).Neg(z)) {
						outside++
					}
				}
			}
		}
		return outside
	}
	for name, crown := range map[string]bool{"backward": true, "forward": false} {
		if n := run(crown, func(*Reduced) {}); n != 0 {
			t.Errorf("%s: %d values outside their bounds", name, n)
		}
		if n := run(crown, func(r *Reduced) {
			for _, l := range r.levels {
				clear(l.charge)
			}
		}); n == 0 && crown { // forward forms are charged for their own sums again
			t.Errorf("%s: without charges nothing is outside: the test has lost its grip", name)
		}
	}
}

// TestDroppedCoefficients: what cancels but for its last bits is dropped, and paid for.
func TestDroppedCoefficients(t *testing.T) {
	b := prog.NewBuilder(1)
	h := b.Relu("", b.Affine("", 2, nil, 0, prog.Term{Src: 0, Map: prog.Dense(2, 1, []float64{1, 1})}))
	p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: h, Map: prog.Dense(1, 2, []float64{1, -(1 - 0x1p-46)})}))
	f := ibpFrame(NewNet(p), Box{[]float64{1}, []float64{2}})
	r, L, U := f.Reduce([]int{0}, []Objective{{Terms: []ObjectiveTerm{{p.Output, 0, -1}}}})
	if idx, _ := r.levels[0].row(0); len(idx) != 0 {
		t.Fatalf("columns %v are left", idx)
	}
	var w Cell
	w.Enter(r, []float64{1}, []float64{2}, L, U)
	planes := []Plane{{A: make([]float64, 1)}}
	w.Neurons()
	w.Objectives([]int32{0}, planes)
	y := exactEval(p, []float64{2})[p.Output][0]
	if y.Neg(y); !below(planes[0].LB, y) {
		g, _ := y.Float64()
		t.Errorf("bound %g, value %g", planes[0].LB, g)
	}
}
