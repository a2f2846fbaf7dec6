package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Gemm",
	Doc:  "alpha·A·B + beta·C, A and B optionally transposed",
	Eval: arity(2, 3, evalGemm),
	Lower: pad(3, func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		p, err := newGemm(n, in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		beta := n.float("beta", 1)
		if !finite([]float64{beta}) {
			return nil, unsupported(n, "beta is %g", beta)
		}
		var bias []float64
		var e rounding
		if c := in[2].Const; c != nil && beta != 0 {
			if err := realConst(n, c); err != nil {
				return nil, err
			}
			bias = spread(c, p.shape)
			if beta != 1 {
				t := make([]float64, len(bias))
				for i, v := range bias {
					t[i] = e.mul(beta, v)
				}
				bias = t
			}
		}
		if e.bad {
			return nil, unsupported(n, "beta·C is out of range")
		}
		k, err := p.lower(n, b, in[0], in[1], n.float("alpha", 1), bias, e.rel)
		if err != nil {
			return nil, err
		}
		if in[2].variable() {
			k = b.Affine(n.Name, Size(p.shape), nil, 0, term(Value{Node: k, Shape: p.shape}, p.shape, 1), term(in[2], p.shape, beta))
		}
		return node(k, p.shape), nil
	}),
	Example: func(r *rand.Rand) Example {
		m, k, w := 1+r.IntN(2), 1+r.IntN(4), 1+r.IntN(3)
		a, b := []int{m, k}, []int{k, w}
		attrs := map[string]Attr{"alpha": {F: 0.5}, "beta": {F: float64(float32(0.3))}}
		if r.IntN(2) == 0 {
			a = []int{k, m}
			attrs["transA"] = Attr{I: 1}
		}
		if r.IntN(2) == 0 {
			b = []int{w, k}
			attrs["transB"] = Attr{I: 1}
		}
		ex := example("Gemm", 13, attrs, randTensor(r, a...), randTensor(r, b...), randTensor(r, w))
		ex.Const = [][]bool{{false, true, true}, {true, false, true}, {false, true, false}}[r.IntN(3)]
		return ex
	},
})

// newGemm plans the product; the strides take care of the transpositions.
func newGemm(n *Node, a, b []int) (*matmul, error) {
	if len(a) != 2 || len(b) != 2 {
		return nil, errorf(n, "operands of shapes %v and %v are not matrices", a, b)
	}
	p := &matmul{aOff: []int32{0}, bOff: []int32{0}, m: a[0], k: a[1], n: b[1], ai: a[1], al: 1, bl: b[1], bj: 1}
	inner := b[0]
	if n.int("transA", 0) != 0 {
		p.m, p.k, p.ai, p.al = a[1], a[0], 1, a[1]
	}
	if n.int("transB", 0) != 0 {
		p.n, inner, p.bl, p.bj = b[0], b[1], 1, b[1]
	}
	if inner != p.k {
		return nil, errorf(n, "inner dimensions of %v and %v differ", a, b)
	}
	p.shape = []int{p.m, p.n}
	_, err := sizeOf(n, p.shape)
	return p, err
}

func evalGemm(n *Node, in []*Tensor) ([]*Tensor, error) {
	p, err := newGemm(n, in[0].Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	t, err := p.product(n, in[0], in[1])
	if err != nil {
		return nil, err
	}
	alpha, beta := n.float("alpha", 1), n.float("beta", 1)
	for i := range t.Data {
		t.Data[i] *= alpha
	}
	if in[2] == nil {
		return []*Tensor{t}, nil
	}
	if shape, err := broadcastShape(n, p.shape, in[2].Shape); err != nil || len(shape) != 2 || Size(shape) != Size(p.shape) {
		return nil, errorf(n, "C of shape %v does not broadcast to %v", in[2].Shape, p.shape)
	}
	for i, v := range spread(in[2], p.shape) {
		t.Data[i] += beta * v
	}
	return []*Tensor{t}, nil
}
