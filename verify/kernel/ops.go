package kernel

import (
	"math"
	"slices"
)

// Every operator becomes a shape, a constant, Relu nodes or affine nodes made of runs.

// A rule says how an operator is read: how many inputs it has, what binary32 rounds (float32.go), and what makes its output.
type rule struct {
	least, most, round int
	build              func(*builder, *operator, []value) value
}

// rules has every operator that is checked.
var rules = map[string]rule{
	"Constant": {0, 0, copies, (*builder).constant}, "Identity": {1, 1, copies, (*builder).identity},
	"Dropout": {1, 2, copies, (*builder).identity}, "Flatten": {1, 1, copies, (*builder).reshape},
	"Reshape": {2, 2, copies, (*builder).reshape}, "Squeeze": {1, 2, copies, (*builder).reshape},
	"Unsqueeze": {1, 2, copies, (*builder).reshape}, "Transpose": {1, 1, copies, (*builder).transpose},
	"Concat": {1, 8, copies, (*builder).concat}, "Slice": {1, 5, copies, (*builder).slice}, "Pad": {1, 3, copies, (*builder).pad},

	"Relu": {1, 1, copies, (*builder).relu}, "Abs": {1, 1, copies, (*builder).leaky}, "LeakyRelu": {1, 1, sums, (*builder).leaky},
	"PRelu": {2, 2, sums, (*builder).leaky}, "Clip": {1, 3, copies, (*builder).clip}, "MaxPool": {1, 1, copies, (*builder).maxPool},

	"Add": {2, 2, sums, (*builder).sum}, "Sub": {2, 2, sums, (*builder).sum}, "Sum": {1, 8, sums, (*builder).sum},
	"Neg": {1, 1, copies, (*builder).sum}, "Mul": {2, 2, sums, (*builder).multiple}, "Div": {2, 2, quotients, (*builder).multiple},
	"MatMul": {2, 2, sums, (*builder).matmul}, "Gemm": {2, 3, sums, (*builder).matmul}, "Conv": {2, 3, sums, (*builder).window},
	"AveragePool": {1, 1, quotients, (*builder).window}, "GlobalAveragePool": {1, 1, quotients, (*builder).window},
	"BatchNormalization": {5, 5, unknown, (*builder).batchNorm},
}

// operator defines the output of one operator. A second one of Dropout stays undefined.
func (w *builder) operator(op *operator) {
	r, ok := rules[op.kind]
	op.need(ok, "this operator is not checked")
	op.need(len(op.in) >= r.least && len(op.in) <= r.most, "%d inputs", len(op.in))
	op.need(len(op.out) == 1 || op.kind == "Dropout" && len(op.out) == 2, "%d outputs", len(op.out))
	op.round = r.round
	in := make([]value, len(op.in))
	for i, name := range op.in {
		if in[i], ok = w.values[name]; name == "" && i >= r.least {
			in[i] = value{c: &constant{}} // absent: nothing else is a constant without elements
			continue
		}
		op.need(ok, "input %q is not defined before it is used", name)
		op.need(sizeOf(in[i].shape) > 0 || in[i].c != nil && len(in[i].c.data) > 0, "input %q has shape %v", name, in[i].shape)
	}
	w.define(op.out[0], r.build(w, op, in))
}

// variable returns v, which must be a node, and fixed the constant that v must be.
func (op *operator) variable(v value) value {
	op.need(v.c == nil, "is not checked where this operand is constant")
	return v
}

func (op *operator) fixed(v value) *constant {
	op.need(v.c != nil, "is not checked where this operand is not constant")
	return v.c
}

// param returns numbers that were an attribute before an opset and are input i since then, nil where they are absent. Only those
// of Clip need not be integers.
func (w *builder) param(op *operator, in []value, i int, name string, since uint64) (p []float64) {
	a, ok := op.attr[name]
	op.need(!ok || w.opset < since, "attribute %s", name)
	if ok && (op.kind == "Clip" || name == "value") {
		p = []float64{op.float(name, 0)}
	} else if ok {
		op.need(len(a.ints) > 0, "attribute %s without numbers", name)
	} else if !ok && i < len(in) {
		op.need(w.opset >= since, "%d inputs", len(in))
		p = op.fixed(in[i]).data
	}
	for _, v := range a.ints {
		p = append(p, float64(v))
	}
	for _, v := range p {
		op.need(v == math.Trunc(v) || op.kind == "Clip", "%v in %s", v, name)
	}
	return p
}

