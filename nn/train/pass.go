package train

import (
	"context"
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
)

// batchCheck is the rows of a batch where the caller has no size in mind.
const batchCheck = 1024

// A Pass runs a Net forward and backward on batches of rows. It keeps the room for that and grows it when a larger batch
// comes, so it allocates nothing on batches of a size it has seen. It serves one caller at a time and has no goroutines
// between calls. It sees the parameters that the Net has at the time of a call.
type Pass[T kernel.Float] struct {
	net    *Net[T]
	tape   *tape.Tape[T]
	logits tape.Value
	run    *tape.Runner[T]
}

// NewPass returns a Pass that uses at most so many workers; 0 means as many as there are processors.
func (n *Net[T]) NewPass(workers int) *Pass[T] {
	p := &Pass[T]{net: n, tape: tape.New[T](n.Inputs(), len(n.Weights))}
	p.logits = n.Record(p.tape, p.tape.Input())
	p.run = tape.NewRunner(p.tape, tape.Options{Workers: workers, Split: true, Outputs: []tape.Value{p.logits}})
	return p
}

// Forward returns the logits, one row of Classes numbers for each row of x, which are Inputs numbers each. The logits are
// the Pass's own until the next call; x must not change before Backward. An error is that of ctx, or x is not made of rows.
func (p *Pass[T]) Forward(ctx context.Context, x []T) ([]T, error) {
	if in := p.net.Inputs(); len(x)%in != 0 {
		return nil, fmt.Errorf("train: a batch of %d numbers, a row has %d", len(x), in)
	}
	if err := p.run.Forward(ctx, p.net.Weights, tape.Batch[T]{X: x}); err != nil {
		return nil, err
	}
	return p.run.Output(0), nil
}

// Backward takes the gradient of a loss with respect to the logits of the last Forward to that with respect to the
// parameters, which it returns in the order of Net.Weights; it is the Pass's own until the next call. If dx is not nil, it
// is overwritten by the gradient with respect to x. An error is that of ctx, or a slice has the wrong length.
func (p *Pass[T]) Backward(ctx context.Context, dlogits, dx []T) ([]T, error) {
	return p.run.Backward(ctx, p.logits, dlogits, true, dx)
}

// BackwardInput is Backward for the gradient with respect to x alone, at less than half the cost: what an attack needs.
func (p *Pass[T]) BackwardInput(ctx context.Context, dlogits, dx []T) error {
	if len(dx) == 0 && len(dlogits) > 0 {
		return fmt.Errorf("train: no room for the gradient of the inputs")
	}
	_, err := p.run.Backward(ctx, p.logits, dlogits, false, dx)
	return err
}

// Logits returns the logits of any number of rows. workers is as in NewPass.
func (n *Net[T]) Logits(ctx context.Context, x []T, workers int) ([]T, error) {
	in := n.Inputs()
	if len(x)%in != 0 {
		return nil, fmt.Errorf("train: %d numbers are not rows of %d", len(x), in)
	}
	p := n.NewPass(workers)
	y := make([]T, 0, len(x)/in*n.Classes())
	for len(x) > 0 {
		batch := x[:min(len(x), batchCheck*in)]
		logits, err := p.Forward(ctx, batch)
		if err != nil {
			return nil, err
		}
		y, x = append(y, logits...), x[len(batch):]
	}
	return y, nil
}
