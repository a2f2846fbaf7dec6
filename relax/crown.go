package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// A Split is a decided ReLU: Sign +1 means z ≥ 0, −1 means z ≤ 0. Act is the Relu node.
type Split struct {
	Act, Elem int32
	Sign      int8
}

// A Worker holds the scratch memory of one goroutine.
type Worker struct {
	net     *Net
	R       int
	self    bool        // the gradient needs the values of the layer that the last Run started from
	stopped bool        // the last Run was abandoned
	coef    [][]float64 // per node, lanes
	buf     [][]float64 // backing of coef with full capacity
	live    []bool
	win     []prog.Window // per node: pixels that can have coefficients; zero is everything
	D       []float64     // per lane: constant of the linear form (sum of bias terms and right-hand sides)
	dn      []float64     // per lane: sum of relaxation constants, all ≤ 0
	da      []float64     // per lane: Σ of absolute values of input and sigmoid terms
	e       []float64     // per lane: Σ|ν|·S
	tmp     []float64
	rad     []float64 // per lane: Σ|a|·radius of the input
	LB      []float64 // per lane: the rigorous lower bound of the last Run
	Err     []float64 // per lane: the rounding error already subtracted in LB

	// Work counts the multiply-adds of all passes so far: a measure of effort that does not depend on the machine.
	Work int64

	// Stop, if set, is asked between layers; when it reports true the pass is abandoned and every bound is −Inf.
	Stop func() bool

	// Alpha, if not nil, replaces the default lower slopes: per Relu node, [unstable index*R + lane]; and the default tangents:
	// per Sigmoid node, [(2*element + side)*R + lane], side 0 below and 1 above.
	Alpha [][]float64
	// Splits lists, per lane, the decided ReLUs with their multipliers Beta ≥ 0 (same length).
	Splits [][]Split
	Beta   [][]float64
	// save keeps, per Relu node, the coefficients a of the unstable neurons for gradients when keep is set.
	keep   bool
	save   [][]float64
	saveSp [][]float64 // per lane, per split: coefficient a at the split neuron
	lines  [][]float64 // per Sigmoid node, when keep and Alpha are set: slope and intercept in use, [2*(j*R+lane)]
	val    [][]float64 // pseudo-primal values, lanes
	valBuf [][]float64
	ascent *Ascent // memory of NewAscent
	lift   *lifting
}

// NewWorker returns scratch for n.
func NewWorker(n *Net) *Worker {
	k := len(n.P.Nodes)
	return &Worker{net: n, coef: make([][]float64, k), buf: make([][]float64, k), live: make([]bool, k), win: make([]prog.Window, k),
		save: make([][]float64, k), lines: make([][]float64, k), val: make([][]float64, k), valBuf: make([][]float64, k)}
}

// On makes w work on n, a specialisation of the network it was made for or that network; a batch begun before is lost.
func (w *Worker) On(n *Net) { w.net = n }

// Begin starts a batch of R lanes (1 or a multiple of 8) with empty objectives. The caller then adds coefficients with
// Seed, SeedRow or by writing to Coef, and constants to D.
func (w *Worker) Begin(R int) {
	w.R = R
	w.stopped, w.self = false, false
	for k := range w.live {
		w.live[k] = false
		w.win[k] = prog.Window{}
	}
	w.D, w.dn, w.da, w.e = zeroed(w.D, R), zeroed(w.dn, R), zeroed(w.da, R), zeroed(w.e, R)
	w.LB, w.Err, w.tmp, w.rad = grow(w.LB, R), grow(w.Err, R), grow(w.tmp, R), grow(w.rad, R)
	w.Alpha, w.Splits, w.Beta = nil, nil, nil
}

func zeroed(x []float64, n int) []float64 {
	x = grow(x, n)
	clear(x)
	return x
}

// Coef returns the coefficient lanes of node k, cleared on first use in a batch.
func (w *Worker) Coef(k int) []float64 {
	if !w.live[k] {
		n := w.net.P.Nodes[k].N * w.R
		if cap(w.buf[k]) < n {
			w.buf[k] = make([]float64, n)
		}
		c := w.buf[k][:n]
		w.each(k, func(lo, hi int) { clear(c[lo*w.R : hi*w.R]) })
		w.coef[k] = c
		w.live[k] = true
	}
	return w.coef[k]
}

// Seed adds c to the objective coefficient of element j of node k in lane r.
func (w *Worker) Seed(k, j, r int, c float64) { w.Coef(k)[j*w.R+r] += c }

// Charge adds a magnitude whose rounding the lane has to pay for: |c|·|v| of a coefficient c seeded where others add up.
func (w *Worker) Charge(r int, m float64) { w.e[r] += m }

// AddConst adds a constant to lane r's objective.
func (w *Worker) AddConst(r int, c float64) {
	w.D[r] += c
	w.da[r] += math.Abs(c)
}

