package kernel

import "math/big"

// Binary32 semantics. Every operator of the file is one operation that an execution rounds: a sum z of products W·x and
// constants, in any order and bracketing, with or without fused multiply-adds, with wider accumulators, subnormal numbers kept or
// flushed to zero. With |x| ≤ X, S = Σ|W|·X and n roundings that a summand passes at most,
//
//	|fl(z) − z| ≤ E = γ·S + τ,   γ = n·u/(1 − n·u),  u = 2^-24·(1 + 2^-26),  τ = 2^-124·(n + Σ|W| + ΣX + S)
//
// where u covers one rounding of a wider format before that to binary32, and τ what underflow and flushing change (products, sums,
// coefficients times X, operands times |W|, all below 2^-126 each, and enlarged by less than 2 afterwards). E goes into the slack of
// the frame. Relu, and operators that only move elements, round nothing.
//
// Sound: bounds of the root are valid for the computed x, so X is; E grows with X, so it is valid on every subset. No sum overflows,
// because none exceeds 2^60.

// What an operator rounds, in node.round: nothing, or how many roundings a summand passes besides one each.
const (
	copies    = -1
	unknown   = 0
	sums      = 2 // its product, the result
	quotients = 4 // and the division, perhaps by a rounded reciprocal
)

const largest32 = 60 // bits of the numbers and sums of a network under binary32 semantics

// errors returns E of every element of an affine node, times 2^-exp and rounded up; nil where nothing is rounded. off, with the same
// exponent, bounds what the rounding of stored weights changes.
func (b *Bounds) errors(nd *node, off i256, exp int) []i256 {
	if !b.fr.float32 || nd.round == copies {
		return nil
	}
	need(nd.round > 0, "node %q: how binary32 rounds it is not checked", nd.name)
	steps := int64(nd.round)
	size := make([]i256, nd.n)
	for i := range nd.terms {
		t := &nd.terms[i]
		steps += int64(t.in)
		shift := exp - t.w.exp - b.fr.exp[t.src]
		abs := make([]i128, nd.n)
		x, top, most := b.magnitudes(t.src), int64(0), int64(0)
		for _, v := range x {
			top = max(top, v)
		}
		for _, v := range t.w.v {
			most = max(most, v, -v)
		}
		need(bitsOf(top)-b.fr.exp[t.src] <= largest32-fanBits && bitsOf(most)-t.w.exp <= largest32-fanBits,
			"node %q: its numbers are too large for binary32", nd.name)
		t.absolute(x, abs)
		for j := range abs {
			size[j] = size[j].plus(abs[j].wide(shift))
		}
	}
	need(steps < 1<<20, "node %q: too many summands for binary32", nd.name)
	// n < 2^20: n·u/(1 − n·u) ≤ (n+1)/(2^24 − n − 1); τ is less than 2^-58, a part of one step of the bounds.
	num, den := big.NewInt(steps+1), big.NewInt(1<<24-steps-1)
	for j := range size {
		s := size[j].plus(off)
		need(s.bitLen()-exp <= largest32, "node %q: a sum is too large for binary32", nd.name)
		v := s.big()
		v.Add(v.Div(v.Mul(v, num), den), big.NewInt(1))
		need(v.BitLen() < sumBits, tooWide)
		size[j] = fromBig(v)
	}
	return size
}

// magnitudes returns bounds on |x| for the elements of a node.
func (b *Bounds) magnitudes(k int) []int64 {
	lo, hi := b.of(k)
	x := make([]int64, len(lo))
	for j := range x {
		x[j] = max(hi[j], -lo[j])
	}
	return x
}

// absolute adds |W|·x to abs.
func (t *term) absolute(x []int64, abs []i128) {
	for _, r := range t.runs {
		o, i, w := r.out, r.in, r.w
		for range r.n {
			if c := t.w.v[w]; c != 0 {
				abs[o] = abs[o].plus(mul64(max(c, -c), x[i]))
			}
			o, i, w = o+r.so, i+r.si, w+r.sw
		}
	}
}

// bitsOf returns the least n with v < 2^n.
func bitsOf(v int64) int { return maxBits([]i128{from64(v)}) }
