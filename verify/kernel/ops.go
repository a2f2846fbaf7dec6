package kernel

import (
	"math"
	"slices"
)

// Every operator becomes a shape, a constant, a Relu node or an affine node made of runs.

// operator defines the outputs of one operator.
func (w *builder) operator(op *operator) error {
	in := make([]value, len(op.in))
	for i, name := range op.in {
		v, ok := w.values[name]
		if name != "" && !ok {
			return op.fail("input %q is not defined before it is used", name)
		}
		if in[i] = v; name == "" {
			in[i].node = -1
		}
	}
	arity, ok := map[string][2]int{"Constant": {0, 0}, "Identity": {1, 1}, "Dropout": {1, 3}, "Flatten": {1, 1}, "Reshape": {2, 2}, "Squeeze": {1, 2},
		"Unsqueeze": {1, 2}, "Transpose": {1, 1}, "Relu": {1, 1}, "Add": {2, 2}, "Sub": {2, 2}, "Mul": {2, 2}, "Div": {2, 2}, "MatMul": {2, 2},
		"Gemm": {2, 3}, "Conv": {2, 3}, "BatchNormalization": {5, 5}, "AveragePool": {1, 1}, "GlobalAveragePool": {1, 1}, "Concat": {1, 1 << 16}}[op.kind]
	if !ok {
		return op.fail("this operator is not checked")
	}
	if len(in) < arity[0] || len(in) > arity[1] || len(op.out) == 0 {
		return op.fail("%d inputs", len(in))
	}
	for i := range in {
		if in[i].node < 0 && (i == 0 || i < arity[0]) {
			return op.fail("input %d is missing", i)
		}
	}
	v, err := w.apply(op, in)
	if err != nil {
		return err
	}
	for _, name := range op.out[1:] {
		if name != "" && op.kind != "Dropout" {
			return op.fail("further outputs are not checked")
		}
	}
	return w.define(op.out[0], v)
}

func (w *builder) apply(op *operator, in []value) (value, error) {
	switch op.kind {
	case "Constant":
		c := op.attr["value"].t
		if c == nil || len(op.attr) != 1 {
			return value{}, op.fail("only tensors are checked")
		}
		return value{shape: c.shape, c: c}, nil
	case "Identity":
		return in[0], nil
	case "Dropout":
		if len(in) == 3 && in[2].node >= 0 {
			return value{}, op.fail("training mode is not checked")
		}
		return in[0], nil
	case "Flatten", "Reshape", "Squeeze", "Unsqueeze":
		return w.reshape(op, in)
	case "Transpose":
		return w.transpose(op, in[0])
	case "Relu":
		if in[0].c != nil {
			return value{}, op.fail("of a constant is not checked")
		}
		k, err := w.net.add(node{name: op.name, kind: relu, n: w.net.nodes[in[0].node].n, src: in[0].node})
		return value{shape: in[0].shape, node: k}, err
	case "Add", "Sub":
		return w.sum(op, in[0], in[1])
	case "Mul", "Div":
		return w.scale(op, in[0], in[1])
	case "MatMul", "Gemm":
		return w.matmul(op, in)
	case "Conv":
		return w.conv(op, in)
	case "BatchNormalization":
		return w.batchNorm(op, in)
	case "AveragePool", "GlobalAveragePool":
		return w.pool(op, in[0])
	}
	return w.concat(op, in)
}

// ints returns a constant's numbers.
func (v *value) ints() (l []int64, ok bool) {
	if v.c == nil || v.c.approx {
		return nil, false
	}
	for _, f := range v.c.data {
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil, false
		}
		l = append(l, int64(f))
	}
	return l, true
}