// affine adds a node of the given shape.
func (w *builder) affine(op *operator, shape []int, terms ...term) value {
	op.need(sizeOf(shape) > 0, "the result has shape %v", shape)
	return value{shape: shape, node: w.net.add(node{name: op.name, kind: affine, n: sizeOf(shape), terms: terms, round: op.round})}
}

// An axis says how an index goes through a tensor: i stands for coordinate start + i·step of size; two lie stride elements apart.
type axis struct{ n, start, step, size, stride int }

// axesOf returns the axes of a whole tensor.
func axesOf(shape []int) []axis {
	axes := make([]axis, len(shape))
	for d, stride := len(shape)-1, 1; d >= 0; d-- {
		axes[d] = axis{n: shape[d], step: 1, size: shape[d], stride: stride}
		stride *= shape[d]
	}
	return axes
}

// places returns, for all indices in order, the element that they stand for, −1 for none.
func places(axes []axis) []int32 {
	at := []int32{0}
	for _, a := range axes {
		need(a.n <= maxConstant && len(at)*a.n <= maxConstant, "a tensor is too large")
		next := make([]int32, 0, len(at)*a.n)
		for _, o := range at {
			for i := range a.n {
				if c := a.start + i*a.step; o >= 0 && c >= 0 && c < a.size {
					next = append(next, o+int32(c*a.stride))
				} else {
					next = append(next, -1)
				}
			}
		}
		at = next
	}
	return at
}

// broadcast returns the common shape of operands and where each reads.
func broadcast(op *operator, in ...value) (shape []int, at [][]int32) {
	for _, v := range in {
		shape = append(slices.Repeat([]int{1}, max(0, len(v.shape)-len(shape))), shape...)
		for d, n := range v.shape {
			both := &shape[len(shape)-len(v.shape)+d]
			op.need(n == *both || n == 1 || *both == 1, "operands of shapes %v and %v", shape, v.shape)
			*both = max(n, *both)
		}
	}
	op.need(sizeOf(shape) > 0, "the result has shape %v", shape)
	for _, v := range in {
		axes := axesOf(append(slices.Repeat([]int{1}, len(shape)-len(v.shape)), v.shape...))
		for d := range axes {
			if axes[d].n = shape[d]; axes[d].size == 1 {
				axes[d].step = 0
			}
		}
		at = append(at, places(axes))
	}
	return shape, at
}

// pointwise returns the term z[i] = W[weight[i]]·x[in[i]]; nil stands for zeros, and where in is negative there is nothing.
func pointwise(src int, w table, in, weight []int32) term {
	at := func(l []int32, i int) int32 {
		if l == nil {
			return 0
		}
		return l[i]
	}
	t := term{src: src, w: w}
	for i, n := 0, max(len(in), len(weight)); i < n; {
		r := run{out: int32(i), in: at(in, i), w: at(weight, i), n: 1, so: 1}
		if i++; r.in < 0 {
			continue
		}
		if i < n {
			r.si, r.sw = at(in, i)-r.in, at(weight, i)-r.w
		}
		for ; i < n && at(in, i) >= 0 && at(in, i)-at(in, i-1) == r.si && at(weight, i)-at(weight, i-1) == r.sw; i++ {
			r.n++
		}
		t.runs = append(t.runs, r)
	}
	return t
}

// bias adds the constants in the given places.
func bias(w table, at []int32) term { return pointwise(one, w, nil, at) }

// factor returns the table of the number v alone.
func factor(v int64) table { return table{v: []int64{v}} }

// scaled quantises c·f; the product is rounded once unless f is 1 or −1.
func (c *constant) scaled(f float64) table {
	if f == 1 {
		return quantise(c.data, false)
	}
	data := make([]float64, len(c.data))
	for i, v := range c.data {
		data[i] = v * f
		need(v == 0 || f == 0 || math.Abs(data[i]) > 0x1p-900, "a product too close to 0")
	}
	return quantise(data, f != -1)
}

