package defense

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/train"
)

// Perturb says which adversarial examples a training adds: projected sign steps on the cross-entropy in the Linf ball, cut with
// [Lo, Hi].
type Perturb struct {
	Eps    float64 // radius
	Steps  int     // 0: 7
	Alpha  float64 // of a step; 0: 2.5·Eps/Steps
	Lo, Hi float64 // the valid inputs; both 0: [0, 1]
	Still  bool    // start at the input, not at a random point of the ball
	// Mix, if not 0, keeps the clean inputs and appends the adversarial ones, which count Mix times as much; 0 replaces the
	// inputs.
	Mix     float64
	Seed    uint64
	Workers int // 0: the processors; the result does not depend on it
}

func (o Perturb) withDefaults() (Perturb, error) {
	if o.Steps == 0 {
		o.Steps = 7
	}
	if o.Alpha == 0 {
		o.Alpha = 2.5 * o.Eps / float64(o.Steps)
	}
	if o.Lo == 0 && o.Hi == 0 {
		o.Hi = 1
	}
	if !(o.Eps >= 0 && o.Alpha >= 0 && o.Lo < o.Hi && o.Mix >= 0) || math.IsInf(o.Eps+o.Alpha+o.Mix, 1) || o.Steps < 0 ||
		o.Workers < 0 {
		return o, fmt.Errorf("defense: adversarial training with %+v", o)
	}
	return o, nil
}

// Augment is the hook of nn/train.
type Augment[T kernel.Float] = func(ctx context.Context, net *train.Net[T], batch *train.Samples[T]) error

// AdversarialTraining returns the hook that trains a network on the examples that are worst for it at every step (Madry et al.,
// "Towards deep learning models resistant to adversarial attacks", 2018), or with Steps = 1 and Mix on the mixture of Kurakin,
// Goodfellow and Bengio ("Adversarial machine learning at scale", 2017). It serves one training. Unlike the other defences here,
// it is one: what hides gradients it does not hide, if the steps are many; trained on single steps, networks learn to hide them
// (Tramèr et al., 2018).
func AdversarialTraining[T kernel.Float](o Perturb) (Augment[T], error) {
	return EnsembleAdversarialTraining[T](o)
}

// EnsembleAdversarialTraining takes the examples of each batch from the network itself or from one of other networks that stay as
// they are, in turn (Tramèr et al., "Ensemble adversarial training: attacks and defenses", 2018, with Steps = 1).
func EnsembleAdversarialTraining[T kernel.Float](o Perturb, static ...*train.Net[T]) (Augment[T], error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &augmenter[T]{o: o, rng: seed.Stream(o.Seed, "defense", "adversarial")}
	for _, n := range static {
		a.sources = append(a.sources, source[T]{n, n.NewPass(o.Workers)})
	}
	return a.augment, nil
}

// A source is a network that is attacked.
type source[T kernel.Float] struct {
	net  *train.Net[T]
	pass *train.Pass[T]
}

type augmenter[T kernel.Float] struct {
	o       Perturb
	rng     *rand.Rand
	own     source[T]
	sources []source[T]
	turn    int
	x, dx   []T
	dy      []T
}

func (a *augmenter[T]) augment(ctx context.Context, net *train.Net[T], b *train.Samples[T]) error {
	if len(b.Labels) == 0 {
		return errors.New("adversarial training needs labels")
	}
	if a.own.net != net {
		a.own = source[T]{net, net.NewPass(a.o.Workers)}
	}
	src := a.own
	if k := a.turn % (len(a.sources) + 1); k > 0 {
		src = a.sources[k-1]
	}
	a.turn++
	if src.net.Inputs() != net.Inputs() || src.net.Classes() != net.Classes() {
		return fmt.Errorf("a source of %d inputs and %d classes for a network of %d and %d", src.net.Inputs(),
			src.net.Classes(), net.Inputs(), net.Classes())
	}
	if err := a.ascend(ctx, src, b); err != nil {
		return err
	}
	if a.o.Mix == 0 {
		copy(b.X, a.x)
		return nil
	}
	return a.append(b)
}

// ascend makes the examples, in a.x.
func (a *augmenter[T]) ascend(ctx context.Context, src source[T], b *train.Samples[T]) error {
	o := &a.o
	a.x = append(a.x[:0], b.X...)
	if cap(a.dx) < len(b.X) {
		a.dx = make([]T, len(b.X))
	}
	dx := a.dx[:len(b.X)]
	if !o.Still {
		for i, v := range a.x {
			a.x[i] = a.inside(v+T(o.Eps*(2*a.rng.Float64()-1)), b.X[i])
		}
	}
	labels := train.Samples[T]{Labels: b.Labels}
	for range o.Steps {
		y, err := src.pass.Forward(ctx, a.x)
		if err != nil {
			return err
		}
		if cap(a.dy) < len(y) {
			a.dy = make([]T, len(y))
		}
		dy := a.dy[:len(y)]
		train.CrossEntropy(dy, y, src.net.Classes(), &labels, 1)
		if err := src.pass.BackwardInput(ctx, dy, dx); err != nil {
			return err
		}
		for i, g := range dx {
			step := T(0)
			if g > 0 {
				step = T(o.Alpha)
			} else if g < 0 {
				step = -T(o.Alpha)
			}
			a.x[i] = a.inside(a.x[i]+step, b.X[i])
		}
	}
	return nil
}

// inside moves v into the ball around x and the valid inputs; an x outside these stays where it is.
func (a *augmenter[T]) inside(v, x T) T {
	v = min(max(v, x-T(a.o.Eps)), x+T(a.o.Eps))
	return min(max(v, min(T(a.o.Lo), x)), max(T(a.o.Hi), x))
}

// append puts the examples behind the clean inputs.
func (a *augmenter[T]) append(b *train.Samples[T]) error {
	if len(b.Soft) > 0 {
		return errors.New("a mixture of clean and adversarial inputs needs hard labels")
	}
	rows := len(b.Labels)
	if len(b.Weights) == 0 {
		for range rows {
			b.Weights = append(b.Weights, 1)
		}
	}
	for i := range rows {
		b.Weights = append(b.Weights, b.Weights[i]*T(a.o.Mix))
	}
	b.Labels = append(b.Labels, b.Labels[:rows]...)
	b.X = append(b.X, a.x...)
	return nil
}
