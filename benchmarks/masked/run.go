package masked

import (
	"context"
	"sync"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/internal/seed"
)

// A Row is what was measured of a defence. Shares are of the test images, from 0 to 1; of a randomised model they are means over
// fresh draws.
type Row struct {
	Defence
	Clean       float64
	Plain, Seen []float64 // accuracy under the two attacks, for every radius
	Took        time.Duration
}

// Run builds every defence and attacks it at every radius. On cancellation it returns the rows that are complete.
func (l *Lab) Run(ctx context.Context, defences []Defence, radii []float64) ([]Row, error) {
	var rows []Row
	for _, d := range defences {
		r, err := l.row(ctx, d, radii)
		if err != nil {
			return rows, err
		}
		rows = append(rows, *r)
	}
	return rows, nil
}

func (l *Lab) row(ctx context.Context, d Defence, radii []float64) (*Row, error) {
	begin := time.Now()
	s, err := d.build(ctx, l)
	if err != nil {
		return nil, err
	}
	r := &Row{Defence: d}
	for _, eps := range radii {
		a, err := l.attack(ctx, d, s.plain, s.plain, s.plainAttack, eps)
		if err != nil {
			return nil, err
		}
		b, err := l.attack(ctx, d, s.plain, s.seen, s.seenAttack, eps)
		if err != nil {
			return nil, err
		}
		r.Clean = a.clean
		r.Plain, r.Seen = append(r.Plain, a.left), append(r.Seen, b.left)
	}
	r.Took = time.Since(begin)
	l.report("%-40s clean %.3f, as it is %.3f, seen through %.3f, %.1f s", d.Name, r.Clean, r.Plain, r.Seen, r.Took.Seconds())
	return r, nil
}

// fresh is how many draws decide about a randomised model.
const fresh = 32

type outcome struct{ clean, left float64 }

// attack searches on the model as it is seen and counts on the defended one. Of a randomised model, a point counts as the share
// of fresh draws it fools; the search for an image ends where that is 95 %, and otherwise goes on and keeps the best.
func (l *Lab) attack(ctx context.Context, d Defence, model, seen access.Gradients, name string, eps float64) (outcome, error) {
	m, params, err := evasion.Parse(name)
	if err != nil {
		return outcome{}, err
	}
	tasks := l.tasks()
	j := &judge{ctx: ctx, l: l, d: d, model: model, best: make([][]float64, len(tasks)), share: make([]float64, len(tasks))}
	opt := evasion.Options{Norm: evasion.Linf, Eps: eps, Params: params, Seed: l.Seed, Workers: l.Workers, Shape: l.Test.Shape,
		Judge: j.accept}
	if _, err := m.Run(ctx, seen, tasks, opt); err != nil {
		return outcome{}, err
	}
	if j.err != nil {
		return outcome{}, j.err
	}
	return j.count(tasks)
}

// judge tries candidates on the defended model with draws of its own.
type judge struct {
	ctx   context.Context
	l     *Lab
	d     Defence
	model access.Gradients
	best  [][]float64
	share []float64
	mu    sync.Mutex
	err   error
}

// wrong is the share of draws on which a point is not classified as its image is labelled.
func (j *judge) wrong(task int, x []float64, purpose string) float64 {
	n := 1
	if j.d.Random {
		n = fresh
	}
	label := j.l.Test.Labels[task]
	r, err := access.SuccessRate(j.ctx, j.model, x, func(y []float64) bool { return access.Argmax(y) != label }, n,
		seed.Derive(j.l.Seed, purpose)+uint64(task)<<32)
	if err != nil {
		j.mu.Lock()
		j.err = err
		j.mu.Unlock()
		return 0
	}
	return r.Share()
}

// accept is called by one goroutine for a task.
func (j *judge) accept(task int, x []float64) bool {
	share := j.wrong(task, x, "judge")
	if j.best[task] == nil || share > j.share[task] {
		j.best[task], j.share[task] = append([]float64(nil), x...), share
	}
	return share >= 0.95
}

// count measures what is left, on draws that no search has used.
func (j *judge) count(tasks []evasion.Task) (o outcome, err error) {
	for i, t := range tasks {
		clean := 1 - j.wrong(i, t.X, "count")
		left := clean
		if j.best[i] != nil {
			left = min(left, 1-j.wrong(i, j.best[i], "count"))
		}
		o.clean += clean / float64(len(tasks))
		o.left += left / float64(len(tasks))
	}
	return o, j.err
}

func (l *Lab) tasks() []evasion.Task {
	lo, hi := whole(l.Test.Dim())
	t := make([]evasion.Task, l.Test.Len())
	for i := range t {
		t[i] = evasion.Task{X: l.Test.Item(i), Lower: lo, Upper: hi, Goal: evasion.Untargeted(l.Test.Labels[i], l.Classes)}
	}
	return t
}
