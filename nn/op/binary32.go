package op

import "math"

// An Execution says how binary32 executions round an operator.
type Execution struct {
	// Exact: every output element is one of the operands' elements, its negation, or a constant; nothing is rounded.
	Exact bool
	// Extra counts the roundings that a summand of an output element passes beyond those of a sum of products, and Spread bounds by
	// how much the numbers in between can be scaled.
	Extra  int
	Spread float64
}

// exact lists the operators that copy, compare or negate.
var exact = map[string]bool{
	"Abs": true, "Neg": true, "Relu": true, "Max": true, "Min": true, "Clip": true, "MaxPool": true, "GlobalMaxPool": true,
	"ReduceMax": true, "ReduceMin": true, "Identity": true, "Reshape": true, "Flatten": true, "Squeeze": true, "Unsqueeze": true,
	"Transpose": true, "Concat": true, "Split": true, "Slice": true, "Gather": true, "Expand": true, "Tile": true, "Pad": true,
	"Where": true, "Dropout": true, "Cast": true, "DepthToSpace": true, "SpaceToDepth": true, "Resize": true, "Upsample": true,
}

// sums lists the operators that are sums of products, with the roundings that do not belong to one: a mean is divided, Sum adds one
// operand at a time, a quotient may be computed as a product with a rounded reciprocal.
var sums = map[string]int{
	"Add": 0, "Sub": 0, "Sum": 1, "MatMul": 0, "Conv": 0, "ConvTranspose": 0, "Mul": 0, "ReduceSum": 0, "ReduceMean": 2,
	"AveragePool": 2, "GlobalAveragePool": 2, "LeakyRelu": 0, "PRelu": 0, "Div": 2, "Gemm": 2, "BatchNormalization": 8,
	"HardSigmoid": 1,
}

const (
	// smallParam and largeParam bound the parameters that scale a sum, so that nothing overflows or is flushed in between.
	smallParam, largeParam = 0x1p-20, 0x1p20
	// normal is the least normal binary32 number.
	normal = 0x1p-126
)

// Binary32 returns how binary32 executions round n, whose constant operands are in. The error is an *UnsupportedError where that is
// not known: operators with functions from a library, and constants that binary32 does not hold.
//
// Sound because an operator is listed only where its lowering is a sum of the very products that the operator is defined by; what is
// computed of its parameters beforehand is counted in Extra: (var + eps), its root, the quotient, its product with the mean, the
// difference from the offset, and then a product and a sum.
func (s *Spec) Binary32(n *Node, in []Value) (Execution, error) {
	for _, v := range in {
		if v.Const != nil && !v.Const.Type.integer() {
			if err := constant32(n, v.Const); err != nil {
				return Execution{}, err
			}
		}
	}
	if exact[s.Name] {
		return Execution{Exact: true}, nil
	}
	extra, ok := sums[s.Name]
	if !ok {
		return Execution{}, unsupported(n, "how binary32 executions round it is not declared")
	}
	e := Execution{Extra: extra, Spread: 1}
	switch s.Name {
	case "Gemm":
		return e, e.scaled(n, n.float("alpha", 1), n.float("beta", 1))
	case "Div":
		if len(in) > 1 && in[1].Const != nil {
			for _, d := range in[1].Const.Data {
				if math.Abs(d) < normal {
					return e, unsupported(n, "a denominator is subnormal in binary32")
				}
			}
		}
	case "HardSigmoid":
		return e, e.scaled(n, n.float("alpha", 0.2))
	case "BatchNormalization":
		return e, e.batchNorm(n, in)
	}
	return e, nil
}

// constant32 checks that binary32 holds a constant.
func constant32(n *Node, t *Tensor) error {
	if t.Type != Float32 {
		return unsupported(n, "a constant operand is not of type float32")
	}
	for _, v := range t.Data {
		if float64(float32(v)) != v {
			return unsupported(n, "a constant operand is rounded in binary32")
		}
	}
	return nil
}

// scaled admits factors that are 0 or of moderate size.
func (e *Execution) scaled(n *Node, factors ...float64) error {
	for _, f := range factors {
		f = math.Abs(f)
		if f != 0 && !(f >= smallParam && f <= largeParam) {
			return unsupported(n, "a factor of %g has no declared rounding in binary32", f)
		}
		if f != 1 {
			e.Spread = largeParam
		}
	}
	return nil
}

// batchNorm admits parameters of moderate size.
func (e *Execution) batchNorm(n *Node, in []Value) error {
	e.Spread = largeParam * largeParam
	for i := 1; i < len(in) && i < 5; i++ {
		if in[i].Const == nil {
			return unsupported(n, "a parameter depends on the input")
		}
		for _, v := range in[i].Const.Data {
			if i == 4 {
				v += n.float("epsilon", float64(float32(1e-5)))
			}
			if !(math.Abs(v) <= largeParam) || i == 4 && !(v >= smallParam*smallParam) {
				return unsupported(n, "a parameter of %g has no declared rounding in binary32", v)
			}
		}
	}
	return nil
}
