package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// Semidefinite bounds of networks with one hidden layer. Linear relaxations treat every ReLU alone: where many of them add up,
// each takes the value it has at its own worst input, and the bound is far too low. A coefficient a < 0 on relu(z) is
//
//	a·relu(z) = min over y ∈ [0,1] of a·y·z
//
// and z is affine in the input, so the objective is the minimum of a form that is bilinear in the input x and the indicators y
// of these neurons, over a box. Minima of such forms are bounded well by a semidefinite program (Goemans and Williamson, J. ACM
// 1995; for networks Raghunathan, Steinhardt and Liang 2018): each variable becomes a unit vector. Neurons with a ≥ 0 are
// convex and keep the line α·z below them. semidefascent.go finds multipliers, semidefproof.go makes a rigorous bound of them.

// A Lift is a frame prepared for semidefinite bounds. It is immutable and safe for concurrent use.
type Lift struct {
	f            *Frame
	act, pre     int       // the Relu node and its source
	open, active []int32   // elements of the Relu node that are unstable, and stably active
	place        []int32   // element → index in open, −1 otherwise
	cols         []int32   // inputs that vary
	w            []float64 // rows of the first matrix over all inputs: those of open, then those of active
	bias         []float64 // likewise
	centre       []float64 // likewise: the rows' values at the centre of the box
	b            []float64 // rows of open over cols, times the radius of the input
	fwd, bwd     *kernel.Packed[float32]
}

// Liftable reports whether n has the shape that semidefinite bounds need: ReLUs that read affine functions of the input, and an
// output that is affine in them and the input.
func (n *Net) Liftable() bool {
	act := n.soleRelu()
	if act < 0 || n.P.Nodes[n.P.Output].Kind != prog.Affine {
		return false
	}
	pre := n.P.Nodes[act].Src
	if n.P.Nodes[pre].Kind != prog.Affine || !n.inputOnly(pre) {
		return false
	}
	for _, t := range n.P.Nodes[n.P.Output].Terms {
		if t.Src != act && t.Src != 0 {
			return false
		}
	}
	return true
}

// soleRelu returns the only node that is neither affine nor the input, −1 if it is not one Relu.
func (n *Net) soleRelu() int {
	act := -1
	for k := 1; k < len(n.P.Nodes); k++ {
		switch kind := n.P.Nodes[k].Kind; {
		case kind == prog.Affine:
		case kind == prog.Relu && act < 0:
			act = k
		default:
			return -1
		}
	}
	return act
}

const (
	// liftWork is the number of multiply-adds that a proof may take: it is not interrupted.
	liftWork = 4e9
	// liftSize is the number of entries that rows may have: they are written out, convolutions and stably active ones too.
	liftSize = 1 << 26
)

// NewLift prepares f, a frame of a Liftable network whose bounds and scale are final. It returns nil if nothing is unstable, a
// proof would take too long, the rows too much memory, or no bound could be offered.
func NewLift(f *Frame) *Lift {
	n := f.Net
	act := n.soleRelu()
	rf := f.relu[act]
	if len(rf.unstable) == 0 || f.reach < len(f.S) {
		return nil
	}
	l := &Lift{f: f, act: act, pre: n.P.Nodes[act].Src, open: rf.unstable, active: rf.active, place: rf.pos}
	for i, r := range f.inR {
		if r > 0 {
			l.cols = append(l.cols, int32(i))
		}
	}
	m, k := len(l.open), len(l.cols)
	if k == 0 || float64(m)*float64(m)*float64(m+k) > liftWork || m+len(l.active) > liftSize/len(f.inC) {
		return nil
	}
	l.fill()
	single := make([]float32, m*k)
	for i, v := range l.b {
		single[i] = float32(v)
	}
	l.fwd, l.bwd = kernel.Pack(m, k, single, k, 1), kernel.Pack(k, m, single, 1, k)
	return l
}

// fill extracts the rows of the first matrix.
func (l *Lift) fill() {
	n, nd := len(l.f.inC), &l.f.Net.P.Nodes[l.pre]
	m := len(l.open) + len(l.active)
	l.w, l.bias, l.centre = make([]float64, m*n), make([]float64, m), make([]float64, m)
	l.b = make([]float64, len(l.open)*len(l.cols))
	for i := range m {
		j := l.elem(i)
		row := l.row(i)
		nd.Terms[0].Map.Row(row, 1, 0, int(j), 1)
		if nd.Bias != nil {
			l.bias[i] = nd.Bias[j]
		}
		l.centre[i] = kernel.Dot(row, l.f.inC) + l.bias[i]
		if i < len(l.open) {
			for c, x := range l.cols {
				l.b[i*len(l.cols)+c] = row[x] * l.f.inR[x]
			}
		}
	}
}

