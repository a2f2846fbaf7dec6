package evasion

import (
	"cmp"
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// The Jacobian-based saliency map attack (Papernot et al., "The limitations of deep learning in adversarial settings", 2016):
// move the pair of inputs that raises the target's score and lowers the sum of the others most, to the end of their range, until
// the target is reached. Pairs are chosen among the 64 inputs that are most salient alone. Without a target every class is one,
// the closest first.

var _ = register(&Method{Name: "jsma", Doc: "pairs of inputs by saliency, moved to the end of their range", ClassesOnly: true,
	Source: "Papernot et al.: The limitations of deep learning in adversarial settings, 2016",
	Needs:  access.NeedGradients, Norms: []Norm{L0}, Minimal: true,
	Params: []Param{{Name: "gamma", Default: 0.2, Doc: "share of the inputs that may change"},
		{Name: "direction", Default: 2, Words: []string{"up", "down", "both"}, Doc: "ways inputs may move"},
		{Name: "targets", Default: 9, Doc: "targets tried, where there is none"}},
	run: func(p *Probe) {
		most := int(math.Ceil(p.Float("gamma") * float64(len(p.X0))))
		for _, k := range p.ranked(p.Int("targets")) {
			changed, ok := p.jsma(p.Goal.Case(k).Target(), most)
			if !ok {
				return
			}
			most = min(most, changed-1) // only fewer are of interest
		}
	}})

// salient is an input that may move: up is the slope of the target's score in the direction of the move, down minus that of the
// others.
type salient struct {
	i        int
	to       float64
	up, down float64
}

// jsma moves inputs until the goal is reached or more than most changed; it returns how many did, math.MaxInt for failure.
func (p *Probe) jsma(target, most int) (changed int, ok bool) {
	x := slices.Clone(p.X0)
	moved := make([]bool, len(x))
	for {
		y, g, ok := p.Pull(func(i int, y, dy []float64) {
			for j := range dy {
				if (j == target) == (i == 0) {
					dy[j] = 1
				}
			}
		}, x, x)
		if !ok {
			return 0, false
		}
		if m, _, _ := p.Goal.Margin(x, y[:len(y)/2]); m >= 0 {
			return changed, true
		}
		if changed >= most {
			return math.MaxInt, true
		}
		s := p.salient(x, g[:len(x)], g[len(x):], moved)
		a, b := pair(s)
		if changed+1 == most {
			b = -1
		}
		if a < 0 {
			return math.MaxInt, true
		}
		for _, k := range [...]int{a, b} {
			if k < 0 {
				break
			}
			x[s[k].i] = s[k].to
			moved[s[k].i] = true
			changed++
			if k == b {
				break
			}
			y, ok := p.Scores(x) // the first alone may do
			if !ok {
				return 0, false
			}
			if m, _, _ := p.Goal.Margin(x, y); m >= 0 {
				return changed, true
			}
		}
	}
}

// salient lists the inputs that can still move, the most salient alone first, at most 64.
func (p *Probe) salient(x, target, others []float64, moved []bool) []salient {
	var s []salient
	for i := range x {
		way := 1.0
		if d := p.Int("direction"); d == 1 || d == 2 && target[i]-others[i] < 0 {
			way = -1
		}
		c := salient{i: i, to: p.Hi[i], up: way * target[i], down: -way * others[i]}
		if way < 0 {
			c.to = p.Lo[i]
		}
		if !moved[i] && c.to != x[i] {
			s = append(s, c)
		}
	}
	slices.SortStableFunc(s, func(a, b salient) int { return cmp.Compare(b.up+b.down, a.up+a.down) })
	return s[:min(len(s), 64)]
}

// pair returns the positions of the pair with the largest product of its two slopes, both positive, the more salient first; the
// second is −1 when a single input is left, both when no pair is salient.
func pair(s []salient) (a, b int) {
	a, b = -1, -1
	best := 0.0
	for j := range s {
		for k := range j {
			up, down := s[j].up+s[k].up, s[j].down+s[k].down
			if v := up * down; up > 0 && down > 0 && v > best {
				a, b, best = k, j, v
			}
		}
	}
	if len(s) == 1 && s[0].up > 0 && s[0].down > 0 {
		a = 0
	}
	return a, b
}
