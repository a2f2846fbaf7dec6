package nn

import (
	"fmt"
	"math"
	"strings"

	"github.com/spai-project/certify/nn/op"
)

// Build checks a draft and returns its graph: live nodes in topological order, constants folded, shapes inferred. The
// draft's tensors are kept, not copied. A draft that makes no sense is a *GraphError; one that uses what the project does
// not know is an *UnsupportedError listing all such nodes.
func Build(d *Draft) (*Graph, error) {
	b := &builder{d: d, index: map[string]int{}}
	for _, step := range []func() error{
		b.declare, b.connect, b.checkNumbers, b.keepLive, b.checkSupported, b.sort, b.infer,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.finish(), nil
}

// builder holds the graph under construction; values are numbered inputs, constants, node outputs.
type builder struct {
	d       *Draft
	index   map[string]int // value name -> value
	values  []Value
	maker   []int // value -> node of nodes that computes it, -1 for inputs and constants
	nodes   []Node
	refused []string // per node
	out     []int    // values of the outputs
	// folded32 is the first folded node whose value a binary32 execution might round.
	folded32 string
}

// declare numbers every value; a name may be defined once.
func (b *builder) declare() error {
	for _, p := range b.d.Inputs {
		if err := b.define(p.Name, quote("input", p.Name), Value{Name: p.Name, Type: p.Type, Shape: p.Shape}, -1); err != nil {
			return err
		}
	}
	for _, c := range b.d.Consts {
		v := Value{Name: c.Name, Type: c.Tensor.Type, Shape: c.Tensor.Shape, Const: c.Tensor}
		if err := b.define(c.Name, quote("initialiser", c.Name), v, -1); err != nil {
			return err
		}
	}
	for i := range b.d.Nodes {
		n := &b.d.Nodes[i]
		nameNode(n)
		g := Node{Node: n.Node, Out: make([]int, len(n.Out))}
		for k, o := range n.Out {
			g.Out[k] = -1
			if o == "" {
				continue
			}
			g.Out[k] = len(b.values)
			if err := b.define(o, quote("node", n.Name), Value{Name: o}, i); err != nil {
				return err
			}
		}
		b.nodes = append(b.nodes, g)
		b.refused = append(b.refused, n.Refused)
	}
	return nil
}

// nameNode gives a nameless node the name of its first output.
func nameNode(n *DraftNode) {
	for _, o := range n.Out {
		if n.Name == "" {
			n.Name = o
		}
	}
}

func (b *builder) define(name, where string, v Value, maker int) error {
	if name == "" {
		return &GraphError{Node: where, Why: "has no name"}
	}
	if _, dup := b.index[name]; dup {
		return &GraphError{Node: where, Why: fmt.Sprintf("defines %s, which is already defined", quote("value", name))}
	}
	b.index[name] = len(b.values)
	b.values = append(b.values, v)
	b.maker = append(b.maker, maker)
	return nil
}

// connect resolves the names nodes and outputs refer to.
func (b *builder) connect() error {
	for i := range b.nodes {
		in := b.d.Nodes[i].In
		b.nodes[i].In = make([]int, len(in))
		for k, name := range in {
			v, ok := b.index[name]
			switch {
			case name == "":
				v = -1
			case !ok:
				return &GraphError{Node: quote("node", b.nodes[i].Name), Why: "reads " + quote("value", name) + ", which nothing defines"}
			}
			b.nodes[i].In[k] = v
		}
	}
	if len(b.d.Outputs) == 0 {
		return &GraphError{Node: "graph", Why: "has no outputs"}
	}
	for _, p := range b.d.Outputs {
		v, ok := b.index[p.Name]
		if !ok {
			return &GraphError{Node: quote("output", p.Name), Why: "nothing defines it"}
		}
		b.out = append(b.out, v)
	}
	return nil
}

// checkNumbers refuses weights that are no numbers: no bound computed from them would mean anything.
func (b *builder) checkNumbers() error {
	for i := range b.values {
		c := b.values[i].Const
		if c == nil {
			continue
		}
		where := quote("initialiser", b.values[i].Name)
		if len(c.Data) != op.Size(c.Shape) {
			return &GraphError{Node: where, Why: fmt.Sprintf("has %d elements, its shape %v needs %d", len(c.Data), c.Shape, op.Size(c.Shape))}
		}
		for k, x := range c.Data {
			// x−x is 0 exactly for finite x: one comparison in the loop that runs over every weight.
			if x-x != 0 {
				return &GraphError{Node: where, Why: fmt.Sprintf("element %d is %v; weights must be finite", k, x)}
			}
		}
	}
	return nil
}

// keepLive marks nodes the outputs do not need as dead by dropping their spec-less entry: dead nodes get Out == nil.
func (b *builder) keepLive() error {
	live := make([]bool, len(b.nodes))
	var stack []int
	visit := func(v int) {
		if v >= 0 && b.maker[v] >= 0 && !live[b.maker[v]] {
			live[b.maker[v]] = true
			stack = append(stack, b.maker[v])
		}
	}
	for _, v := range b.out {
		visit(v)
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, v := range b.nodes[n].In {
			visit(v)
		}
	}
	for i := range b.nodes {
		if !live[i] {
			b.nodes[i].Out = nil
		}
	}
	return nil
}

// checkSupported looks every live operator up and reports all that are unknown at once.
func (b *builder) checkSupported() error {
	var bad []op.UnsupportedError
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.Out == nil {
			continue
		}
		spec, ok := op.Lookup(n.Type)
		switch {
		case b.refused[i] != "":
			bad = append(bad, op.UnsupportedError{Node: n.Name, Op: n.Type, Why: b.refused[i]})
		case !ok:
			bad = append(bad, op.UnsupportedError{Node: n.Name, Op: n.Type, Why: "unknown operator"})
		}
		n.Spec = spec
	}
	if bad != nil {
		return &UnsupportedError{Nodes: bad}
	}
	return nil
}

