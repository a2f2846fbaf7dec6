package cert

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/verify/kernel"
)

// A Plan is a node of a search tree with what the search knows in floating point. A plan with children is a split, one without
// is a leaf; either may begin with lemmas.
type Plan struct {
	Lemmas []LemmaPlan // proved first, in this order
	Child  [2]*Plan    // inactive, active; or x ≤ At, x ≥ At; nil for a leaf
	Relu   int         // the Relu to split, −1 to split an input
	Elem   int         // the element of it, or the input
	At     float64     // where to split an input

	// Of a leaf: Lambda has one weight ≥ 0 per row of the case (nil: 1 each for a case, none for a bound). Nu has the multipliers on
	// every Relu's input, per Relu (nil: the kernel computes them). Instead of Nu, Alpha may give the slopes of open elements
	// (per Relu and element; nil for a Relu: the kernel's) and Beta what is added to the multipliers of single elements.
	Lambda []float64
	Nu     [][]float64
	Plain  bool // also try interval bounds behind the last Relu alone, which is cheap
	Alpha  [][]float64
	Beta   []Correction
}

// A Correction is added to one computed multiplier: ν = a·slope + Value.
type Correction struct {
	Relu, Elem int
	Value      float64
}

// A LemmaPlan bounds Sign·z for one element before a Relu. Want is what the search needs; the fewest bits that reach it are
// written, or the most when none do.
type LemmaPlan struct {
	Relu, Elem int
	Upper      bool
	Want       float64 // the bound of z on that side
	Tree       *Plan   // nil: one leaf with computed multipliers
	// Rest, with the other fields but Relu and Elem unused, stands for both sides of every open element from Elem on.
	Rest bool
}

// ErrWeak is a leaf whose multipliers do not prove what it claims in exact arithmetic.
var ErrWeak = errors.New("cert: the multipliers of a leaf prove too little")

// A Builder makes a proof for one problem, asking the kernel what every piece proves. It is not safe for concurrent use.
type Builder struct {
	p      *kernel.Problem
	s      *kernel.Session
	proof  Proof
	bounds []*kernel.Bounds // per box, with its shared lemmas
	boxes  []int            // per case
	rows   []int
	sizes  []int
	keep   bool // write multipliers even where computed ones would do (for tests)
}

// NewBuilder starts a proof, under p.Semantics, without any lemmas or cases.
func NewBuilder(p *kernel.Problem) (*Builder, error) {
	s, err := p.NewSession()
	if err != nil {
		return nil, err
	}
	b := &Builder{p: p, s: s, sizes: s.Sizes()}
	b.proof.Model, b.proof.Question = p.Hashes()
	b.proof.Semantics = p.Semantics
	b.boxes, b.rows = p.Cases()
	for _, box := range b.boxes {
		if box == len(b.bounds) {
			root, err := p.Root(box)
			if err != nil {
				return nil, err
			}
			b.bounds = append(b.bounds, root)
		}
		if box >= 0 {
			b.proof.Cases = append(b.proof.Cases, nil)
		}
	}
	b.proof.Boxes = make([][]Lemma, len(b.bounds))
	return b, nil
}

// Fork returns a builder for use beside b: it can ask the kernel about leaves and trees, and keeps nothing.
func (b *Builder) Fork() *Builder {
	f := *b
	f.s, _ = b.p.NewSession() // as for b itself, which did not fail
	return &f
}

// Sizes returns the number of elements of every Relu.
func (b *Builder) Sizes() []int { return b.sizes }

// Root returns the kernel's bounds over a box, with the lemmas proved so far.
func (b *Builder) Root(box int) *kernel.Bounds { return b.bounds[box] }

// Box proves lemmas for all cases of a box; they come before the cases.
func (b *Builder) Box(box int, plans []LemmaPlan) error {
	lemmas, bounds, err := b.lemmas(b.bounds[box], -1, plans)
	if err == nil {
		b.proof.Boxes[box], b.bounds[box] = append(b.proof.Boxes[box], lemmas...), bounds
	}
	return err
}

// Case turns the search tree of a case into its proof. Cases with an empty box need none.
func (b *Builder) Case(c int, plan *Plan) error {
	if b.boxes[c] < 0 {
		return nil
	}
	n, _, err := b.node(b.bounds[b.boxes[c]], kernel.Target{Case: c, Relu: -1}, plan, math.Inf(-1))
	if err != nil {
		return fmt.Errorf("case %d: %w", c, err)
	}
	b.proof.Cases[b.at(c)] = n
	return nil
}

// at returns the number of case c among those that are not empty.
func (b *Builder) at(c int) (n int) {
	for _, box := range b.boxes[:c] {
		if box >= 0 {
			n++
		}
	}
	return n
}

// Proof returns the proof; every case must have one.
func (b *Builder) Proof() (*Proof, error) {
	for i, c := range b.proof.Cases {
		if c == nil {
			return nil, fmt.Errorf("cert: the case with number %d among those that are not empty has no proof", i)
		}
	}
	p := b.proof
	return &p, nil
}

// Ranked bounds both sides of the share of the open elements of every Relu from the given one on that matter most for the listed
// cases of a box, as lemmas for all its cases, and returns their number.
func (b *Builder) Ranked(box int, cases []int, from int, share float64) (count int, err error) {
	for r := from; r < len(b.sizes); r++ {
		rank := make([]float64, b.sizes[r])
		for _, c := range cases {
			for j, v := range b.s.Rank(b.bounds[box], c)[r] {
				rank[j] += v
			}
		}
		var elems []int
		for j, v := range rank {
			if v > 0 {
				elems = append(elems, j)
			}
		}
		slices.SortStableFunc(elems, func(x, y int) int { return cmp.Compare(rank[y], rank[x]) })
		elems = elems[:int(math.Ceil(share*float64(len(elems))))]
		slices.Sort(elems)
		var lemmas []Lemma
		for _, j := range elems {
			lemmas = append(lemmas, Lemma{Relu: r, Elem: j, Side: kernel.Both})
		}
		if b.bounds[box], err = b.s.Bounds(b.bounds[box], -1, appendLemmas(nil, lemmas)); err != nil {
			return 0, err
		}
		b.proof.Boxes[box] = append(b.proof.Boxes[box], lemmas...)
		count += len(elems)
	}
	return count, nil
}

