package prog

import (
	"math"

	"pgregory.net/rapid"
)

func drawBias(t *rapid.T, n int) []float64 {
	if rapid.Bool().Draw(t, "no bias") {
		return nil
	}
	return noise(t, n, "bias")
}

// drawMap returns a random map from n elements.
func drawMap(t *rapid.T, n int, kinds ...string) Linear {
	in := func(lo, hi int, what string) int { return rapid.IntRange(lo, hi).Draw(t, what) }
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "dense":
		m := in(1, 6, "m")
		return Dense(m, n, noise(t, m*n, "w"))
	case "conv":
		g := ConvGeom{C: 1, H: 1, W: n, M: in(1, 3, "M"), KH: 1, KW: in(1, 3, "KW"), Group: 1, StrideH: 1, StrideW: in(1, 2, "sw"),
			DilH: 1, DilW: 1, PadL: 1, PadR: 1}
		if n%2 == 0 {
			g.C, g.W = 2, n/2
			if in(0, 1, "grouped") == 1 {
				g.Group, g.M = 2, 2*in(1, 2, "M/2")
			}
		}
		return Conv(g, noise(t, g.M*g.C/g.Group*g.KW, "w"))
	case "convT":
		g := ConvGeom{C: in(1, 2, "C"), H: 1, W: n + 1, M: 1, KH: 1, KW: 2, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}
		return Transpose(Conv(g, noise(t, g.M*g.C*g.KW, "w")))
	case "sparse":
		m := in(1, 6, "m")
		w := noise(t, m*n, "w")
		for i := range w {
			if in(0, 2, "zero") > 0 {
				w[i] = 0
			}
		}
		return toSparse(Dense(m, n, w))
	case "index":
		idx := make([]int32, in(1, 6, "m"))
		for i := range idx {
			idx[i] = int32(in(-1, n-1, "idx"))
		}
		return Index(n, idx)
	case "perm":
		idx := make([]int32, n)
		for i := range idx {
			idx[i] = int32(n - 1 - i)
		}
		return Index(n, idx)
	case "diag":
		return Diag(noise(t, n, "s"))
	case "channels":
		s := noise(t, 2, "s")
		d := make([]float64, n)
		for i := range d {
			d[i] = s[0]
			if n%2 == 0 {
				d[i] = s[2*i/n]
			}
		}
		return Diag(d)
	}
	return Identity(n)
}

var allMaps = []string{"dense", "conv", "convT", "sparse", "index", "perm", "diag", "channels", "identity"}

// drawProgram returns a random program with branches.
func drawProgram(t *rapid.T) *Program {
	b := NewBuilder(rapid.IntRange(1, 6).Draw(t, "in"))
	last := 0
	for range rapid.IntRange(1, 9).Draw(t, "nodes") {
		if rapid.IntRange(0, 3).Draw(t, "back") == 0 {
			last = rapid.IntRange(0, last).Draw(t, "src")
		}
		switch rapid.IntRange(0, 6).Draw(t, "node") {
		case 0:
			last = b.Relu("", last)
		case 1:
			last = b.Sigmoid("", last)
		case 6:
			other := rapid.IntRange(0, last).Draw(t, "factor")
			if b.N(other) == b.N(last) {
				last = b.Product("", last, other)
			} else {
				last = b.Curve("", Square, last)
			}
		case 2: // residual
			n := b.N(last)
			m := drawMap(t, n, "identity", "diag", "perm")
			o := rapid.IntRange(0, last).Draw(t, "other")
			w := noise(t, n*b.N(o), "w")
			last = b.Affine("", n, drawBias(t, n), 0, Term{last, m}, Term{o, Dense(n, b.N(o), w)})
		default:
			m := drawMap(t, b.N(last), allMaps...)
			out, _ := m.Dims()
			last = b.Affine("", out, drawBias(t, out), 0, Term{last, m})
		}
	}
	p, err := b.Program(last)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// roundProgram rounds all coefficients to small integers.
func roundProgram(p *Program) *Program {
	round := func(v []float64) []float64 {
		out := make([]float64, len(v))
		for i := range v {
			out[i] = math.RoundToEven(max(-4, min(4, v[i])))
		}
		return out
	}
	for k := range p.Nodes {
		n := &p.Nodes[k]
		if n.Bias != nil {
			n.Bias = round(n.Bias)
		}
		for t := range n.Terms {
			n.Terms[t].Map = mapValues(n.Terms[t].Map, round)
		}
	}
	return p
}

func mapValues(l Linear, f func([]float64) []float64) Linear {
	switch l := l.(type) {
	case *denseMap:
		return Dense(l.m, l.n, f(l.w))
	case *convMap:
		return Conv(l.g, f(l.w))
	case transposedWindowed:
		return Transpose(Conv(l.c.g, f(l.c.w)))
	}
	s, _ := asSparse(l)
	b := newCSRBuilder(s.m, 0)
	for i := range s.m {
		idx, val := s.csr.Row(i)
		for k, v := range f(val) {
			b.add(idx[k], v)
		}
		b.endRow()
	}
	return b.build(s.n)
}
