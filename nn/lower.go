package nn

import (
	"errors"
	"fmt"

	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/prog"
)

// Lower returns the network as a program of affine maps, ReLU and Sigmoid over the concatenated inputs; its output node is
// the concatenation of the outputs. It returns an *UnsupportedError listing every node that has no rigorous bounds.
//
// Sound because every node is lowered by its operator and none is skipped, constants are exact (see exact.go), and a
// program with stand-ins for refused nodes is never returned.
func (g *Graph) Lower() (*prog.Program, error) { return g.lower(false) }

// Lower32 is Lower with the roundings of every binary32 execution attached to the nodes (prog.Rounding): each operator of the file is
// one operation that is rounded. The error lists, in addition, every node of which it is not known how it is rounded.
func (g *Graph) Lower32() (*prog.Program, error) { return g.lower(true) }

func (g *Graph) lower(binary32 bool) (*prog.Program, error) {
	l := &lowering{g: g, b: prog.NewBuilder(g.NumInputs()), val: make([]op.Value, len(g.Values)), binary32: binary32}
	l.inputs()
	if binary32 {
		l.check32()
	}
	for k := range g.Nodes {
		if err := l.node(&g.Nodes[k]); err != nil {
			return nil, err
		}
	}
	if l.bad != nil {
		return nil, &UnsupportedError{Nodes: l.bad}
	}
	finish := l.b.Program
	if binary32 {
		finish = l.b.Program32
	}
	p, err := finish(l.output())
	if err != nil {
		return nil, fmt.Errorf("nn: lowered program: %w", err)
	}
	return p, nil
}

// lowering is the state of one Lower.
type lowering struct {
	g   *Graph
	b   *prog.Builder
	val []op.Value
	bad []op.UnsupportedError
	// binary32 asks for the roundings of the nodes.
	binary32 bool
}

// inputs maps the graph's inputs to node 0, the constants to themselves.
func (l *lowering) inputs() {
	for v := range l.g.Values {
		if c := l.g.Values[v].Const; c != nil {
			l.val[v] = op.Value{Const: c, Shape: c.Shape}
		}
	}
	total, at := l.g.NumInputs(), 0
	for _, p := range l.g.Inputs {
		if !isFloat(p.Type) {
			l.refuse(p.Name, "input", "not a floating-point tensor")
		}
		node, n := 0, op.Size(p.Shape)
		if n != total {
			node = l.b.Affine(p.Name, n, nil, 0, prog.Term{Src: 0, Map: prog.Index(total, interval(n, 0, n, at))})
		}
		l.val[p.Value] = op.Value{Node: node, Shape: p.Shape}
		at += n
	}
}

// interval returns an index map of n entries of which [from, to) select first, first+1, ... and the others nothing.
func interval(n, from, to, first int) []int32 {
	idx := make([]int32, n)
	for i := range idx {
		idx[i] = -1
		if i >= from && i < to {
			idx[i] = int32(first + i - from)
		}
	}
	return idx
}

func (l *lowering) refuse(node, typ, why string) {
	l.bad = append(l.bad, op.UnsupportedError{Node: node, Op: typ, Why: why})
}

// node lowers n. A refused node gets zeros as a stand-in so that the nodes behind it are tried too.
func (l *lowering) node(n *Node) error {
	in := make([]op.Value, len(n.In))
	for i, v := range n.In {
		in[i] = op.Value{Node: -1} // absent
		if v >= 0 {
			in[i] = l.val[v]
		}
	}
	shapes := make([][]int, len(n.Out))
	for i, v := range n.Out {
		if v >= 0 {
			shapes[i] = l.g.Values[v].Shape
		}
	}
	var out []op.Value
	var round op.Execution
	var err error
	if l.binary32 {
		round, err = n.Spec.Binary32(&n.Node, in)
	}
	if err == nil {
		err = l.materialise(n, in)
	}
	from := l.b.Len()
	if err == nil {
		out, err = l.apply(n, in, shapes)
	}
	if err == nil && l.binary32 {
		err = l.round(n, from, round)
	}
	if err != nil {
		var u *op.UnsupportedError
		if !errors.As(err, &u) {
			return fmt.Errorf("nn: node %q: %s: %w", n.Name, n.Type, err)
		}
		l.bad = append(l.bad, *u)
	}
	for i, v := range n.Out {
		switch {
		case v < 0:
		case err == nil:
			l.val[v] = out[i]
		default:
			l.val[v] = op.Value{Node: l.b.Affine(n.Name, op.Size(shapes[i]), nil, 0), Shape: shapes[i]}
		}
	}
	return nil
}

