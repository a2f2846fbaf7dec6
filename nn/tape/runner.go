package tape

import (
	"context"
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/internal/pool"
)

// ShardRows is the usual number of rows of a shard.
const ShardRows = 32

// chunkSize is how many parameters are added up at a time; results do not depend on it.
const chunkSize = 8192

// Options say how a tape is run.
type Options struct {
	Workers int // 0: as many as there are processors; results do not depend on it
	Shard   int // rows of a shard; 0: ShardRows. Results depend on it
	// Split keeps the values of all shards, so that Backward can come after Forward. Else gradients come from Descend.
	Split bool
	// Outputs are the values that Output returns.
	Outputs []Value
}

// A Batch is rows of inputs, row-major, with what operations may ask of them: labels, rows of probabilities, and weights in the
// loss. All but X may be nil.
type Batch[T kernel.Float] struct {
	X       []T
	Labels  []int
	Soft    []T
	Weights []T
	// Run says which random numbers operations draw: the number of the step.
	Run uint64
}

// A Runner runs a tape on batches. It keeps the room for that, serves one caller at a time and has no goroutines between calls.
type Runner[T kernel.Float] struct {
	t       *Tape[T]
	o       Options
	pool    *pool.Pool
	lanes   []*Lane[T] // per worker, or per shard if split
	work    []Context[T]
	x       [][]T // inputs of the shard in a lane, rows innermost
	scalars []float64
	derived []T
	grads   [][]T // per shard: of the parameters, then of the derived values
	out     [][]T // per output
	losses  []float64
	// what is running
	params []T
	batch  Batch[T]
	rows   int
	total  float64
	loss   Value
	seed   []T  // gradient of an output, row-major
	want   bool // gradients of parameters
	dx     []T

	forwardShard, descendShard, backwardShard, sumChunk func(worker, i int)
}

// NewRunner returns a runner of a tape, which must be complete.
func NewRunner[T kernel.Float](t *Tape[T], o Options) *Runner[T] {
	if o.Shard == 0 {
		o.Shard = ShardRows
	}
	r := &Runner[T]{t: t, o: o, pool: pool.New(o.Workers), scalars: make([]float64, t.scalars), derived: make([]T, t.derived),
		out: make([][]T, len(o.Outputs))}
	r.work = make([]Context[T], r.pool.Workers())
	for i := range r.work {
		r.work[i].scalars = r.scalars
	}
	if !o.Split {
		r.lane(r.pool.Workers() - 1)
	}
	r.forwardShard, r.descendShard, r.backwardShard, r.sumChunk = r.forward, r.descend, r.backward, r.sum
	return r
}

// Set gives a scalar its value for the runs that follow.
func (r *Runner[T]) Set(s Scalar, v float64) { r.scalars[s.index] = v }

// lane makes lanes up to an index.
func (r *Runner[T]) lane(last int) {
	for len(r.lanes) <= last {
		r.lanes = append(r.lanes, NewLane(r.t))
		r.x = append(r.x, nil)
	}
}

// Shards returns the number of shards of the last batch.
func (r *Runner[T]) Shards() int { return (r.rows + r.o.Shard - 1) / r.o.Shard }

// begin takes a batch.
func (r *Runner[T]) begin(params []T, b Batch[T]) error {
	if len(params) != r.t.params || len(b.X)%r.t.inputs != 0 {
		return fmt.Errorf("tape: %d parameters and a batch of %d numbers: want %d and rows of %d", len(params), len(b.X),
			r.t.params, r.t.inputs)
	}
	rows := len(b.X) / r.t.inputs
	if b.Labels != nil && len(b.Labels) != rows || b.Weights != nil && len(b.Weights) != rows || len(b.Soft)%max(rows, 1) != 0 {
		return fmt.Errorf("tape: %d rows with %d labels, %d weights and %d probabilities", rows, len(b.Labels), len(b.Weights), len(b.Soft))
	}
	r.params, r.batch, r.rows = params, b, rows
	if r.o.Split {
		r.lane(r.Shards() - 1)
	}
	for i, v := range r.o.Outputs {
		count := rows
		if r.t.node(v).kind == shardKind {
			count = r.Shards()
		}
		r.out[i] = grown(&r.out[i], count*r.t.Width(v)*r.t.Copies(v))
	}
	for i := range r.t.nodes {
		if n := &r.t.nodes[i]; n.kind == derivedKind {
			of := &r.t.nodes[n.in[0].index]
			n.derive.Forward(r.derived[n.from:][:n.width], params[of.from:][:of.width])
		}
	}
	return nil
}

