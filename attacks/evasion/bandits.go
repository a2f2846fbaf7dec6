package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Bandits with time and data priors (Ilyas, Engstrom and Madry, "Prior convictions: black-box adversarial attacks with bandits and
// priors", 2019): a guess of the gradient, constant on the tiles of a picture, is carried from step to step and corrected by one
// pair of queries, exponentiated for Linf and added for L2. Where the paper divides the change of the loss by the lengths of the
// probe, this divides by its running root mean square: the learning rate means the same for every network.
var _ = register(&Method{Name: "bandits", Doc: "gradient guess on tiles, corrected by a pair of queries a step", Needs: access.NeedScores,
	Source: "Ilyas, Engstrom, Madry: Prior convictions: black-box adversarial attacks with bandits and priors, 2019",
	Norms:  []Norm{Linf, L2},
	Params: []Param{{Name: "steps", Default: 5000, Doc: "steps, of two queries each"},
		{Name: "tiles", Default: 14, Doc: "tiles along a side of a picture, 0: every input is one"},
		{Name: "delta", Default: 1, Doc: "size of the exploration beside the prior"},
		{Name: "probe", Default: 0.5, Doc: "distance of the two queries, in radii of a coordinate"},
		{Name: "rate", Default: 0.1, Doc: "learning rate of the prior"},
		{Name: "alpha", Default: 0.05, Doc: "step, in radii"}, lossParam(Margin)},
	run: runBandits})

func runBandits(p *Probe) {
	n, r := len(p.X0), p.Radius()
	side := p.Int("tiles")
	if _, h, _ := picture(p.Shape, n); h == 1 { // neighbours in a vector mean nothing
		side = 0
	}
	tile, count := tiles(p.Shape, n, side)
	loss, delta, rate := Loss(p.Int("loss")), p.Float("delta"), p.Float("rate")
	// A direction of length probe·√n moves a coordinate by probe on average.
	length := p.Float("probe") * p.coordinate(r) * math.Sqrt(float64(n))
	x, step, g := slices.Clone(p.X0), make([]float64, n), make([]float64, n)
	prior, u := make([]float64, count), make([]float64, count)
	a, b := make([]float64, n), make([]float64, n)
	probe := func(dst []float64, sign float64) {
		s := 0.0
		for i, t := range tile {
			d := prior[t] + sign*u[t]
			dst[i] = d
			s += d * d
		}
		if s > 0 {
			s = length / math.Sqrt(s)
		}
		for i, d := range dst {
			dst[i] = x[i] + s*d
		}
	}
	square := 0.0
	for t := range max(1, p.Int("steps")) {
		for k := range u {
			u[k] = delta * p.Rng.NormFloat64() / math.Sqrt(float64(count))
		}
		probe(a, 1)
		probe(b, -1)
		y, ok := p.ScoresAll(a, b)
		if !ok {
			return
		}
		out := len(y) / 2
		rise := loss.Value(p.Goal, a, y[:out], nil, nil) - loss.Value(p.Goal, b, y[out:], nil, nil)
		if !finite(rise) {
			rise = 0
		}
		square += max(0.05, 1/float64(t+1)) * (rise*rise - square)
		if square > 0 {
			s := rate * rise / math.Sqrt(square) * math.Sqrt(float64(count)) / delta
			for k, v := range u {
				if p.Norm == Linf {
					up, down := (1+prior[k])*math.Exp(s*v), (1-prior[k])*math.Exp(-s*v)
					prior[k] = min(max((up-down)/(up+down), -1+0x1p-40), 1-0x1p-40)
				} else {
					prior[k] += s * v
				}
			}
		}
		for i, t := range tile {
			g[i] = prior[t]
		}
		p.ascend(step, g, x, p.Float("alpha")*r, 0.05)
		for i, s := range step {
			x[i] += s
		}
		p.project(x, r)
		if p.Norm == L2 || t%10 == 9 { // the pair may lie outside the ball
			if _, ok := p.Scores(x); !ok {
				return
			}
		}
	}
}
