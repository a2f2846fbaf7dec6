package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// A frame is what stays fixed over one box: the exponents of bounds and the rounding errors of nodes.
type frame struct {
	net    *network
	exp    []int     // per node; the bounds of node k are v·2^-exp[k] with |v| < 2^boundBits
	err    [][]int64 // per node, nil for none: the stored map is off by at most err·2^-errExp
	errExp []int
	slack  [][]int64 // err in units of the bounds, rounded up
}

// Bounds are intervals that contain the value of every node's elements at every point of a set: points of a box on one side
// of some decisions. They are immutable: what narrows them returns new ones that share what did not change.
type Bounds struct {
	fr     *frame
	lo, hi [][]int64 // nil for Relu nodes: theirs follow from the node before
	empty  bool      // the set is known to be empty
}

var errWide = errors.New("the numbers of this network spread over too many magnitudes")

// root bounds every node over the box [lo, hi], rounded outward.
func (n *network) root(lo, hi []*big.Rat) (*Bounds, error) {
	size := len(n.nodes)
	fr := &frame{net: n, exp: make([]int, size), err: make([][]int64, size), errExp: make([]int, size), slack: make([][]int64, size)}
	b := &Bounds{fr: fr, lo: make([][]int64, size), hi: make([][]int64, size)}
	top := 0
	for i := range lo {
		top = max(top, ratBits(lo[i]), ratBits(hi[i]))
	}
	if top > 130 {
		return nil, errWide
	}
	fr.exp[0] = min(boundBits, boundBits-2-top)
	b.lo[0], b.hi[0] = make([]int64, len(lo)), make([]int64, len(lo))
	for i := range lo {
		b.lo[0][i] = floorRat(lo[i], fr.exp[0]).Int64()
		b.hi[0][i] = -floorRat(new(big.Rat).Neg(hi[i]), fr.exp[0]).Int64()
	}
	return b, b.propagate(true)
}

// ratBits returns an n ≥ 0 with |r| < 2^n.
func ratBits(r *big.Rat) int { return max(0, r.Num().BitLen()-r.Denom().BitLen()+1) }

// propagate narrows every affine node by interval arithmetic; at the root it chooses exponents and errors first.
func (b *Bounds) propagate(root bool) error {
	fr := b.fr
	for k := range fr.net.nodes {
		nd := &fr.net.nodes[k]
		if nd.kind != affine {
			if nd.kind == relu {
				fr.exp[k] = fr.exp[nd.src]
			}
			continue
		}
		lo, hi, exp, err := b.image(nd, root, k)
		if err != nil {
			return fmt.Errorf("node %q: %w", nd.name, err)
		}
		if root {
			top := 0
			for j := range lo {
				top = max(top, lo[j].bitLen(), hi[j].bitLen())
			}
			fr.exp[k] = min(boundBits, boundBits-2-top+exp)
			if err := fr.setSlack(k); err != nil {
				return fmt.Errorf("node %q: %w", nd.name, err)
			}
		}
		l, u := make([]int64, nd.n), make([]int64, nd.n)
		for j := range l {
			x, ok1 := lo[j].floor(exp - fr.exp[k])
			y, ok2 := hi[j].negated().floor(exp - fr.exp[k])
			y = -y
			if fr.slack[k] != nil {
				x, y = x-fr.slack[k][j], y+fr.slack[k][j]
			}
			if !root {
				x, y = max(x, b.lo[k][j]), min(y, b.hi[k][j])
			}
			if !ok1 || !ok2 || max(x, -x) >= 1<<boundBits || max(y, -y) >= 1<<boundBits {
				return fmt.Errorf("node %q: %w", nd.name, errWide)
			}
			b.empty = b.empty || x > y
			l[j], u[j] = x, y
		}
		b.lo[k], b.hi[k] = l, u
	}
	return nil
}

