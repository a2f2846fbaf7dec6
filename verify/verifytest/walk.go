package verifytest

// Enumeration of activation patterns. On a region where every ReLU seen so far has a fixed sign, each node is an affine
// function of the input; the region is the box cut by the rows sign·z ≤ 0. Both signs are tried where the box leaves the
// sign open, and a region without points is pruned by a rational linear program. Regions are closed, so they cover the
// box and touch in the hyperplanes z = 0, where both phases give the same value: minima over the regions are exact.

import (
	"fmt"
	"math/big"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn/prog"
)

// form is an affine function of the input: the coefficients, then the constant.
type form []*big.Rat

// entry is one nonzero of a term's map.
type entry struct {
	i, j int
	v    *big.Rat
}

// walker enumerates the regions of one program over one box.
type walker struct {
	p      *prog.Program
	lo, hi []*big.Rat
	maps   [][][]entry // by node and term
	bias   [][]*big.Rat
	forms  [][]form
	leaf   func(lp *exact.LP, forms [][]form) (more bool)
}

// newWalker reads the program's numbers once; it panics on kinds the oracle does not know.
func newWalker(p *prog.Program, lo, hi []float64) *walker {
	n := p.Nodes[0].N
	if len(lo) != n || len(hi) != n {
		panic("verifytest: box and input differ in length")
	}
	w := &walker{p: p, lo: exact.Rats(lo), hi: exact.Rats(hi)}
	w.maps = make([][][]entry, len(p.Nodes))
	w.bias = make([][]*big.Rat, len(p.Nodes))
	w.forms = make([][]form, len(p.Nodes))
	for k := range p.Nodes {
		node := &p.Nodes[k]
		w.forms[k] = make([]form, node.N)
		switch node.Kind {
		case prog.Input, prog.Relu:
		case prog.Affine:
			w.maps[k], w.bias[k] = readAffine(node)
		default:
			panic(fmt.Sprintf("verifytest: the oracle does not support %v nodes", node.Kind))
		}
	}
	for i := range n {
		f := form(exact.Zeros(n + 1))
		f[i].SetInt64(1)
		w.forms[0][i] = f
	}
	return w
}

func readAffine(node *prog.Node) (maps [][]entry, bias []*big.Rat) {
	for _, t := range node.Terms {
		var es []entry
		t.Map.Each(func(i, j int, v float64) {
			if v != 0 {
				es = append(es, entry{i, j, exact.Rat(v)})
			}
		})
		maps = append(maps, es)
	}
	if node.Bias == nil {
		return maps, exact.Zeros(node.N)
	}
	return maps, exact.Rats(node.Bias)
}

// run visits every region; it stops early when a leaf returns false.
func (w *walker) run() {
	w.visit(1, 0, exact.NewLP(w.lo, w.hi))
}

// visit continues at element i of node k on the region lp and reports whether to go on.
func (w *walker) visit(k, i int, lp *exact.LP) bool {
	for ; k < len(w.p.Nodes); k, i = k+1, 0 {
		node := &w.p.Nodes[k]
		if node.Kind == prog.Affine {
			w.affine(k)
			continue
		}
		for ; i < node.N; i++ {
			z := w.forms[node.Src][i]
			low, high := w.span(z)
			switch {
			case low.Sign() >= 0:
				w.forms[k][i] = z
			case high.Sign() <= 0:
				w.forms[k][i] = zeroForm(len(z))
			default:
				return w.split(k, i, z, lp)
			}
		}
	}
	return w.leaf(lp, w.forms)
}

// split tries both phases of an open ReLU.
func (w *walker) split(k, i int, z form, lp *exact.LP) bool {
	n := len(z) - 1
	neg := make([]*big.Rat, len(z))
	for j := range z {
		neg[j] = new(big.Rat).Neg(z[j])
	}
	for _, active := range []bool{true, false} {
		child := lp.Clone()
		if active { // −z ≤ 0
			child.AddRow(neg[:n], z[n])
			w.forms[k][i] = z
		} else { // z ≤ 0
			child.AddRow(z[:n], neg[n])
			w.forms[k][i] = zeroForm(len(z))
		}
		if child.Solve().Status == exact.Infeasible {
			continue
		}
		if !w.visit(k, i+1, child) {
			return false
		}
	}
	return true
}

// affine computes the forms of node k.
func (w *walker) affine(k int) {
	t := new(big.Rat)
	n := len(w.lo)
	out := w.forms[k]
	for i := range out {
		out[i] = zeroForm(n + 1)
		out[i][n].Set(w.bias[k][i])
	}
	for ti, term := range w.p.Nodes[k].Terms {
		src := w.forms[term.Src]
		for _, e := range w.maps[k][ti] {
			for j, v := range src[e.j] {
				if v.Sign() != 0 {
					out[e.i][j].Add(out[e.i][j], t.Mul(e.v, v))
				}
			}
		}
	}
}

// span returns the least and the greatest value of a form on the box.
func (w *walker) span(z form) (low, high *big.Rat) {
	n := len(z) - 1
	low, high = new(big.Rat).Set(z[n]), new(big.Rat).Set(z[n])
	t := new(big.Rat)
	for j := range n {
		switch z[j].Sign() {
		case 1:
			low.Add(low, t.Mul(z[j], w.lo[j]))
			high.Add(high, t.Mul(z[j], w.hi[j]))
		case -1:
			low.Add(low, t.Mul(z[j], w.hi[j]))
			high.Add(high, t.Mul(z[j], w.lo[j]))
		}
	}
	return low, high
}

func zeroForm(n int) form { return exact.Zeros(n) }

// combine returns Σ cx_i·x_i + Σ cy_i·y_i as a form, y being the forms of the output.
func combine(cx, cy []*big.Rat, y []form, n int) form {
	f := zeroForm(n + 1)
	for j, c := range cx {
		f[j].Set(c)
	}
	t := new(big.Rat)
	for i, c := range cy {
		if c.Sign() == 0 {
			continue
		}
		for j := range f {
			f[j].Add(f[j], t.Mul(c, y[i][j]))
		}
	}
	return f
}
