package poison

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// TestWorst: the item that is found passes the filter, no item that passes and was drawn is worse, and duality confirms it.
func TestWorst(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 400 {
		d := 1 + r.IntN(5)
		b := blobs(r, 20+r.IntN(20), d, true)
		f := drawFilter(t, r, b).widened(b, 0.1)
		theta := make([]float64, d+1)
		for j := range theta {
			theta[j] = r.NormFloat64()
		}
		w, x := newWorst(f), make([]float64, d)
		k, margin := w.find(theta, x)
		if !f.passes(x, k, 1e-6) {
			t.Fatalf("%+v: the worst item %v of class %d does not pass", f, x, k)
		}
		loss := 0.0
		for c := range 2 {
			l, err := worstUp(f, theta, c, w.mult[c])
			if err != nil {
				t.Fatal(err)
			}
			loss = max(loss, l)
		}
		found := max(0, 1-margin)
		if loss < found*(1-1e-9) || loss > found+1e-4*(1+found) {
			t.Fatalf("%+v: the worst loss is %v, duality gives %v", f, found, loss)
		}
		for range 50 {
			c, v := draw(r, f)
			if v == nil {
				continue
			}
			m := theta[d]
			for j := range v {
				m += theta[j] * v[j]
			}
			if l := 1 - float64(2*c-1)*m; l > loss+1e-9 {
				t.Fatalf("%+v: the item %v of class %d has loss %v, above %v", f, v, c, l, loss)
			}
		}
	}
}

// drawPoison returns items that pass a filter, with centroids that move if it says so: then all of one class, and in one place.
func drawPoison(r *rand.Rand, b *Binary, f *Filter, n int) (x []float32, y []int8) {
	wide := f.widened(b, float64(n)/float64(b.Len()))
	var k int
	var v []float64
	for range n {
		if v == nil || !f.Moving {
			k, v = draw(r, wide)
		}
		for _, v := range v {
			x = append(x, float32(v))
		}
		if v != nil {
			y = append(y, int8(2*k-1))
		}
	}
	return x, y
}

// TestWidened moves the centroid: one place just inside the widened radius passes the filter of the poisoned data, just outside
// it does not, and no scattered items that pass are outside.
func TestWidened(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	scattered := 0
	for range 500 {
		d := 1 + r.IntN(3)
		b := blobs(r, 10+r.IntN(20), d, false)
		f := &Filter{SpherePercent: 80, Moving: true, Low: math.Inf(-1), High: math.Inf(1)}
		if err := f.Fit(b); err != nil {
			t.Fatal(err)
		}
		m, k := 1+r.IntN(8), r.IntN(2)
		wide := f.widened(b, float64(m)/float64(b.Len()))
		direction := make([]float64, d)
		for j := range direction {
			direction[j] = r.NormFloat64()
		}
		at := func(scale float64) []float64 {
			x := make([]float64, d)
			for j := range x {
				x[j] = f.Centroid[k][j] + scale*wide.Radius[k]*direction[j]/norm(direction)
			}
			return x
		}
		for scale, want := range map[float64]bool{0.999: true, 1.001: false} {
			items := make([][]float64, m)
			for i := range items {
				items[i] = at(scale)
			}
			if got := passTogether(b, f, k, items); got != want {
				t.Fatalf("%d items at %v of the radius pass: %v", m, scale, got)
			}
		}
		items := make([][]float64, m)
		for i := range items {
			items[i] = at(1.5 * r.Float64())
			for j := range items[i] {
				items[i][j] += 0.3 * r.NormFloat64()
			}
		}
		if passTogether(b, f, k, items) {
			scattered++
			for _, x := range items {
				if !wide.passes(x, k, 1e-12) {
					t.Fatalf("an item passes that is outside the widened radius")
				}
			}
		}
	}
	if scattered < 50 {
		t.Errorf("only %d scattered poisons pass", scattered)
	}
}

// passTogether reports whether items of class k pass the sphere around the centroid of clean and poisoned data.
func passTogether(b *Binary, f *Filter, k int, items [][]float64) bool {
	all := &Binary{D: b.D, X: append([]float64{}, b.X...), Y: append([]int8{}, b.Y...)}
	for _, x := range items {
		all.X = append(all.X, x...)
		all.Y = append(all.Y, int8(2*k-1))
	}
	mu := centroid(all, int8(2*k-1))
	for _, x := range items {
		sq := 0.0
		for j, v := range x {
			sq += (v - mu[j]) * (v - mu[j])
		}
		if math.Sqrt(sq) > f.Radius[k] {
			return false
		}
	}
	return true
}

