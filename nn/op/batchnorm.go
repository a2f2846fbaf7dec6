package op

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "BatchNormalization",
	Doc:  "scale·(x − mean)/√(var + epsilon) + B per channel (inference mode); bounded when the parameters are constant",
	Eval: arity(5, 5, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		if err := checkBatchNorm(n, in[0].Shape, in[1:]); err != nil {
			return nil, err
		}
		eps := n.float("epsilon", float64(float32(1e-5)))
		t := &Tensor{Type: in[0].Type, Shape: in[0].Shape, Data: make([]float64, len(in[0].Data))}
		area := channelArea(in[0].Shape)
		for i, v := range in[0].Data {
			c := i / area % len(in[1].Data)
			t.Data[i] = in[1].Data[c]*(v-in[3].Data[c])/math.Sqrt(in[4].Data[c]+eps) + in[2].Data[c]
		}
		return []*Tensor{t}, nil
	}),
	Lower: pad(5, lowerBatchNorm),
	Example: func(r *rand.Rand) Example {
		variance := randTensor(r, 3)
		for i := range variance.Data {
			variance.Data[i] = math.Abs(variance.Data[i])
		}
		attrs := map[string]Attr{"epsilon": {F: float64(float32(1e-3))}}
		return example("BatchNormalization", 15, attrs, randTensor(r, 2, 3, 2, 2), randTensor(r, 3), randTensor(r, 3), randTensor(r, 3), variance)
	},
})

// channelArea returns the number of elements per sample and channel.
func channelArea(shape []int) int {
	if len(shape) < 2 {
		return 1
	}
	return Size(shape[2:])
}

func checkBatchNorm(n *Node, shape []int, params []*Tensor) error {
	if n.int("training_mode", 0) != 0 {
		return unsupported(n, "training mode")
	}
	if n.Opset < 9 && n.int("spatial", 1) == 0 {
		return unsupported(n, "spatial=0")
	}
	channels := 1
	if len(shape) > 1 {
		channels = shape[1]
	}
	for i, p := range params {
		if p == nil || len(p.Data) != channels {
			return errorf(n, "parameter %d does not have %d entries", i+1, channels)
		}
	}
	return nil
}

// lowerBatchNorm appends y = x − mean, then g·y + B with g = scale/√(var+eps). Sound: −mean and B are exact, and the three
// roundings of g (sum, halved by the root; root; quotient) are together below rel = 4. Storing the one bias B − g·mean
// instead would have no relative bound, because of cancellation.
func lowerBatchNorm(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
	params := make([]*Tensor, 4)
	for i := range params {
		if params[i] = in[i+1].Const; params[i] == nil {
			return nil, unsupported(n, "a parameter depends on the input")
		}
		if err := realConst(n, params[i]); err != nil {
			return nil, err
		}
	}
	shape := in[0].Shape
	if err := checkBatchNorm(n, shape, params); err != nil {
		return nil, err
	}
	eps := n.float("epsilon", float64(float32(1e-5)))
	scale, offset, mean, variance := params[0].Data, params[1].Data, params[2].Data, params[3].Data
	gain := make([]float64, len(scale))
	exact, centred := true, true
	for c := range gain {
		s := variance[c] + eps
		gain[c] = scale[c] / math.Sqrt(s)
		if !(s > tiny && s < huge) || !(math.Abs(gain[c]) < huge) || scale[c] != 0 && math.Abs(gain[c]) < tiny {
			return nil, unsupported(n, "variance %g with epsilon %g in channel %d", variance[c], eps, c)
		}
		exact = exact && variance[c] == 1 && eps == 0
		centred = centred && mean[c] == 0
	}
	rel := 4
	if exact {
		rel = 0
	}
	area, size := channelArea(shape), Size(shape)
	over := func(v []float64) []float64 {
		out := make([]float64, size)
		for i := range out {
			out[i] = v[i/area%len(v)]
		}
		return out
	}
	x := in[0]
	if !centred {
		x.Node = b.Affine(n.Name, size, over(negated(mean)), 0, term(x, shape, 1))
		b.Merged(x.Node)
	}
	return node(b.Affine(n.Name, size, over(offset), rel, scaledTerm(x, shape, over(gain))), shape), nil
}
