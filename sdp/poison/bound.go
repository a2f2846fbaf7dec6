package poison

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"github.com/spai-project/certify/internal/seed"
)

// Options say how to search for a certificate. The zero value of a field stands for its default.
type Options struct {
	Epsilon     float64 // poisoned items, as a fraction of the clean ones
	NormSquared float64 // bound ρ² on ‖(w, b)‖²; 0: 0.8
	Rate        float64 // η of the dual averaging; 0: 0.1
	Iterations  int     // 0: 1500
	Seed        uint64  // of the draw of the attack
	Workers     int     // 0: as many as there are processors; the result does not depend on it
	// Progress is called after every iteration with the best bound so far, unless it is nil.
	Progress func(done, total int, best float64)
}

func (o Options) withDefaults() (Options, error) {
	if o.NormSquared == 0 {
		o.NormSquared = 0.8
	}
	if o.Rate == 0 {
		o.Rate = 0.1
	}
	if o.Iterations == 0 {
		o.Iterations = 1500
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	for _, v := range []float64{o.Epsilon, o.NormSquared, o.Rate} {
		if !(v >= 0) || math.IsInf(v, 1) {
			return o, fmt.Errorf("poison: ε, ρ² and the rate must be finite and not negative, found %v", v)
		}
	}
	if o.Iterations < 0 || o.Workers < 0 {
		return o, fmt.Errorf("poison: %d iterations, %d workers: neither may be negative", o.Iterations, o.Workers)
	}
	return o, nil
}

// A Search is what a search for a certificate has found. It can be cut short: the best θ is a certificate at any time.
type Search struct {
	Theta       []float64      // the best θ = (w, b)
	Bound       float64        // U(θ), in the arithmetic of the search
	Clean       float64        // the clean part of it: the mean hinge loss of the clean items
	Multipliers [2]Multipliers // of the largest loss, for each class
	Iterations  int

	points [][]float32 // the worst items of the last iterations
	labels []int8      // 0 where the worst item had no loss
	first  int         // the iteration of points[0]
}

// keptBytes bounds what a search remembers of its iterations.
const keptBytes = 256 << 20

// Bound looks for the θ with the smallest
//
//	U(θ) = (1/n)·Σ_clean ℓ(θ; x, y) + ε·max_{(x, y) passes f} ℓ(θ; x, y),  ‖θ‖² ≤ ρ²
//
// by regularised dual averaging (Xiao 2010), as Steinhardt, Koh and Liang (2017) do. U(θ) bounds the mean hinge loss on the
// clean training data of the classifier that minimises the loss on clean and poisoned data under ‖θ‖² ≤ ρ², for every poison of
// εn items that pass f. With centroids that move, the maximum is over what they can come to pass; see widened. f must be
// fitted. When ctx ends, the best of what was seen is returned with the error of ctx.
func Bound(ctx context.Context, b *Binary, f *Filter, o Options) (*Search, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h, w := newHinge(b, o.Workers), newWorst(f.widened(b, o.Epsilon))
	s := &Search{Bound: math.Inf(1), Theta: make([]float64, b.D+1)}
	n := float64(b.Len())
	g, x := make([]float64, b.D+1), make([]float64, b.D)
	r := newAveraging(b.D+1, o)
	for ; s.Iterations < o.Iterations; s.Iterations++ {
		clean, _, err := h.eval(ctx, r.theta, g)
		if err != nil {
			return s, err
		}
		k, margin := w.find(r.theta, x)
		if u := clean/n + o.Epsilon*max(0, 1-margin); u < s.Bound {
			s.Bound, s.Clean, s.Multipliers = u, clean/n, w.mult
			copy(s.Theta, r.theta)
		}
		y := 2*float64(k) - 1
		for j := range g {
			g[j] /= n
		}
		if margin < 1 {
			s.keep(x, int8(y))
			for j, v := range x {
				g[j] -= o.Epsilon * y * v
			}
			g[b.D] -= o.Epsilon * y
		} else {
			s.keep(nil, 0)
		}
		r.step(g)
		if o.Progress != nil {
			o.Progress(s.Iterations+1, o.Iterations, s.Bound)
		}
	}
	return s, nil
}

func (s *Search) keep(x []float64, y int8) {
	p := make([]float32, len(x))
	for j, v := range x {
		p[j] = float32(v)
	}
	s.points, s.labels = append(s.points, p), append(s.labels, y)
	if most := max(2, keptBytes/(4*(len(s.Theta)+8))); len(s.points) >= most {
		s.first += most / 2
		s.points, s.labels = slices.Delete(s.points, 0, most/2), slices.Delete(s.labels, 0, most/2)
	}
}

// averaging is regularised dual averaging inside the ball of radius ρ: θ = −Σg/max(1/η, ‖Σg‖/ρ), where the maximum is over all
// steps.
type averaging struct {
	z, theta    []float64
	lambda, rho float64
}

func newAveraging(n int, o Options) *averaging {
	// Rounding must not carry θ out of the ball, nor the checker's bound on its norm, which charges 2u for every number.
	rho := math.Sqrt(o.NormSquared) * (1 - 1e-12 - 0x1p-51*float64(n))
	return &averaging{z: make([]float64, n), theta: make([]float64, n), lambda: 1 / o.Rate, rho: rho}
}

func (a *averaging) step(g []float64) {
	for j, v := range g {
		a.z[j] -= v
	}
	if a.rho > 0 {
		a.lambda = max(a.lambda, norm(a.z)/a.rho)
	}
	for j, v := range a.z {
		a.theta[j] = v / a.lambda
		if a.rho == 0 {
			a.theta[j] = 0
		}
	}
}

// An Attack is the poison that a search implies, and what it does.
type Attack struct {
	Iterates []int // the iteration that each distinct poisoned item is from, ascending
	Copies   []int // how many times the item is added; the sum is ⌊εn⌋
	Theta    []float64
	Total    float64 // (clean + poisoned loss)/n after retraining: at most U up to the retraining's own gap
	Clean    float64 // the mean clean loss after retraining
	// Least is a lower bound, by duality of the retraining, on Total for every θ in the ball. No certificate for this filter
	// and ε is below it. It is not rounded rigorously.
	Least float64
}

// Attack draws ⌊εn⌋ items from those that the search met, evenly, leaving out its first tenth and items without loss, and
// trains on clean and poisoned data under the same bound on the norm. With centroids that move, nothing says that all of them
// pass the filter together, and the attack is one on a weaker defence. It returns nil and no error when ⌊εn⌋ is 0 or the search
// met no item with a loss.
func (s *Search) Attack(ctx context.Context, b *Binary, o Options) (*Attack, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	count := int(o.Epsilon * float64(b.Len()))
	var pool []int
	for i, y := range s.labels {
		if y != 0 && s.first+i >= s.Iterations/10 {
			pool = append(pool, s.first+i)
		}
	}
	if count == 0 || len(pool) == 0 {
		return nil, nil
	}
	a := &Attack{}
	a.draw(pool, count, o.Seed)
	x, y, weight := s.poison(a)
	return a, a.retrain(ctx, newHinge(b, o.Workers).with(x, y, weight), b.Len(), o)
}

// draw takes every item of the pool equally often, and the rest by lot.
func (a *Attack) draw(pool []int, count int, root uint64) {
	each, rest := count/len(pool), count%len(pool)
	copies := make([]int, len(pool))
	for i := range copies {
		copies[i] = each
	}
	for _, i := range seed.Stream(root, "poison", "draw").Perm(len(pool))[:rest] {
		copies[i]++
	}
	for i, c := range copies {
		if c > 0 {
			a.Iterates, a.Copies = append(a.Iterates, pool[i]), append(a.Copies, c)
		}
	}
}

// poison returns the distinct poisoned items with their numbers of copies as weights.
func (s *Search) poison(a *Attack) (x []float32, y []int8, weight []float32) {
	for i, at := range a.Iterates {
		x = append(x, s.points[at-s.first]...)
		y = append(y, s.labels[at-s.first])
		weight = append(weight, float32(a.Copies[i]))
	}
	return x, y, weight
}

// Points returns the poisoned items of an attack: rows of features, and their labels −1 or +1, copies included.
func (s *Search) Points(a *Attack) (x []float32, y []int8) {
	for i, at := range a.Iterates {
		for range a.Copies[i] {
			x = append(x, s.points[at-s.first]...)
			y = append(y, s.labels[at-s.first])
		}
	}
	return x, y
}

// retrain minimises the loss on clean and poisoned data, n of them clean. The average of the subgradients of all steps is a dual
// point: for weights a_i in [0, 1], min over the ball of Σ hinge ≥ Σ a_i − ρ‖Σ a_i·y_i·x_i‖.
func (a *Attack) retrain(ctx context.Context, h *hinge, n int, o Options) error {
	r := newAveraging(h.d+1, o)
	g, mean := make([]float64, h.d+1), make([]float64, h.d+1)
	a.Total = math.Inf(1)
	scale, sum := 1/float64(n), 0.0
	for t := range o.Iterations {
		loss, _, err := h.eval(ctx, r.theta, g)
		if err != nil {
			return err
		}
		if loss*scale < a.Total {
			a.Total, a.Theta = loss*scale, slices.Clone(r.theta)
		}
		inner := 0.0 // Σ a_i = loss − gᵀθ
		for j := range g {
			g[j] *= scale
			inner += g[j] * r.theta[j]
			if t >= o.Iterations/2 {
				mean[j] += g[j]
			}
		}
		if t >= o.Iterations/2 {
			sum += loss*scale - inner
		}
		r.step(g)
	}
	late := float64(o.Iterations - o.Iterations/2)
	a.Least = max(0, sum/late-math.Sqrt(o.NormSquared)*norm(mean)/late)
	var err error
	clean := &hinge{d: h.d, x: h.x[:n*h.d], y: h.y[:n], workers: h.workers}
	a.Clean, _, err = clean.eval(ctx, a.Theta, nil)
	a.Clean /= float64(n)
	return err
}

// Evaluate returns the mean hinge loss and the share of errors of θ on a data set, in the arithmetic of the search.
func Evaluate(ctx context.Context, b *Binary, theta []float64) (loss, errorRate float64, err error) {
	if len(theta) != b.D+1 {
		return 0, 0, errors.New("poison: θ does not belong to these data")
	}
	l, e, err := newHinge(b, runtime.GOMAXPROCS(0)).eval(ctx, theta, nil)
	return l / float64(b.Len()), float64(e) / float64(b.Len()), err
}
