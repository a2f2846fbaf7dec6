package bab

import (
	"context"
	"math"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// boxScratch is what one worker needs to treat boxes.
type boxScratch struct {
	s       *inputSearch
	w       *relax.Worker
	bounder boxBounder
	x, v    []float64 // a candidate: every input, and those that vary
	lo, hi  []float64
	cl, ch  []float64
	kids    []*boxBranch
}

// A boxBounder bounds the rows of the alive cases on a box.
type boxBounder interface {
	// bound returns the planes below the rows of b's alive cases, in order of case and row; they are valid until the next call.
	// It reports false when bounds exclude each other.
	bound(ctx context.Context, b *boxBranch) ([]plane, bool)
	// promising reports whether x, inputs that vary, is worth a try as a counterexample.
	promising(b *boxBranch, x []float64) bool
	// inherit returns what the parts of b that stay open, all within lo…hi, take over from the last bound.
	inherit(b *boxBranch, alive []int32, lo, hi []float64) *inherited
}

// search treats the boxes of a task and their parts, the last first.
func (b *boxScratch) search(ctx context.Context, t *boxTask) {
	t.left = append(t.left, t.in...)
	for len(t.left) > 0 && t.boxes < t.budget {
		if ctx.Err() != nil {
			return
		}
		n := len(t.left) - 1
		box := t.left[n]
		kids, wit, stuck := b.treat(ctx, box)
		if wit != nil {
			t.wit = wit
			return
		}
		if ctx.Err() != nil {
			return // bounds may be those of an abandoned pass; the box stays open
		}
		t.boxes++
		if stuck == Contradictory {
			t.broken = true
			return
		}
		t.left = t.left[:n]
		if stuck != "" {
			t.aside = append(t.aside, box)
			continue
		}
		t.proved += box.volume
		for _, k := range kids {
			if t.proved -= k.volume; k.late && !box.late {
				t.late = append(t.late, k)
			} else {
				t.left = append(t.left, k)
			}
		}
	}
}

// treat bounds one box and returns its open parts, valid until the next call, a witness, or why it is stuck.
func (b *boxScratch) treat(ctx context.Context, box *boxBranch) (kids []*boxBranch, wit *spec.Witness, stuck string) {
	planes, ok := b.bounder.bound(ctx, box)
	if !ok {
		return nil, nil, Contradictory
	}
	alive, bound := b.s.aliveOf(box, planes)
	if len(alive) == 0 {
		return nil, nil, ""
	}
	box.bound = max(box.bound, bound)
	if wit := b.try(box, planes, alive); wit != nil {
		return nil, wit, ""
	}
	b.lo, b.hi = append(b.lo[:0], box.lo...), append(b.hi[:0], box.hi...)
	if alive = b.s.clip(box, planes, alive, b.lo, b.hi); len(alive) == 0 {
		return nil, nil, ""
	}
	in := b.bounder.inherit(box, alive, b.lo, b.hi)
	b.kids = b.kids[:0]
	if alive = b.postpone(box, planes, alive, in); len(alive) == 0 {
		return b.kids, nil, ""
	}
	if alive = b.separate(box, planes, alive, in); len(alive) == 0 {
		return b.kids, nil, ""
	}
	dim := cutAt(planes, alive, b.lo, b.hi)
	if dim < 0 {
		return nil, nil, "numerics"
	}
	mid := b.lo[dim] + (b.hi[dim]-b.lo[dim])/2
	part := box.volume / float64(2+len(b.kids))
	for _, k := range b.kids {
		k.volume = part
	}
	for side := range 2 {
		k := box.part(b.lo, b.hi, in)
		if k.volume = part; side == 0 {
			k.hi[dim] = mid
		} else {
			k.lo[dim] = mid
		}
		if k.alive = b.s.clip(box, planes, alive, k.lo, k.hi); len(k.alive) > 0 {
			b.kids = append(b.kids, k)
		}
	}
	return b.kids, nil, ""
}

// touching is the distance of a bound from 0, relative to the size of its plane's terms, that may be rounding.
const touching = 1e-10

// postpone puts the cases whose bounds touch 0 into a branch that comes last and returns the others: where an objective is 0 on a whole
// face, boxes could be cut down to single floats for ever while there is a counterexample elsewhere.
func (b *boxScratch) postpone(box *boxBranch, planes []plane, alive []int32, in *inherited) (rest []int32) {
	if box.late {
		return alive
	}
	touches := func(c int32) bool {
		best := math.Inf(-1)
		var size float64
		for i := range planes {
			if planes[i].row.c == c && planes[i].lb > best {
				best, size = planes[i].lb, planes[i].size(box)
			}
		}
		return best >= -touching*size
	}
	late := 0
	for _, c := range alive {
		if touches(c) {
			late++
		}
	}
	if late == 0 {
		return alive
	}
	k := box.part(b.lo, b.hi, in)
	k.late = true
	for _, c := range alive {
		if touches(c) {
			k.alive = append(k.alive, c)
		} else {
			rest = append(rest, c)
		}
	}
	if len(rest) == 0 {
		k.volume = box.volume
	}
	b.kids = append(b.kids, k)
	return rest
}

// ownBox is the share of a box's volume below which a case goes its own way there.
const ownBox = 1.0 / 8

// separate makes branches of their own, on what is left of the box for them, of cases whose counterexamples can be in a small part of
// lo…hi only, and returns the others, with lo…hi shrunk to them. Together they would hold each other's boxes open.
func (b *boxScratch) separate(box *boxBranch, planes []plane, alive []int32, in *inherited) (rest []int32) {
	const maxCases = 8 // with more, sharing bounds is worth more
	if len(alive) < 2 || len(alive) > maxCases {
		return alive
	}
	for i := range alive {
		b.cl, b.ch = append(b.cl[:0], b.lo...), append(b.ch[:0], b.hi...)
		left := b.s.clip(box, planes, alive[i:i+1], b.cl, b.ch)
		switch {
		case len(left) == 0:
		case share(b.cl, b.ch, b.lo, b.hi) > ownBox:
			rest = append(rest, alive[i])
		default:
			k := box.part(b.cl, b.ch, in)
			k.alive, k.volume = left, box.volume/float64(len(alive)+1)
			b.kids = append(b.kids, k)
		}
	}
	if len(rest) > 0 && len(rest) < len(alive) {
		rest = b.s.clip(box, planes, rest, b.lo, b.hi)
	}
	return rest
}

// share returns the volume of lo…hi relative to that of outLo…outHi, over the inputs where the latter has a width.
func share(lo, hi, outLo, outHi []float64) float64 {
	v := 1.0
	for d := range lo {
		if w := outHi[d] - outLo[d]; w > 0 {
			v *= (hi[d] - lo[d]) / w
		}
	}
	return v
}

// try offers the middle, and corners where the plane of a case's weakest row is least.
func (b *boxScratch) try(box *boxBranch, planes []plane, alive []int32) *spec.Witness {
	s := b.s
	if s.cfg.Try == nil || !s.reduced && box.depth%2 == 1 {
		return nil
	}
	b.v = grow(b.v, len(s.dims))
	if s.reduced {
		for d := range b.v {
			b.v[d] = box.lo[d] + (box.hi[d]-box.lo[d])/2
		}
		if wit := b.offer(box); wit != nil {
			return wit
		}
	}
	tried, worst := 0, -1
	var wit *spec.Witness
	corner := func() {
		if worst < 0 || wit != nil || tried == maxCorners || tried == 1 && !s.reduced {
			return
		}
		tried++
		for d := range b.v {
			b.v[d] = box.lo[d]
			if planes[worst].a[d] < 0 {
				b.v[d] = box.hi[d]
			}
		}
		wit = b.offer(box)
	}
	eachAlive(planes, alive, func(i int) {
		switch {
		case worst >= 0 && planes[i].row.c != planes[worst].row.c && s.reduced:
			corner()
			worst = i
		case worst < 0 || planes[i].lb < planes[worst].lb:
			worst = i
		}
	})
	corner()
	return wit
}

// maxCorners bounds the candidates of one box.
const maxCorners = 4

// offer tries the varying inputs v.
func (b *boxScratch) offer(box *boxBranch) *spec.Witness {
	if !b.bounder.promising(box, b.v) {
		return nil
	}
	if b.x == nil {
		b.x = append(b.x, b.s.q.Box.Lo...)
	}
	for d, i := range b.s.dims {
		b.x[i] = b.v[d]
	}
	return b.s.cfg.Try(b.x)
}

func grow(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}
