package evasion

import (
	"math"
	"slices"

	"github.com/spai-project/certify/attacks/access"
)

// Box-constrained L-BFGS (Szegedy et al., "Intriguing properties of neural networks", 2014): minimise ‖x − x0‖² − c·loss in the
// box; the smallest c that reaches the goal by tenfold steps and then bisection.

var _ = register(&Method{Name: "lbfgs", Doc: "distance plus weighted loss, minimised in the box by a quasi-Newton method",
	Source: "Szegedy et al.: Intriguing properties of neural networks, 2014",
	Needs:  access.NeedGradients, Norms: []Norm{L2}, Minimal: true,
	Params: []Param{{Name: "steps", Default: 50, Doc: "iterations for one weight"},
		{Name: "rounds", Default: 12, Doc: "weights tried"},
		{Name: "c", Default: 1e-2, Doc: "first weight"}, lossParam(LogOdds), targetsParam},
	run: func(p *Probe) {
		for _, g := range p.goals(p.Int("targets")) {
			if p.szegedy(g, Loss(p.Int("loss")), max(1, p.Int("rounds")), max(1, p.Int("steps"))); p.Done() {
				return
			}
		}
	}})

// szegedy is the search over the weight; it returns the interval that is left.
func (p *Probe) szegedy(goal *Goal, l Loss, rounds, steps int) (lo, hi float64) {
	near, distance := make([]float64, len(p.X0)), math.Inf(1)
	c := p.Float("c")
	hi = math.Inf(1)
	x := make([]float64, len(p.X0))
	for range rounds {
		value := func(x, g []float64) (float64, bool) {
			v, dx, y, ok := p.GradientOf(goal, l, x)
			if !ok {
				return 0, false
			}
			f := -c * v
			for i, x0 := range p.X0 {
				e := x[i] - x0
				f += e * e
				g[i] = 2*e - c*dx[i]
			}
			if m, _, _ := goal.Margin(x, y); m >= 0 {
				if d := L2.Distance(x, p.X0); d < distance {
					distance = d
					copy(near, x)
				}
			}
			return f, true
		}
		copy(x, p.X0)
		if !minimize(x, p.Lo, p.Hi, value, steps) {
			return lo, hi
		}
		y, ok := p.Scores(x) // the minimum counts, not what the line searches touched
		if !ok {
			return lo, hi
		}
		if m, _, _ := goal.Margin(x, y); m >= 0 {
			hi = min(hi, c)
		} else {
			lo = max(lo, c)
		}
		switch {
		case !math.IsInf(hi, 1):
			c = (lo + hi) / 2
		case c < 1e10:
			c *= 10
		}
	}
	if !math.IsInf(distance, 1) {
		p.tighten(near, 12)
	}
	return lo, hi
}

// memory is the number of steps whose curvature minimize remembers.
const memory = 8

// minimize improves x, in place, within the box by projected L-BFGS: the quasi-Newton direction of the coordinates that are free,
// with backtracking along its projection. value may move the x it is given by as much as rounding; it returns false to end
// everything, and so does minimize then.
func minimize(x, lo, hi []float64, value func(x, g []float64) (float64, bool), steps int) bool {
	n := len(x)
	g, next, gNext, d := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	var ss, ys [][]float64
	f, ok := value(x, g)
	if !ok {
		return false
	}
	for range steps {
		free := 0
		for i := range d {
			d[i] = -g[i]
			if g[i] > 0 && x[i] <= lo[i] || g[i] < 0 && x[i] >= hi[i] {
				d[i] = 0
			}
			if d[i] != 0 {
				free++
			}
		}
		if free == 0 {
			return true
		}
		fixed := slices.Clone(d)
		twoLoop(d, ss, ys)
		for i := range d {
			if fixed[i] == 0 {
				d[i] = 0
			}
		}
		if !(dot(d, g) < 0) { // the memory misleads
			copy(d, fixed)
			ss, ys = ss[:0], ys[:0]
		}
		size := 1.0
		if len(ss) == 0 {
			size = min(1, 1/L2.dual(d))
		}
		better := false
		for range 20 {
			gain := 0.0
			for i := range next {
				next[i] = min(max(x[i]+size*d[i], lo[i]), hi[i])
				gain += g[i] * (next[i] - x[i])
			}
			v, ok := value(next, gNext)
			if !ok {
				return false
			}
			if v <= f+1e-4*gain && v < f {
				f, better = v, true
				break
			}
			size /= 2
		}
		if !better {
			return true
		}
		s, y := make([]float64, n), make([]float64, n)
		for i := range s {
			s[i], y[i] = next[i]-x[i], gNext[i]-g[i]
		}
		if dot(s, y) > 1e-10*dot(y, y) {
			if len(ss) == memory {
				ss, ys = ss[1:], ys[1:]
			}
			ss, ys = append(ss, s), append(ys, y)
		}
		copy(x, next)
		copy(g, gNext)
	}
	return true
}

// twoLoop multiplies d, in place, by the inverse Hessian that the steps s and changes y of the gradient tell of.
func twoLoop(d []float64, s, y [][]float64) {
	a := make([]float64, len(s))
	for k := len(s) - 1; k >= 0; k-- {
		a[k] = dot(s[k], d) / dot(s[k], y[k])
		add(d, -a[k], y[k])
	}
	if k := len(s) - 1; k >= 0 {
		scale := dot(s[k], y[k]) / dot(y[k], y[k])
		for i := range d {
			d[i] *= scale
		}
	}
	for k := range s {
		add(d, a[k]-dot(y[k], d)/dot(s[k], y[k]), s[k])
	}
}

// add adds s·b to a.
func add(a []float64, s float64, b []float64) {
	for i, v := range b {
		a[i] += s * v
	}
}
