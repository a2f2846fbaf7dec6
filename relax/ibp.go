package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// IBP propagates a box by interval arithmetic (Gowal et al. 2018) into b: the cheapest bounds, and the frame in which all
// others live. Affine maps use the centre-radius form: |z − (M·c+b)| ≤ |M|·r.
//
// Soundness: c ± r encloses the source; the computed centre errs by at most γ·(|M||c|+|b|), the computed radius by
// γ·|M|r, both are added outward with γ covering the coefficient errors (Node.Rel) as well; activations are monotone. Where
// binary32 roundings are declared, E is added.
func (n *Net) IBP(box Box, b *Bounds) {
	copy(b.L[0], box.Lo)
	copy(b.U[0], box.Hi)
	var sc ibpScratch
	for k := 1; k < len(n.P.Nodes); k++ {
		n.ibpNode(k, b, &sc, false)
	}
}

// ibpScratch keeps the vectors of an interval step.
type ibpScratch struct{ c, r, m, zc, zr, zs []float64 }

func grow[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// ibpNode bounds node k from the bounds of its sources; with meet it intersects with the bounds already there.
func (n *Net) ibpNode(k int, b *Bounds, sc *ibpScratch, meet bool) {
	nd := &n.P.Nodes[k]
	L, U := b.L[k], b.U[k]
	set := func(j int, l, u float64) {
		if !(l <= u) { // NaN, from ∞ − ∞: nothing is known
			l, u = math.Inf(-1), math.Inf(1)
		}
		if meet {
			l, u = max(l, L[j]), min(u, U[j])
		}
		L[j], U[j] = l, u
	}
	switch nd.Kind {
	case prog.Relu:
		for j, l := range b.L[nd.Src] {
			set(j, max(l, 0), max(b.U[nd.Src][j], 0))
		}
	case prog.Sigmoid:
		for j, l := range b.L[nd.Src] {
			lo, _ := sigmoidEnclosure(l)
			_, hi := sigmoidEnclosure(b.U[nd.Src][j])
			set(j, lo, hi)
		}
	case prog.Curve:
		for j, l := range b.L[nd.Src] {
			lo, hi := nd.Fn.Image(l, b.U[nd.Src][j])
			set(j, lo, hi)
		}
	case prog.Product:
		x, y := nd.Src, nd.Src2
		for j, l := range b.L[x] {
			lo, hi := prog.ProductImage(l, b.U[x][j], b.L[y][j], b.U[y][j])
			set(j, lo, hi)
		}
	case prog.Affine:
		sc.zc, sc.zr, sc.zs = grow(sc.zc, nd.N), grow(sc.zr, nd.N), grow(sc.zs, nd.N)
		clear(sc.zr)
		clear(sc.zc)
		clear(sc.zs)
		if nd.Bias != nil {
			copy(sc.zc, nd.Bias)
		}
		nd.BiasMagnitudes(sc.zs)
		top := 0.0
		for _, t := range nd.Terms {
			m := n.P.Nodes[t.Src].N
			sc.c, sc.r, sc.m = grow(sc.c, m), grow(sc.r, m), grow(sc.m, m)
			for j, l := range b.L[t.Src] {
				sc.c[j], sc.r[j] = centreRadius(l, b.U[t.Src][j])
				sc.m[j] = math.Abs(sc.c[j])
				top = max(top, sc.m[j]+sc.r[j])
			}
			t.Map.Forward(sc.zc, sc.c, 1)
			t.Map.ForwardAbs(sc.zr, sc.r, 1)
			t.Map.ForwardAbs(sc.zs, sc.m, 1)
		}
		g := 2 * gamma(n.rowFan[k]+nd.Rel+8)
		for j := range L {
			r := sc.zr[j] + g*(sc.zs[j]+sc.zr[j]) + n.drift(k, sc.zs[j]+sc.zr[j], top) + 1e-300
			r += r * 4 * unit
			set(j, down(sc.zc[j]-r), up(sc.zc[j]+r))
		}
	}
}

// centreRadius returns c, r with [l,u] ⊆ [c−r, c+r].
func centreRadius(l, u float64) (c, r float64) {
	c = l + (u-l)/2
	r = max(u-c, c-l)
	if r > 0 {
		r = r*(1+2*unit) + 1e-310
	}
	return c, r
}

func down(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }
func up(x float64) float64   { return math.Nextafter(x, math.Inf(1)) }
