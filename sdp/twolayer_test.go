package sdp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/internal/kernel"
)

// best returns max sᵀBt over s ∈ {0,1}^m and t ∈ {−1,1}^d for the classes i and j; every sum is exact.
func best(ls []layer, i, j int) float64 {
	m, d := ls[0].out, ls[0].in
	top := 0.0
	for s := range 1 << m {
		sum := 0.0
		for l := range d {
			col := 0.0
			for k := range m {
				if s>>k&1 == 1 {
					col += (ls[1].w[i*m+k] - ls[1].w[j*m+k]) * ls[0].w[k*d+l]
				}
			}
			sum += math.Abs(col)
		}
		top = max(top, sum)
	}
	return top
}

// grothendieck is an upper bound on Grothendieck's constant (Krivine).
const grothendieck = 1.7823

// TestTwoLayer: a bound is at least the quadratic problem's optimum, which enumeration finds, and at most Grothendieck's constant
// times it; no point in a ball has a smaller lead than the margin; the checker accepts.
func TestTwoLayer(t *testing.T) {
	for n := range cases(600) {
		r := rand.New(rand.NewPCG(uint64(n), 8))
		d, m, k := 1+r.IntN(5), 1+r.IntN(6), 2+r.IntN(3)
		ls := randomLayers(r, d, m, k)
		g := mlp(t, ls...)
		c, err := TwoLayer(t.Context(), g, Options{Workers: 1 + n%2, Seed: uint64(n)})
		if err != nil {
			t.Fatal(err)
		}
		base, err := c.Baselines()
		if err != nil {
			t.Fatal(err)
		}
		for q, p := range c.Pairs {
			want := best(ls, p.I, p.J)
			if p.Bound < want || p.Bound > want*grothendieck+1e-6 {
				t.Errorf("case %d, classes %d and %d: bound %v, optimum %v", n, p.I, p.J, p.Bound, want)
			}
			if base.Spectral[q] < want || base.Frobenius[q] < want || base.Frobenius[q] < base.Spectral[q] {
				t.Errorf("case %d: baselines %v %v, optimum %v", n, base.Spectral[q], base.Frobenius[q], want)
			}
		}
		if err := CheckCertificate(c, g); err != nil {
			t.Errorf("case %d: %v", n, err)
		}
		x, label, eps := dyadic(r, d), r.IntN(k), r.Float64()
		margins, err := c.Margins(x, label, eps)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := make([]float64, d), make([]float64, d)
		for i := range x {
			lo[i], hi[i] = x[i]-eps*(1-0x1p-40), x[i]+eps*(1-0x1p-40)
		}
		boxed, err := c.MarginsBox(x, lo, hi, label)
		if err != nil {
			t.Fatal(err)
		}
		for j := range k {
			if j == label {
				continue
			}
			if boxed[j] < margins[j] || boxed[j] > margins[j]+1e-9 {
				t.Errorf("case %d: margin %v of a box a little smaller than the ball, %v of the ball", n, boxed[j], margins[j])
			}
			spec := make([]float64, k)
			spec[label], spec[j] = 1, -1
			if v := lowest(r, ls, spec, lo, hi); v < margins[j] {
				t.Errorf("case %d: lead %v over class %d, margin %v", n, v, j, margins[j])
			}
		}
		if at, err := c.Margins(x, label, 0); err != nil {
			t.Fatal(err)
		} else {
			y := eval(ls, x)
			for j, v := range at {
				if lead := y[label] - y[j]; j != label && (v > lead || v < lead-1e-9) {
					t.Errorf("case %d: margin %v at the point itself, lead %v", n, v, lead)
				}
			}
		}
	}
}

