package poison

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/internal/kernel"
)

// hinge is the weighted hinge loss of a linear classifier θ = (w, b) on a data set, in float32: the arithmetic of the search.
// The loss of an item is max(0, 1 − y(wᵀx + b)).
type hinge struct {
	d       int
	x       []float32 // rows of d
	y       []int8
	weight  []float32 // nil: 1 each
	workers int

	w      []float32
	shards []hingeShard
}

// hingeShard is what a fixed range of rows adds up, so that the result does not depend on the number of workers.
type hingeShard struct {
	loss   float64
	errors int
	grad   []float32 // of w, then of b
}

const hingeRows = 512 // rows of a shard

func newHinge(b *Binary, workers int) *hinge {
	h := &hinge{d: b.D, x: make([]float32, len(b.X)), y: b.Y, workers: max(1, workers)}
	for i, v := range b.X {
		h.x[i] = float32(v)
	}
	return h
}

// with returns the loss on the same data and more rows, which have weights; the others have 1.
func (h *hinge) with(x []float32, y []int8, weight []float32) *hinge {
	out := &hinge{d: h.d, x: slices.Concat(h.x, x), y: slices.Concat(h.y, y), workers: h.workers}
	out.weight = make([]float32, len(h.y), len(out.y))
	for i := range out.weight {
		out.weight[i] = 1
	}
	out.weight = append(out.weight, weight...)
	return out
}

// eval returns the sum of the losses at theta, the number of items on the wrong side, and overwrites grad with a subgradient of
// the sum. A nil grad is not wanted. The error is that of ctx.
func (h *hinge) eval(ctx context.Context, theta, grad []float64) (loss float64, errors int, err error) {
	n := (len(h.y) + hingeRows - 1) / hingeRows
	if h.w == nil {
		h.w = make([]float32, h.d+1)
		h.shards = make([]hingeShard, n)
		for i := range h.shards {
			h.shards[i].grad = make([]float32, h.d+1)
		}
	}
	for j, v := range theta {
		h.w[j] = float32(v)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(h.workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				h.shard(i, grad != nil)
			}
		})
	}
	wg.Wait()
	if grad != nil {
		clear(grad)
	}
	for i := range h.shards {
		s := &h.shards[i]
		loss += s.loss
		errors += s.errors
		if grad != nil {
			for j, g := range s.grad {
				grad[j] += float64(g)
			}
		}
	}
	return loss, errors, ctx.Err()
}

func (h *hinge) shard(i int, wantGrad bool) {
	s := &h.shards[i]
	s.loss, s.errors = 0, 0
	clear(s.grad)
	for r := i * hingeRows; r < min((i+1)*hingeRows, len(h.y)); r++ {
		x, y := h.x[r*h.d:(r+1)*h.d], float32(h.y[r])
		margin := y * (kernel.Dot(x, h.w[:h.d]) + h.w[h.d])
		if margin <= 0 {
			s.errors++
		}
		if margin >= 1 {
			continue
		}
		weight := float32(1)
		if h.weight != nil {
			weight = h.weight[r]
		}
		s.loss += float64(weight) * (1 - float64(margin))
		if wantGrad {
			kernel.Axpy(s.grad[:h.d], x, -y*weight)
			s.grad[h.d] -= y * weight
		}
	}
}