// elem is the element of the Relu node that row i belongs to.
func (l *Lift) elem(i int) int32 {
	if i < len(l.open) {
		return l.open[i]
	}
	return l.active[i-len(l.open)]
}

func (l *Lift) row(i int) []float64 {
	n := len(l.f.inC)
	return l.w[i*n : (i+1)*n]
}

// A LiftRow is an objective in terms of a Lift's neurons: c + g·x + Σ v·relu(z). It is immutable.
type LiftRow struct {
	v, g    []float64 // per row of the Lift; per input
	c       float64
	e, da   float64   // as in Worker: Σ|ν|·S of what was passed already, and the magnitude of the constants
	active  []float64 // g and the active neurons together, per input: their linear form …
	atMid   float64   // … and its value at the centre, c included
	scaled  []float32 // active over the inputs that vary, times their radius
	convex  []int32   // open neurons with v ≥ 0
	concave []int32   // and with v < 0
}

// Row passes the objective of row (see SeedObjective) back to the hidden layer.
func (l *Lift) Row(w *Worker, row *spec.Row) *LiftRow {
	n, m := l.f.Net, len(l.open)+len(l.active)
	w.On(n)
	w.Begin(1)
	w.SeedObjective(l.f, row, 0, 1)
	out := n.P.Output
	if w.live[out] {
		w.backAffine(l.f, out, &n.P.Nodes[out])
	}
	a, g := w.Coef(l.act), w.Coef(0)
	o := &LiftRow{v: make([]float64, m), g: append([]float64(nil), g...), c: w.D[0], e: w.e[0], da: w.da[0]}
	o.active, o.atMid, o.scaled = append([]float64(nil), g...), o.c, make([]float32, len(l.cols))
	for i := range o.v {
		o.v[i] = a[l.elem(i)]
		switch {
		case i >= len(l.open):
			kernel.Axpy(o.active, l.row(i), o.v[i])
			o.atMid += o.v[i] * l.bias[i]
		case o.v[i] < 0:
			o.concave = append(o.concave, int32(i))
		default:
			o.convex = append(o.convex, int32(i))
		}
	}
	o.atMid += kernel.Dot(o.active, l.f.inC)
	for c, x := range l.cols {
		o.scaled[c] = float32(o.active[x] * l.f.inR[x])
	}
	return o
}

// LiftState is where an ascent stands: it belongs to one LiftRow of one Lift, and is copied for each child of a branch.
type LiftState struct {
	Fixed []int8    // per open neuron: the sign that was decided, 0 for none
	slope []float32 // α of convex neurons, β ≥ 0 of decided ones
	y     []float32 // open × liftRank: the vectors of the concave neurons
	Value float64   // what the bound converges to, an estimate
}

// liftRank is the length of the vectors. The optimum may need about the root of twice their number; with fewer the dual is a
// little weaker, never wrong.
const liftRank = 16

// Start returns the state that an ascent starts from.
func (l *Lift) Start() *LiftState {
	m := len(l.open)
	s := &LiftState{Fixed: make([]int8, m), slope: make([]float32, m), y: make([]float32, m*liftRank), Value: math.Inf(-1)}
	rf := l.f.relu[l.act]
	seed := uint64(1)
	for i := range m {
		s.slope[i] = float32(rf.s[i])
		y := s.y[i*liftRank : (i+1)*liftRank]
		sum := float32(0)
		for k := range y {
			seed = seed*6364136223846793005 + 1442695040888963407
			y[k] = float32(int32(seed>>32)) * 0x1p-31
			sum += y[k] * y[k]
		}
		normalise(y, float32(math.Sqrt(float64(sum))), 1)
	}
	return s
}

// normalise scales y by sign/norm; a zero vector stays.
func normalise(y []float32, norm, sign float32) {
	if norm > 0 {
		f := sign / norm
		for k := range y {
			y[k] *= f
		}
	}
}

// Decide returns a copy of s in which an open neuron's sign is decided.
func (s *LiftState) Decide(i int32, sign int8) *LiftState {
	k := &LiftState{append([]int8(nil), s.Fixed...), append([]float32(nil), s.slope...), append([]float32(nil), s.y...), s.Value}
	k.Fixed[i], k.slope[i] = sign, 0
	return k
}

// Bytes is the memory a state takes.
func (s *LiftState) Bytes() int64 { return stateBytes(len(s.Fixed)) }

func stateBytes(open int) int64 { return int64((5+4*liftRank)*open + 128) }

// RowBytes is the memory that a row and a state take.
func (l *Lift) RowBytes() int64 {
	m := len(l.open)
	return stateBytes(m) + int64(12*m+8*len(l.active)+16*len(l.f.inC)+4*len(l.cols)+256)
}