// reshape gives the same elements another shape.
func (w *builder) reshape(op *operator, in []value) (value, error) {
	old := in[0].shape
	var shape []int
	list, given := op.attr["axes"].l, true
	if len(in) > 1 {
		list, given = in[1].ints()
	}
	if !given {
		return value{}, op.fail("the shape is not constant")
	}
	switch op.kind {
	case "Flatten":
		axis := op.int("axis", 1)
		if axis < 0 {
			axis += int64(len(old))
		}
		if axis < 0 || axis > int64(len(old)) {
			return value{}, op.fail("axis %d", axis)
		}
		shape = []int{sizeOf(old[:axis]), sizeOf(old[axis:])}
	case "Reshape":
		if op.int("allowzero", 0) != 0 {
			return value{}, op.fail("allowzero is not checked")
		}
		free, known := -1, 1
		for i, d := range list {
			switch {
			case d == 0 && i < len(old):
				d = int64(old[i])
			case d == -1 && free < 0:
				free, d = i, 1
			}
			if d < 1 || d > maxElements || known*int(d) > maxElements {
				return value{}, op.fail("shape %v", list)
			}
			shape, known = append(shape, int(d)), known*int(d)
		}
		if free >= 0 {
			shape[free] = sizeOf(old) / known
		}
	default:
		axes := map[int]bool{}
		rank := len(old)
		if op.kind == "Unsqueeze" {
			rank += len(list)
		}
		for _, a := range list {
			if a < 0 {
				a += int64(rank)
			}
			if a < 0 || a >= int64(rank) || axes[int(a)] {
				return value{}, op.fail("axes %v", list)
			}
			axes[int(a)] = true
		}
		if op.kind == "Squeeze" {
			for i, d := range old {
				if !axes[i] && (len(list) > 0 || d != 1) {
					shape = append(shape, d)
				}
			}
			break
		}
		for i, rest := 0, old; i < rank; i++ {
			if axes[i] {
				shape = append(shape, 1)
			} else {
				shape, rest = append(shape, rest[0]), rest[1:]
			}
		}
	}
	if sizeOf(shape) != sizeOf(old) || sizeOf(old) == 0 {
		return value{}, op.fail("shape %v from %v", shape, old)
	}
	return value{shape: shape, node: in[0].node, c: in[0].c}, nil
}

