package verifytest

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
)

// maxRelus keeps the enumeration of activation patterns in milliseconds.
const maxRelus = 14

// RandomProgram returns the random program of a seed: 1 to 9 inputs, up to 14 ReLUs, small dyadic weights on the float32
// grid; dense chains, residual sums, concatenations, convolutions and sparse maps occur. No Sigmoid nodes.
func RandomProgram(root uint64) *prog.Program {
	p, err := RandomNet(seed.Stream(root, "verifytest", "net")).Program()
	if err != nil {
		panic(err)
	}
	return p
}

// RandomNet draws a network from r; see RandomProgram.
func RandomNet(r *rand.Rand) *Net {
	for {
		g := &generator{r: r, shift: r.IntN(4)}
		switch r.IntN(4) {
		case 0:
			g.conv()
		case 1:
			g.graph()
		default:
			g.chain()
		}
		if n := g.net; n.relus() <= maxRelus {
			return &n
		}
	}
}

// generator appends random nodes to a net.
type generator struct {
	r     *rand.Rand
	net   Net
	shift int // weights are multiples of 2^-shift
}

// weight draws a small dyadic: often zero, sometimes large or tiny.
func (g *generator) weight() float64 {
	w := math.Ldexp(float64(g.r.IntN(17)-8), -g.shift)
	switch g.r.IntN(40) {
	case 0:
		return 0
	case 1:
		return math.Ldexp(w, 7)
	case 2:
		return math.Ldexp(w, -9)
	}
	return w
}

func (g *generator) weights(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = g.weight()
	}
	return w
}

func (g *generator) bias(n int) []float64 {
	if g.r.IntN(6) == 0 {
		return nil
	}
	return g.weights(n)
}

func (g *generator) add(n NetNode) int {
	g.net.Nodes = append(g.net.Nodes, n)
	return len(g.net.Nodes) - 1
}

func (g *generator) input(n int)      { g.add(NetNode{Kind: prog.Input, N: n}) }
func (g *generator) n(k int) int      { return g.net.Nodes[k].N }
func (g *generator) relu(src int) int { return g.add(NetNode{Kind: prog.Relu, N: g.n(src), Src: src}) }

// affine appends a node of n elements over the given sources with maps of random kinds.
func (g *generator) affine(n int, src ...int) int {
	node := NetNode{Kind: prog.Affine, N: n, Bias: g.bias(n)}
	for _, s := range src {
		node.Terms = append(node.Terms, NetTerm{Src: s, Map: g.linear(n, g.n(s))})
	}
	return g.add(node)
}

// linear draws a dense or a sparse map.
func (g *generator) linear(out, in int) NetMap {
	m := NetMap{Kind: Dense, Out: out, In: in, W: g.weights(out * in)}
	if g.r.IntN(3) > 0 {
		return m
	}
	for i := range m.W {
		if g.r.IntN(2) == 0 {
			m.W[i] = 0
		}
	}
	return m.sparse()
}

// selection is the map with out[i] = in[idx[i]], zero where idx[i] < 0.
func selection(in int, idx []int) NetMap {
	m := NetMap{Kind: Sparse, Out: len(idx), In: in, Ptr: []int32{0}}
	for _, j := range idx {
		if j >= 0 {
			m.Idx, m.W = append(m.Idx, int32(j)), append(m.W, 1)
		}
		m.Ptr = append(m.Ptr, int32(len(m.Idx)))
	}
	return m
}

// chain is a plain multi-layer network of 1 to 3 inputs.
func (g *generator) chain() {
	g.input(1 + g.r.IntN(3))
	last := 0
	for range 1 + g.r.IntN(3) {
		last = g.relu(g.affine(1+g.r.IntN(4), last))
	}
	g.net.Output = g.affine(1+g.r.IntN(3), last)
	if g.r.IntN(8) == 0 { // a network may end in a ReLU
		g.net.Output = g.relu(g.net.Output)
	}
}