// TestDead: a network whose hidden layer is wider than its input, with units and inputs that nothing reads.
func TestDead(t *testing.T) {
	ls := []layer{{2, 3, []float64{1, 0, 2, 0, 0, 0}, []float64{0, 0, 0}}, {3, 2, []float64{1, 1, 1, 1, 0, 1}, []float64{0, 0}}}
	g := mlp(t, ls...)
	c, err := TwoLayer(t.Context(), g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b := c.Pairs[0].Bound; b < 2 || b > 2+1e-6 {
		t.Errorf("bound %v, want 2", b)
	}
}

// TestWriteRead: a certificate survives its file, and every change that claims more is refused.
func TestWriteRead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	ls := randomLayers(r, 4, 5, 3)
	g := mlp(t, ls...)
	c, err := TwoLayer(t.Context(), g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := c.Write(&buf); err != nil {
		t.Fatal(err)
	}
	file := buf.Bytes()
	load := func() *Certificate {
		c, err := Read(bytes.NewReader(file), g)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	x := dyadic(r, 4)
	a, _ := c.Margins(x, 0, 0.1)
	b, err := load().Margins(x, 0, 0.1)
	if err != nil || a[1] != b[1] || a[2] != b[2] {
		t.Errorf("%v %v %v", a, b, err)
	}
	for name, change := range map[string]func(c *Certificate){
		"bound":    func(c *Certificate) { c.Pairs[1].Bound *= 1 - 1e-12 },
		"nan":      func(c *Certificate) { c.Pairs[1].Bound = math.NaN() },
		"c":        func(c *Certificate) { c.Pairs[0].C[0] *= 0.999 },
		"negative": func(c *Certificate) { c.Pairs[0].C[2] = -1 },
		"both": func(c *Certificate) {
			for i := range c.Pairs[2].C {
				c.Pairs[2].C[i] *= 0.999
			}
			c.Pairs[2].Bound *= 0.999
		},
		"network": func(c *Certificate) { c.Network += "0" },
		"format":  func(c *Certificate) { c.Format = "" },
		"hidden":  func(c *Certificate) { c.Hidden++ },
		"missing": func(c *Certificate) { c.Pairs = c.Pairs[:2] },
		"order":   func(c *Certificate) { c.Pairs[0], c.Pairs[1] = c.Pairs[1], c.Pairs[0] },
		"pair":    func(c *Certificate) { c.Pairs[0].I = 7 },
		"short":   func(c *Certificate) { c.Pairs[0].C = c.Pairs[0].C[1:] },
	} {
		m := load()
		change(m)
		if err := CheckCertificate(m, g); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "[]", "{\"x\":1}", "{\"format\":1e999}"} {
		if _, err := Read(bytes.NewReader([]byte(text)), g); !errors.Is(err, ErrCertificate) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestShape: other networks are refused with a reason, wrong arguments too.
func TestShape(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	for _, g := range [][]layer{randomLayers(r, 3, 2), randomLayers(r, 3, 4, 4, 2), randomLayers(r, 3, 4, 1)} {
		if _, err := TwoLayer(t.Context(), mlp(t, g...), Options{}); !errors.Is(err, ErrShape) {
			t.Errorf("%v", err)
		}
	}
	c, err := TwoLayer(t.Context(), mlp(t, randomLayers(r, 3, 4, 2)...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() ([]float64, error){
		func() ([]float64, error) { return c.Margins(make([]float64, 2), 0, 1) },
		func() ([]float64, error) { return c.Margins(make([]float64, 3), 2, 1) },
		func() ([]float64, error) { return c.Margins(make([]float64, 3), 0, math.NaN()) },
		func() ([]float64, error) { return c.Margins(make([]float64, 3), 0, -1) },
	} {
		if _, err := f(); !errors.Is(err, ErrShape) {
			t.Errorf("%v", err)
		}
	}
	for _, c := range []*Certificate{{}, {Inputs: 1, Classes: 2}} {
		_, err := c.Margins([]float64{0}, 0, 1)
		if _, err2 := c.Baselines(); !errors.Is(err, ErrCertificate) || !errors.Is(err2, ErrCertificate) {
			t.Errorf("%v %v", err, err2)
		}
	}
	if m, err := c.Margins([]float64{math.NaN(), 0, 0}, 0, 1); err != nil || !math.IsInf(m[1], -1) {
		t.Errorf("%v %v", m, err)
	}
}

// TestScores: the scores in rationals are in their intervals, also where they cancel.
func TestScores(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 9))
	for range cases(300) {
		d, m := 1+r.IntN(6), 1+r.IntN(6)
		s := &shallow{d: d, m: m, k: 2, w: normal(r, d*m), v: normal(r, 2*m), b: normal(r, m), bv: make([]float64, 2), mag: make([]float64, m)}
		for i := range s.mag {
			for _, w := range s.w[i*d : (i+1)*d] {
				s.mag[i] += math.Abs(w) * loose
			}
		}
		x := normal(r, d)
		s.bv[0] = -kernel.Dot(s.v[:m], hiddenOf(s, x))
		lo, hi := s.scores(x)
		h := make([]*big.Rat, m)
		for i := range h {
			h[i] = exact.Dot(exact.Rats(s.w[i*d:(i+1)*d]), exact.Rats(x))
			if h[i].Add(h[i], exact.Rat(s.b[i])); h[i].Sign() < 0 {
				h[i] = new(big.Rat)
			}
		}
		for i := range 2 {
			y := exact.Dot(exact.Rats(s.v[i*m:(i+1)*m]), h)
			if y.Add(y, exact.Rat(s.bv[i])); y.Cmp(exact.Rat(lo[i])) < 0 || y.Cmp(exact.Rat(hi[i])) > 0 {
				t.Errorf("score %v outside [%v, %v]", y, lo[i], hi[i])
			}
			if hi[i]-lo[i] > 1e-11 {
				t.Errorf("[%v, %v] is wide", lo[i], hi[i])
			}
		}
	}
}

func hiddenOf(s *shallow, x []float64) []float64 {
	h := make([]float64, s.m)
	for i := range h {
		h[i] = max(kernel.Dot(s.w[i*s.d:(i+1)*s.d], x)+s.b[i], 0)
	}
	return h
}

// TestCharges: where the weights are off by a few units and the scores' difference cancels, a bound must cover what may be left; the
// search and the checker both know.
func TestCharges(t *testing.T) {
	s := &shallow{d: 1, m: 1, k: 2, w: []float64{1}, v: []float64{1, 1}, relV: 4}
	pair := func(c float64) *Pair { return &Pair{I: 1, J: 0, C: []float64{c, c, c}, Bound: c} }
	var f form
	s.form(1, 0, &f)
	var p Prover
	for c, want := range map[float64]bool{1e-13: true, 4 * 0x1p-53: false, 1e-20: false} {
		q := pair(c)
		if got := checkPair(s, q); got != want {
			t.Errorf("checker: %v for %g", got, c)
		}
		if got := p.Bipartite(2, 1, f.a, q.C[:2], q.C[2:], f.slackY, f.slackT); got != want {
			t.Errorf("prover: %v for %g", got, c)
		}
	}
}

// TestFormSlack: what a form charges covers the rounding of its matrix, found in rationals, where differences of scores cancel.
func TestFormSlack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	rounded := false
	for range cases(200) {
		d, m := 1+r.IntN(4), 1+r.IntN(4)
		s := &shallow{d: d, m: m, k: 2, w: normal(r, d*m), v: normal(r, 2*m)}
		var f form
		s.form(1, 0, &f)
		errs := make([]*big.Rat, (m+1)*d)
		for l := range d {
			first := new(big.Rat)
			for k := range m {
				v := new(big.Rat).Sub(exact.Rat(s.v[m+k]), exact.Rat(s.v[k]))
				v.Mul(v, exact.Rat(s.w[k*d+l]))
				first.Add(first, v)
				errs[(k+1)*d+l] = v.Sub(v, exact.Rat(f.a[(k+1)*d+l]))
			}
			errs[l] = first.Sub(first, exact.Rat(f.a[l]))
		}
		for i := range m + 1 {
			sum := new(big.Rat)
			for l := range d {
				sum.Add(sum, new(big.Rat).Abs(errs[i*d+l]))
			}
			rounded = rounded || sum.Sign() > 0
			if sum.Cmp(exact.Rat(f.slackY[i])) > 0 {
				t.Errorf("row %d", i)
			}
		}
		for l := range d {
			sum := new(big.Rat)
			for i := range m + 1 {
				sum.Add(sum, new(big.Rat).Abs(errs[i*d+l]))
			}
			if sum.Cmp(exact.Rat(f.slackT[l])) > 0 {
				t.Errorf("column %d", l)
			}
		}
	}
	if !rounded {
		t.Error("nothing was rounded")
	}
}

// TestReadIsBounded: a file longer than any certificate of the network is not read to its end.
func TestReadIsBounded(t *testing.T) {
	g := mlp(t, randomLayers(rand.New(rand.NewPCG(3, 9)), 4, 5, 3)...)
	const zeros = 1 << 24
	r := &counted{r: io.MultiReader(strings.NewReader(`{"pairs":[{"c":[0`), strings.NewReader(strings.Repeat(",0", zeros)))}
	if _, err := Read(r, g); !errors.Is(err, ErrCertificate) {
		t.Errorf("%v", err)
	}
	if r.n > 1<<20 {
		t.Errorf("%d bytes were read", r.n)
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestTooLarge: networks for which a matrix would not fit in memory are refused.
func TestTooLarge(t *testing.T) {
	affine := func(out, in int) layer {
		return layer{in: in, out: out, w: make([]float64, out*in), b: make([]float64, out)}
	}
	for _, ls := range [][]layer{
		{affine(1<<18, 2), affine(2, 1<<18)}, // hidden units
		{affine(2, 2), affine(1<<18, 2)},     // pairs of classes
	} {
		if _, err := TwoLayer(t.Context(), mlp(t, ls...), Options{}); !errors.Is(err, ErrShape) {
			t.Errorf("two layers, %d hidden units: %v", ls[0].out, err)
		}
		if err := CheckCertificate(new(Certificate), mlp(t, ls...)); !errors.Is(err, ErrShape) {
			t.Errorf("a certificate, %d hidden units: %v", ls[0].out, err)
		}
		if _, err := NewL2(netOf(t, mlp(t, ls...)).P); !errors.Is(err, ErrShape) {
			t.Errorf("L2, %d hidden units: %v", ls[0].out, err)
		}
	}
}
