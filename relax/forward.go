package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// Forward bounds every node by two affine functions of the few inputs that vary, pushed forward layer by layer: cheap when p,
// the number of varying inputs, is small, because a layer costs 2·(p+2) products whatever its width (forward-mode linear
// relaxation; Zhang et al. 2018, Singh et al. 2019 without back-substitution). Results are intersected into f.B.
//
// Representation. With inputs x_q = c_q + r_q·ξ_q, |ξ_q| ≤ 1, each element has C(ξ) ± (D(ξ) + e): lower C−D−e, upper C+D+e.
// C and D have p coefficients and a constant; D's last lane is e ≥ 0. For z = M·x + b: C_z = M·C + b, D_z = |M|·D, exactly
// M⁺·lower + M⁻·upper and its mirror image.
//
// Soundness: every rounded step adds its a-priori error γ·(|M|·mag + |b|) to e, mag the sum of absolute coefficients.
func (n *Net) Forward(f *Frame) bool {
	if len(n.Acts[0]) > 0 {
		f.Refresh(0)
	}
	f.restart()
	if f.reach == 0 {
		return true
	}
	dims := f.varying()
	p := len(dims)
	w := &forwardPass{n: n, f: f, p: p, R: (p + 2 + 7) &^ 7}
	w.C, w.D = make([][]float64, len(n.P.Nodes)), make([][]float64, len(n.P.Nodes))
	w.uses = make([]int, len(n.P.Nodes))
	w.ones = make([]float64, p+1)
	for q := range w.ones {
		w.ones[q] = 1
	}
	for k := range n.P.Nodes {
		nd := &n.P.Nodes[k]
		for _, t := range nd.Terms {
			w.uses[t.Src]++
		}
		if nd.Kind != prog.Affine && nd.Kind != prog.Input {
			w.uses[nd.Src]++
		}
		if nd.Kind == prog.Product {
			w.uses[nd.Src2]++
		}
	}
	w.input(dims)
	var sc ibpScratch
	for k := 1; k < len(n.P.Nodes); k++ {
		nd := &n.P.Nodes[k]
		n.ibpNode(k, f.B, &sc, true)
		f.rescale(k)
		w.alloc(k)
		switch nd.Kind {
		case prog.Affine:
			w.affine(k, nd)
		case prog.Relu:
			w.relu(k, nd.Src)
		case prog.Sigmoid:
			w.sigmoid(k, nd.Src)
		case prog.Curve, prog.Product:
			w.planes(k, nd)
		}
		w.release(nd)
		// ranges are wanted where they choose relaxations; of other nodes the interval step knows enough
		if k < f.reach && (len(n.Acts[k]) > 0 || k == n.P.Output) && !w.concretize(k) {
			return false
		}
		if len(n.Acts[k]) > 0 {
			f.Refresh(k)
		}
	}
	return true
}

// varying lists the inputs that get a lane of their own: those that do not vanish beside the widest and are wider than rounding or
// not small beside it. This is not Box.Varies: what has no lane costs an error here, and nothing is fixed.
func (f *Frame) varying() []int {
	widest := 0.0
	for _, r := range f.inR {
		widest = max(widest, r)
	}
	var dims []int
	for i, r := range f.inR {
		if r > 1e-9*widest && (2*r > thin*math.Abs(f.inC[i]) || r > 1e-6*widest) {
			dims = append(dims, i)
		}
	}
	return dims
}

type forwardPass struct {
	n    *Net
	f    *Frame
	p, R int
	C, D [][]float64
	uses []int
	free [][]float64
	ones []float64 // p+1 of them
}

// lanes: 0..p−1 coefficients, p constant, p+1 the error radius (in D only).
func (w *forwardPass) alloc(k int) {
	w.C[k], w.D[k] = w.take(w.n.P.Nodes[k].N*w.R), w.take(w.n.P.Nodes[k].N*w.R)
}

func (w *forwardPass) take(n int) []float64 {
	for i, b := range w.free {
		if cap(b) >= n {
			w.free = append(w.free[:i], w.free[i+1:]...)
			b = b[:n]
			clear(b)
			return b
		}
	}
	return make([]float64, n)
}

// release frees the forms of sources nobody reads any more.
func (w *forwardPass) release(nd *prog.Node) {
	drop := func(s int) {
		w.uses[s]--
		if w.uses[s] == 0 {
			w.free = append(w.free, w.C[s], w.D[s])
			w.C[s], w.D[s] = nil, nil
		}
	}
	for _, t := range nd.Terms {
		drop(t.Src)
	}
	if nd.Kind != prog.Affine {
		drop(nd.Src)
	}
	if nd.Kind == prog.Product {
		drop(nd.Src2)
	}
}

