package prog

import (
	"sync"

	"github.com/spai-project/certify/internal/kernel"
)

// One direction of a convolution as matrix products on gathered rows.
//
// For a target pixel, the source pixels that contribute to it and the weights they are multiplied with depend only on the
// phase of the target (its position modulo the stride, when the direction is backward; always 0 forward) and, at the
// borders, on which taps fall inside the source. So the weights are packed once per phase, with the taps outermost and the
// source channels innermost: the taps of a border pixel are then a few contiguous pieces of the packed matrix.

// An axis relates target to source coordinates in one dimension. A target t has a phase f, and tap u of that phase reads
// source base(t) + rel[f][u] with kernel position tap[f][u].
type axis struct {
	n, src    int // sizes of target and source
	phases    int
	pad       int
	up, down  int // base(t) = floor((t·up + shift)/down)
	shift     int
	tap, rel  [][]int
	reach     int // extent of the kernel, dilation included
	stride    int
	isForward bool
}

func forwardAxis(n, src, k, stride, dil, pad int) axis {
	a := axis{n: n, src: src, phases: 1, up: stride, down: 1, shift: -pad, pad: pad, stride: stride, reach: dil * (k - 1), isForward: true}
	a.tap, a.rel = make([][]int, 1), make([][]int, 1)
	for u := 0; u < k; u++ {
		a.tap[0], a.rel[0] = append(a.tap[0], u), append(a.rel[0], u*dil)
	}
	return a
}

func backwardAxis(n, src, k, stride, dil, pad int) axis {
	a := axis{n: n, src: src, phases: stride, up: 1, down: stride, shift: pad, pad: pad, stride: stride, reach: dil * (k - 1)}
	a.tap, a.rel = make([][]int, stride), make([][]int, stride)
	for u := 0; u < k; u++ {
		f := u * dil % stride
		a.tap[f], a.rel[f] = append(a.tap[f], u), append(a.rel[f], -(u*dil/stride))
	}
	return a
}

// at returns the phase and the base of target t.
func (a *axis) at(t int) (phase, base int) {
	v := t*a.up + a.shift
	base = floorDiv(v, a.down)
	return v - base*a.down, base
}

// span returns the taps lo <= u < hi of the phase whose source lies in s0 <= s < s1; they are consecutive because rel is
// monotone.
func (a *axis) span(phase, base, s0, s1 int) (lo, hi int) {
	rel := a.rel[phase]
	for lo < len(rel) && (base+rel[lo] < s0 || base+rel[lo] >= s1) {
		lo++
	}
	for hi = lo; hi < len(rel) && base+rel[hi] >= s0 && base+rel[hi] < s1; hi++ {
	}
	return lo, hi
}

