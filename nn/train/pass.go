package train

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spai-project/certify/internal/kernel"
)

const (
	shardRows  = 32   // rows of a shard; results depend on it
	chunkSize  = 8192 // parameters that are added up or updated at a time; results do not depend on it
	batchCheck = 1024 // rows of a batch where the caller has no size in mind
)

// chunk is a range of parameters of one tensor. decays says whether weight decay applies to it.
type chunk struct {
	from, to int
	decays   bool
}

// A Pass runs a Net forward and backward on batches of rows. It keeps the room for that and grows it when a larger batch
// comes, so it allocates nothing on batches of a size it has seen. It serves one caller at a time and has no goroutines
// between calls. It sees the parameters that the Net has at the time of a call.
type Pass[T kernel.Float] struct {
	net     *Net[T]
	pool    pool
	scratch []scratch[T] // per worker
	room    int          // rows that there is room for
	rows    int          // of the last Forward
	x       []T
	act     [][]T  // act[l] is the output of stage l, per row; a ReLU shares that of the stage before it
	delta   [2][]T // gradients of a stage's outputs and inputs, width numbers per row
	width   int    // of the widest stage
	grads   [][]T  // per shard
	chunks  []chunk
	// arguments of the job that is running
	dlogits, dx   []T
	wantWeights   bool
	forwardShard  func(worker, shard int)
	backwardShard func(worker, shard int)
	sumChunk      func(worker, chunk int)
}

// NewPass returns a Pass that uses at most so many workers; 0 means as many as there are processors.
func (n *Net[T]) NewPass(workers int) *Pass[T] {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pass[T]{net: n, scratch: make([]scratch[T], workers), act: make([][]T, len(n.stages))}
	p.pool.init(workers)
	p.forwardShard, p.backwardShard, p.sumChunk = p.forward, p.backward, p.sum
	for _, s := range n.stages {
		p.width = max(p.width, s.in, s.out)
	}
	at := 0
	for _, t := range n.params {
		for end := at + len(t.Data); at < end; at = min(at+chunkSize, end) {
			p.chunks = append(p.chunks, chunk{at, min(at+chunkSize, end), len(t.Shape) > 1})
		}
	}
	return p
}

// grow makes room for a batch.
func (p *Pass[T]) grow(rows int) {
	if rows <= p.room {
		return
	}
	p.room = rows
	for l, s := range p.net.stages {
		if s.inPlace() && l > 0 {
			p.act[l] = p.act[l-1]
			continue
		}
		p.act[l] = make([]T, rows*s.out)
	}
	p.delta = [2][]T{}
}

func (s *stage[T]) inPlace() bool {
	_, ok := s.layer.(relu[T])
	return ok
}

// shards returns the number of shards of the batch.
func (p *Pass[T]) shards() int { return (p.rows + shardRows - 1) / shardRows }

// shard returns the rows of a shard.
func (p *Pass[T]) shard(i int) (from, n int) {
	from = i * shardRows
	return from, min(shardRows, p.rows-from)
}

// Forward returns the logits, one row of Classes numbers for each row of x, which are Inputs numbers each. The logits are
// the Pass's own until the next call; x must not change before Backward. An error is that of ctx, or x is not made of rows.
func (p *Pass[T]) Forward(ctx context.Context, x []T) ([]T, error) {
	in := p.net.Inputs()
	if len(x)%in != 0 {
		return nil, fmt.Errorf("train: a batch of %d numbers, a row has %d", len(x), in)
	}
	p.rows, p.x = len(x)/in, x
	p.grow(p.rows)
	if err := p.pool.run(ctx, p.shards(), p.forwardShard); err != nil {
		p.rows = 0
		return nil, err
	}
	return p.act[len(p.act)-1][:p.rows*p.net.Classes()], nil
}

func (p *Pass[T]) forward(worker, shard int) {
	from, n := p.shard(shard)
	x := p.x
	for l := range p.net.stages {
		s := &p.net.stages[l]
		s.layer.Forward(p.net.Weights[s.from:s.to], x[from*s.in:], p.act[l][from*s.out:], n, &p.scratch[worker])
		x = p.act[l]
	}
}

