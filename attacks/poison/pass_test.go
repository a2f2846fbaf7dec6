package poison

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
)

var ctx = context.Background()

func normals(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// random draws a learner's parameters and weighted examples of two shards.
func random(m *Learner, n int) (theta []float64, e *Examples) {
	r := rand.New(rand.NewPCG(3, uint64(m.Size())))
	theta = normals(r, m.Size())
	e = &Examples{X: normals(r, n*m.Inputs)}
	for range n {
		e.Labels = append(e.Labels, r.IntN(m.Classes))
		e.Weights = append(e.Weights, (0.5+r.Float64())/float64(n))
	}
	return theta, e
}

var learners = map[string]*Learner{
	"logistic": {Inputs: 5, Classes: 3, L2: 0.3},
	"hinge":    {Inputs: 5, Classes: 3, L2: 0.3, Loss: Hinge},
	"mlp":      {Inputs: 5, Classes: 3, L2: 0.3, Hidden: []int{4, 3}},
	"wide":     {Inputs: 5, Classes: 3, L2: 0.3, Hidden: []int{20}}, // by matrix products
}

func objective(t *testing.T, p *pass, theta []float64) float64 {
	t.Helper()
	v, err := p.gradient(ctx, theta)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func moved(x, v []float64, h float64) []float64 {
	y := slices.Clone(x)
	kernel.Axpy(y, v, h)
	return y
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestDerivatives compares the gradient with central differences of the objective, and the products of the R-operator with those
// of the gradient, in random directions of the parameters and the inputs.
func TestDerivatives(t *testing.T) {
	const h, tolerance = 1e-5, 1e-8
	for name, m := range learners {
		n := shardRows + 40
		theta, e := random(m, n)
		r := rand.New(rand.NewPCG(7, 7))
		for range 3 {
			v, w, u := normals(r, m.Size()), normals(r, m.Size()), normals(r, n*m.Inputs)
			p := m.pass(e, 2)
			p.mixedRows(n - 50)
			objective(t, p, theta)
			grad, dx := slices.Clone(p.grad), p.inputs(0)
			if err := p.along(ctx, v); err != nil {
				t.Fatal(err)
			}
			product, mixed := slices.Clone(p.product), slices.Clone(p.mixed)
			clear(u[:(n-50)*m.Inputs])

			up, down := objective(t, p, moved(theta, v, h)), objective(t, p, moved(theta, v, -h))
			within(t, name+": ∇·v", kernel.Dot(grad, v), (up-down)/(2*h), tolerance)
			objective(t, p, moved(theta, v, h))
			up = kernel.Dot(p.grad, w)
			dxUp := p.inputs(0)
			objective(t, p, moved(theta, v, -h))
			within(t, name+": wᵀHv", kernel.Dot(product, w), (up-kernel.Dot(p.grad, w))/(2*h), tolerance)
			within(t, name+": derivative of ∇_x", kernel.Dot(mixed, u[(n-50)*m.Inputs:]),
				(kernel.Dot(dxUp, u)-kernel.Dot(p.inputs(0), u))/(2*h), tolerance)

			q := *e
			q.X = moved(e.X, u, h)
			up = objective(t, m.pass(&q, 1), theta)
			q.X = moved(e.X, u, -h)
			within(t, name+": ∇_x·u", kernel.Dot(dx, u), (up-objective(t, m.pass(&q, 1), theta))/(2*h), tolerance)
		}
	}
}

// TestSlopes: the directional derivatives of single losses add up to that of the objective without its regularisation.
func TestSlopes(t *testing.T) {
	m := *learners["mlp"]
	m.L2 = 0
	theta, e := random(&m, 20)
	v := normals(rand.New(rand.NewPCG(1, 2)), m.Size())
	p := m.pass(e, 1)
	objective(t, p, theta)
	if err := p.along(ctx, v); err != nil {
		t.Fatal(err)
	}
	slopes, whole := p.slopes(), kernel.Dot(p.grad, v)
	sum := 0.0
	for i, s := range slopes {
		sum += s * e.Weights[i]
		one := &Examples{X: e.X[i*m.Inputs:][:m.Inputs], Labels: e.Labels[i : i+1]}
		q := m.pass(one, 1)
		objective(t, q, theta)
		within(t, "a slope", s, kernel.Dot(q.grad, v), 1e-12)
	}
	within(t, "their sum", sum, whole, 1e-12)
}

// TestKnownLosses compares with values worked out by hand.
func TestKnownLosses(t *testing.T) {
	m := &Learner{Inputs: 1, Classes: 2, L2: 2}
	theta := []float64{0, math.Log(3), 0, 0} // logits 0 and log 3 at x = 1
	e := &Examples{X: []float64{1}, Labels: []int{0}}
	within(t, "logistic", objective(t, m.pass(e, 1), theta), math.Log(4)+math.Log(3)*math.Log(3), 1e-15)
	m.Loss = Hinge
	within(t, "hinge", objective(t, m.pass(e, 1), theta), 1+math.Log(3)+math.Log(3)*math.Log(3), 1e-15)
	e.Labels[0] = 1
	within(t, "hinge, right", objective(t, m.pass(e, 1), theta), math.Log(3)*math.Log(3), 1e-15)
}

// TestFit: Newton's method ends where the gradient is 0, for one worker as for three, and gradient descent goes there too.
func TestFit(t *testing.T) {
	m := learners["logistic"]
	_, e := random(m, 300)
	theta, err := m.Fit(ctx, e, Training{Tolerance: 1e-10, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	p := m.pass(e, 1)
	objective(t, p, theta)
	if g := norm(p.grad); !(g < 1e-10) {
		t.Errorf("gradient %v", g)
	}
	again, err := m.Fit(ctx, e, Training{Tolerance: 1e-10, Workers: 1})
	if err != nil || !slices.Equal(theta, again) {
		t.Errorf("three workers find other parameters than one (%v)", err)
	}
	slow := m.Start(0)
	if err := p.descend(ctx, slow, 2000, 0.1, nil); err != nil {
		t.Fatal(err)
	}
	for i := range slow {
		within(t, "descent", slow[i], theta[i], 1e-9)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := m.Fit(cancelled, e, Training{}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

// TestConjugateGradients: in exact arithmetic there are no more steps than parameters, however different the scales; gradients
// alone need thousands.
func TestConjugateGradients(t *testing.T) {
	m := &Learner{Inputs: 5, Classes: 3, L2: 1e-3}
	theta, e := random(m, 100)
	for i := range e.X {
		e.X[i] *= float64(int(1) << (2 * (i % 5)))
	}
	clear(theta)
	p := m.pass(e, 1)
	objective(t, p, theta)
	b := normals(rand.New(rand.NewPCG(1, 1)), m.Size())
	x, err := p.conjugateGradients(ctx, b, 0.5, 1e-9, 6*m.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.along(ctx, x); err != nil {
		t.Fatal(err)
	}
	kernel.Axpy(p.product, x, 0.5)
	for i := range b {
		within(t, "(H + damping)·x", p.product[i], b[i], 1e-7)
	}
	if _, err := p.conjugateGradients(ctx, b, 0.5, 1e-9, 2); err == nil {
		t.Error("two steps: no error")
	}
}
