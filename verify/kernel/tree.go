package kernel

import (
	"encoding/binary"
	"fmt"
	"math/big"
)

// The nodes of a proof tree.
const (
	SplitRelu  = 1 // relu, element, inactive child, active child
	SplitInput = 2 // dimension, numerator, exponent, lower child, upper child
	Tighten    = 3 // bounds, child
	Leaf       = 4 // multipliers of rows, multipliers of Relus
	Empty      = 5 // the bounds contradict each other
)

// The sides of a bound lemma.
const (
	Lower = 0 // relu, element, Lower, tree
	Upper = 1 // relu, element, Upper, tree
	Layer = 2 // relu, first element, Layer: every open element from there on, both sides, Recompute
)

// A reader takes a proof apart; every number is checked where it is read.
type reader struct {
	data []byte
	at   int
}

func (r *reader) fail(why string) error { return fmt.Errorf("%s at byte %d", why, r.at) }

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.data)-r.at {
		return nil, r.fail("the proof ends too early")
	}
	r.at += n
	return r.data[r.at-n : r.at], nil
}

func (r *reader) unsigned() (uint64, error) {
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		return 0, r.fail("no number")
	}
	r.at += n
	return v, nil
}

func (r *reader) signed() (int64, error) {
	v, err := r.unsigned()
	return int64(v>>1) ^ -int64(v&1), err
}

// index reads a number below n.
func (r *reader) index(n int) (int, error) {
	v, err := r.unsigned()
	if err == nil && v >= uint64(max(n, 0)) {
		err = r.fail(fmt.Sprintf("%d where less than %d is possible", v, n))
	}
	return int(v), err
}

// element reads a Relu and an element of it.
func (r *reader) element(n *network) (relu, elem int, err error) {
	if relu, err = r.index(len(n.relus)); err == nil {
		elem, err = r.index(n.nodes[n.relus[relu]].n)
	}
	return relu, elem, err
}

// A goal is what every leaf of a tree is for: to refute a case, or to bound a linear function from below. Either may use the
// rows of the case, if there is one: points that violate a row need no refutation.
type goal struct {
	rows  []row
	bound []seed // nil to refute
}

// A walker checks trees against bounds.
type walker struct {
	in    *reader
	eval  *evaluator
	limit int64
	stats Stats
}

// Stats counts what a proof consists of.
type Stats struct {
	Leaves, Splits, Lemmas int
	Work                   int64 // products of integers
}

// tree checks the tree at the reader's position. For a bound it returns the least value over the leaves, nil when all are
// empty. live is the number of bounds that the path holds.
//
// Sound: the children of a split cover its set; a lemma holds on the whole set of the node that states it, and its bounds are
// handed to that node's child only.
func (w *walker) tree(b *Bounds, g *goal, depth, live int) (*big.Rat, error) {
	if w.eval.work > w.limit {
		return nil, w.in.fail("the limit of work is reached")
	}
	if depth > maxDepth || live > maxLive {
		return nil, w.in.fail("the tree is too deep")
	}
	tag, err := w.in.index(Empty + 1)
	if err != nil {
		return nil, err
	}
	switch tag {
	case SplitRelu:
		r, j, err := w.in.element(w.eval.net)
		if err != nil {
			return nil, err
		}
		w.stats.Splits++
		live += w.eval.net.nodes[w.eval.net.relus[r]].n
		return w.children(g, depth, live, func(second bool) (*Bounds, error) { return b.splitRelu(r, j, second), nil })
	case SplitInput:
		d, at, err := w.cut()
		if err != nil {
			return nil, err
		}
		w.stats.Splits++
		live += w.eval.net.size
		return w.children(g, depth, live, func(second bool) (*Bounds, error) {
			w.eval.work += 2 * int64(w.eval.net.macs)
			return b.splitInput(d, at, second)
		})
	case Tighten:
		if b, err = w.bounds(b, g.rows, depth, live); err != nil {
			return nil, err
		}
		return w.tree(b, g, depth+1, live+w.eval.net.size)
	case Leaf:
		w.stats.Leaves++
		return w.leaf(b, g)
	case Empty:
		if !b.empty {
			return nil, w.in.fail("bounds that are said to be empty are not")
		}
		w.stats.Leaves++
		return nil, nil
	}
	return nil, w.in.fail("an unknown kind of node")
}

// children checks two children and returns the lesser value.
func (w *walker) children(g *goal, depth, live int, child func(second bool) (*Bounds, error)) (*big.Rat, error) {
	var least *big.Rat
	for _, second := range []bool{false, true} {
		b, err := child(second)
		if err != nil {
			return nil, err
		}
		v, err := w.tree(b, g, depth+1, live)
		if err != nil {
			return nil, err
		}
		if least == nil || v != nil && v.Cmp(least) < 0 {
			least = v
		}
	}
	return least, nil
}

