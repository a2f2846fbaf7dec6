// Package op holds the operators: for each, in one file, its ONNX decoding, its evaluation, its lowering to the
// program in which networks are bounded (nn/prog), its documentation and an example for the conformance test.
//
// Adding an operator is adding one file with one register call; nothing else in the repository names operators.
package op

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

// DType is an element type. Numbers of every type are held as float64; integers are exact up to 2⁵³.
type DType uint8

// The element types that occur. Values are ONNX's TensorProto.DataType codes.
const (
	Float32 DType = 1
	Uint8   DType = 2
	Int8    DType = 3
	Int32   DType = 6
	Int64   DType = 7
	Bool    DType = 9
	Float16 DType = 10
	Float64 DType = 11
)

// A Tensor is a dense row-major array. Tensors are immutable once built.
type Tensor struct {
	Type  DType
	Shape []int
	Data  []float64
}

// Size returns the number of elements of a shape.
func Size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// An Attr is one decoded ONNX attribute.
type Attr struct {
	I  int64
	F  float64 // the file's float32, widened
	S  string
	Is []int64
	Fs []float64
	T  *Tensor
}

// A Node is one operator application as the file states it.
type Node struct {
	Name  string // the file's node name, or its first output's name
	Type  string // ONNX op_type
	Opset int
	Attrs map[string]Attr
	// Outputs is the number of outputs the file names, 0 when unknown. Only an equal Split without num_outputs needs it.
	Outputs int
}

// A Value is an operand during lowering: either a constant or a node of the program. A program node is a flat vector;
// Shape says how the graph reads it (row-major), so reshapes cost nothing.
type Value struct {
	Const *Tensor // nil for a value that depends on the input
	Node  int     // −1 with Const nil: an absent optional operand
	Shape []int
}

// A Spec is everything the project knows about one operator.
type Spec struct {
	Name string // ONNX op_type
	Doc  string // one line: what it computes and what of it is supported
	// Eval computes the outputs from all inputs (constants included; absent optional inputs are nil), shapes included:
	// shape inference is evaluation. It returns an error, never panics, on anything a file can contain.
	Eval func(n *Node, in []*Tensor) ([]*Tensor, error)
	// Lower appends the operator to b and returns its outputs; out holds the outputs' shapes. Nil, or an
	// *UnsupportedError, means no rigorous bounds. Constant inputs are never all of the inputs: folding went before.
	Lower func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error)
	// Example draws a random application: the node, its inputs, and which of the inputs are constants.
	Example func(r *rand.Rand) Example
}

// An Example is one application of an operator for the conformance test.
type Example struct {
	Node  Node
	In    []*Tensor
	Const []bool
}

// An UnsupportedError says which node cannot be bounded and why.
type UnsupportedError struct {
	Node, Op, Why string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("node %q: %s: %s", e.Node, e.Op, e.Why)
}

var registry = map[string]*Spec{}

// register adds an operator at package initialisation; a duplicate is a programmer's error.
func register(s *Spec) *Spec {
	if registry[s.Name] != nil {
		panic("op: duplicate operator " + s.Name)
	}
	registry[s.Name] = s
	return s
}

// Lookup returns the operator of an ONNX op_type.
func Lookup(name string) (*Spec, bool) { s, ok := registry[name]; return s, ok }

// All returns every operator sorted by name.
func All() []*Spec {
	var all []*Spec
	for _, s := range registry {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Spec) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}