// Forward computes the values for a batch. The slices must not change before Backward.
func (r *Runner[T]) Forward(ctx context.Context, params []T, b Batch[T]) error {
	if err := r.begin(params, b); err != nil {
		return err
	}
	if err := r.pool.Run(ctx, r.Shards(), r.forwardShard); err != nil {
		r.rows = 0
		return err
	}
	return nil
}

// Output returns the number i of the Outputs after a run, row-major: the copies of a number lie together, and a shard value has a
// row for every shard. It is the runner's own until the next run.
func (r *Runner[T]) Output(i int) []T { return r.out[i] }

// Descend computes the values for a batch and the gradient of the weighted mean of loss, which has one number per row. The
// gradient is that of the parameters; it is the runner's own until the next run. A batch whose weights are all 0 has loss 0.
func (r *Runner[T]) Descend(ctx context.Context, params []T, b Batch[T], loss Value) (mean float64, grad []T, err error) {
	if n := r.t.node(loss); n.kind != batchKind || n.width*n.copies != 1 || r.o.Split {
		panic("tape: Descend wants a loss of one number per row and a runner that is not split")
	}
	if err := r.begin(params, b); err != nil {
		return 0, nil, err
	}
	r.loss, r.total = loss, float64(r.rows)
	if b.Weights != nil {
		r.total = 0
		for _, w := range b.Weights {
			r.total += float64(w)
		}
	}
	r.shardGrads()
	if len(r.losses) < len(r.grads) {
		r.losses = make([]float64, len(r.grads))
	}
	if err := r.pool.Run(ctx, r.Shards(), r.descendShard); err != nil {
		return 0, nil, err
	}
	for _, l := range r.losses[:r.Shards()] {
		mean += l
	}
	grad, err = r.gradient(ctx)
	return mean, grad, err
}

// Backward takes the gradient of a value after a Forward, row-major, to that of the parameters, if params is set, which it returns;
// that is the runner's own until the next call. If dx is not nil, it is overwritten by the gradient of the inputs.
func (r *Runner[T]) Backward(ctx context.Context, of Value, seed []T, params bool, dx []T) (grad []T, err error) {
	if want := r.rows * r.t.Width(of) * r.t.Copies(of); !r.o.Split || len(seed) != want || dx != nil && len(dx) != r.rows*r.t.inputs {
		return nil, fmt.Errorf("tape: gradients of %d outputs and %d inputs after a run of %d rows", len(seed), len(dx), r.rows)
	}
	r.loss, r.seed, r.dx, r.want = of, seed, dx, params
	if params {
		r.shardGrads()
	}
	if err := r.pool.Run(ctx, r.Shards(), r.backwardShard); err != nil || !params {
		return nil, err
	}
	return r.gradient(ctx)
}

// shardGrads makes room for the gradients of every shard.
func (r *Runner[T]) shardGrads() {
	for len(r.grads) < max(r.Shards(), 1) {
		r.grads = append(r.grads, make([]T, r.t.params+r.t.derived))
	}
	if r.rows == 0 {
		clear(r.grads[0])
	}
}

// run computes the values of a shard in a lane.
func (r *Runner[T]) run(worker, lane, shard int) (*Lane[T], *Context[T]) {
	in, from := r.t.inputs, shard*r.o.Shard
	rows := min(r.o.Shard, r.rows-from)
	l, c := r.lanes[lane], &r.work[worker]
	x := grown(&r.x[lane], rows*in)
	kernel.Transpose(x, rows, r.batch.X[from*in:], in, rows, in)
	r.context(c, shard, from, rows)
	l.Forward(c, x, r.params, r.derived)
	r.collect(l, from)
	return l, c
}

