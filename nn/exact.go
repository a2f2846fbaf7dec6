package nn

import (
	"math"

	"github.com/spai-project/certify/nn/op"
)

// Folding a node of constants replaces the real numbers the network computes by what float64 computes. Where the two can
// differ the node is kept, evaluated with the others and lowered like them, so that its rounding is inside the bounds.

// moves lists operators whose every output element is one of the input elements, an integer or a truth value: no rounding.
var moves = map[string]bool{
	"Identity": true, "Reshape": true, "Flatten": true, "Squeeze": true, "Unsqueeze": true, "Transpose": true,
	"Concat": true, "Split": true, "Slice": true, "Gather": true, "GatherElements": true, "GatherND": true,
	"ScatterND": true, "ScatterElements": true, "Expand": true, "Tile": true, "Pad": true, "Where": true,
	"Shape": true, "Size": true, "ConstantOfShape": true, "Dropout": true, "DepthToSpace": true, "SpaceToDepth": true,
	"Relu": true, "Neg": true, "Abs": true, "Sign": true, "Max": true, "Min": true, "Clip": true, "MaxPool": true,
	"GlobalMaxPool": true, "ReduceMax": true, "ReduceMin": true, "ArgMax": true, "ArgMin": true, "OneHot": true,
	"Floor": true, "Ceil": true, "Round": true, "Trilu": true, "EyeLike": true,
	"Equal": true, "Less": true, "Greater": true, "LessOrEqual": true, "GreaterOrEqual": true,
	"Not": true, "And": true, "Or": true, "Xor": true,
}

// ringOps lists operators that are sums and products: exact on few small dyadic numbers, which is what shape arithmetic is.
var ringOps = map[string]bool{
	"Add": true, "Sub": true, "Mul": true, "ReduceSum": true, "MatMul": true,
}

// readsShape lists operators that look at their operand's shape only.
var readsShape = map[string]bool{"Shape": true, "Size": true}

// dataShaped lists operators whose output shape depends on operands that are not integers, with the first such operand.
var dataShaped = map[string]int{
	"NonZero": 0, "Compress": 1, "Unique": 0, "NonMaxSuppression": 0, "Range": 0, "Resize": 1, "Upsample": 1,
}

// exactFold reports that float64 computed the outputs of a node of constants without rounding.
func exactFold(n *Node, in, out []*op.Tensor) bool {
	switch {
	case moves[n.Type]:
		return true
	case n.Type == "ReduceProd":
		// Integer factors: once a partial product exceeds 2⁵² it stays there, or a factor is 0 and so is the product.
		return dyadic(in, 0, 26) && dyadic(out, 0, 52)
	case allInts(in, 1<<20) && allInts(out, 1<<53):
		return true
	case n.Type == "Cast":
		return sameNumbers(in[0], out[0])
	case ringOps[n.Type], n.Type == "Range":
		return dyadic(in, 8, 16)
	case n.Type == "Div":
		return dyadic(in, 0, 26) && dyadic(out, 0, 26)
	}
	return false
}

// fold32 reports that a binary32 execution computes the outputs of a folded node exactly as well: it moves numbers, or it is one
// operation per element whose result binary32 holds, or sums of small integers.
func fold32(n *Node, in, out []*op.Tensor) bool {
	for _, t := range append(append([]*op.Tensor(nil), in...), out...) {
		if t != nil && isFloat(t.Type) && !held32(t) {
			return false
		}
	}
	switch n.Type {
	case "Add", "Sub", "Mul", "Div", "Cast":
		return true
	}
	return moves[n.Type] || readsShape[n.Type] || !isFloat(out[0].Type) || dyadic(in, 0, 9)
}

// held32 reports that binary32 holds every number.
func held32(t *op.Tensor) bool {
	for _, v := range t.Data {
		if float64(float32(v)) != v {
			return false
		}
	}
	return true
}

// allInts reports that every tensor is of an integer or truth type, has at most 2¹² elements and all of them below limit in
// magnitude: sums of 2¹² products of numbers below 2²⁰ stay below 2⁵³, where float64 is exact.
func allInts(ts []*op.Tensor, limit float64) bool {
	for _, t := range ts {
		if t == nil {
			continue
		}
		if isFloat(t.Type) || len(t.Data) > 1<<12 {
			return false
		}
		for _, v := range t.Data {
			if math.Abs(v) >= limit {
				return false
			}
		}
	}
	return true
}

// sameNumbers reports that two tensors hold the same numbers, or that the second truncates to integers (which is exact).
func sameNumbers(a, b *op.Tensor) bool {
	if a == nil || len(a.Data) != len(b.Data) {
		return false
	}
	for i, v := range b.Data {
		if v != a.Data[i] && (isFloat(b.Type) || v != math.Trunc(v)) {
			return false
		}
	}
	return true
}

// dyadic reports that there are at most 32 elements in every tensor, all multiples of 2^−frac and at most 2^size.
//
// Sums of at most 32 products of two such numbers are multiples of 2^(−2·frac) below 2^(2·size+5); with frac 8 and size 16
// that is 53 bits. A quotient of integers up to 2²⁶ that rounds to an integer up to 2²⁶ is that integer.
func dyadic(ts []*op.Tensor, frac, size int) bool {
	scale, limit := math.Ldexp(1, frac), math.Ldexp(1, size)
	for _, t := range ts {
		if t == nil {
			continue
		}
		if len(t.Data) > 32 {
			return false
		}
		for _, v := range t.Data {
			if math.Abs(v) > limit || v*scale != math.Trunc(v*scale) {
				return false
			}
		}
	}
	return true
}
