package robust

import (
	"context"
	"errors"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/sdp"
)

func init() {
	linf := []evasion.Norm{evasion.Linf}
	RegisterBound(BoundMethod{Name: "sdp", Norms: linf, New: newTwoLayer,
		Doc:    "semidefinite relaxation of networks with one layer of ReLUs, once for all inputs; the ball is taken whole, --clip or not",
		Source: "Raghunathan et al. 2018a"})
	RegisterBound(BoundMethod{Name: "sdp-deep", Norms: linf, New: newDeep,
		Doc:    "semidefinite relaxation of dense networks over each box, from the bounds of crown on",
		Source: "Raghunathan et al. 2018b, Dathathri et al. 2020"})
	RegisterBound(BoundMethod{Name: "sdp-crown", Norms: []evasion.Norm{evasion.L2}, New: newL2,
		Doc:    "backward linear bounds whose offsets know the ball in every layer; the ball is taken whole, --clip or not",
		Source: "Chiu et al. 2025"})
}

// errReal is the error of methods that know real arithmetic alone.
var errReal = errors.New("it bounds real arithmetic only: ask with --semantics real")

// inReals returns errReal for a program whose nodes round.
func inReals(p *prog.Program) error {
	for i := range p.Nodes {
		if p.Nodes[i].Rounding.Steps != 0 {
			return errReal
		}
	}
	return nil
}

type twoLayerBounder struct{ c *sdp.Certificate }

func newTwoLayer(ctx context.Context, p *prog.Program) (Bounder, error) {
	if err := inReals(p); err != nil {
		return nil, err
	}
	c, err := sdp.TwoLayerProgram(ctx, p, sdp.Options{})
	if err != nil {
		return nil, err
	}
	return twoLayerBounder{c}, nil
}

func (b twoLayerBounder) Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error {
	m, err := b.c.MarginsBox(n.X, n.Lower, n.Upper, label)
	if err != nil {
		return err
	}
	copy(lower, m)
	return context.Cause(ctx)
}

type deepBounder struct{ net *relax.Net }

func newDeep(_ context.Context, p *prog.Program) (Bounder, error) {
	if err := inReals(p); err != nil {
		return nil, err
	}
	return deepBounder{relax.NewNet(p)}, nil
}

func (b deepBounder) Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error {
	enough := 0.0
	m, err := sdp.DeepMargins(ctx, b.net, n.Lower, n.Upper, label, sdp.DeepOptions{Enough: &enough})
	if copy(lower, m) < len(lower) || ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil // what is too large for the relaxation keeps its linear bounds
}

type l2Bounder struct{ net *sdp.L2 }

func newL2(_ context.Context, p *prog.Program) (Bounder, error) {
	if err := inReals(p); err != nil {
		return nil, err
	}
	net, err := sdp.NewL2(p)
	if err != nil {
		return nil, err
	}
	return l2Bounder{net}, nil
}

func (b l2Bounder) Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error {
	m, err := b.net.Margins(ctx, n.X, label, n.Radius)
	if err != nil {
		return err
	}
	copy(lower, m)
	return nil
}
