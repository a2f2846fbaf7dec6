// Package pool shares the parts of a job out to a fixed number of workers, without allocating.
package pool

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Pool runs the parts of a job on a fixed number of workers. It serves one caller at a time, has no goroutines between
// calls and starts them without allocating.
type Pool struct {
	start []func() // per worker
	ctx   context.Context
	job   func(worker, part int)
	parts int
	next  atomic.Int64
	done  sync.WaitGroup
}

// New returns a pool of so many workers; 0 means as many as there are processors.
func New(workers int) *Pool {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{}
	for w := range workers {
		p.start = append(p.start, func() {
			p.loop(w)
			p.done.Done()
		})
	}
	return p
}

// Workers returns the number of workers.
func (p *Pool) Workers() int { return len(p.start) }

// Run calls job for the parts 0 … parts−1, each on one of the workers 0 … Workers()−1, and returns the error of ctx, if any:
// then some parts were not called.
func (p *Pool) Run(ctx context.Context, parts int, job func(worker, part int)) error {
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

func (p *Pool) loop(worker int) {
	for p.ctx.Err() == nil {
		part := int(p.next.Add(1)) - 1
		if part >= p.parts {
			return
		}
		p.job(worker, part)
	}
}
