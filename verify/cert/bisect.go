package cert

import (
	"context"
	"errors"
	"math"

	"github.com/spai-project/certify/verify/kernel"
)

// ErrBudget is a proof that would need more nodes than allowed.
var ErrBudget = errors.New("cert: the proof needs more nodes than allowed")

// Bisect proves case c by bisecting its box along the inputs that vary: the kernel itself bounds every part, on the network that is
// left there, so that what it could not follow is never tried. Most is the number of parts after which it gives up.
func (b *Builder) Bisect(ctx context.Context, c, most int) error {
	if b.boxes[c] < 0 {
		return nil
	}
	v := &bisector{ctx: ctx, left: most, rows: b.rows[c]}
	root := b.bounds[b.boxes[c]]
	sess := &stage{s: b.s, c: c}
	for _, n := range b.sizes {
		sess.open += n
	}
	n, err := v.part(sess, root)
	if err != nil {
		return err
	}
	b.proof.Cases[b.at(c)] = n
	return nil
}

// A bisector proves one case.
type bisector struct {
	ctx  context.Context
	left int
	rows int
	best int // the row that refuted last
}

// A stage is a network on which parts of the box are bounded.
type stage struct {
	s    *kernel.Session
	c    int
	part bool // not the whole network
	open int  // elements before Relus that were open when the network was made
}

const (
	reduceFirst = 0.4  // share of open elements at which the network is first reduced: rows of a reduced network are dense
	reduceBelow = 0.65 // share of open elements at which the network is reduced again
	clipBelow   = 0.9  // share of the volume that a clip must leave at most to be worth its bytes
)

// plane is what a row's multipliers prove on a part.
type plane struct {
	form  []float64
	least float64
}

func (v *bisector) part(st *stage, b *kernel.Bounds) (*Node, error) {
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	if v.left--; v.left < 0 {
		return nil, ErrBudget
	}
	b, err := b.Fresh()
	if err != nil {
		return nil, err
	}
	if b.IsEmpty() {
		return &Node{Kind: kernel.Empty}, nil
	}
	var top Node // what is done to the part comes below it
	at := &top
	under := func(n *Node) {
		at.Child = append(at.Child, n)
		at = n
	}
	planes := make([]plane, v.rows)
	refuted, err := v.planes(st, b, planes)
	if err != nil || refuted != nil {
		return refuted, err
	}
	most := reduceBelow*float64(st.open) - 2
	if !st.part {
		most = reduceFirst * float64(st.open)
	}
	if open := st.count(b); float64(open) <= most {
		if s, nb, err := st.s.Reduce(b, st.c); err == nil {
			under(&Node{Kind: kernel.Reduce})
			st, b = &stage{s: s, part: true, open: open}, nb
		} else { // too many Relus for one sum: later, when fewer are open
			st = &stage{s: st.s, c: st.c, part: st.part, open: open}
		}
	}
	var all []Lemma
	for r := range st.s.Sizes() {
		all = append(all, Lemma{Relu: r, Side: kernel.Layer})
	}
	if len(all) > 0 {
		if b, err = st.s.Bounds(b, -1, appendLemmas(nil, all)); err != nil {
			return nil, err
		}
		under(&Node{Kind: kernel.Tighten, Lemmas: all})
	}
	if b.IsEmpty() {
		under(&Node{Kind: kernel.Empty})
		return top.Child[0], nil
	}
	if len(top.Child) > 0 {
		if refuted, err = v.planes(st, b, planes); err != nil {
			return nil, err
		} else if refuted != nil {
			under(refuted)
			return top.Child[0], nil
		}
	}
	for r := range planes {
		if planes[r].left(b) <= clipBelow {
			under(clipOf(r))
			if b, err = st.s.Clip(b, st.c, appendNode(nil, clipOf(r))[1:]); err != nil {
				return nil, err
			}
		}
		if b.IsEmpty() {
			under(&Node{Kind: kernel.Empty})
			return top.Child[0], nil
		}
	}
	d, mid := cut(b, planes)
	if d < 0 {
		return nil, ErrWeak
	}
	n := &Node{Kind: kernel.SplitInput, Dim: d}
	n.Num, n.Exp = dyadic(mid)
	under(n)
	for side := range 2 {
		half, err := b.SplitInput(d, n.Num, int(n.Exp), side == 1)
		if err != nil {
			return nil, err
		}
		child, err := v.part(st, half)
		if err != nil {
			return nil, err
		}
		n.Child = append(n.Child, child)
	}
	return top.Child[0], nil
}

// planes bounds every row; a row above 0 refutes the part.
func (v *bisector) planes(st *stage, b *kernel.Bounds, planes []plane) (*Node, error) {
	for i := range planes {
		r := (v.best + i) % len(planes)
		p := &planes[r]
		var err error
		if p.form, p.least, err = st.s.Form(b, st.c, appendNode(nil, clipOf(r))[1:]); err != nil {
			return nil, err
		}
		if p.least > 0 {
			v.best = r
			n := clipOf(r)
			n.Kind = kernel.Leaf
			return n, nil
		}
	}
	return nil, nil
}

// clipOf returns the clip by one row with computed multipliers.
func clipOf(r int) *Node { return &Node{Kind: kernel.Clip, Rows: []Weight{{r, 1}}} }

// count returns the number of open elements.
func (st *stage) count(b *kernel.Bounds) (open int) {
	for r, n := range st.s.Sizes() {
		for j := range n {
			if lo, hi := b.Interval(r, j); lo < 0 && hi > 0 {
				open++
			}
		}
	}
	return open
}

// left returns about which share of the volume of a part a clip leaves.
func (p *plane) left(b *kernel.Bounds) float64 {
	v := 1.0
	for d, a := range p.form {
		if lo, hi := b.Interval(-1, d); hi > lo && a != 0 {
			v *= min(1, math.Abs(p.least/a)/(hi-lo))
		}
	}
	return v
}

// cut chooses an input with a large slope times width over the rows and where to bisect it; −1 when none varies.
func cut(b *kernel.Bounds, planes []plane) (dim int, at float64) {
	dim = -1
	best := 0.0
	for d := range planes[0].form {
		lo, hi := b.Interval(-1, d)
		score := 0.0
		for i := range planes {
			most := 0.0
			for _, a := range planes[i].form {
				most = max(most, math.Abs(a))
			}
			score = max(score, max(math.Abs(planes[i].form[d]), most/float64(2*len(planes[i].form)))*(hi-lo))
		}
		mid := coarse(lo, hi)
		if score > best && lo < mid && mid < hi {
			best, dim, at = score, d, mid
		}
	}
	return dim, at
}

// coarse returns a number with few digits near the middle of lo…hi.
func coarse(lo, hi float64) float64 {
	_, e := math.Frexp(hi - lo)
	return math.Ldexp(math.Round(math.Ldexp(lo/2+hi/2, 6-e)), e-6)
}
