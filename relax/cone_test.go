package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// mixedNet draws a network whose layers are dense or sparse, read any earlier node, and have ReLUs, sigmoids or both after them;
// activations of activations occur, and layers whose ReLUs are all off.
func mixedNet(r *rand.Rand, t *testing.T) *prog.Program {
	b := prog.NewBuilder(1 + r.IntN(5))
	nodes := []int{0}
	matrix := func(m, n int) prog.Linear {
		w := make([]float64, m*n)
		keep := []float64{0.3, 0.6, 1}[r.IntN(3)]
		for i := range w {
			if r.Float64() < keep {
				w[i] = float64(float32(r.NormFloat64()))
			}
		}
		return toSparseOrDense(r, m, n, w)
	}
	layer := func(m int, shift float64) int {
		var terms []prog.Term
		for i := len(nodes) - 1; i >= 0; i-- {
			if i == len(nodes)-1 || r.IntN(5) == 0 {
				terms = append(terms, prog.Term{Src: nodes[i], Map: matrix(m, b.N(nodes[i]))})
			}
		}
		bias := make([]float64, m)
		for i := range bias {
			bias[i] = float64(float32(r.NormFloat64() + shift))
		}
		return b.Affine("", m, bias, 0, terms...)
	}
	for range 2 + r.IntN(3) {
		shift := 0.0
		if r.IntN(6) == 0 {
			shift = -1000
		}
		z := layer(1+r.IntN(7), shift)
		nodes = append(nodes, z)
		switch r.IntN(8) {
		case 0, 1:
			nodes = append(nodes, b.Sigmoid("", z))
		case 2:
			nodes = append(nodes, b.Relu("", z), b.Sigmoid("", z))
		case 3:
			nodes = append(nodes, b.Sigmoid("", b.Relu("", z)))
		case 4:
			x := b.Relu("", z)
			nodes = append(nodes, x, b.Relu("", x))
		default:
			nodes = append(nodes, b.Relu("", z))
		}
	}
	return mustProgram(t, b, layer(2, 0))
}

// toSparseOrDense is the matrix w in one form or the other.
func toSparseOrDense(r *rand.Rand, m, n int, w []float64) prog.Linear {
	if r.IntN(2) == 0 {
		return prog.Dense(m, n, w)
	}
	ptr := []int32{0}
	var idx []int32
	var val []float64
	for i := range m {
		for j, v := range w[i*n : (i+1)*n] {
			if v != 0 {
				idx, val = append(idx, int32(j)), append(val, v)
			}
		}
		ptr = append(ptr, int32(len(idx)))
	}
	return prog.Sparse(m, n, ptr, idx, val)
}

// dependence marks, per node, the elements that the given ones of node k depend on: through the entries of maps, and through
// activations, but for ReLUs that f shows to be off and that no activation reads. A node that is read by nodes that matter, but of
// which nothing matters, stands in with its first element.
func dependence(f *Frame, k int, elems []int32) [][]bool {
	p := f.Net.P
	need, read := make([][]bool, k+1), make([]bool, k+1)
	for i := range need {
		need[i] = make([]bool, p.Nodes[i].N)
	}
	for _, j := range elems {
		need[k][j] = true
	}
	read[k] = true
	for i := k; i > 0; i-- {
		if !read[i] {
			continue
		}
		if !slices.Contains(need[i], true) && p.Nodes[i].Kind == prog.Affine {
			need[i][0] = true
		}
		nd := &p.Nodes[i]
		for _, t := range nd.Terms {
			read[t.Src] = true
			t.Map.Each(func(row, col int, v float64) {
				if need[i][row] && v != 0 {
					need[t.Src][col] = true
				}
			})
		}
		if nd.Kind == prog.Affine {
			continue
		}
		read[nd.Src] = true
		for j, m := range need[i] {
			if m && (nd.Kind != prog.Relu || f.B.U[nd.Src][j] > 0 || len(f.Net.Acts[i]) > 0) {
				need[nd.Src][j] = true
			}
		}
	}
	return need
}

// coneCase is a network with a frame and some elements of a node.
type coneCase struct {
	p     *prog.Program
	f     *Frame
	pool  *Pool
	k     int
	elems []int32
}

