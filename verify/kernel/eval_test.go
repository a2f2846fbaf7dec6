package kernel

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// A chain is a network of dense layers with ReLUs between them, and its exact weights.
type chain struct {
	net *network
	w   [][][]float64 // per layer, output, input; the last number of a row is the bias
}

// newChain draws a chain. wide weights need more bits than a table has.
func newChain(r *rand.Rand, sizes []int, wide bool) *chain {
	c := &chain{net: &network{}}
	c.net.add(node{n: sizes[0]})
	c.net.add(node{n: 1})
	src := 0
	for k := 1; k < len(sizes); k++ {
		n, m := sizes[k], sizes[k-1]
		var layer [][]float64
		var flat, shift []float64
		for range n {
			row := make([]float64, m+1)
			for j := range row {
				row[j] = float64(float32(r.NormFloat64()))
				if wide {
					row[j] = math.Ldexp(r.NormFloat64(), -r.IntN(30))
				}
			}
			layer, flat, shift = append(layer, row), append(flat, row[:m]...), append(shift, row[m])
		}
		t := term{src: src, w: quantise(flat, false)}
		for i := range n {
			t.runs = append(t.runs, run{out: int32(i), w: int32(i * m), n: int32(m), si: 1, sw: 1})
		}
		at := make([]int32, n)
		for i := range at {
			at[i] = int32(i)
		}
		src = c.net.add(node{kind: affine, n: n, terms: []term{t, bias(quantise(shift, false), at)}})
		c.w = append(c.w, layer)
		if c.net.output = src; k < len(sizes)-1 {
			src = c.net.add(node{kind: relu, n: n, src: src})
		}
	}
	return c
}

// values returns the exact pre-activations of every layer.
func (c *chain) values(x []*big.Rat) (z [][]*big.Rat) {
	for _, layer := range c.w {
		var out, act []*big.Rat
		for _, row := range layer {
			s := newRat(row[len(row)-1])
			for j, v := range x {
				s.Add(s, new(big.Rat).Mul(newRat(row[j]), v))
			}
			out, act = append(out, s), append(act, s)
			if s.Sign() < 0 {
				act[len(act)-1] = new(big.Rat)
			}
		}
		z, x = append(z, out), act
	}
	return z
}

