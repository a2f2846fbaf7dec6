package defense

import (
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/prog"
)

// ActivationPruning is a network that keeps, after every ReLU, only activations drawn at random by their size, as many draws as
// share times the number of units, and scales them up for what was dropped (Dhillon et al., "Stochastic activation pruning for
// robust adversarial defense", 2018). The network is used as it is. Gradients of one draw are noisy; EOT averages them. It is an
// error if the network has no ReLU at which it can be cut.
func ActivationPruning(p *prog.Program, share float64) (access.Gradients, error) {
	parts, err := Cut(p)
	if err != nil {
		return nil, err
	}
	var stages []access.Gradients
	for k, part := range parts {
		stages = append(stages, access.Program(part))
		if k+1 < len(parts) {
			t, err := Pruning(part.Nodes[part.Output].N, share)
			if err != nil {
				return nil, err
			}
			stages = append(stages, access.Lift(t))
		}
	}
	return access.Chain(stages...)
}

// Cut divides a network after every ReLU that all that follows goes through. It is an error if there is none.
func Cut(p *prog.Program) ([]*prog.Program, error) {
	cuts := []int{0}
	for k := range p.Nodes {
		if p.Nodes[k].Kind == prog.Relu && k < p.Output && narrow(p, k) {
			cuts = append(cuts, k)
		}
	}
	if len(cuts) == 1 {
		return nil, fmt.Errorf("defense: the network has no ReLU that all that follows goes through")
	}
	var parts []*prog.Program
	for i, from := range cuts {
		to := p.Output
		if i+1 < len(cuts) {
			to = cuts[i+1]
		}
		parts = append(parts, segment(p, from, to))
	}
	return parts, nil
}

// narrow reports whether no node behind k reads one before it.
func narrow(p *prog.Program, k int) bool {
	for i := k + 1; i < len(p.Nodes); i++ {
		for _, s := range sources(&p.Nodes[i]) {
			if s < k {
				return false
			}
		}
	}
	return true
}

func sources(n *prog.Node) []int {
	switch n.Kind {
	case prog.Affine:
		var s []int
		for _, t := range n.Terms {
			s = append(s, t.Src)
		}
		return s
	case prog.Product:
		return []int{n.Src, n.Src2}
	}
	return []int{n.Src}
}

// segment is the part of a program behind node from, which becomes its input, up to node to.
func segment(p *prog.Program, from, to int) *prog.Program {
	q := &prog.Program{Nodes: []prog.Node{{Kind: prog.Input, N: p.Nodes[from].N, Name: "input"}}, Output: to - from}
	for _, n := range p.Nodes[from+1 : to+1] {
		n.Terms = slices.Clone(n.Terms)
		for t := range n.Terms {
			n.Terms[t].Src -= from
		}
		n.Src -= from
		n.Src2 -= from
		q.Nodes = append(q.Nodes, n)
	}
	return q
}

// Pruning draws share·n times, with replacement, one of n activations h with probability |h_i|/Σ|h|; it keeps those that were
// drawn, divided by the probability of being drawn at all.
func Pruning(n int, share float64) (access.Transform, error) {
	if n < 1 || !(share > 0) || share > 1e3 {
		return nil, fmt.Errorf("defense: Pruning of %d activations with a share of %v", n, share)
	}
	return &pruning{n, max(1, int(share*float64(n)))}, nil
}

type pruning struct{ n, draws int }

func (t *pruning) Dims() (inputs, outputs int) { return t.n, t.n }

// drawn returns what was drawn and the sum of the sizes.
func (t *pruning) drawn(h []float64, draw uint64) (kept []bool, sum float64) {
	kept = make([]bool, t.n)
	until := make([]float64, t.n)
	for i, v := range h {
		sum += math.Abs(v)
		until[i] = sum
	}
	if !(sum > 0) {
		return kept, 0
	}
	rng := random(draw)
	for range t.draws {
		i, _ := slices.BinarySearch(until, sum*(1-rng.Float64())) // in (0, sum]: the first whose sum reaches it
		kept[min(i, t.n-1)] = true
	}
	return kept, sum
}

// scale returns the factor of an activation of probability p, and its derivative.
func (t *pruning) scale(p float64) (s, ds float64) {
	r := float64(t.draws)
	s = 1 / -math.Expm1(r*math.Log1p(-p))
	return s, -r * math.Pow(1-p, r-1) * s * s
}

func (t *pruning) Forward(dst, h []float64, draw uint64) {
	kept, sum := t.drawn(h, draw)
	for i, v := range h {
		dst[i] = 0
		if kept[i] {
			s, _ := t.scale(math.Abs(v) / sum)
			dst[i] = v * s
		}
	}
}

func (t *pruning) Pull(dx, h, dy []float64, draw uint64) {
	kept, sum := t.drawn(h, draw)
	clear(dx)
	all := 0.0 // every probability falls when the sum grows
	for i, v := range h {
		if !kept[i] {
			continue
		}
		p := math.Abs(v) / sum
		s, ds := t.scale(p)
		dx[i] += (s + ds*p) * dy[i]
		all += dy[i] * v * ds * p
	}
	for i, v := range h {
		if v > 0 {
			dx[i] -= all / sum
		} else if v < 0 {
			dx[i] += all / sum
		}
	}
}
