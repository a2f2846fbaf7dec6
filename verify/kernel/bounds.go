package kernel

import (
	"math"
	"math/big"
)

// A frame is what stays fixed over one box.
type frame struct {
	net *network
	exp []int // per node: its bounds are v·2^-exp with |v| ≤ 2^boundBits
	// slack, in units of the bounds, is what rounded weights and binary32 arithmetic (float32.go) can change a node's elements by,
	// nil for nothing.
	slack   [][]int64
	float32 bool
}

// Bounds are intervals that contain the value of every node's elements at every point of a set: points of a box on one side
// of some decisions. They are immutable: what narrows them returns new ones that share what did not change.
type Bounds struct {
	fr     *frame
	lo, hi [][]int64 // nil for Relu nodes: theirs follow from the node before
	empty  bool      // the set is known to be empty
	stale  bool      // the input was narrowed, and nothing behind it yet
}

const never = math.MaxInt64 // a bound that narrows nothing: +never above, −never below

func newFrame(n *network) *frame {
	return &frame{net: n, exp: make([]int, len(n.nodes)), slack: make([][]int64, len(n.nodes))}
}

// root bounds every node over the box [lo, hi], rounded outward: in real arithmetic, or in every binary32 execution.
func (n *network) root(lo, hi []*big.Rat, float32 bool) *Bounds {
	fr := newFrame(n)
	fr.float32 = float32
	b := &Bounds{fr: fr, lo: make([][]int64, len(n.nodes)), hi: make([][]int64, len(n.nodes))}
	top := 0
	for i := range lo {
		top = max(top, ratBits(lo[i]), ratBits(hi[i]))
	}
	fr.exp[0] = boundBits - 2 - top
	for i := range lo {
		b.lo[0] = append(b.lo[0], floorRat(lo[i], fr.exp[0]).Int64())
		b.hi[0] = append(b.hi[0], -floorRat(new(big.Rat).Neg(hi[i]), fr.exp[0]).Int64())
	}
	b.lo[one], b.hi[one] = []int64{1}, []int64{1}
	b.propagate(0, true)
	return b
}

// ratBits returns an n ≥ 0 with |r| < 2^n.
func ratBits(r *big.Rat) int { return max(0, r.Num().BitLen()-r.Denom().BitLen()+1) }

// propagate narrows every affine node after the given one by interval arithmetic, in place like narrow; at the root it chooses
// exponents and slack first.
func (b *Bounds) propagate(after int, root bool) {
	fr := b.fr
	for k := after + 1; k < len(fr.net.nodes); k++ {
		nd := &fr.net.nodes[k]
		if nd.kind == relu && root {
			fr.exp[k] = fr.exp[nd.src]
		}
		if nd.kind != affine {
			continue
		}
		lo, hi, off, exp := b.image(nd)
		if root {
			top, errors := off.bitLen(), b.errors(nd, off, exp)
			for _, e := range errors {
				top = max(top, e.bitLen())
			}
			for j := range lo {
				top = max(top, lo[j].bitLen(), hi[j].bitLen())
				if nd.slack != nil {
					top = max(top, nd.slack[j].v.bitLen()+exp-nd.slack[j].exp)
				}
			}
			fr.exp[k] = min(boundBits, boundBits-3-top+exp)
			if off != (i256{}) || errors != nil || nd.slack != nil {
				fr.slack[k] = make([]int64, nd.n)
				for j := range lo {
					fr.slack[k][j] = -off.negated().floor(exp - fr.exp[k])
					if nd.slack != nil {
						fr.slack[k][j] -= nd.slack[j].units(fr.exp[k])
					}
					if errors != nil {
						fr.slack[k][j] += 1 - errors[j].negated().floor(exp-fr.exp[k])
					}
				}
			}
		}
		l, u := make([]int64, nd.n), make([]int64, nd.n)
		for j := range l {
			x, y := lo[j].floor(exp-fr.exp[k]), -hi[j].negated().floor(exp-fr.exp[k])
			if fr.slack[k] != nil {
				x, y = x-fr.slack[k][j], y+fr.slack[k][j]
			}
			if !root {
				x, y = max(x, b.lo[k][j]), min(y, b.hi[k][j])
			}
			b.empty = b.empty || x > y
			l[j], u[j] = x, y
		}
		b.lo[k], b.hi[k] = l, u
	}
}