// TestInequality compares bounds with exact values at points of the set: for computed and for random multipliers, exact and
// rounded weights, boxes and single points, with splits and lemmas. Over a point computed multipliers leave almost no gap, so that
// every term counts.
func TestInequality(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	tight, tried, kept, count := 0, 0, 0, map[int]int{}
	for iter := range 1200 {
		sizes := []int{1 + r.IntN(3), 1 + r.IntN(3), 1 + r.IntN(3), 1 + r.IntN(2)}[r.IntN(3):]
		c := newChain(r, sizes, iter%3 == 0)
		lo, hi := make([]*big.Rat, sizes[0]), make([]*big.Rat, sizes[0])
		for i := range lo {
			lo[i] = big.NewRat(int64(r.IntN(2000)-1000), 700)
			hi[i] = new(big.Rat).Add(lo[i], big.NewRat(int64(r.IntN(3)*r.IntN(2000)), 1000))
		}
		if iter%2 == 0 {
			hi = lo
		}
		b := c.net.root(lo, hi, false)
		e := newEvaluator(c.net, &budget{limit: math.MaxInt64})
		// Splits and lemmas; all but the first hold on part of the box only.
		type cut struct {
			layer, j int
			active   bool
		}
		var cuts []cut
		for range r.IntN(3) {
			if len(c.net.relus) == 0 {
				break
			}
			layer := r.IntN(len(c.net.relus))
			s := cut{layer, r.IntN(sizes[layer+1]), r.IntN(2) == 0}
			b, cuts = b.SplitRelu(layer, s.j, s.active), append(cuts, s)
			for layer, k := range c.net.relus {
				j, side, src := r.IntN(sizes[layer+1]), r.IntN(2), c.net.nodes[k].src
				v := e.lower(b, sideOf(src, j, side), sum{}, &chooser{next: -1})
				b = b.copy(src)
				b.lemma(src, j, side, v.units(b.fr.exp[src]))
			}
		}
		var seeds []seed
		for j := range sizes[len(sizes)-1] {
			seeds = append(seeds, seed{c.net.output, j, big.NewRat(int64(r.IntN(2001)-1000), 333)})
		}
		seeds = append(seeds, seed{0, 0, big.NewRat(int64(r.IntN(21)-10), 7)})
		choose := &chooser{next: -1}
		if iter%4 > 1 && len(c.net.relus) > 0 {
			choose = randomLayers(r, c.net)
		}
		mode := choose.mode
		row := refute([]row{{seeds: seeds, rhs: big.NewRat(-1, 3)}})
		v := e.lower(b, row.ready[0].starts, row.ready[0].constant, choose)
		bound := scaled(v.v.big(), v.exp)
		reduced, rb, rg := e.reduce(b, row, 0)
		re := newEvaluator(reduced, e.budget)
		rv := re.lower(rb, rg.ready[0].starts, rg.ready[0].constant, &chooser{next: -1})
		again := scaled(rv.v.big(), rv.exp)
		if d, _ := new(big.Rat).Sub(bound, again).Float64(); mode == Recompute && !b.empty && math.Abs(d) > 1e-8 {
			t.Fatalf("iteration %d: the bound on the reduced network differs by %g", iter, d)
		}
		clipped := (&walker{in: &reader{data: []byte{1, 0, 0, 1, Recompute}}, eval: re}).clip(rb, rg)
		count[len(reduced.relus)]++
		for range 12 {
			x := make([]*big.Rat, len(lo))
			for i := range x {
				x[i] = new(big.Rat).Sub(hi[i], lo[i])
				x[i].Add(lo[i], x[i].Mul(x[i], big.NewRat(int64(r.IntN(5)), 4)))
			}
			z := c.values(x)
			inside := true
			for _, s := range cuts {
				inside = inside && (z[s.layer][s.j].Sign() == 0 || (z[s.layer][s.j].Sign() > 0) == s.active)
			}
			if !inside {
				continue
			}
			if b.empty {
				t.Fatalf("iteration %d: a set with a point is called empty", iter)
			}
			for layer := range c.w {
				k := c.net.output
				if layer < len(c.net.relus) {
					k = c.net.nodes[c.net.relus[layer]].src
				}
				for j, v := range z[layer] {
					if scaled(big.NewInt(b.lo[k][j]), b.fr.exp[k]).Cmp(v) > 0 || scaled(big.NewInt(b.hi[k][j]), b.fr.exp[k]).Cmp(v) < 0 {
						t.Fatalf("iteration %d: layer %d, element %d is outside its bounds", iter, layer, j)
					}
				}
			}
			value := big.NewRat(1, 3)
			for _, s := range seeds {
				v := x[0]
				if s.node != 0 {
					v = z[len(z)-1][s.elem]
				}
				value.Add(value, new(big.Rat).Mul(s.c, v))
			}
			if value.Cmp(again) < 0 {
				t.Fatalf("iteration %d: the bound on the reduced network exceeds a value", iter)
			}
			for d := range x {
				if value.Sign() <= 0 && (scaled(big.NewInt(clipped.lo[0][d]), b.fr.exp[0]).Cmp(x[d]) > 0 || scaled(big.NewInt(clipped.hi[0][d]), b.fr.exp[0]).Cmp(x[d]) < 0) {
					t.Fatalf("iteration %d: a point that satisfies the row is clipped away", iter)
				}
			}
			if value.Sign() <= 0 {
				kept++
			}
			gap := value.Sub(value, bound)
			f, _ := gap.Float64()
			if tried++; gap.Sign() < 0 {
				t.Fatalf("iteration %d: the bound exceeds a value by %g", iter, -f)
			}
			if f < 1e-9 {
				tight++
			}
		}
	}
	if kept < 1000 || count[1] < 60 || count[2] < 10 {
		t.Errorf("%d points satisfy the row; reduced networks by number of Relus: %v", kept, count)
	}
	if tight < tried/4 {
		t.Errorf("%d of %d bounds are tight: the small terms are not tested", tight, tried)
	}
}

// randomLayers gives random explicit multipliers for all Relus.
func randomLayers(r *rand.Rand, n *network) *chooser {
	b := binary.AppendUvarint([]byte{Explicit}, uint64(len(n.relus)))
	for k := len(n.relus) - 1; k >= 0; k-- {
		size := n.nodes[n.relus[k]].n
		b = binary.AppendUvarint(binary.AppendVarint(binary.AppendUvarint(b, uint64(k)), 8), uint64(size))
		for range size {
			b = binary.AppendVarint(append(b, 0), int64(r.IntN(2000)-1000)*int64(r.IntN(2)))
		}
	}
	return newChooser(&reader{data: b}, len(n.relus))
}

// TestSplitInput: the children of a split cover the box, wherever it is cut, and differ from the box.
func TestSplitInput(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	c := newChain(r, []int{1, 2, 1}, false)
	b := c.net.root([]*big.Rat{big.NewRat(-1, 1)}, []*big.Rat{big.NewRat(1, 1)}, false)
	for range 200 {
		at := big.NewRat(r.Int64N(1<<62)-1<<61, 1<<61-1)
		low, high := b.splitInput(0, at, false), b.splitInput(0, at, true)
		end, start := scaled(big.NewInt(low.hi[0][0]), b.fr.exp[0]), scaled(big.NewInt(high.lo[0][0]), b.fr.exp[0])
		if end.Cmp(at) < 0 || start.Cmp(at) > 0 || low.lo[0][0] != b.lo[0][0] || high.hi[0][0] != b.hi[0][0] {
			t.Fatalf("at %v: up to %v and from %v", at, end, start)
		}
		if end.Sub(end, start).Cmp(scaled(big.NewInt(1), 50)) > 0 || low.hi[2][0] > b.hi[2][0] || low.lo[2][0] < b.lo[2][0] {
			t.Fatalf("at %v: the children are no smaller", at)
		}
	}
	for _, at := range []int64{-3, 3} { // beside the box: one child is empty, the other the box
		low, high := b.splitInput(0, scaled(big.NewInt(at), -1000), false), b.splitInput(0, scaled(big.NewInt(at), -1000), true)
		if low.empty != (at < 0) || high.empty != (at > 0) {
			t.Errorf("at %d·2^1000: empty %v, %v", at, low.empty, high.empty)
		}
	}
}

