package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

const unit = 0x1p-53 // unit roundoff of float64, round to nearest

// gamma returns an upper bound on n·u/(1−n·u), the relative error of a sum or product of n rounded steps.
func gamma(n int) float64 { x := float64(n) * unit; return x / (1 - x) * (1 + 4*unit) }

// A Net is a program with everything about it that bounding needs and that does not depend on the box. It is immutable and
// safe for concurrent use.
type Net struct {
	P *prog.Program
	// Pre lists the nodes that feed an activation (pre-activations) in topological order.
	Pre []int
	// Acts lists the activation nodes of each pre-activation node.
	Acts [][]int
	// anc[k] marks the nodes that node k depends on, itself included.
	anc map[int][]bool
	// errUnits multiplies Σ|ν|·S: the length of the longest sum behind a coefficient of a backward pass, plus the relative
	// errors of stored coefficients, of the products with slopes and of the bias sums.
	errUnits int
	sumLen   int // longest sum of terms added to a lane's constant
	rowFan   []int
	work     []int // per node: multiply-adds of its maps
	// rows bounds, per node whose binary32 roundings are declared, the absolute row sums; see float32.go.
	rows   []float64
	relMax int
	// orig and local number the elements of a network without its inactive neurons (nil: as they are).
	orig, local [][]int32
}

// NewNet prepares a program for bounding.
func NewNet(p *prog.Program) *Net {
	n := newNet(p)
	n.measureRows()
	return n
}

// newNet is NewNet but for the row sums.
func newNet(p *prog.Program) *Net {
	n := &Net{P: p, Acts: make([][]int, len(p.Nodes)), anc: map[int][]bool{}, rowFan: make([]int, len(p.Nodes)), work: make([]int, len(p.Nodes))}
	col := make([]int, len(p.Nodes))
	for k := range p.Nodes {
		nd := &p.Nodes[k]
		n.sumLen = max(n.sumLen, nd.N)
		switch nd.Kind {
		case prog.Affine:
			n.relMax = max(n.relMax, nd.Rel)
			for _, t := range nd.Terms {
				row, c := t.Map.Fan()
				n.work[k] += prog.Work(t.Map)
				col[t.Src] += c
				n.rowFan[k] += row
			}
		case prog.Input:
		default:
			n.act(nd.Src, k, col)
			if nd.Kind == prog.Product {
				n.act(nd.Src2, k, col)
			}
		}
	}
	n.Pre = sortedInts(n.Pre)
	for _, c := range col {
		n.errUnits = max(n.errUnits, c)
	}
	n.sumLen = 2*n.sumLen + len(p.Nodes) + 16 // two terms per input: centre and radius
	n.errUnits += n.sumLen + n.relMax + 16
	for _, k := range n.Pre {
		n.anc[k] = n.ancestors(k)
	}
	n.anc[p.Output] = n.ancestors(p.Output)
	return n
}

// act registers node k as an activation of src.
func (n *Net) act(src, k int, col []int) {
	col[src]++
	if len(n.Acts[src]) == 0 {
		n.Pre = append(n.Pre, src)
	}
	n.Acts[src] = append(n.Acts[src], k)
}

func sortedInts(x []int) []int {
	for i := 1; i < len(x); i++ {
		for j := i; j > 0 && x[j] < x[j-1]; j-- {
			x[j], x[j-1] = x[j-1], x[j]
		}
	}
	return x
}

// ancestors marks the nodes that node k depends on, itself included.
func (n *Net) ancestors(k int) []bool {
	m := make([]bool, len(n.P.Nodes))
	m[k], m[0] = true, true // a pass ends at the input, whether or not it has coefficients there
	for i := k; i > 0; i-- {
		if !m[i] {
			continue
		}
		nd := &n.P.Nodes[i]
		if nd.Kind == prog.Affine {
			for _, t := range nd.Terms {
				m[t.Src] = true
			}
		} else {
			m[nd.Src] = true
			if nd.Kind == prog.Product {
				m[nd.Src2] = true
			}
		}
	}
	return m
}

// Box is a product of intervals.
type Box struct{ Lo, Hi []float64 }

// Clone returns a deep copy.
func (b Box) Clone() Box {
	return Box{append([]float64(nil), b.Lo...), append([]float64(nil), b.Hi...)}
}

// thin is the relative width up to which an input counts as fixed: a decimal that float32 cannot hold is a thin interval.
const thin = 1e-6

// Varies reports whether input i is wider than rounding.
func (b Box) Varies(i int) bool {
	return b.Hi[i]-b.Lo[i] > thin*max(math.Abs(b.Lo[i]), math.Abs(b.Hi[i]))
}

