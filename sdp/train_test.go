package sdp

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/spai-project/certify/internal/kernel"
)

// weights returns random weights in the layout of nn/train, and the same as layers.
func weights[T kernel.Float](r *rand.Rand, d, m, k int) (w, v []T, ls []layer) {
	w, v = make([]T, d*m), make([]T, m*k)
	ls = []layer{{d, m, make([]float64, m*d), make([]float64, m)}, {m, k, make([]float64, k*m), make([]float64, k)}}
	for l := range d {
		for i := range m {
			x := float32(r.NormFloat64())
			w[l*m+i], ls[0].w[i*d+l] = T(x), float64(x)
		}
	}
	for i := range m {
		for c := range k {
			x := float32(r.NormFloat64())
			v[i*k+c], ls[1].w[c*m+i] = T(x), float64(x)
		}
	}
	return w, v, ls
}

// TestRegulariserValue: with enough sweeps the value is the sum of the certificate's bounds, never above it, in both precisions.
func TestRegulariserValue(t *testing.T) {
	testRegulariserValue[float32](t, 1e-4)
	testRegulariserValue[float64](t, 1e-5)
}

func testRegulariserValue[T kernel.Float](t *testing.T, tol float64) {
	for n := range cases(30) {
		r := rand.New(rand.NewPCG(uint64(n), 10))
		d, m, k := 1+r.IntN(9), 1+r.IntN(9), 2+r.IntN(3)
		w, v, ls := weights[T](r, d, m, k)
		c, err := TwoLayer(t.Context(), mlp(t, ls...), Options{Tolerance: 1e-12})
		if err != nil {
			t.Fatal(err)
		}
		want := 0.0
		for _, p := range c.Pairs {
			want += p.Bound
		}
		reg := NewRegulariser[T](d, m, k, RegulariserOptions{Rank: 16, Sweeps: 1000})
		ones := constants[T](len(c.Pairs), 1)
		got := reg.AddGradient(w, v, make([]T, len(w)), make([]T, len(v)), ones)
		if got > want*(1+1e-6) || got < want*(1-tol) {
			t.Errorf("case %d: value %v, bounds %v", n, got, want)
		}
		one := NewRegulariser[T](d, m, k, RegulariserOptions{Rank: 16, Sweeps: 1000, Pairs: 1})
		sum := 0.0
		gw, gv := make([]T, len(w)), make([]T, len(v))
		for range c.Pairs {
			sum += one.AddGradient(w, v, gw, gv, ones) / float64(len(c.Pairs))
		}
		for i, p := range c.Pairs {
			if v := one.Values()[i]; math.Abs(v-p.Bound) > tol*p.Bound+1e-9 {
				t.Errorf("case %d: classes %d and %d: value %v, bound %v", n, p.I, p.J, v, p.Bound)
			}
		}
		if math.Abs(sum-got) > tol*got {
			t.Errorf("case %d: %v in turn, %v at once", n, sum, got)
		}
	}
}

func constants[T kernel.Float](n int, v T) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = v
	}
	return x
}

// TestRegulariserGradient compares with central differences of the converged value.
func TestRegulariserGradient(t *testing.T) {
	for n := range cases(20) {
		r := rand.New(rand.NewPCG(uint64(n), 11))
		d, m, k := 2+r.IntN(6), 2+r.IntN(6), 2+r.IntN(3)
		w, v, _ := weights[float64](r, d, m, k)
		lambda := constants(k*(k-1)/2, 1.0)
		lambda[0] = 0.3
		value := func(w, v, gw, gv []float64) float64 {
			reg := NewRegulariser[float64](d, m, k, RegulariserOptions{Rank: 16, Sweeps: 1500})
			return reg.AddGradient(w, v, gw, gv, lambda)
		}
		gw, gv := make([]float64, len(w)), make([]float64, len(v))
		value(w, v, gw, gv)
		scratchW, scratchV := make([]float64, len(w)), make([]float64, len(v))
		for range 4 {
			const h = 1e-4
			dw, dv := normal(r, len(w)), normal(r, len(v))
			up, down := value(moved(w, dw, h), moved(v, dv, h), scratchW, scratchV), value(moved(w, dw, -h), moved(v, dv, -h), scratchW, scratchV)
			want, got := (up-down)/(2*h), kernel.Dot(gw, dw)+kernel.Dot(gv, dv)
			if math.Abs(want-got) > 1e-3*(math.Abs(want)+1) {
				t.Errorf("case %d: derivative %v, differences %v", n, got, want)
			}
		}
	}
}

