package attacks

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// lanes is a reusable batch of R points with everything a step needs; element i of lane r is at i*R+r.
type lanes struct {
	R             int
	x, lo, hi     []float64
	v, g          [][]float64 // node values, gradient scratch
	c             []float64   // objective on the outputs
	mom           []float64   // momentum, allocated on first use
	adapt         *adapt      // of adaptive, allocated on first use
	save          []float64   // saved points, allocated on first use
	group         []int       // per lane: group, −1 before the first setBox
	target        []int       // per lane: case to attack, −1: the group's best case at the point
	cs            []int       // per lane, after evaluate: the case the margin is of
	row           []int       // per lane: its worst row
	margin        []float64
	rowMargin     []float64 // scratch
	step, scratch []float64
}

// A slab is memory for node values that workspaces of different widths share: what one left there means nothing to the next.
type slab []float64

// cut returns slices for every node and R lanes, as prog.Program.NewValues does.
func (m *slab) cut(p *prog.Program, R int) [][]float64 {
	total := 0
	for k := range p.Nodes {
		total += p.Nodes[k].N * R
	}
	if len(*m) < total {
		*m = make([]float64, total)
	}
	v, at := make([][]float64, len(p.Nodes)), 0
	for k := range v {
		n := p.Nodes[k].N * R
		v[k] = (*m)[at : at+n : at+n]
		at += n
	}
	return v
}

// newLanes makes a workspace that evaluates in v and g.
func newLanes(p *prog.Program, R int, v, g [][]float64) *lanes {
	n, out := p.Nodes[0].N, p.Nodes[p.Output].N
	l := &lanes{R: R, x: make([]float64, n*R), lo: make([]float64, n*R), hi: make([]float64, n*R),
		v: v, g: g, c: make([]float64, out*R), group: make([]int, R), target: make([]int, R),
		cs: make([]int, R), row: make([]int, R), margin: make([]float64, R), step: make([]float64, R), scratch: make([]float64, R)}
	for r := range l.group {
		l.group[r] = -1
	}
	return l
}

// setBox puts lane r into a group's box; target −1 lets the case float.
func (l *lanes) setBox(r int, s *Searcher, group, target int) {
	l.target[r] = target
	if l.group[r] == group {
		return
	}
	l.group[r] = group
	b := &s.pr.Boxes[s.groups[group].box]
	for i := range b.InLower {
		l.lo[i*l.R+r], l.hi[i*l.R+r] = float64(b.InLower[i]), float64(b.InUpper[i])
	}
}

// put moves element i of lane r to v: into the box and onto the float32 grid. Box ends are float32, so rounding stays inside.
func (l *lanes) put(i, r int, v float64) {
	k := i*l.R + r
	l.x[k] = float64(float32(min(max(v, l.lo[k]), l.hi[k])))
}

// set moves lane r to a point.
func (l *lanes) set(r int, x []float64) {
	for i, v := range x {
		l.put(i, r, v)
	}
}

// get copies lane r into dst.
func (l *lanes) get(dst []float64, r int) []float64 {
	for i := range dst {
		dst[i] = l.x[i*l.R+r]
	}
	return dst
}

// centre, corner and uniform are the three elementary starts of lane r.
func (l *lanes) centre(r int) {
	for k := r; k < len(l.x); k += l.R {
		l.x[k] = float64(float32(l.lo[k] + (l.hi[k]-l.lo[k])/2))
	}
}

func (l *lanes) corner(r int, bit func(i int) bool) {
	for i, k := 0, r; k < len(l.x); i, k = i+1, k+l.R {
		l.x[k] = l.lo[k]
		if l.lo[k] < l.hi[k] && bit(i) {
			l.x[k] = l.hi[k]
		}
	}
}

func (l *lanes) uniform(r int, rng *rand.Rand) {
	for k := r; k < len(l.x); k += l.R {
		l.x[k] = l.lo[k]
		if l.lo[k] < l.hi[k] {
			l.x[k] = float64(float32(l.lo[k] + (l.hi[k]-l.lo[k])*rng.Float64()))
		}
	}
}