// offsets returns, for every element of shape in order, Σ index·strides.
func offsets(shape, strides []int) []int32 {
	at := []int32{0}
	for d := range shape {
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

// gather returns runs that copy element at[i] to out+i, with the weight of index wt[i] (nil: 0).
func gather(at, wt []int32) []run {
	var runs []run
	weight := func(i int) int32 {
		if wt == nil {
			return 0
		}
		return wt[i]
	}
	for i := 0; i < len(at); {
		r := run{out: int32(i), in: at[i], w: weight(i), n: 1, so: 1}
		if i+1 < len(at) {
			r.si, r.sw = at[i+1]-at[i], weight(i+1)-weight(i)
		}
		for j := i + 1; j < len(at) && at[j]-at[j-1] == r.si && weight(j)-weight(j-1) == r.sw; j++ {
			r.n++
		}
		runs = append(runs, r)
		i += int(r.n)
	}
	return runs
}

// one is the weight table of operators that only move or add elements.
func one(c int64) fixed { return fixed{v: []int64{c}} }

func (w *builder) transpose(op *operator, x value) (value, error) {
	perm := op.attr["perm"].l
	if perm == nil {
		for d := range x.shape {
			perm = append([]int64{int64(d)}, perm...)
		}
	}
	shape, strides, seen := []int{}, []int{}, map[int64]bool{}
	from := stridesOf(x.shape)
	for _, p := range perm {
		if p < 0 || p >= int64(len(x.shape)) || seen[p] {
			return value{}, op.fail("perm %v", perm)
		}
		seen[p] = true
		shape, strides = append(shape, x.shape[p]), append(strides, from[p])
	}
	if len(shape) != len(x.shape) || sizeOf(shape) == 0 {
		return value{}, op.fail("perm %v of shape %v", perm, x.shape)
	}
	at := offsets(shape, strides)
	if x.c != nil {
		c := &constant{shape: shape, data: make([]float64, len(at)), approx: x.c.approx}
		for i, a := range at {
			c.data[i] = x.c.data[a]
		}
		return value{shape: shape, c: c}, nil
	}
	return w.affine(op, shape, nil, term{src: x.node, w: one(1), runs: gather(at, nil)})
}

// affine adds a node of the given shape.
func (w *builder) affine(op *operator, shape []int, bias *constant, terms ...term) (value, error) {
	nd := node{name: op.name, kind: affine, n: sizeOf(shape), terms: terms}
	if bias != nil {
		q, err := quantise(bias.data, bias.approx)
		if err != nil {
			return value{}, op.fail("%w", err)
		}
		nd.bias = q
	}
	k, err := w.net.add(nd)
	return value{shape: shape, node: k}, err
}

// broadcast returns the common shape of two operands and where each reads.
func broadcast(op *operator, a, b []int) (shape []int, at [2][]int32, err error) {
	rank := max(len(a), len(b))
	pad := func(s []int) []int { return append(slices.Repeat([]int{1}, rank-len(s)), s...) }
	a, b = pad(a), pad(b)
	for d := range a {
		if a[d] != b[d] && a[d] != 1 && b[d] != 1 {
			return nil, at, op.fail("operands of shapes %v and %v", a, b)
		}
		shape = append(shape, max(a[d], b[d]))
	}
	if sizeOf(shape) == 0 || sizeOf(a) == 0 || sizeOf(b) == 0 {
		return nil, at, op.fail("operands of shapes %v and %v", a, b)
	}
	for i, s := range [][]int{a, b} {
		strides := stridesOf(s)
		for d := range s {
			if s[d] == 1 {
				strides[d] = 0
			}
		}
		at[i] = offsets(shape, strides)
	}
	return shape, at, nil
}

// spread returns a constant's elements at the given places.
func (c *constant) spread(at []int32, sign float64) *constant {
	s := &constant{data: make([]float64, len(at)), approx: c.approx}
	for i, a := range at {
		s.data[i] = sign * c.data[a]
	}
	return s
}

// sum is x + y or x − y.
func (w *builder) sum(op *operator, x, y value) (value, error) {
	shape, at, err := broadcast(op, x.shape, y.shape)
	if err != nil {
		return value{}, err
	}
	var bias *constant
	var terms []term
	for i, v := range []value{x, y} {
		sign := 1.0
		if i == 1 && op.kind == "Sub" {
			sign = -1
		}
		if v.c == nil {
			terms = append(terms, term{src: v.node, w: one(int64(sign)), runs: gather(at[i], nil)})
		} else {
			bias = v.c.spread(at[i], sign)
		}
	}
	if len(terms) == 0 {
		return value{}, op.fail("of constants is not checked")
	}
	return w.affine(op, shape, bias, terms...)
}

// scale is x·c, c·x or x/c with a constant c.
func (w *builder) scale(op *operator, x, y value) (value, error) {
	shape, at, err := broadcast(op, x.shape, y.shape)
	if err != nil {
		return value{}, err
	}
	if x.c != nil {
		x, y, at[0], at[1] = y, x, at[1], at[0]
	}
	if x.c != nil || y.c == nil || op.kind == "Div" && at[0] == nil {
		return value{}, op.fail("is checked with one constant operand")
	}
	c := y.c
	if op.kind == "Div" {
		if op.in[1] == "" || w.values[op.in[1]].c == nil {
			return value{}, op.fail("is checked with a constant divisor")
		}
		c = &constant{data: make([]float64, len(y.c.data)), approx: true}
		for i, f := range y.c.data {
			c.data[i] = 1 / f
		}
	}
	q, err := quantise(c.data, c.approx)
	if err != nil {
		return value{}, op.fail("%w", err)
	}
	return w.affine(op, shape, nil, term{src: x.node, w: q, runs: gather(at[0], at[1])})
}

// matmul is MatMul or Gemm with one constant matrix.
func (w *builder) matmul(op *operator, in []value) (value, error) {
	x, y := in[0], in[1]
	if (x.c == nil) == (y.c == nil) {
		return value{}, op.fail("is checked with one constant matrix")
	}
	a, b := slices.Clone(x.shape), slices.Clone(y.shape)
	gemm := op.kind == "Gemm"
	if gemm && (len(a) != 2 || len(b) != 2) || len(a) < 1 || len(b) < 1 || len(b) > 2 || x.c != nil && len(a) > 2 {
		return value{}, op.fail("operands of shapes %v and %v", a, b)
	}
	var shape []int
	if len(a) > 1 {
		shape = append(shape, a[:len(a)-1]...)
	}
	if len(b) > 1 {
		shape = append(shape, b[1])
	} else {
		b = append(b, 1)
	}
	m, k, n := max(1, sizeOf(a[:len(a)-1])), a[len(a)-1], b[1]
	sa, sk, tk, sb := k, 1, n, 1 // strides of A by row and column, of B by row and column
	inner := b[0]
	if gemm && op.int("transA", 0) != 0 {
		m, k, sa, sk = a[1], a[0], 1, a[1]
	}
	if gemm && op.int("transB", 0) != 0 {
		n, inner, tk, sb = b[0], b[1], 1, b[1]
	}
	if gemm {
		shape = []int{m, n}
	}
	if inner != k || sizeOf(a) == 0 || sizeOf(b) == 0 || sizeOf([]int{m, n, k}) == 0 && m*n*k > maxMACs {
		return value{}, op.fail("operands of shapes %v and %v", x.shape, y.shape)
	}
	data, src, xIsConst := y.c, x.node, x.c != nil
	if xIsConst {
		data, src = x.c, y.node
	}
	if alpha := op.float("alpha", 1); gemm && alpha != 1 {
		data = data.scaled(alpha)
	}
	q, err := quantise(data.data, data.approx)
	if err != nil {
		return value{}, op.fail("%w", err)
	}
	var runs []run
	for i := range m { // z[i,j] = Σ_l A[i,l]·B[l,j]
		switch {
		case xIsConst: // along j
			for l := range k {
				runs = append(runs, run{int32(i * n), int32(l * tk), int32(i*sa + l*sk), int32(n), 1, int32(sb), 0})
			}
		case tk == 1: // along l
			for j := range n {
				runs = append(runs, run{int32(i*n + j), int32(i * sa), int32(j * sb), int32(k), 0, int32(sk), 1})
			}
		default: // along j
			for l := range k {
				runs = append(runs, run{int32(i * n), int32(i*sa + l*sk), int32(l * tk), int32(n), 1, 0, int32(sb)})
			}
		}
	}
	var bias *constant
	if len(in) > 2 && in[2].node >= 0 {
		if in[2].c == nil {
			return value{}, op.fail("a C that is not constant is not checked")
		}
		s, at, err := broadcast(op, shape, in[2].shape)
		if err != nil || !slices.Equal(s, shape) {
			return value{}, op.fail("C of shape %v", in[2].shape)
		}
		if bias = in[2].c; op.float("beta", 1) != 1 {
			bias = bias.scaled(op.float("beta", 1))
		}
		bias = bias.spread(at[1], 1)
	}
	return w.affine(op, shape, bias, term{src: src, w: q, runs: runs})
}

// scaled returns a constant times c, rounded once.
func (c *constant) scaled(f float64) *constant {
	s := &constant{shape: c.shape, data: make([]float64, len(c.data)), approx: true}
	for i, v := range c.data {
		s.data[i] = v * f
	}
	if c.approx {
		s.data[0] = math.NaN() // twice rounded: refused by quantise
	}
	return s
}

func (w *builder) concat(op *operator, in []value) (value, error) {
	axis := op.int("axis", 0)
	if axis < 0 {
		axis += int64(len(in[0].shape))
	}
	if axis < 0 || axis >= int64(len(in[0].shape)) {
		return value{}, op.fail("axis %d", axis)
	}
	shape := slices.Clone(in[0].shape)
	shape[axis] = 0
	for _, v := range in {
		if len(v.shape) != len(shape) || sizeOf(v.shape) == 0 || v.c != nil {
			return value{}, op.fail("constant or differently shaped operands are not checked")
		}
		for d := range shape {
			if d != int(axis) && v.shape[d] != shape[d] {
				return value{}, op.fail("operands of shapes %v and %v", in[0].shape, v.shape)
			}
		}
		shape[axis] += v.shape[axis]
	}
	if sizeOf(shape) == 0 {
		return value{}, op.fail("shape %v", shape)
	}
	var terms []term
	outer, before, row := sizeOf(shape[:axis]), 0, sizeOf(shape[axis:])
	for _, v := range in {
		n := sizeOf(v.shape[axis:])
		t := term{src: v.node, w: one(1)}
		for o := range outer {
			t.runs = append(t.runs, run{out: int32(o*row + before), in: int32(o * n), n: int32(n), so: 1, si: 1})
		}
		before += n
		terms = append(terms, t)
	}
	return w.affine(op, shape, nil, terms...)
}
