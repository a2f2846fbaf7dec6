package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Cast",
	Doc: "conversion to another element type: to integers truncates toward zero, to bool tests for nonzero; bounded when the " +
		"result is float32 or float64, where over the reals it is the identity",
	Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		to := n.int("to", 0)
		if to < 0 || to > math.MaxUint8 {
			return nil, unsupported(n, "element type %d", to)
		}
		return one(cast(n, in[0], DType(to)))
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		if to := DType(n.int("to", 0)); to != Float32 && to != Float64 {
			return nil, unsupported(n, "to element type %d", to)
		}
		return node(in[0].Node, in[0].Shape), nil
	},
	Example: func(r *rand.Rand) Example {
		return example("Cast", 13, map[string]Attr{"to": {I: int64(Float32)}}, randTensor(r, 2, 3))
	},
})

var _ = register(&Spec{
	Name: "CastLike",
	Doc:  "conversion to the element type of the second input (not bounded)",
	Eval: arity(2, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) { return one(cast(n, in[0], in[1].Type)) }),
	Example: func(r *rand.Rand) Example {
		return example("CastLike", 15, nil, randTensor(r, 2, 3), intTensor(1))
	},
})

// cast converts elements. Only a conversion that narrows the stored type rounds: activations are reals here, so a float32
// tensor cast to float32 or float64 stays as it is.
func cast(n *Node, t *Tensor, to DType) (*Tensor, error) {
	var f func(float64) float64
	switch to {
	case t.Type, Float64:
		return &Tensor{Type: to, Shape: t.Shape, Data: t.Data}, nil
	case Float32:
		if t.Type == Float16 || t.Type == Bool {
			return &Tensor{Type: to, Shape: t.Shape, Data: t.Data}, nil
		}
		f = func(v float64) float64 { return float64(float32(v)) }
	case Float16:
		f = roundHalf
	case Bool:
		f = func(v float64) float64 { return truth(v != 0) }
	case Uint8:
		f = func(v float64) float64 { return float64(uint8(toInt64(v))) }
	case Int8:
		f = func(v float64) float64 { return float64(int8(toInt64(v))) }
	case Int32:
		f = func(v float64) float64 { return float64(int32(toInt64(v))) }
	case Int64:
		f = func(v float64) float64 { return float64(toInt64(v)) }
	default:
		return nil, unsupported(n, "element type %d", to)
	}
	out := &Tensor{Type: to, Shape: t.Shape, Data: make([]float64, len(t.Data))}
	for i, v := range t.Data {
		out.Data[i] = f(v)
	}
	return out, nil
}

// roundHalf rounds to the nearest float16, ties to even; overflow is infinite.
func roundHalf(v float64) float64 {
	_, e := math.Frexp(v)
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	ulp := max(e-11, -24)
	r := math.Ldexp(math.RoundToEven(math.Ldexp(v, -ulp)), ulp)
	if math.Abs(r) > 65504 {
		return math.Inf(int(math.Copysign(1, v)))
	}
	return r
}

// truth is the number that stands for a truth value.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
