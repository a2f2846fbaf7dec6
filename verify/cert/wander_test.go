package cert

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/verify/kernel"
)

// A wanderer proves a case with nodes of every kind in random order.
type wanderer struct {
	rng   *rand.Rand
	rows  int
	left  int
	kinds map[int]int
}

var errLost = errors.New("lost")

// wander returns a proof with nodes of every kind, nil when it gives up.
func wander(in *instance, seed uint64, kinds map[int]int) *Proof {
	b, err := NewBuilder(in.p)
	if err != nil {
		panic(err)
	}
	for c, box := range b.boxes {
		if box < 0 {
			continue
		}
		w := &wanderer{rng: rand.New(rand.NewPCG(seed, 5)), rows: b.rows[c], left: 300, kinds: kinds}
		n, err := w.node(&stage{s: b.s, c: c}, b.bounds[box], 0)
		if err != nil {
			return nil
		}
		b.SetCase(c, n)
	}
	p, err := b.Proof()
	if err != nil {
		panic(err)
	}
	return p
}

// lemmas returns lemmas for some elements, one side or both.
func (w *wanderer) lemmas(st *stage) (l []Lemma) {
	for r, n := range st.s.Sizes() {
		for j := range n {
			switch side := w.rng.IntN(5); {
			case side < kernel.Layer:
				l = append(l, Lemma{r, j, side, &Node{Kind: kernel.Leaf}})
			case side <= kernel.Both:
				l = append(l, Lemma{Relu: r, Elem: j, Side: side})
			}
		}
	}
	return l
}

// nu returns multipliers: computed ones, or those with random slopes.
func (w *wanderer) nu(st *stage, b *kernel.Bounds) Nu {
	n := Nu{Mode: kernel.Recompute}
	if w.rng.IntN(2) == 0 {
		n.Mode = kernel.Hint
		for r := len(st.s.Sizes()) - 1; r >= 0; r-- {
			l := Layer{Relu: r, Exp: 8}
			for j := range st.s.Sizes()[r] {
				if lo, hi := b.Interval(r, j); lo < 0 && hi > 0 {
					l.Slopes = append(l.Slopes, byte(w.rng.IntN(256)))
				}
			}
			n.Layers = append(n.Layers, l)
		}
	}
	return n
}

func (w *wanderer) node(st *stage, b *kernel.Bounds, depth int) (*Node, error) {
	if w.left--; w.left < 0 || depth > 40 {
		return nil, errLost
	}
	fresh, err := b.Fresh()
	if err != nil {
		return nil, err
	}
	if fresh.IsEmpty() {
		w.kinds[kernel.Empty]++
		return &Node{Kind: kernel.Empty}, nil
	}
	t := kernel.Target{Case: st.c, Relu: -1}
	for r := range w.rows {
		n := &Node{Kind: kernel.Leaf, Rows: []Weight{{r, 1}}}
		if _, err := st.s.Tree(b, t, appendNode(nil, n)); err == nil {
			w.kinds[kernel.Leaf]++
			return n, nil
		}
	}
	n := &Node{Kind: 1 + w.rng.IntN(8), Rows: []Weight{{w.rng.IntN(max(w.rows, 1)), 1 + w.rng.Uint64N(3)}}, Nu: w.nu(st, b)}
	var next []*kernel.Bounds
	from := st
	switch n.Kind {
	case kernel.SplitRelu:
		var open [][2]int
		for r, size := range st.s.Sizes() {
			for j := range size {
				if lo, hi := b.Interval(r, j); lo < 0 && hi > 0 {
					open = append(open, [2]int{r, j})
				}
			}
		}
		if len(open) == 0 {
			return w.node(st, b, depth+1)
		}
		e := open[w.rng.IntN(len(open))]
		n.Relu, n.Elem = e[0], e[1]
		next = []*kernel.Bounds{b.SplitRelu(e[0], e[1], false), b.SplitRelu(e[0], e[1], true)}
	case kernel.SplitInput:
		next = make([]*kernel.Bounds, 2)
		lo, hi := b.Interval(-1, 0)
		n.Num, n.Exp = dyadic(coarse(lo, hi))
		for side := range next {
			if next[side], err = b.SplitInput(0, n.Num, int(n.Exp), side == 1); err != nil {
				return nil, err
			}
		}
	case kernel.Tighten:
		n.Lemmas = w.lemmas(st)
		next = make([]*kernel.Bounds, 1)
		next[0], err = st.s.Bounds(b, st.c, appendLemmas(nil, n.Lemmas))
	case kernel.Lean:
		n.Lemmas = w.lemmas(st)
		next = make([]*kernel.Bounds, 1)
		next[0], err = st.s.Lean(b, st.c, appendNode(nil, n)[1:])
	case kernel.Clip:
		next = make([]*kernel.Bounds, 1)
		next[0], err = st.s.Clip(b, st.c, appendNode(nil, n)[1:])
	case kernel.Reduce:
		next = make([]*kernel.Bounds, 1)
		from = &stage{}
		from.s, next[0], err = st.s.Reduce(b, st.c)
	default:
		return w.node(st, b, depth+1)
	}
	if err != nil {
		return nil, err
	}
	for _, nb := range next {
		c, err := w.node(from, nb, depth+1)
		if err != nil {
			return nil, err
		}
		n.Child = append(n.Child, c)
	}
	w.kinds[n.Kind]++
	return n, nil
}

// TestWander: proofs with nodes of every kind are accepted, and none of them for a question with a counterexample, however close.
func TestWander(t *testing.T) {
	n := uint64(1500)
	if testing.Short() {
		n = 200
	}
	kinds, proved := map[int]int{}, 0
	for seed := range n {
		unsat, sat := twins(t, seed)
		for i, in := range []*instance{unsat, sat} {
			in.p.Semantics = byte(seed % 2) // what holds for every binary32 execution holds in real arithmetic
			proof := wander(in, seed, kinds)
			if proof == nil {
				continue
			}
			if proved++; i == 1 {
				t.Fatalf("seed %d: a proof of something false\n%s", seed, in.query)
			}
			if r := in.p.Check(proof.Encode()); !r.Accepted {
				t.Fatalf("seed %d: %v", seed, r)
			}
		}
	}
	t.Logf("%d proofs, nodes by kind %v", proved, kinds)
	for k := kernel.SplitRelu; k <= kernel.Lean; k++ {
		if uint64(kinds[k]) < n/40 {
			t.Errorf("%d nodes of kind %d: too few to test much", kinds[k], k)
		}
	}
}