func drawCone(t *testing.T, s uint64) (*rand.Rand, *coneCase) {
	r := rand.New(rand.NewPCG(s, 51))
	var p *prog.Program
	switch s % 4 {
	case 0:
		p = cancellingNet(r, t, 2)
	case 1:
		p = randomConvNet(r, t, s%8 == 1)
	case 2:
		p = randomNet(r, 1+r.IntN(5), []int{6, 6, 5, 5}, s%8 == 2)
	default:
		p = mixedNet(r, t)
	}
	net := NewNet(p)
	n := p.Nodes[0].N
	box := Box{make([]float64, n), make([]float64, n)}
	size := []float64{0, 0x1p-50, 0.1, 0.5}[r.IntN(4)] // in the first two rounding is all there is
	for i := range box.Lo {
		c, w := r.NormFloat64(), size*r.Float64()
		box.Lo[i], box.Hi[i] = c-w, c+w
	}
	f := ibpFrame(net, box)
	c := &coneCase{p: p, f: f, pool: NewPool(net, 1)}
	if r.IntN(3) > 0 && !net.Crown(context.Background(), c.pool, f, Tightening{}) {
		t.Fatalf("seed %d: empty", s)
	}
	var nodes []int
	for k := range p.Nodes {
		if p.Nodes[k].Kind == prog.Affine && (k == p.Output || len(net.Acts[k]) > 0) {
			nodes = append(nodes, k)
		}
	}
	if len(nodes) == 0 {
		return r, nil
	}
	c.k = nodes[r.IntN(len(nodes))]
	for _, j := range r.Perm(p.Nodes[c.k].N)[:1+r.IntN(min(3, p.Nodes[c.k].N))] {
		c.elems = append(c.elems, int32(j))
	}
	return r, c
}

// bounds returns lower bounds on the given elements of node k and on their negations, numbered as in f's network.
func (c *coneCase) bounds(f *Frame, elems []int32) []float64 {
	w := c.pool.W[0]
	w.On(f.Net)
	w.Begin(8)
	w.PlanWindows(c.k, elems)
	w.seedRows(f, c.k, elems)
	w.Run(f, c.k)
	return slices.Clone(w.LB[:2*len(elems)])
}

// TestConeBoundsAgainstExactValues bounds elements on the whole frame, on their cone, and on the cone of the frame without its
// inactive neurons: the bounds hold at points of the box, evaluated exactly (sigmoids in enclosures), and are equal but for rounding.
func TestConeBoundsAgainstExactValues(t *testing.T) {
	rounds := uint64(600)
	if testing.Short() {
		rounds = 200
	}
	smaller, nested, inputs, smooth, off := 0, 0, 0, 0, 0
	for s := range rounds {
		r, c := drawCone(t, s)
		if c == nil {
			continue
		}
		cone := c.f.Cone(c.k, c.elems)
		dropped := c.f.DropInactive(nil)
		frames := []*Frame{c.f, cone}
		if dropped != c.f && !slices.ContainsFunc(c.elems, func(j int32) bool { return dropped.Net.Local(Split{Act: int32(c.k), Elem: j}).Elem < 0 }) {
			local := slices.Clone(c.elems)
			dropped.Net.ToLocal(c.k, local)
			frames = append(frames, dropped.Cone(c.k, local))
			nested++
		}
		if cone != c.f {
			smaller++
			if len(cone.Box.Lo) < len(c.f.Box.Lo) {
				inputs++
			}
		}
		if layerOff(c.f, c.k) {
			off++
		}
		var got [][]float64
		for _, f := range frames {
			local := slices.Clone(c.elems)
			f.Net.ToLocal(c.k, local)
			got = append(got, c.bounds(f, local))
		}
		for i, lb := range got {
			for l, v := range lb {
				if w := got[0][l]; math.Abs(v-w) > 1e-9*(1+math.Abs(w)) || math.IsInf(v, 0) {
					t.Fatalf("seed %d, frame %d, node %d, lane %d: bound %v, on the whole network %v", s, i, c.k, l, v, w)
				}
			}
		}
		for range 6 {
			x := samplePoint(r, c.f.Box)
			lo, hi, isSmooth := valuesAt(c.p, x, c.k)
			if isSmooth {
				smooth++
			}
			for i, lb := range got {
				for e, j := range c.elems {
					if !below(lb[2*e], hi[j]) || !below(lb[2*e+1], new(big.Rat).Neg(lo[j])) {
						y, _ := hi[j].Float64()
						t.Fatalf("seed %d, frame %d, node %d, element %d: %v outside [%v, %v]", s, i, c.k, j, y, lb[2*e], -lb[2*e+1])
					}
				}
			}
		}
	}
	t.Logf("%d cones (%d of fewer inputs), %d nested, %d behind layers that are off, %d points of smooth networks", smaller, inputs, nested, off, smooth)
	n := int(rounds)
	if smaller < n/2 || nested < n/10 || inputs < n/20 || off < n/20 || smooth < n/4 {
		t.Error("the test has lost its grip")
	}
}