// graph adds residual sums, concatenations and affine nodes over several sources.
func (g *generator) graph() {
	g.input(1 + g.r.IntN(3))
	last := g.relu(g.affine(1+g.r.IntN(4), 0))
	for range 1 + g.r.IntN(2) {
		switch g.r.IntN(3) {
		case 0:
			last = g.residual(last)
		case 1:
			last = g.concat(last, g.r.IntN(last))
		default:
			last = g.affine(1+g.r.IntN(3), last, g.r.IntN(last))
		}
		if g.r.IntN(3) > 0 {
			last = g.relu(last)
		}
	}
	g.net.Output = g.affine(1+g.r.IntN(3), last)
}

// residual appends x + W·relu(V·x).
func (g *generator) residual(x int) int {
	n := g.n(x)
	inner := g.relu(g.affine(1+g.r.IntN(3), x))
	out := g.affine(n, inner)
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	node := &g.net.Nodes[out]
	node.Terms = append(node.Terms, NetTerm{Src: x, Map: selection(n, all)})
	return out
}

// concat appends the concatenation of two nodes.
func (g *generator) concat(a, b int) int {
	na, nb := g.n(a), g.n(b)
	ia, ib := make([]int, na+nb), make([]int, na+nb)
	for i := range ia {
		ia[i], ib[i] = i, i-na
		if i >= na {
			ia[i] = -1
		}
	}
	return g.add(NetNode{Kind: prog.Affine, N: na + nb, Terms: []NetTerm{
		{Src: a, Map: selection(na, ia)}, {Src: b, Map: selection(nb, ib)}}})
}

// conv is a small convolutional network: convolution, ReLU, sometimes another (transposed) convolution, dense.
func (g *generator) conv() {
	geom := prog.ConvGeom{C: 1, H: 1 + g.r.IntN(3), W: 2 + g.r.IntN(2), Group: 1}
	if g.r.IntN(4) == 0 && geom.H*geom.W <= 4 {
		geom.C = 2
	}
	g.kernel(&geom)
	g.input(geom.C * geom.H * geom.W)
	last := g.relu(g.convNode(0, Conv, geom))
	if g.r.IntN(2) == 0 { // back to the input's shape, or onwards densely
		t := g.convNode(last, ConvT, geom)
		last = t
		if g.r.IntN(2) == 0 {
			last = g.relu(t)
		}
	} else if g.r.IntN(2) == 0 {
		last = g.relu(g.affine(1+g.r.IntN(3), last))
	}
	g.net.Output = g.affine(1+g.r.IntN(3), last)
}

// kernel draws kernel size, stride, padding, dilation and groups that fit.
func (g *generator) kernel(c *prog.ConvGeom) {
	c.M = 1 + g.r.IntN(2)
	if c.C == 2 && g.r.IntN(2) == 0 {
		c.M, c.Group = 2, 2
	}
	c.StrideH, c.StrideW = 1+g.r.IntN(2), 1+g.r.IntN(2)
	c.DilH, c.DilW = 1, 1+g.r.IntN(2)
	c.PadT, c.PadL, c.PadB, c.PadR = g.r.IntN(2), g.r.IntN(2), g.r.IntN(2), g.r.IntN(2)
	c.KH = 1 + g.r.IntN(min(2, c.H+c.PadT+c.PadB))
	c.KW = 1 + g.r.IntN(2)
	if c.DilW*(c.KW-1)+1 > c.W+c.PadL+c.PadR {
		c.KW = 1
	}
}

func (g *generator) convNode(src int, kind MapKind, c prog.ConvGeom) int {
	oh, ow := c.OutHW()
	m := NetMap{Kind: kind, Geom: c, Out: c.M * oh * ow, In: c.C * c.H * c.W, W: g.weights(c.M * c.C / c.Group * c.KH * c.KW)}
	if kind == ConvT {
		m.Out, m.In = m.In, m.Out
	}
	return g.add(NetNode{Kind: prog.Affine, N: m.Out, Bias: g.bias(m.Out), Terms: []NetTerm{{Src: src, Map: m}}})
}
