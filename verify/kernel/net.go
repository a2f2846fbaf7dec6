package kernel

import (
	"math"
	"math/bits"
)

// A kind says what a node computes.
type kind uint8

const (
	given  kind = iota // the input, or the constant 1
	affine             // Σ terms
	relu               // of node src
)

// A run is n products z[out+t·so] += W[w+t·sw]·x[in+t·si]. Every linear operator is a list of runs over one table W.
type run struct{ out, in, w, n, so, si, sw int32 }

// A table is numbers v·2^-exp with |v| ≤ 2^weightBits. If rounded, each true number lies within 2·2^-exp of the stored one.
type table struct {
	v       []int64
	exp     int
	rounded bool
}

// A term is one linear map of a node; fan is the largest number of products in a sum, in either direction, and in that of a sum of z.
type term struct {
	src, fan, in int
	w            table
	runs         []run
}

// A node is one vector of the network.
type node struct {
	name       string
	kind       kind
	n, src     int
	terms      []term
	macs, relu int   // products; number among the Relus
	round      int   // what binary32 rounds (float32.go)
	slack      []sum // nil, or per element: minus what its true value may lie above the maps' one
}

// A network is a list of nodes, each after those it reads: 0 is the input, 1 the constant 1, through which biases come.
type network struct {
	nodes              []node
	relus              []int
	output, size, macs int
}

const one = 1 // the node of the constant

// quantise stores numbers with one exponent; approx says that they are off by up to half an ulp of float64 already.
//
// Sound: the largest number gets at most weightBits bits, so that half its float64 ulp is below one step; rounding down adds
// less than one step.
func quantise(data []float64, approx bool) table {
	top, low := math.MinInt32, math.MaxInt32 // all numbers are multiples of 2^low below 2^top
	for _, f := range data {
		if f-f != 0 {
			need(false, "%v among the constants", f) // here alone: arguments are allocated
		}
		if m, e := mantissa(f); m != 0 {
			top, low = max(top, e+bits.Len64(uint64(max(m, -m)))), min(low, e)
		}
	}
	q := table{v: make([]int64, len(data)), rounded: approx}
	if top < low {
		return q
	}
	q.exp = -low
	if fine := min(weightBits-top, finest); approx || q.exp > fine {
		q.exp, q.rounded = fine, true
	}
	for i, f := range data {
		m, e := mantissa(f)
		if s := e + q.exp; s >= 0 {
			q.v[i] = m << s
		} else {
			q.v[i] = m >> min(-s, 63)
		}
	}
	return q
}

// mantissa returns an odd m (or 0) and e with f = m·2^e, for a finite f.
func mantissa(f float64) (m int64, e int) {
	b := math.Float64bits(f)
	m, e = int64(b&(1<<52-1)), int(b>>52&0x7ff)
	if e == 0 {
		e = 1 // subnormal
	} else {
		m |= 1 << 52
	}
	if m == 0 {
		return 0, 0
	}
	z := bits.TrailingZeros64(uint64(m))
	if m >>= z; f < 0 {
		m = -m
	}
	return m, e - 1075 + z
}

// add appends a node after checking every index and count that the arithmetic relies on.
func (n *network) add(nd node) int {
	need(nd.n >= 1 && nd.n <= maxElements && n.size+nd.n <= maxElements, "node %q: too many elements", nd.name)
	need(len(nd.terms) <= 64, "node %q: too many operands", nd.name)
	for t := range nd.terms {
		tm := &nd.terms[t]
		fanIn, fanOut := make([]int32, nd.n), make([]int32, n.nodes[tm.src].n)
		for _, r := range tm.runs {
			need(r.n > 0 && within(r.out, r.so, r.n, nd.n) && within(r.in, r.si, r.n, len(fanOut)) && within(r.w, r.sw, r.n, len(tm.w.v)),
				"node %q reads outside its operands", nd.name)
			nd.macs += int(r.n)
			need(n.macs+nd.macs <= maxMACs, "node %q: too many products", nd.name)
			for o, i, c := r.out, r.in, r.n; c > 0; o, i, c = o+r.so, i+r.si, c-1 {
				fanIn[o]++
				fanOut[i]++
				tm.in = max(tm.in, int(fanIn[o]))
				tm.fan = max(tm.fan, tm.in, int(fanOut[i]))
			}
		}
		need(tm.fan < 1<<fanBits, "node %q: too many products in one sum", nd.name)
	}
	if nd.kind == relu {
		nd.relu = len(n.relus)
		n.relus = append(n.relus, len(n.nodes))
	}
	n.size, n.macs, n.nodes = n.size+nd.n, n.macs+nd.macs, append(n.nodes, nd)
	return len(n.nodes) - 1
}

// within reports whether from, from+step, … (n numbers) lie in [0, size).
func within(from, step, n int32, size int) bool {
	last := int64(from) + int64(step)*int64(n-1)
	return from >= 0 && int64(from) < int64(size) && last >= 0 && last < int64(size)
}

// forward adds the image of an interval vector [l, u] to [lo, hi].
func (t *term) forward(l, u []int64, lo, hi []i128) {
	for _, r := range t.runs {
		o, i, w := r.out, r.in, r.w
		low, high := lo[o], hi[o]
		for range r.n {
			if r.so != 0 {
				low, high = lo[o], hi[o]
			}
			if c := t.w.v[w]; c > 0 {
				low, high = low.plus(mul64(c, l[i])), high.plus(mul64(c, u[i]))
			} else if c < 0 {
				low, high = low.plus(mul64(c, u[i])), high.plus(mul64(c, l[i]))
			}
			lo[o], hi[o] = low, high
			o, i, w = o+r.so, i+r.si, w+r.sw
		}
	}
}

// backward adds the transpose applied to nu to a: the same runs with the roles of in and out exchanged.
func (t *term) backward(nu []int64, a []i128) {
	for _, r := range t.runs {
		o, i, w := r.out, r.in, r.w
		switch v := nu[o]; {
		case r.so == 0 && v == 0:
		case r.so == 0 && r.si == 1 && r.sw == 1:
			axpy(a[i:i+r.n], t.w.v[w:w+r.n], v)
		default:
			for range r.n {
				if v := nu[o]; v != 0 {
					a[i] = a[i].plus(mul64(t.w.v[w], v))
				}
				o, i, w = o+r.so, i+r.si, w+r.sw
			}
		}
	}
}

// axpy adds v·x to a.
func axpy(a []i128, x []int64, v int64) {
	m, sign := uint64(max(v, -v)), uint64(v>>63)
	for i, c := range x {
		// c·m, then its negation if v < 0: −p is ^p + 1.
		hi, lo := bits.Mul64(uint64(c), m)
		hi -= uint64(c>>63) & m
		lo, carry := bits.Add64(lo^sign, a[i].lo, sign&1)
		a[i].lo, a[i].hi = lo, a[i].hi+(hi^sign)+carry
	}
}
