package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/internal/pool"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/tape"
)

// A Recipe says how to train. The zero value is one epoch of Adam on batches of 128.
type Recipe struct {
	Epochs    int       // 0: 1
	Batch     int       // rows of a step; 0: 128. The last batch of an epoch may be smaller
	Optimiser Optimiser // nil: Adam{}
	LR        float64   // learning rate; 0: 1e-3 with Adam, 0.1 with SGD
	Schedule  Schedule  // nil: constant
	// WeightDecay takes rate·WeightDecay of each weight away in a step, but of no bias, beside what the optimiser does.
	WeightDecay float64
	L1          float64 // adds L1·Σ|w| over the weights, not the biases, to the loss
	Clip        float64 // longest gradient in the L2 norm; longer ones are scaled down. 0: no limit
	Shard       int     // rows that a worker takes at a time; 0: tape.ShardRows. The result depends on it
	Seed        uint64  // of the order of the rows and the noise
	Workers     int     // 0: as many as there are processors; the result does not depend on it
	// Temperature divides the logits in the loss, not in the network that comes out; 0: 1. See CrossEntropy.
	Temperature float64
	// Noise is the standard deviation of Gaussian noise that is added to every number of a batch, unclamped, before Augment
	// sees it (Cohen, Rosenfeld and Kolter 2019).
	Noise float64
	// Shift moves every picture of a batch by up to so many pixels in each direction, drawn anew each time, with zeros moving in.
	// Inputs must have the shape [C H W].
	Shift int
}

// Hooks are what a caller adds to a training; each may be nil.
type Hooks[T kernel.Float] struct {
	// Augment changes the batch of a step before it is used: it may overwrite rows with adversarial examples, or append such
	// rows with their labels and weights. The slices are the trainer's: what is kept longer must be copied. It must not
	// change the parameters; a Pass of its own serves to attack them. An error ends the training and is returned, wrapped.
	Augment func(ctx context.Context, net *Net[T], batch *Samples[T]) error
	// Progress is called after every step.
	Progress func(Progress)
	// Objective is what is minimised; nil: the cross-entropy.
	Objective Objective[T]
	// Epoch is called after every epoch with a state from which a training can go on. The slices are the trainer's: what is kept
	// longer must be copied. An error ends the training and is returned, wrapped.
	Epoch func(State[T], Progress) error
	// Resume, if not nil, is a state that a training of the same net, data and recipe begins from.
	Resume *State[T]
}

// Progress is how far a training is. Loss and Accuracy are means over the batches of the epoch so far, as Augment left them
// and before each step; Accuracy is NaN without labels.
type Progress struct {
	Epoch, Epochs int // the epoch that is running, from 1 on
	Step, Steps   int // steps done, of all epochs
	Loss          float64
	Accuracy      float64
	Certified     float64       // share of the rows that the objective's bound certifies at Eps, NaN if it has none
	Eps           float64       // radius of the last step
	LR            float64       // of the last step
	Rate          float64       // images per second, those of Augment included, since the start
	Elapsed, Left time.Duration // Left is estimated from Elapsed
}

// A DivergedError says that the loss of a step was not finite. The parameters are those that gave it.
type DivergedError struct {
	Epoch, Step int
	Loss        float64
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("train: the loss is %v in epoch %d, step %d: try a smaller learning rate", e.Loss, e.Epoch, e.Step)
}

// maxCount bounds what a recipe counts, so that sums with numbers of rows do not overflow.
const maxCount = 1 << 30

