package kernel

import (
	"math"
	"slices"
)

// Every operator becomes a shape, a constant, a Relu node or an affine node made of runs.

// arity is the number of inputs of every operator that is checked.
var arity = map[string][2]int{"Constant": {0, 0}, "Identity": {1, 1}, "Flatten": {1, 1}, "Reshape": {2, 2}, "Transpose": {1, 1},
	"Relu": {1, 1}, "Add": {2, 2}, "Sub": {2, 2}, "Mul": {2, 2}, "MatMul": {2, 2}, "Gemm": {2, 3}, "Conv": {2, 3},
	"AveragePool": {1, 1}, "BatchNormalization": {5, 5}, "Concat": {1, 8}}

// operator defines the output of one operator.
func (w *builder) operator(op *operator) {
	n, ok := arity[op.kind]
	op.need(ok, "this operator is not checked")
	op.need(len(op.in) >= n[0] && len(op.in) <= n[1] && len(op.out) == 1, "%d inputs, %d outputs", len(op.in), len(op.out))
	in := make([]value, len(op.in))
	for i, name := range op.in {
		in[i], ok = w.values[name]
		op.need(ok, "input %q is not defined before it is used", name)
		op.need(sizeOf(in[i].shape) > 0 || in[i].c != nil && len(in[i].c.data) > 0, "input %q has shape %v", name, in[i].shape)
	}
	var v value
	switch op.kind {
	case "Constant":
		v.c = op.attr["value"].t
		op.need(v.c != nil && len(op.attr) == 1, "only tensors are checked")
		v.shape = v.c.shape
	case "Identity":
		v = in[0]
	case "Flatten", "Reshape":
		v = reshape(op, in)
	case "Transpose":
		v = w.transpose(op, in[0])
	case "Relu":
		op.need(in[0].c == nil, "of a constant is not checked")
		v.shape, v.node = in[0].shape, w.net.add(node{name: op.name, kind: relu, n: sizeOf(in[0].shape), src: in[0].node})
	case "Add", "Sub", "Mul":
		v = w.elementwise(op, in[0], in[1])
	case "MatMul", "Gemm":
		v = w.matmul(op, in)
	case "Concat":
		v = w.concat(op, in)
	case "BatchNormalization":
		v = w.batchNorm(op, in)
	default:
		v = w.window(op, in)
	}
	w.define(op.out[0], v)
}

// affine adds a node of the given shape.
func (w *builder) affine(op *operator, shape []int, terms ...term) value {
	op.need(sizeOf(shape) > 0, "the result has shape %v", shape)
	return value{shape: shape, node: w.net.add(node{name: op.name, kind: affine, n: sizeOf(shape), terms: terms, round: op.round()})}
}

// axis returns an axis of a tensor of the given rank, counted from the end when negative.
func (op *operator) axis(def int64, rank int) int {
	a := op.int("axis", def)
	if a < 0 {
		a += int64(rank)
	}
	op.need(a >= 0 && a < int64(rank), "axis %d", a)
	return int(a)
}

// reshape gives the same elements another shape.
func reshape(op *operator, in []value) value {
	v := in[0]
	if op.kind == "Flatten" {
		a := op.axis(1, len(v.shape)+1)
		v.shape = []int{sizeOf(v.shape[:a]), sizeOf(v.shape[a:])}
		return v
	}
	op.need(in[1].c != nil && op.int("allowzero", 0) == 0, "a shape that is not constant, or allowzero, is not checked")
	var shape []int
	free, known := -1, 1
	for i, f := range in[1].c.data {
		if f == 0 && i < len(v.shape) {
			f = float64(v.shape[i])
		} else if f == -1 && free < 0 {
			free, f = i, 1
		}
		op.need(f >= 1 && f <= maxElements && f == math.Trunc(f), "shape %v", in[1].c.data)
		shape = append(shape, int(f))
		known = sizeOf(shape)
		op.need(known > 0, "shape %v", in[1].c.data)
	}
	if free >= 0 {
		shape[free] = sizeOf(v.shape) / known
	}
	op.need(sizeOf(shape) == sizeOf(v.shape), "shape %v from %v", shape, v.shape)
	v.shape = shape
	return v
}

// strided returns, for every element of shape in order, Σ index·stride; at most 2^26 elements.
func strided(shape, strides []int) []int32 {
	at := []int32{0}
	for d := range shape {
		need(len(at)*shape[d] <= 1<<26, "a tensor is too large")
		next := make([]int32, 0, len(at)*shape[d])
		for _, o := range at {
			for i := range shape[d] {
				next = append(next, o+int32(i*strides[d]))
			}
		}
		at = next
	}
	return at
}

// stridesOf returns row-major strides.
func stridesOf(shape []int) []int {
	s := make([]int, len(shape))
	for d, n := len(shape)-1, 1; d >= 0; d-- {
		s[d] = n
		n *= shape[d]
	}
	return s
}

// gather returns the runs z[i] += W[weight[i]]·x[in[i]]; nil stands for zeros.
func gather(in, weight []int32) []run {
	at := func(l []int32, i int) int32 {
		if l == nil {
			return 0
		}
		return l[i]
	}
	var runs []run
	for i, n := 0, max(len(in), len(weight)); i < n; {
		r := run{out: int32(i), in: at(in, i), w: at(weight, i), n: 1, so: 1}
		if i++; i < n {
			r.si, r.sw = at(in, i)-r.in, at(weight, i)-r.w
		}
		for ; i < n && at(in, i)-at(in, i-1) == r.si && at(weight, i)-at(weight, i-1) == r.sw; i++ {
			r.n++
		}
		runs = append(runs, r)
	}
	return runs
}

