// Package prog is the network in the form in which it is bounded: affine maps, ReLU, Sigmoid, a few more elementwise functions
// (Curve), and products of two variables; nothing else.
//
// Every operator that has rigorous bounds lowers itself to these kinds (see nn/op). LeakyRelu, PRelu, Abs, Clip and
// MaxPool are exact combinations of affine maps and ReLU, Tanh is a Sigmoid between two affine maps, a quotient is a product with
// a reciprocal; so the rules that
// soundness rests on (outward rounding, relaxation, gradient, split) are written once per kind and not once per operator.
//
// Data layout. A batch of R vectors of length n ("lanes") is one slice of n·R numbers with the lane innermost: element i
// of lane r is at i*R+r. R is 1 or a multiple of 8. Lanes are whatever the caller batches: rows of a specification, neurons
// whose bounds are wanted, sub-domains, restarts of an attack.
package prog

import (
	"fmt"
	"math"
)

// Kind says what a node computes.
type Kind uint8

const (
	// Input is the (single, flattened) network input; always node 0.
	Input Kind = iota
	// Affine is z = Σ_t Map_t·x[Src_t] + Bias.
	Affine
	// Relu is x = max(z, 0), elementwise.
	Relu
	// Sigmoid is x = 1/(1+e^{-z}), elementwise.
	Sigmoid
	// Curve is x = Fn(z), elementwise.
	Curve
	// Product is x = z·y of two nodes, elementwise.
	Product
)

func (k Kind) String() string {
	return [...]string{"Input", "Affine", "Relu", "Sigmoid", "Curve", "Product"}[k]
}

// A Term is one summand of an affine node.
type Term struct {
	Src int
	Map Linear
}

// A Node is one vector-valued variable of the program.
type Node struct {
	Kind  Kind
	N     int    // number of elements
	Name  string // the ONNX node it came from, for messages
	Terms []Term // Affine only
	Bias  []float64
	// Rel bounds the relative error of every stored coefficient and bias entry against the network's true real value, in
	// units of 2⁻⁵³: 0 when the file's numbers are stored exactly, a few when BatchNormalization or a division was folded.
	Rel int
	// Rounding says what a binary32 execution adds to an affine node; the zero value adds nothing.
	Rounding Rounding
	Src      int // other kinds: the node it is applied to
	// Src2 is the second factor of a Product.
	Src2 int
	Fn   Fn // Curve only
}

// A Program is an immutable list of nodes in topological order; Nodes[0] is the input, Output the index of the output node.
type Program struct {
	Nodes  []Node
	Output int
	// Binary32 says that the nodes' Rounding describes every binary32 execution of the network the program came from.
	Binary32 bool
}

// Linear is a constant linear map M with Out rows and In columns, acting on lanes. Implementations are immutable and safe
// for concurrent use. Methods accumulate: dst is never cleared. dst and the source never overlap.
type Linear interface {
	// Dims returns the number of rows (outputs) and columns (inputs).
	Dims() (out, in int)
	// Forward computes dst[Out×R] += M·x[In×R].
	Forward(dst, x []float64, R int)
	// ForwardAbs computes dst[Out×R] += |M|·x[In×R], |M| elementwise.
	ForwardAbs(dst, x []float64, R int)
	// Backward computes dst[In×R] += Mᵀ·y[Out×R].
	Backward(dst, y []float64, R int)
	// Row adds s times row i to lane r: dst[j*R+r] += s·M[i,j].
	Row(dst []float64, R, r, i int, s float64)
	// Fan returns upper bounds on the number of nonzeros in any row and in any column: the lengths of the sums, which
	// the a-priori rounding error terms need.
	Fan() (row, col int)
	// Each calls f for every structurally nonzero entry, row by row.
	Each(f func(i, j int, v float64))
}

// Eval computes every node for R lanes of inputs x (N×R) in round-to-nearest float64. The result has one slice per node;
// buf, if not nil and of the right sizes, is reused.
func (p *Program) Eval(x []float64, R int, buf [][]float64) [][]float64 {
	if len(x) != p.Nodes[0].N*R {
		panic("prog: Eval: input length mismatch")
	}
	if buf == nil {
		buf = p.NewValues(R)
	}
	copy(buf[0], x)
	for k := 1; k < len(p.Nodes); k++ {
		p.EvalNode(k, R, buf)
	}
	return buf
}

// NewValues allocates one value slice per node for R lanes.
func (p *Program) NewValues(R int) [][]float64 {
	buf := make([][]float64, len(p.Nodes))
	for k := range p.Nodes {
		buf[k] = make([]float64, p.Nodes[k].N*R)
	}
	return buf
}

