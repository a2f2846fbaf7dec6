package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Bandits with time and data priors (Ilyas, Engstrom and Madry, "Prior convictions: black-box adversarial attacks with bandits
// and priors", 2019): a guess of the gradient, constant on the tiles of a picture, is carried from step to step and corrected
// by one pair of queries, exponentiated for Linf and added for L2.
//
// Where the paper divides the change of the loss by the lengths of the probe, this divides by its running root mean square, so
// that the learning rate means the same for every network. Steps are halved, and tiles divided in four, when the loss has not
// risen for a while.
var _ = register(&Method{Name: "bandits", Doc: "gradient guess on tiles, corrected by a pair of queries a step",
	Needs:  access.NeedScores,
	Source: "Ilyas, Engstrom, Madry: Prior convictions: black-box adversarial attacks with bandits and priors, 2019",
	Norms:  []Norm{Linf, L2},
	Params: []Param{{Name: "steps", Default: 5000, Doc: "steps, of two queries each"},
		{Name: "tiles", Default: 14, Doc: "tiles along a side of a picture, 0: every input is one"},
		{Name: "delta", Default: 1, Doc: "size of the exploration beside the prior"},
		{Name: "probe", Default: 0.1, Doc: "distance of the two queries, in radii of a coordinate"},
		{Name: "rate", Default: 0.1, Doc: "learning rate of the prior"},
		{Name: "alpha", Default: 0.15, Doc: "first step, in radii"},
		{Name: "plateau", Default: 50, Doc: "steps without a better loss until the step is halved"}, lossParam(Margin)},
	run: func(p *Probe) { newBandits(p).run() }})

// sure is how near to ±1 a guess comes for Linf: near enough to count, not too near to be changed by what is seen later.
const sure = 0.98

type bandits struct {
	p          *Probe
	loss       Loss
	side       int       // tiles along a side, 0: every input is one
	tile       []int     // of every coordinate
	prior, u   []float64 // of every tile
	x, a, b, g []float64
	length     float64 // of the probe
	square     float64 // running mean of the squared change of the loss
	seen       float64 // changes in it
}

func newBandits(p *Probe) *bandits {
	n := len(p.X0)
	s := &bandits{p: p, loss: Loss(p.Int("loss")), side: p.Int("tiles"), x: slices.Clone(p.X0)}
	s.a, s.b, s.g = make([]float64, n), make([]float64, n), make([]float64, n)
	if _, h, _ := picture(p.Shape, n); h == 1 { // neighbours in a vector mean nothing
		s.side = 0
	}
	s.length = p.Float("probe") * p.coordinate(p.Radius()) * math.Sqrt(float64(n))
	s.divide(s.side)
	return s
}

// divide lays new tiles, which begin with what is known.
func (s *bandits) divide(side int) {
	tile, count := tiles(s.p.Shape, len(s.x), side)
	prior := make([]float64, count)
	for i, t := range s.tile {
		prior[tile[i]] = s.prior[t]
	}
	s.side, s.tile, s.prior, s.u = side, tile, prior, make([]float64, count)
}

func (s *bandits) run() {
	p, r := s.p, s.p.Radius()
	alpha := p.Float("alpha") * r
	flat := plateau{best: math.Inf(-1), limit: p.Int("plateau")}
	mean := 0.0 // running, of the loss
	for t := range p.Int("steps") {
		v, ok := s.learn()
		if !ok {
			return
		}
		mean += max(0.1, 1/float64(t+1)) * (v - mean)
		if flat.add(mean) {
			alpha = max(alpha/2, r/256)
			if s.side > 0 {
				_, h, w := picture(p.Shape, len(s.x))
				if s.side *= 2; s.side >= max(h, w) {
					s.side = 0
				}
				s.divide(s.side)
			}
		}
		for i, t := range s.tile {
			s.g[i] = s.prior[t]
		}
		p.ascend(s.a, s.g, s.x, alpha, 0.05)
		for i, d := range s.a {
			s.x[i] += d
		}
		p.project(s.x, r)
		if p.Norm == L2 || t%10 == 9 { // the pair may lie outside the ball, or to the side
			if _, ok := p.Scores(s.x); !ok {
				return
			}
		}
	}
}

// learn corrects the prior by a pair of queries and returns the mean of the loss at them.
func (s *bandits) learn() (v float64, ok bool) {
	p, delta, n := s.p, s.p.Float("delta"), math.Sqrt(float64(len(s.u)))
	for k := range s.u {
		s.u[k] = delta * p.Rng.NormFloat64() / n
	}
	s.aim(s.a, 1)
	s.aim(s.b, -1)
	y, ok := p.ScoresAll(s.a, s.b)
	if !ok {
		return 0, false
	}
	up := s.loss.Value(p.Goal, s.a, y[:len(y)/2], nil, nil)
	down := s.loss.Value(p.Goal, s.b, y[len(y)/2:], nil, nil)
	rise := up - down
	if !finite(rise) {
		return math.Inf(-1), true
	}
	s.seen++
	if s.square += max(0.05, 1/s.seen) * (rise*rise - s.square); s.square == 0 {
		return up, true
	}
	rate := p.Float("rate") * rise / math.Sqrt(s.square) * n / delta
	for k, u := range s.u {
		if p.Norm == Linf {
			up, down := (1+s.prior[k])*math.Exp(rate*u), (1-s.prior[k])*math.Exp(-rate*u)
			s.prior[k] = min(max((up-down)/(up+down), -sure), sure)
		} else {
			s.prior[k] += rate * u
		}
	}
	return (up + down) / 2, true
}

// aim stores the point of the pair on one side of the prior.
func (s *bandits) aim(dst []float64, sign float64) {
	sum := 0.0
	for i, t := range s.tile {
		d := s.prior[t] + sign*s.u[t]
		dst[i] = d
		sum += d * d
	}
	scale := 0.0
	if sum > 0 {
		scale = s.length / math.Sqrt(sum)
	}
	for i, d := range dst {
		dst[i] = s.x[i] + scale*d
	}
}