// move is the table of operators that only move elements.
var move = table{v: []int64{1}}

// bias adds constants of the given places.
func bias(q table, at []int32) term { return term{src: one, w: q, runs: gather(nil, at)} }

func (w *builder) transpose(op *operator, x value) value {
	perm := op.attr["perm"].ints
	if perm == nil {
		for d := range x.shape {
			perm = append([]int64{int64(d)}, perm...)
		}
	}
	var shape, strides []int
	from, seen := stridesOf(x.shape), map[int64]bool{}
	for _, p := range perm {
		op.need(p >= 0 && p < int64(len(x.shape)) && !seen[p], "perm %v of shape %v", perm, x.shape)
		seen[p] = true
		shape, strides = append(shape, x.shape[p]), append(strides, from[p])
	}
	op.need(len(shape) == len(x.shape), "perm %v of shape %v", perm, x.shape)
	at := strided(shape, strides)
	if x.c == nil {
		return w.affine(op, shape, term{src: x.node, w: move, runs: gather(at, nil)})
	}
	c := &constant{shape: shape}
	for _, a := range at {
		c.data = append(c.data, x.c.data[a])
	}
	return value{shape: shape, c: c}
}

// broadcast returns the common shape of two operands and where each reads.
func broadcast(op *operator, a, b []int) (shape []int, at [2][]int32) {
	both := [][]int{a, b}
	for i, s := range both {
		both[i] = append(slices.Repeat([]int{1}, max(len(a), len(b))-len(s)), s...)
	}
	for d := range both[0] {
		x, y := both[0][d], both[1][d]
		op.need(x == y || x == 1 || y == 1, "operands of shapes %v and %v", a, b)
		shape = append(shape, max(x, y))
	}
	op.need(sizeOf(shape) > 0, "operands of shapes %v and %v", a, b)
	for i, s := range both {
		strides := stridesOf(s)
		for d := range s {
			if s[d] == 1 {
				strides[d] = 0
			}
		}
		at[i] = strided(shape, strides)
	}
	return shape, at
}

// elementwise is x + y, x − y, or x·y with a constant factor.
func (w *builder) elementwise(op *operator, x, y value) value {
	shape, at := broadcast(op, x.shape, y.shape)
	op.need(x.c == nil || y.c == nil, "of constants is not checked")
	if op.kind == "Mul" {
		if x.c != nil {
			x, y, at[0], at[1] = y, x, at[1], at[0]
		}
		op.need(y.c != nil, "is checked with a constant factor")
		return w.affine(op, shape, term{src: x.node, w: quantise(y.c.data, false), runs: gather(at[0], at[1])})
	}
	var terms []term
	for i, v := range []value{x, y} {
		t := term{src: v.node, w: table{v: []int64{1}}, runs: gather(at[i], nil)}
		if v.c != nil {
			t = bias(quantise(v.c.data, false), at[i])
		}
		for j := range t.w.v {
			if i == 1 && op.kind == "Sub" {
				t.w.v[j] = -t.w.v[j]
			}
		}
		terms = append(terms, t)
	}
	return w.affine(op, shape, terms...)
}

// scaled quantises c·f; the product is rounded once unless f is 1.
func (c *constant) scaled(f float64) table {
	data := make([]float64, len(c.data))
	for i, v := range c.data {
		data[i] = v * f
		need(v == 0 || f == 0 || math.Abs(data[i]) > 0x1p-900, "a product too close to 0")
	}
	return quantise(data, f != 1)
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
	if gemm {
		shape = []int{m, n}
	}
	op.need(inner == k && m > 0 && sizeOf([]int{m, n}) > 0 && max(m, n) <= maxMACs/k/min(m, n), "shapes %v and %v", a, b)
	src, c := x.node, y.c
	if x.c != nil {
		src, c = y.node, x.c
	}
	t := term{src: src, w: c.scaled(op.float("alpha", 1))}
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
	s, at := broadcast(op, shape, in[2].shape)
	op.need(in[2].c != nil && slices.Equal(s, shape), "a C of shape %v, or one that is not constant", in[2].shape)
	return w.affine(op, shape, t, bias(in[2].c.scaled(op.float("beta", 1)), at[1]))
}

func (w *builder) concat(op *operator, in []value) value {
	axis := op.axis(0, len(in[0].shape))
	shape := slices.Clone(in[0].shape)
	shape[axis] = 0
	for _, v := range in {
		op.need(v.c == nil && len(v.shape) == len(shape), "constant or differently shaped operands are not checked")
		same := slices.Clone(v.shape)
		shape[axis] += v.shape[axis]
		same[axis] = shape[axis]
		op.need(slices.Equal(same, shape), "shapes %v and %v", v.shape, shape)
	}
	var terms []term
	before, row := 0, sizeOf(shape[axis:])
	for _, v := range in {
		n, t := sizeOf(v.shape[axis:]), term{src: v.node, w: move}
		for o := range sizeOf(shape[:axis]) {
			t.runs = append(t.runs, run{out: int32(o*row + before), in: int32(o * n), n: int32(n), so: 1, si: 1})
		}
		before, terms = before+n, append(terms, t)
	}
	return w.affine(op, shape, terms...)
}