// round declares how the nodes of operator n, from index from on, are rounded.
func (l *lowering) round(n *Node, from int, e op.Execution) error {
	known := e.Exact && l.b.Exact(from)
	if !e.Exact {
		known = l.b.Rounds(from, e.Extra, e.Spread)
	}
	if !known {
		return &op.UnsupportedError{Node: n.Name, Op: n.Type, Why: "how binary32 executions round it is not declared"}
	}
	return nil
}

// check32 refuses what is not computed in binary32, or was computed at load in a way that binary32 might round.
func (l *lowering) check32() {
	if l.g.folded32 != "" {
		l.refuse(l.g.folded32, "constant", "binary32 rounds its value")
	}
	for i := range l.g.Nodes {
		for _, v := range l.g.Nodes[i].Out {
			if v >= 0 && isFloat(l.g.Values[v].Type) && l.g.Values[v].Type != op.Float32 {
				l.refuse(l.g.Nodes[i].Name, l.g.Nodes[i].Type, "its result is not of type float32")
			}
		}
	}
	for _, p := range l.g.Inputs {
		if isFloat(p.Type) && p.Type != op.Float32 {
			l.refuse(p.Name, "input", "not of type float32")
		}
	}
	for _, p := range l.g.Outputs {
		if c := l.g.Values[p.Value].Const; c != nil && isFloat(c.Type) && !held32(c) {
			l.refuse(p.Name, "output", "binary32 rounds its value")
		}
	}
}

// materialise turns one operand of a node of constants into a program node without terms. Such nodes are those that could
// not be folded exactly; as program nodes their rounding is bounded like everything else's. It is the first operand,
// which is the data of every operator, or the smaller one where both play the same part.
func (l *lowering) materialise(n *Node, in []op.Value) error {
	for _, v := range in {
		if !v.Absent() && v.Const == nil {
			return nil
		}
	}
	if len(in) == 0 || in[0].Absent() || !isFloat(in[0].Const.Type) {
		return &op.UnsupportedError{Node: n.Name, Op: n.Type, Why: "its constant value cannot be computed without rounding"}
	}
	k := 0
	if len(in) == 2 && !in[1].Absent() && isFloat(in[1].Const.Type) && len(in[1].Const.Data) < len(in[0].Const.Data) {
		k = 1
	}
	c := in[k].Const
	in[k] = op.Value{Node: l.b.Affine(n.Name, len(c.Data), c.Data, 0), Shape: c.Shape}
	return nil
}

// apply calls the operator and checks the shape of what it returns.
func (l *lowering) apply(n *Node, in []op.Value, shapes [][]int) ([]op.Value, error) {
	if n.Spec.Lower == nil {
		return nil, &op.UnsupportedError{Node: n.Name, Op: n.Type, Why: "no rigorous bounds for this operator"}
	}
	out, err := n.Spec.Lower(&n.Node, l.b, in, shapes)
	if err != nil {
		return nil, err
	}
	for i, v := range n.Out {
		if v < 0 {
			continue
		}
		if i >= len(out) {
			return nil, fmt.Errorf("output %d was not lowered", i)
		}
		size := op.Size(shapes[i])
		if c := out[i].Const; c != nil && len(c.Data) != size || c == nil && l.b.N(out[i].Node) != size {
			return nil, fmt.Errorf("output %d was lowered to another size than %v", i, shapes[i])
		}
	}
	return out, nil
}

// output returns the node that holds all outputs one after the other.
func (l *lowering) output() int {
	if len(l.g.Outputs) == 1 {
		if v := l.val[l.g.Outputs[0].Value]; v.Const == nil {
			return v.Node
		}
	}
	total, at := l.g.NumOutputs(), 0
	var bias []float64
	var terms []prog.Term
	for _, p := range l.g.Outputs {
		v, n := l.val[p.Value], op.Size(p.Shape)
		if v.Const == nil {
			terms = append(terms, prog.Term{Src: v.Node, Map: prog.Index(n, interval(total, at, at+n, 0))})
		} else {
			if bias == nil {
				bias = make([]float64, total)
			}
			copy(bias[at:at+n], v.Const.Data)
		}
		at += n
	}
	return l.b.Affine("outputs", total, bias, 0, terms...)
}
