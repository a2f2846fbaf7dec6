package train

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// An Optimiser says how parameters follow their gradients: an Adam or an SGD.
type Optimiser interface {
	check() error
	defaultLR() float64
}

// Adam is the optimiser of Kingma and Ba (2015). A decay rate or an Epsilon of 0 stands for 0.9, 0.999 and 1e-8.
type Adam struct{ Beta1, Beta2, Epsilon float64 }

// SGD is stochastic gradient descent with heavy-ball momentum: v ← Momentum·v + g, w ← w − rate·v.
type SGD struct{ Momentum float64 }

func (a Adam) check() error {
	if !(a.Beta1 >= 0 && a.Beta1 < 1 && a.Beta2 >= 0 && a.Beta2 < 1 && a.Epsilon >= 0 && a.Epsilon < 1) {
		return fmt.Errorf("train: %T%+v: rates and epsilon must lie in [0, 1)", a, a)
	}
	return nil
}

func (s SGD) check() error {
	if !(s.Momentum >= 0 && s.Momentum < 1) {
		return fmt.Errorf("train: %T%+v: momentum must lie in [0, 1)", s, s)
	}
	return nil
}

func (Adam) defaultLR() float64 { return 1e-3 }
func (SGD) defaultLR() float64  { return 0.1 }

// stepper is the state of an optimiser: Begin opens a step, Update moves the parameters w from an index on by gradients g.
// keep is what is left of a parameter after weight decay, which is decoupled from the gradient (Loshchilov and Hutter 2019).
type stepper[T kernel.Float] interface {
	Begin(rate float64)
	Update(from int, w, g []T, keep T)
	// State returns the moments, SetState replaces them after so many steps and reports whether they fit.
	State() []T
	SetState(s []T, step int) bool
}

func newStepper[T kernel.Float](o Optimiser, params int) stepper[T] {
	switch o := o.(type) {
	case SGD:
		return &sgd[T]{momentum: T(o.Momentum), v: make([]T, params)}
	case Adam:
		a := &adam[T]{beta1: orDefault(o.Beta1, 0.9), beta2: orDefault(o.Beta2, 0.999), epsilon: T(orDefault(o.Epsilon, 1e-8))}
		a.all = make([]T, 2*params)
		a.m, a.v = a.all[:params], a.all[params:]
		return a
	}
	return nil
}

// orDefault returns d for 0.
func orDefault(x, d float64) float64 {
	if x == 0 {
		return d
	}
	return x
}

type sgd[T kernel.Float] struct {
	momentum, rate T
	v              []T
}

func (s *sgd[T]) Begin(rate float64) { s.rate = T(rate) }

func (s *sgd[T]) Update(from int, w, g []T, keep T) {
	v := s.v[from:][:len(w)]
	g = g[:len(w)]
	for i := range w {
		v[i] = s.momentum*v[i] + g[i]
		w[i] = keep*w[i] - s.rate*v[i]
	}
}

type adam[T kernel.Float] struct {
	beta1, beta2  float64
	step          int
	rate, correct T
	epsilon       T
	m, v, all     []T // m and v are the halves of all
}

func (a *adam[T]) Begin(rate float64) {
	a.step++
	bias := func(beta float64) float64 { return 1 - math.Pow(beta, float64(a.step)) } // of a moment that started at 0
	a.rate, a.correct = T(rate/bias(a.beta1)), T(1/bias(a.beta2))
}

func (a *adam[T]) Update(from int, w, g []T, keep T) {
	m, v := a.m[from:][:len(w)], a.v[from:][:len(w)]
	g = g[:len(w)]
	b1, b2, c1, c2 := T(a.beta1), T(a.beta2), T(1-a.beta1), T(1-a.beta2)
	for i := range w {
		m[i] = b1*m[i] + c1*g[i]
		v[i] = b2*v[i] + c2*g[i]*g[i]
		root := T(math.Sqrt(float64(v[i] * a.correct)))
		w[i] = keep*w[i] - a.rate*m[i]/(root+a.epsilon)
	}
}

func (s *sgd[T]) State() []T { return s.v }

func (s *sgd[T]) SetState(v []T, _ int) bool { return len(v) == copy(s.v, v) && len(v) == len(s.v) }

func (a *adam[T]) State() []T { return a.all }

func (a *adam[T]) SetState(all []T, step int) bool {
	a.step = step
	return len(all) == copy(a.all, all) && len(all) == len(a.all)
}