// SeedRow makes lane r bound s·(element j of affine node k), s = ±1, entering one step below k, which saves a product.
func (w *Worker) SeedRow(f *Frame, k, j, r int, s float64) {
	nd := &w.net.P.Nodes[k]
	if nd.Bias != nil {
		w.D[r] += s * nd.Bias[j]
	}
	w.e[r] += f.S[k][j]
	for _, t := range nd.Terms {
		t.Map.Row(w.Coef(t.Src), w.R, r, j, s)
	}
}

// Run bounds every lane's objective from below over f.Box (and the lane's splits), starting at node from (the last node
// with coefficients). It fills LB. With keep set it stores what the gradient needs.
//
// Soundness: the inequality of the package comment with ν the stored floats; see package comment for E. Slopes multiply a
// coefficient once more, which errs by one unit of |ν|·|z| ≤ |ν|·S and is counted in errUnits; kernels that fuse the product
// with its addition to ν, or to a sum, save a rounding and never add one. The constants min(a,0)·t of a layer are a sum of
// one sign, so whichever way they are fused or ordered, sumLen steps of relative error cover them.
func (w *Worker) Run(f *Frame, from int) {
	w.selfSplits(from)
	for k := from; k > 0; k-- {
		if !w.live[k] {
			continue
		}
		if w.Stop != nil && w.Stop() {
			for r := range w.LB {
				w.LB[r] = math.Inf(-1)
			}
			w.stopped = true
			return
		}
		switch nd := &w.net.P.Nodes[k]; nd.Kind {
		case prog.Affine:
			w.backAffine(f, k, nd)
		case prog.Relu:
			w.backRelu(f, k, nd.Src)
		case prog.Sigmoid:
			w.backSigmoid(f, k, nd.Src)
		case prog.Curve, prog.Product:
			w.backPlanes(f, k, nd)
		}
	}
	w.concretize(f, from)
}

// backAffine moves the coefficients of an affine node to its sources.
func (w *Worker) backAffine(f *Frame, k int, nd *prog.Node) {
	R, nu := w.R, w.coef[k]
	S := f.S[k]
	e, tmp := w.e, w.tmp
	clear(tmp)
	size := 0
	w.each(k, func(lo, hi int) {
		size += hi - lo
		var bias []float64
		if nd.Bias != nil {
			bias = nd.Bias[lo:hi]
		}
		kernel.SumRows(tmp, e, nu[lo*R:hi*R], R, bias, S[lo:hi])
	})
	w.count(k, size)
	for r, v := range tmp {
		w.D[r] += v
	}
	for _, t := range nd.Terms {
		if m := windowed(t.Map, w.win[k]); m != nil {
			m.BackwardWindow(w.Coef(t.Src), nu, R, w.win[k])
		} else {
			t.Map.Backward(w.Coef(t.Src), nu, R)
		}
	}
}

// count adds a pass over size elements of affine node k to the work.
func (w *Worker) count(k, size int) {
	w.Work += int64(float64(w.R) * float64(w.net.work[k]) * float64(size) / float64(max(w.net.P.Nodes[k].N, 1)))
}

// backRelu turns coefficients a on max(z,0) into multipliers ν on z and a constant.
func (w *Worker) backRelu(f *Frame, k, src int) {
	R, a := w.R, w.coef[k]
	rf := f.relu[k]
	if w.Splits != nil {
		w.takeSplits(k, a)
	}
	nu := w.Coef(src)
	w.eachIn(k, rf.active, func(lo, hi int) {
		kernel.AddRows(nu, a, rf.active[lo:hi], R)
	})
	var sv []float64
	if w.keep {
		if cap(w.save[k]) < len(rf.unstable)*R {
			w.save[k] = make([]float64, len(rf.unstable)*R)
		}
		sv = w.save[k][:len(rf.unstable)*R]
		w.save[k] = sv
	}
	var al []float64
	if w.Alpha != nil {
		al = w.Alpha[k]
	}
	tmp := w.tmp
	clear(tmp)
	w.eachIn(k, rf.unstable, func(lo, hi int) {
		var keep []float64
		if sv != nil {
			keep = sv[lo*R : hi*R]
		}
		idx, up, t := rf.unstable[lo:hi], rf.s[lo:hi], rf.t[lo:hi]
		if al == nil {
			kernel.RelaxSharedRows(nu, tmp, a, keep, idx, R, rf.a0[lo:hi], up, t)
		} else {
			kernel.RelaxLanesRows(nu, tmp, a, keep, al[lo*R:hi*R], idx, R, up, t)
		}
	})
	for r, v := range tmp {
		w.dn[r] += v
	}
	if w.Splits != nil {
		w.putSplits(k, src)
	}
	w.chargeSource(f, src)
}

// chargeSource accounts for the rounding of ν when the activation's input is not an affine node (whose own step charges
// Σ|ν|·S): S of such a node is its magnitude.
func (w *Worker) chargeSource(f *Frame, src int) {
	if w.net.P.Nodes[src].Kind == prog.Affine {
		return
	}
	w.each(src, func(lo, hi int) {
		kernel.SumRows(nil, w.e, w.coef[src][lo*w.R:hi*w.R], w.R, nil, f.S[src][lo:hi])
	})
}

