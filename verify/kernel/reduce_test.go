package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestReduce: where the first Relus are active, what comes before the second ones is linear, so that the bounds of the reduced
// network are reached at corners of the box. They must contain the exact values there, and little more: any rounding that is not
// charged shows.
func TestReduce(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	seen, tight := 0, 0
	for iter := range 1500 {
		c := newChain(r, []int{2, 3, 3, 1}, iter%2 == 0)
		for _, row := range c.w[0] {
			row[2] += 64
		}
		shift := &c.net.nodes[c.net.nodes[c.net.relus[0]].src].terms[1]
		var flat []float64
		for _, row := range c.w[0] {
			flat = append(flat, row[2])
		}
		shift.w = quantise(flat, false)
		lo := []*big.Rat{big.NewRat(int64(r.IntN(7)-3), 3), big.NewRat(int64(r.IntN(7)-3), 7)}
		hi := []*big.Rat{new(big.Rat).Add(lo[0], big.NewRat(1+r.Int64N(5), 3)), new(big.Rat).Add(lo[1], big.NewRat(1+r.Int64N(5), 7))}
		for _, row := range c.w[1] { // the second layer changes sign within the box
			mid := c.values([]*big.Rat{new(big.Rat).Mul(new(big.Rat).Add(lo[0], hi[0]), big.NewRat(1, 2)), new(big.Rat).Mul(new(big.Rat).Add(lo[1], hi[1]), big.NewRat(1, 2))})
			s := 0.0
			for j, z := range mid[0] {
				f, _ := z.Float64()
				s += row[j] * f
			}
			row[3] = -s
		}
		second := &c.net.nodes[c.net.nodes[c.net.relus[1]].src].terms[1]
		flat = flat[:0]
		for _, row := range c.w[1] {
			flat = append(flat, row[3])
		}
		second.w = quantise(flat, false)
		b := c.net.root(lo, hi, false)
		e := newEvaluator(c.net, &budget{limit: math.MaxInt64})
		if iter%2 != 0 { // bounds that cannot be rounded further without a fault
			k := c.net.nodes[c.net.relus[1]].src
			b = b.copy(k)
			for j := range 3 {
				for side := Lower; side <= Upper; side++ {
					v := e.lower(b, sideOf(k, j, side), sum{}, &chooser{next: -1})
					b.lemma(k, j, side, v.units(b.fr.exp[k]))
				}
			}
		}
		n, nb, _ := e.reduce(b, refute([]row{{seeds: []seed{{c.net.output, 0, unit}}, rhs: new(big.Rat)}}), 0)
		src := c.net.nodes[c.net.relus[1]].src
		if len(n.relus) != 1 {
			continue
		}
		z, at := n.nodes[n.relus[0]].src, 0
		for j := range 3 {
			if b.lo[src][j] >= 0 || b.hi[src][j] <= 0 {
				continue
			}
			l, u := scaled(big.NewInt(nb.lo[z][at]), nb.fr.exp[z]), scaled(big.NewInt(nb.hi[z][at]), nb.fr.exp[z])
			at++
			seen++
			for corner := range 4 {
				v := c.values([]*big.Rat{[]*big.Rat{lo[0], hi[0]}[corner&1], []*big.Rat{lo[1], hi[1]}[corner>>1]})[1][j]
				if v.Cmp(l) < 0 || v.Cmp(u) > 0 {
					t.Fatalf("iteration %d: a value lies outside the bounds of the reduced network", iter)
				}
				below, _ := new(big.Rat).Sub(v, l).Float64()
				above, _ := new(big.Rat).Sub(u, v).Float64()
				if min(below, above) < 1e-7 {
					tight++
				}
			}
		}
	}
	if seen < 1000 || tight < 2*seen-seen/10 {
		t.Errorf("%d elements, %d of their values at an end: too few to test much", seen, tight)
	}
}

// TestReduceCancels: large values that cancel leave a small constant behind, whose rounding hides nothing of what the coefficients'
// rounding loses. What remains is one input: its ends must lie within the bounds of the reduced network, and within the inequality's.
func TestReduceCancels(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	close := 0
	for iter := range 400 {
		v := math.Ldexp(float64(1-2*r.IntN(2))*(1+r.Float64()), 20)
		n := &network{}
		n.add(node{n: 3}) // the second input is not used
		n.add(node{n: 1})
		k := 0
		layer := func(rows ...[]float64) {
			tm := term{src: k}
			var flat []float64
			for i, row := range rows {
				flat = append(flat, row...)
				tm.runs = append(tm.runs, run{out: int32(i), w: int32(3 * i), n: 3, si: 1, sw: 1})
			}
			tm.w = quantise(flat, false)
			k = n.add(node{kind: affine, n: len(rows), terms: []term{tm}})
		}
		layer([]float64{1, 0, 0}, []float64{1, 0, 0}, []float64{0, 0, 1})
		for range iter % 3 {
			w := 1 + r.Float64()
			layer([]float64{w, 0, 0}, []float64{0, w, 0}, []float64{0, 0, 1})
		}
		w := 1 + r.Float64()
		layer([]float64{w, -w, 1})
		n.output = n.add(node{kind: relu, n: 1, src: k})
		lo, hi := []*big.Rat{newRat(v), newRat(0), newRat(-1)}, []*big.Rat{newRat(v), newRat(0), newRat(1)}
		switch { // from 0, or the point v
		case iter%2 == 0:
		case v > 0:
			lo[0] = newRat(0)
		default:
			hi[0] = newRat(0)
		}
		b := n.root(lo, hi, false)
		e := newEvaluator(n, &budget{limit: math.MaxInt64})
		for side := range 2 {
			bound := e.lower(b, sideOf(k, 0, side), sum{}, &chooser{next: -1})
			if scaled(bound.v.big(), bound.exp).Cmp(lo[2]) > 0 {
				t.Fatalf("iteration %d, side %d: the bound %v exceeds -1", iter, side, bound.float())
			}
		}
		_, nb, _ := e.reduce(b, refute(nil), 0)
		const z = 2
		if iter%4 > 1 { // at the other end of the first input, where what is lost of its coefficients is most
			nb = nb.splitInput(0, newRat(v), v > 0).fresh()
		}
		l, u := scaled(big.NewInt(nb.lo[z][0]), nb.fr.exp[z]), scaled(big.NewInt(nb.hi[z][0]), nb.fr.exp[z])
		below, above := new(big.Rat).Sub(lo[2], l), new(big.Rat).Sub(u, hi[2])
		if below.Sign() < 0 || above.Sign() < 0 {
			t.Fatalf("iteration %d: the bounds of the reduced network miss values by %v, %v", iter,
				below.FloatString(20), above.FloatString(20))
		}
		if f, _ := below.Add(below, above).Float64(); f < 1e-6 {
			close++
		}
	}
	if close < 180 {
		t.Errorf("%d of 400 bounds are close: the test sees little", close)
	}
}