// Backward takes the gradient of a loss with respect to the logits of the last Forward to that with respect to the
// parameters, which it returns in the order of Net.Weights; it is the Pass's own until the next call. If dx is not nil, it
// is overwritten by the gradient with respect to x. An error is that of ctx, or a slice has the wrong length.
func (p *Pass[T]) Backward(ctx context.Context, dlogits, dx []T) ([]T, error) {
	for len(p.grads) < max(p.shards(), 1) {
		p.grads = append(p.grads, make([]T, len(p.net.Weights)))
	}
	if p.rows == 0 {
		clear(p.grads[0])
	}
	if err := p.back(ctx, dlogits, dx, true); err != nil {
		return nil, err
	}
	if p.shards() > 1 {
		if err := p.pool.run(ctx, len(p.chunks), p.sumChunk); err != nil {
			return nil, err
		}
	}
	return p.grads[0], nil
}

// BackwardInput is Backward for the gradient with respect to x alone, at less than half the cost: what an attack needs.
func (p *Pass[T]) BackwardInput(ctx context.Context, dlogits, dx []T) error {
	return p.back(ctx, dlogits, dx, false)
}

func (p *Pass[T]) back(ctx context.Context, dlogits, dx []T, weights bool) error {
	if len(dlogits) != p.rows*p.net.Classes() || (dx != nil || !weights) && len(dx) != p.rows*p.net.Inputs() {
		return fmt.Errorf("train: gradients of %d logits and %d inputs after a Forward of %d rows", len(dlogits), len(dx), p.rows)
	}
	for i := range p.delta {
		p.delta[i] = room(&p.delta[i], p.room*p.width)
	}
	p.dlogits, p.dx, p.wantWeights = dlogits, dx, weights
	return p.pool.run(ctx, p.shards(), p.backwardShard)
}

func (p *Pass[T]) backward(worker, shard int) {
	from, n := p.shard(shard)
	area := func(i int) []T { return p.delta[i][from*p.width : (from+n)*p.width] }
	cur, next := area(0), area(1)
	copy(cur, p.dlogits[from*p.net.Classes():(from+n)*p.net.Classes()])
	var grad []T
	if p.wantWeights {
		grad = p.grads[shard]
		clear(grad)
	}
	for l := len(p.net.stages) - 1; l >= 0; l-- {
		s := &p.net.stages[l]
		in, din := p.x, next[:n*s.in]
		switch {
		case l > 0 && s.inPlace():
			din = cur[:n*s.in]
		case l == 0 && p.dx != nil:
			din = p.dx[from*s.in : (from+n)*s.in]
		case l == 0:
			din = nil
		}
		if l > 0 {
			in = p.act[l-1]
		}
		var dw []T
		if grad != nil && s.to > s.from {
			dw = grad[s.from:s.to]
		}
		s.layer.Backward(p.net.Weights[s.from:s.to], in[from*s.in:], p.act[l][from*s.out:], cur, din, dw, n, &p.scratch[worker])
		if l > 0 && !s.inPlace() {
			cur, next = next, cur
		}
	}
}

// sum adds the shards' gradients up in their order.
func (p *Pass[T]) sum(_, i int) {
	from, to := p.chunks[i].from, p.chunks[i].to
	for _, g := range p.grads[1:p.shards()] {
		kernel.Axpy(p.grads[0][from:to], g[from:to], 1)
	}
}

// Logits returns the logits of any number of rows. workers is as in NewPass.
func (n *Net[T]) Logits(ctx context.Context, x []T, workers int) ([]T, error) {
	step := batchCheck * n.Inputs()
	p := n.NewPass(workers)
	logits := make([]T, 0, len(x)/n.Inputs()*n.Classes())
	for len(x) > 0 {
		y, err := p.Forward(ctx, x[:min(step, len(x))])
		if err != nil {
			return nil, err
		}
		logits = append(logits, y...)
		x = x[min(step, len(x)):]
	}
	return logits, nil
}