// image returns the interval image of a node's stored map, without its rounding error, as numbers times 2^-exp; at the root it
// also stores that error for node k.
func (b *Bounds) image(nd *node, root bool, k int) (lo, hi []i256, exp int, err error) {
	fr := b.fr
	exp = nd.bias.exp
	if nd.bias.v == nil {
		exp = math.MinInt32
	}
	for i := range nd.terms {
		exp = max(exp, nd.terms[i].w.exp+fr.exp[nd.terms[i].src])
	}
	lo, hi = make([]i256, nd.n), make([]i256, nd.n)
	var off []i256
	part := [2][]i128{make([]i128, nd.n), make([]i128, nd.n)}
	join := func(dst []i256, p []i128, shift int) {
		if shift < 0 || shift > accBits {
			err = errWide
			return
		}
		for j := range p {
			dst[j] = dst[j].plus(p[j].wide(shift))
			p[j] = i128{}
		}
	}
	for i := range nd.terms {
		t := &nd.terms[i]
		l, u := b.of(t.src)
		shift := exp - t.w.exp - fr.exp[t.src]
		t.forward(l, u, part[0], part[1])
		join(lo, part[0], shift)
		join(hi, part[1], shift)
		if root && t.w.rounded {
			if off == nil {
				off = make([]i256, nd.n)
			}
			t.magnitudes(l, u, part[0])
			join(off, part[0], shift+1)
		}
	}
	if nd.bias.v != nil {
		for j, v := range nd.bias.v {
			part[0][j], part[1][j] = from64(v), from64(v)
		}
		join(lo, part[0], exp-nd.bias.exp)
		join(hi, part[1], exp-nd.bias.exp)
		if root && nd.bias.rounded {
			if off == nil {
				off = make([]i256, nd.n)
			}
			for j := range off {
				part[0][j] = i128{lo: 1}
			}
			join(off, part[0], exp-nd.bias.exp+1)
		}
	}
	if err == nil && off != nil {
		err = fr.setError(k, off, exp)
	}
	return lo, hi, exp, err
}

// setError stores the errors of a node, rounded up.
func (fr *frame) setError(k int, off []i256, exp int) error {
	top := 0
	for j := range off {
		top = max(top, off[j].bitLen())
	}
	fr.errExp[k] = exp + boundBits - 2 - top
	fr.err[k] = make([]int64, len(off))
	for j := range off {
		v, ok := off[j].negated().floor(exp - fr.errExp[k])
		if !ok {
			return errWide
		}
		fr.err[k][j] = -v
	}
	return nil
}

// setSlack expresses a node's errors in the unit of its bounds.
func (fr *frame) setSlack(k int) error {
	if fr.err[k] == nil {
		return nil
	}
	fr.slack[k] = make([]int64, len(fr.err[k]))
	for j, e := range fr.err[k] {
		v, ok := from64(-e).wide(0).floor(fr.errExp[k] - fr.exp[k])
		if !ok {
			return errWide
		}
		fr.slack[k][j] = -v
	}
	return nil
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

// with returns bounds whose element j of node k is narrowed to [lo, hi].
func (b *Bounds) with(k, j int, lo, hi int64) *Bounds {
	c := *b
	c.lo, c.hi = append([][]int64(nil), b.lo...), append([][]int64(nil), b.hi...)
	c.lo[k], c.hi[k] = append([]int64(nil), b.lo[k]...), append([]int64(nil), b.hi[k]...)
	c.narrow(k, j, lo, hi)
	return &c
}

// copied returns bounds that share nothing with b.
func (b *Bounds) copied() *Bounds {
	c := *b
	c.lo, c.hi = make([][]int64, len(b.lo)), make([][]int64, len(b.hi))
	for k := range b.lo {
		c.lo[k], c.hi[k] = append([]int64(nil), b.lo[k]...), append([]int64(nil), b.hi[k]...)
	}
	return &c
}

// narrow intersects in place: only for bounds that nobody else holds.
func (b *Bounds) narrow(k, j int, lo, hi int64) {
	b.lo[k][j], b.hi[k][j] = max(b.lo[k][j], lo), min(b.hi[k][j], hi)
	b.empty = b.empty || b.lo[k][j] > b.hi[k][j]
}

const never = math.MaxInt64 // a bound that narrows nothing: +never above, −never below

// splitRelu returns the bounds of the points at which element j before the r-th Relu is ≤ 0, or ≥ 0 if active.
func (b *Bounds) splitRelu(r, j int, active bool) *Bounds {
	k := b.fr.net.nodes[b.fr.net.relus[r]].src
	if active {
		return b.with(k, j, 0, never)
	}
	return b.with(k, j, -never, 0)
}

// splitInput returns the bounds of the points with x[d] ≤ at, or ≥ at if above, rounded outward and propagated.
func (b *Bounds) splitInput(d int, at *big.Rat, above bool) (*Bounds, error) {
	exp := b.fr.exp[0]
	lo, hi := int64(-never), int64(never)
	if above {
		if v := floorRat(at, exp); v.IsInt64() {
			lo = v.Int64()
		} else if v.Sign() > 0 {
			lo = 1 << boundBits
		}
	} else {
		if v := floorRat(new(big.Rat).Neg(at), exp); v.IsInt64() {
			hi = -v.Int64()
		} else if v.Sign() > 0 {
			hi = -1 << boundBits
		}
	}
	c := b.with(0, d, lo, hi)
	if c.empty {
		return c, nil
	}
	return c, c.propagate(false)
}
