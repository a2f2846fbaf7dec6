package sdp

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/kernel"
)

// DeepOptions steer the search for a dual point. The zero value is the default.
type DeepOptions struct {
	Steps int     // of the ascent; 0: 400
	Rank  int     // of the factored primal, rounded up to a multiple of 8; 0: 16
	Rate  float64 // 0: 0.03
	Seed  uint64
	// Enough, if set, ends the search once a bound above it is proved. A bound that is not above it is then of less effort: what is
	// left unproved falls back to linear relaxation.
	Enough *float64
	// From, if set, is where the ascent starts: DeepWorker.Point after a bound of the same objective on a larger box, or with fewer
	// neurons decided, of the same reduced network.
	From *DeepPoint
}

// A DeepPoint is a dual point of a Deep.
type DeepPoint struct{ m multipliers }

// Point returns a copy of the dual point that the last Bound ended at.
func (w *DeepWorker) Point() *DeepPoint { return &DeepPoint{w.m.clone()} }

func (o DeepOptions) filled() DeepOptions {
	if o.Steps <= 0 {
		o.Steps = 400
	}
	if o.Rank <= 0 {
		o.Rank = 16
	}
	o.Rank = (o.Rank + rankMultiple - 1) / rankMultiple * rankMultiple
	if o.Rate <= 0 {
		o.Rate = 0.03
	}
	return o
}

// A DeepWorker searches for bounds; it keeps its scratch memory between calls. The zero value is ready. It serves one goroutine at a
// time.
type DeepWorker struct {
	d      *Deep
	obj    *deepRow
	rank   int
	m      multipliers
	scale  []float64 // of a neuron's multipliers
	v      []float32 // rows of the primal, (p+n)×rank; the constant's is (1, 0, …)
	z, acc []float32 // n×rank, (p+n)×rank
	t      []float32
	kappa  []float64
	moved  []float64
	gl     [3][]float64 // gradients
	am, av [3][]float64 // Adam
	proof  deepProver
	Sweeps int // done so far, a measure of effort
}

// Bound returns a rigorous lower bound on objective obj over the box, and one no less than what linear relaxation gives: the ascent of
// Dathathri et al., "Enabling certification of verification-agnostic networks via memory-efficient semidefinite programming" (2020), with
// three differences. It starts from the multipliers of a CROWN pass. The inner maximum is not an eigenvalue but the factored relaxation,
// a sweep a step (mixing.go), whose moments are the gradient. And the value is proved by a factorisation. If ctx ends the search the
// best bound so far is returned, with its error.
func (w *DeepWorker) Bound(ctx context.Context, d *Deep, obj int, o DeepOptions) (float64, error) {
	o = o.filled()
	w.reset(d, obj, o)
	best := w.linear()
	if o.Enough != nil && best > *o.Enough {
		return best, ctx.Err()
	}
	if o.From != nil && len(o.From.m.lambda) == d.n {
		w.m = o.From.m.clone()
	}
	look := 25
	for step := range o.Steps {
		if ctx.Err() != nil {
			return best, ctx.Err()
		}
		w.sweep()
		w.adam(step, o.Rate*min(1, 2.2*(1-float64(step)/float64(o.Steps))))
		if o.Enough != nil && step == look {
			look += look / 2
			if w.estimate() > *o.Enough {
				if best = max(best, w.reach(10, *o.Enough)); best > *o.Enough {
					return best, nil
				}
			}
		}
	}
	if o.Enough != nil {
		return max(best, w.reach(60, *o.Enough)), ctx.Err()
	}
	return max(best, w.settle(60)), ctx.Err()
}

func (m *multipliers) clone() multipliers {
	c := func(x []float64) []float64 { return append([]float64(nil), x...) }
	return multipliers{c(m.lambda), c(m.mu), c(m.tau)}
}

