package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestPoolStops wants a pool to begin at most one part per worker after its context ended.
func TestPoolStops(t *testing.T) {
	for workers := 1; workers < 4; workers++ {
		p := New(workers)
		over, cancel := context.WithCancel(context.Background())
		var calls atomic.Int64
		err := p.Run(over, 1000, func(int, int) {
			if calls.Add(1) == 5 {
				cancel()
			}
			<-time.After(time.Millisecond)
		})
		if n := int(calls.Load()); !errors.Is(err, context.Canceled) || n > 5+workers {
			t.Errorf("%d workers: %d parts, error %v", workers, n, err)
		}
	}
}
