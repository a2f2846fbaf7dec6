package poison

import (
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/train"
)

// Feature collision (Shafahi et al. 2018) makes items that look like their own class b and have the features of the target t:
//
//	min_p ‖f(p) − f(t)‖² + β·‖p − b‖²,  β = beta·(features/inputs)²,
//
// by forward-backward splitting. Labels stay right. A victim that trains its last layer on them takes the target for their class.
var featureCollision = &Attack{
	Name:   "collision",
	Doc:    "inserts items of one class, rightly labelled, with the features of the target",
	Source: "Shafahi et al. 2018",
	Nets:   1,
	Target: true,
	Params: []Param{
		{Name: "count", Default: 1, Doc: "items inserted"},
		{Name: "class", Default: -1, Doc: "their class; -1: the nearest items of other classes than the target's"},
		{Name: "beta", Default: 0.25, Doc: "weight of looking like the base"},
		{Name: "watermark", Default: 0, Doc: "opacity with which the target is mixed into the bases"},
		{Name: "rounds", Default: 500, Doc: "steps"},
		{Name: "step", Default: 0.01, Doc: "first length of the forward step; it is halved when it does not help"},
	},
	run: runCollision,
}

func runCollision(a *attacking) error {
	bases, err := a.bases()
	if err != nil {
		return err
	}
	opacity := a.num("watermark")
	if !(opacity >= 0 && opacity < 1) || !(a.num("step") > 0) || !(a.num("beta") >= 0) {
		return fmt.Errorf("poison: %s: watermark=%v, step=%v, beta=%v", a.name, opacity, a.num("step"), a.num("beta"))
	}
	net := a.Nets[0].Features
	f := a.watch(net)
	goal, err := f.at(a.Target)
	if err != nil {
		return err
	}
	goal = slices.Clone(goal)
	ratio := float64(net.Classes()) / float64(net.Inputs())
	beta := a.num("beta") * ratio * ratio
	for k, i := range bases {
		base := slices.Clone(a.set.Item(i))
		for j, v := range a.Target {
			base[j] += opacity * (v - base[j])
		}
		p, err := a.collide(f, base, goal, beta, func(round int) {
			a.progress(k*a.int("rounds")+round,
				len(bases)*a.int("rounds"))
		})
		if err != nil {
			return err
		}
		a.out.insert(p, a.set.Labels[i])
	}
	return nil
}

// collide returns a point near the base whose features are near the goal.
func (a *attacking) collide(f *watcher, base, goal []float64, beta float64, progress func(int)) ([]float64, error) {
	p, trial := slices.Clone(base), make([]float64, len(base))
	value := func(x []float64) (float64, error) {
		y, err := f.at(x)
		if err != nil {
			return 0, err
		}
		v := beta * squares(x, base)
		return v + squares(y, goal), nil
	}
	step := a.num("step")
	last, err := value(p)
	if err != nil {
		return nil, err
	}
	dy := make([]float64, len(goal))
	for round := range a.int("rounds") {
		progress(round)
		y, err := f.at(p)
		if err != nil {
			return nil, err
		}
		for j := range dy {
			dy[j] = 2 * (y[j] - goal[j])
		}
		g, err := f.pull(dy)
		if err != nil {
			return nil, err
		}
		for {
			for j := range trial {
				v := (p[j] - step*g[j] + step*beta*base[j]) / (1 + step*beta)
				trial[j] = min(max(v, a.Lower), a.Upper)
			}
			next, err := value(trial)
			if err != nil {
				return nil, err
			}
			if next < last {
				last = next
				copy(p, trial)
				step *= 1.2
				break
			}
			if step /= 2; step < 1e-9 {
				return p, nil
			}
		}
	}
	return p, nil
}

// bases returns the items whose features are nearest to the target's, of the class that was asked for.
func (a *attacking) bases() ([]int, error) {
	class, count := a.int("class"), a.int("count")
	if class < -1 || class >= a.Classes || class == a.TargetLabel {
		return nil, fmt.Errorf("poison: %s: class=%d: want a class other than the target's, or -1", a.name, class)
	}
	features, err := a.Nets[0].featureRows(a.ctx, a.set.X, a.Workers)
	if err != nil {
		return nil, err
	}
	goal, err := a.Nets[0].featureRows(a.ctx, a.Target, a.Workers)
	if err != nil {
		return nil, err
	}
	order := byScore(a.set.Len(), func(i int) float64 {
		if y := a.set.Labels[i]; y == a.TargetLabel || class >= 0 && y != class {
			return math.Inf(1)
		}
		return squares(features[i*len(goal):][:len(goal)], goal)
	})
	if class < 0 { // one class for all, that of the nearest
		class = a.set.Labels[order[0]]
	}
	order = slices.DeleteFunc(order, func(i int) bool { return a.set.Labels[i] != class })
	if class == a.TargetLabel || count < 1 || count > len(order) {
		return nil, fmt.Errorf("poison: %s: count=%d: there are %d items of another class than the target's to start from",
			a.name, count, len(order))
	}
	return order[:count], nil
}

// A watcher differentiates the features of a network.
type watcher struct {
	a    *attacking
	pass *train.Pass[float32]
	x    []float32
	dx   []float32
}

func (a *attacking) watch(net *train.Net[float32]) *watcher {
	return &watcher{a: a, pass: net.NewPass(a.Workers)}
}

// at returns the features of rows.
func (f *watcher) at(x []float64) ([]float64, error) {
	f.x = narrow(x)
	y, err := f.pass.Forward(f.a.ctx, f.x)
	return widen(y), err
}

// pull takes a gradient with respect to the features of the last rows to one with respect to the rows.
func (f *watcher) pull(dy []float64) ([]float64, error) {
	f.dx = slices.Grow(f.dx[:0], len(f.x))[:len(f.x)]
	err := f.pass.BackwardInput(f.a.ctx, narrow(dy), f.dx)
	return widen(f.dx), err
}

func squares(x, y []float64) float64 {
	s := 0.0
	for i, v := range x {
		s += (v - y[i]) * (v - y[i])
	}
	return s
}