// withDefaults fills in what 0 stands for, or returns what is wrong.
func (r Recipe) withDefaults() (Recipe, error) {
	if r.Epochs == 0 {
		r.Epochs = 1
	}
	if r.Batch == 0 {
		r.Batch = 128
	}
	switch r.Optimiser.(type) {
	case nil:
		r.Optimiser = Adam{}
	case Adam, SGD:
	default:
		return r, fmt.Errorf("train: optimiser %T: want Adam or SGD, by value", r.Optimiser)
	}
	if err := r.Optimiser.check(); err != nil {
		return r, err
	}
	r.LR = orDefault(r.LR, r.Optimiser.defaultLR())
	r.Temperature = orDefault(r.Temperature, 1)
	if r.Schedule == nil {
		r.Schedule = func(float64) float64 { return 1 }
	}
	if r.Epochs < 0 || r.Batch < 0 || r.Workers < 0 || r.Shard < 0 || r.Shift < 0 {
		return r, fmt.Errorf("train: %d epochs, batches of %d in shards of %d, shifts of %d, %d workers: none may be negative",
			r.Epochs, r.Batch, r.Shard, r.Shift, r.Workers)
	}
	if most := max(r.Epochs, r.Batch, r.Shard); most > maxCount {
		return r, fmt.Errorf("train: %d epochs, batches of %d in shards of %d: each is at most %d", r.Epochs, r.Batch, r.Shard, maxCount)
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"learning rate", r.LR}, {"weight decay", r.WeightDecay}, {"temperature", r.Temperature}, {"noise", r.Noise}, {"L1 factor", r.L1}, {"longest gradient", r.Clip}} {
		if !(v.value >= 0) || math.IsInf(v.value, 1) {
			return r, fmt.Errorf("train: the %s is %v: want a number of at least 0", v.name, v.value)
		}
	}
	return r, nil
}

// Fit trains a network. When ctx ends, it returns the error of ctx within a shard's time, and the network keeps the
// parameters of the last whole step; so it does after every other error but a *DivergedError. The same arguments give the
// same parameters, on the same instruction set.
func Fit[T kernel.Float](ctx context.Context, net *Net[T], data *Samples[T], r Recipe, h Hooks[T]) (Progress, error) {
	r, err := r.withDefaults()
	if err != nil {
		return Progress{}, err
	}
	if err := data.check(net.Inputs(), net.Classes()); err != nil {
		return Progress{}, err
	}
	t, err := newTrainer(net, data, r, h)
	if err != nil {
		return Progress{}, err
	}
	for t.at.Epoch = t.first; t.at.Epoch <= r.Epochs; t.at.Epoch++ {
		t.shuffle()
		for len(t.order) > 0 {
			if err := t.step(ctx); err != nil {
				return t.at, err
			}
			if h.Progress != nil {
				h.Progress(t.at)
			}
		}
		if h.Epoch != nil {
			s := State[T]{t.at.Epoch, t.at.Step, net.Weights, t.optimiser.State()}
			if err := h.Epoch(s, t.at); err != nil {
				return t.at, fmt.Errorf("train: after epoch %d: %w", t.at.Epoch, err)
			}
		}
	}
	t.at.Epoch = r.Epochs
	return t.at, net.Populate(ctx, data.X, r.Shard, r.Workers)
}

// trainer is the state of a training. Nothing in it is made anew for a step.
type trainer[T kernel.Float] struct {
	Recipe
	hooks       Hooks[T]
	net         *Net[T]
	rec         Recorded
	run         *tape.Runner[T]
	set         func(tape.Scalar, float64)
	pool        *pool.Pool
	chunks      []chunk
	data, batch *Samples[T]
	first       int   // epoch
	perm, order []int // rows, and those that are left of the epoch
	noise       *rand.Rand
	shift       *rand.Rand
	moved       []T // a picture
	optimiser   stepper[T]
	keep        T // of a weight after decay
	scale       T // of the gradient, to make it no longer than Clip
	l1          T
	grad        []T
	updateChunk func(worker, chunk int)
	at          Progress
	start       time.Time
	begun       int     // step that this run began with
	rows        int     // of this run so far
	seen        int     // of the epoch so far
	loss        float64 // sum over the rows seen
	correct     int
	certified   int
}

// chunkSize is how many parameters are updated at a time; results do not depend on it.
const chunkSize = 8192

// chunk is a range of parameters of one tensor. weight says whether it is of a weight and not of a bias.
type chunk struct {
	from, to int
	weight   bool
}

