package bab

import "math"

// boxBranch is an open sub-box: the ends of the varying inputs, and the cases still possible there.
type boxBranch struct {
	lo, hi []float64
	alive  []int32
	bound  float64
	volume float64 // share of the root box (by halvings, clipping not counted)
	depth  int
	late   bool       // its bounds touched 0 before
	in     *inherited // what the box takes over from the one it was cut from
}

// part returns a branch on the part lo…hi of b with what it inherits.
func (b *boxBranch) part(lo, hi []float64, in *inherited) *boxBranch {
	return &boxBranch{lo: append([]float64(nil), lo...), hi: append([]float64(nil), hi...), bound: b.bound, depth: b.depth + 1, late: b.late, in: in}
}

// bytes estimates the memory of an open box; what siblings share counts half for each.
func (b *boxBranch) bytes() int64 { return int64(16*len(b.lo)+160) + b.in.bytes()/2 }

// plane is the linear form below a row's objective: its slopes in the varying inputs and its least value over the box it was
// computed for.
type plane struct {
	row rowRef
	a   []float64
	lb  float64
}

// eachAlive calls f for the planes of the alive cases, both in order of cases.
func eachAlive(planes []plane, alive []int32, f func(i int)) {
	a := 0
	for i := range planes {
		for a < len(alive) && alive[a] < planes[i].row.c {
			a++
		}
		if a < len(alive) && alive[a] == planes[i].row.c {
			f(i)
		}
	}
}

// aliveOf lists the cases without a refuted row, and the least over them of their best row's bound.
func (s *inputSearch) aliveOf(b *boxBranch, planes []plane) (alive []int32, bound float64) {
	bound = math.Inf(1)
	for i := 0; i < len(planes); {
		c := planes[i].row.c
		best, dead := math.Inf(-1), false
		for ; i < len(planes) && planes[i].row.c == c; i++ {
			best = max(best, planes[i].lb)
			dead = dead || Refuted(&s.q.Cases[c].Rows[planes[i].row.r], planes[i].lb)
		}
		if !dead {
			alive = append(alive, c)
			bound = min(bound, best)
		}
	}
	return alive, bound
}

// clipSlack is the relative error allowed for the handful of roundings of clip, each under 2⁻⁵³.
const clipSlack = 1e-12

// clip shrinks the part lo…hi of box b to the hull, over the alive cases, of the points where every row's plane is ≤ 0. It returns the
// cases that remain: those without a row whose plane is positive on the whole part.
//
// Soundness: where a row's objective is ≤ 0 its plane is ≤ 0. The plane's least value on the part is its least on the box plus, per
// input, what the least of a_i·x_i gains; so a_i·x_i ≤ −least + min a_i·x_i for each input. Every magnitude in these few operations
// is charged with clipSlack, a thousand times what they can err.
func (s *inputSearch) clip(b *boxBranch, planes []plane, alive []int32, lo, hi []float64) (left []int32) {
	p := len(lo)
	var buf [4 * 16]float64
	work := buf[:]
	if 4*p > len(work) {
		work = make([]float64, 4*p)
	}
	hullLo, hullHi, cl, ch := work[:p], work[p:2*p], work[2*p:3*p], work[3*p:4*p]
	for d := range p {
		hullLo[d], hullHi[d] = math.Inf(1), math.Inf(-1)
	}
	left = make([]int32, 0, len(alive))
	at := 0
	for _, c := range alive {
		copy(cl, lo)
		copy(ch, hi)
		for planes[at].row.c < c {
			at++
		}
		dead := false
		for ; at < len(planes) && planes[at].row.c == c && !dead; at++ {
			pl := &planes[at]
			dead = planeCut(pl, b, lo, hi, cl, ch) || Refuted(&s.q.Cases[c].Rows[pl.row.r], pl.leastOn(b, lo, hi))
		}
		if dead {
			continue
		}
		left = append(left, c)
		for d := range p {
			hullLo[d], hullHi[d] = min(hullLo[d], cl[d]), max(hullHi[d], ch[d])
		}
	}
	if len(left) > 0 {
		copy(lo, hullLo)
		copy(hi, hullHi)
	}
	return left
}

// size is the sum of the magnitudes of the plane's terms on box b.
func (p *plane) size(b *boxBranch) float64 {
	m := math.Abs(p.lb)
	for d, a := range p.a {
		m += math.Abs(a) * (math.Abs(b.lo[d]) + math.Abs(b.hi[d]))
	}
	return m
}

// leastOn bounds the plane of box b from below on the part lo…hi.
func (p *plane) leastOn(b *boxBranch, lo, hi []float64) float64 {
	v, m := p.lb, math.Abs(p.lb)
	for d, a := range p.a {
		x, y := min(a*b.lo[d], a*b.hi[d]), min(a*lo[d], a*hi[d])
		v += y - x
		m += math.Abs(x) + math.Abs(y)
	}
	return v - clipSlack*m - 1e-300
}

// planeCut intersects cl…ch with the points of lo…hi, a part of box b, where the plane is ≤ 0, input by input. It reports whether
// none is left.
func planeCut(p *plane, b *boxBranch, lo, hi, cl, ch []float64) bool {
	v := p.leastOn(b, lo, hi)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return false
	}
	for d, a := range p.a {
		if a == 0 {
			continue
		}
		least := min(a*lo[d], a*hi[d])
		lim := least - v // a·x ≤ lim
		lim += clipSlack * (math.Abs(least) + math.Abs(v) + math.Abs(a)*max(math.Abs(lo[d]), math.Abs(hi[d])))
		x := lim / a
		x += math.Copysign(clipSlack*math.Abs(x)+1e-300, a)
		if a > 0 {
			ch[d] = min(ch[d], x)
		} else {
			cl[d] = max(cl[d], x)
		}
		if cl[d] > ch[d] {
			return true
		}
	}
	return false
}

// cutAt chooses the input to halve lo…hi across, −1 when every side is a single float: that with the greatest slope times width over
// the rows, slopes below 1/(2p) of a row's greatest counting as that much. A slope that is small on the whole box need not be so on its
// halves; with few inputs the doubt costs less. (0.3 for all needs a third more boxes on acasxu_2023, 0.1 a fifth to a half more on TLL networks.)
func cutAt(planes []plane, alive []int32, lo, hi []float64) int {
	best, dim := -1.0, -1
	floor := 0.5 / float64(len(lo))
	for d := range lo {
		w := hi[d] - lo[d]
		mid := lo[d] + w/2
		if !(mid > lo[d] && mid < hi[d]) {
			continue
		}
		score := 0.0
		eachAlive(planes, alive, func(i int) {
			m := 0.0
			for _, a := range planes[i].a {
				m = max(m, math.Abs(a))
			}
			score = max(score, max(math.Abs(planes[i].a[d]), floor*m)*w)
		})
		if score > best {
			best, dim = score, d
		}
	}
	return dim
}