// takeSplits removes the split neurons of node k from the shared relaxation: their coefficients are kept aside and zeroed,
// so that the lane's own rule (putSplits) can follow.
func (w *Worker) takeSplits(k int, a []float64) {
	for r, sp := range w.Splits {
		for i, s := range sp {
			if int(s.Act) == k {
				o := int(s.Elem)*w.R + r
				w.saveSp[r][i] = a[o]
				a[o] = 0
			}
		}
	}
}

// putSplits adds the multipliers of split neurons: z ≥ 0 allows ν = a − β, z ≤ 0 allows ν = β, β ≥ 0, both without constant.
//
// Soundness: on z ≥ 0, x = z and (a−ν)z ≥ 0 because fl(a−β) ≤ a; on z ≤ 0, x = 0 and −νz ≥ 0.
func (w *Worker) putSplits(k, src int) {
	nu := w.coef[src]
	for r, sp := range w.Splits {
		for i, s := range sp {
			if int(s.Act) != k {
				continue
			}
			o := int(s.Elem)*w.R + r
			if s.Sign > 0 {
				nu[o] += w.saveSp[r][i] - w.Beta[r][i]
			} else {
				nu[o] += w.Beta[r][i]
			}
		}
	}
}

// selfSplits adds the multipliers of splits whose pre-activation is node from itself, to which no coefficient comes through
// the ReLU: sign·z ≥ 0 there, so objective − β·sign·z is a lower bound of the objective.
func (w *Worker) selfSplits(from int) {
	for r, sp := range w.Splits {
		for i, s := range sp {
			if w.net.P.Nodes[s.Act].Src != from {
				continue
			}
			w.self = true
			w.saveSp[r][i] = 1
			if b := w.Beta[r][i]; b != 0 {
				w.Coef(from)[int(s.Elem)*w.R+r] -= float64(s.Sign) * b
			}
		}
	}
}

// backSigmoid applies the lower line where a ≥ 0 and the upper line where a < 0.
func (w *Worker) backSigmoid(f *Frame, k, src int) {
	R, a := w.R, w.coef[k]
	nu := w.Coef(src)
	sf := f.sigm[k]
	if w.keep {
		w.save[k] = grow(w.save[k], len(a))
	}
	clear(w.tmp)
	if w.Alpha != nil {
		w.backTangents(sf, k, a, nu)
		w.chargeSource(f, src)
		return
	}
	w.each(k, func(lo, hi int) {
		x := a[lo*R : hi*R]
		kernel.RelaxLinesRows(nu[lo*R:hi*R], w.tmp, w.da, x, R, sf.lines(lo, hi))
		if w.keep {
			copy(w.save[k][lo*R:], x)
		}
	})
	for r := range w.D {
		w.D[r] += w.tmp[r]
	}
	w.chargeSource(f, src)
}

// concretize minimises the input term over the box and subtracts the rounding error.
func (w *Worker) concretize(f *Frame, from int) {
	R := w.R
	a := w.Coef(0)
	tmp, rad, da := w.tmp, w.rad, w.da
	clear(tmp)
	clear(rad)
	w.each(0, func(lo, hi int) {
		x := a[lo*R : hi*R]
		kernel.SumRows(tmp, rad, x, R, f.inC[lo:hi], f.inR[lo:hi])
		kernel.SumRows(nil, da, x, R, nil, f.inMag[lo:hi])
		w.Work += int64(R * (hi - lo)) // all there is of networks whose ReLUs read the input
	})
	if f.Ball != nil {
		f.Ball.concretize(w)
	}
	gE, gS := gamma(w.net.errUnits), gamma(w.net.sumLen+8)
	for r := range w.LB {
		E := gE*w.e[r] + gS*(w.da[r]-w.dn[r]+math.Abs(w.D[r])) + tinyError
		E += E * 1e-6
		w.Err[r] = E
		v := w.D[r] + w.dn[r] + (tmp[r] - rad[r])
		w.LB[r] = down(v - E)
		if from >= f.reach || !(math.Abs(v) <= math.MaxFloat64) || !(E <= math.MaxFloat64) {
			w.LB[r] = math.Inf(-1)
		}
	}
}

// LinearForm returns, for lane r after Run, coefficients in the input and a constant with objective ≥ coef·x + c on the box.
// coef has one entry per input element.
func (w *Worker) LinearForm(r int, coef []float64) (c float64) {
	if w.stopped || math.IsInf(w.LB[r], -1) {
		clear(coef)
		return math.Inf(-1)
	}
	a := w.coef[0]
	for i := range coef {
		coef[i] = a[i*w.R+r]
	}
	return down(w.D[r] + w.dn[r] - w.Err[r])
}
