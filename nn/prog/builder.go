package prog

// A Builder collects nodes in topological order. The zero value is not usable; call NewBuilder.
type Builder struct{ nodes []Node }

// NewBuilder starts a program whose input has n elements (node 0).
func NewBuilder(n int) *Builder { return &Builder{nodes: []Node{{Kind: Input, N: n, Name: "input"}}} }

// Affine appends z = Σ terms + bias (bias may be nil) with coefficient error rel (see Node.Rel) and returns its index.
func (b *Builder) Affine(name string, n int, bias []float64, rel int, terms ...Term) int {
	b.nodes = append(b.nodes, Node{Kind: Affine, N: n, Name: name, Bias: bias, Rel: rel, Terms: terms})
	return len(b.nodes) - 1
}

// Relu appends max(z,0) of node src.
func (b *Builder) Relu(name string, src int) int {
	b.nodes = append(b.nodes, Node{Kind: Relu, N: b.nodes[src].N, Name: name, Src: src})
	return len(b.nodes) - 1
}

// Sigmoid appends 1/(1+e^{-z}) of node src.
func (b *Builder) Sigmoid(name string, src int) int {
	b.nodes = append(b.nodes, Node{Kind: Sigmoid, N: b.nodes[src].N, Name: name, Src: src})
	return len(b.nodes) - 1
}

// Curve appends fn of node src, elementwise.
func (b *Builder) Curve(name string, fn Fn, src int) int {
	b.nodes = append(b.nodes, Node{Kind: Curve, N: b.nodes[src].N, Name: name, Src: src, Fn: fn})
	return len(b.nodes) - 1
}

// Product appends the elementwise product of two nodes of the same length.
func (b *Builder) Product(name string, x, y int) int {
	b.nodes = append(b.nodes, Node{Kind: Product, N: b.nodes[x].N, Name: name, Src: x, Src2: y})
	return len(b.nodes) - 1
}

// Len returns the number of nodes built so far.
func (b *Builder) Len() int { return len(b.nodes) }

// Rounds declares that a binary32 execution evaluates the affine nodes from index from on as sums of products, with extra roundings
// beyond those of its products and sums, of which none enlarges a flush by more than spread. It reports false when one of these
// nodes is neither affine nor a ReLU: nothing is known of how such a node is rounded.
func (b *Builder) Rounds(from, extra int, spread float64) bool {
	for k := from; k < len(b.nodes); k++ {
		switch n := &b.nodes[k]; n.Kind {
		case Affine:
			n.Rounding.Steps, n.Rounding.Spread = n.fan()+2+extra, spread
		case Relu:
		default:
			return false
		}
	}
	return true
}

// Merged declares that executions may merge affine node k with the one that reads it.
func (b *Builder) Merged(k int) { b.nodes[k].Rounding.Merged = true }

// Exact reports whether all nodes from index from on are affine maps and ReLUs.
func (b *Builder) Exact(from int) bool {
	for k := from; k < len(b.nodes); k++ {
		if b.nodes[k].Kind != Affine && b.nodes[k].Kind != Relu {
			return false
		}
	}
	return true
}

// N returns the number of elements of a node built so far.
func (b *Builder) N(node int) int { return b.nodes[node].N }

// Program finishes: output is the index of the output node.
func (b *Builder) Program(output int) (*Program, error) {
	p := &Program{Nodes: b.nodes, Output: output}
	return p, p.Check()
}

// Program32 is Program for nodes whose roundings were declared.
func (b *Builder) Program32(output int) (*Program, error) {
	p, err := b.Program(output)
	p.Binary32 = true
	return p, err
}
