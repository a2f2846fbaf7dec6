package poison

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/internal/exact"
)

func toyCertificate(t *testing.T, f *Filter) (*Certificate, *Binary) {
	t.Helper()
	b := blobs(rand.New(rand.NewPCG(6, 6)), 60, 3, false)
	for i, v := range b.X {
		b.X[i] = math.Abs(1.5 + float64(b.Y[i/3]) + 0.4*v)
	}
	if err := f.Fit(b); err != nil {
		t.Fatal(err)
	}
	c, _ := certified(t, b, f, Options{Epsilon: 0.1, NormSquared: 1, Iterations: 200})
	if norm(c.Theta) == 0 {
		t.Fatal("the certificate is trivial")
	}
	return c, b
}

func sphereSlab() *Filter {
	return &Filter{SpherePercent: 70, SlabPercent: 70, Low: 0, High: math.Inf(1)}
}

// copied writes and reads a certificate.
func copied(t *testing.T, c *Certificate) *Certificate {
	t.Helper()
	var buf bytes.Buffer
	if err := c.Write(&buf); err != nil {
		t.Fatal(err)
	}
	out, err := Read(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCheckRefuses: a certificate with one thing changed does not hold, unless the change makes it weaker.
func TestCheckRefuses(t *testing.T) {
	c, b := toyCertificate(t, sphereSlab())
	if _, err := copied(t, c).Check(b); err != nil {
		t.Fatal(err)
	}
	for name, mutate := range map[string]func(*Certificate){
		"bound":           func(c *Certificate) { c.Bound *= 1 - 1e-6 },
		"bound NaN":       func(c *Certificate) { c.Bound = math.NaN() },
		"bound negative":  func(c *Certificate) { c.Bound = -1 },
		"epsilon":         func(c *Certificate) { c.Epsilon *= 1.01 },
		"epsilon NaN":     func(c *Certificate) { c.Epsilon = math.NaN() },
		"norm":            func(c *Certificate) { c.Theta[0] *= 10 },
		"ball":            func(c *Certificate) { c.NormSquared = sumSquaresUp(c.Theta) * (1 - 1e-15) },
		"ball NaN":        func(c *Certificate) { c.NormSquared = math.NaN() },
		"theta":           func(c *Certificate) { c.Theta[1] = -c.Theta[1] },
		"theta NaN":       func(c *Certificate) { c.Theta[1] = math.NaN() },
		"theta Inf":       func(c *Certificate) { c.Theta[1], c.NormSquared = math.Inf(1), math.Inf(1) },
		"theta short":     func(c *Certificate) { c.Theta = c.Theta[1:] },
		"theta long":      func(c *Certificate) { c.Theta = append(c.Theta, 0) },
		"theta huge":      func(c *Certificate) { c.Theta = make(Vector, 1<<22) },
		"radius smaller":  func(c *Certificate) { c.Filter.Radius[0] *= 1 - 1e-6 },
		"radius larger":   func(c *Certificate) { c.Filter.Radius[1] *= 1.001 },
		"radius NaN":      func(c *Certificate) { c.Filter.Radius[1] = math.NaN() },
		"width smaller":   func(c *Certificate) { c.Filter.Width[1] *= 1 - 1e-6 },
		"width larger":    func(c *Certificate) { c.Filter.Width[0] *= 1.001 },
		"no radius":       func(c *Certificate) { c.Filter.Radius = nil },
		"no width":        func(c *Certificate) { c.Filter.Width = nil },
		"no sphere":       func(c *Certificate) { c.Filter.SpherePercent, c.Filter.Radius = 0, nil },
		"percentile":      func(c *Certificate) { c.Filter.SpherePercent = 60 },
		"centroid":        func(c *Certificate) { c.Filter.Centroid[0][2] *= 1 + 1e-14 },
		"centroid short":  func(c *Certificate) { c.Filter.Centroid[0] = c.Filter.Centroid[0][:2] },
		"hash":            func(c *Certificate) { c.Data.SHA256 = strings.Repeat("0", 64) },
		"items":           func(c *Certificate) { c.Data.Items++ },
		"dim":             func(c *Certificate) { c.Data.Dim-- },
		"multiplier":      func(c *Certificate) { c.Multipliers[0].Slab += 0.5; c.Multipliers[1].Slab -= 0.5 },
		"multiplier NaN":  func(c *Certificate) { c.Multipliers[0].Slab = math.NaN() },
		"multiplier huge": func(c *Certificate) { c.Multipliers[1].Slab = math.MaxFloat64 },
	} {
		m := copied(t, c)
		mutate(m)
		_, err := m.Check(b)
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	moving, b2 := toyCertificate(t, &Filter{SpherePercent: 70, Moving: true, Low: math.Inf(-1), High: math.Inf(1)})
	if _, err := copied(t, moving).Check(b2); err != nil {
		t.Fatal(err)
	}
	fixed, _ := toyCertificate(t, &Filter{SpherePercent: 70, Low: math.Inf(-1), High: math.Inf(1)})
	if fixed.Filter.Moving = true; moving.Bound <= fixed.Bound {
		t.Errorf("centroids that move have the bound %v, fixed ones %v", moving.Bound, fixed.Bound)
	}
	if _, err := fixed.Check(b2); err == nil {
		t.Error("a bound for fixed centroids was accepted for moving ones")
	}
	other := *b
	other.X = slices.Clone(b.X)
	other.X[7] = up(other.X[7])
	if _, err := c.Check(&other); err == nil {
		t.Error("other data were accepted")
	}
	weaker := copied(t, c)
	weaker.Bound *= 2
	weaker.Multipliers[0].Slab += 1e-12
	if _, err := weaker.Check(b); err != nil {
		t.Errorf("a weaker claim was refused: %v", err)
	}
}

// TestReadRefuses: malformed files.
func TestReadRefuses(t *testing.T) {
	c, _ := toyCertificate(t, sphereSlab())
	var buf bytes.Buffer
	if err := c.Write(&buf); err != nil {
		t.Fatal(err)
	}
	text := buf.String()
	nan, err := json.Marshal(Vector{math.NaN()})
	if err != nil {
		t.Fatal(err)
	}
	theta, err := json.Marshal(c.Theta)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{
		"empty": "", "cut": text[:len(text)/2], "more": text + "{}", "null": "null",
		"format":  strings.Replace(text, Format, "certify.poison/9", 1),
		"unknown": strings.Replace(text, `"bound"`, `"bound_"`, 1),
		"NaN":     strings.Replace(text, string(theta), string(nan), 1),
		"odd":     strings.Replace(text, string(theta), `"AAAA"`, 1),
		"base64":  strings.Replace(text, string(theta), `"@@"`, 1),
		"number":  strings.Replace(text, `"epsilon": 0.1`, `"epsilon": 1e999`, 1),
	} {
		if s == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Read(strings.NewReader(s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Read(bytes.NewReader(make([]byte, MaxBytes+1))); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a huge file: %v", err)
	}
}

// TestRoundedUpward compares the checker's sums with exact ones.
func TestRoundedUpward(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 1000 {
		d := 1 + r.IntN(6)
		theta, x := make([]float64, d+1), make([]float64, d)
		for j := range x {
			theta[j], x[j] = r.NormFloat64()*math.Exp(20*r.NormFloat64()), r.NormFloat64()
		}
		theta[d] = r.NormFloat64()
		y := int8(2*r.IntN(2) - 1)
		margin := exact.Dot(exact.Rats(theta[:d]), exact.Rats(x))
		margin.Add(margin, exact.Rat(theta[d]))
		want := new(big.Rat).Sub(exact.Rat(1), margin.Mul(margin, exact.Rat(float64(y))))
		got := exact.Rat(lossUp(theta, x, y))
		if got.Cmp(want) < 0 || got.Sign() < 0 {
			t.Fatalf("loss of %v at %v: %v is below %v", theta, x, got.FloatString(20), want.FloatString(20))
		}
		if sq := exact.Dot(exact.Rats(theta), exact.Rats(theta)); exact.Rat(sumSquaresUp(theta)).Cmp(sq) < 0 {
			t.Fatalf("‖%v‖² is above its bound", theta)
		}
		lo, hi := lengthBounds(x, theta[:d])
		diff := new(big.Rat)
		for j := range x {
			e := exact.Sum(x[j], -theta[j])
			diff.Add(diff, e.Mul(e, e))
		}
		l, h := exact.Rat(lo), exact.Rat(hi)
		if l.Mul(l, l).Cmp(diff) > 0 || h.Mul(h, h).Cmp(diff) < 0 {
			t.Fatalf("‖%v − %v‖ is outside [%v, %v]", x, theta[:d], lo, hi)
		}
	}
}

// TestWorstRoundedUpward compares the largest loss in one dimension with the exact one, where the multiplier of the slab is best and
// only rounding separates them.
func TestWorstRoundedUpward(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 20))
	near := 0
	for range 3000 {
		f := &Filter{SlabPercent: 50, Low: -3 - r.Float64(), High: 3 + r.Float64(), Radius: [2]float64{math.Inf(1), math.Inf(1)}}
		for k := range 2 {
			f.Centroid[k], f.Width[k] = []float64{r.NormFloat64()}, 5*r.Float64()
		}
		if r.IntN(2) == 0 {
			f.SpherePercent, f.Radius = 50, [2]float64{4 * r.Float64(), 4 * r.Float64()}
		}
		theta, k := []float64{r.NormFloat64(), r.NormFloat64()}, r.IntN(2)
		y, mu := float64(2*k-1), f.Centroid[k][0]
		m := Multipliers{}
		if reach := min(f.High-mu, mu-f.Low, f.Radius[k]); f.Width[k] < reach {
			m.Slab = -y * theta[0] / (f.Centroid[0][0] - f.Centroid[1][0])
		} else if reach == f.Radius[k] {
			m.Sphere = 1e9 // nothing is cut
		}
		got, err := worstUp(f, theta, k, m)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := exact.Sum(f.Low, -mu), exact.Sum(f.High, -mu)
		for _, limit := range []float64{f.Width[k], f.Radius[k]} {
			if !math.IsInf(limit, 1) {
				if e := exact.Rat(limit); e.Cmp(hi) < 0 {
					hi = e
				}
				if e := exact.Rat(-limit); e.Cmp(lo) > 0 {
					lo = e
				}
			}
		}
		largest := new(big.Rat)
		for _, u := range []*big.Rat{lo, hi} {
			x := new(big.Rat).Add(u, exact.Rat(mu))
			x.Mul(x, exact.Rat(theta[0])).Add(x, exact.Rat(theta[1])).Mul(x, exact.Rat(-y)).Add(x, exact.Rat(1))
			if x.Cmp(largest) > 0 {
				largest = x
			}
		}
		if exact.Rat(got).Cmp(largest) < 0 {
			t.Fatalf("%+v, θ = %v: the bound %v is below %v", f, theta, got, largest.FloatString(20))
		}
		if v, _ := largest.Float64(); got < v+1e-9 {
			near++
		}
	}
	if near < 1000 {
		t.Errorf("only %d bounds are near", near)
	}
}

// TestProjectionBounds compares the enclosure of a projection with its exact square.
func TestProjectionBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 1000 {
		d := 1 + r.IntN(5)
		f := &Filter{Centroid: [2][]float64{make([]float64, d), make([]float64, d)}}
		x := make([]float64, d)
		for j := range x {
			f.Centroid[0][j], f.Centroid[1][j], x[j] = r.NormFloat64(), r.NormFloat64(), r.NormFloat64()
		}
		lo, hi := newProjection(f).bounds(x, f.Centroid[0])
		dot, sq := new(big.Rat), new(big.Rat)
		for j := range x {
			delta := exact.Sum(f.Centroid[0][j], -f.Centroid[1][j])
			dot.Add(dot, new(big.Rat).Mul(exact.Sum(x[j], -f.Centroid[0][j]), delta))
			sq.Add(sq, new(big.Rat).Mul(delta, delta))
		}
		dot.Mul(dot, dot)
		l, h := exact.Rat(lo), exact.Rat(hi)
		if l.Mul(l, l).Mul(l, sq).Cmp(dot) > 0 || h.Mul(h, h).Mul(h, sq).Cmp(dot) < 0 || hi > lo*1.001+1e-12 {
			t.Fatalf("the projection is outside [%v, %v]", lo, hi)
		}
	}
}

// FuzzRead: no input makes the reader or the checker panic, and what holds was written for these data.
func FuzzRead(f *testing.F) {
	b := blobs(rand.New(rand.NewPCG(9, 9)), 10, 2, true)
	filter := &Filter{SpherePercent: 70, SlabPercent: 70, Low: 0, High: 4}
	if err := filter.Fit(b); err != nil {
		f.Fatal(err)
	}
	c := &Certificate{Format: Format, Epsilon: 0.1, NormSquared: 1, Bound: 2, Theta: Vector{0, 0, 0}, Filter: filter.form(),
		Data: DataRecord{"toy", [2]int{0, 1}, b.Len(), b.D, b.Hash()}}
	var buf bytes.Buffer
	if err := c.Write(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte(`{"format":"certify.poison/1","theta":"AAAA"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		h, err := c.Check(b)
		if err == nil && (!(h.Bound <= c.Bound) || c.Data.SHA256 != b.Hash()) {
			t.Errorf("accepted with %+v", h)
		}
	})
}

// TestCheckManyFeatures wants a certificate at the edge of the ball accepted, however many features add to the rounding of a norm.
func TestCheckManyFeatures(t *testing.T) {
	b := blobs(rand.New(rand.NewPCG(20, 20)), 4, 100000, false)
	f := &Filter{SpherePercent: 100, Low: math.Inf(-1), High: math.Inf(1)}
	if err := f.Fit(b); err != nil {
		t.Fatal(err)
	}
	c, _ := certified(t, b, f, Options{Epsilon: 0.1, NormSquared: 1e-8, Iterations: 10})
	if n := sumSquaresUp(c.Theta); n < 0.999e-8 {
		t.Fatalf("‖θ‖² = %v is not at the edge", n)
	}
	if _, err := c.Check(b); err != nil {
		t.Error(err)
	}
}
