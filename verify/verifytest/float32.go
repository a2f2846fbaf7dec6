package verifytest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// An Arithmetic simulates one way of computing in binary32: every operation of the network as the file states it, its sums in some
// order and bracketing.
type Arithmetic struct {
	Rand *rand.Rand
	// FMA fuses products with additions, Wide sums in binary64 and rounds once, Tree brackets at random instead of from the left,
	// Shuffle permutes the summands, Flush replaces subnormal operands and results by 0.
	FMA, Wide, Tree, Shuffle, Flush bool
}

// RandomArithmetic draws one.
func RandomArithmetic(r *rand.Rand) *Arithmetic {
	bit := func() bool { return r.IntN(2) == 0 }
	return &Arithmetic{Rand: r, FMA: bit(), Wide: r.IntN(5) == 0, Tree: bit(), Shuffle: bit(), Flush: bit()}
}

// flush applies the treatment of subnormal numbers.
func (a *Arithmetic) flush(v float32) float32 {
	if a.Flush && math.Abs(float64(v)) < 0x1p-126 {
		return 0
	}
	return v
}

func (a *Arithmetic) add(x, y float32) float32 { return a.flush(a.flush(x) + a.flush(y)) }
func (a *Arithmetic) mul(x, y float32) float32 { return a.flush(a.flush(x) * a.flush(y)) }
func (a *Arithmetic) div(x, y float32) float32 { return a.flush(a.flush(x) / a.flush(y)) }

// fma returns x·y + z with one rounding: the sum is rounded to odd in binary64, after which rounding to binary32 is right.
func (a *Arithmetic) fma(x, y, z float32) float32 {
	p, c := float64(a.flush(x))*float64(a.flush(y)), float64(a.flush(z))
	s := p + c
	t := s - p
	if e := (p - (s - t)) + (c - t); e != 0 && math.Float64bits(s)&1 == 0 {
		s = math.Nextafter(s, math.Copysign(math.Inf(1), e))
	}
	return a.flush(float32(s))
}

// Dot returns Σ w_i·x_i + b.
func (a *Arithmetic) Dot(w, x []float32, b float32) float32 {
	idx := a.Rand.Perm(len(w))
	if !a.Shuffle {
		for i := range idx {
			idx[i] = i
		}
	}
	if a.Wide {
		s := float64(a.flush(b))
		for _, i := range idx {
			s += float64(a.flush(w[i])) * float64(a.flush(x[i]))
		}
		return a.flush(float32(s))
	}
	if a.FMA {
		s := b
		for _, i := range idx {
			s = a.fma(w[i], x[i], s)
		}
		return a.flush(s)
	}
	terms := []float32{b}
	for _, i := range idx {
		terms = append(terms, a.mul(w[i], x[i]))
	}
	for len(terms) > 1 {
		i := 0
		if a.Tree {
			i = a.Rand.IntN(len(terms) - 1)
		}
		terms[i] = a.add(terms[i], terms[i+1])
		terms = append(terms[:i+1], terms[i+2:]...)
	}
	return a.flush(terms[0])
}

// tensor is a value of an execution.
type tensor struct {
	shape []int
	v     []float32
}

// Execute runs the network on x and returns its output. It knows the operators that RandomGraph uses and a few more, and panics
// at others.
func (a *Arithmetic) Execute(g *nn.Graph, x []float32) []float32 {
	val := make([]tensor, len(g.Values))
	for i := range g.Values {
		if c := g.Values[i].Const; c != nil {
			val[i] = tensor{c.Shape, make([]float32, len(c.Data))}
			for j, v := range c.Data {
				val[i].v[j] = float32(v)
			}
		}
	}
	val[g.Inputs[0].Value] = tensor{g.Inputs[0].Shape, x}
	for k := range g.Nodes {
		n := &g.Nodes[k]
		var in []tensor
		for _, v := range n.In {
			in = append(in, val[v])
		}
		out := tensor{g.Values[n.Out[0]].Shape, nil}
		out.v = a.node(n, in, out.shape)
		val[n.Out[0]] = out
	}
	return val[g.Outputs[0].Value].v
}