func newTrainer[T kernel.Float](net *Net[T], data *Samples[T], r Recipe, h Hooks[T]) (*trainer[T], error) {
	t := &trainer[T]{Recipe: r, hooks: h, net: net, data: data, batch: &Samples[T]{}, pool: pool.New(r.Workers), first: 1,
		optimiser: newStepper[T](r.Optimiser, len(net.Weights)), start: time.Now()}
	t.updateChunk = t.update
	if r.Shift > 0 && len(net.input) != 3 {
		return nil, fmt.Errorf("train: inputs of shape %v cannot be shifted: want [C H W]", net.input)
	}
	objective := h.Objective
	if objective == nil {
		objective = crossEntropy[T]{r.Temperature}
	}
	program := tape.New[T](net.Inputs(), len(net.Weights))
	var err error
	if t.rec, err = objective.Record(program, net); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if t.rec.Margins && len(data.Labels) == 0 {
		return nil, errors.New("train: the objective needs a label for every row, not probabilities alone")
	}
	outputs := []tape.Value{t.rec.Logits}
	if t.rec.Worst != nil {
		outputs = append(outputs, *t.rec.Worst)
	}
	t.run = tape.NewRunner(program, tape.Options{Workers: r.Workers, Shard: r.Shard, Outputs: outputs})
	t.set = t.run.Set
	at := 0
	for _, p := range net.params {
		for end := at + len(p.Data); at < end; at = min(at+chunkSize, end) {
			t.chunks = append(t.chunks, chunk{at, min(at+chunkSize, end), len(p.Shape) > 1})
		}
	}
	t.perm = make([]int, len(data.X)/net.Inputs())
	t.at = Progress{Epoch: 1, Epochs: r.Epochs, Steps: r.Epochs * t.steps()}
	if s := h.Resume; s != nil {
		if len(s.Weights) != len(net.Weights) || s.Epoch < 0 || s.Step != s.Epoch*t.steps() || !t.optimiser.SetState(s.Optimiser, s.Step) {
			return nil, fmt.Errorf("train: the state after epoch %d is not of this network, data and recipe", s.Epoch)
		}
		copy(net.Weights, s.Weights)
		t.first, t.at.Step, t.begun = s.Epoch+1, s.Step, s.Step
	}
	return t, nil
}

// steps returns the steps of an epoch.
func (t *trainer[T]) steps() int { return (len(t.perm) + t.Batch - 1) / t.Batch }

// shuffle starts an epoch.
func (t *trainer[T]) shuffle() {
	for i := range t.perm {
		t.perm[i] = i
	}
	r := seed.Stream(t.Seed, "shuffle", strconv.Itoa(t.at.Epoch))
	r.Shuffle(len(t.perm), func(i, j int) { t.perm[i], t.perm[j] = t.perm[j], t.perm[i] })
	t.noise = seed.Stream(t.Seed, "noise", strconv.Itoa(t.at.Epoch))
	t.shift = seed.Stream(t.Seed, "shift", strconv.Itoa(t.at.Epoch))
	t.order, t.seen, t.loss, t.correct, t.certified = t.perm, 0, 0, 0, 0
}

// step takes the next batch of the epoch. If it fails, the parameters are as before.
func (t *trainer[T]) step(ctx context.Context) error {
	if err := t.fill(ctx); err != nil {
		return err
	}
	if t.rec.Begin != nil {
		t.at.Eps = t.rec.Begin(Moment{float64(t.at.Step) / float64(t.steps()), t.Epochs, t.at.Step}, t.set)
	}
	b := tape.Batch[T]{X: t.batch.X, Run: uint64(t.at.Step)}
	if len(t.batch.Labels) > 0 {
		b.Labels = t.batch.Labels
	}
	if len(t.batch.Soft) > 0 {
		b.Soft = t.batch.Soft
	}
	if len(t.batch.Weights) > 0 {
		b.Weights = t.batch.Weights
	}
	loss, grad, err := t.run.Descend(ctx, t.net.Weights, b, t.rec.Loss)
	if err != nil {
		return err
	}
	if loss-loss != 0 {
		return &DivergedError{t.at.Epoch, t.at.Step + 1, loss}
	}
	t.grad = grad
	t.at.LR = t.LR * t.Schedule(float64(t.at.Step)/float64(t.at.Steps))
	t.keep, t.scale, t.l1 = T(1-t.at.LR*t.WeightDecay), t.clipped(), T(t.L1)
	t.optimiser.Begin(t.at.LR)
	if err := t.pool.Run(context.Background(), len(t.chunks), t.updateChunk); err != nil {
		return err
	}
	t.count(loss)
	return nil
}

// clipped returns the factor that makes the gradient no longer than Clip.
func (t *trainer[T]) clipped() T {
	if t.Clip == 0 {
		return 1
	}
	if norm := math.Sqrt(float64(kernel.Dot(t.grad, t.grad))); norm > t.Clip {
		return T(t.Clip / norm)
	}
	return 1
}

