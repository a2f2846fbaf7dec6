package op

import (
	"math"
	"math/rand/v2"
)

// Elementwise functions that are evaluated but have no lowering.
var _ = registerUnary([]unary{
	{"Sin", "sin(x)", math.Sin},
	{"Cos", "cos(x)", math.Cos},
	{"Tan", "tan(x)", math.Tan},
	{"Sqrt", "√x", math.Sqrt},
	{"Log", "natural logarithm", math.Log},
	{"Ceil", "smallest integer above", math.Ceil},
	{"Round", "nearest integer, ties to even", math.RoundToEven},
	{"Erf", "Gauss error function", math.Erf},
	{"Softplus", "log(1 + e^x)", softplus},
	{"Softsign", "x/(1 + |x|)", func(v float64) float64 { return v / (1 + math.Abs(v)) }},
})

type unary struct {
	name, doc string
	f         func(float64) float64
}

func registerUnary(table []unary) bool {
	for _, u := range table {
		register(&Spec{
			Name: u.name,
			Doc:  u.doc + ", elementwise (not bounded)",
			Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return mapUnary(n, in, u.f) }),
			Example: func(r *rand.Rand) Example {
				t := randTensor(r, 2, 3)
				if u.name == "Log" || u.name == "Sqrt" {
					for i, v := range t.Data {
						t.Data[i] = 0.125 + math.Abs(v)
					}
				}
				return example(u.name, 13, nil, t)
			},
		})
	}
	return true
}

func softplus(v float64) float64 { return max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) }

var _ = registerCurved("Elu", "x where x > 0, alpha·(e^x − 1) elsewhere", 1, func(v, alpha float64) float64 {
	if v > 0 {
		return v
	}
	return alpha * math.Expm1(v)
})

// registerCurved registers an elementwise function with the attribute alpha.
func registerCurved(name, doc string, def float64, f func(v, alpha float64) float64) *Spec {
	return register(&Spec{
		Name: name,
		Doc:  doc + " (not bounded)",
		Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
			alpha := n.float("alpha", def)
			return mapUnary(n, in, func(v float64) float64 { return f(v, alpha) })
		}),
		Example: func(r *rand.Rand) Example { return example(name, 13, nil, randTensor(r, 2, 3)) },
	})
}
