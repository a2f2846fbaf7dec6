// Package nn is the network: an immutable operator graph as an ONNX file states it, its evaluation, and its lowering to
// the program in which it is bounded.
package nn

import (
	"github.com/spai-project/certify/nn/op"
)

// A Port is a network input or output.
type Port struct {
	Name  string
	Type  op.DType
	Shape []int // unknown or symbolic dimensions are 1
	Value int   // index into Graph.Values
}

// A Node is one operator application; In and Out index Graph.Values, −1 is an absent optional input.
type Node struct {
	op.Node
	Spec    *op.Spec
	In, Out []int
}

// A Value is one tensor of the graph. Const is set for initialisers and for everything folded at load. Shape is the shape
// seen when the graph was evaluated once at load.
type Value struct {
	Name  string
	Type  op.DType
	Shape []int
	Const *op.Tensor
}

// A Graph is a network. It is immutable and safe for concurrent use. Readers make it with Build.
type Graph struct {
	Inputs, Outputs []Port
	Nodes           []Node // topological order, constant nodes already folded, dead nodes removed
	Values          []Value
	Opset           int
	Producer        string
	Hash            string // SHA-256 of the (decompressed) file, hex
	Params          int64  // number of stored weights

	folded32 string // a node of constants that binary32 might round otherwise than it was folded

	free [][]int // free[k]: values no node after k needs, so that evaluation holds only what is alive
}

// An UnsupportedError lists every node that cannot be read (from Build) or cannot be bounded (from Lower).
type UnsupportedError struct{ Nodes []op.UnsupportedError }

func (e *UnsupportedError) Error() string {
	s := "nn: not supported:"
	for i := range e.Nodes {
		s += "\n  " + e.Nodes[i].Error()
	}
	return s
}
