package robust

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/verify"
)

// EvalOptions steer Evaluate.
type EvalOptions struct {
	Options // Workers is the number of items at a time, each of which is searched by one thread
	Eps     []float64
	// Bound, if not empty, names the one method that is asked (BoundMethods), in the place of attacks and search: of Options only
	// Domain, Norm and Workers then count.
	Bound string
	// Pictures is the number of items from the first whose values are kept in records.
	Pictures int
	// Log, if not nil, holds records of an earlier run, which are taken as they are, and gets every new one at once.
	Log *Log
	// Done, if not nil, is called with every record that is added, one call at a time; Earlier comes first, with those of the log.
	Done    func(*Record)
	Earlier func([]*Record)
}

// Evaluate answers for every item of the set and every radius, and returns the records by index. A radius is not asked about when
// the answer follows: what holds at one radius holds at smaller ones, and a counterexample breaks every radius from its distance
// on. So radii are tried from the largest down, to the first that holds. When ctx is cancelled, the records that were finished
// are returned with its cause.
func (m *Model) Evaluate(ctx context.Context, set *data.Set, opt EvalOptions) ([]*Record, error) {
	eps := slices.Clone(opt.Eps)
	slices.Sort(eps)
	eps = slices.Compact(eps)
	if len(eps) == 0 {
		return nil, fmt.Errorf("%w: no radius is given", ErrInput)
	}
	for _, e := range eps {
		if err := checkEps(e); err != nil {
			return nil, err
		}
	}
	if opt.Bound != "" {
		return m.evaluateBound(ctx, set, eps, &opt)
	}
	s, err := m.checked(set, opt.Options)
	if err != nil {
		return nil, err
	}
	return each(ctx, set, opt.Log, opt.Workers, opt.Earlier, opt.Done, func(ctx context.Context, i int) (*Record, error) {
		return s.item(ctx, set, i, eps, opt.Pictures, s.decide)
	})
}

// checked returns a solver with one thread for each item, after a look at all items.
func (m *Model) checked(set *data.Set, opt Options) (*solver, error) {
	if err := set.Check(); err != nil {
		return nil, err
	}
	if set.Dim() != m.Inputs() {
		return nil, fmt.Errorf("%w: items of shape %v have %d values, the network has %d inputs", ErrInput, set.Shape, set.Dim(),
			m.Inputs())
	}
	if err := set.CheckLabels(m.Classes()); err != nil {
		return nil, err
	}
	workers := opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if opt.Memory <= 0 {
		opt.Memory = 4 << 30
	}
	opt.Memory /= int64(workers)
	opt.Workers, opt.Trace = 1, nil
	if opt.Shape == nil {
		opt.Shape = set.Shape
	}
	s, err := m.solver(opt)
	if err != nil {
		return nil, err
	}
	for i := range set.Len() {
		if err := s.checkItem(set.Item(i), set.Labels[i]); err != nil {
			return nil, fmt.Errorf("item %d (%s): %w", i, set.Names[i], err)
		}
	}
	return s, nil
}

// indexed is a record of one item.
type indexed interface{ index() int }

func (r *Record) index() int { return r.Index }

// each makes the records of all items that the log does not hold, several at a time, and returns all by index. Every record is a
// function of its item alone, so the number of workers does not matter.
func each[R indexed](ctx context.Context, set *data.Set, log *Log, workers int, earlier func([]R), done func(R),
	one func(ctx context.Context, i int) (R, error)) ([]R, error) {
	records := make([]R, set.Len())
	have := make([]bool, set.Len())
	if log != nil {
		old, err := decodeAll[R](log, set.Len())
		if err != nil {
			return nil, err
		}
		var list []R
		for _, r := range old {
			if i := r.index(); !have[i] {
				records[i], have[i] = r, true
				list = append(list, r)
			}
		}
		if earlier != nil && len(list) > 0 {
			earlier(list)
		}
	}
	p := &pool[R]{log: log, done: done, records: records, have: have}
	err := p.run(ctx, workers, one)
	var out []R
	for i, r := range records {
		if have[i] {
			out = append(out, r)
		}
	}
	return out, err
}

// pool is each at work.
type pool[R indexed] struct {
	log     *Log
	done    func(R)
	records []R
	have    []bool
	next    atomic.Int64
	mu      sync.Mutex
	err     error
}

