package op

import "math/rand/v2"

// Comparisons and logic are evaluated but have no lowering: a step has no bounds here.
var _ = registerLogic([]logic{
	{"Equal", "a = b", func(x, y float64) bool { return x == y }},
	{"Less", "a < b", func(x, y float64) bool { return x < y }},
	{"LessOrEqual", "a ≤ b", func(x, y float64) bool { return x <= y }},
	{"Greater", "a > b", func(x, y float64) bool { return x > y }},
	{"GreaterOrEqual", "a ≥ b", func(x, y float64) bool { return x >= y }},
	{"And", "a and b", func(x, y float64) bool { return x != 0 && y != 0 }},
	{"Or", "a or b", func(x, y float64) bool { return x != 0 || y != 0 }},
	{"Xor", "either a or b", func(x, y float64) bool { return (x != 0) != (y != 0) }},
})

type logic struct {
	name, doc string
	f         func(x, y float64) bool
}

func registerLogic(table []logic) bool {
	for _, l := range table {
		register(&Spec{
			Name: l.name,
			Doc:  l.doc + ", elementwise with broadcasting (not bounded)",
			Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
				return one(mapBinary(n, Bool, in[0], in[1], func(x, y float64) float64 { return truth(l.f(x, y)) }))
			}),
			Example: func(r *rand.Rand) Example { return example(l.name, 13, nil, randTensor(r, 2, 3), randTensor(r, 3)) },
		})
	}
	return true
}

var _ = register(&Spec{
	Name: "Not",
	Doc:  "not a, elementwise (not bounded)",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		return mapUnary(n, in, func(v float64) float64 { return truth(v == 0) })
	}),
	Example: func(r *rand.Rand) Example {
		return example("Not", 1, nil, &Tensor{Type: Bool, Shape: []int{2}, Data: []float64{0, 1}})
	},
})

var _ = register(&Spec{
	Name: "IsNaN",
	Doc:  "whether x is not a number, elementwise (not bounded)",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		t := &Tensor{Type: Bool, Shape: in[0].Shape, Data: make([]float64, len(in[0].Data))}
		for i, v := range in[0].Data {
			t.Data[i] = truth(v != v)
		}
		return []*Tensor{t}, nil
	}),
	Example: func(r *rand.Rand) Example { return example("IsNaN", 13, nil, randTensor(r, 2)) },
})