// reset takes over the multipliers of a CROWN pass: an upper line where the neuron's coefficient in −objective is positive, a lower one
// where it is negative.
func (w *DeepWorker) reset(d *Deep, obj int, o DeepOptions) {
	w.d, w.obj, w.rank = d, &d.objs[obj], o.Rank
	n, size := d.n, d.p+d.n
	w.m = multipliers{zeroed(w.m.lambda, n), zeroed(w.m.mu, n), zeroed(w.m.tau, n)}
	w.scale = grow(w.scale, n)
	c := make([]float64, size)
	for i, v := range w.obj.w {
		c[i] = -v
	}
	mean := 0.0
	for k := len(d.levels) - 1; k >= 0; k-- {
		l := &d.levels[k]
		for j := l.n - 1; j >= 0; j-- {
			q := l.first + j
			x := 0.0 // coefficient on h itself
			if r := d.r[d.p+q]; r > 0 {
				x = c[d.p+q] / r
			}
			w.scale[q] = math.Abs(x)
			mean += math.Abs(x) / float64(n)
			theta := 0.0
			if x > 0 {
				w.m.tau[q], theta = x, x*d.s[q]
			} else if d.alpha[q] > 0 {
				w.m.mu[q], theta = -x, x
			}
			kernel.Axpy(c[:l.cols], l.w[j*l.cols:(j+1)*l.cols], theta)
		}
	}
	for q := range w.scale {
		w.scale[q] += 0.1*mean + 0x1p-100
	}
	for i := range w.gl {
		w.gl[i], w.am[i], w.av[i] = grow(w.gl[i], n), zeroed(w.am[i], n), zeroed(w.av[i], n)
	}
	w.v, w.acc = make([]float32, size*o.Rank), make([]float32, size*o.Rank)
	w.z, w.t = make([]float32, n*o.Rank), make([]float32, n*o.Rank)
	w.kappa, w.moved = grow(w.kappa, 1+size), grow(w.moved, 1+size)
	randomRows(w.v, o.Rank, rand.New(rand.NewPCG(o.Seed, uint64(obj))))
	w.Sweeps = 0
}

func zeroed(x []float64, n int) []float64 {
	x = grow(x, n)
	clear(x)
	return x
}

// linear proves the bound of the starting point, where H = 0 and κ = (‖g‖₁, |g|) is singular: it needs no factorisation.
func (w *DeepWorker) linear() float64 {
	w.d.form(w.obj, &w.m, &w.proof.f)
	f := &w.proof.f
	sum, mag := 0.0, 0.0
	for i, g := range f.g {
		sum += math.Abs(g)
		mag += f.gMag[i]
	}
	v := up(up(f.c0+sum) + f.c0Err)
	v = -up(v + up((mag*gamma(w.d.n+8)+sum*gamma(len(f.g)))*loose))
	if math.IsNaN(v) {
		return math.Inf(-1)
	}
	return v
}

// sweep improves the primal: inputs, then level by level, each the exact maximiser given the others; then it sets the gradients, which
// are the moments of the constraints.
func (w *DeepWorker) sweep() {
	d, R := w.d, w.rank
	w.Sweeps++
	for q := range d.n {
		i := d.p + q
		t, v := w.t[q*R:(q+1)*R], w.v[i*R:(i+1)*R]
		f := float32(w.m.lambda[q] * d.r[i])
		for j, x := range v {
			t[j] = f * x
		}
		t[0] += float32(w.m.lambda[q]*d.a[i] + w.m.tau[q]*d.s[q] - w.m.mu[q])
	}
	clear(w.acc)
	for k := range d.levels {
		l := &d.levels[k]
		l.bwd.Mul(w.acc[:l.cols*R], R, w.t[l.first*R:(l.first+l.n)*R], R)
	}
	for i := range d.p {
		row := w.acc[i*R : (i+1)*R]
		row[0] -= float32(w.obj.w[i])
		w.kappa[1+i] = unitRow(w.v[i*R:(i+1)*R], row)
	}
	for k := range d.levels {
		l := &d.levels[k]
		z := w.z[l.first*R : (l.first+l.n)*R]
		clear(z)
		l.fwd.Mul(z, R, w.v[:l.cols*R], R)
		for q := l.first; q < l.first+l.n; q++ {
			w.neuron(q)
		}
	}
}

