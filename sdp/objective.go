package sdp

import (
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/relax/loss"
)

// NewObjective returns the loss of training for TwoLayer certificates: the cross-entropy of scores to which ε·Bound is added for every
// class but the label's. Bounds are those of a Regulariser from the step before, so a training that goes on from a checkpoint does
// not end with the same bytes as one that was not interrupted. Of the settings Eps, Ramp and Seed are used; the networks are a Dense,
// a ReLU and a Dense.
func NewObjective[T kernel.Float](s loss.Settings, o RegulariserOptions) train.Objective[T] {
	return &twoLayerLoss[T]{s, o}
}

type twoLayerLoss[T kernel.Float] struct {
	s loss.Settings
	o RegulariserOptions
}

func (o *twoLayerLoss[T]) Record(t *tape.Tape[T], net *train.Net[T]) (train.Recorded, error) {
	stages := net.Stages()
	if len(stages) != 3 || stages[1].Layer != (train.ReLU{}) || len(stages[0].Params) != 2 || len(stages[2].Params) != 2 ||
		len(stages[0].Params[0]) != 2 {
		return train.Recorded{}, fmt.Errorf("%w: want a dense layer, a ReLU and a dense layer", ErrShape)
	}
	d, m, k := net.Inputs(), stages[0].Params[0][1], net.Classes()
	if k < 2 {
		return train.Recorded{}, fmt.Errorf("%w: %d classes", ErrShape, k)
	}
	options := o.o
	options.Seed = o.s.Seed
	bounds := t.Derive(k*(k-1)/2, &pairBounds[T]{r: NewRegulariser[T](d, m, k, options), v: stages[2].From}, t.Param(0, len(net.Weights)))
	one, eps := t.Scalar(), t.Scalar()
	logits, _ := net.RecordBatch(t, t.Input())
	worst := t.Record(k, 1, func() tape.Op[T] { return addBounds[T]{eps} }, logits, bounds)
	return train.Recorded{Loss: t.CrossEntropy(worst, one), Logits: logits, Worst: &worst, Margins: true,
		Begin: func(at train.Moment, set func(tape.Scalar, float64)) float64 {
			radius := o.s.Eps * o.s.Ramped(at.Epochs)
			set(one, 1)
			set(eps, radius)
			return radius
		}}, nil
}

// pairBounds is the bounds of all pairs as a function of the weights: [d][m] from 0 on, [m][k] from v on.
type pairBounds[T kernel.Float] struct {
	r *Regulariser[T]
	v int
}

func (p *pairBounds[T]) Forward(out, _ []T) {
	for i, v := range p.r.Values() {
		out[i] = T(v)
	}
}

func (p *pairBounds[T]) Backward(_, dout, in, din []T) {
	p.r.AddGradient(in, in[p.v:], din, din[p.v:], dout)
}

// addBounds adds ε·Bound to every logit but the label's.
type addBounds[T kernel.Float] struct{ eps tape.Scalar }

func (o addBounds[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	copy(out, in[0])
	eps := T(c.Scalar(o.eps))
	for row, y := range c.Labels {
		for k := range len(out) / c.Rows {
			if k != y {
				out[k*c.Rows+row] += eps * in[1][pairOf(k, y)]
			}
		}
	}
}

func (o addBounds[T]) Backward(c *tape.Context[T], _, dout []T, _, din [][]T) {
	kernel.Axpy(din[0], dout, 1)
	eps := T(c.Scalar(o.eps))
	for row, y := range c.Labels {
		for k := range len(dout) / c.Rows {
			if k != y {
				din[1][pairOf(k, y)] += eps * dout[k*c.Rows+row]
			}
		}
	}
}

// pairOf returns the index of the pair of two classes.
func pairOf(i, j int) int {
	if i < j {
		i, j = j, i
	}
	return i*(i-1)/2 + j
}
