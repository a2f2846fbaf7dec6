package evasion

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/spec"
)

// A Goal is what an attack wants of the outputs: a union of polyhedra, as in a spec.Problem. Classes are the special case that
// losses such as cross-entropy need. A Goal is immutable.
type Goal struct {
	cases   [][]spec.Row
	label   int // the class to leave, −1
	target  int // the class to reach, −1; with a label too: to score at least as much as the label
	outputs int
}

// Untargeted is the goal that some class scores at least as much as label. It panics on a label outside [0, classes).
func Untargeted(label, classes int) *Goal {
	if label < 0 || label >= classes || classes < 2 {
		panic(fmt.Sprintf("evasion: Untargeted(label %d of %d)", label, classes))
	}
	g := &Goal{label: label, target: -1, outputs: classes}
	for j := range classes {
		if j != label {
			g.cases = append(g.cases, []spec.Row{above(j, label)})
		}
	}
	return g
}

// Targeted is the goal that no class scores more than target. It panics on a target outside [0, classes).
func Targeted(target, classes int) *Goal {
	if target < 0 || target >= classes || classes < 2 {
		panic(fmt.Sprintf("evasion: Targeted(target %d of %d)", target, classes))
	}
	g := &Goal{label: -1, target: target, outputs: classes, cases: make([][]spec.Row, 1)}
	for j := range classes {
		if j != target {
			g.cases[0] = append(g.cases[0], above(target, j))
		}
	}
	return g
}

// above is the row y_j ≥ y_k.
func above(j, k int) spec.Row {
	return spec.Row{Y: []spec.Coef{{Index: k, Value: 1}, {Index: j, Value: -1}}}
}

// Unsafe is the goal to reach one of the cases of a problem over the given box; rows may read inputs.
func Unsafe(p *spec.Problem, box int) *Goal {
	g := &Goal{label: -1, target: -1, outputs: p.NumOutputs}
	for i := range p.Cases {
		if p.Cases[i].Box == box {
			g.cases = append(g.cases, p.Cases[i].Rows)
		}
	}
	return g
}

// Classes reports whether the goal is about classes.
func (g *Goal) Classes() bool { return g.label >= 0 || g.target >= 0 }

// Label returns the class to leave, or −1.
func (g *Goal) Label() int { return g.label }

// Target returns the class to reach, or −1.
func (g *Goal) Target() int { return g.target }

// Cases returns the number of polyhedra; for an untargeted goal the other classes in order.
func (g *Goal) Cases() int { return len(g.cases) }

// Rows returns the rows of the k-th polyhedron; they are shared, not copied.
func (g *Goal) Rows(k int) []spec.Row { return g.cases[k] }

// Case returns the goal of reaching the k-th polyhedron; of an untargeted goal, that the k-th other class scores at least as much
// as the label: a weaker goal than Targeted, whose losses still know both classes.
func (g *Goal) Case(k int) *Goal {
	c := &Goal{cases: g.cases[k : k+1], label: g.label, target: g.target, outputs: g.outputs}
	if g.label >= 0 && g.target < 0 {
		c.target = k
		if k >= g.label {
			c.target++
		}
	}
	return c
}

// ReachedBy reports whether a class alone reaches the goal. Only class goals are ever reached by it.
func (g *Goal) ReachedBy(label int) bool {
	if g.target >= 0 {
		return label == g.target
	}
	return g.label >= 0 && label != g.label
}

// Margin returns how far inside the goal the point x with outputs y lies: the largest over the polyhedra of the smallest
// RHS − left side over the rows. The goal is reached where it is ≥ 0. k and row say where it is attained.
func (g *Goal) Margin(x, y []float64) (margin float64, k, row int) {
	margin, k, row = math.Inf(-1), 0, 0
	for c := range g.cases {
		if m, r := g.margin(c, x, y); m > margin {
			margin, k, row = m, c, r
		}
	}
	return margin, k, row
}

// margin is Margin for one polyhedron. NaN counts as −∞.
func (g *Goal) margin(k int, x, y []float64) (margin float64, row int) {
	c := spec.Case{Rows: g.cases[k]}
	m, r := c.Margin(x, y)
	if math.IsNaN(m) {
		return math.Inf(-1), r
	}
	return m, max(r, 0)
}

// pullRow adds s times the gradient of a row's margin to dy and, unless nil, to dx.
func (g *Goal) pullRow(k, row int, s float64, dy, dx []float64) {
	if len(g.cases[k]) == 0 {
		return
	}
	r := &g.cases[k][row]
	for _, c := range r.Y {
		dy[c.Index] -= s * c.Value
	}
	if dx != nil {
		for _, c := range r.X {
			dx[c.Index] -= s * c.Value
		}
	}
}
