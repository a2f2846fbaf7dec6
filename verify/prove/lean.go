package prove

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/cert"
	"github.com/spai-project/certify/verify/kernel"
)

// leaner proves a case by splitting ReLUs where every branch first bounds its open neurons on the points that violate the row
// (kernel.Lean): the certificate's form of what the search does with relax.Refutation.
type leaner struct {
	*prover
	c     int // of the kernel
	row   *spec.Row
	index int // of row
	box   relax.Box
	w     *relax.Worker
	free  chan *relax.Worker // other workers without work
}

// A branch has decided ReLUs and what it inherits.
type branch struct {
	kb     *kernel.Bounds
	splits []relax.Split
	wide   map[relax.Split][2]float64 // bounds of decided elements before they were decided
	beta   []float64
	alpha  [][]float64 // per Relu node and element, −1 where there is none
}

// lean proves case c.
func (v *prover) lean(box int, rb relax.Box, c int) (*cert.Node, error) {
	cs := &v.p.Cases[v.at[c]]
	if len(cs.Rows) == 0 {
		return nil, fmt.Errorf("case %d has no row", c)
	}
	l := &leaner{prover: v, c: c, box: rb, w: v.pool.W[0], free: make(chan *relax.Worker, len(v.pool.W))}
	for _, w := range v.pool.W[1:] {
		l.free <- w
	}
	best := math.Inf(-1)
	for i := range cs.Rows {
		l.row, l.index = &cs.Rows[i], i
		if lb := l.ascend(&branch{kb: v.b.Root(box)}, 20).lb; lb > best {
			best, l.index = lb, i
		}
	}
	l.row = &cs.Rows[l.index]
	return l.node(&branch{kb: v.b.Root(box)})
}

// node proves a branch: it bounds what matters on the points that violate the row, twice if that pays, and then splits a ReLU. The
// second child goes to another worker if one is free; the proof does not depend on it.
func (l *leaner) node(b *branch) (*cert.Node, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	if b.kb.IsEmpty() {
		return &cert.Node{Kind: kernel.Empty}, nil
	}
	var top cert.Node
	at := &top
	lambda := make([]float64, len(l.p.Cases[l.at[l.c]].Rows))
	lambda[l.index] = 1
	var a ascent
	for round := range 3 {
		a = l.ascend(b, 12)
		if a.lb > 0 {
			n, err := l.b.Leaf(b.kb, l.c, &cert.Plan{Lambda: lambda, Nu: a.nu})
			if err == nil {
				at.Child = append(at.Child, n)
				return top.Child[0], nil
			}
		}
		if round == 2 {
			break
		}
		before := l.width(b.kb)
		n, kb, err := l.b.Lean(b.kb, l.c, l.index, a.nu, l.matter(a.open))
		if err != nil {
			return nil, err
		}
		if after := l.width(kb); !kb.IsEmpty() && after > 0.95*before {
			break
		}
		at.Child = append(at.Child, n)
		at = n
		b.kb = kb
		if kb.IsEmpty() {
			at.Child = append(at.Child, &cert.Node{Kind: kernel.Empty})
			return top.Child[0], nil
		}
	}
	pick, ok := l.choose(b, a.open)
	if !ok {
		n, err := l.program(b)
		if err != nil {
			return nil, err
		}
		at.Child = append(at.Child, n)
		return top.Child[0], nil
	}
	r := l.relu(int(pick.Act))
	n := &cert.Node{Kind: kernel.SplitRelu, Relu: r, Elem: int(pick.Elem)}
	at.Child = append(at.Child, n)
	lo, hi := b.kb.Interval(r, int(pick.Elem))
	n.Child = make([]*cert.Node, 2)
	var kids [2]*branch
	for side := range 2 {
		k := &branch{kb: b.kb.SplitRelu(r, int(pick.Elem), side == 1), alpha: b.alpha, wide: map[relax.Split][2]float64{}}
		for s, w := range b.wide {
			k.wide[s] = w
		}
		k.wide[relax.Split{Act: pick.Act, Elem: pick.Elem}] = [2]float64{lo, hi}
		k.splits = append(append(k.splits, b.splits...), relax.Split{Act: pick.Act, Elem: pick.Elem, Sign: int8(2*side - 1)})
		k.beta = append(append(k.beta, b.beta...), 0)
		kids[side] = k
	}
	var err error
	select {
	case w := <-l.free:
		other := *l
		fork := *l.prover
		fork.b = l.b.Fork()
		other.prover, other.w = &fork, w
		done := make(chan error)
		go func() {
			err := guarded(func() (err error) {
				n.Child[1], err = other.node(kids[1])
				return err
			})
			l.free <- w
			done <- err
		}()
		err = guarded(func() (err error) {
			n.Child[0], err = l.node(kids[0])
			return err
		})
		err = cmp.Or(err, <-done)
	default:
		if n.Child[0], err = l.node(kids[0]); err == nil {
			n.Child[1], err = l.node(kids[1])
		}
	}
	return top.Child[0], err
}

// leanest is the number of elements that a branch bounds at most.
const leanest = 40

// matter lists the open elements whose relaxation can cost the row most, first Relus first.
func (l *leaner) matter(open []relax.Open) (elems [][2]int) {
	slices.SortStableFunc(open, func(x, y relax.Open) int { return cmp.Compare(y.Gap, x.Gap) })
	for _, o := range open[:min(len(open), leanest)] {
		elems = append(elems, [2]int{l.relu(int(o.Act)), int(o.Elem)})
	}
	slices.SortFunc(elems, func(x, y [2]int) int { return cmp.Or(x[0]-y[0], x[1]-y[1]) })
	return elems
}

// relu returns the kernel's number of a Relu node.
func (l *leaner) relu(k int) int {
	for r, n := range l.relus {
		if n == k {
			return r
		}
	}
	return -1
}

// width sums the widths of open elements.
func (l *leaner) width(b *kernel.Bounds) (sum float64) {
	for r, k := range l.relus {
		for j := range l.full.Nodes[k].N {
			if lo, hi := b.Interval(r, j); lo < 0 && hi > 0 {
				sum += hi - lo
			}
		}
	}
	return sum
}
