package verifytest

import (
	"fmt"

	"github.com/spai-project/certify/nn/prog"
)

// A Net is a program as data: what can be drawn, printed, parsed and shrunk. Nodes[0] is the input.
type Net struct {
	Nodes  []NetNode
	Output int
}

// A NetNode describes one node; see prog.Node for the fields.
type NetNode struct {
	Kind  prog.Kind
	N     int
	Src   int // Relu
	Bias  []float64
	Terms []NetTerm
}

// A NetTerm describes one summand of an affine node.
type NetTerm struct {
	Src int
	Map NetMap
}

// MapKind is the implementation of prog.Linear that a map is built with.
type MapKind uint8

// The kinds of maps, in the words of the text form.
const (
	Dense MapKind = iota
	Sparse
	Conv
	ConvT // the transpose of a convolution
)

func (k MapKind) String() string { return [...]string{"dense", "sparse", "conv", "convt"}[k] }

// A NetMap describes a linear map of Out rows and In columns.
type NetMap struct {
	Kind    MapKind
	Out, In int
	W       []float64     // Dense: row-major; Sparse: values; Conv, ConvT: kernel
	Ptr     []int32       // Sparse
	Idx     []int32       // Sparse
	Geom    prog.ConvGeom // Conv, ConvT
}

// Linear builds the map; it panics on inconsistent descriptions.
func (m *NetMap) Linear() prog.Linear {
	switch m.Kind {
	case Dense:
		return prog.Dense(m.Out, m.In, m.W)
	case Sparse:
		return prog.Sparse(m.Out, m.In, m.Ptr, m.Idx, m.W)
	case Conv:
		return prog.Conv(m.Geom, m.W)
	case ConvT:
		return prog.Transpose(prog.Conv(m.Geom, m.W))
	}
	panic("verifytest: unknown map kind")
}

// dense returns the same map in row-major form.
func (m *NetMap) dense() NetMap {
	d := NetMap{Kind: Dense, Out: m.Out, In: m.In, W: make([]float64, m.Out*m.In)}
	m.Linear().Each(func(i, j int, v float64) { d.W[i*m.In+j] += v })
	return d
}

// sparse returns the same map in compressed rows.
func (m *NetMap) sparse() NetMap {
	d := m.dense()
	s := NetMap{Kind: Sparse, Out: m.Out, In: m.In, Ptr: []int32{0}}
	for i := range m.Out {
		for j, v := range d.W[i*m.In : (i+1)*m.In] {
			if v != 0 {
				s.Idx, s.W = append(s.Idx, int32(j)), append(s.W, v)
			}
		}
		s.Ptr = append(s.Ptr, int32(len(s.Idx)))
	}
	return s
}

// Program builds the program; the weights are shared with the description.
func (n *Net) Program() (*prog.Program, error) {
	b := prog.NewBuilder(n.Nodes[0].N)
	for k := 1; k < len(n.Nodes); k++ {
		node := &n.Nodes[k]
		name := fmt.Sprintf("n%d", k)
		switch node.Kind {
		case prog.Affine:
			terms := make([]prog.Term, len(node.Terms))
			for i := range node.Terms {
				terms[i] = prog.Term{Src: node.Terms[i].Src, Map: node.Terms[i].Map.Linear()}
			}
			b.Affine(name, node.N, node.Bias, 0, terms...)
		case prog.Relu:
			if node.Src < 0 || node.Src >= k {
				return nil, fmt.Errorf("verifytest: node %d: bad source %d", k, node.Src)
			}
			b.Relu(name, node.Src)
		default:
			return nil, fmt.Errorf("verifytest: node %d: kind %v is not supported", k, node.Kind)
		}
	}
	return b.Program(n.Output)
}

// clone returns a deep copy.
func (n *Net) clone() *Net {
	c := &Net{Output: n.Output, Nodes: append([]NetNode(nil), n.Nodes...)}
	for k := range c.Nodes {
		node := &c.Nodes[k]
		node.Bias = append([]float64(nil), node.Bias...)
		node.Terms = append([]NetTerm(nil), node.Terms...)
		for i := range node.Terms {
			m := &node.Terms[i].Map
			m.W = append([]float64(nil), m.W...)
			m.Ptr, m.Idx = append([]int32(nil), m.Ptr...), append([]int32(nil), m.Idx...)
		}
	}
	return c
}

// relus counts the ReLU elements.
func (n *Net) relus() int {
	count := 0
	for k := range n.Nodes {
		if n.Nodes[k].Kind == prog.Relu {
			count += n.Nodes[k].N
		}
	}
	return count
}
