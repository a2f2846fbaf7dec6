package relax

import (
	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// primal evaluates the relaxation forward at each lane's minimising corner, for the nodes that node from depends on, and for
// from itself if asked or if the gradient of its own splits needs it.
func (w *Worker) primal(f *Frame, from int, self bool) {
	R, n := w.R, w.net
	anc := n.anc[from]
	if w.self || self {
		from++
	}
	for k := 0; k < from; k++ {
		if !anc[k] {
			continue
		}
		nd := &n.P.Nodes[k]
		if cap(w.valBuf[k]) < nd.N*R {
			w.valBuf[k] = make([]float64, nd.N*R)
		}
		w.val[k] = w.valBuf[k][:nd.N*R]
		switch nd.Kind {
		case prog.Input:
			w.corner(f)
		case prog.Affine:
			w.primalAffine(k, nd)
		case prog.Relu:
			w.primalRelu(f, k, nd.Src)
		case prog.Sigmoid:
			w.primalSigmoid(f, k, nd.Src)
		case prog.Curve, prog.Product:
			w.primalPlanes(f, k, nd)
		}
	}
}

// corner writes the box corner that minimises each lane's linear form.
func (w *Worker) corner(f *Frame) {
	R, a, x := w.R, w.coef[0], w.val[0]
	w.each(0, func(from, to int) {
		kernel.CornerRows(x[from*R:to*R], a[from*R:to*R], R, f.Box.Lo[from:to], f.Box.Hi[from:to])
	})
}

// primalAffine evaluates an affine node inside its window.
func (w *Worker) primalAffine(k int, nd *prog.Node) {
	if w.win[k].IsAll() {
		w.count(k, nd.N)
		w.net.P.EvalNode(k, w.R, w.val)
		return
	}
	R, v := w.R, w.val[k]
	size := 0
	w.each(k, func(lo, hi int) {
		size += hi - lo
		for j := lo; j < hi; j++ {
			b := 0.0
			if nd.Bias != nil {
				b = nd.Bias[j]
			}
			row := v[j*R : j*R+R]
			for r := range row {
				row[r] = b
			}
		}
	})
	w.count(k, size)
	for _, t := range nd.Terms {
		windowed(t.Map, w.win[k]).ForwardWindow(v, w.val[t.Src], R, w.win[k]) // PlanWindows left no other map here
	}
}

func (w *Worker) primalRelu(f *Frame, k, src int) {
	R, v, z := w.R, w.val[k], w.val[src]
	rf := f.relu[k]
	w.each(k, func(lo, hi int) { clear(v[lo*R : hi*R]) })
	w.eachIn(k, rf.active, func(lo, hi int) {
		for _, j := range rf.active[lo:hi] {
			copy(v[int(j)*R:int(j)*R+R], z[int(j)*R:int(j)*R+R])
		}
	})
	if !w.live[k] {
		return
	}
	var al []float64
	if w.Alpha != nil {
		al = w.Alpha[k]
	}
	w.eachIn(k, rf.unstable, func(lo, hi int) {
		a, idx, up, t := w.save[k][lo*R:hi*R], rf.unstable[lo:hi], rf.s[lo:hi], rf.t[lo:hi]
		if al == nil {
			kernel.PrimalRows(v, a, z, idx, R, rf.a0[lo:hi], up, t)
		} else {
			kernel.PrimalLanesRows(v, a, z, al[lo*R:hi*R], idx, R, up, t)
		}
	})
	for r, sp := range w.Splits {
		for _, s := range sp {
			if int(s.Act) == k {
				o := int(s.Elem)*R + r
				if s.Sign > 0 {
					v[o] = z[o]
				} else {
					v[o] = 0
				}
			}
		}
	}
}

func (w *Worker) primalSigmoid(f *Frame, k, src int) {
	R, v, z := w.R, w.val[k], w.val[src]
	sf := f.sigm[k]
	if !w.live[k] {
		clear(v)
		return
	}
	if w.Alpha != nil {
		w.each(k, func(lo, hi int) {
			for i := lo * R; i < hi*R; i++ {
				v[i] = w.lines[k][2*i]*z[i] + w.lines[k][2*i+1]
			}
		})
		return
	}
	w.each(k, func(lo, hi int) {
		kernel.PrimalLinesRows(v[lo*R:hi*R], w.save[k][lo*R:hi*R], z[lo*R:hi*R], R, sf.lines(lo, hi))
	})
}

// An Open neuron is an unstable, undecided ReLU with what branching wants to know of it in one lane: the coefficient A on its
// output, the pre-activation Z of the pseudo-primal, and, in units of the bound, the error the relaxation makes there (Gap) and
// can make at most (Intercept), and that with what it costs through inner bounds (Total, set by Influence.SetTotals).
type Open struct {
	Split
	A, Z, Gap, Intercept, Total float64
}

// EachOpen calls visit for every unstable ReLU of lane r that matters for the last run (made with Final) and is not split.
func (w *Worker) EachOpen(f *Frame, r int, visit func(Open)) {
	if w.stopped {
		return
	}
	R := w.R
	for k, rf := range f.relu {
		if rf == nil || !w.live[k] {
			continue
		}
		z := w.val[w.net.P.Nodes[k].Src]
		w.eachIn(k, rf.unstable, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				j := rf.unstable[i]
				a := w.save[k][i*R+r]
				if a == 0 {
					continue
				}
				zz := z[int(j)*R+r]
				o := Open{Split: Split{Act: int32(k), Elem: j}, A: a, Z: zz}
				if a < 0 {
					o.Gap = -a * (rf.s[i]*zz + rf.t[i] - max(zz, 0))
					o.Intercept = -a * rf.t[i]
				} else {
					al := rf.a0[i]
					if w.Alpha != nil {
						al = w.Alpha[k][i*R+r]
					}
					o.Gap = a * (max(zz, 0) - al*zz)
				}
				visit(o)
			}
		})
	}
}

// Corner copies lane r's minimising input into x.
func (w *Worker) Corner(r int, x []float64) {
	for i := range x {
		x[i] = w.val[0][i*w.R+r]
	}
}
