package robust

import (
	"context"
	"math"
	"sync"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/relax/kolter"
)

func init() {
	linf := []evasion.Norm{evasion.Linf}
	RegisterBound(BoundMethod{Name: "ibp", Norms: linf, New: newIBP,
		Doc:    "interval arithmetic layer by layer; margins from the differences of the last layer's rows",
		Source: "Gowal et al. 2018"})
	RegisterBound(BoundMethod{Name: "crown", Norms: linf, New: newCROWN,
		Doc:    "backward linear bounds of every layer, lower slopes 0 or 1 by the neuron, intersected with intervals",
		Source: "Zhang et al. 2018"})
	RegisterBound(BoundMethod{Name: "wong-kolter", Norms: []evasion.Norm{evasion.Linf, evasion.L2, evasion.L1}, New: newKolter,
		Doc:    "the dual network: lower slopes u/(u−l) in every layer; in l2 and l1 the ball is taken whole, --clip or not",
		Source: "Wong and Kolter 2018"})
}

// scratch lends what serves one goroutine at a time.
type scratch[S any] struct {
	pool sync.Pool
}

func newScratch[S any](make func() S) *scratch[S] {
	return &scratch[S]{sync.Pool{New: func() any { return make() }}}
}

func (s *scratch[S]) with(f func(S)) {
	v := s.pool.Get().(S)
	f(v)
	s.pool.Put(v)
}

// stopper returns a function that reports whether ctx has ended.
func stopper(ctx context.Context) func() bool { return func() bool { return ctx.Err() != nil } }

type ibpBounder struct {
	net    *relax.Net
	bounds *scratch[*relax.Bounds]
}

func newIBP(_ context.Context, p *prog.Program) (Bounder, error) {
	net := relax.NewNet(p)
	return &ibpBounder{net, newScratch(net.NewBounds)}, nil
}

func (b *ibpBounder) Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error {
	b.bounds.with(func(bounds *relax.Bounds) {
		b.net.IBP(relax.Box{Lo: n.Lower, Hi: n.Upper}, bounds)
		b.net.Margins(bounds, label, lower)
	})
	return context.Cause(ctx)
}

type crownBounder struct {
	net   *relax.Net
	state *scratch[*crownState]
}

type crownState struct {
	bounds *relax.Bounds
	pool   *relax.Pool
}

func newCROWN(_ context.Context, p *prog.Program) (Bounder, error) {
	net := relax.NewNet(p)
	return &crownBounder{net, newScratch(func() *crownState { return &crownState{net.NewBounds(), relax.NewPool(net, 1)} })}, nil
}

func (b *crownBounder) Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error {
	b.state.with(func(s *crownState) {
		box := relax.Box{Lo: n.Lower, Hi: n.Upper}
		b.net.IBP(box, s.bounds)
		f := b.net.NewFrame(box, s.bounds, b.net.NewScale(s.bounds))
		if !b.net.Crown(ctx, s.pool, f, relax.Tightening{}) {
			for t := range lower {
				lower[t] = math.Inf(-1) // the box has points: bounds that exclude each other are a defect, and prove nothing
			}
			return
		}
		f.Margins(s.pool.W[0], label, lower)
	})
	return context.Cause(ctx)
}

type kolterBounder struct{ solvers *scratch[*kolter.Solver] }

func newKolter(_ context.Context, p *prog.Program) (Bounder, error) {
	n, err := kolter.New(p)
	if err != nil {
		return nil, err
	}
	return &kolterBounder{newScratch(n.NewSolver)}, nil
}

func (b *kolterBounder) Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error {
	r := &kolter.Region{Box: relax.Box{Lo: n.Lower, Hi: n.Upper}}
	switch n.Norm {
	case evasion.L2:
		r.Ball = &relax.Ball{Norm: relax.L2, X: n.X, Eps: n.Radius}
	case evasion.L1:
		r.Ball = &relax.Ball{Norm: relax.L1, X: n.X, Eps: n.Radius}
	}
	b.solvers.with(func(s *kolter.Solver) { s.Margins(r, label, lower, stopper(ctx)) })
	return context.Cause(ctx)
}
