package nn

import (
	"fmt"

	"github.com/spai-project/certify/nn/op"
)

// A Draft is a network as a file states it, by names and unchecked; Build turns it into a Graph. Nodes may be unsorted.
type Draft struct {
	Inputs   []DraftPort // without those that have an initialiser
	Outputs  []DraftPort
	Consts   []DraftConst
	Nodes    []DraftNode
	Opset    int
	Producer string
	Hash     string
}

// A DraftPort is a declared input or output. Shape has no unknown dimensions; outputs' types and shapes are not needed.
type DraftPort struct {
	Name  string
	Type  op.DType
	Shape []int
}

// A DraftConst is an initialiser or the value of a Constant node.
type DraftConst struct {
	Name   string
	Tensor *op.Tensor
}

// A DraftNode is one operator application; the empty name is an absent optional operand. A nonempty Refused says why the
// reader could not decode the node: an error only when the outputs need it.
type DraftNode struct {
	op.Node
	In, Out []string
	Refused string
}

// A GraphError says that a network makes no sense: which node or value, and why.
type GraphError struct {
	Node string // node, input, initialiser, ... with its name
	Why  string
	Err  error // the cause, when another package found it
}

func (e *GraphError) Error() string {
	if e.Err != nil { // an operator's error, which names the node itself
		return "nn: " + e.Err.Error()
	}
	return fmt.Sprintf("nn: %s: %s", e.Node, e.Why)
}

// Unwrap returns the cause.
func (e *GraphError) Unwrap() error { return e.Err }

// maxName bounds how much of a name from a file enters a message.
const maxName = 120

// quote returns kind and the quoted name, shortened when a file's name is absurdly long.
func quote(kind, name string) string {
	if len(name) > maxName {
		name = name[:maxName] + "..."
	}
	return fmt.Sprintf("%s %q", kind, name)
}
