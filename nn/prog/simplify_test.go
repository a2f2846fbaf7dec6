package prog

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// ratMatrix is an exact matrix with a bias.
type ratMatrix struct {
	m, n int
	a    map[[2]int]*big.Rat
	b    []*big.Rat
}

func rat(v float64) *big.Rat { return new(big.Rat).SetFloat64(v) }

// trueAffine returns what the single-source affine node stands for when every coefficient is off by a random part of its
// allowed relative error.
func trueAffine(r *rand.Rand, n *Node, in int) *ratMatrix {
	off := func(v float64) *big.Rat {
		d := new(big.Rat).SetFrac64(r.Int64N(2001)-1000, 1000)
		if r.IntN(2) == 0 { // the extremes matter most
			d.SetInt64(int64(2*r.IntN(2) - 1))
		}
		d.Mul(d, rat(float64(n.Rel)*0x1p-53))
		return d.Mul(rat(v), d.Add(d, big.NewRat(1, 1)))
	}
	m := &ratMatrix{m: n.N, n: in, a: map[[2]int]*big.Rat{}, b: make([]*big.Rat, n.N)}
	for i := range m.b {
		m.b[i] = new(big.Rat)
		if n.Bias != nil {
			m.b[i] = off(n.Bias[i])
		}
	}
	for _, t := range n.Terms {
		t.Map.Each(func(i, j int, v float64) {
			e := m.at(i, j)
			e.Add(e, off(v))
		})
	}
	return m
}

func (m *ratMatrix) at(i, j int) *big.Rat {
	if m.a[[2]int{i, j}] == nil {
		m.a[[2]int{i, j}] = new(big.Rat)
	}
	return m.a[[2]int{i, j}]
}

// after returns m∘l.
func (m *ratMatrix) after(l *ratMatrix) *ratMatrix {
	o := &ratMatrix{m: m.m, n: l.n, a: map[[2]int]*big.Rat{}, b: make([]*big.Rat, m.m)}
	for i := range o.b {
		o.b[i] = new(big.Rat).Set(m.b[i])
	}
	byRow := make(map[int][][2]int)
	for k := range l.a {
		byRow[k[0]] = append(byRow[k[0]], k)
	}
	for k, v := range m.a {
		i, j := k[0], k[1]
		o.b[i].Add(o.b[i], new(big.Rat).Mul(v, l.b[j]))
		for _, q := range byRow[j] {
			e := o.at(i, q[1])
			e.Add(e, new(big.Rat).Mul(v, l.a[q]))
		}
	}
	return o
}

// checkRel fails unless every true coefficient is within the node's Rel of the stored one.
func checkRel(t *rapid.T, n *Node, truth *ratMatrix) {
	check := func(what string, i, j int, stored float64, want *big.Rat) {
		d := new(big.Rat).Sub(want, rat(stored))
		limit := new(big.Rat).Mul(rat(float64(n.Rel)*0x1p-53), rat(math.Abs(stored)))
		if d.Abs(d).Cmp(limit) > 0 {
			w, _ := want.Float64()
			t.Fatalf("%s %d,%d: stored %g, true %g, Rel %d", what, i, j, stored, w, n.Rel)
		}
	}
	stored := &ratMatrix{a: map[[2]int]*big.Rat{}}
	for _, term := range n.Terms {
		term.Map.Each(func(i, j int, v float64) {
			if stored.a[[2]int{i, j}] != nil {
				t.Skip("two terms share an entry")
			}
			stored.at(i, j)
			want := truth.a[[2]int{i, j}]
			if want == nil {
				want = new(big.Rat)
			}
			check("entry", i, j, v, want)
		})
	}
	for k, v := range truth.a {
		if stored.a[k] == nil && v.Sign() != 0 {
			t.Fatalf("entry %v lost", k)
		}
	}
	for i, want := range truth.b {
		b := 0.0
		if n.Bias != nil {
			b = n.Bias[i]
		}
		check("bias", i, 0, b, want)
	}
}

// TestFoldRel checks the promise of Node.Rel on merged pairs of nodes, with true coefficients at and within the limits of
// the errors that the originals allow.
func TestFoldRel(t *testing.T) {
	folded := 0
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.IntRange(1, 6).Draw(t, "in")
		b := NewBuilder(in)
		maps := []Linear{drawMap(t, in, allMaps...)}
		src := 0
		for k := 0; ; k++ {
			out, _ := maps[k].Dims()
			src = b.Affine("", out, drawBias(t, out), rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "rel"), Term{src, maps[k]})
			if k == 2 {
				break
			}
			maps = append(maps, drawMap(t, out, allMaps...))
		}
		p, err := b.Program(src)
		if err != nil {
			t.Fatal(err)
		}
		q := Simplify(p, nil)
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		if len(q.Nodes) > 2 {
			t.Skip("not merged into one node")
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "errors"), 3))
		truth := trueAffine(r, &p.Nodes[1], in)
		for k := 2; k < len(p.Nodes); k++ {
			truth = trueAffine(r, &p.Nodes[k], p.Nodes[k-1].N).after(truth)
		}
		if len(q.Nodes) == 1 {
			t.Skip("the program is a copy of its input")
		}
		checkRel(t, &q.Nodes[1], truth)
		folded++
	})
	if folded < 10 {
		t.Errorf("only %d programs were merged: the test shows nothing", folded)
	}
}

