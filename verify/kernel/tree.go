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
	Reduce     = 6 // child, on the network without decided Relus
	Clip       = 7 // multipliers of rows, multipliers of Relus, child
	Lean       = 8 // multipliers of rows, multipliers of Relus, bounds, child
)

// The sides of a bound lemma.
const (
	Lower = 0 // relu, element, Lower, tree
	Upper = 1 // relu, element, Upper, tree
	Layer = 2 // relu, first element, Layer: every open element from there on, both sides, Recompute
	Both  = 3 // relu, element, Both: the element, both sides, Recompute
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

// A goal is what every leaf of a tree is for: to refute a case, or to bound one side of an element from below. Either may use
// the rows of the case, if there is one: points that violate a row need no refutation.
type goal struct {
	rows  []row
	ready []objective // the rows with weight 1, nil for a bound
	bound []start     // nil to refute
	node  int         // whose element is bounded
}

// An objective is what a row's left side minus its right one starts from.
type objective struct {
	starts   []start
	constant sum
}

var unit = big.NewRat(1, 1)

func refute(rows []row) *goal {
	g := &goal{rows: rows}
	for _, r := range rows {
		o := objective{starts: starts(nil, r.seeds, unit)}
		o.constant.addRat(new(big.Rat).Neg(r.rhs))
		g.ready = append(g.ready, o)
	}
	return g
}

// A walker checks trees against bounds.
type walker struct {
	in    *reader
	eval  *evaluator
	stats Stats
	value sum // of the last leaf or clip, for writers of proofs
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

// tree checks the tree at the reader's position. For a bound it returns the least value over the leaves, in units of the bounds of
// its node, never when all are empty. live is the number of bounds that the path holds.
//
// Sound: the children of a split cover its set; a lemma holds on the whole set of the node that states it, and its bounds are
// handed to that node's child only.
func (w *walker) tree(b *Bounds, g *goal, depth, live int) int64 {
	need(depth <= maxDepth && live <= maxLive, "the tree is too deep at byte %d", w.in.at)
	size := w.eval.net.size
	switch w.in.unsigned() {
	case SplitRelu:
		r, j := w.element()
		w.stats.Splits++
		w.eval.spend(size)
		least := w.tree(b.SplitRelu(r, j, false), g, depth+1, live+size)
		return min(least, w.tree(b.SplitRelu(r, j, true), g, depth+1, live+size))
	case SplitInput:
		d := w.in.index(w.eval.net.nodes[0].n)
		at := scaled(big.NewInt(w.in.signed(never)), int(w.in.signed(1100)))
		w.stats.Splits++
		w.eval.spend(4 * size)
		least := w.tree(b.splitInput(d, at, false), g, depth+1, live+size)
		return min(least, w.tree(b.splitInput(d, at, true), g, depth+1, live+size))
	case Tighten:
		return w.tree(w.bounds(w.fresh(b), g.rows, depth, live), g, depth+1, live+size)
	case Clip:
		w.eval.spend(4 * size)
		return w.tree(w.clip(b, g), g, depth+1, live+size)
	case Lean:
		return w.tree(w.lean(w.fresh(b), g, depth, live), g, depth+1, live+size)
	case Reduce:
		need(g.bound == nil, "a bound cannot leave its network at byte %d", w.in.at)
		n, nb, ng := w.eval.reduce(w.fresh(b), g, live)
		outer := w.eval
		w.eval = newEvaluator(n, outer.budget)
		v := w.tree(nb, ng, depth+1, live+n.size+n.macs)
		w.eval = outer
		return v
	case Leaf:
		w.stats.Leaves++
		return w.leaf(w.fresh(b), g)
	case Empty:
		need(w.fresh(b).empty, "bounds that are said to be empty are not at byte %d", w.in.at)
		w.stats.Leaves++
		return never
	}
	need(false, "an unknown kind of node at byte %d", w.in.at)
	return 0
}

// objective reads the weights of rows and adds their weighted sum to base; strict reports whether a value of 0 refutes.
func (w *walker) objective(g *goal, base []start) (o objective, strict bool) {
	o.starts = base[:len(base):len(base)]
	count, i := w.in.index(len(g.rows)+1), -1
	if count == 0 {
		return o, false
	}
	exp, constant := w.in.index(maxExp+1), new(big.Rat)
	for range count {
		i += w.in.index(len(g.rows)-i-1) + 1
		v := w.in.unsigned()
		strict = strict || g.rows[i].strict && v > 0
		if g.ready != nil && count == 1 && exp == 0 && v == 1 {
			return g.ready[i], strict
		}
		m := scaled(new(big.Int).SetUint64(v), exp)
		o.starts = starts(o.starts, g.rows[i].seeds, m)
		constant.Sub(constant, m.Mul(m, g.rows[i].rhs))
	}
	o.constant.addRat(constant)
	return o, strict
}

// evaluate reads multipliers and evaluates the inequality.
func (w *walker) evaluate(b *Bounds, o objective) sum {
	w.value = w.eval.lower(b, o.starts, o.constant, newChooser(w.in, len(w.eval.net.relus)))
	return w.value
}

// fresh narrows what lies behind the input, if that was narrowed.
func (w *walker) fresh(b *Bounds) *Bounds {
	if b.stale {
		w.eval.spend(4 * (w.eval.net.size + w.eval.net.macs))
	}
	return b.fresh()
}

// leaf checks or evaluates a leaf.
func (w *walker) leaf(b *Bounds, g *goal) int64 {
	o, strict := w.objective(g, g.bound)
	v := w.evaluate(b, o)
	if g.bound != nil {
		return v.units(b.fr.exp[g.node])
	}
	if s := v.sign(); s < 0 || s == 0 && !strict {
		need(false, "a leaf that proves %g only, up to byte %d", v.float(), w.in.at)
	}
	return 0
}

// clip reads multipliers for rows and returns the bounds of the points where the form they prove is ≤ 0: the others violate a row.
//
// Sound: the form is Σ a·x + c with least value v. Where it is ≤ 0 every a_d·x_d is at most its least value plus −v, so that x_d is
// within |v/a_d| of the end at which a_d·x_d is least.
func (w *walker) clip(b *Bounds, g *goal) *Bounds {
	o, _ := w.objective(g, nil)
	v, c := w.evaluate(b, o), b.copy(0)
	c.empty = c.empty || v.sign() > 0
	if c.empty || !w.eval.used[0] {
		return c
	}
	for d, a := range w.eval.acc[0] {
		switch step := int64(0); {
		case a == (i128{}):
		case a.negative():
			step = quotient(v, a, w.eval.exp[0], b.fr.exp[0])
			c.narrow(0, d, b.hi[0][d]-step, never)
		default:
			step = quotient(v, a, w.eval.exp[0], b.fr.exp[0])
			c.narrow(0, d, -never, b.lo[0][d]+step)
		}
	}
	c.stale = true
	return c
}

// quotient returns a number ≥ |v|/|a·2^-aexp| in units of 2^-exp, at most 2^(boundBits+1).
func quotient(v sum, a i128, aexp, exp int) int64 {
	num, den := v.v.big(), a.abs().wide(0).big()
	num.Abs(num)
	if s := exp + aexp - v.exp; s >= 0 {
		num.Lsh(num, uint(s))
	} else {
		den.Lsh(den, uint(-s))
	}
	num.Add(num, den).Sub(num, big.NewInt(1)).Quo(num, den)
	if num.BitLen() > boundBits+1 {
		return 2 << boundBits
	}
	return num.Int64()
}

// bounds reads lemmas, one after the other, and returns bounds narrowed by all of them. Bounds of one node narrow, by intervals, those
// of later nodes; where a whole layer is bounded next, or came last, that is not worth its price.
func (w *walker) bounds(b *Bounds, rows []row, depth, live int) *Bounds {
	n, own, from, side := w.eval.net, -1, -1, Layer // own: the node whose bounds are b's own already; from: the first one narrowed
	for range w.in.index(1 << 31) {
		r, j := w.element()
		k := n.nodes[n.relus[r]].src
		if side = w.in.index(Both + 1); side != Layer && from >= 0 && from != k {
			w.behind(b, from)
			own, from = -1, -1
		}
		last := j
		if side == Layer {
			last = n.nodes[k].n - 1
			w.eval.spend(n.nodes[k].n)
		}
		for ; j <= last; j++ {
			first := Lower // the side that more likely decides the sign, after which the other does not matter
			if side >= Layer && -b.lo[k][j] > b.hi[k][j] {
				first = Upper
			}
			for _, s := range [2]int{first, Upper - first} {
				var v int64
				switch {
				case side >= Layer && b.lo[k][j] < 0 && b.hi[k][j] > 0:
					x := w.eval.lower(b, sideOf(k, j, s), sum{}, &chooser{next: -1})
					v = x.units(b.fr.exp[k])
				case side == s:
					v = w.tree(b, &goal{rows: rows, bound: sideOf(k, j, s), node: k}, depth+1, live+n.size)
				default:
					continue
				}
				if w.stats.Lemmas++; own != k {
					w.eval.spend(n.nodes[k].n)
					b, own = b.copy(k), k
				}
				if from < 0 {
					from = k
				}
				b.lemma(k, j, s, min(v, 2<<boundBits))
			}
		}
	}
	if from >= 0 && side != Layer {
		w.behind(b, from)
	}
	return b
}

// behind narrows, in place, what lies behind a node whose bounds were narrowed.
func (w *walker) behind(b *Bounds, k int) {
	if n := w.eval.net; !b.empty {
		w.eval.spend(2 * (n.size + n.macs))
		b.propagate(k, false)
	}
}

// sideOf returns v or −v for one element.
func sideOf(k, j, side int) []start { return []start{{node: k, elem: j, v: int64(1 - 2*side)}} }

// lemma makes b, which nobody else holds, know v_kj ≥ v, or −v_kj ≥ v for the upper side.
func (b *Bounds) lemma(k, j, side int, v int64) {
	if side == Lower {
		b.narrow(k, j, v, never)
	} else {
		b.narrow(k, j, -never, -v)
	}
}