// draw returns an item that passes a filter, often at its edge; nil if it found none.
func draw(r *rand.Rand, f *Filter) (k int, x []float64) {
	k = r.IntN(2)
	x = make([]float64, len(f.Centroid[k]))
	for range 20 {
		radius := min(f.Radius[k], 5)
		n := 0.0
		for j := range x {
			x[j] = r.NormFloat64()
			n += x[j] * x[j]
		}
		scale := radius / math.Sqrt(n)
		if r.IntN(2) == 0 {
			scale *= r.Float64()
		}
		for j := range x {
			x[j] = min(max(f.Centroid[k][j]+scale*x[j], f.Low), f.High)
		}
		if f.passes(x, k, 0) {
			return k, x
		}
	}
	return k, nil
}

// TestBoundHolds: whatever is added, the best classifier on clean and poisoned data cannot lose more in all than the certificate
// says. The retraining's lower bound makes that comparison free of its own gap.
func TestBoundHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	ctx := context.Background()
	tight := 0
	const cases = 1000
	for i := range cases {
		d := 1 + r.IntN(3)
		b := blobs(r, 10+r.IntN(20), d, true)
		f := drawFilter(t, r, b)
		o := Options{Epsilon: 0.1 + r.Float64(), NormSquared: 0.2 + 2*r.Float64(), Rate: 0.5, Iterations: 150, Workers: 1}
		c, s := certified(t, b, f, o)
		if h, err := c.Check(b); err != nil {
			t.Fatal(err)
		} else if math.Abs(h.Bound-s.Bound) > 1e-3*(1+s.Bound) {
			t.Fatalf("%+v: the search found %v, the checker %v", f, s.Bound, h.Bound)
		}
		a := &Attack{}
		var x []float32
		var y []int8
		if i%2 == 0 {
			var err error
			if a, err = s.Attack(ctx, b, o); err != nil || a == nil {
				t.Fatal(a, err)
			}
		} else {
			x, y = drawPoison(r, b, f, int(o.Epsilon*float64(b.Len())))
			ones := make([]float32, len(y))
			for i := range ones {
				ones[i] = 1
			}
			if err := a.retrain(ctx, newHinge(b, 1).with(x, y, ones), b.Len(), o); err != nil {
				t.Fatal(err)
			}
		}
		if a.Least > c.Bound+1e-5 {
			t.Fatalf("case %d: the poison costs at least %v, certified is %v", i, a.Least, c.Bound)
		}
		if a.Least > a.Total+1e-5 {
			t.Fatalf("case %d: the retraining reached %v below its own lower bound %v", i, a.Total, a.Least)
		}
		if i%2 == 0 && a.Least > 0.8*c.Bound {
			tight++
		}
	}
	if tight < cases/5 {
		t.Errorf("in %d of %d cases the attack comes near the certificate: the comparison says nothing", tight, cases/2)
	}
	t.Logf("tight in %d of %d", tight, cases/2)
}

// TestBoundWorkers: results do not depend on the number of workers.
func TestBoundWorkers(t *testing.T) {
	b := blobs(rand.New(rand.NewPCG(3, 3)), 2000, 5, false)
	f := &Filter{SpherePercent: 70, SlabPercent: 70, Low: math.Inf(-1), High: math.Inf(1)}
	if err := f.Fit(b); err != nil {
		t.Fatal(err)
	}
	var bounds []float64
	for _, workers := range []int{1, 4} {
		s, err := Bound(context.Background(), b, f, Options{Epsilon: 0.1, Iterations: 50, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		bounds = append(bounds, s.Bound)
	}
	if bounds[0] != bounds[1] {
		t.Errorf("one worker finds %v, four %v", bounds[0], bounds[1])
	}
}

// TestBoundStops: a search that is stopped has a certificate.
func TestBoundStops(t *testing.T) {
	b := blobs(rand.New(rand.NewPCG(4, 4)), 100, 3, false)
	f := &Filter{SpherePercent: 70, Low: math.Inf(-1), High: math.Inf(1)}
	if err := f.Fit(b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{Epsilon: 0.1, Iterations: 1000, Progress: func(done, _ int, _ float64) {
		if done == 20 {
			cancel()
		}
	}}
	s, err := Bound(ctx, b, f, o)
	if err != context.Canceled || s.Iterations != 20 {
		t.Fatalf("%v after %d iterations", err, s.Iterations)
	}
	c, err := s.Certificate("toy", [2]int{0, 1}, b, f, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Check(b); err != nil {
		t.Error(err)
	}
}

// TestFitRefuses: filters that leave the attacker unbounded or make no sense.
func TestFitRefuses(t *testing.T) {
	b := blobs(rand.New(rand.NewPCG(5, 5)), 20, 2, false)
	inf := math.Inf(1)
	for _, f := range []Filter{
		{SlabPercent: 70, Low: -inf, High: inf}, {SlabPercent: 70, Low: 0, High: inf}, {Low: -inf, High: inf},
		{SpherePercent: 70, SlabPercent: 70, Moving: true, Low: -inf, High: inf}, {SpherePercent: 101, Low: -inf, High: inf},
		{SpherePercent: math.NaN(), Low: 0, High: 1}, {SpherePercent: 70, Low: 1, High: 0},
	} {
		if err := f.Fit(b); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}
