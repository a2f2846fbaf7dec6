package sdp

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// cases returns n, or a tenth of it with -short.
func cases(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// A layer is W·x + b, w row-major.
type layer struct {
	in, out int
	w, b    []float64
}

// mlp builds the graph of a network of these layers with ReLU between them.
func mlp(t testing.TB, layers ...layer) *nn.Graph {
	t.Helper()
	d := &nn.Draft{Opset: 13, Hash: fmt.Sprint(layers), Outputs: []nn.DraftPort{{Name: "y"}},
		Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, layers[0].in}}}}
	value := "x"
	node := func(kind, out string, attrs map[string]op.Attr, params ...string) {
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: out, Type: kind, Opset: 13, Attrs: attrs, Outputs: 1},
			In: append([]string{value}, params...), Out: []string{out}})
		value = out
	}
	for i, l := range layers {
		w, b := fmt.Sprintf("w%d", i), fmt.Sprintf("b%d", i)
		d.Consts = append(d.Consts,
			nn.DraftConst{Name: w, Tensor: &op.Tensor{Type: op.Float32, Shape: []int{l.out, l.in}, Data: l.w}},
			nn.DraftConst{Name: b, Tensor: &op.Tensor{Type: op.Float32, Shape: []int{l.out}, Data: l.b}})
		last := i == len(layers)-1
		out := fmt.Sprintf("z%d", i)
		if last {
			out = "y"
		}
		node("Gemm", out, map[string]op.Attr{"transB": {I: 1}}, w, b)
		if !last {
			node("Relu", fmt.Sprintf("h%d", i), nil)
		}
	}
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// dyadic returns numbers k/16 with |k| ≤ 32, some of them 0: sums of their products are exact.
func dyadic(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		if r.IntN(6) > 0 {
			x[i] = float64(r.IntN(65)-32) / 16
		}
	}
	return x
}

// randomLayers draws layers of the given widths.
func randomLayers(r *rand.Rand, widths ...int) []layer {
	var ls []layer
	for i := 1; i < len(widths); i++ {
		n, m := widths[i-1], widths[i]
		ls = append(ls, layer{n, m, dyadic(r, n*m), dyadic(r, m)})
	}
	return ls
}

// eval evaluates layers at x.
func eval(ls []layer, x []float64) []float64 {
	for i, l := range ls {
		y := make([]float64, l.out)
		for j := range y {
			y[j] = l.b[j]
			for k, v := range x {
				y[j] += l.w[j*l.in+k] * v
			}
			if i < len(ls)-1 {
				y[j] = max(y[j], 0)
			}
		}
		x = y
	}
	return x
}

// lowest looks for the least of c·y in the box by corners, where they are few, random points and descent along coordinates.
func lowest(r *rand.Rand, ls []layer, c, lo, hi []float64) float64 {
	d := len(lo)
	value := func(x []float64) float64 {
		s := 0.0
		for i, v := range eval(ls, x) {
			s += c[i] * v
		}
		return s
	}
	best, at := value(lo), append([]float64(nil), lo...)
	try := func(x []float64) {
		if v := value(x); v < best {
			best, at = v, append([]float64(nil), x...)
		}
	}
	x := make([]float64, d)
	for n := range 100 {
		for i := range x {
			switch x[i] = lo[i] + r.Float64()*(hi[i]-lo[i]); {
			case n < 64 && n>>(i%6)&1 == 0:
				x[i] = lo[i]
			case n < 64:
				x[i] = hi[i]
			}
		}
		try(x)
	}
	for range 3 {
		for i := range x {
			copy(x, at)
			for _, f := range []float64{0, 0.25, 0.5, 0.75, 1} {
				x[i] = lo[i] + f*(hi[i]-lo[i])
				try(x)
			}
		}
	}
	return best
}

// semidefinite decides in rationals whether a symmetric matrix is positive semidefinite, by elimination with symmetric pivots.
func semidefinite(a [][]*big.Rat) bool {
	n := len(a)
	b := make([][]*big.Rat, n)
	for i := range a {
		b[i] = make([]*big.Rat, n)
		for j := range a {
			b[i][j] = new(big.Rat).Set(a[i][j])
		}
	}
	gone := make([]bool, n)
	for range n {
		p := -1
		for i := range b {
			if gone[i] {
				continue
			}
			if b[i][i].Sign() < 0 {
				return false
			}
			if p < 0 || b[i][i].Cmp(b[p][p]) > 0 {
				p = i
			}
		}
		gone[p] = true
		for i := range b {
			if gone[i] || b[i][p].Sign() == 0 {
				continue
			}
			if b[p][p].Sign() == 0 {
				return false
			}
			f := new(big.Rat).Quo(b[i][p], b[p][p])
			for j := range b {
				if !gone[j] {
					b[i][j] = new(big.Rat).Sub(b[i][j], new(big.Rat).Mul(f, b[p][j]))
				}
			}
		}
	}
	return true
}

// rational returns a row-major matrix as rationals, minus diag(off).
func rational(n int, a, off []float64) [][]*big.Rat {
	m := make([][]*big.Rat, n)
	for i := range m {
		m[i] = exact.Rats(a[i*n : (i+1)*n])
		if off != nil {
			m[i][i].Sub(m[i][i], exact.Rat(off[i]))
		}
	}
	return m
}