func (a *Arithmetic) node(n *nn.Node, in []tensor, shape []int) []float32 {
	x := in[0].v
	out := make([]float32, op.Size(shape))
	switch n.Type {
	case "Flatten":
		copy(out, x)
	case "Relu":
		for i := range out {
			out[i] = max(x[i], 0)
		}
	case "LeakyRelu", "PRelu":
		s := []float32{float32(n.Attrs["alpha"].F)}
		if n.Type == "PRelu" {
			s = in[1].v
		}
		for i, v := range x {
			if out[i] = v; v < 0 {
				out[i] = a.mul(s[i%len(s)], v)
			}
		}
	case "Abs":
		for i, v := range x {
			out[i] = max(v, -v)
		}
	case "Neg":
		for i, v := range x {
			out[i] = -v
		}
	case "Sum":
		for i := range x {
			for _, y := range in {
				out[i] = a.add(out[i], y.v[i%len(y.v)])
			}
		}
	case "Clip":
		for i, v := range x {
			out[i] = min(max(v, in[1].v[0]), in[2].v[0])
		}
	case "Add", "Sub", "Mul", "Div":
		for i, v := range x {
			y := in[1].v[i%len(in[1].v)]
			out[i] = map[string]func(x, y float32) float32{"Add": a.add, "Sub": func(x, y float32) float32 { return a.add(x, -y) },
				"Mul": a.mul, "Div": a.div}[n.Type](v, y)
		}
	case "MatMul", "Gemm":
		for j := range out {
			w := make([]float32, len(x))
			for i := range w {
				w[i] = in[1].v[i*len(out)+j]
			}
			if n.Type == "MatMul" {
				out[j] = a.Dot(w[1:], x[1:], a.mul(w[0], x[0]))
				continue
			}
			s := a.Dot(w[1:], x[1:], a.mul(w[0], x[0]))
			out[j] = a.add(a.mul(float32(n.Attrs["alpha"].F), s), a.mul(float32(n.Attrs["beta"].F), in[2].v[j]))
		}
	case "Conv":
		a.conv(in, shape, out)
	case "AveragePool", "MaxPool":
		a.pool(n.Type, in[0], shape, out)
	case "GlobalAveragePool":
		area := len(x) / len(out)
		for c := range out {
			out[c] = a.div(a.sum(x[c*area:(c+1)*area]), float32(area))
		}
	case "BatchNormalization":
		a.batchNorm(in, float32(n.Attrs["epsilon"].F), out)
	default:
		panic("verifytest: Execute: " + n.Type)
	}
	return out
}

func (a *Arithmetic) sum(v []float32) float32 {
	ones := make([]float32, len(v)-1)
	for i := range ones {
		ones[i] = 1
	}
	return a.Dot(ones, v[1:], v[0])
}

// conv is a convolution without padding and stride.
func (a *Arithmetic) conv(in []tensor, shape []int, out []float32) {
	C, H, W := in[0].shape[1], in[0].shape[2], in[0].shape[3]
	K := in[1].shape[2]
	for o := range out {
		m, y, x := o/(shape[2]*shape[3]), o/shape[3]%shape[2], o%shape[3]
		var w, v []float32
		for c := range C {
			for i := range K * K {
				w = append(w, in[1].v[(m*C+c)*K*K+i])
				v = append(v, in[0].v[(c*H+y+i/K)*W+x+i%K])
			}
		}
		out[o] = a.Dot(w, v, in[2].v[m])
	}
}

// pool has windows of 2×2 and stride 1.
func (a *Arithmetic) pool(typ string, in tensor, shape []int, out []float32) {
	H, W := in.shape[2], in.shape[3]
	for o := range out {
		c, y, x := o/(shape[2]*shape[3]), o/shape[3]%shape[2], o%shape[3]
		at := (c*H+y)*W + x
		v := []float32{in.v[at], in.v[at+1], in.v[at+W], in.v[at+W+1]}
		if typ == "MaxPool" {
			out[o] = max(v[0], v[1], v[2], v[3])
		} else {
			out[o] = a.div(a.sum(v), 4)
		}
	}
}

// batchNorm computes in one of the ways that runtimes do.
func (a *Arithmetic) batchNorm(in []tensor, eps float32, out []float32) {
	way := a.Rand.IntN(3)
	area := len(out) / len(in[1].v)
	for i, x := range in[0].v {
		c := i / area
		scale, offset, mean := in[1].v[c], in[2].v[c], in[3].v[c]
		root := a.flush(float32(math.Sqrt(float64(a.add(in[4].v[c], eps)))))
		switch way {
		case 0:
			out[i] = a.add(a.mul(a.div(a.add(x, -mean), root), scale), offset)
		case 1:
			g := a.div(scale, root)
			out[i] = a.add(a.mul(g, x), a.add(offset, -a.mul(g, mean)))
		default:
			g := a.mul(scale, a.div(1, root))
			out[i] = a.fma(g, a.add(x, -mean), offset)
		}
	}
}

