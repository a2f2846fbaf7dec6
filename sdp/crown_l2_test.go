package sdp

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
)

// TestOffsetKnown: the published closed form, at the origin: −ρ‖φ‖ with φ = min(c−g, g, 0).
func TestOffsetKnown(t *testing.T) {
	wide := []float64{-9, -9}
	b := Ball{Centre: []float64{0, 0}, Rho: 1, L: wide, U: []float64{9, 9}}
	c, g := []float64{-1, -1}, []float64{-0.5, -0.5}
	if h := b.Offset(c, g, math.Sqrt(0.5)); h > -math.Sqrt(0.5) || h < -math.Sqrt(0.5)-1e-12 {
		t.Errorf("%v", h)
	}
	if h, _ := b.Best(c, g); h > -math.Sqrt(0.5) || h < -math.Sqrt(0.5)-1e-4 {
		t.Errorf("%v", h)
	}
	b.L, b.U = []float64{-1, -1}, []float64{1, 1}
	if h := b.Offset(c, g, 0); h > -1 || h < -1-1e-12 {
		t.Errorf("over the box: %v", h)
	}
	if h := b.Offset(c, g, -1); !math.IsInf(h, -1) {
		t.Errorf("λ < 0: %v", h)
	}
	if h := b.Offset(c, []float64{math.NaN(), 0}, 1); h == h && !math.IsInf(h, -1) {
		t.Errorf("not a number: %v", h)
	}
}

// TestOffset: for any λ no point of the ball contradicts the offset, which at the best λ is close to the least value that is there.
func TestOffset(t *testing.T) {
	loss, width := 0.0, 0.0
	for n := range cases(1000) {
		r := rand.New(rand.NewPCG(uint64(n), 17))
		d := 1 + r.IntN(4)
		b := Ball{Centre: normal(r, d), Rho: r.Float64() * 3, L: make([]float64, d), U: make([]float64, d)}
		for i, c := range b.Centre {
			b.L[i], b.U[i] = c-b.Rho, c+b.Rho
			if r.IntN(3) == 0 {
				b.L[i], b.U[i] = c-b.Rho*r.Float64(), c+b.Rho*r.Float64()
			}
		}
		c, g := normal(r, d), normal(r, d)
		for i := range g {
			if r.IntN(2) == 0 {
				g[i] = c[i] * r.Float64()
			}
		}
		best, lambda := b.Best(c, g)
		any := b.Offset(c, g, math.Exp(r.NormFloat64()*3))
		if box := b.Offset(c, g, 0); best < box || any > best+1e-3*(1+math.Abs(best)) || best < b.Offset(c, g, lambda) {
			t.Errorf("case %d: best %v, over the box %v, at a random λ %v", n, best, box, any)
		}
		low := math.Inf(1)
		z := make([]float64, d)
		for k := range 3000 {
			size := 0.0
			for i := range z {
				z[i] = r.NormFloat64()
				if k%4 == 0 { // towards what c and g ask for
					z[i] = z[i]*0.3 + g[i]
				}
				size += z[i] * z[i]
			}
			f := b.Rho / math.Sqrt(size)
			if k%3 == 0 {
				f *= r.Float64()
			}
			v := 0.0
			inside := true
			for i := range z {
				z[i] = b.Centre[i] + z[i]*f*(1-1e-14)
				inside = inside && z[i] >= b.L[i] && z[i] <= b.U[i]
				v += c[i]*max(z[i], 0) - g[i]*z[i]
			}
			if inside {
				low = min(low, v)
			}
		}
		if low < max(best, any)-1e-12*(1+math.Abs(low)) {
			t.Errorf("case %d: %v in the ball, offset %v and %v", n, low, best, any)
		}
		if !math.IsInf(low, 0) {
			loss += low - best
			width += b.Rho
		}
	}
	if loss > 0.5*width {
		t.Errorf("loss %v over %v", loss, width)
	}
}

// TestLeast: least is below the value at every point, to the last bit, where terms cancel.
func TestLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 18))
	for range cases(8000) {
		scale := math.Ldexp(1, r.IntN(60)-30)
		c, g, x := r.NormFloat64(), r.NormFloat64(), r.NormFloat64()*scale
		lambda := math.Ldexp(r.Float64(), r.IntN(60)-30)
		if r.IntN(3) == 0 {
			x = (c - g) / (2 * lambda) // the least value is 0, a difference of large numbers
			scale = math.Abs(x)
		} else if r.IntN(10) == 0 {
			lambda = 0
		}
		lo := x - (2-2*r.Float64()*r.Float64())*scale
		hi := lo + 2*r.Float64()*scale
		bound := exact.Rat(least(c, g, x, lo, hi, lambda))
		for k := range 6 {
			z := lo + float64(k)/5*(hi-lo)
			if k == 3 && lambda > 0 {
				z = x - (c-g)/lambda
			}
			z = min(max(z, lo), hi)
			if exactValue(c, g, x, z, lambda).Cmp(bound) < 0 {
				t.Fatalf("c=%v g=%v x=%v [%v, %v] λ=%v: at %v", c, g, x, lo, hi, lambda, z)
			}
		}
	}
}

