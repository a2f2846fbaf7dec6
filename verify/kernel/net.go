package kernel

import (
	"fmt"
	"math"
	"math/bits"
)

// A kind says what a node computes.
type kind uint8

const (
	input kind = iota
	affine
	relu
)

// A run is n products z[out+t·so] += W[w+t·sw]·x[in+t·si]. Every linear operator is a list of runs over one table W.
type run struct{ out, in, w, n, so, si, sw int32 }

// A fixed is a vector v·2^-exp with |v| < 2^weightBits. If rounded, each true number lies within 2·2^-exp of the stored one.
type fixed struct {
	v       []int64
	exp     int
	rounded bool
}

// A term is one linear map of a node.
type term struct {
	src  int
	w    fixed
	runs []run
}

// A node is one vector of the network: the input, Σ terms + bias, or relu of node src.
type node struct {
	name  string
	kind  kind
	n     int
	src   int
	terms []term
	bias  fixed // v nil: none
	macs  int
	index int // of a Relu among the Relus
}

// A network is a list of nodes, each after those it reads.
type network struct {
	nodes  []node
	relus  []int // the Relu nodes in order
	output int
	size   int // elements of all nodes
	macs   int
}

// quantise stores numbers with one exponent; approx says that they are off by up to half an ulp of float64 already.
//
// Sound: the largest number gets at most weightBits bits, so that half its float64 ulp is below one step; rounding down adds
// less than one step.
func quantise(data []float64, approx bool) (fixed, error) {
	top, low := math.MinInt32, math.MaxInt32 // bit positions: all numbers are multiples of 2^low below 2^top
	for _, f := range data {
		if f-f != 0 {
			return fixed{}, fmt.Errorf("%v among the constants", f)
		}
		if m, e := mantissa(f); m != 0 {
			top = max(top, e+bits.Len64(uint64(max(m, -m))))
			low = min(low, e)
		}
	}
	q := fixed{v: make([]int64, len(data)), rounded: approx}
	if top < low {
		return q, nil
	}
	q.exp = -low
	if fine := min(weightBits-top, finest); approx || q.exp > fine {
		q.exp, q.rounded = fine, true
	}
	for i, f := range data {
		m, e := mantissa(f)
		if s := e + q.exp; s >= 0 {
			q.v[i] = m << s // below 2^weightBits
		} else {
			q.v[i] = m >> min(-s, 63)
		}
	}
	return q, nil
}

// mantissa returns an odd m (or 0) and e with f = m·2^e.
func mantissa(f float64) (m int64, e int) {
	if f == 0 {
		return 0, 0
	}
	frac, e := math.Frexp(f)
	m = int64(frac * (1 << 53)) // exact
	z := bits.TrailingZeros64(uint64(m))
	return m >> z, e - 53 + z
}

// add appends a node after checking every index and width that the arithmetic relies on.
func (n *network) add(nd node) (int, error) {
	fail := func(why string) (int, error) { return 0, fmt.Errorf("node %q: %s", nd.name, why) }
	if nd.n < 1 || nd.n > maxElements || n.size+nd.n > maxElements {
		return fail("too many elements")
	}
	if nd.bias.v != nil && len(nd.bias.v) != nd.n {
		return fail("a bias of another length")
	}
	if nd.kind == affine && len(nd.terms) == 0 {
		return fail("no operands")
	}
	fanIn := make([]int32, nd.n)
	for t := range nd.terms {
		tm := &nd.terms[t]
		if tm.src < 0 || tm.src >= len(n.nodes) {
			return fail("an operand that does not exist")
		}
		fanOut := make([]int32, n.nodes[tm.src].n)
		for _, r := range tm.runs {
			if r.n < 1 || !within(r.out, r.so, r.n, nd.n) || !within(r.in, r.si, r.n, len(fanOut)) || !within(r.w, r.sw, r.n, len(tm.w.v)) {
				return fail("an operator that reads outside its operands")
			}
			if nd.macs += int(r.n); n.macs+nd.macs > maxMACs {
				return fail("too many products")
			}
			for o, i, c := r.out, r.in, r.n; c > 0; o, i, c = o+r.so, i+r.si, c-1 {
				fanIn[o]++
				fanOut[i]++
				if fanIn[o] >= 1<<fanBits || fanOut[i] >= 1<<fanBits {
					return fail("too many products in one sum")
				}
			}
		}
	}
	if nd.kind == relu {
		nd.index = len(n.relus)
		n.relus = append(n.relus, len(n.nodes))
	}
	n.size += nd.n
	n.macs += nd.macs
	n.nodes = append(n.nodes, nd)
	return len(n.nodes) - 1, nil
}

// within reports whether from, from+step, … (n numbers) lie in [0, size).
func within(from, step, n int32, size int) bool {
	last := int64(from) + int64(step)*int64(n-1)
	return from >= 0 && int64(from) < int64(size) && last >= 0 && last < int64(size)
}

// forward adds the images of an interval vector [l, u] to lo and hi.
func (t *term) forward(l, u []int64, lo, hi []i128) {
	for _, r := range t.runs {
		o, i, w := r.out, r.in, r.w
		for range r.n {
			switch c := t.w.v[w]; {
			case c > 0:
				lo[o] = lo[o].plus(mul64(c, l[i]))
				hi[o] = hi[o].plus(mul64(c, u[i]))
			case c < 0:
				lo[o] = lo[o].plus(mul64(c, u[i]))
				hi[o] = hi[o].plus(mul64(c, l[i]))
			}
			o, i, w = o+r.so, i+r.si, w+r.sw
		}
	}
}

// magnitudes adds Σ max(|l|, |u|) over the operands of every output.
func (t *term) magnitudes(l, u []int64, sum []i128) {
	for _, r := range t.runs {
		o, i := r.out, r.in
		for range r.n {
			sum[o] = sum[o].plus(from64(max(u[i], -l[i])))
			o, i = o+r.so, i+r.si
		}
	}
}

// backward adds the transpose applied to nu to a: the same runs with the roles of in and out exchanged.
func (t *term) backward(nu []int64, a []i128) {
	for _, r := range t.runs {
		o, i, w := r.out, r.in, r.w
		if r.so == 0 && nu[o] == 0 {
			continue
		}
		if r.si == 0 {
			s := a[i]
			for range r.n {
				if v := nu[o]; v != 0 {
					s = s.plus(mul64(t.w.v[w], v))
				}
				o, w = o+r.so, w+r.sw
			}
			a[i] = s
			continue
		}
		for range r.n {
			if v := nu[o]; v != 0 {
				a[i] = a[i].plus(mul64(t.w.v[w], v))
			}
			o, i, w = o+r.so, i+r.si, w+r.sw
		}
	}
}