// layerOff reports whether all ReLUs of some node that node k depends on are off.
func layerOff(f *Frame, k int) bool {
	for i, m := range f.Net.ancestors(k) {
		if nd := &f.Net.P.Nodes[i]; m && nd.Kind == prog.Relu && !slices.ContainsFunc(f.B.U[nd.Src], func(u float64) bool { return u > 0 }) {
			return true
		}
	}
	return false
}

// TestConeOfWhatCannotBeCut: networks with products and magnitudes out of reach are left whole, also where the elements do not
// depend on them; curves that they do not depend on do not matter.
func TestConeOfWhatCannotBeCut(t *testing.T) {
	dense := func(m, n int) prog.Linear {
		w := fill(m*n, 1)
		for i := range w {
			w[i] = float64(i%3 - 1)
		}
		return prog.Dense(m, n, w)
	}
	for _, c := range []struct {
		name   string
		beside func(b *prog.Builder, z, y int) int
		within bool // the elements depend on it
		whole  bool
	}{
		{"a product beside", func(b *prog.Builder, z, y int) int { return b.Product("", z, y) }, false, true},
		{"a curve beside", func(b *prog.Builder, z, y int) int { return b.Curve("", prog.Square, z) }, false, false},
		{"a product", func(b *prog.Builder, z, y int) int { return b.Product("", z, y) }, true, true},
		{"magnitudes out of reach beside", func(b *prog.Builder, z, y int) int {
			return b.Affine("", 4, nil, 0, prog.Term{Src: z, Map: prog.Diag(fill(4, 1e200))})
		}, false, true},
		{"nothing beside", func(b *prog.Builder, z, y int) int {
			none := b.Relu("", b.Affine("", 0, nil, 0, prog.Term{Src: z, Map: prog.Index(4, nil)}))
			return b.Affine("", 4, nil, 0, prog.Term{Src: none, Map: prog.Dense(4, 0, nil)})
		}, false, false},
		{"a curve", func(b *prog.Builder, z, y int) int { return b.Curve("", prog.Square, z) }, true, true},
	} {
		b := prog.NewBuilder(5)
		z := b.Affine("", 4, fill(4, 0.1), 0, prog.Term{Src: 0, Map: dense(4, 5)})
		y := b.Affine("", 4, fill(4, 0.2), 0, prog.Term{Src: 0, Map: prog.Index(5, []int32{1, 2, 3, 4})})
		x := b.Relu("", z)
		p := c.beside(b, z, y)
		terms := []prog.Term{{Src: x, Map: prog.Index(4, []int32{2, 1, 0})}}
		if c.within {
			terms = append(terms, prog.Term{Src: p, Map: dense(3, 4)})
		}
		k := b.Affine("", 3, nil, 0, terms...)
		b.Relu("", k)
		q := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: p, Map: dense(1, 4)}))
		f := ibpFrame(NewNet(q), Box{fill(5, -1), fill(5, 1)})
		g := f.Cone(k, []int32{0})
		if (g == f) != c.whole {
			t.Errorf("%s: whole network %v, want %v", c.name, g == f, c.whole)
		}
		if g != f && g.Net.P.Nodes[x].N != 1 {
			t.Errorf("%s: %d ReLUs left, want 1", c.name, g.Net.P.Nodes[x].N)
		}
	}
}