// context tells operations about a shard.
func (r *Runner[T]) context(c *Context[T], shard, from, rows int) {
	c.Rows, c.Run, c.Shard, c.Labels, c.Soft = rows, r.batch.Run, uint64(shard), nil, nil
	if r.batch.Labels != nil {
		c.Labels = r.batch.Labels[from:][:rows]
	}
	if r.batch.Soft != nil {
		per := len(r.batch.Soft) / r.rows
		c.Soft = r.batch.Soft[from*per:][:rows*per]
	}
}

func (r *Runner[T]) forward(worker, shard int) {
	lane := worker
	if r.o.Split {
		lane = shard
	}
	r.run(worker, lane, shard)
}

// collect copies the outputs of a shard.
func (r *Runner[T]) collect(l *Lane[T], from int) {
	for i, v := range r.o.Outputs {
		per := r.t.Width(v) * r.t.Copies(v)
		if r.t.node(v).kind == shardKind {
			copy(r.out[i][from/r.o.Shard*per:][:per], l.Val(v))
			continue
		}
		kernel.Transpose(r.out[i][from*per:], per, l.Val(v), l.rows, per, l.rows)
	}
}

func (r *Runner[T]) descend(worker, shard int) {
	clear(r.grads[shard])
	l, c := r.run(worker, worker, shard)
	from := shard * r.o.Shard
	l.Seek(r.grads[shard][:r.t.params], r.grads[shard][r.t.params:], false)
	sum, seed := 0.0, l.Grad(r.loss)
	for i, v := range l.Val(r.loss) {
		weight := 1.0
		if r.batch.Weights != nil {
			weight = float64(r.batch.Weights[from+i])
		}
		if weight == 0 {
			continue // 0 times a loss that is not finite is no loss
		}
		weight /= r.total
		sum += weight * float64(v)
		if seed != nil {
			seed[i] = T(weight)
		}
	}
	r.losses[shard] = sum
	l.Backward(c)
}

func (r *Runner[T]) backward(worker, shard int) {
	l, c := r.lanes[shard], &r.work[worker]
	from, in := shard*r.o.Shard, r.t.inputs
	r.context(c, shard, from, l.rows)
	if r.want {
		clear(r.grads[shard])
		l.Seek(r.grads[shard][:r.t.params], r.grads[shard][r.t.params:], r.dx != nil)
	} else {
		l.Seek(nil, nil, r.dx != nil)
	}
	per := r.t.Width(r.loss) * r.t.Copies(r.loss)
	if g := l.Grad(r.loss); g != nil {
		kernel.Transpose(g, l.rows, r.seed[from*per:], per, l.rows, per)
	}
	l.Backward(c)
	if r.dx != nil {
		kernel.Transpose(r.dx[from*in:], in, l.Grad(r.t.Input()), l.rows, in, l.rows)
	}
}

// gradient adds the shards' gradients up in their order, and those of derived values to those of their parameters.
func (r *Runner[T]) gradient(ctx context.Context) ([]T, error) {
	if n := len(r.grads[0]); r.Shards() > 1 {
		if err := r.pool.Run(ctx, (n+chunkSize-1)/chunkSize, r.sumChunk); err != nil {
			return nil, err
		}
	}
	g, derived := r.grads[0][:r.t.params], r.grads[0][r.t.params:]
	for i := range r.t.nodes {
		if n := &r.t.nodes[i]; n.kind == derivedKind {
			of := &r.t.nodes[n.in[0].index]
			n.derive.Backward(r.derived[n.from:][:n.width], derived[n.from:][:n.width], r.params[of.from:][:of.width], g[of.from:][:of.width])
		}
	}
	return g, nil
}

func (r *Runner[T]) sum(_, chunk int) {
	from := chunk * chunkSize
	to := min(from+chunkSize, len(r.grads[0]))
	for _, g := range r.grads[1:r.Shards()] {
		kernel.Axpy(r.grads[0][from:to], g[from:to], 1)
	}
}