// TestL2: no point of a ball has a smaller lead than the margin, which is above that of linear relaxation on the whole.
func TestL2(t *testing.T) {
	box, ball := 0.0, 0.0
	for n := range cases(500) {
		r := rand.New(rand.NewPCG(uint64(n), 19))
		widths := []int{1 + r.IntN(5)}
		for range 1 + r.IntN(3) {
			widths = append(widths, 1+r.IntN(7))
		}
		k := 2 + r.IntN(2)
		widths = append(widths, k)
		ls := randomLayers(r, widths...)
		net, err := NewL2(netOf(t, mlp(t, ls...)).P)
		if err != nil {
			t.Fatal(err)
		}
		x, label, rho := dyadic(r, widths[0]), r.IntN(k), r.Float64()
		margins, err := net.Margins(t.Context(), x, label, rho)
		if err != nil {
			t.Fatal(err)
		}
		plain := *net
		plain.Box = true
		linear, err := plain.Margins(t.Context(), x, label, rho)
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float64, len(x))
		for range 300 {
			size := 0.0
			for i := range z {
				z[i] = r.NormFloat64()
				size += z[i] * z[i]
			}
			f := rho / math.Sqrt(size) * (1 - 1e-14)
			if r.IntN(3) == 0 {
				f *= r.Float64()
			}
			for i := range z {
				z[i] = x[i] + f*z[i]
			}
			y := eval(ls, z)
			for j := range k {
				if lead := y[label] - y[j]; j != label && lead < max(margins[j], linear[j])-1e-12 {
					t.Errorf("case %d: lead %v over class %d, margins %v and %v", n, lead, j, margins[j], linear[j])
				}
			}
		}
		for j := range k {
			if j != label {
				box += linear[j]
				ball += margins[j]
				if margins[j] < linear[j] {
					t.Errorf("case %d: %v, linear %v", n, margins[j], linear[j])
				}
			}
		}
	}
	if !(ball > box) {
		t.Errorf("sum of margins %v, of linear relaxation %v", ball, box)
	}
	t.Logf("sum of margins %.1f, of linear relaxation %.1f", ball, box)
}

// TestL2BallOfTinyNumbers: the exact pre-activations of the centre are in the ball, also where the squares of what rounding charges
// underflow.
func TestL2BallOfTinyNumbers(t *testing.T) {
	for n := range cases(200) {
		r := rand.New(rand.NewPCG(uint64(n), 20))
		l := dense{in: 5, out: 3, w: make([]float64, 15), b: make([]float64, 3)}
		scale := math.Ldexp(1, -100-r.IntN(200))
		x := make([]float64, l.in)
		for i := range x {
			x[i] = r.NormFloat64() * scale
		}
		for i := range l.w {
			l.w[i] = r.NormFloat64() * scale
		}
		sigma, err := l.norm(new(Prover))
		if err != nil {
			t.Fatal(err)
		}
		run := &l2run{net: &L2{layers: []dense{l}, sigma: []float64{sigma}}, x: x}
		run.magnitudes(0)
		run.layer(0)
		b, dist := run.balls[0], new(big.Rat)
		for i, c := range b.Centre {
			d := exact.Rat(-c)
			for j, v := range x {
				d.Add(d, new(big.Rat).Mul(exact.Rat(l.w[i*l.in+j]), exact.Rat(v)))
			}
			dist.Add(dist, d.Mul(d, d))
		}
		if rho := exact.Rat(b.Rho); dist.Cmp(rho.Mul(rho, rho)) > 0 {
			t.Fatalf("case %d: numbers of size %v are further than %v from the centre", n, scale*scale, b.Rho)
		}
	}
}

// TestL2Shape: arguments that do not fit are errors.
func TestL2Shape(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 19))
	net, err := NewL2(netOf(t, mlp(t, randomLayers(r, 3, 4, 2)...)).P)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() ([]float64, error){
		func() ([]float64, error) { return net.Margins(t.Context(), make([]float64, 2), 0, 1) },
		func() ([]float64, error) { return net.Margins(t.Context(), make([]float64, 3), 2, 1) },
		func() ([]float64, error) { return net.Margins(t.Context(), make([]float64, 3), 0, math.NaN()) },
		func() ([]float64, error) { return net.Margins(t.Context(), []float64{0, math.Inf(1), 0}, 0, 1) },
	} {
		if _, err := f(); !errors.Is(err, ErrShape) {
			t.Errorf("%v", err)
		}
	}
}

// exactValue returns (c−g)·z + λ/2·(z−x)² in rationals.
func exactValue(c, g, x, z, lambda float64) *big.Rat {
	s := new(big.Rat).Sub(exact.Rat(c), exact.Rat(g))
	s.Mul(s, exact.Rat(z))
	d := new(big.Rat).Sub(exact.Rat(z), exact.Rat(x))
	d.Mul(d, d).Mul(d, exact.Rat(lambda)).Mul(d, exact.Rat(0.5))
	return s.Add(s, d)
}
