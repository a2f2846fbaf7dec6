package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// A Frame is what a batch of lanes is bounded against: shared bounds over one box, their scale, and the relaxation
// parameters that depend on the bounds alone. Build one per box (or root of a tree), use it from several workers.
type Frame struct {
	Net   *Net
	Box   Box
	B     *Bounds
	S     Scale
	relu  []*reluFrame // per Relu node
	sigm  []*sigmFrame // per Sigmoid node
	curve []*planes    // per Curve or Product node
	inC   []float64    // box centre
	inR   []float64    // box radius, rounded up
	inMag []float64    // |centre| + radius
	// reach is the first node whose magnitudes are beyond maxMagnitude: from there on no bound is offered.
	reach int
	given Scale // what S was set to; S may replace its wild part (scale.go)
	// Parallel makes every default lower line of an open ReLU parallel to its upper line, as in Wong and Kolter's dual network; it
	// takes effect with the next Refresh.
	Parallel bool
	// Ball, if set, is where passes minimise the input term, instead of on the box.
	Ball *Ball
	sc   ibpScratch
}

// reluFrame lists a ReLU layer's unstable neurons with their upper lines, and the stably active ones.
type reluFrame struct {
	unstable []int32   // elements with l < 0 < u
	s, t     []float64 // upper line s·z + t per unstable neuron
	a0       []float64 // default lower slope (0 or 1) per unstable neuron
	active   []int32   // elements with l ≥ 0
	pos      []int32   // element → index in unstable, −1 otherwise
}

// sigmFrame holds a sigmoid layer's default lines kl·z+tl ≤ σ(z) ≤ ku·z+tu and the tangents a lane may use instead: tan[2j]
// below element j, tan[2j+1] above it, mirrored.
type sigmFrame struct {
	kl, tl, ku, tu []float64
	tan            []tangentRange
	span           []float64 // u − l, rounded up
}

// lines returns the lines of elements lo..hi-1.
func (s *sigmFrame) lines(lo, hi int) kernel.Lines[float64] {
	return kernel.Lines[float64]{KL: s.kl[lo:hi], TL: s.tl[lo:hi], KU: s.ku[lo:hi], TU: s.tu[lo:hi]}
}

// NewFrame prepares the relaxation for bounds b over box. It keeps b: change b only together with Refresh.
func (n *Net) NewFrame(box Box, b *Bounds, s Scale) *Frame {
	f := &Frame{Net: n, Box: box, B: b, curve: make([]*planes, len(n.P.Nodes)), relu: make([]*reluFrame, len(n.P.Nodes)), sigm: make([]*sigmFrame, len(n.P.Nodes))}
	f.SetScale(s)
	m := len(box.Lo)
	f.inC, f.inR, f.inMag = make([]float64, m), make([]float64, m), make([]float64, m)
	f.setCentre()
	for _, k := range n.Pre {
		f.Refresh(k)
	}
	return f
}

// SetBox takes over changed ends of f.Box, also as the bounds of the input; Crown or Forward must follow before Run.
func (f *Frame) SetBox() {
	f.setCentre()
	copy(f.B.L[0], f.Box.Lo)
	copy(f.B.U[0], f.Box.Hi)
}

// setCentre computes centre, radius and magnitude of the box.
func (f *Frame) setCentre() {
	for i := range f.Box.Lo {
		f.inC[i], f.inR[i] = centreRadius(f.Box.Lo[i], f.Box.Hi[i])
		f.inMag[i] = math.Abs(f.inC[i]) + f.inR[i]
	}
}

// Refresh recomputes the relaxation of the activations of pre-activation node k after its bounds changed.
func (f *Frame) Refresh(k int) {
	for _, act := range f.Net.Acts[k] {
		switch f.Net.P.Nodes[act].Kind {
		case prog.Relu:
			f.refreshRelu(act, k)
		case prog.Sigmoid:
			f.refreshSigmoid(act, k)
		case prog.Curve:
			f.refreshCurve(act, k)
		case prog.Product:
			f.refreshProduct(act)
		}
	}
}

func (f *Frame) refreshRelu(act, k int) {
	rf := f.relu[act]
	if rf == nil {
		rf = &reluFrame{pos: make([]int32, f.Net.P.Nodes[act].N)}
		f.relu[act] = rf
	}
	rf.unstable, rf.active = rf.unstable[:0], rf.active[:0]
	rf.s, rf.t, rf.a0 = rf.s[:0], rf.t[:0], rf.a0[:0]
	for j, l := range f.B.L[k] {
		u := f.B.U[k][j]
		rf.pos[j] = -1
		switch {
		case l >= 0:
			rf.active = append(rf.active, int32(j))
		case u > 0:
			s, t := upperLine(l, u)
			a0 := 0.0
			switch {
			case f.Parallel:
				a0 = s
			case u > -l:
				a0 = 1
			}
			rf.pos[j] = int32(len(rf.unstable))
			rf.unstable = append(rf.unstable, int32(j))
			rf.s, rf.t, rf.a0 = append(rf.s, s), append(rf.t, t), append(rf.a0, a0)
		}
	}
}

// upperLine returns s ∈ [0,1] and t with relu(z) ≤ s·z + t on [l,u] for l < 0 < u.
//
// Soundness: relu is convex, so a line above it at both ends is above it between them: t ≥ −s·l and t ≥ u − s·u, each
// with a single rounding (FMA: u − s·u cancels), then stepped up.
func upperLine(l, u float64) (s, t float64) {
	s = u / (u - l)
	if !(s >= 0 && s <= 1) {
		s = 1
	}
	return s, max(up(-s*l), up(math.FMA(-s, u, u)), 0)
}

func (f *Frame) refreshSigmoid(act, k int) {
	sf := f.sigm[act]
	n := f.Net.P.Nodes[act].N
	if sf == nil {
		sf = &sigmFrame{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]tangentRange, 2*n), make([]float64, n)}
		f.sigm[act] = sf
	}
	for j := range n {
		l, u := f.B.L[k][j], f.B.U[k][j]
		sf.kl[j], sf.tl[j], sf.ku[j], sf.tu[j] = sigmoidLines(l, u, 0.5)
		sf.tan[2*j], sf.tan[2*j+1], sf.span[j] = lowerTangents(l, u), lowerTangents(-u, -l), up(u-l)
	}
}

// Width returns the width of element j's bounds at node k.
func (f *Frame) Width(k int, j int32) float64 { return f.B.U[k][j] - f.B.L[k][j] }
