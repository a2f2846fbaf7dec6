package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// An Ascent improves the bounds of a batch of lanes over the lower slopes α of unstable ReLUs and the multipliers β of
// splits (α-CROWN, Xu et al. 2021; β-CROWN, Wang et al. 2021), with gradients in closed form: one forward pass through the
// relaxation at the minimising corner x* (the "pseudo-primal") gives ẑ and
//
//	∂g/∂α_j = max(a_j,0)·ẑ_j      ∂g/∂β_j = −sign_j·ẑ_j
//
// because g is the minimum of a Lagrangian that is linear in α and β at fixed x* and fixed signs of a (Danskin).
type Ascent struct {
	W      *Worker
	Alpha  [][]float64 // per Relu node: [unstable index*R + lane]
	mA, vA [][]float64
	Beta   [][]float64 // per lane
	mB, vB [][]float64
	Best   []float64 // per lane: best rigorous bound so far
	unsafe *unsafeDual
	step   int
}

// Steps configures an ascent.
type Steps struct {
	N           int     // iterations at most
	RateA       float64 // step of α
	RateB       float64 // step of β
	Decay       float64 // of both per iteration
	Done        func(best []float64) bool
	StallRounds int // stop after this many rounds without any lane improving noticeably; 0: never
	// Final keeps the last iteration's coefficients and evaluates its pseudo-primal, for branching.
	Final bool
}

// NewAscent starts from the default slopes for f and R lanes. splits may be nil. Its memory is w's: what an earlier ascent of w
// held is lost.
func NewAscent(w *Worker, f *Frame, R int) *Ascent {
	w.On(f.Net)
	if k := len(f.Net.P.Nodes); w.ascent == nil || len(w.ascent.Alpha) != k {
		w.ascent = &Ascent{W: w, Alpha: make([][]float64, k), mA: make([][]float64, k), vA: make([][]float64, k)}
	}
	a := w.ascent
	a.Beta, a.mB, a.vB, a.unsafe, a.step = nil, nil, nil, nil, 0
	for i, rf := range f.relu {
		switch sf := f.sigm[i]; {
		case rf != nil:
			a.start(i, len(rf.unstable)*R)
			for u, a0 := range rf.a0 {
				setAll(a.Alpha[i][u*R:u*R+R], a0)
			}
		case sf != nil:
			a.start(i, len(sf.tan)*R)
			for s := range sf.tan {
				setAll(a.Alpha[i][s*R:s*R+R], sf.tan[s].tau)
			}
		default:
			a.start(i, 0)
		}
	}
	a.Best = grow(a.Best, R)
	setAll(a.Best, math.Inf(-1))
	return a
}

// start gives node i parameters of length n, with no momentum.
func (a *Ascent) start(i, n int) {
	a.Alpha[i], a.mA[i], a.vA[i] = grow(a.Alpha[i], n), zeroed(a.mA[i], n), zeroed(a.vA[i], n)
}

func setAll(x []float64, v float64) {
	for i := range x {
		x[i] = v
	}
}

// SetSplits gives every lane its split literals and starting multipliers.
func (a *Ascent) SetSplits(splits [][]Split, beta [][]float64) {
	a.W.SetSplits(splits, beta)
	a.Beta = beta
	a.mB, a.vB = make([][]float64, len(beta)), make([][]float64, len(beta))
	for r, b := range beta {
		a.mB[r], a.vB[r] = make([]float64, len(b)), make([]float64, len(b))
	}
}

// SetSplits gives the lanes of a batch (after Begin) their decided ReLUs and multipliers β ≥ 0, parallel to splits.
func (w *Worker) SetSplits(splits [][]Split, beta [][]float64) {
	w.Splits, w.Beta = splits, beta
	if len(w.saveSp) < len(splits) {
		w.saveSp = append(w.saveSp, make([][]float64, len(splits)-len(w.saveSp))...)
	}
	for r, sp := range splits {
		w.saveSp[r] = grow(w.saveSp[r], len(sp))
	}
}

// Run ascends. seed adds the lanes' objectives to the worker (after Begin); splits are those of SetSplits. It returns the
// number of iterations done; Best holds the best bound of each lane, every one rigorous.
func (a *Ascent) Run(f *Frame, from, R int, splits [][]Split, seed func(w *Worker), o Steps) int {
	w := a.W
	rateA, rateB := o.RateA, o.RateB
	stall := 0
	for it := 0; ; it++ {
		w.Begin(R)
		w.Alpha = a.Alpha
		if splits != nil {
			w.SetSplits(splits, a.Beta)
		}
		seed(w)
		if a.unsafe != nil {
			a.unsafe.seed(w, f)
		}
		last := it >= o.N-1
		w.keep = !last || o.Final
		w.Run(f, from)
		if w.stopped {
			return it
		}
		better := false
		for r, v := range w.LB {
			if v > a.Best[r] {
				if v > a.Best[r]+1e-4*(math.Abs(a.Best[r])+1e-3) {
					better = true
				}
				a.Best[r] = v
			}
		}
		if better {
			stall = 0
		} else {
			stall++
		}
		stop := last || o.Done != nil && o.Done(a.Best) || o.StallRounds > 0 && stall >= o.StallRounds
		if !stop || o.Final {
			w.primal(f, from, a.unsafe != nil)
		}
		if stop {
			return it + 1
		}
		a.update(f, from, splits, rateA, rateB)
		rateA *= o.Decay
		rateB *= o.Decay
	}
}

