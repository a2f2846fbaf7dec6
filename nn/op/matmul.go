package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "MatMul",
	Doc:  "numpy's matrix product, batched and broadcast",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		p, err := newMatmul(n, in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		t, err := p.product(n, in[0], in[1])
		if err != nil {
			return nil, err
		}
		return []*Tensor{t}, nil
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		p, err := newMatmul(n, in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		k, err := p.lower(n, b, in[0], in[1], 1, nil, 0)
		return node(k, p.shape), err
	},
	Example: func(r *rand.Rand) Example {
		shapes := [][2][]int{
			{{1, 4}, {4, 3}}, {{4}, {4, 3}}, {{2, 3}, {3}}, {{3, 4}, {4, 1}}, {{3, 4}, {4, 2}}, {{2, 3, 4}, {4, 2}}, {{2, 2, 3}, {2, 3, 2}},
			{{3, 4}, {2, 4, 2}},
		}
		s := shapes[r.IntN(len(shapes))]
		ex := example("MatMul", 13, nil, randTensor(r, s[0]...), randTensor(r, s[1]...))
		if r.IntN(2) == 0 {
			ex.Const = []bool{true, false}
		}
		for _, t := range ex.In {
			for i := range t.Data {
				if r.IntN(3) == 0 {
					t.Data[i] = 0
				}
			}
		}
		return ex
	},
})

// matmul is a batch of strided matrix products: for every batch, out[i,j] = Σ_l a[aOff+i·ai+l·al]·b[bOff+l·bl+j·bj], with
// m×n results of inner length k. Transposition is a matter of strides.
type matmul struct {
	shape          []int
	aOff, bOff     []int32
	m, k, n        int
	ai, al, bl, bj int
}

// newMatmul plans numpy's matmul: vectors are promoted, leading dimensions are broadcast.
func newMatmul(n *Node, a, b []int) (*matmul, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, errorf(n, "scalar operand")
	}
	va, vb := len(a) == 1, len(b) == 1
	if va {
		a = []int{1, a[0]}
	}
	if vb {
		b = []int{b[0], 1}
	}
	ba, bb := a[:len(a)-2], b[:len(b)-2]
	p := &matmul{m: a[len(a)-2], k: a[len(a)-1], n: b[len(b)-1]}
	if b[len(b)-2] != p.k {
		return nil, errorf(n, "inner dimensions of %v and %v differ", a, b)
	}
	p.ai, p.al, p.bl, p.bj = p.k, 1, p.n, 1
	batch, err := broadcastShape(n, ba, bb)
	if err != nil {
		return nil, err
	}
	if _, err := sizeOf(n, batch); err != nil {
		return nil, err
	}
	p.aOff, p.bOff = offsets(ba, batch, p.m*p.k), offsets(bb, batch, p.k*p.n)
	p.shape = append([]int{}, batch...)
	if !va {
		p.shape = append(p.shape, p.m)
	}
	if !vb {
		p.shape = append(p.shape, p.n)
	}
	_, err = sizeOf(n, p.shape)
	return p, err
}

// offsets returns where the matrix of each batch starts when shape from is broadcast to shape to.
func offsets(from, to []int, size int) []int32 {
	idx := broadcastIndex(from, to)
	if idx == nil {
		idx = iota32(Size(to))
	}
	for i := range idx {
		idx[i] *= int32(size)
	}
	return idx
}

// product returns A·B in a new tensor.
func (p *matmul) product(n *Node, a, b *Tensor) (*Tensor, error) {
	t, err := newTensor(n, a.Type, p.shape)
	if err != nil {
		return nil, err
	}
	p.eval(t.Data, a.Data, b.Data)
	return t, nil
}

// eval accumulates the products into dst, which is row-major.
func (p *matmul) eval(dst, a, b []float64) {
	for t := range p.aOff {
		for i := range p.m {
			row := dst[(t*p.m+i)*p.n : (t*p.m+i+1)*p.n]
			p.row(row, a, b, int(p.aOff[t])+i*p.ai, int(p.bOff[t]))
		}
	}
}

func (p *matmul) row(dst, a, b []float64, ao, bo int) {
	if p.bl == 1 && p.al == 1 {
		for j := range dst {
			s := 0.0
			w := b[bo+j*p.bj:]
			for l, v := range a[ao : ao+p.k] {
				s += v * w[l]
			}
			dst[j] += s
		}
		return
	}
	for l := range p.k {
		v, o := a[ao+l*p.al], bo+l*p.bl
		if p.bj == 1 {
			for j, w := range b[o : o+p.n] {
				dst[j] += v * w
			}
			continue
		}
		for j := range dst {
			dst[j] += v * b[o+j*p.bj]
		}
	}
}
