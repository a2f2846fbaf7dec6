package loss

import (
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/relax/kolter"
)

// kolter records the bound of package relax/kolter on the largest logits over the label's.
func (r *recorder[T]) kolter() (tape.Value, error) {
	layers, err := kolterLayers(r.stages)
	if err != nil {
		return tape.Value{}, err
	}
	opt := kolter.Options{Clip: r.bounded(), Lo: r.Lower, Hi: r.Upper}
	if r.Norm == 2 {
		norm := relax.L2
		opt.Ball, opt.Clip = &norm, false
	}
	if _, err := kolter.NewLoss[T](layers, opt); err != nil {
		return tape.Value{}, err
	}
	return r.Record(r.net.Classes(), 1, func() tape.Op[T] {
		l, err := kolter.NewLoss[T](layers, opt)
		if err != nil {
			panic(err) // it went well a moment ago
		}
		return &kolterOp[T]{loss: l, eps: r.eps}
	}, r.x, r.Param(0, len(r.net.Weights))), nil
}

// kolterLayers describes the layers of a net: affine ones with a ReLU between two of them.
func kolterLayers(stages []train.Stage) ([]kolter.Layer, error) {
	var out []kolter.Layer
	for i, s := range stages {
		switch l := s.Layer.(type) {
		case train.Dense:
			in := 1
			for _, d := range s.In {
				in *= d
			}
			out = append(out, kolter.Layer{Kind: kolter.Dense, In: in, Out: l.Out, Offset: s.From})
		case train.Conv2D:
			g := l.Geometry(s.In)
			out = append(out, kolter.Layer{Kind: kolter.Conv, C: g.C, H: g.H, W: g.W, M: g.Out, K: g.Kernel, Stride: g.Stride, Pad: g.Pad,
				Offset: s.From})
		}
		if _, relu := s.Layer.(train.ReLU); relu != (i%2 == 1) || i == len(stages)-1 && relu || s.Layer == (train.BatchNorm{}) {
			return nil, fmt.Errorf("layer %s: want affine layers with a ReLU between two of them, and no batch normalisation", s.Name)
		}
	}
	return out, nil
}

// kolterOp runs a Loss on the rows of a shard.
type kolterOp[T kernel.Float] struct {
	loss         *kolter.Loss[T]
	eps          tape.Scalar
	x, out, dout []T // row-major
}

func (o *kolterOp[T]) Forward(c *tape.Context[T], out []T, in [][]T) {
	R, n, K := c.Rows, o.loss.Inputs(), o.loss.Classes()
	o.x, o.out, o.dout = resize(o.x, R*n), resize(o.out, R*K), resize(o.dout, R*K)
	kernel.Transpose(o.x, n, in[0], R, n, R)
	o.loss.Forward(in[1], o.x, c.Labels, T(c.Scalar(o.eps)), o.out)
	kernel.Transpose(out, R, o.out, K, R, K)
}

func (o *kolterOp[T]) Backward(c *tape.Context[T], _, dout []T, in, din [][]T) {
	if din[1] == nil {
		return
	}
	K := o.loss.Classes()
	kernel.Transpose(o.dout, K, dout, c.Rows, K, c.Rows)
	o.loss.Backward(in[1], o.dout, din[1])
}

// resize returns n numbers of any value, x's if there are as many.
func resize[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}
