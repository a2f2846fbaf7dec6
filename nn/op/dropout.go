package op

import (
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Dropout",
	Doc:  "x (inference mode only); the mask is constant",
	Eval: arity(1, 3, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		if t := in[2]; n.Opset >= 12 && t != nil && (len(t.Data) != 1 || t.Data[0] != 0) {
			return nil, unsupported(n, "training mode")
		}
		return []*Tensor{in[0], keptMask(n, in[0].Shape)}, nil
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		if len(in) > 2 && in[2].variable() || !in[0].variable() {
			return nil, unsupported(n, "training mode depends on the input")
		}
		return []Value{in[0], {Const: keptMask(n, in[0].Shape), Shape: in[0].Shape}}, nil
	},
	Example: func(r *rand.Rand) Example {
		return example("Dropout", 10, map[string]Attr{"ratio": {F: 0.5}}, randTensor(r, 2, 3))
	},
})

// keptMask is the mask output of inference: all true; before opset 12, where the standard leaves it open, all false as
// onnxruntime has it.
func keptMask(n *Node, shape []int) *Tensor {
	return &Tensor{Type: Bool, Shape: shape, Data: constant(truth(n.Opset >= 12), Size(shape))}
}