func (p *pool[R]) run(ctx context.Context, workers int, one func(ctx context.Context, i int) (R, error)) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var missing []int
	for i, h := range p.have {
		if !h {
			missing = append(missing, i)
		}
	}
	var wg sync.WaitGroup
	for range min(workers, len(missing)) {
		wg.Go(func() {
			for {
				k := int(p.next.Add(1)) - 1
				if k >= len(missing) || inner.Err() != nil {
					return
				}
				r, err := guarded(func() (R, error) { return one(inner, missing[k]) })
				if inner.Err() != nil && err == nil { // what was cut short says nothing
					return
				}
				if !p.take(missing[k], r, err) {
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	if p.err != nil {
		return p.err
	}
	return context.Cause(ctx)
}

// An InternalError is a panic while an item was at work, a defect of certify: the records made before are kept.
type InternalError struct {
	Value any
	Stack []byte
}

func (e *InternalError) Error() string { return fmt.Sprintf("robust: internal error: %v", e.Value) }

// guarded calls f and turns a panic into an *InternalError, never into an answer.
func guarded[R any](f func() (R, error)) (r R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &InternalError{p, debug.Stack()}
		}
	}()
	return f()
}

// take keeps a record and reports whether to go on.
func (p *pool[R]) take(i int, r R, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.log != nil {
		err = p.log.Append(r)
	}
	if err != nil {
		if p.err == nil {
			p.err = err
		}
		return false
	}
	p.records[i], p.have[i] = r, true
	if p.done != nil {
		p.done(r)
	}
	return true
}

// decider answers for one input and radius.
type decider func(ctx context.Context, x []float64, label int, eps float64, root uint64) (*Ball, error)

// item answers about one item.
func (s *solver) item(ctx context.Context, set *data.Set, i int, eps []float64, pictures int, decide decider) (*Record, error) {
	start := time.Now()
	x, label := set.Item(i), set.Labels[i]
	y, err := s.m.Scores(x)
	if err != nil {
		return nil, fmt.Errorf("item %d (%s): %w", i, set.Names[i], err)
	}
	r := &Record{Index: i, Name: set.Names[i], Label: label, Pred: access.Argmax(y), Eps: make([]At, len(eps))}
	_, r.Margin = rival(y, label)
	r.Clean = r.Margin > 0
	closest, err := ladder(ctx, decide, r, x, label, eps, seed.Derive(s.opt.Seed, "robust", strconv.Itoa(i)))
	if err != nil {
		return nil, fmt.Errorf("item %d (%s): %w", i, set.Names[i], err)
	}
	if i < pictures && r.Eps[len(eps)-1].Verdict != Holds && r.Clean {
		r.X = x
		if closest != nil {
			r.Adversarial = closest.X
		}
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// ladder fills r.Eps from the largest radius down and returns the closest counterexample.
func ladder(ctx context.Context, decide decider, r *Record, x []float64, label int, eps []float64, root uint64) (
	closest *Witness, err error) {
	var source At // of the closest
	for k := len(eps) - 1; k >= 0; k-- {
		if closest != nil && closest.Distance <= eps[k] {
			r.Eps[k] = source.at(eps[k])
			continue
		}
		b, err := decide(ctx, x, label, eps[k], root)
		if err != nil || ctx.Err() != nil {
			return nil, err
		}
		r.Eps[k] = answer(b, eps[k])
		switch b.Verdict {
		case Holds:
			for j := range k {
				r.Eps[j] = r.Eps[k].at(eps[j])
			}
			return closest, nil
		case Violated:
			closest, source = b.Witness, r.Eps[k]
			for j := k + 1; j < len(eps); j++ { // what was left open is decided now
				if r.Eps[j].Verdict != Violated {
					spent := r.Eps[j].Seconds
					r.Eps[j] = source.at(eps[j])
					r.Eps[j].Seconds = spent
				}
			}
		}
	}
	return closest, nil
}

// answer is what a ball says, for a record.
func answer(b *Ball, eps float64) At {
	a := At{Eps: eps, Verdict: b.Verdict, Reason: b.Reason, By: b.By, Seconds: b.Wall.Seconds()}
	if w := b.Witness; w != nil {
		a.Distance, a.Class, a.AnyOrder, a.Replayed = &w.Distance, &w.Class, w.AnyOrder, !w.Rigorous
	} else if v := verify.Verdict(b.Verdict); (v == verify.Unknown || v == verify.Timeout) && !math.IsInf(b.Margin, 0) &&
		!math.IsNaN(b.Margin) {
		a.Bound = &b.Margin
	}
	return a
}

// at is the same answer at another radius, for which it follows.
func (a At) at(eps float64) At {
	from := a.Eps
	if a.From != nil {
		from = *a.From
	}
	a.Eps, a.From, a.Seconds = eps, &from, 0
	return a
}