// reciprocals quantises 1/d.
func reciprocals(data []float64) table {
	inverse, exact := make([]float64, len(data)), true
	for i, d := range data {
		need(math.Abs(d) >= 0x1p-126 && math.Abs(d) <= math.MaxFloat32, "a division by %v", d) // binary32 flushes what is smaller
		inverse[i] = 1 / d
		exact = exact && math.FMA(inverse[i], d, -1) == 0
	}
	return quantise(inverse, !exact)
}

// sum is Add, Sub, Sum, Neg: operands with signs.
func (w *builder) sum(op *operator, in []value) value {
	shape, at := broadcast(op, in...)
	op.need(slices.ContainsFunc(in, func(v value) bool { return v.c == nil }), "of constants is not checked")
	var terms []term
	for i, v := range in {
		sign := 1
		if op.kind == "Neg" || op.kind == "Sub" && i == 1 {
			sign = -1
		}
		if v.c != nil {
			terms = append(terms, bias(v.c.scaled(float64(sign)), at[i]))
		} else {
			terms = append(terms, pointwise(v.node, factor(int64(sign)), at[i], nil))
		}
	}
	return w.affine(op, shape, terms...)
}

// multiple is Mul or Div, x·c or x/c.
func (w *builder) multiple(op *operator, in []value) value {
	shape, at := broadcast(op, in...)
	i := 0
	if op.kind == "Mul" && in[0].c != nil {
		i = 1
	}
	x, c := op.variable(in[i]), op.fixed(in[1-i])
	factors := c.scaled(1)
	if op.kind == "Div" {
		factors = reciprocals(c.data)
	}
	return w.affine(op, shape, pointwise(x.node, factors, at[i], at[1-i]))
}

// matmul is MatMul or Gemm with one constant matrix: z[i,j] = Σ_l A[i,l]·B[l,j].
func (w *builder) matmul(op *operator, in []value) value {
	x, y, gemm := in[0], in[1], op.kind == "Gemm"
	a, b := x.shape, y.shape
	op.need((x.c == nil) != (y.c == nil), "is checked with one constant matrix")
	op.need(len(a) > 0 && len(b) > 0 && len(b) <= 2 && (x.c == nil || len(a) <= 2), "shapes %v and %v", a, b)
	op.need(!gemm || len(a) == 2 && len(b) == 2, "shapes %v and %v", a, b)
	shape := slices.Clone(a[:len(a)-1])
	if len(b) == 1 {
		b = []int{b[0], 1}
	} else {
		shape = append(shape, b[1])
	}
	m, k, n, inner := sizeOf(a[:len(a)-1]), a[len(a)-1], b[1], b[0]
	ai, al, bl, bj := k, 1, n, 1 // strides of A and B
	if gemm && op.int("transA", 0) != 0 {
		m, k, ai, al = a[1], a[0], 1, a[1]
	}
	if gemm && op.int("transB", 0) != 0 {
		n, inner, bl, bj = b[0], b[1], 1, b[1]
	}
	alpha, beta := 1.0, 1.0
	if gemm {
		shape, alpha, beta = []int{m, n}, op.float("alpha", 1), op.float("beta", 1)
	}
	if alpha != 1 || beta != 1 {
		op.round = unknown
	}
	op.need(inner == k && m > 0 && sizeOf([]int{m, n}) > 0 && max(m, n) <= maxMACs/k/min(m, n), "shapes %v and %v", a, b)
	src, c := x.node, y.c
	if x.c != nil {
		src, c = y.node, x.c
	}
	t := term{src: src, w: c.scaled(alpha)}
	if x.c == nil && bl != 1 { // rows of weights that lie together are read faster
		v := make([]int64, 0, k*n)
		for o := range k * n {
			v = append(v, t.w.v[o/k*bj+o%k*bl])
		}
		t.w.v, bl, bj = v, 1, k
	}
	for i := range m {
		for j := range n {
			r := run{out: int32(i*n + j), n: int32(k), in: int32(i * ai), si: int32(al), w: int32(j * bj), sw: int32(bl)}
			if x.c != nil {
				r.in, r.si, r.w, r.sw = r.w, r.sw, r.in, r.si
			}
			t.runs = append(t.runs, r)
		}
	}
	if len(in) < 3 {
		return w.affine(op, shape, t)
	}
	s, at := broadcast(op, value{shape: shape}, in[2])
	op.need(slices.Equal(s, shape), "a C of shape %v", in[2].shape)
	return w.affine(op, shape, t, bias(op.fixed(in[2]).scaled(beta), at[1]))
}
