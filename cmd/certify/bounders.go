package main

import (
	"context"
	"runtime"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// bounders are the methods of `certify bounds`.
var bounders = map[string]bounder{
	"ibp": ibpBounds,
	"crown": func(ctx context.Context, p *prog.Program, b *spec.Box, workers int) ([]float64, []float64, error) {
		return crownBounds(ctx, p, b, workers, 0)
	},
	"alpha": func(ctx context.Context, p *prog.Program, b *spec.Box, workers int) ([]float64, []float64, error) {
		return crownBounds(ctx, p, b, workers, 20)
	},
}

func ibpBounds(_ context.Context, p *prog.Program, b *spec.Box, _ int) (lower, upper []float64, err error) {
	net := relax.NewNet(p)
	bounds := net.NewBounds()
	net.IBP(relax.Box{Lo: b.Lower, Hi: b.Upper}, bounds)
	return bounds.L[p.Output], bounds.U[p.Output], nil
}

// crownBounds bounds all inner layers and then both sides of every output, steps ascent steps each (0: plain CROWN).
//
// Sound because IBP and every backward pass give valid bounds (package relax) and valid bounds may be intersected.
func crownBounds(ctx context.Context, p *prog.Program, b *spec.Box, workers, steps int) (lower, upper []float64, err error) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	net := relax.NewNet(p)
	bounds := net.NewBounds()
	box := relax.Box{Lo: b.Lower, Hi: b.Upper}
	net.IBP(box, bounds)
	frame := net.NewFrame(box, bounds, net.NewScale(bounds))
	pool := relax.NewPool(net, workers)
	net.Crown(ctx, pool, frame, relax.Tightening{Alpha: steps})
	lower, upper = bounds.L[p.Output], bounds.U[p.Output]
	const per = 32
	n := len(lower)
	pool.Each((n+per-1)/per, func(w *relax.Worker, c int) {
		first, last := c*per, min((c+1)*per, n)
		R := (2*(last-first) + 7) &^ 7
		seed := func(w *relax.Worker) {
			for j := first; j < last; j++ {
				w.Seed(p.Output, j, 2*(j-first), 1)
				w.Seed(p.Output, j, 2*(j-first)+1, -1)
			}
		}
		var best []float64
		if steps > 1 {
			a := relax.NewAscent(w, frame, R)
			a.Run(frame, p.Output, R, nil, seed, relax.Steps{N: steps, RateA: 0.25, Decay: 0.9, StallRounds: 4})
			best = a.Best
		} else {
			w.Begin(R)
			seed(w)
			w.Run(frame, p.Output)
			best = w.LB
		}
		for j := first; j < last; j++ {
			lower[j] = max(lower[j], best[2*(j-first)])
			upper[j] = min(upper[j], -best[2*(j-first)+1])
		}
	})
	return lower, upper, context.Cause(ctx)
}