// neuron updates the row of neuron q, whose z is known but for its constant, and its gradients.
func (w *DeepWorker) neuron(q int) {
	d, R := w.d, w.rank
	i := d.p + q
	a, r, l := d.a[i], d.r[i], w.m.lambda[q]
	z, v, c := w.z[q*R:(q+1)*R], w.v[i*R:(i+1)*R], w.acc[i*R:(i+1)*R]
	z[0] += float32(d.ctr[q])
	f := float32(l * r)
	for j, x := range z {
		c[j] += f * x
	}
	c[0] += float32(r*(w.m.mu[q]-w.m.tau[q]-2*l*a) - w.obj.w[i])
	diag := -2 * l * r * r
	size := math.Sqrt(float64(kernel.Dot(c, c)))
	if diag < 0 && size <= -diag {
		f := float32(-1 / diag)
		for j, x := range c {
			v[j] = x * f
		}
	} else {
		unitRow(v, c)
	}
	w.kappa[1+i] = max(0, size+diag)
	z0, v0 := float64(z[0]), float64(v[0])
	h := a + r*v0
	w.gl[0][q] = a*z0 + r*float64(kernel.Dot(z, v)) - a*a - 2*a*r*v0 - r*r*float64(kernel.Dot(v, v))
	w.gl[1][q] = h - z0
	w.gl[2][q] = d.s[q]*z0 + d.t[q] - h
}

// adam moves the multipliers against their gradients, in the units of each neuron.
func (w *DeepWorker) adam(step int, rate float64) {
	const b1, b2 = 0.9, 0.99
	f1, f2 := 1-math.Pow(b1, float64(step+1)), 1-math.Pow(b2, float64(step+1))
	for i, x := range [][]float64{w.m.lambda, w.m.mu, w.m.tau} {
		g, m, v := w.gl[i], w.am[i], w.av[i]
		for q := range x {
			m[q] = b1*m[q] + (1-b1)*g[q]
			v[q] = b2*v[q] + (1-b2)*g[q]*g[q]
			unit := w.scale[q]
			if i == 0 {
				unit /= max(w.d.top[q], 0x1p-40)
			}
			x[q] -= rate * unit * (m[q] / f1) / (math.Sqrt(v[q]/f2) + 1e-12)
			if i > 0 {
				x[q] = max(x[q], 0)
			}
		}
	}
}

// estimate returns what the bound would be if the primal were optimal.
func (w *DeepWorker) estimate() float64 {
	w.d.form(w.obj, &w.m, &w.proof.f)
	w.constant()
	sum := 0.0
	for _, k := range w.kappa {
		sum += k
	}
	return -(w.proof.f.c0 + sum/2)
}

// constant sets κ_0.
func (w *DeepWorker) constant() {
	w.kappa[0] = 0
	for i, g := range w.proof.f.g {
		w.kappa[0] += g * float64(w.v[i*w.rank])
	}
	w.kappa[0] = max(w.kappa[0], 0)
}

// settle sweeps with the multipliers fixed and proves the bound that results; −Inf where it cannot.
func (w *DeepWorker) settle(sweeps int) float64 {
	w.still(sweeps)
	mean := 0x1p-300
	for _, k := range w.kappa {
		mean += k / float64(len(w.kappa))
	}
	best := math.Inf(-1)
	repair(1e-6*mean, 4, func(delta float64) bool {
		v := w.prove(delta)
		best = max(best, v)
		return !math.IsInf(v, -1)
	})
	return best
}

// reach is settle where a bound above enough is all that is wanted: what the estimate leaves over is spent on one proof.
func (w *DeepWorker) reach(sweeps int, enough float64) float64 {
	room := w.still(sweeps) - enough
	if room <= 0 {
		return math.Inf(-1)
	}
	return w.prove(1.9 * room / float64(len(w.kappa)))
}

// still sweeps with the multipliers fixed and returns the estimate.
func (w *DeepWorker) still(sweeps int) float64 {
	for range sweeps {
		w.sweep()
	}
	return w.estimate()
}

// prove returns the bound of κ + δ, −Inf where there is no proof.
func (w *DeepWorker) prove(delta float64) float64 {
	for i, k := range w.kappa {
		w.moved[i] = k + delta
	}
	if v, ok := w.proof.value(w.d, w.moved); ok {
		return -v
	}
	return math.Inf(-1)
}
