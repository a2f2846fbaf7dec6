package evasion

import (
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// The pointwise attack (Schott, Rauber, Bethge and Brendel, "Towards the first adversarially robust neural network model on
// MNIST", 2019) undoes a perturbation as far as the goal allows, input by input, seeing labels alone. It starts from Task.Start
// or from noise; started from what another attack found it says which inputs matter. What it returns needs every changed input:
// none can be undone alone. For L2 and L1 what is left is then moved towards the input, coordinate by coordinate.
var _ = register(&Method{Name: "pointwise", Doc: "undo a perturbation input by input while the goal is reached",
	Needs:  access.NeedLabels,
	Source: "Schott, Rauber, Bethge, Brendel: Towards the first adversarially robust neural network model on MNIST, 2019",
	Norms:  []Norm{L0, L1, L2}, Minimal: true,
	Params: []Param{{Name: "restarts", Default: 3, Doc: "random orders"}},
	run: func(p *Probe) {
		x, ok := p.start(false)
		if !ok {
			return
		}
		for range max(1, p.Int("restarts")) {
			y := slices.Clone(x)
			if !p.undo(y) || p.Norm != L0 && !p.shorten(y) {
				return
			}
		}
	}})

// undo resets coordinates of x, which reaches the goal, to X0 while it does: runs of a random order, shorter and shorter, then
// single ones until none can be reset. It returns false when the attack must return.
func (p *Probe) undo(x []float64) (ok bool) {
	var order []int
	for i, v := range x {
		if v != p.X0[i] {
			order = append(order, i)
		}
	}
	p.Rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	y := slices.Clone(x)
	for run := len(order) / 2; run > 0; run /= 2 {
		for again := true; again; {
			again = false
			kept := order[:0:0]
			for part := range slices.Chunk(order, run) {
				for _, i := range part {
					y[i] = p.X0[i]
				}
				hit, ok := p.hits(y)
				if !ok {
					return false
				}
				if hit {
					again = run == 1
					for _, i := range part {
						x[i] = y[i]
					}
				} else {
					kept = append(kept, part...)
					for _, i := range part {
						y[i] = x[i]
					}
				}
			}
			order = kept
		}
	}
	return true
}

// shorten moves every changed coordinate of x, which reaches the goal, as far towards X0 as it goes alone, by bisection.
func (p *Probe) shorten(x []float64) (ok bool) {
	y := slices.Clone(x)
	for _, i := range p.Rng.Perm(len(x)) {
		lo, hi := 0.0, 1.0
		far := x[i] - p.X0[i]
		for far != 0 && hi-lo > 0.02 {
			mid := (lo + hi) / 2
			y[i] = p.X0[i] + mid*far
			hit, ok := p.hits(y)
			if !ok {
				return false
			}
			if hit {
				hi = mid
				x[i] = y[i]
			} else {
				lo = mid
			}
		}
		y[i] = x[i]
	}
	return true
}