// SetCase gives case c a proof made piece by piece.
func (b *Builder) SetCase(c int, n *Node) { b.proof.Cases[b.at(c)] = n }

// Tree returns the proof of a plan for case c on the set that bounds describe. The error wraps ErrWeak if a leaf proves too little.
func (b *Builder) Tree(bounds *kernel.Bounds, c int, plan *Plan) (*Node, error) {
	n, _, err := b.node(bounds, kernel.Target{Case: c, Relu: -1}, plan, math.Inf(-1))
	return n, err
}

// Leaf returns a leaf that refutes case c on the set that bounds describe, with the multipliers of plan. The error wraps ErrWeak if
// they prove too little.
func (b *Builder) Leaf(bounds *kernel.Bounds, c int, plan *Plan) (*Node, error) {
	n, _, err := b.leaf(bounds, kernel.Target{Case: c, Relu: -1}, plan, math.Inf(-1))
	return n, err
}

// leanBits is the precision of the multipliers of planes.
const leanBits = 10

// Lean returns a node that bounds the listed elements (Relu, element) where the form that nu proves for a row of case c is ≤ 0,
// and the bounds below it.
func (b *Builder) Lean(bounds *kernel.Bounds, c, row int, nu [][]float64, elems [][2]int) (*Node, *kernel.Bounds, error) {
	n := &Node{Kind: kernel.Lean, Rows: []Weight{{row, 1}}, Nu: explicit(nu, leanBits)}
	for _, e := range elems {
		n.Lemmas = append(n.Lemmas, Lemma{Relu: e[0], Elem: e[1], Side: kernel.Both})
	}
	nb, err := b.s.Lean(bounds, c, appendNode(nil, n)[1:])
	return n, nb, err
}

// lemmas proves plans in order and returns the narrowed bounds.
func (b *Builder) lemmas(bounds *kernel.Bounds, c int, plans []LemmaPlan) ([]Lemma, *kernel.Bounds, error) {
	var out []Lemma
	for i := range plans {
		l := &plans[i]
		m := Lemma{Relu: l.Relu, Elem: l.Elem, Side: kernel.Lower}
		switch {
		case l.Rest:
			m.Side = kernel.Layer
		default:
			want := l.Want
			if l.Upper {
				m.Side, want = kernel.Upper, -want
			}
			plan := l.Tree
			if plan == nil {
				plan = &Plan{}
			}
			var err error
			if m.Tree, _, err = b.node(bounds, kernel.Target{Case: c, Relu: l.Relu, Elem: l.Elem, Side: m.Side}, plan, want); err != nil {
				return nil, nil, err
			}
		}
		var err error
		if bounds, err = b.s.Bounds(bounds, c, appendLemmas(nil, []Lemma{m})); err != nil {
			return nil, nil, err
		}
		out = append(out, m)
	}
	return out, bounds, nil
}

// node returns the proof of a plan and, for a bound, a number near its value (+Inf: the set is empty).
func (b *Builder) node(bounds *kernel.Bounds, t kernel.Target, plan *Plan, want float64) (*Node, float64, error) {
	if len(plan.Lemmas) > 0 {
		lemmas, narrowed, err := b.lemmas(bounds, t.Case, plan.Lemmas)
		if err != nil {
			return nil, 0, err
		}
		rest := *plan
		rest.Lemmas = nil
		child, v, err := b.node(narrowed, t, &rest, want)
		return &Node{Kind: kernel.Tighten, Lemmas: lemmas, Child: []*Node{child}}, v, err
	}
	bounds, err := bounds.Fresh()
	if err != nil {
		return nil, 0, err
	}
	if bounds.IsEmpty() {
		return &Node{Kind: kernel.Empty}, math.Inf(1), nil
	}
	if plan.Child[0] == nil {
		return b.leaf(bounds, t, plan, want)
	}
	n := &Node{Kind: kernel.SplitRelu, Relu: plan.Relu, Elem: plan.Elem}
	if plan.Relu < 0 {
		n = &Node{Kind: kernel.SplitInput, Dim: plan.Elem}
		n.Num, n.Exp = dyadic(plan.At)
	}
	least := math.Inf(1)
	for i, child := range plan.Child {
		var half *kernel.Bounds
		var err error
		if plan.Relu >= 0 {
			half = bounds.SplitRelu(plan.Relu, plan.Elem, i == 1)
		} else if half, err = bounds.SplitInput(plan.Elem, n.Num, int(n.Exp), i == 1); err != nil {
			return nil, 0, err
		}
		c, v, err := b.node(half, t, child, want)
		if err != nil {
			return nil, 0, err
		}
		least = min(least, v)
		n.Child = append(n.Child, c)
	}
	return n, least, nil
}

// dyadic returns f as num·2^-exp with an odd num.
func dyadic(f float64) (num, exp int64) {
	if f == 0 {
		return 0, 0
	}
	m, e := math.Frexp(f)
	num, exp = int64(m*(1<<53)), int64(53-e)
	for num&1 == 0 {
		num, exp = num>>1, exp-1
	}
	return num, exp
}
