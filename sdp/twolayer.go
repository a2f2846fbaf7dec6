package sdp

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/prog"
)

// Options steer how dual solutions are searched for; they change how tight a certificate is, never whether it is right. The zero
// value is the default.
type Options struct {
	Workers   int     // 0: the cores; results do not depend on it
	Rank      int     // of the factored primal, rounded up to a multiple of 8; 0: 32
	Sweeps    int     // at most; 0: 1000
	Tolerance float64 // relative progress of a sweep at which to stop; 0: 1e-7
	Seed      uint64
	// Done, if set, is called after each pair of classes, one at a time.
	Done func(pair, pairs int)
}

func (o Options) filled() Options {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Rank <= 0 {
		o.Rank = 32
	}
	o.Rank = (o.Rank + rankMultiple - 1) / rankMultiple * rankMultiple
	if o.Sweeps <= 0 {
		o.Sweeps = 1000
	}
	if o.Tolerance <= 0 {
		o.Tolerance = 1e-7
	}
	return o
}

// TwoLayer certifies a network with one layer of ReLUs against perturbations of the input of any size in the norm L∞, without limits
// to the input (Raghunathan, Steinhardt and Liang, "Certified defenses against adversarial examples", 2018). The difference of two
// scores changes by at most ε·max_{s∈[0,1]^m, t∈[−1,1]^d} sᵀBt = (ε/4)·max qᵀMq over q ∈ {1}×[−1,1]^{m+d}, whatever the input, so there
// is one semidefinite relaxation for each pair of classes and none for each input. An error wraps ErrShape for other networks, or is
// that of ctx.
func TwoLayer(ctx context.Context, g *nn.Graph, o Options) (*Certificate, error) {
	s, err := readShallow(g)
	if err != nil {
		return nil, err
	}
	return certify(ctx, s, o)
}

// TwoLayerProgram is TwoLayer for a program. The certificate names no network, so it serves as it is and cannot be read back.
func TwoLayerProgram(ctx context.Context, p *prog.Program, o Options) (*Certificate, error) {
	s, err := newShallow(p)
	if err != nil {
		return nil, err
	}
	return certify(ctx, s, o)
}

// certify solves all pairs.
func certify(ctx context.Context, s *shallow, o Options) (*Certificate, error) {
	o = o.filled()
	c := &Certificate{Format: Format, Network: s.hash, Inputs: s.d, Hidden: s.m, Classes: s.k, net: s}
	for i := range s.k {
		for j := range i {
			c.Pairs = append(c.Pairs, Pair{I: i, J: j})
		}
	}
	var next atomic.Int64
	var mu sync.Mutex
	var first error
	done := 0
	var wg sync.WaitGroup
	for range min(o.Workers, len(c.Pairs)) {
		wg.Go(func() {
			w := pairWorker{s: s, o: o}
			for k := int(next.Add(1)) - 1; k < len(c.Pairs); k = int(next.Add(1)) - 1 {
				err := w.solve(ctx, &c.Pairs[k])
				mu.Lock()
				if done++; err != nil && first == nil {
					first = err
				} else if o.Done != nil {
					o.Done(done, len(c.Pairs))
				}
				stop := first != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return nil, first
	}
	return c, nil
}

// pairWorker solves pairs one after the other.
type pairWorker struct {
	s      *shallow
	o      Options
	f      form
	prover Prover
}

// solve finds and proves the dual solution of a pair.
func (w *pairWorker) solve(ctx context.Context, pair *Pair) error {
	p, d := w.s.m+1, w.s.d
	w.s.form(pair.I, pair.J, &w.f)
	mix := newMixing(p, d, w.o.Rank, w.f.a, w.o.Seed)
	if _, err := mix.run(ctx, w.o.Sweeps, w.o.Tolerance); err != nil {
		return err
	}
	mean := 0x1p-300
	for _, v := range slices.Concat(mix.cx, mix.cy) {
		mean += v / float64(p+d)
	}
	slack := max(slices.Max(w.f.slackY), slices.Max(w.f.slackT))
	mean += 2e9 * slack // what is charged must be covered whatever c is
	pair.C = make([]float64, p+d)
	put := func(delta float64) {
		for i, v := range mix.cx {
			pair.C[i] = v + delta
		}
		for i, v := range mix.cy {
			pair.C[p+i] = v + delta
		}
	}
	delta, err := repair(1e-9*mean, 6, func(delta float64) bool {
		put(delta)
		return ctx.Err() == nil && w.prover.Bipartite(p, d, w.f.a, pair.C[:p], pair.C[p:], w.f.slackY, w.f.slackT)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("classes %d and %d: %w", pair.I, pair.J, err)
	}
	put(delta + 8*slack + 1e-11*mean) // room for other orders of summation, such as the checker's
	pair.Bound = quarterSum(pair.C)
	return nil
}

// quarterSum returns an upper bound on Σc/4 for non-negative c.
func quarterSum(c []float64) float64 {
	s := 0.0
	for _, v := range c {
		s = up(s + v)
	}
	return s / 4 // exact, or in the subnormal range where up has more than made up for it
}

// shiftBound returns an upper bound on eps·bound.
func shiftBound(eps, bound float64) float64 {
	v := eps * bound
	if eps == 0 || bound == 0 {
		return 0
	}
	return math.Nextafter(v, math.Inf(1))
}
