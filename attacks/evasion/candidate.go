package evasion

import (
	"context"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// pay counts the points of a request and reports whether the budget allows them.
func (t *running) pay(r *request) bool {
	opt := &t.e.opt
	queries, gradients := r.n, 0
	if r.level == access.NeedGradients {
		if opt.Surrogate == nil {
			queries, gradients = 0, r.n
		}
	}
	if opt.Queries > 0 && t.used.Queries+queries > opt.Queries || opt.Gradients > 0 && t.used.Gradients+gradients > opt.Gradients {
		return false
	}
	t.used.Queries += queries
	t.used.Gradients += gradients
	return true
}

// keepBests is how many bests before the last are kept for the judge.
const keepBests = 8

// look considers point i of the answered request as a result.
func (t *running) look(p *Probe, i int) {
	r := &p.req
	x := r.x[i*t.e.in : (i+1)*t.e.in]
	c := found{margin: math.Inf(-1)}
	if r.level == access.NeedLabels || t.e.scores == nil { // scores are a surrogate's then
		if !p.Goal.ReachedBy(r.label[i]) {
			return
		}
		c.margin = 0
	} else {
		c.y = r.y[i*t.e.out : (i+1)*t.e.out]
		c.margin, _, _ = p.Goal.Margin(x, c.y)
		t.used.Best = max(t.used.Best, c.margin)
	}
	if !(c.margin >= 0) || c.y != nil && c.margin < p.least || t.ended {
		return
	}
	c.distance = p.Norm.Distance(x, p.X0)
	clean := c.distance == 0
	within := c.distance <= p.Eps
	if p.Norm == Linf { // the box says it, without rounding
		within = inside(x, p.ballLo, p.ballHi)
	}
	minimal := math.IsInf(p.Eps, 1) && !clean
	switch {
	case !within, minimal && !(c.distance < t.best.distance):
		return
	case minimal:
		if t.best.x != nil {
			t.kept = append(t.kept, t.best)
			if len(t.kept) > keepBests {
				t.kept = slices.Delete(t.kept, 0, 1)
			}
		}
	default:
		if t.e.opt.Judge != nil {
			if c.margin <= 1.5*t.fail && t.fail > math.Inf(-1) && c.y != nil {
				return
			}
			if !t.e.opt.Judge(t.index, x) {
				t.fail = c.margin
				return
			}
		}
		t.ended, p.stop = true, true
	}
	c.x, c.y = slices.Clone(x), slices.Clone(c.y)
	t.best = c
}

func inside(x, lo, hi []float64) bool {
	for i, v := range x {
		if !(lo[i] <= v && v <= hi[i]) {
			return false
		}
	}
	return true
}

// settle has the judge look at what was kept, closest first, and reports whether something stands. Where the judge refuses a point, as
// it does on the very boundary, and the attack may still ask, points a little farther out on the same ray are tried first.
func (t *running) settle(p *Probe) bool {
	if t.ended || t.settled || t.best.x == nil || t.e.opt.Judge == nil {
		return t.best.x != nil
	}
	for d := 1e-6; !t.e.opt.Judge(t.index, t.best.x); d *= 10 {
		refused := t.best.x
		t.best = found{distance: math.Inf(1)}
		if n := len(t.kept); n > 0 {
			t.best, t.kept = t.kept[n-1], t.kept[:n-1]
		}
		if p != nil && p.Norm != L0 && d < 0.01 {
			y := make([]float64, len(refused))
			for i, x0 := range p.X0 {
				y[i] = x0 + (1+d)*(refused[i]-x0)
			}
			p.ask(min(t.e.level, access.NeedScores), nil, y)
		}
		if t.best.x == nil {
			return false
		}
	}
	t.settled = true
	return true
}

// gather answers the requests of many tasks with few calls of the model.
type gather struct {
	e     *engine
	x     []float64
	y, dx []float64
	label []int
	draws []uint64
}

func (b *gather) answer(ctx context.Context, active []*running) error {
	for level := access.NeedLabels; level <= access.NeedGradients; level++ {
		if err := b.level(ctx, active, level); err != nil {
			return err
		}
	}
	return nil
}

// level answers all requests of one level.
func (b *gather) level(ctx context.Context, active []*running, level access.Level) error {
	b.x, b.draws = b.x[:0], b.draws[:0]
	n := 0
	for _, t := range active {
		if r := t.wait; r.level == level {
			b.x = append(b.x, r.x...)
			n += r.n
			for range r.n {
				t.draws++
				b.draws = append(b.draws, mix(t.draws))
			}
		}
	}
	if n == 0 {
		return nil
	}
	e := b.e
	batch := access.Batch{N: n, X: b.x, Draws: b.draws}
	b.y, b.dx, b.label = grow(b.y, n*e.out), grow(b.dx, n*e.in), grow(b.label, n)
	var err error
	switch {
	case level == access.NeedLabels && e.labels != nil:
		err = e.labels.Labels(ctx, batch, b.label)
	case level == access.NeedLabels, level == access.NeedScores && e.scores != nil:
		err = e.scores.Scores(ctx, batch, b.y)
		for i := range b.label {
			b.label[i] = access.Argmax(b.y[i*e.out : (i+1)*e.out])
		}
	case level == access.NeedScores: // a surrogate's scores, the model's labels
		if err = e.opt.Surrogate.Scores(ctx, batch, b.y); err == nil {
			err = b.decide(ctx, batch)
		}
	default:
		err = b.gradients(ctx, active, batch)
	}
	if err != nil {
		return err
	}
	at := 0
	for _, t := range active {
		r := t.wait
		if r.level != level {
			continue
		}
		r.y = append(r.y[:0], b.y[at*e.out:(at+r.n)*e.out]...)
		r.label = append(r.label[:0], b.label[at:at+r.n]...)
		if level == access.NeedGradients {
			r.dx = append(r.dx[:0], b.dx[at*e.in:(at+r.n)*e.in]...)
		}
		at += r.n
	}
	return nil
}

// gradients asks the model, or the surrogate and then the model for what it thinks of the points.
func (b *gather) gradients(ctx context.Context, active []*running, batch access.Batch) error {
	e := b.e
	type point struct {
		r *request
		k int
	}
	var points []point
	for _, t := range active {
		if t.wait.level == access.NeedGradients {
			for k := range t.wait.n {
				points = append(points, point{t.wait, k})
			}
		}
	}
	pull := func(i int, y, dy []float64) { points[i].r.pull(points[i].k, y, dy) }
	if e.opt.Surrogate == nil {
		return e.gradients.Gradients(ctx, batch, b.y, pull, b.dx)
	}
	if err := e.opt.Surrogate.Gradients(ctx, batch, b.y, pull, b.dx); err != nil {
		return err
	}
	return b.decide(ctx, batch)
}

// decide has the model look at points that the surrogate answered.
func (b *gather) decide(ctx context.Context, batch access.Batch) error {
	if b.e.scores != nil {
		return b.e.scores.Scores(ctx, batch, b.y)
	}
	return b.e.labels.Labels(ctx, batch, b.label)
}

// grow returns s with length n, reallocated when it is too small; its contents mean nothing.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// mix spreads a counter over 64 bits (the finaliser of splitmix64).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