func normal(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

func moved(x, dir []float64, h float64) []float64 {
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] + h*dir[i]
	}
	return y
}

// TestRegulariserAllocates: a step allocates nothing.
func TestRegulariserAllocates(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 12))
	w, v, _ := weights[float32](r, 20, 30, 4)
	reg := NewRegulariser[float32](20, 30, 4, RegulariserOptions{})
	gw, gv := make([]float32, len(w)), make([]float32, len(v))
	ones := constants[float32](6, 1)
	reg.AddGradient(w, v, gw, gv, ones)
	if n := testing.AllocsPerRun(5, func() { reg.AddGradient(w, v, gw, gv, ones) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDualObjective: the value is that of a full eigenvalue decomposition, no less than four times the certificate's bound, and the
// subgradient agrees with central differences.
func TestDualObjective(t *testing.T) {
	for n := range cases(40) {
		r := rand.New(rand.NewPCG(uint64(n), 13))
		d, m := 1+r.IntN(6), 1+r.IntN(6)
		w, v2, ls := weights[float64](r, d, m, 2)
		v := make([]float64, m)
		for k := range v {
			v[k] = v2[k*2+1] - v2[k*2]
		}
		size := 1 + m + d
		c := normal(r, size)
		for i := range c {
			c[i] = c[i]*2 + 1
		}
		o := DualObjective{D: d, M: m}
		gw, gv, gc := make([]float64, len(w)), make([]float64, m), make([]float64, size)
		got := o.AddGradient(w, v, c, gw, gv, gc, 1)
		dense := mat.NewSymDense(size, nil)
		for i, x := range c {
			dense.SetSym(i, i, -x)
		}
		for l := range d {
			sum := 0.0
			for k := range m {
				dense.SetSym(1+k, 1+m+l, v[k]*w[l*m+k])
				sum += v[k] * w[l*m+k]
			}
			dense.SetSym(0, 1+m+l, sum)
		}
		var e mat.EigenSym
		if !e.Factorize(dense, false) {
			t.Fatal("no eigenvalues")
		}
		want := float64(size) * max(e.Values(nil)[size-1], 0)
		for _, x := range c {
			want += max(x, 0)
		}
		if math.Abs(got-want) > 1e-9*(1+want) {
			t.Errorf("case %d: %v, want %v", n, got, want)
		}
		cert, err := TwoLayer(t.Context(), mlp(t, ls...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got < 4*cert.Pairs[0].Bound*(1-1e-4) {
			t.Errorf("case %d: %v below the optimum %v", n, got, 4*cert.Pairs[0].Bound)
		}
		dw, dv, dc := normal(r, len(w)), normal(r, m), normal(r, size)
		at := func(h float64) float64 {
			o := DualObjective{D: d, M: m}
			return o.AddGradient(moved(w, dw, h), moved(v, dv, h), moved(c, dc, h), make([]float64, len(w)), make([]float64, m),
				make([]float64, size), 1)
		}
		const h = 1e-6
		diff, dot := (at(h)-at(-h))/(2*h), kernel.Dot(gw, dw)+kernel.Dot(gv, dv)+kernel.Dot(gc, dc)
		if math.Abs(diff-dot) > 1e-4*(1+math.Abs(diff)) {
			t.Errorf("case %d: derivative %v, differences %v", n, dot, diff)
		}
	}
}
