package poison

import (
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
)

// The convex polytope attack (Zhu et al. 2019) is feature collision for victims whose features are unknown: for every one of
// several surrogates φ_m the target's features shall lie in the convex hull of those of k items,
//
//	min ½ Σ_m ‖φ_m(t) − Σ_j c_mj φ_m(p_j)‖² / ‖φ_m(t)‖²,  c_m in the simplex, ‖p_j − b_j‖_∞ ≤ ε,
//
// so that any last layer that classifies the items alike classifies the target with them. Coefficients are found by projected
// gradients, items by Adam, in turn.
var convexPolytope = &Attack{
	Name:   "polytope",
	Doc:    "inserts items of one class, rightly labelled, whose features surround the target's in several networks",
	Source: "Zhu et al. 2019",
	Nets:   2,
	Target: true,
	Params: []Param{
		{Name: "count", Default: 5, Doc: "k, items inserted"},
		{Name: "class", Default: -1, Doc: "their class; -1: that of the nearest item of another class than the target's"},
		{Name: "eps", Default: 0.1, Doc: "ε, how far a value may move"},
		{Name: "rounds", Default: 300, Doc: "steps"},
		{Name: "step", Default: 0.01, Doc: "rate of Adam"},
	},
	run: runPolytope,
}

// hull is what the attack knows of one surrogate.
type hull struct {
	*watcher
	goal  []float64
	c     []float64 // coefficients
	y, dy []float64 // features of the items and their gradients
}

func runPolytope(a *attacking) error {
	bases, err := a.bases()
	if err != nil {
		return err
	}
	eps := a.num("eps")
	if !(eps >= 0) || !(a.num("step") > 0) {
		return fmt.Errorf("poison: %s: eps=%v, step=%v", a.name, eps, a.num("step"))
	}
	var start []float64
	for _, i := range bases {
		start = append(start, a.set.Item(i)...)
	}
	var hulls []*hull
	for _, net := range a.Nets {
		h := &hull{watcher: a.watch(net.Features), c: make([]float64, len(bases))}
		if h.goal, err = h.at(a.Target); err != nil {
			return err
		}
		if norm(h.goal) == 0 {
			return fmt.Errorf("poison: %s: the features of the target are 0 in a network", a.name)
		}
		for j := range h.c {
			h.c[j] = 1 / float64(len(h.c))
		}
		hulls = append(hulls, h)
	}
	p, best := slices.Clone(start), slices.Clone(start)
	least := math.Inf(1)
	dp := make([]float64, len(p))
	m, v := make([]float64, len(p)), make([]float64, len(p))
	for round := 1; round <= a.int("rounds"); round++ {
		a.progress(round-1, a.int("rounds"))
		clear(dp)
		loss := 0.0
		for _, h := range hulls {
			part, err := h.add(p, dp)
			if err != nil {
				return err
			}
			loss += part
		}
		if loss < least {
			least = loss
			copy(best, p)
		}
		const b1, b2 = 0.9, 0.999
		for k, g := range dp {
			m[k], v[k] = b1*m[k]+(1-b1)*g, b2*v[k]+(1-b2)*g*g
			mean, square := m[k]/(1-math.Pow(b1, float64(round))), v[k]/(1-math.Pow(b2, float64(round)))
			x := p[k] - a.num("step")*mean/(math.Sqrt(square)+1e-8)
			p[k] = min(max(x, start[k]-eps, a.Lower), start[k]+eps, a.Upper)
		}
	}
	d := a.set.Dim()
	for j, i := range bases {
		a.out.insert(best[j*d:][:d], a.set.Labels[i])
	}
	return nil
}

// add returns this network's part of the loss at the items and adds its gradient to dp.
func (h *hull) add(p, dp []float64) (float64, error) {
	var err error
	if h.y, err = h.at(p); err != nil {
		return 0, err
	}
	h.coefficients()
	rest := h.rest()
	scale := kernel.Dot(h.goal, h.goal)
	h.dy = slices.Grow(h.dy[:0], len(h.y))[:len(h.y)]
	for j, c := range h.c {
		for k, r := range rest {
			h.dy[j*len(rest)+k] = -c * r / scale
		}
	}
	g, err := h.pull(h.dy)
	if err != nil {
		return 0, err
	}
	kernel.Axpy(dp, g, 1)
	return kernel.Dot(rest, rest) / (2 * scale), nil
}

// rest returns φ(t) − Σ c_j φ(p_j).
func (h *hull) rest() []float64 {
	r := slices.Clone(h.goal)
	for j, c := range h.c {
		kernel.Axpy(r, h.y[j*len(r):][:len(r)], -c)
	}
	return r
}

// coefficients improves c by projected gradients with steps of 1/‖Y‖²_F, which cannot overshoot.
func (h *hull) coefficients() {
	bound := kernel.Dot(h.y, h.y)
	if bound == 0 {
		return
	}
	for range 100 {
		r := h.rest()
		for j := range h.c {
			h.c[j] += kernel.Dot(h.y[j*len(r):][:len(r)], r) / bound
		}
		simplex(h.c)
	}
}

// simplex projects c to the nearest point with c ≥ 0 and Σc = 1 (Duchi et al. 2008).
func simplex(c []float64) {
	s := slices.Clone(c)
	slices.Sort(s)
	slices.Reverse(s)
	sum, shift := 0.0, 0.0
	for k, v := range s {
		sum += v
		if t := (sum - 1) / float64(k+1); v > t {
			shift = t
		}
	}
	for j := range c {
		c[j] = max(c[j]-shift, 0)
	}
}