// sources returns the range of source coordinates that targets t0 <= t < t1 read, unclipped.
func (a *axis) sources(t0, t1 int) (s0, s1 int) {
	if a.isForward {
		return t0*a.stride - a.pad, (t1-1)*a.stride - a.pad + a.reach + 1
	}
	return -floorDiv(-(t0 + a.pad - a.reach), a.stride), floorDiv(t1-1+a.pad, a.stride) + 1
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// A convPlan computes target += A·source for one direction and one sign convention (A or |A|).
type convPlan struct {
	y, x        axis
	group       int
	rows, depth int       // target and source channels of one group
	phase       []phaseOp // y.phases × x.phases
	scratch     sync.Pool // of *[]float64, for single vectors
	lists       sync.Pool // of *[2][]span
}

// A phaseOp is the packed matrix of one phase: columns are (tap y, tap x, source channel).
type phaseOp struct {
	packs []*kernel.Packed[float64] // one per group
	list  *kernel.Rows              // source rows relative to the base pixel
}

// newConvPlan packs the weights: weight(group, row, channel, ky, kx).
func newConvPlan(y, x axis, group, rows, depth int, weight func(g, r, c, ky, kx int) float64) *convPlan {
	p := &convPlan{y: y, x: x, group: group, rows: rows, depth: depth}
	for fy := range y.phases {
		for fx := range x.phases {
			p.phase = append(p.phase, p.pack(fy, fx, weight))
		}
	}
	return p
}

func (p *convPlan) pack(fy, fx int, weight func(g, r, c, ky, kx int) float64) phaseOp {
	ty, tx := p.y.tap[fy], p.x.tap[fx]
	k := len(ty) * len(tx) * p.depth
	var op phaseOp
	idx := make([]int32, 0, k)
	for uy := range ty {
		for ux := range tx {
			for c := 0; c < p.depth; c++ {
				idx = append(idx, int32((c*p.y.src+p.y.rel[fy][uy])*p.x.src+p.x.rel[fx][ux]))
			}
		}
	}
	op.list = kernel.NewRows(idx, p.depth)
	a := make([]float64, p.rows*k)
	for g := range p.group {
		i := 0
		for r := 0; r < p.rows; r++ {
			for _, ky := range ty {
				for _, kx := range tx {
					for c := 0; c < p.depth; c++ {
						a[i] = weight(g, r, c, ky, kx)
						i++
					}
				}
			}
		}
		op.packs = append(op.packs, kernel.Pack(p.rows, k, a, k, 1))
	}
	return op
}

// A span is the contribution to one target coordinate: taps lo <= u < hi, source position base.
type span struct{ t, base, lo, hi int }

// spans appends to out the targets of one phase in t0 <= t < t1 that read sources in s0 <= s < s1.
func (a *axis) spans(out []span, phase, t0, t1, s0, s1 int) []span {
	for t := t0; t < t1; t++ {
		if f, base := a.at(t); f == phase {
			if lo, hi := a.span(f, base, s0, s1); lo < hi {
				out = append(out, span{t, base, lo, hi})
			}
		}
	}
	return out
}

// smallWeights is the packed size up to which all panels of a phase stay in the second-level cache together with a row
// of pixels; larger weights are walked once per image instead of once per row.
const smallWeights = 1 << 15

// run computes dst += A·src for R lanes (a multiple of 8), for the target pixels in the window t and counting the source
// as zero outside the window s. Both windows are clipped and have their layout set.
func (p *convPlan) run(dst, src []float64, R int, t, s Window) {
	list, _ := p.lists.Get().(*[2][]span)
	if list == nil {
		list = new([2][]span)
	}
	defer p.lists.Put(list)
	for fy := range p.y.phases {
		ys := p.y.spans(list[0][:0], fy, t.Y0, t.Y1, s.Y0, s.Y1)
		list[0] = ys
		for fx := range p.x.phases {
			xs := p.x.spans(list[1][:0], fx, t.X0, t.X1, s.X0, s.X1)
			list[1] = xs
			op := &p.phase[fy*p.x.phases+fx]
			step := len(ys)
			if p.rows*p.depth*len(p.y.tap[fy])*len(p.x.tap[fx]) <= smallWeights {
				step = 1
			}
			for i := 0; i < len(ys); i += step {
				p.band(dst, src, R, op, ys[i:i+step], xs, len(p.x.tap[fx]))
			}
		}
	}
}

// band computes the target pixels ys × xs of one phase, panel by panel. nx is the number of taps in x.
func (p *convPlan) band(dst, src []float64, R int, op *phaseOp, ys, xs []span, nx int) {
	tn, sn := p.y.n*p.x.n, p.y.src*p.x.src
	for g, pk := range op.packs {
		dg, off := dst[g*p.rows*tn*R:(g+1)*p.rows*tn*R], g*p.depth*sn
		for pan := range pk.Panels() {
			for _, y := range ys {
				for _, x := range xs {
					c := dg[(y.t*p.x.n+x.t)*R:]
					at := off + y.base*p.x.src + x.base
					if x.hi-x.lo == nx { // whole kernel rows are adjacent in the packed matrix
						pk.MulRows(pan, c, tn*R, src, at, op.list, y.lo*nx*p.depth, (y.hi-y.lo)*nx*p.depth, R)
						continue
					}
					for u := y.lo; u < y.hi; u++ {
						pk.MulRows(pan, c, tn*R, src, at, op.list, (u*nx+x.lo)*p.depth, (x.hi-x.lo)*p.depth, R)
					}
				}
			}
		}
	}
}

// whole returns the full windows of target and source.
func (p *convPlan) whole() (t, s Window) {
	t = Window{C: p.group * p.rows, H: p.y.n, W: p.x.n, Y1: p.y.n, X1: p.x.n}
	s = Window{C: p.group * p.depth, H: p.y.src, W: p.x.src, Y1: p.y.src, X1: p.x.src}
	return t, s
}

// apply computes dst += A·src for any R.
func (p *convPlan) apply(dst, src []float64, R int) {
	t, s := p.whole()
	p.applyWindow(dst, src, R, t, s)
}

// applyWindow is run for any R and any windows, those that are everything included.
func (p *convPlan) applyWindow(dst, src []float64, R int, t, s Window) {
	wt, ws := p.whole()
	if t.IsAll() {
		t = wt
	}
	if s.IsAll() {
		s = ws
	}
	t, s = t.clip(), s.clip()
	if R%8 == 0 {
		p.run(dst, src, R, t, s)
		return
	}
	forEachLane(dst, src, p.group*p.rows*p.y.n*p.x.n, p.group*p.depth*p.y.src*p.x.src, R, func(d, v []float64) {
		p.runVector(d, v, t, s)
	})
}
