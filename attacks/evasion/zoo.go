package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Zeroth order optimisation (Chen, Zhang, Sharma, Yi and Hsieh, "ZOO: zeroth order optimization based black-box attacks to deep neural
// networks without training substitute models", 2017): the objective of Carlini and Wagner, ‖x−x0‖² + c·max(κ − margin, 0), by Adam on
// the coordinates of a batch whose slopes are central differences. Of at most 64 inputs all are in every batch. The slope of the
// distance is known and needs no query.
//
// The paper searches for c by restarting, which multiplies the queries. Here c starts at what a linear model with the slopes of the
// first batch would need, and the step at the distance that it would have; then c rises by a factor while the goal is not reached and
// falls while it is, a factor that becomes milder whenever the side changes.
var _ = register(&Method{Name: "zoo", Doc: "Adam on coordinates with slopes by central differences", Needs: access.NeedScores,
	Source: "Chen, Zhang, Sharma, Yi, Hsieh: ZOO: zeroth order optimization based black-box attacks to deep neural networks, 2017",
	Norms:  []Norm{L2}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 300, Doc: "steps, of 2·batch+1 queries each"}, {Name: "batch", Default: 128, Doc: "coordinates of a step"},
		{Name: "h", Default: 1e-3, Doc: "distance of the two points of a slope, in ranges of the input, at most 1"},
		{Name: "rate", Default: 0.3, Doc: "Adam's step, in estimated distances of a coordinate"}, {Name: "kappa", Default: 0, Doc: "margin aimed at"}},
	run: runZOO})

func runZOO(p *Probe) {
	n := len(p.X0)
	x := slices.Clone(p.X0)
	size := max(1, min(n, p.Int("batch")))
	if n <= 64 {
		size = n
	}
	var order []int
	points, g := rows(2*size+1, n), make([]float64, size)
	// hinge is how much of the margin aimed at is missing at a point.
	hinge := func(x, y []float64) float64 {
		m, _, _ := p.Goal.Margin(x, y)
		return max(p.Float("kappa")-m, 0)
	}
	var a *coordinateAdam
	c, factor, was := 0.0, 2.0, true
	for range p.Int("steps") {
		for len(order) < size {
			order = append(order, p.Rng.Perm(n)...)
		}
		coords := order[:size]
		order = order[size:]
		v, ok := p.differences(hinge, x, coords, p.Float("h"), points, g)
		if !ok {
			return
		}
		if a == nil {
			slope := dot(g, g) * float64(n) / float64(size)
			if slope == 0 || v == 0 {
				continue
			}
			c = 2 * v / slope
			a = newCoordinateAdam(n, p.Float("rate")*v/math.Sqrt(slope*float64(n)))
		}
		reached := v <= p.Float("kappa")
		_ = reached
		for k, i := range coords {
			x[i] = min(max(x[i]+a.step(i, -2*(x[i]-p.X0[i])-c*g[k]), p.Lo[i]), p.Hi[i])
		}
		if in := v == 0; in != was {
			factor, was = math.Sqrt(factor), in
		}
		if was {
			c /= factor
		} else {
			c *= factor
		}
	}
	p.Scores(x)
}