// RandomGraph draws a small network: some layers on a picture, then some on a vector. Its scales vary, so that sums cancel and some
// numbers are subnormal.
func RandomGraph(r *rand.Rand) *nn.Graph {
	b := &graphDraft{r: r, d: &nn.Draft{Opset: 13}}
	shape := []int{1, 2 + r.IntN(5)}
	if r.IntN(2) == 0 {
		shape = []int{1, 1 + r.IntN(2), 4, 4}
	}
	b.d.Inputs = []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: shape}}
	b.cur, b.shape = "x", shape
	for range r.IntN(4) {
		if len(b.shape) == 4 {
			b.pictureLayer()
		}
	}
	if len(b.shape) == 4 {
		b.node("Flatten", nil)
		b.shape = []int{1, op.Size(b.shape)}
	}
	for range 1 + r.IntN(3) {
		b.vectorLayer()
	}
	b.dense(1 + r.IntN(3))
	b.d.Outputs = []nn.DraftPort{{Name: b.cur}}
	g, err := nn.Build(b.d)
	if err != nil {
		panic(err)
	}
	return g
}

type graphDraft struct {
	r     *rand.Rand
	d     *nn.Draft
	cur   string
	shape []int
}

func (b *graphDraft) node(typ string, attrs map[string]op.Attr, consts ...string) {
	out := fmt.Sprintf("v%d", len(b.d.Nodes))
	b.d.Nodes = append(b.d.Nodes, nn.DraftNode{Node: op.Node{Name: out, Type: typ, Opset: 13, Attrs: attrs},
		In: append([]string{b.cur}, consts...), Out: []string{out}})
	b.cur = out
}

// constant adds numbers drawn around centre; abs makes them positive.
func (b *graphDraft) constant(centre float64, abs bool, shape ...int) string {
	name := fmt.Sprintf("c%d", len(b.d.Consts))
	scale := []float64{1, 1, 1, 1, 1e-3, 50, 1e-39}[b.r.IntN(7)]
	v := make([]float64, op.Size(shape))
	for i := range v {
		z := b.r.NormFloat64() * scale
		if abs {
			z = math.Abs(z)
		}
		v[i] = float64(float32(z + centre))
	}
	b.d.Consts = append(b.d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: op.Float32, Shape: shape, Data: v}})
	return name
}

func (b *graphDraft) pictureLayer() {
	r, c := b.r, b.shape[1]
	switch k := r.IntN(6); {
	case k == 0 && b.shape[2] > 2:
		m := 1 + r.IntN(3)
		b.node("Conv", nil, b.constant(0, false, m, c, 2, 2), b.constant(0, false, m))
		b.shape = []int{1, m, b.shape[2] - 1, b.shape[3] - 1}
	case k == 1 && b.shape[2] > 2:
		b.node([]string{"AveragePool", "MaxPool"}[r.IntN(2)], map[string]op.Attr{"kernel_shape": {Is: []int64{2, 2}}})
		b.shape = []int{1, c, b.shape[2] - 1, b.shape[3] - 1}
	case k == 2:
		b.node("GlobalAveragePool", nil)
		b.shape = []int{1, c, 1, 1}
	case k == 3:
		b.node("Relu", nil)
	default:
		b.node("BatchNormalization", map[string]op.Attr{"epsilon": {F: float64(float32(1e-5))}},
			b.constant(1, false, c), b.constant(0, false, c), b.constant([]float64{0, 100}[r.IntN(2)], false, c), b.constant(0, true, c))
	}
}

func (b *graphDraft) vectorLayer() {
	r, n := b.r, b.shape[1]
	switch r.IntN(8) {
	case 0:
		b.node([]string{"Add", "Sub", "Mul"}[r.IntN(3)], nil, b.constant(0, false, 1, n))
	case 1:
		b.node("Div", nil, b.constant(1, true, 1, n))
	case 2:
		b.node("LeakyRelu", map[string]op.Attr{"alpha": {F: float64(float32(0.1))}})
	case 3:
		b.node("Clip", nil, b.constant(-1, false), b.constant(2, true))
	case 4, 5:
		b.dense(1 + r.IntN(6))
	default:
		b.dense(1 + r.IntN(6))
		b.node("Relu", nil)
	}
}

func (b *graphDraft) dense(m int) {
	n := b.shape[1]
	b.shape = []int{1, m}
	if b.r.IntN(2) == 0 {
		b.node("MatMul", nil, b.constant(0, false, n, m))
		b.node("Add", nil, b.constant(0, false, 1, m))
		return
	}
	alpha, beta := []float64{1, 0.375, 3}[b.r.IntN(3)], []float64{1, float64(float32(0.1))}[b.r.IntN(2)]
	b.node("Gemm", map[string]op.Attr{"alpha": {F: alpha}, "beta": {F: beta}},
		b.constant(0, false, n, m), b.constant(0, false, m))
}