// TestEnclosure: a witness counts only when the whole enclosure of the output satisfies the row.
func TestEnclosure(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	seen := 0
	for range 200 {
		c := newChain(r, []int{2, 2, 1}, true)
		x := []*big.Rat{big.NewRat(1, 2), big.NewRat(-3, 4)}
		b, k := c.net.root(x, x, false), c.net.output
		end := func(v int64) *big.Rat { return scaled(big.NewInt(v), b.fr.exp[k]) }
		lo, hi := end(b.lo[k][0]), end(b.hi[k][0])
		if lo.Cmp(hi) == 0 {
			continue
		}
		seen++
		mid := new(big.Rat).Add(lo, hi)
		mid.Mul(mid, big.NewRat(1, 2))
		bound := func(v *big.Rat) *atom { return &atom{row: row{rhs: v}} }
		p := &Problem{net: c.net, boxes: []*box{{lower: []*atom{bound(x[0]), bound(x[1])}, upper: []*atom{bound(x[0]), bound(x[1])}}}}
		holds := func(sign int64, rhs *big.Rat, strict bool) bool {
			rhs = new(big.Rat).Mul(rhs, big.NewRat(sign, 1))
			rows := []row{{seeds: []seed{{k, 0, big.NewRat(sign, 1)}}, rhs: rhs, strict: strict}}
			return p.violated(&conjunct{rows: rows}, x, b) == ""
		}
		if holds(1, mid, false) || holds(-1, mid, false) || holds(1, lo, false) || holds(1, hi, true) || holds(-1, lo, true) {
			t.Fatal("a row holds for a part of the enclosure only")
		}
		if !holds(1, hi, false) || !holds(-1, lo, false) {
			t.Fatal("a row holds for the whole enclosure, and is refused")
		}
	}
	if seen < 50 {
		t.Errorf("%d enclosures have a width", seen)
	}
}

// TestMultipliersOfAnySize: multipliers of every size give valid bounds or are refused, however they compare with the coefficients.
func TestMultipliersOfAnySize(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	valid, extreme := 0, 0
	for iter := range 6000 {
		c := newChain(r, []int{2, 3, 3, 1}, iter%2 == 0)
		lo := []*big.Rat{big.NewRat(-1, 1), big.NewRat(-1, 2)}
		hi := []*big.Rat{big.NewRat(1, 1), big.NewRat(3, 2)}
		b := c.net.root(lo, hi, false)
		data := []byte{Explicit, 2}
		far := false
		for k := 1; k >= 0; k-- {
			exp := int64(r.IntN(501) - 250)
			if r.IntN(2) == 0 {
				exp = int64(r.IntN(90) - 30)
			}
			far = far || exp < -20 || exp > 60
			data = binary.AppendUvarint(binary.AppendVarint(binary.AppendUvarint(data, uint64(k)), exp), 3)
			for range 3 {
				data = binary.AppendVarint(append(data, 0), r.Int64N(1<<r.IntN(36)+1)-r.Int64N(1<<r.IntN(36)+1))
			}
		}
		o := refute([]row{{seeds: []seed{{c.net.output, 0, unit}}, rhs: new(big.Rat)}}).ready[0]
		var v sum
		err := func() (err error) {
			defer door(&err)
			v = newEvaluator(c.net, &budget{limit: math.MaxInt64}).lower(b, o.starts, o.constant, newChooser(&reader{data: data}, 2))
			return nil
		}()
		if err != nil {
			continue
		}
		valid++
		if far {
			extreme++
		}
		bound := scaled(v.v.big(), v.exp)
		for range 6 {
			x := []*big.Rat{big.NewRat(int64(r.IntN(9)-4), 4), big.NewRat(int64(r.IntN(9)-2), 4)}
			if y := c.values(x)[2][0]; y.Cmp(bound) < 0 {
				t.Fatalf("iteration %d: the bound %v exceeds the value %v", iter, v.float(), y.FloatString(6))
			}
		}
	}
	if valid < 1000 || extreme < 300 {
		t.Errorf("%d bounds, %d with extreme multipliers: too few to test much", valid, extreme)
	}
}