// image returns the interval image of a node's stored maps and a bound on what their rounding changes, times 2^-exp.
func (b *Bounds) image(nd *node) (lo, hi []i256, off i256, exp int) {
	exp = math.MinInt32
	for i := range nd.terms {
		exp = max(exp, nd.terms[i].w.exp+b.fr.exp[nd.terms[i].src])
	}
	lo, hi = make([]i256, nd.n), make([]i256, nd.n)
	for i := range nd.terms {
		t := &nd.terms[i]
		l, u := b.of(t.src)
		shift := exp - t.w.exp - b.fr.exp[t.src]
		need(shift <= sumBits-6-accBits, "node %q: %s", nd.name, tooWide) // of at most 64 terms
		p, q := make([]i128, nd.n), make([]i128, nd.n)
		t.forward(l, u, p, q)
		for j := range p {
			lo[j], hi[j] = lo[j].plus(p[j].wide(shift)), hi[j].plus(q[j].wide(shift))
		}
		if t.w.rounded { // by 2·2^-w.exp in every product
			most := int64(0)
			for j := range l {
				most = max(most, u[j], -l[j])
			}
			off = off.plus(mul64(most, 2*int64(t.fan)).wide(shift))
		}
	}
	return lo, hi, off, exp
}

// of returns the intervals of any node; those of a Relu are made from the node before.
func (b *Bounds) of(k int) (lo, hi []int64) {
	nd := &b.fr.net.nodes[k]
	if nd.kind != relu {
		return b.lo[k], b.hi[k]
	}
	lo, hi = make([]int64, nd.n), make([]int64, nd.n)
	for j := range lo {
		lo[j], hi[j] = max(b.lo[nd.src][j], 0), max(b.hi[nd.src][j], 0)
	}
	return lo, hi
}

// copy returns bounds whose vectors of node k may be written to.
func (b *Bounds) copy(k int) *Bounds {
	c := *b
	c.lo, c.hi = append([][]int64(nil), b.lo...), append([][]int64(nil), b.hi...)
	c.lo[k], c.hi[k] = append([]int64(nil), b.lo[k]...), append([]int64(nil), b.hi[k]...)
	return &c
}

// narrow intersects element j of node k with [lo, hi], in place: b comes from copy(k) and nobody else holds it.
func (b *Bounds) narrow(k, j int, lo, hi int64) {
	b.lo[k][j], b.hi[k][j] = max(b.lo[k][j], lo), min(b.hi[k][j], hi)
	b.empty = b.empty || b.lo[k][j] > b.hi[k][j]
}

// with returns bounds whose element j of node k is narrowed to [lo, hi].
func (b *Bounds) with(k, j int, lo, hi int64) *Bounds {
	c := b.copy(k)
	c.narrow(k, j, lo, hi)
	return c
}

// SplitRelu returns the bounds of the points at which element j before the r-th Relu is ≤ 0, or ≥ 0 if active.
func (b *Bounds) SplitRelu(r, j int, active bool) *Bounds {
	k := b.fr.net.nodes[b.fr.net.relus[r]].src
	if active {
		return b.with(k, j, 0, never)
	}
	return b.with(k, j, -never, 0)
}

// splitInput returns the bounds of the points with x[d] ≤ at, or ≥ at if above, rounded outward.
func (b *Bounds) splitInput(d int, at *big.Rat, above bool) *Bounds {
	c := b.with(0, d, -never, -clamp(new(big.Rat).Neg(at), b.fr.exp[0]))
	if above {
		c = b.with(0, d, clamp(at, b.fr.exp[0]), never)
	}
	c.stale = true
	return c
}

// fresh returns bounds whose nodes are narrowed by those of the input.
func (b *Bounds) fresh() *Bounds {
	if !b.stale || b.empty {
		return b
	}
	c := b.copy(0)
	c.stale = false
	c.propagate(0, false)
	return c
}

// clamp returns ⌊r·2^exp⌋, or a number that is beyond all bounds on the same side.
func clamp(r *big.Rat, exp int) int64 {
	switch v := floorRat(r, exp); {
	case v.BitLen() <= boundBits:
		return v.Int64()
	case v.Sign() < 0:
		return -2 << boundBits
	}
	return 2 << boundBits
}
