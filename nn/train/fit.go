package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/internal/seed"
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
	Seed        uint64 // of the order of the rows and the noise
	Workers     int    // 0: as many as there are processors; the result does not depend on it
	// Temperature divides the logits in the loss, not in the network that comes out; 0: 1. See CrossEntropy.
	Temperature float64
	// Noise is the standard deviation of Gaussian noise that is added to every number of a batch, unclamped, before Augment
	// sees it (Cohen, Rosenfeld and Kolter 2019).
	Noise float64
}

// Hooks are what a caller adds to a training; each may be nil.
type Hooks[T kernel.Float] struct {
	// Augment changes the batch of a step before it is used: it may overwrite rows with adversarial examples, or append such
	// rows with their labels and weights. The slices are the trainer's: what is kept longer must be copied. It must not
	// change the parameters; a Pass of its own serves to attack them. An error ends the training and is returned, wrapped.
	Augment func(ctx context.Context, net *Net[T], batch *Samples[T]) error
	// Progress is called after every step.
	Progress func(Progress)
}

// Progress is how far a training is. Loss and Accuracy are means over the batches of the epoch so far, as Augment left them
// and before each step; Accuracy is NaN without labels.
type Progress struct {
	Epoch, Epochs int // the epoch that is running, from 1 on
	Step, Steps   int // steps done, of all epochs
	Loss          float64
	Accuracy      float64
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
	if r.Epochs < 0 || r.Batch < 0 || r.Workers < 0 {
		return r, fmt.Errorf("train: %d epochs, batches of %d, %d workers: none may be negative", r.Epochs, r.Batch, r.Workers)
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"learning rate", r.LR}, {"weight decay", r.WeightDecay}, {"temperature", r.Temperature}, {"noise", r.Noise}} {
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
	t := newTrainer(net, data, r, h)
	for t.at.Epoch = 1; t.at.Epoch <= r.Epochs; t.at.Epoch++ {
		t.shuffle()
		for len(t.order) > 0 {
			if err := t.step(ctx); err != nil {
				return t.at, err
			}
			if h.Progress != nil {
				h.Progress(t.at)
			}
		}
	}
	t.at.Epoch = r.Epochs
	return t.at, nil
}

// trainer is the state of a training. Nothing in it is made anew for a step.
type trainer[T kernel.Float] struct {
	Recipe
	hooks       Hooks[T]
	net         *Net[T]
	pass        *Pass[T]
	data, batch *Samples[T]
	perm, order []int // rows, and those that are left of the epoch
	noise       *rand.Rand
	dlogits     []T
	optimiser   stepper[T]
	keep        T // of a weight after decay
	grad        []T
	updateChunk func(worker, chunk int)
	at          Progress
	start       time.Time
	rows        int     // of the whole training so far
	seen        int     // of the epoch so far
	loss        float64 // sum over the rows seen
	correct     int
}

func newTrainer[T kernel.Float](net *Net[T], data *Samples[T], r Recipe, h Hooks[T]) *trainer[T] {
	t := &trainer[T]{Recipe: r, hooks: h, net: net, pass: net.NewPass(r.Workers), data: data, batch: &Samples[T]{},
		noise: seed.Stream(r.Seed, "noise"), optimiser: newStepper[T](r.Optimiser, len(net.Weights)), start: time.Now()}
	t.updateChunk = t.update
	t.perm = make([]int, len(data.X)/net.Inputs())
	t.at = Progress{Epoch: 1, Epochs: r.Epochs, Steps: r.Epochs * ((len(t.perm) + r.Batch - 1) / r.Batch)}
	return t
}

// shuffle starts an epoch.
func (t *trainer[T]) shuffle() {
	for i := range t.perm {
		t.perm[i] = i
	}
	r := seed.Stream(t.Seed, "shuffle", strconv.Itoa(t.at.Epoch))
	r.Shuffle(len(t.perm), func(i, j int) { t.perm[i], t.perm[j] = t.perm[j], t.perm[i] })
	t.order, t.seen, t.loss, t.correct = t.perm, 0, 0, 0
}

// step takes the next batch of the epoch. If it fails, the parameters are as before.
func (t *trainer[T]) step(ctx context.Context) error {
	if err := t.fill(ctx); err != nil {
		return err
	}
	logits, err := t.pass.Forward(ctx, t.batch.X)
	if err != nil {
		return err
	}
	classes := t.net.Classes()
	dlogits := room(&t.dlogits, len(logits))
	loss := CrossEntropy(dlogits, logits, classes, t.batch, t.Temperature)
	if loss-loss != 0 {
		return &DivergedError{t.at.Epoch, t.at.Step + 1, loss}
	}
	if t.grad, err = t.pass.Backward(ctx, dlogits, nil); err != nil {
		return err
	}
	t.at.LR = t.LR * t.Schedule(float64(t.at.Step)/float64(t.at.Steps))
	t.keep = T(1 - t.at.LR*t.WeightDecay)
	t.optimiser.Begin(t.at.LR)
	if err := t.pass.pool.run(context.Background(), len(t.pass.chunks), t.updateChunk); err != nil {
		return err
	}
	t.count(loss, Correct(logits, classes, t.batch.Labels), len(logits)/classes)
	return nil
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
	return nil
}

// update moves the parameters of a chunk. Chunks are parts of one tensor, and biases do not decay.
func (t *trainer[T]) update(_, i int) {
	c := t.pass.chunks[i]
	keep := T(1)
	if c.decays {
		keep = t.keep
	}
	t.optimiser.Update(c.from, t.net.Weights[c.from:c.to], t.grad[c.from:c.to], keep)
}

// count adds a step to the progress.
func (t *trainer[T]) count(loss float64, correct, rows int) {
	t.seen += rows
	t.rows += rows
	t.loss += loss * float64(rows)
	t.correct += correct
	a := &t.at
	a.Step++
	a.Loss, a.Accuracy = t.loss/float64(t.seen), math.NaN()
	if len(t.data.Labels) > 0 {
		a.Accuracy = float64(t.correct) / float64(t.seen)
	}
	a.Elapsed = time.Since(t.start)
	a.Rate = float64(t.rows) / a.Elapsed.Seconds()
	a.Left = time.Duration(float64(a.Elapsed) / float64(a.Step) * float64(a.Steps-a.Step))
}
