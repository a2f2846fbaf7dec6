package nn

import (
	"errors"
	"fmt"

	"github.com/spai-project/certify/nn/op"
)

// maxTotal bounds the numbers all nodes together may produce: a file of a few bytes can ask for any amount of work.
const maxTotal = 1 << 28

// maxInput bounds the elements of one network input.
const maxInput = 1 << 27

// infer evaluates the network once on zeros: every value gets its type and shape, and what does not depend on the inputs
// becomes a constant. A node is folded only when that is exact (see exact.go): the constants of the graph are the numbers
// of the file's network, without rounding errors that bounds would have to know about.
func (b *builder) infer() error {
	s := &sweep{
		b:      b,
		tensor: make([]*op.Tensor, len(b.values)),
		fixed:  make([]bool, len(b.values)),
		last:   make([]int, len(b.values)),
	}
	for v := range b.values {
		val := &b.values[v]
		s.fixed[v] = true
		switch {
		case val.Const != nil:
			s.tensor[v] = val.Const
		case v < len(b.d.Inputs):
			n, err := inputSize(val)
			if err != nil {
				return err
			}
			s.tensor[v] = &op.Tensor{Type: val.Type, Shape: val.Shape, Data: make([]float64, n)}
		}
	}
	for k := range b.nodes {
		for _, v := range b.nodes[k].In {
			if v >= 0 {
				s.last[v] = k
			}
		}
	}
	for k := range b.nodes {
		if err := s.node(k); err != nil {
			return err
		}
	}
	return nil
}

// inputSize returns the number of elements of a network input, or an error when the shape cannot be meant.
func inputSize(v *Value) (int, error) {
	n := 1
	for _, d := range v.Shape {
		if d <= 0 || n > maxInput/d {
			return 0, &GraphError{Node: quote("input", v.Name), Why: fmt.Sprintf("shape %v is not usable", v.Shape)}
		}
		n *= d
	}
	return n, nil
}

// sweep is the state of one evaluation on zeros.
type sweep struct {
	b      *builder
	tensor []*op.Tensor
	fixed  []bool // the shape does not depend on the inputs' values
	last   []int  // last node that reads the value
	total  int
}

func (s *sweep) node(k int) error {
	n := &s.b.nodes[k]
	in := make([]*op.Tensor, len(n.In))
	for i, v := range n.In {
		if v >= 0 {
			in[i] = s.tensor[v]
		}
	}
	out, err := evalNode(n, in)
	if err != nil {
		return err
	}
	constant, fixed := s.classify(n, in, out)
	if constant && s.b.folded32 == "" && !fold32(n, in, out) {
		s.b.folded32 = n.Name
	}
	for i, v := range n.Out {
		if v < 0 {
			continue
		}
		s.total += len(out[i].Data)
		s.tensor[v], s.fixed[v] = out[i], fixed
		val := &s.b.values[v]
		val.Type, val.Shape = out[i].Type, out[i].Shape
		if constant {
			if !finite(out[i].Data) {
				return &GraphError{Node: quote("node", n.Name), Why: n.Type + " of constants is not finite"}
			}
			val.Const = out[i]
		}
	}
	if s.total > maxTotal {
		return &GraphError{Node: quote("node", n.Name), Why: fmt.Sprintf("the network computes more than %d numbers", maxTotal)}
	}
	for i, v := range n.In {
		if v >= 0 && s.last[v] == k && in[i] != nil {
			s.tensor[v] = nil
		}
	}
	return nil
}

// classify says whether the node's outputs are constants of the graph, and whether their shapes are.
func (s *sweep) classify(n *Node, in, out []*op.Tensor) (constant, fixed bool) {
	constant, fixed = true, true
	for _, v := range n.In {
		if v >= 0 {
			constant = constant && s.b.values[v].Const != nil
			fixed = fixed && s.fixed[v]
		}
	}
	if readsShape[n.Type] {
		return fixed, true
	}
	if constant {
		return exactFold(n, in, out), true
	}
	return false, fixed && s.fixedShape(n)
}

// fixedShape reports, conservatively, that the output's shape cannot depend on the values of the node's operands: shapes
// come from integer operands, and from the few others that dataShaped lists.
func (s *sweep) fixedShape(n *Node) bool {
	first, special := dataShaped[n.Type]
	for i, v := range n.In {
		if v < 0 || s.b.values[v].Const != nil {
			continue
		}
		switch s.b.values[v].Type {
		case op.Int64, op.Int32, op.Uint8, op.Int8:
			return false
		}
		if special && i >= first {
			return false
		}
	}
	return true
}

// evalNode applies one node and checks what the operator returned against what the file asks for.
func evalNode(n *Node, in []*op.Tensor) ([]*op.Tensor, error) {
	out, err := n.Spec.Eval(&n.Node, in)
	if err != nil {
		var u *op.UnsupportedError
		if errors.As(err, &u) {
			return nil, &UnsupportedError{Nodes: []op.UnsupportedError{*u}}
		}
		return nil, &GraphError{Node: quote("node", n.Name), Why: err.Error(), Err: err}
	}
	for i, v := range n.Out {
		if v >= 0 && (i >= len(out) || out[i] == nil) {
			why := fmt.Sprintf("output %d is not computed", i)
			return nil, &UnsupportedError{Nodes: []op.UnsupportedError{{Node: n.Name, Op: n.Type, Why: why}}}
		}
	}
	return out, nil
}
