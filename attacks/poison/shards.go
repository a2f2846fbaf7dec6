package poison

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// shardRows is how many rows are summed together before shards are added up in order: results depend on it, and on no number of
// workers.
const shardRows = 256

// each calls f for the parts 0 … parts−1 on some workers and returns the error of ctx; then some parts were not called. No
// goroutine outlives the call.
func each(ctx context.Context, workers, parts int, f func(worker, part int)) error {
	workers = min(workerCount(workers), parts)
	var next atomic.Int64
	loop := func(w int) {
		for ctx.Err() == nil {
			part := int(next.Add(1)) - 1
			if part >= parts {
				return
			}
			f(w, part)
		}
	}
	var done sync.WaitGroup
	for w := 1; w < workers; w++ {
		done.Go(func() { loop(w) })
	}
	loop(0)
	done.Wait()
	return ctx.Err()
}

func workerCount(workers int) int {
	if workers < 1 {
		return runtime.GOMAXPROCS(0)
	}
	return workers
}
