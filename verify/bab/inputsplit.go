package bab

import (
	"context"
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// boxBranch is an open sub-box: the ends of the varying inputs, and the cases still possible there.
type boxBranch struct {
	lo, hi []float64
	alive  []int32
	bound  float64
	volume float64 // share of the root box (by halvings, clipping not counted)
	depth  int
}

// InputSplit refutes the query by bisecting the box along the inputs that vary: each sub-box is bounded afresh, shrunk by
// the planes its bounds give ("clipping": a counterexample satisfies every row, so A·x + c ≤ 0), and cut across the input
// with the largest |A_i|·width, |A_i| not below 0.3 of the largest.
func InputSplit(ctx context.Context, q *Query, f0 *relax.Frame, alive []int32, cfg *Config) *Outcome {
	s := &inputSearch{q: q, root: f0, cfg: cfg, out: &Outcome{Bound: math.Inf(-1)}}
	for i := range q.Box.Lo {
		if q.Free > 0 && i >= q.Free {
			break
		}
		if q.Box.Hi[i]-q.Box.Lo[i] > 1e-6*max(math.Abs(q.Box.Lo[i]), math.Abs(q.Box.Hi[i])) {
			s.dims = append(s.dims, i)
		}
	}
	s.forward = forwardPays(q.Net, f0)
	s.frames = make([]*boxFrame, len(cfg.Pool.W))
	for i, w := range cfg.Pool.W {
		s.frames[i] = newBoxFrame(q.Net, f0, w)
	}
	root := &boxBranch{alive: alive, volume: 1, bound: math.Inf(-1)}
	for _, i := range s.dims {
		root.lo, root.hi = append(root.lo, q.Box.Lo[i]), append(root.hi, q.Box.Hi[i])
	}
	s.open = []*boxBranch{root}
	for _, c := range alive {
		if len(q.Cases[c].Rows) == 0 {
			return s.stop("incomplete") // every input of the box satisfies the case: nothing to refute
		}
	}
	return s.run(ctx)
}

type inputSearch struct {
	q       *Query
	root    *relax.Frame
	cfg     *Config
	dims    []int
	forward bool
	frames  []*boxFrame
	open    []*boxBranch
	out     *Outcome
	proved  float64
}

// maxBackward is the number of open neurons up to which sub-boxes get a backward pass per inner neuron: much tighter than
// forward mode, and worth its price while layers are small.
const maxBackward = 1200

// forwardPays chooses how inner bounds are computed in sub-boxes.
func forwardPays(n *relax.Net, f *relax.Frame) bool { return n.Unstable(f.B) > maxBackward }

const roundBoxes = 32

func (s *inputSearch) run(ctx context.Context) *Outcome {
	pr := &progress{emit: s.cfg.Trace}
	for len(s.open) > 0 {
		if ctx.Err() != nil {
			return s.stop("interrupted")
		}
		if s.cfg.Branches > 0 && s.out.Branches >= s.cfg.Branches {
			return s.stop("budget")
		}
		if s.cfg.Pause != nil {
			if w := s.cfg.Pause(); w != nil {
				s.out.Status, s.out.Witness = Found, w
				return s.out
			}
		}
		if w, stuck := s.round(ctx); w != nil {
			s.out.Status, s.out.Witness = Found, w
			return s.out
		} else if stuck != "" {
			return s.stop(stuck)
		}
		mem := int64(len(s.open)) * int64(16*len(s.dims)+160)
		s.out.Peak = max(s.out.Peak, mem)
		if s.cfg.Memory > 0 && mem > s.cfg.Memory {
			return s.stop("memory")
		}
		pr.tick(trace.Event{Phase: "bab", Bound: s.least(), Open: len(s.open), Closed: s.out.Branches - len(s.open), Volume: s.proved, Memory: mem})
	}
	s.out.Status = Closed
	return s.out
}

func (s *inputSearch) stop(why string) *Outcome {
	s.out.Reason, s.out.Open, s.out.Bound = why, len(s.open), s.least()
	return s.out
}

func (s *inputSearch) least() float64 {
	b := math.Inf(1)
	for _, o := range s.open {
		b = min(b, o.bound)
	}
	return b
}

// round bounds the next branches and replaces them by their children. stuck says why a branch cannot be
// treated further.
func (s *inputSearch) round(ctx context.Context) (w *spec.Witness, stuck string) {
	n := min(len(s.open), roundBoxes)
	batch := s.open[len(s.open)-n:]
	children := make([][]*boxBranch, n)
	wit := newFound(n)
	why := make([]string, n)
	done := make([]bool, n)
	s.cfg.Pool.Each(n, func(w *relax.Worker, i int) {
		if ctx.Err() != nil {
			return
		}
		bf := s.frames[0]
		for _, c := range s.frames {
			if c.w == w {
				bf = c
			}
		}
		children[i], wit.wit[i], why[i] = s.bound(ctx, bf, batch[i])
		done[i] = ctx.Err() == nil || wit.wit[i] != nil
	})
	if w := wit.first(); w != nil {
		return w, ""
	}
	rest := s.open[:len(s.open)-n]
	var next []*boxBranch
	for i, b := range batch {
		if !done[i] {
			next = append(next, b)
			continue
		}
		if why[i] != "" {
			return nil, why[i]
		}
		s.out.Branches++
		vol := b.volume
		for _, c := range children[i] {
			vol -= c.volume
			next = append(next, c)
		}
		s.proved += vol
	}
	s.open = append(rest, next...)
	return nil, ""
}

// boxFrame is one worker's reusable frame over changing boxes.
type boxFrame struct {
	w    *relax.Worker
	pool *relax.Pool
	f    *relax.Frame
	form []float64
	x    []float64
}

func newBoxFrame(n *relax.Net, root *relax.Frame, w *relax.Worker) *boxFrame {
	w.On(n)
	b := n.NewBounds()
	b.Copy(root.B)
	bf := &boxFrame{w: w, pool: &relax.Pool{W: []*relax.Worker{w}}, f: n.NewFrame(root.Box.Clone(), b, root.S)}
	bf.form, bf.x = make([]float64, len(root.Box.Lo)), make([]float64, len(root.Box.Lo))
	return bf
}

// bound bounds one branch and returns its children (none when refuted), a witness, or why it is stuck.
func (s *inputSearch) bound(ctx context.Context, bf *boxFrame, b *boxBranch) (kids []*boxBranch, wit *spec.Witness, stuck string) {
	f, n := bf.f, s.q.Net
	f.B.Copy(s.root.B)
	for d, i := range s.dims {
		f.Box.Lo[i], f.Box.Hi[i] = b.lo[d], b.hi[d]
	}
	f.SetBox()
	var ok bool
	if s.forward {
		ok = n.Forward(f)
	} else {
		ok = n.Crown(ctx, bf.pool, f, relax.Tightening{})
	}
	if !ok {
		return nil, nil, Contradictory
	}
	alive, planes, wit := s.finalRows(bf, b)
	if wit != nil || len(alive) == 0 {
		return nil, wit, ""
	}
	lo, hi, empty := s.clip(b, alive, planes)
	if empty {
		return nil, nil, ""
	}
	return s.cut(b, alive, planes, lo, hi)
}

// plane is the linear form below a row's objective: its slopes in the varying inputs and its least value over the box.
type plane struct {
	row rowRef
	a   []float64
	lb  float64
}

// finalRows bounds the rows of the alive cases with one backward pass and tries the minimising corners as counterexamples.
func (s *inputSearch) finalRows(bf *boxFrame, b *boxBranch) (alive []int32, planes []plane, wit *spec.Witness) {
	q, w, f := s.q, bf.w, bf.f
	refs := q.rows(b.alive)
	out := q.Net.P.Output
	const maxLanes = 64
	for lo := 0; lo < len(refs); lo += maxLanes {
		part := refs[lo:min(len(refs), lo+maxLanes)]
		w.Begin((len(part) + 7) &^ 7)
		for r, ref := range part {
			row := &q.Cases[ref.c].Rows[ref.r]
			Seed(w, f, row, r)
		}
		w.Run(f, out)
		for r, ref := range part {
			p := plane{row: ref, a: make([]float64, len(s.dims)), lb: w.LB[r]}
			w.LinearForm(r, bf.form)
			for d, i := range s.dims {
				p.a[d] = bf.form[i]
			}
			planes = append(planes, p)
		}
	}
	b.bound = math.Inf(1)
	k := 0
	for _, c := range b.alive {
		best := math.Inf(-1)
		dead := false
		for r := range q.Cases[c].Rows {
			best = max(best, planes[k].lb)
			dead = dead || Refuted(&q.Cases[c].Rows[r], planes[k].lb)
			k++
		}
		if !dead {
			alive = append(alive, c)
			b.bound = min(b.bound, best)
		}
	}
	if len(alive) == 0 {
		return nil, nil, nil
	}
	kept := planes[:0]
	a := 0
	for _, p := range planes {
		for a < len(alive) && alive[a] < p.row.c {
			a++
		}
		if a < len(alive) && alive[a] == p.row.c {
			kept = append(kept, p)
		}
	}
	return alive, kept, s.try(bf, b, kept)
}

// try offers the corner where the weakest row's plane is least.
func (s *inputSearch) try(bf *boxFrame, b *boxBranch, planes []plane) *spec.Witness {
	if s.cfg.Try == nil || b.depth%2 == 1 {
		return nil
	}
	worst := 0
	for i := range planes {
		if planes[i].lb < planes[worst].lb {
			worst = i
		}
	}
	copy(bf.x, s.q.Box.Lo)
	for d, i := range s.dims {
		bf.x[i] = b.lo[d]
		if planes[worst].a[d] < 0 {
			bf.x[i] = b.hi[d]
		}
	}
	return s.cfg.Try(bf.x)
}

// clip shrinks the box to the hull, over the alive cases, of the points where every row's plane is ≤ 0.
//
// Soundness: where row's objective ≤ 0 its plane is ≤ 0, so a_i x_i ≤ −(least value of the rest). The rest's least value is
// recovered from the rigorous bound: lb ≤ rest + min a_i x_i, hence a_i x_i ≤ −lb + min a_i x_i, with the few roundings of
// these three operations pushed outward by a relative 1e-12 of their magnitudes (they err by under 1e-15).
func (s *inputSearch) clip(b *boxBranch, alive []int32, planes []plane) (lo, hi []float64, empty bool) {
	p := len(s.dims)
	hullLo, hullHi := make([]float64, p), make([]float64, p)
	for d := range p {
		hullLo[d], hullHi[d] = math.Inf(1), math.Inf(-1)
	}
	lo, hi = make([]float64, p), make([]float64, p)
	k := 0
	for _, c := range alive {
		copy(lo, b.lo)
		copy(hi, b.hi)
		dead := false
		for ; k < len(planes) && planes[k].row.c == c; k++ {
			pl := &planes[k]
			for d, a := range pl.a {
				if a == 0 || math.IsInf(pl.lb, 0) {
					continue
				}
				least := min(a*b.lo[d], a*b.hi[d])
				lim := least - pl.lb // a·x ≤ lim
				lim += 1e-12 * (math.Abs(least) + math.Abs(pl.lb) + math.Abs(a)*max(math.Abs(b.lo[d]), math.Abs(b.hi[d])))
				x := lim / a
				x += math.Copysign(1e-12*math.Abs(x)+1e-300, a)
				if a > 0 {
					hi[d] = min(hi[d], x)
				} else {
					lo[d] = max(lo[d], x)
				}
				if lo[d] > hi[d] {
					dead = true
				}
			}
		}
		if dead {
			continue
		}
		for d := range p {
			hullLo[d], hullHi[d] = min(hullLo[d], lo[d]), max(hullHi[d], hi[d])
		}
	}
	if p > 0 && hullLo[0] > hullHi[0] {
		return nil, nil, true
	}
	return hullLo, hullHi, false
}

// cut halves the clipped box. It reports stuck when every varying side is a single float.
func (s *inputSearch) cut(b *boxBranch, alive []int32, planes []plane, lo, hi []float64) (kids []*boxBranch, wit *spec.Witness, stuck string) {
	best, dim := -1.0, -1
	for d := range lo {
		w := hi[d] - lo[d]
		mid := lo[d] + w/2
		if !(mid > lo[d] && mid < hi[d]) {
			continue
		}
		score := 0.0
		for i := range planes {
			m := 0.0
			for _, a := range planes[i].a {
				m = max(m, math.Abs(a))
			}
			score = max(score, max(math.Abs(planes[i].a[d]), 0.3*m)*w)
		}
		if score > best {
			best, dim = score, d
		}
	}
	if dim < 0 {
		return nil, nil, "numerics"
	}
	mid := lo[dim] + (hi[dim]-lo[dim])/2
	for side := range 2 {
		c := &boxBranch{lo: append([]float64(nil), lo...), hi: append([]float64(nil), hi...), alive: alive,
			bound: b.bound, volume: b.volume / 2, depth: b.depth + 1}
		if side == 0 {
			c.hi[dim] = mid
		} else {
			c.lo[dim] = mid
		}
		kids = append(kids, c)
	}
	return kids, nil, ""
}
