package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// marginLanes is the number of classes whose margins are bounded in one pass.
const marginLanes = 64

// Margins writes lower bounds on output[label] − output[t] over f's box into lower[t] for every element t of the output, by
// backward passes of w; the label's own entry is 0.
func (f *Frame) Margins(w *Worker, label int, lower []float64) {
	out := f.Net.P.Output
	w.On(f.Net)
	for at := 0; at < len(lower); at += marginLanes {
		part := lower[at:min(at+marginLanes, len(lower))]
		w.Begin((len(part) + 7) &^ 7)
		for i := range part {
			if at+i != label {
				w.Seed(out, label, i, 1)
				w.Seed(out, at+i, i, -1)
			}
		}
		w.Run(f, out)
		copy(part, w.LB)
	}
	lower[label] = 0
}

// Margins writes lower bounds on output[label] − output[t] into lower[t] from bounds of all nodes: of an affine output the
// interval of the difference of the two rows, which is tighter than the difference of their intervals (Gowal et al. 2018).
//
// Soundness: as for IBP, where a difference of coefficients, and of what is folded into them, errs by less than a unit more than
// they do, relative to their magnitudes.
func (n *Net) Margins(b *Bounds, label int, lower []float64) {
	out := n.P.Output
	nd := &n.P.Nodes[out]
	for t := range lower {
		lower[t] = down(b.L[out][label] - b.U[out][t])
	}
	lower[label] = 0
	if nd.Kind != prog.Affine || n.rows != nil {
		return
	}
	var sc ibpScratch
	for t := range lower {
		if t != label {
			if m := n.margin(nd, b, label, t, &sc); m > lower[t] {
				lower[t] = m
			}
		}
	}
}

// margin bounds the difference of two elements of an affine node; NaN where nothing is known.
func (n *Net) margin(nd *prog.Node, b *Bounds, i, j int, sc *ibpScratch) float64 {
	v, mag := 0.0, 0.0
	if nd.Bias != nil {
		v, mag = nd.Bias[i]-nd.Bias[j], math.Abs(nd.Bias[i])+math.Abs(nd.Bias[j])
	}
	for _, t := range nd.Terms {
		m := n.P.Nodes[t.Src].N
		sc.c, sc.r, sc.m = grow(sc.c, m), grow(sc.r, m), grow(sc.m, m)
		sc.zr, sc.zs = grow(sc.zr, m), grow(sc.zs, m)
		for k, l := range b.L[t.Src] {
			sc.c[k], sc.r[k] = centreRadius(l, b.U[t.Src][k])
			sc.m[k] = math.Abs(sc.c[k]) + sc.r[k]
		}
		clear(sc.zr)
		clear(sc.zs)
		t.Map.Row(sc.zr, 1, 0, i, 1)
		t.Map.Row(sc.zs, 1, 0, j, 1)
		mag += kernel.AbsDot(sc.zr, sc.m) + kernel.AbsDot(sc.zs, sc.m)
		for k, x := range sc.zs {
			sc.zr[k] -= x
		}
		v += kernel.Dot(sc.zr, sc.c) - kernel.AbsDot(sc.zr, sc.r)
	}
	return down(v - 2*gamma(2*n.rowFan[n.P.Output]+nd.Rel+len(nd.Terms)+16)*mag - 1e-300)
}