// EvalNode computes node k from its sources in v.
func (p *Program) EvalNode(k, R int, v [][]float64) {
	n := &p.Nodes[k]
	dst := v[k]
	switch n.Kind {
	case Affine:
		if n.Bias == nil {
			clear(dst)
		} else if R == 1 {
			copy(dst, n.Bias)
		} else {
			for i, b := range n.Bias {
				row := dst[i*R : i*R+R]
				for r := range row {
					row[r] = b
				}
			}
		}
		for _, t := range n.Terms {
			t.Map.Forward(dst, v[t.Src], R)
		}
	case Relu:
		for i, z := range v[n.Src] {
			dst[i] = max(z, 0)
		}
	case Sigmoid:
		for i, z := range v[n.Src] {
			dst[i] = 1 / (1 + math.Exp(-z))
		}
	case Curve:
		for i, z := range v[n.Src] {
			dst[i] = n.Fn.Value(z)
		}
	case Product:
		y := v[n.Src2]
		for i, z := range v[n.Src] {
			dst[i] = z * y[i]
		}
	}
}

// Gradient computes, for R lanes, ∂(c·output)/∂input at the point whose node values are v (from Eval), step functions replaced by
// smooth ones: dx[In×R]. c is
// Out×R. buf is scratch as for Eval (one slice per node), allocated when nil; its contents are overwritten.
func (p *Program) Gradient(c []float64, R int, v, buf [][]float64) (dx []float64) {
	if buf == nil {
		buf = p.NewValues(R)
	}
	for k := range buf {
		clear(buf[k])
	}
	copy(buf[p.Output], c)
	for k := p.Output; k > 0; k-- {
		n := &p.Nodes[k]
		g := buf[k]
		switch n.Kind {
		case Affine:
			for _, t := range n.Terms {
				t.Map.Backward(buf[t.Src], g, R)
			}
		case Relu:
			d := buf[n.Src]
			for i, z := range v[n.Src] {
				if z > 0 {
					d[i] += g[i]
				}
			}
		case Sigmoid:
			d := buf[n.Src]
			for i, s := range v[k] {
				d[i] += g[i] * s * (1 - s)
			}
		case Curve:
			d := buf[n.Src]
			if n.Fn.Step() {
				n.Fn.guide(d, g, v[n.Src], R)
				continue
			}
			for i, z := range v[n.Src] {
				d[i] += g[i] * n.Fn.Slope(z)
			}
		case Product:
			a, b := buf[n.Src], buf[n.Src2]
			for i, z := range v[n.Src] {
				a[i] += g[i] * v[n.Src2][i]
				b[i] += g[i] * z
			}
		}
	}
	return buf[0]
}

// Check verifies the structural invariants: topological order, matching dimensions, finite numbers in biases.
func (p *Program) Check() error {
	if len(p.Nodes) == 0 || p.Nodes[0].Kind != Input {
		return fmt.Errorf("prog: node 0 is not the input")
	}
	if p.Output < 0 || p.Output >= len(p.Nodes) {
		return fmt.Errorf("prog: output %d out of range", p.Output)
	}
	for k := range p.Nodes {
		n := &p.Nodes[k]
		switch n.Kind {
		case Input:
			if k != 0 {
				return fmt.Errorf("prog: second input node %d", k)
			}
		case Affine:
			if n.Bias != nil && len(n.Bias) != n.N {
				return fmt.Errorf("prog: node %d %q: bias length %d, want %d", k, n.Name, len(n.Bias), n.N)
			}
			for _, b := range n.Bias {
				if math.IsNaN(b) || math.IsInf(b, 0) {
					return fmt.Errorf("prog: node %d %q: bias is not finite", k, n.Name)
				}
			}
			for _, t := range n.Terms {
				if t.Src < 0 || t.Src >= k {
					return fmt.Errorf("prog: node %d %q: source %d is not earlier", k, n.Name, t.Src)
				}
				out, in := t.Map.Dims()
				if out != n.N || in != p.Nodes[t.Src].N {
					return fmt.Errorf("prog: node %d %q: map %d×%d between %d and %d", k, n.Name, out, in, p.Nodes[t.Src].N, n.N)
				}
			}
		default:
			if n.Src < 0 || n.Src >= k || p.Nodes[n.Src].N != n.N {
				return fmt.Errorf("prog: node %d %q: bad source %d", k, n.Name, n.Src)
			}
			if n.Kind == Product && (n.Src2 < 0 || n.Src2 >= k || p.Nodes[n.Src2].N != n.N) {
				return fmt.Errorf("prog: node %d %q: bad second source %d", k, n.Name, n.Src2)
			}
		}
	}
	return nil
}