// ratEval evaluates a program without sigmoids exactly.
func ratEval(p *Program, x []float64) []*big.Rat {
	v := make([][]*big.Rat, len(p.Nodes))
	for k := range p.Nodes {
		n := &p.Nodes[k]
		v[k] = make([]*big.Rat, n.N)
		for i := range v[k] {
			v[k][i] = new(big.Rat)
			switch {
			case n.Kind == Input:
				v[k][i] = rat(x[i])
			case n.Kind == Relu && v[n.Src][i].Sign() > 0, n.Kind == Sigmoid:
				v[k][i].Set(v[n.Src][i])
			case n.Kind == Curve:
				v[k][i] = exactCurve(n.Fn, v[n.Src][i])
			case n.Kind == Product:
				v[k][i].Mul(v[n.Src][i], v[n.Src2][i])
			case n.Bias != nil:
				v[k][i] = rat(n.Bias[i])
			}
		}
		for _, t := range n.Terms {
			t.Map.Each(func(i, j int, c float64) {
				v[k][i].Add(v[k][i], new(big.Rat).Mul(rat(c), v[t.Src][j]))
			})
		}
	}
	return v[p.Output]
}

// TestSimplifyEqual draws programs whose coefficients are small integers, so that every fold is exact and the simplified
// program must be the same function, exactly. (Sigmoid counts as a copy here: only the wiring is compared.)
func TestSimplifyEqual(t *testing.T) {
	smaller, restricted := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := roundProgram(drawProgram(t))
		before := Program{Nodes: append([]Node(nil), p.Nodes...), Output: p.Output}
		n := p.Nodes[p.Output].N
		var keep []bool
		if rapid.Bool().Draw(t, "some") {
			keep = make([]bool, n)
			for i := range keep {
				keep[i] = rapid.IntRange(0, 5).Draw(t, "keep") == 0
			}
			restricted++
		}
		q := Simplify(p, keep)
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		if len(q.Nodes) < len(p.Nodes) {
			smaller++
		}
		if q.Nodes[q.Output].N != n || q.Nodes[0].N != p.Nodes[0].N {
			t.Fatalf("lengths changed")
		}
		for k, node := range p.Nodes {
			if len(node.Terms) != len(before.Nodes[k].Terms) || node.Rel != before.Nodes[k].Rel || node.Src != before.Nodes[k].Src {
				t.Fatalf("node %d of the original was changed", k)
			}
		}
		for k := range q.Nodes {
			if q.Nodes[k].Rel != 0 {
				t.Fatalf("node %d: Rel %d from exact folds", k, q.Nodes[k].Rel)
			}
		}
		x := noise(t, p.Nodes[0].N, "x")
		want, got := ratEval(p, x), ratEval(q, x)
		for i := range want {
			if (keep == nil || keep[i]) && want[i].Cmp(got[i]) != 0 {
				t.Fatalf("output %d: %v, want %v", i, got[i].FloatString(9), want[i].FloatString(9))
			}
		}
	})
	if smaller == 0 || restricted == 0 {
		t.Errorf("%d programs became smaller, %d were restricted: the test shows nothing", smaller, restricted)
	}
}