const (
	adam1   = 0.9
	adam2   = 0.999
	adamEps = 1e-8
)

// adam takes a gradient g into a parameter's moments m and v and returns how far the parameter goes up (Kingma and Ba 2015). In
// step t rate is divided by 1−adam1^t already, and ic2 is 1/(1−adam2^t). kernel.AdamRows is the same for the slopes of a layer.
func adam(m, v *float64, g, rate, ic2 float64) float64 {
	*m = adam1**m + (1-adam1)*g
	*v = adam2**v + (1-adam2)*g*g
	return rate * *m / (math.Sqrt(*v*ic2) + adamEps)
}

// update makes one Adam step on α, projected to [0,1], and on β and γ, projected to ≥ 0.
func (a *Ascent) update(f *Frame, from int, splits [][]Split, rateA, rateB float64) {
	a.step++
	w := a.W
	R := w.R
	c1, c2 := 1-math.Pow(adam1, float64(a.step)), 1-math.Pow(adam2, float64(a.step))
	ic2 := 1 / c2
	step := kernel.AdamStep[float64]{Beta1: adam1, Beta2: adam2, Rate: rateA / c1, Correct2: ic2, Epsilon: adamEps}
	for k, rf := range f.relu {
		if rf == nil || k > from || !w.live[k] || !w.net.anc[from][k] {
			continue
		}
		z := w.val[w.net.P.Nodes[k].Src]
		al, m, v, s := a.Alpha[k], a.mA[k], a.vA[k], w.save[k]
		w.eachIn(k, rf.unstable, func(lo, hi int) {
			kernel.AdamRows(al[lo*R:hi*R], m[lo*R:hi*R], v[lo*R:hi*R], s[lo*R:hi*R], z, rf.unstable[lo:hi], R, step)
		})
	}
	for k, sf := range f.sigm {
		if sf != nil && k <= from && w.live[k] && w.net.anc[from][k] {
			a.moveTangents(sf, k, rateA/c1, ic2)
		}
	}
	if a.unsafe != nil {
		a.unsafe.update(w, rateA, c1, ic2)
	}
	for r, sp := range splits {
		b, m, v := a.Beta[r], a.mB[r], a.vB[r]
		rate := rateB / c1 * w.betaScale(r)
		for i, s := range sp {
			src := w.net.P.Nodes[s.Act].Src
			if !w.net.anc[from][s.Act] && src != from {
				continue
			}
			g := -float64(s.Sign) * w.val[src][int(s.Elem)*R+r]
			b[i] = max(b[i]+adam(&m[i], &v[i], g, rate, ic2), 0)
		}
	}
}

// Unstable lists the unstable elements of Relu node k.
func (f *Frame) Unstable(k int) []int32 {
	if f.relu[k] == nil {
		return nil
	}
	return f.relu[k].unstable
}

// PackAlpha quantises lane r's slopes to bytes, appended to dst: any slope in [0,1] is valid, so nothing is lost but tightness.
func (a *Ascent) PackAlpha(dst []uint8, r, R int) []uint8 {
	for _, al := range a.Alpha {
		for i := r; i < len(al); i += R {
			dst = append(dst, uint8(al[i]*255+0.5))
		}
	}
	return dst
}

// UnpackAlpha sets lane r's slopes from bytes written by PackAlpha for the same frame.
func (a *Ascent) UnpackAlpha(src []uint8, r, R int) {
	for _, al := range a.Alpha {
		for i := r; i < len(al); i += R {
			al[i] = float64(src[0]) / 255
			src = src[1:]
		}
	}
}

// betaScale is the unit in which lane r's multipliers move: the mean size of the coefficients at its split neurons, which a
// multiplier has to compete with.
func (w *Worker) betaScale(r int) float64 {
	s := 0.0
	for _, a := range w.saveSp[r] {
		s += math.Abs(a)
	}
	return max(s/float64(max(len(w.saveSp[r]), 1)), 1e-3)
}

// MapAlpha translates slopes packed for frame f to frame g of the same network or of specialisations of it; g's unstable neurons
// are among f's.
func (f *Frame) MapAlpha(g *Frame, src []uint8) []uint8 {
	if src == nil {
		return nil
	}
	var dst []uint8
	for k, rf := range f.relu {
		if sf := f.sigm[k]; sf != nil {
			dst = append(dst, src[:len(sf.tan)]...)
			src = src[len(sf.tan):]
		}
		if rf == nil {
			continue
		}
		for _, j := range g.relu[k].unstable {
			if o := g.Net.original(k); o != nil {
				j = o[j]
			}
			if l := f.Net.localOf(k); l != nil {
				j = l[j]
			}
			b := uint8(0)
			if i := rf.pos[j]; i >= 0 {
				b = src[i]
			}
			dst = append(dst, b)
		}
		src = src[len(rf.unstable):]
	}
	return dst
}