// sort orders the live nodes topologically, keeping the file's order where it already is one (Kahn's algorithm).
func (b *builder) sort() error {
	missing := make([]int, len(b.nodes)) // operands not yet computed
	users := make([][]int, len(b.nodes)) // node -> nodes waiting for it
	var ready intHeap
	left := 0
	for i := range b.nodes {
		if b.nodes[i].Out == nil {
			continue
		}
		left++
		for _, v := range b.nodes[i].In {
			if v >= 0 && b.maker[v] >= 0 {
				missing[i]++
				users[b.maker[v]] = append(users[b.maker[v]], i)
			}
		}
		if missing[i] == 0 {
			ready.push(i)
		}
	}
	sorted := make([]Node, 0, left)
	for len(ready) > 0 {
		i := ready.pop()
		sorted = append(sorted, b.nodes[i])
		for _, u := range users[i] {
			if missing[u]--; missing[u] == 0 {
				ready.push(u)
			}
		}
	}
	if len(sorted) < left {
		return &GraphError{Node: "graph", Why: "the nodes form a cycle: " + b.stuck(missing)}
	}
	b.nodes = sorted
	return nil
}

// stuck names some nodes that wait for each other.
func (b *builder) stuck(missing []int) string {
	var names []string
	for i, m := range missing {
		if m > 0 && len(names) < 5 {
			names = append(names, quote("node", b.nodes[i].Name))
		}
	}
	return strings.Join(names, ", ")
}

// finish drops folded nodes and values nobody needs and renumbers the rest.
func (b *builder) finish() *Graph {
	g := &Graph{Opset: b.d.Opset, Producer: b.d.Producer, Hash: b.d.Hash, folded32: b.folded32}
	for _, c := range b.d.Consts {
		if isFloat(c.Tensor.Type) {
			g.Params += int64(len(c.Tensor.Data))
		}
	}
	renumber := make([]int, len(b.values))
	for v := range renumber {
		renumber[v] = -1
	}
	use := func(v int) int {
		if v >= 0 && renumber[v] < 0 {
			renumber[v] = len(g.Values)
			g.Values = append(g.Values, b.values[v])
		}
		if v < 0 {
			return -1
		}
		return renumber[v]
	}
	for v := range b.d.Inputs {
		g.Inputs = append(g.Inputs, b.port(v, use(v)))
	}
	for _, n := range b.pruned() {
		for k := range n.In {
			n.In[k] = use(n.In[k])
		}
		for k := range n.Out {
			n.Out[k] = use(n.Out[k])
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, v := range b.out {
		g.Outputs = append(g.Outputs, b.port(v, use(v)))
	}
	g.free = g.liveness()
	return g
}

func (b *builder) port(v, number int) Port {
	return Port{Name: b.values[v].Name, Type: b.values[v].Type, Shape: b.values[v].Shape, Value: number}
}

// pruned returns the nodes that are still needed after folding, in order.
func (b *builder) pruned() []Node {
	needed := make([]bool, len(b.values))
	for _, v := range b.out {
		needed[v] = b.values[v].Const == nil
	}
	keep := make([]bool, len(b.nodes))
	for i := len(b.nodes) - 1; i >= 0; i-- {
		n := &b.nodes[i]
		for _, v := range n.Out {
			keep[i] = keep[i] || v >= 0 && needed[v] && b.values[v].Const == nil
		}
		if !keep[i] {
			continue
		}
		for _, v := range n.In {
			if v >= 0 {
				needed[v] = true
			}
		}
	}
	var nodes []Node
	for i, k := range keep {
		if k {
			nodes = append(nodes, b.nodes[i])
		}
	}
	return nodes
}

// isFloat reports whether t is a floating-point type.
func isFloat(t op.DType) bool { return t == op.Float32 || t == op.Float64 || t == op.Float16 }

// finite reports whether no element is NaN or infinite.
func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