// fill makes the batch.
func (t *trainer[T]) fill(ctx context.Context) error {
	rows := t.order[:min(t.Batch, len(t.order))]
	t.order = t.order[len(rows):]
	b, in, classes := t.batch, t.net.Inputs(), t.net.Classes()
	b.X, b.Labels, b.Soft, b.Weights = b.X[:0], b.Labels[:0], b.Soft[:0], b.Weights[:0]
	for _, r := range rows {
		b.X = append(b.X, t.data.X[r*in:][:in]...)
		if len(t.data.Labels) > 0 {
			b.Labels = append(b.Labels, t.data.Labels[r])
		}
		if len(t.data.Soft) > 0 {
			b.Soft = append(b.Soft, t.data.Soft[r*classes:][:classes]...)
		}
		if len(t.data.Weights) > 0 {
			b.Weights = append(b.Weights, t.data.Weights[r])
		}
	}
	if t.Shift > 0 {
		for x := b.X; len(x) > 0; x = x[in:] {
			t.move(x[:in])
		}
	}
	if t.Noise > 0 {
		for i := range b.X {
			b.X[i] += T(t.Noise * t.noise.NormFloat64())
		}
	}
	if t.hooks.Augment == nil {
		return nil
	}
	if err := t.hooks.Augment(ctx, t.net, b); err != nil {
		return fmt.Errorf("train: augment: %w", err)
	}
	if err := b.check(in, classes); err != nil {
		return fmt.Errorf("train: after augment: %w", err)
	}
	if t.rec.Margins && len(b.Labels) == 0 {
		return errors.New("train: after augment: the objective needs a label for every row")
	}
	return nil
}

// move shifts a picture by what is drawn.
func (t *trainer[T]) move(x []T) {
	C, H, W := t.net.input[0], t.net.input[1], t.net.input[2]
	dy, dx := t.shift.IntN(2*t.Shift+1)-t.Shift, t.shift.IntN(2*t.Shift+1)-t.Shift
	if len(t.moved) < len(x) {
		t.moved = make([]T, len(x))
	}
	to := t.moved[:len(x)]
	clear(to)
	for c := range C {
		for y := max(0, dy); y < min(H, H+dy); y++ {
			from := x[(c*H+y-dy)*W:][:W]
			if row := to[(c*H+y)*W:][:W]; dx >= 0 && dx < W {
				copy(row[dx:], from)
			} else if dx < 0 && -dx < W {
				copy(row, from[-dx:])
			}
		}
	}
	copy(x, to)
}

// update moves the parameters of a chunk. Chunks are parts of one tensor, and biases do not decay.
func (t *trainer[T]) update(_, i int) {
	c := t.chunks[i]
	keep, w, g := T(1), t.net.Weights[c.from:c.to], t.grad[c.from:c.to]
	if t.scale != 1 {
		for i := range g {
			g[i] *= t.scale
		}
	}
	if c.weight {
		keep = t.keep
		if t.l1 != 0 {
			for i, v := range w {
				g[i] += t.l1 * T(math.Copysign(1, float64(v)))
			}
		}
	}
	t.optimiser.Update(c.from, w, g, keep)
}

// count adds a step to the progress.
func (t *trainer[T]) count(loss float64) {
	classes, labels := t.net.Classes(), t.batch.Labels
	rows := len(t.run.Output(0)) / classes
	t.seen += rows
	t.rows += rows
	t.loss += loss * float64(rows)
	t.correct += Correct(t.run.Output(0), classes, labels)
	a := &t.at
	a.Step++
	a.Loss, a.Accuracy, a.Certified = t.loss/float64(t.seen), math.NaN(), math.NaN()
	if len(t.data.Labels) > 0 {
		a.Accuracy = float64(t.correct) / float64(t.seen)
		if t.rec.Worst != nil {
			t.certified += Certified(t.run.Output(1), classes, labels)
			a.Certified = float64(t.certified) / float64(t.seen)
		}
	}
	a.Elapsed = time.Since(t.start)
	a.Rate = float64(t.rows) / a.Elapsed.Seconds()
	a.Left = time.Duration(float64(a.Elapsed) / float64(a.Step-t.begun) * float64(a.Steps-a.Step))
}