func (w *forwardPass) input(dims []int) {
	w.alloc(0)
	for i, c := range w.f.inC {
		w.C[0][i*w.R+w.p] = c
	}
	for i, r := range w.f.inR {
		w.D[0][i*w.R+w.p+1] = r // an input without a lane of its own is its centre and an error
	}
	for q, i := range dims {
		w.C[0][i*w.R+q], w.D[0][i*w.R+w.p+1] = w.f.inR[i], 0
	}
}

func (w *forwardPass) affine(k int, nd *prog.Node) {
	R, p := w.R, w.p
	C, D := w.C[k], w.D[k]
	S := w.f.S[k]
	for j := range S {
		if nd.Bias != nil {
			C[j*R+p] = nd.Bias[j]
		}
	}
	g := gamma(w.n.rowFan[k] + nd.Rel + 8)
	for _, t := range nd.Terms {
		src, N := t.Src, w.n.P.Nodes[t.Src].N
		// the rounding of both products errs by at most γ·|M|·mag: carried by |M|·(e + γ·mag)
		Ds := w.D[src]
		Cs := w.C[src]
		for j := 0; j < N; j++ {
			m := kernel.AbsDot(Cs[j*R:j*R+p+1], w.ones) + kernel.AbsDot(Ds[j*R:j*R+p+1], w.ones)
			o := j*R + p + 1
			Ds[o] = (Ds[o] + 2*g*m) * (1 + 2*g)
		}
		t.Map.Forward(C, Cs, R)
		t.Map.ForwardAbs(D, Ds, R)
	}
	for j := range S {
		o := j*R + p + 1
		D[o] = (D[o] + 4*unit*math.Abs(C[j*R+p]) + 1e-300) * (1 + 2*g)
		if nd.Bias != nil {
			D[o] += g * math.Abs(nd.Bias[j])
		}
		D[o] += w.n.scaledError(k, S[j])
		C[o] = 0
	}
}

// linear writes form dst = element j's lower line lk·z+lt and upper line uk·z+ut applied to the form of z, lk, uk ≥ 0.
func (w *forwardPass) linear(k, src, j int, lk, lt, uk, ut float64) {
	R, p := w.R, w.p
	C, D := w.C[src][j*R:j*R+R], w.D[src][j*R:j*R+R]
	c, d := w.C[k][j*R:j*R+R], w.D[k][j*R:j*R+R]
	e := D[p+1]
	mag := 0.0
	for q := 0; q <= p; q++ {
		lo, hi := lk*(C[q]-D[q]), uk*(C[q]+D[q])
		if q == p {
			lo += lt
			hi += ut
		}
		c[q], d[q] = (lo+hi)/2, (hi-lo)/2
		mag += (math.Abs(C[q]) + math.Abs(D[q])) * max(lk, uk)
	}
	mag += math.Abs(lt) + math.Abs(ut)
	d[p+1] = max(lk, uk)*e*(1+4*unit) + 16*unit*mag + 1e-300
}

func (w *forwardPass) relu(k, src int) {
	L, U := w.f.B.L[src], w.f.B.U[src]
	rf := w.f.relu[k]
	for j, l := range L {
		switch u := U[j]; {
		case u <= 0:
		case l >= 0:
			o := j * w.R
			copy(w.C[k][o:o+w.R], w.C[src][o:o+w.R])
			copy(w.D[k][o:o+w.R], w.D[src][o:o+w.R])
		default:
			i := rf.pos[j]
			w.linear(k, src, j, rf.a0[i], 0, rf.s[i], rf.t[i])
		}
	}
}

func (w *forwardPass) sigmoid(k, src int) {
	sf := w.f.sigm[k]
	for j := range sf.kl {
		w.linear(k, src, j, sf.kl[j], sf.tl[j], sf.ku[j], sf.tu[j])
	}
}

// concretize intersects the forms' ranges into the bounds.
func (w *forwardPass) concretize(k int) bool {
	R, p := w.R, w.p
	L, U := w.f.B.L[k], w.f.B.U[k]
	g := 4 * gamma(p+8)
	for j := range L {
		C, D := w.C[k][j*R:j*R+R], w.D[k][j*R:j*R+R]
		sl, su, m := 0.0, 0.0, 0.0
		for q := 0; q < p; q++ {
			sl += math.Abs(C[q] - D[q])
			su += math.Abs(C[q] + D[q])
			m += math.Abs(C[q]) + math.Abs(D[q])
		}
		err := D[p+1] + g*(m+math.Abs(C[p])+math.Abs(D[p])+D[p+1])
		if lo := down(C[p] - D[p] - sl - err); lo > L[j] { // false where a form is not a number
			L[j] = lo
		}
		if hi := up(C[p] + D[p] + su + err); hi < U[j] {
			U[j] = hi
		}
		if L[j] > U[j] {
			return false
		}
	}
	return true
}
