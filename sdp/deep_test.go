package sdp

import (
	"context"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/relax"
)

func netOf(t testing.TB, g *nn.Graph) *relax.Net {
	t.Helper()
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	return relax.NewNet(p)
}

// randomBox draws a box, some inputs of it fixed.
func randomBox(r *rand.Rand, d int) (lo, hi []float64) {
	lo, hi = dyadic(r, d), make([]float64, d)
	for i, v := range lo {
		if hi[i] = v; r.IntN(8) > 0 {
			hi[i] = v + r.Float64()*2
		}
	}
	return lo, hi
}

// TestDeepMargins: no point of the box has a smaller lead than the margin, which is no smaller than what linear relaxation says and,
// over all cases, far greater.
func TestDeepMargins(t *testing.T) {
	gain, gap := 0.0, 0.0
	for n := range cases(400) {
		r := rand.New(rand.NewPCG(uint64(n), 14))
		widths := []int{1 + r.IntN(6)}
		for range 1 + r.IntN(3) {
			widths = append(widths, 1+r.IntN(7))
		}
		widths = append(widths, 2+r.IntN(2))
		ls := randomLayers(r, widths...)
		net := netOf(t, mlp(t, ls...))
		lo, hi := randomBox(r, widths[0])
		classes := widths[len(widths)-1]
		label := r.IntN(classes)
		linear := make([]float64, classes)
		if _, err := reduceBox(t.Context(), net, lo, hi, label, linear); err != nil {
			t.Fatal(err)
		}
		margins, err := DeepMargins(t.Context(), net, lo, hi, label, DeepOptions{Steps: 150, Seed: uint64(n)})
		if err != nil {
			t.Fatal(err)
		}
		for j := range classes {
			if j == label {
				continue
			}
			spec := make([]float64, classes)
			spec[label], spec[j] = 1, -1
			v := lowest(r, ls, spec, lo, hi)
			if v < margins[j] || margins[j] < linear[j] {
				t.Errorf("case %d: lead %v over class %d, margin %v, linear %v", n, v, j, margins[j], linear[j])
			}
			if linear[j] < 0 {
				gain += margins[j] - linear[j]
				gap += v - linear[j]
			}
		}
	}
	if gain < 0.6*gap {
		t.Errorf("the relaxation closes %.3f of the gap", gain/gap)
	}
	t.Logf("the relaxation closes %.3f of the gap", gain/gap)
}

// TestDeepParts: bounds of a part of the box, and of a part where neurons are decided, hold there.
func TestDeepParts(t *testing.T) {
	decided := 0
	for n := range cases(300) {
		r := rand.New(rand.NewPCG(uint64(n), 15))
		d := 1 + r.IntN(4)
		ls := randomLayers(r, d, 2+r.IntN(4), 2+r.IntN(3), 2)
		net := netOf(t, mlp(t, ls...))
		lo, hi := randomBox(r, d)
		for i := range lo {
			hi[i] = max(hi[i], lo[i]+0.25)
		}
		box := relax.Box{Lo: lo, Hi: hi}
		b := net.NewBounds()
		net.IBP(box, b)
		f := net.NewFrame(box, b, net.NewScale(b))
		dims := make([]int, d)
		for i := range dims {
			dims[i] = i
		}
		out := net.P.Output
		red, L, U := f.Reduce(dims, []relax.Objective{{Terms: []relax.ObjectiveTerm{{Node: out, Elem: 0, Coef: 1}, {Node: out, Elem: 1, Coef: -1}}}})
		if red == nil {
			t.Fatal("not reduced")
		}
		rootL, rootU := slices.Clone(L), slices.Clone(U)
		at := r.IntN(d)
		lo2, hi2 := append([]float64(nil), lo...), append([]float64(nil), hi...)
		lo2[at] = lo[at] + r.Float64()*(hi[at]-lo[at])
		var cell relax.Cell
		cell.Enter(red, lo2, hi2, L, U)
		if !cell.Neurons() {
			t.Fatal("contradiction")
		}
		L, U = cell.Bounds()
		for q := range L {
			if L[q] >= 0 || U[q] <= 0 {
				decided++
			}
		}
		// decide a neuron of the first level: its rows read inputs only
		side, first := 0, red.Level(0)
		if len(red.Levels()) > 0 && len(first) > 0 && L[0] < 0 && U[0] > 0 {
			if side = 1 - 2*r.IntN(2); side > 0 {
				L[0] = 0
			} else {
				U[0] = 0
			}
		}
		deep, err := NewDeep(red, lo2, hi2, L, U)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := NewDeep(red, lo, hi, rootL, rootU)
		if err != nil {
			t.Fatal(err)
		}
		var w DeepWorker
		o := DeepOptions{Steps: 60}
		if _, err := w.Bound(t.Context(), whole, 0, o); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			o.From = w.Point()
		}
		bound, err := w.Bound(t.Context(), deep, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float64, d)
		for k := range 200 {
			for i := range x {
				x[i] = lo2[i] + r.Float64()*(hi2[i]-lo2[i])
				if k < 32 {
					if x[i] = lo2[i]; k>>i&1 == 1 {
						x[i] = hi2[i]
					}
				}
			}
			if side != 0 {
				z := 0.0
				for c, i := range first[0].Idx {
					if i == 0 {
						z += first[0].Val[c]
					} else {
						z += first[0].Val[c] * x[i-1]
					}
				}
				if z*float64(side) < 1e-9 {
					continue
				}
			}
			if y := eval(ls, x); y[0]-y[1] < bound-1e-9 {
				t.Fatalf("case %d: %v, bound %v", n, y[0]-y[1], bound)
			}
		}
	}
	if decided == 0 {
		t.Error("no neuron was decided")
	}
}