// cut reads the place of an input split.
func (w *walker) cut() (dim int, at *big.Rat, err error) {
	if dim, err = w.in.index(w.eval.net.nodes[0].n); err != nil {
		return 0, nil, err
	}
	num, err := w.in.signed()
	if err != nil {
		return 0, nil, err
	}
	exp, err := w.in.signed()
	if err != nil || exp < -1100 || exp > 1100 {
		return 0, nil, w.in.fail("a bad place of a split")
	}
	return dim, scaled(big.NewInt(num), int(exp)), nil
}

// leaf reads multipliers and evaluates the inequality.
func (w *walker) leaf(b *Bounds, g *goal) (*big.Rat, error) {
	count, err := w.in.index(len(g.rows) + 1)
	if err != nil {
		return nil, err
	}
	exp := uint64(0) // the weights are integers times 2^-exp
	if count > 0 {
		if exp, err = w.in.unsigned(); err != nil || exp > maxExp {
			return nil, w.in.fail("an exponent out of range")
		}
	}
	seeds, constant, strict, i := append([]seed(nil), g.bound...), new(big.Rat), false, -1
	for range count {
		gap, err := w.in.index(len(g.rows) - i - 1)
		if err != nil {
			return nil, err
		}
		i += gap + 1
		v, err := w.in.unsigned()
		if err != nil {
			return nil, err
		}
		m := scaled(new(big.Int).SetUint64(v), int(exp))
		for _, s := range g.rows[i].seeds {
			seeds = append(seeds, seed{s.node, s.elem, new(big.Rat).Mul(s.c, m)})
		}
		constant.Sub(constant, m.Mul(m, g.rows[i].rhs))
		strict = strict || g.rows[i].strict && v > 0
	}
	choose, err := newChooser(w.in, len(w.eval.net.relus))
	if err != nil {
		return nil, err
	}
	v, err := w.eval.lower(b, seeds, constant, choose)
	if err != nil {
		return nil, err
	}
	if choose.next >= 0 {
		return nil, w.in.fail("multipliers of a Relu that does not matter")
	}
	if g.bound == nil && (v.Sign() < 0 || v.Sign() == 0 && !strict) {
		f, _ := v.Float64()
		return nil, w.in.fail(fmt.Sprintf("a leaf that proves %g only", f))
	}
	return v, nil
}

// bounds reads lemmas, one after the other, and returns bounds narrowed by all of them.
func (w *walker) bounds(b *Bounds, rows []row, depth, live int) (*Bounds, error) {
	n := w.eval.net
	count, err := w.in.index(1 << 31)
	if err != nil {
		return nil, err
	}
	for range count {
		r, j, err := w.in.element(n)
		if err != nil {
			return nil, err
		}
		side, err := w.in.index(Layer + 1)
		if err != nil {
			return nil, err
		}
		k := n.nodes[n.relus[r]].src
		if side == Layer {
			for ; j < n.nodes[k].n; j++ {
				if b, err = w.recompute(b, k, j); err != nil {
					return nil, err
				}
			}
			continue
		}
		v, err := w.tree(b, &goal{rows: rows, bound: sideOf(k, j, side)}, depth+1, live+n.size)
		if err != nil {
			return nil, err
		}
		w.stats.Lemmas++
		b = b.lemma(k, j, side, v)
	}
	return b, nil
}

// recompute bounds both sides of one element, if it is open, with computed multipliers.
func (w *walker) recompute(b *Bounds, k, j int) (*Bounds, error) {
	for side := Lower; side <= Upper; side++ {
		if b.lo[k][j] >= 0 || b.hi[k][j] <= 0 {
			return b, nil
		}
		if w.eval.work > w.limit {
			return nil, w.in.fail("the limit of work is reached")
		}
		v, err := w.eval.lower(b, sideOf(k, j, side), nil, &chooser{next: -1})
		if err != nil {
			return nil, err
		}
		w.stats.Lemmas++
		b = b.lemma(k, j, side, v)
	}
	return b, nil
}

// sideOf returns v or −v for one element.
func sideOf(k, j, side int) []seed {
	c := big.NewRat(1, 1)
	if side == Upper {
		c.SetInt64(-1)
	}
	return []seed{{k, j, c}}
}

// lemma returns bounds that know v_kj ≥ v, or −v_kj ≥ v for the upper side; v nil: the set is empty.
func (b *Bounds) lemma(k, j, side int, v *big.Rat) *Bounds {
	lo := int64(1) << boundBits // beyond every upper bound
	if v != nil {
		f := floorRat(v, b.fr.exp[k])
		if f.BitLen() <= boundBits {
			lo = f.Int64()
		} else if f.Sign() < 0 {
			return b
		}
	}
	if side == Lower {
		return b.with(k, j, lo, never)
	}
	return b.with(k, j, -never, -lo)
}