// Bounds are lower and upper bounds on every element of every node over a box: L[k][j] ≤ node k's element j ≤ U[k][j].
type Bounds struct{ L, U [][]float64 }

// NewBounds allocates bounds for every node of n.
func (n *Net) NewBounds() *Bounds {
	b := &Bounds{make([][]float64, len(n.P.Nodes)), make([][]float64, len(n.P.Nodes))}
	total := 0
	for k := range n.P.Nodes {
		total += n.P.Nodes[k].N
	}
	buf := make([]float64, 2*total)
	for k := range n.P.Nodes {
		m := n.P.Nodes[k].N
		b.L[k], b.U[k], buf = buf[:m:m], buf[m:2*m:2*m], buf[2*m:]
	}
	return b
}

// Copy overwrites b with c.
func (b *Bounds) Copy(c *Bounds) {
	for k := range b.L {
		copy(b.L[k], c.L[k])
		copy(b.U[k], c.U[k])
	}
}

// Unstable counts the ReLU inputs whose sign the bounds leave open.
func (n *Net) Unstable(b *Bounds) int {
	c := 0
	for k := range n.P.Nodes {
		if nd := &n.P.Nodes[k]; nd.Kind == prog.Relu {
			for j, l := range b.L[nd.Src] {
				if l < 0 && b.U[nd.Src][j] > 0 {
					c++
				}
			}
		}
	}
	return c
}

// Scale holds S_k = Σ|M_k|·mag + |b_k| per affine node (the magnitude for other nodes) over a root box; valid for every
// subset of that box. Where a node's binary32 roundings are declared, S_k holds E_k/γ in addition (float32.go).
type Scale [][]float64

// maxMagnitude is the largest scale at which bounds are computed at all: products of coefficients then cannot overflow unseen,
// and what underflows, at most 2⁻¹⁰⁷⁴ per product, stays far below tinyError.
const (
	maxMagnitude = 1e130
	tinyError    = 1e-170
)

// reach returns the first node with a magnitude that is not finite or too large, len(s) when there is none.
func (s Scale) reach() int {
	for k, v := range s {
		if !tame(v) {
			return k
		}
	}
	return len(s)
}

func tame(v []float64) bool {
	for _, x := range v {
		if !(x <= maxMagnitude) {
			return false
		}
	}
	return true
}

// NewScale computes S from bounds over the root box. The sums are of non-negative numbers, so inflating by their relative
// rounding error makes them upper bounds.
func (n *Net) NewScale(b *Bounds) Scale {
	s := make(Scale, len(n.P.Nodes))
	mag := make([][]float64, len(n.P.Nodes))
	magOf := func(k int) []float64 {
		if mag[k] == nil {
			mag[k] = b.magnitude(k)
		}
		return mag[k]
	}
	for k := range n.P.Nodes {
		s[k] = n.scaleNode(k, magOf)
	}
	return s
}

// magnitude returns the largest absolute values of node k.
func (b *Bounds) magnitude(k int) []float64 {
	m := make([]float64, len(b.L[k]))
	for j := range m {
		m[j] = max(math.Abs(b.L[k][j]), math.Abs(b.U[k][j]))
	}
	return m
}

// scaleNode returns S of node k from the magnitudes of nodes.
func (n *Net) scaleNode(k int, magOf func(k int) []float64) []float64 {
	nd := &n.P.Nodes[k]
	if nd.Kind != prog.Affine {
		return magOf(k)
	}
	s := make([]float64, nd.N)
	nd.BiasMagnitudes(s)
	for _, t := range nd.Terms {
		t.Map.ForwardAbs(s, magOf(t.Src), 1)
	}
	f := 1 + gamma(n.rowFan[k]+4)
	for j := range s {
		s[j] = s[j]*f + 0x1p-1000 // the constant covers products that underflow
	}
	n.addError(k, s, magOf)
	return s
}

// Open counts the activation inputs that are worth bounding more tightly: ReLU inputs of open sign, sigmoid inputs of some width.
func (n *Net) Open(b *Bounds) int {
	c := n.Unstable(b)
	for k := range n.P.Nodes {
		if nd := &n.P.Nodes[k]; nd.Kind == prog.Sigmoid {
			for j, l := range b.L[nd.Src] {
				if b.U[nd.Src][j]-l > thinInput {
					c++
				}
			}
		}
	}
	return c
}

// Smooth reports whether the network has activations other than ReLU.
func (n *Net) Smooth() bool {
	for k := range n.P.Nodes {
		if n.P.Nodes[k].Kind == prog.Sigmoid {
			return true
		}
	}
	return false
}
