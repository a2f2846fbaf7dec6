package kernel

import (
	"encoding/binary"
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

func (r *reader) take(n int) []byte {
	need(n >= 0 && n <= len(r.data)-r.at, "the proof ends too early")
	r.at += n
	return r.data[r.at-n : r.at]
}

func (r *reader) unsigned() uint64 {
	v, n := binary.Uvarint(r.data[r.at:])
	need(n > 0, "no number at byte %d", r.at)
	r.at += n
	return v
}

// signed reads a number of at most the given magnitude.
func (r *reader) signed(most int64) int64 {
	u := r.unsigned()
	v := int64(u>>1) ^ -int64(u&1)
	need(v >= -most && v <= most, "a number out of range at byte %d", r.at)
	return v
}

// index reads a number below n.
func (r *reader) index(n int) int {
	v := r.unsigned()
	need(n > 0 && v < uint64(n), "%d where less than %d is possible at byte %d", v, n, r.at)
	return int(v)
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
	stats Stats
}

// Stats counts what a proof consists of.
type Stats struct {
	Leaves, Splits, Lemmas int
	Work                   int64 // products of integers
}

// element reads a Relu and an element of it.
func (w *walker) element() (relu, elem int) {
	n := w.eval.net
	relu = w.in.index(len(n.relus))
	return relu, w.in.index(n.nodes[n.relus[relu]].n)
}

// tree checks the tree at the reader's position. For a bound it returns the least value over the leaves, nil when all are
// empty. live is the number of bounds that the path holds.
//
// Sound: the children of a split cover its set; a lemma holds on the whole set of the node that states it, and its bounds are
// handed to that node's child only.
func (w *walker) tree(b *Bounds, g *goal, depth, live int) *big.Rat {
	need(depth <= maxDepth && live <= maxLive, "the tree is too deep at byte %d", w.in.at)
	size := w.eval.net.size
	switch w.in.unsigned() {
	case SplitRelu:
		r, j := w.element()
		w.stats.Splits++
		w.eval.spend(size)
		least := w.tree(b.SplitRelu(r, j, false), g, depth+1, live+size)
		return lesser(least, w.tree(b.SplitRelu(r, j, true), g, depth+1, live+size))
	case SplitInput:
		d := w.in.index(w.eval.net.nodes[0].n)
		at := scaled(big.NewInt(w.in.signed(never)), int(w.in.signed(1100)))
		w.stats.Splits++
		w.eval.spend(4 * (size + w.eval.net.macs))
		least := w.tree(b.splitInput(d, at, false), g, depth+1, live+size)
		return lesser(least, w.tree(b.splitInput(d, at, true), g, depth+1, live+size))
	case Tighten:
		return w.tree(w.bounds(b, g.rows, depth, live), g, depth+1, live+size)
	case Leaf:
		w.stats.Leaves++
		return w.leaf(b, g)
	case Empty:
		need(b.empty, "bounds that are said to be empty are not at byte %d", w.in.at)
		w.stats.Leaves++
		return nil
	}
	need(false, "an unknown kind of node at byte %d", w.in.at)
	return nil
}

// lesser returns the minimum; nil stands for infinity.
func lesser(a, b *big.Rat) *big.Rat {
	if a == nil || b != nil && b.Cmp(a) < 0 {
		return b
	}
	return a
}

// leaf reads multipliers and evaluates the inequality.
func (w *walker) leaf(b *Bounds, g *goal) *big.Rat {
	seeds, constant, strict, i := append([]seed(nil), g.bound...), new(big.Rat), false, -1
	if count := w.in.index(len(g.rows) + 1); count > 0 {
		exp := w.in.index(maxExp + 1)
		for range count {
			i += w.in.index(len(g.rows)-i-1) + 1
			m := scaled(new(big.Int).SetUint64(w.in.unsigned()), exp)
			strict = strict || g.rows[i].strict && m.Sign() > 0
			for _, s := range g.rows[i].seeds {
				seeds = append(seeds, seed{s.node, s.elem, new(big.Rat).Mul(s.c, m)})
			}
			constant.Sub(constant, m.Mul(m, g.rows[i].rhs))
		}
	}
	v := w.eval.lower(b, seeds, constant, newChooser(w.in, len(w.eval.net.relus)))
	f, _ := v.Float64() // for the message
	need(g.bound != nil || v.Sign() > 0 || v.Sign() == 0 && strict, "a leaf that proves %g only, up to byte %d", f, w.in.at)
	return v
}

// bounds reads lemmas, one after the other, and returns bounds narrowed by all of them.
func (w *walker) bounds(b *Bounds, rows []row, depth, live int) *Bounds {
	n := w.eval.net
	for range w.in.index(1 << 31) {
		r, j := w.element()
		side, k := w.in.index(Layer+1), n.nodes[n.relus[r]].src
		w.eval.spend(n.nodes[k].n)
		if side != Layer {
			w.stats.Lemmas++
			b = b.lemma(k, j, side, w.tree(b, &goal{rows: rows, bound: sideOf(k, j, side)}, depth+1, live+n.size))
			continue
		}
		for ; j < n.nodes[k].n; j++ {
			for side := Lower; side <= Upper && b.lo[k][j] < 0 && b.hi[k][j] > 0; side++ {
				w.stats.Lemmas++
				w.eval.spend(n.nodes[k].n)
				b = b.lemma(k, j, side, w.eval.lower(b, sideOf(k, j, side), new(big.Rat), &chooser{next: -1}))
			}
		}
	}
	return b
}

// sideOf returns v or −v for one element.
func sideOf(k, j, side int) []seed { return []seed{{k, j, big.NewRat(int64(1-2*side), 1)}} }

// lemma returns bounds that know v_kj ≥ v, or −v_kj ≥ v for the upper side; v nil: the set is empty.
func (b *Bounds) lemma(k, j, side int, v *big.Rat) *Bounds {
	lo := int64(2 << boundBits) // beyond every upper bound
	if v != nil {
		lo = clamp(v, b.fr.exp[k])
	}
	if side == Lower {
		return b.with(k, j, lo, never)
	}
	return b.with(k, j, -never, -lo)
}
