package train

import (
	"context"
	"sync"
	"sync/atomic"
)

// pool runs the parts of a job on a fixed number of workers. It has no goroutines between calls and starts them without
// allocating.
type pool struct {
	start []func() // per worker
	ctx   context.Context
	job   func(worker, part int)
	parts int
	next  atomic.Int64
	done  sync.WaitGroup
}

func (p *pool) init(workers int) {
	for w := range workers {
		p.start = append(p.start, func() {
			p.loop(w)
			p.done.Done()
		})
	}
}

// run calls job for the parts 0 … parts−1 and returns the error of ctx, if any: then some parts were not called.
func (p *pool) run(ctx context.Context, parts int, job func(worker, part int)) error {
	p.ctx, p.parts, p.job = ctx, parts, job
	p.next.Store(0)
	n := min(len(p.start), parts)
	for _, f := range p.start[:max(n-1, 0)] {
		p.done.Add(1)
		go f()
	}
	p.loop(len(p.start) - 1)
	p.done.Wait()
	p.ctx, p.job = nil, nil
	return ctx.Err()
}

func (p *pool) loop(worker int) {
	for p.ctx.Err() == nil {
		part := int(p.next.Add(1)) - 1
		if part >= p.parts {
			return
		}
		p.job(worker, part)
	}
}
