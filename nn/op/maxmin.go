package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = registerExtremum("Max", "max", 1, func(x, y float64) float64 { return max(x, y) })
var _ = registerExtremum("Min", "min", -1, func(x, y float64) float64 { return min(x, y) })

func registerExtremum(name, word string, sign float64, f func(x, y float64) float64) *Spec {
	return register(&Spec{
		Name: name,
		Doc:  "elementwise " + word + "imum of any number of tensors with broadcasting",
		Eval: arity(1, -1, func(n *Node, in []*Tensor) ([]*Tensor, error) { return one(fold(n, in, f)) }),
		Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
			return lowerExtremum(n, b, in, sign, out[0], f)
		},
		Example: func(r *rand.Rand) Example {
			ex := binaryExample(r, name, true)
			if r.IntN(2) == 0 {
				ex.In = append(ex.In, randTensor(r, 3))
				ex.Const = append(ex.Const, r.IntN(2) == 0)
			}
			return ex
		},
	})
}

// lowerExtremum folds max(a,b) = b + relu(a−b) (sign 1) or min(a,b) = b − relu(b−a) (sign −1) over the inputs. Exact: the
// coefficients are ±1, and constants are combined with each other first.
func lowerExtremum(n *Node, b *prog.Builder, in []Value, sign float64, out []int, f func(x, y float64) float64) ([]Value, error) {
	var acc Value
	var c *Tensor
	have := false
	for i, v := range in {
		switch {
		case v.Const != nil:
			if err := realConst(n, v.Const); err != nil {
				return nil, err
			}
			t := v.Const
			if c != nil {
				var err error
				if t, err = mapBinary(n, 0, c, t, f); err != nil {
					return nil, err
				}
			}
			c = t
		case !v.variable():
			return nil, unsupported(n, "input %d is missing", i)
		case !have:
			acc, have = v, true
		default:
			acc = extremum(n, b, acc, v, sign, out)
		}
	}
	if !have {
		return nil, unsupported(n, "no input depends on the network input")
	}
	if c == nil {
		if Size(acc.Shape) != Size(out) {
			acc = Value{Node: b.Affine(n.Name, Size(out), nil, 0, term(acc, out, 1)), Shape: out}
		}
		return node(acc.Node, out), nil
	}
	bias := spread(c, out)
	d := b.Affine(n.Name, Size(out), scaled(bias, -sign), 0, term(acc, out, sign))
	r := Value{Node: b.Relu(n.Name, d), Shape: out}
	return node(b.Affine(n.Name, Size(out), bias, 0, term(r, out, sign)), out), nil
}

// extremum appends y + sign·relu(sign·(x−y)).
func extremum(n *Node, b *prog.Builder, x, y Value, sign float64, out []int) Value {
	d := b.Affine(n.Name, Size(out), nil, 0, term(x, out, sign), term(y, out, -sign))
	r := Value{Node: b.Relu(n.Name, d), Shape: out}
	return Value{Node: b.Affine(n.Name, Size(out), nil, 0, term(y, out, 1), term(r, out, sign)), Shape: out}
}

func scaled(v []float64, c float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = c * x
	}
	return out
}