// TestDeepTight: max(x,−x)-like networks on which the relaxation is known: |x| ≤ 1 from two ReLUs with opposite weights.
func TestDeepTight(t *testing.T) {
	ls := []layer{{1, 2, []float64{1, -1}, []float64{0, 0}}, {2, 2, []float64{0, 0, 1, 1}, []float64{1, 0}}} // lead 1 − |x|
	net := netOf(t, mlp(t, ls...))
	m, err := DeepMargins(t.Context(), net, []float64{-0.5}, []float64{0.5}, 0, DeepOptions{})
	if err != nil || m[1] < 0.5-1e-6 || m[1] > 0.5 {
		t.Errorf("%v %v", m, err)
	}
}

// TestDeepStops: an ended context is reported with bounds that hold; hostile boxes are errors.
func TestDeepStops(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 16))
	ls := randomLayers(r, 4, 8, 8, 2)
	net := netOf(t, mlp(t, ls...))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lo, hi := []float64{-1, -1, -1, -1}, []float64{1, 1, 1, 1}
	m, err := DeepMargins(ctx, net, lo, hi, 0, DeepOptions{})
	if !errors.Is(err, context.Canceled) || math.IsNaN(m[1]) {
		t.Errorf("%v %v", m, err)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), -2} {
		if _, err := DeepMargins(t.Context(), net, lo, []float64{bad, 1, 1, 1}, 0, DeepOptions{}); !errors.Is(err, ErrShape) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// randomDeep draws the numbers of a relaxation with levels of the given sizes, none of them short.
func randomDeep(r *rand.Rand, p int, levels ...int) *Deep {
	d := &Deep{p: p}
	for _, n := range levels {
		l := deepLevel{first: d.n, n: n, cols: p + d.n, w: normal(r, n*(p+d.n))}
		l.pack()
		d.levels = append(d.levels, l)
		d.n += n
	}
	d.a, d.r, d.ctr, d.err = normal(r, p+d.n), normal(r, p+d.n), normal(r, d.n), make([]float64, d.n)
	for i := range d.err {
		d.err[i] = r.Float64()
	}
	for i := range d.r {
		d.r[i] = math.Abs(d.r[i])
	}
	d.s, d.t, d.top, d.alpha = make([]float64, d.n), make([]float64, d.n), make([]float64, d.n), make([]float64, d.n)
	for q := range d.n {
		d.neuron(q, -r.Float64(), r.Float64())
	}
	d.objs = []deepRow{{ctr: r.NormFloat64(), err: r.Float64(), w: normal(r, p+d.n)}}
	return d
}

// TestDeepForm: the Lagrangian at rational points is what the matrix says, up to what the entries are charged with, and the charge
// for rows covers the entries, all in rationals. The entries of the matrix are read from what the proof would factor.
func TestDeepForm(t *testing.T) {
	for n := range cases(200) {
		r := rand.New(rand.NewPCG(uint64(n), 20))
		d := randomDeep(r, 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(3))
		m := multipliers{normal(r, d.n), normal(r, d.n), normal(r, d.n)}
		for q := range d.n {
			m.mu[q], m.tau[q] = math.Abs(m.mu[q]), math.Abs(m.tau[q])
		}
		if n%3 == 0 {
			clear(d.err)
			d.objs[0].err = 0
		}
		if n%4 == 0 { // the products λ·h·z alone
			clear(m.mu)
			clear(m.tau)
			clear(d.a)
			clear(d.ctr)
			clear(d.objs[0].w)
		}
		var w deepProver
		d.form(&d.objs[0], &m, &w.f)
		kappa := normal(r, 1+d.p+d.n)
		for i := range kappa {
			kappa[i] = 1e3 + math.Abs(kappa[i])
		}
		if !w.prove(d, kappa) {
			t.Fatal("not proved: the matrix is diagonally dominant")
		}
		size := 1 + d.p + d.n
		stored, slack := storedMatrix(d, &w)
		truth := trueMatrix(d, &d.objs[0], &m, kappa)
		for i := range size {
			sum := new(big.Rat)
			for j := range size {
				e := new(big.Rat).Sub(exact.Rat(stored[i*size+j]), truth[i*size+j])
				sum.Add(sum, e.Abs(e))
			}
			if sum.Cmp(exact.Rat(slack[i])) > 0 {
				v, _ := sum.Float64()
				t.Errorf("case %d: row %d is off by %v, charged %v", n, i, v, slack[i])
			}
		}
		c := trueConstant(d, &d.objs[0], &m)
		e := c.Sub(c, exact.Rat(w.f.c0))
		e.Abs(e).Add(e, exact.Rat(d.objs[0].err))
		for q, v := range d.err {
			price := new(big.Rat).Mul(exact.Rat(math.Abs(m.lambda[q])), exact.Rat(d.top[q]))
			price.Add(price, exact.Rat(m.mu[q])).Add(price, new(big.Rat).Mul(exact.Rat(m.tau[q]), exact.Rat(d.s[q])))
			e.Add(e, price.Mul(price, exact.Rat(v)))
		}
		if e.Cmp(exact.Rat(w.f.c0Err)) > 0 {
			t.Errorf("case %d: the constant is off by %v, charged %v", n, e, w.f.c0Err)
		}
	}
}

// storedMatrix returns the matrix that was factored, constant, inputs, neurons, and its slacks.
func storedMatrix(d *Deep, w *deepProver) (a, slack []float64) {
	size, n := 1+d.p+d.n, 1+d.n
	a, slack = make([]float64, size*size), make([]float64, size)
	at := func(i int) int { // of the first block
		if i == 0 {
			return 0
		}
		return d.p + i
	}
	for i := range n {
		slack[at(i)] = w.sr[i]
		for j := range i + 1 {
			a[at(i)*size+at(j)], a[at(j)*size+at(i)] = w.r[i*n+j], w.r[i*n+j]
		}
		for j := range d.p {
			a[at(i)*size+1+j], a[(1+j)*size+at(i)] = w.b[i*d.p+j], w.b[i*d.p+j]
		}
	}
	for j := range d.p {
		slack[1+j], a[(1+j)*size+1+j] = w.st[j], w.t[j]
	}
	return a, slack
}

// trueMatrix returns diag(κ) − [[0, gᵀ], [g, H]] in rationals, from the products of affine functions that the Lagrangian is made of.
func trueMatrix(d *Deep, o *deepRow, m *multipliers, kappa []float64) []*big.Rat {
	size := 1 + d.p + d.n
	a := exact.Zeros(size * size)
	for i, k := range kappa {
		a[i*size+i].Set(exact.Rat(k))
	}
	minus := func(i, j int, v *big.Rat) { a[i*size+j] = new(big.Rat).Sub(a[i*size+j], v) }
	lagrangian(d, o, m, func(i, j int, v *big.Rat) { // ½(1,ζ)ᵀM(1,ζ) has each v once
		if i > 0 || j > 0 {
			minus(i, j, v)
			minus(j, i, v)
		}
	})
	return a
}

func trueConstant(d *Deep, o *deepRow, m *multipliers) *big.Rat {
	c := new(big.Rat)
	lagrangian(d, o, m, func(i, j int, v *big.Rat) {
		if i == 0 && j == 0 {
			c.Add(c, v)
		}
	})
	return c
}

// lagrangian calls f for the products v·ζ_i·ζ_j, ζ_0 = 1, that add up to −o + Σ λ·h(z−h) + μ(h−z) + τ(s·z+t−h).
func lagrangian(d *Deep, o *deepRow, m *multipliers, f func(i, j int, v *big.Rat)) {
	type affine map[int]*big.Rat
	times := func(x, y affine, c float64) {
		for i, a := range x {
			for j, b := range y {
				v := new(big.Rat).Mul(a, b)
				f(min(i, j), max(i, j), v.Mul(v, exact.Rat(c)))
			}
		}
	}
	one := affine{0: exact.Rat(1)}
	obj := affine{0: exact.Rat(o.ctr)}
	for i, v := range o.w {
		obj[1+i] = exact.Rat(v)
	}
	times(obj, one, -1)
	for k := range d.levels {
		l := &d.levels[k]
		for i := range l.n {
			q := l.first + i
			z, h := affine{0: exact.Rat(d.ctr[q])}, affine{0: exact.Rat(d.a[d.p+q]), 1 + d.p + q: exact.Rat(d.r[d.p+q])}
			for j, v := range l.w[i*l.cols : (i+1)*l.cols] {
				z[1+j] = exact.Rat(v)
			}
			times(h, z, m.lambda[q])
			times(h, h, -m.lambda[q])
			times(h, one, m.mu[q])
			times(z, one, -m.mu[q])
			times(affine{0: new(big.Rat).Mul(exact.Rat(d.s[q]), exact.Rat(m.tau[q]))}, z, 1)
			times(one, one, 0)
			f(0, 0, new(big.Rat).Mul(exact.Rat(d.t[q]), exact.Rat(m.tau[q])))
			times(h, one, -m.tau[q])
		}
	}
}