// evaluate computes node values, margins, cases and rows of all lanes, and reports candidates. It returns false when the
// search is over: budget spent, cancelled, or a witness found.
func (s *Searcher) evaluate(l *lanes) bool {
	if !s.spend(l.R) {
		return false
	}
	s.p.Eval(l.x, l.R, l.v)
	hit := -1
	for r := range l.R {
		s.laneMargin(l, r)
		if l.margin[r] >= 0 && (hit < 0 || l.margin[r] > l.margin[hit]) {
			hit = r
		}
	}
	if hit >= 0 && s.candidate(l, hit) {
		return false
	}
	return true
}

// laneMargin finds the case of lane r with the largest margin, or the margin of its target.
func (s *Searcher) laneMargin(l *lanes, r int) {
	best, bestCase, bestRow := math.Inf(-1), -1, -1
	cases := s.groups[l.group[r]].cases
	if t := l.target[r]; t >= 0 {
		cases = s.single(t)
	}
	y := l.v[s.p.Output]
	for _, ci := range cases {
		rows := s.pr.Cases[ci].Rows
		m, row := math.Inf(1), 0
		for k := range rows {
			e := l.slack(&rows[k], y, r)
			if !(e >= m) { // NaN counts as worst
				m, row = e, k
			}
		}
		if math.IsNaN(m) {
			m = math.Inf(-1)
		}
		s.caseBest[ci] = max(s.caseBest[ci], m)
		if m > best || bestCase < 0 {
			best, bestCase, bestRow = m, ci, row
		}
	}
	l.margin[r], l.cs[r], l.row[r] = best, bestCase, bestRow
}

// slack returns RHS − left side of a row in lane r, y the outputs.
func (l *lanes) slack(q *spec.Row, y []float64, r int) float64 {
	e := q.RHSLower
	for _, t := range q.Y {
		e -= t.Value * y[t.Index*l.R+r]
	}
	for _, t := range q.X {
		e -= t.Value * l.x[t.Index*l.R+r]
	}
	return e
}

// gradient returns the ascent direction of every lane's margin at the last evaluated points (dx, lane layout, valid until the
// next call): of its worst row, or with smooth of −T·log Σ exp(−margin/T) over the rows, which does not zigzag between two of them.
func (s *Searcher) gradient(l *lanes, smooth bool) []float64 {
	s.spend(l.R)
	clear(l.c)
	for r := range l.R {
		rows := s.pr.Cases[l.cs[r]].Rows
		if len(rows) == 0 {
			continue
		}
		if !smooth || len(rows) == 1 {
			for _, t := range rows[l.row[r]].Y {
				l.c[t.Index*l.R+r] -= t.Value
			}
			continue
		}
		for k, w := range s.weights(l, r) {
			for _, t := range rows[k].Y {
				l.c[t.Index*l.R+r] -= w * t.Value
			}
		}
	}
	dx := s.p.Gradient(l.c, l.R, l.v, l.g)
	if !s.inputRows {
		return dx
	}
	for r := range l.R {
		rows := s.pr.Cases[l.cs[r]].Rows
		if len(rows) == 0 {
			continue
		}
		if !smooth || len(rows) == 1 {
			for _, t := range rows[l.row[r]].X {
				dx[t.Index*l.R+r] -= t.Value
			}
			continue
		}
		for k, w := range s.weights(l, r) {
			for _, t := range rows[k].X {
				dx[t.Index*l.R+r] -= w * t.Value
			}
		}
	}
	return dx
}

// weights returns the softmin weights of the rows of lane r's case at its point, temperature a tenth of the worst margin.
func (s *Searcher) weights(l *lanes, r int) []float64 {
	rows := s.pr.Cases[l.cs[r]].Rows
	y := l.v[s.p.Output]
	w := l.rowMargin[:0]
	worst := math.Inf(1)
	for k := range rows {
		e := l.slack(&rows[k], y, r)
		w = append(w, e)
		worst = min(worst, e)
	}
	l.rowMargin = w
	temp, sum := 0.1*math.Abs(worst)+1e-12, 0.0
	for k, e := range w {
		w[k] = math.Exp((worst - e) / temp)
		sum += w[k]
	}
	for k := range w {
		w[k] /= sum
	}
	return w
}