// TestSimplifyExamples pins what is meant to become of common constructions.
func TestSimplifyExamples(t *testing.T) {
	fill := func(n int, v float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = v
		}
		return out
	}
	g := ConvGeom{C: 2, H: 4, W: 4, M: 3, KH: 3, KW: 3, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1}
	w := fill(g.M*g.C*9, 0.1)
	n := 48
	tests := map[string]struct {
		build func(b *Builder) int
		in    int
		nodes int // without the input
		rel   int // of the last node
	}{
		"convolution and batch normalisation": {func(b *Builder) int {
			z := b.Affine("conv", n, fill(n, 0.3), 0, Term{0, Conv(g, w)})
			z = b.Affine("mean", n, fill(n, -0.7), 0, Term{z, Identity(n)})
			z = b.Affine("scale", n, nil, 3, Term{z, Diag(fill(n, 1.1))})
			return b.Affine("shift", n, fill(n, 0.2), 0, Term{z, Identity(n)})
		}, 32, 1, 10}, // the scale brings 3, rounding 3 more, and the bias 0.2 − 0.44 magnifies them
		"normalised input": {func(b *Builder) int {
			z := b.Affine("mean", 32, fill(32, -0.5), 0, Term{0, Identity(32)})
			z = b.Affine("std", 32, nil, 0, Term{z, Diag(fill(32, 4))})
			return b.Affine("conv", n, nil, 0, Term{z, Conv(g, w)})
		}, 32, 1, 2},
		"flatten, relu, dense": {func(b *Builder) int {
			z := b.Affine("", 4, nil, 0, Term{0, Identity(4)})
			z = b.Relu("", z)
			z = b.Affine("", 4, nil, 0, Term{z, Index(4, []int32{3, 2, 1, 0})})
			return b.Affine("", 2, nil, 0, Term{z, Dense(2, 4, fill(8, 0.1))})
		}, 4, 2, 0},
		"residual addition": {func(b *Builder) int {
			r := b.Relu("", 0)
			z := b.Affine("", 4, fill(4, 1), 0, Term{r, Dense(4, 4, fill(16, 0.1))})
			return b.Affine("", 4, nil, 0, Term{z, Identity(4)}, Term{r, Identity(4)})
		}, 4, 2, 0},
		"cancelling bias is left alone": {func(b *Builder) int {
			z := b.Affine("", 1, []float64{1}, 1, Term{0, Dense(1, 1, []float64{1})})
			return b.Affine("", 1, []float64{-1 + 0x1p-40}, 0, Term{z, Dense(1, 1, []float64{1})})
		}, 1, 2, 0},
		"underflow is left alone": {func(b *Builder) int {
			z := b.Affine("", 1, nil, 0, Term{0, Diag([]float64{1e-200})})
			return b.Affine("", 1, nil, 0, Term{z, Diag([]float64{1.1e-150})})
		}, 1, 2, 0},
		"columns are not added up": {func(b *Builder) int {
			z := b.Affine("", 2, nil, 0, Term{0, Index(1, []int32{0, 0})})
			return b.Affine("", 1, nil, 0, Term{z, Dense(1, 2, []float64{1, 0.1})})
		}, 1, 2, 0},
		"sparse columns are not added up": {func(b *Builder) int {
			z := b.Affine("", 2, nil, 0, Term{0, Index(9, []int32{0, 0})})
			return b.Affine("", 9, nil, 0, Term{z, Sparse(9, 2, []int32{0, 2, 2, 2, 2, 2, 2, 2, 2, 2}, []int32{0, 1}, []float64{1, 0.1})})
		}, 9, 2, 0},
		"shared work is not duplicated": {func(b *Builder) int {
			z := b.Affine("", 4, nil, 0, Term{0, Dense(4, 4, fill(16, 0.1))})
			x, y := b.Affine("", 4, nil, 0, Term{z, Diag(fill(4, 2))}), b.Affine("", 4, nil, 0, Term{z, Diag(fill(4, 3))})
			return b.Affine("", 4, nil, 0, Term{b.Relu("", x), Identity(4)}, Term{b.Relu("", y), Identity(4)})
		}, 4, 6, 0},
		"an uncertain identity is not a copy": {func(b *Builder) int {
			return b.Relu("", b.Affine("", 4, nil, 2, Term{0, Identity(4)}))
		}, 4, 2, 0},
		"unused branch": {func(b *Builder) int {
			z := b.Affine("", 2, nil, 0, Term{0, Dense(2, 2, fill(4, 0.1))})
			b.Relu("", z)
			return z
		}, 2, 1, 0},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(c.in)
			p, err := b.Program(c.build(b))
			if err != nil {
				t.Fatal(err)
			}
			q := Simplify(p, nil)
			if len(q.Nodes) != c.nodes+1 || q.Nodes[q.Output].Rel != c.rel {
				t.Errorf("%d nodes, Rel %d; want %d, Rel %d", len(q.Nodes)-1, q.Nodes[q.Output].Rel, c.nodes, c.rel)
			}
		})
	}
}

// TestSimplifyCone checks that only the cone of one needed output survives.
func TestSimplifyCone(t *testing.T) {
	g := ConvGeom{C: 1, H: 9, W: 9, M: 4, KH: 3, KW: 3, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}
	w := make([]float64, 36)
	for i := range w {
		w[i] = float64(i%5) + 1
	}
	b := NewBuilder(81)
	z := b.Affine("", 4*49, make([]float64, 4*49), 0, Term{0, Conv(g, w)})
	z = b.Relu("", z)
	g2 := g
	g2.C, g2.H, g2.W, g2.M = 4, 7, 7, 1
	z = b.Affine("", 25, nil, 0, Term{z, Conv(g2, w)})
	p, err := b.Program(z)
	if err != nil {
		t.Fatal(err)
	}
	keep := make([]bool, 25)
	keep[12] = true
	q := Simplify(p, keep)
	count := func(l Linear) (n int) { l.Each(func(i, j int, v float64) { n++ }); return n }
	if n := count(q.Nodes[3].Terms[0].Map); n != 36 {
		t.Errorf("output map has %d entries, want 36", n)
	}
	if n := count(q.Nodes[1].Terms[0].Map); n != 36*9 {
		t.Errorf("first map has %d entries, want %d", n, 36*9)
	}
}
