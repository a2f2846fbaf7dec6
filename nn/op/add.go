package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Add",
	Doc:  "a + b with broadcasting",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return one(mapBinary(n, 0, in[0], in[1], func(x, y float64) float64 { return x + y }))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return lowerSum(n, b, in[:2], []float64{1, 1}, out[0])
	},
	Example: func(r *rand.Rand) Example { return binaryExample(r, "Add", true) },
})

var _ = register(&Spec{
	Name: "Sub",
	Doc:  "a − b with broadcasting",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return one(mapBinary(n, 0, in[0], in[1], func(x, y float64) float64 { return x - y }))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return lowerSum(n, b, in[:2], []float64{1, -1}, out[0])
	},
	Example: func(r *rand.Rand) Example { return binaryExample(r, "Sub", true) },
})

var _ = register(&Spec{
	Name: "Sum",
	Doc:  "the sum of any number of tensors with broadcasting",
	Eval: arity(1, -1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return one(fold(n, in, func(x, y float64) float64 { return x + y }))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		return lowerSum(n, b, in, constant(1, len(in)), out[0])
	},
	Example: func(r *rand.Rand) Example {
		ex := example("Sum", 13, nil, randTensor(r, 2, 3), randTensor(r, 3), randTensor(r, 2, 1))
		ex.Const[1] = false
		return ex
	},
})

// fold combines all inputs from the left with f.
func fold(n *Node, in []*Tensor, f func(x, y float64) float64) (*Tensor, error) {
	t := in[0]
	for i, u := range in[1:] {
		if u == nil {
			return nil, errorf(n, "input %d is missing", i+1)
		}
		var err error
		if t, err = mapBinary(n, 0, t, u, f); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// lowerSum appends Σ c_i·in_i for signs c_i = ±1. Exact: constants go to the bias one at a time, so that no rounded sum of
// several of them is stored.
func lowerSum(n *Node, b *prog.Builder, in []Value, c []float64, out []int) ([]Value, error) {
	var terms []prog.Term
	var biases [][]float64
	for i, v := range in {
		if v.variable() {
			terms = append(terms, term(v, out, c[i]))
			continue
		}
		if v.Const == nil {
			return nil, unsupported(n, "input %d is missing", i)
		}
		if err := realConst(n, v.Const); err != nil {
			return nil, err
		}
		bias := spread(v.Const, out)
		if c[i] < 0 {
			bias = negated(bias)
		}
		biases = append(biases, bias)
	}
	if len(biases) == 0 {
		biases = append(biases, nil)
	}
	k := b.Affine(n.Name, Size(out), biases[0], 0, terms...)
	for _, bias := range biases[1:] {
		k = b.Affine(n.Name, Size(out), bias, 0, term(Value{Node: k, Shape: out}, out, 1))
	}
	return node(k, out), nil
}

func negated(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = -x
	}
	return out
}

// binaryExample draws operands that broadcast, with the constant on either side or, if both is set, nowhere.
func binaryExample(r *rand.Rand, op string, both bool) Example {
	shapes := [][]int{{2, 3}, {3}, {2, 1}, {}, {1, 1, 3}, {4, 1, 1}}
	ex := example(op, 13, nil, randTensor(r, shapes[r.IntN(len(shapes))]...), randTensor(r, shapes[r.IntN(len(shapes))]...))
	switch r.IntN(3) {
	case 0:
		ex.Const = []bool{true, false}
	case 1:
		if both {
			ex.Const = []bool{false, false}
		}
	}
	return ex
}