// valuesAt encloses the elements of node k at x: exact values, or float64 enclosures where sigmoids matter.
func valuesAt(p *prog.Program, x []float64, k int) (lo, hi []*big.Rat, smooth bool) {
	if slices.ContainsFunc(p.Nodes[:k], func(nd prog.Node) bool { return nd.Kind == prog.Sigmoid }) {
		L, U := p.Enclose(x, x, 0x1p-53)
		for j := range L[k] {
			lo, hi = append(lo, ratOf(L[k][j])), append(hi, ratOf(U[k][j]))
		}
		return lo, hi, true
	}
	v := exactEval(&prog.Program{Nodes: p.Nodes[:k+1], Output: k}, x)[k]
	return v, v, false
}

// TestConeKeepsWhatMatters compares the elements of a cone with those that the asked ones depend on, and their numbers, bounds,
// scales and values with the whole network's.
func TestConeKeepsWhatMatters(t *testing.T) {
	rounds := uint64(400)
	if testing.Short() {
		rounds = 150
	}
	left, off := 0, 0
	for s := range rounds {
		r, c := drawCone(t, s+1000)
		if c == nil {
			continue
		}
		n := c.f.Cone(c.k, c.elems)
		if n == c.f {
			continue
		}
		need := dependence(c.f, c.k, c.elems)
		orig := func(k, j int) int32 { return n.Net.Original(Split{Act: int32(k), Elem: int32(j)}).Elem }
		if n.Net.P.Output != c.k || len(n.Net.P.Nodes) != c.k+1 {
			t.Fatalf("seed %d: %d nodes with output %d, want the network up to node %d", s, len(n.Net.P.Nodes), n.Net.P.Output, c.k)
		}
		if err := n.Net.P.Check(); err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
		x := samplePoint(r, c.f.Box)
		whole := c.p.Eval(x, 1, nil)
		var sub []float64
		for j := range n.Net.P.Nodes[0].N {
			sub = append(sub, x[orig(0, j)])
		}
		part := n.Net.P.Eval(sub, 1, nil)
		for k := range n.Net.P.Nodes {
			for j := range n.Net.P.Nodes[k].N {
				o := orig(k, j)
				if back := n.Net.Local(Split{Act: int32(k), Elem: o}).Elem; back != int32(j) {
					t.Fatalf("seed %d, node %d: element %d is %d in the whole network, and that is %d here", s, k, j, o, back)
				}
				if n.B.L[k][j] != c.f.B.L[k][o] || n.B.U[k][j] != c.f.B.U[k][o] || n.S[k][j] != c.f.S[k][o] {
					t.Fatalf("seed %d, node %d, element %d: bounds or scale are not those of %d", s, k, j, o)
				}
				if k == 0 && (n.Box.Lo[j] != c.f.Box.Lo[o] || n.Box.Hi[j] != c.f.Box.Hi[o]) {
					t.Fatalf("seed %d, input %d: not the interval of input %d", s, j, o)
				}
				if v := whole[k][o]; need[k][o] && math.Abs(part[k][j]-v) > 1e-9*(1+math.Abs(v)+c.f.S[k][o]) {
					t.Fatalf("seed %d, node %d, element %d: %v, in the whole network %v", s, k, j, part[k][j], v)
				}
			}
			nd := &c.p.Nodes[k]
			own := nd.Kind == prog.Affine || nd.Kind == prog.Input // activations keep what their input keeps
			any := slices.Contains(need[k], true)
			for j, m := range need[k] {
				switch local := n.Net.Local(Split{Act: int32(k), Elem: int32(j)}).Elem; {
				case m && local < 0 && (nd.Kind != prog.Relu || c.f.B.U[nd.Src][j] > 0):
					t.Fatalf("seed %d, node %d (%v): element %d matters and was left out", s, k, nd.Kind, j)
				case m && local < 0:
					off++
				case !m && local < 0:
					left++
				case !m && own && any:
					t.Fatalf("seed %d, node %d: element %d does not matter and was kept", s, k, j)
				}
			}
			if own && !any && n.Net.P.Nodes[k].N != 1 {
				t.Fatalf("seed %d, node %d: nothing of it matters and %d elements were kept", s, k, n.Net.P.Nodes[k].N)
			}
		}
	}
	if left < 1000 || off < 20 {
		t.Errorf("%d elements left out, %d of them off: the test has lost its grip", left, off)
	}
}
