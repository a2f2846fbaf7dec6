package relax

import (
	"context"
	"math/rand/v2"
	"testing"
)

// TestPassAllocatesNothing: backward passes and ascent iterations in steady state cost no memory.
func TestPassAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector sync.Pool drops what it is given, at random")
	}
	r := rand.New(rand.NewPCG(3, 51))
	for name, toDense := range map[string]bool{"dense": true, "convolution": false} {
		p := randomConvNet(r, t, toDense)
		net := NewNet(p)
		box := Box{make([]float64, p.Nodes[0].N), make([]float64, p.Nodes[0].N)}
		for i := range box.Lo {
			box.Lo[i], box.Hi[i] = -1, 1
		}
		f := ibpFrame(net, box)
		pool := NewPool(net, 1)
		net.Crown(context.Background(), pool, f, Tightening{})
		w := pool.W[0]
		const R = 16
		pass := func() {
			w.Begin(R)
			for r := range R {
				w.Seed(p.Output, r%p.Nodes[p.Output].N, r, 1)
			}
			w.Run(f, p.Output)
		}
		pass()
		if n := testing.AllocsPerRun(20, pass); n != 0 {
			t.Errorf("%s: %v allocations per pass", name, n)
		}
		seed := func(w *Worker) {
			for r := range R {
				w.Seed(p.Output, r%p.Nodes[p.Output].N, r, 1)
			}
		}
		few := testing.AllocsPerRun(5, func() {
			NewAscent(w, f, R).Run(f, p.Output, R, nil, seed, Steps{N: 3, RateA: 0.1, Decay: 1, Final: true})
		})
		many := testing.AllocsPerRun(5, func() {
			NewAscent(w, f, R).Run(f, p.Output, R, nil, seed, Steps{N: 23, RateA: 0.1, Decay: 1, Final: true})
		})
		if many != few {
			t.Errorf("%s: %v allocations for 3 iterations, %v for 23", name, few, many)
		}
	}
}
