package verifytest

import (
	"fmt"
	"math/big"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn/prog"
)

// EvalExact returns the exact values of every node of a program without Sigmoid nodes at a float64 input.
func EvalExact(p *prog.Program, x []float64) [][]*big.Rat { return EvalExactRat(p, exact.Rats(x)) }

// EvalExactRat is EvalExact at a rational input.
func EvalExactRat(p *prog.Program, x []*big.Rat) [][]*big.Rat {
	if len(x) != p.Nodes[0].N {
		panic("verifytest: input length mismatch")
	}
	v := make([][]*big.Rat, len(p.Nodes))
	v[0] = x
	for k := 1; k < len(p.Nodes); k++ {
		node := &p.Nodes[k]
		switch node.Kind {
		case prog.Affine:
			v[k] = affineExact(node, v)
		case prog.Relu:
			v[k] = exact.Zeros(node.N)
			for i, z := range v[node.Src] {
				if z.Sign() > 0 {
					v[k][i].Set(z)
				}
			}
		case prog.Curve:
			v[k] = curveExact(node, v[node.Src])
		case prog.Product:
			v[k] = exact.Zeros(node.N)
			for i, z := range v[node.Src] {
				v[k][i].Mul(z, v[node.Src2][i])
			}
		default:
			panic(fmt.Sprintf("verifytest: EvalExact does not support %v nodes", node.Kind))
		}
	}
	return v
}

// curveExact evaluates a Curve node; it panics on a division by zero.
func curveExact(node *prog.Node, z []*big.Rat) []*big.Rat {
	out := exact.Zeros(node.N)
	for i, x := range z {
		switch node.Fn {
		case prog.Square:
			out[i].Mul(x, x)
		case prog.Cube:
			out[i].Mul(x, x).Mul(out[i], x)
		case prog.Reciprocal:
			out[i].Inv(x)
		case prog.Sign:
			out[i].SetInt64(int64(x.Sign()))
		case prog.Floor:
			out[i].SetInt(new(big.Int).Div(x.Num(), x.Denom())) // Euclidean, the denominator is positive
		default:
			panic(fmt.Sprintf("verifytest: EvalExact does not support %v", node.Fn))
		}
	}
	return out
}

func affineExact(node *prog.Node, v [][]*big.Rat) []*big.Rat {
	z := exact.Zeros(node.N)
	if node.Bias != nil {
		z = exact.Rats(node.Bias)
	}
	t := new(big.Rat)
	for _, term := range node.Terms {
		src := v[term.Src]
		term.Map.Each(func(i, j int, w float64) {
			if w != 0 && src[j].Sign() != 0 {
				z[i].Add(z[i], t.Mul(t.SetFloat64(w), src[j]))
			}
		})
	}
	return z
}
