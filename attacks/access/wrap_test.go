package access

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// smallNet is a random network with one hidden layer.
func smallNet(t testing.TB, seed uint64, in, hidden, out int) Gradients {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	w := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return v
	}
	b := prog.NewBuilder(in)
	h := b.Relu("relu", b.Affine("a", hidden, w(hidden), 0, prog.Term{Src: 0, Map: prog.Dense(hidden, in, w(hidden*in))}))
	p, err := b.Program(b.Affine("b", out, w(out), 0, prog.Term{Src: h, Map: prog.Dense(out, hidden, w(out*hidden))}))
	if err != nil {
		t.Fatal(err)
	}
	return Program(p)
}

// warp is a smooth transform of n numbers to n+1 whose draw matters: tanh(x_i + draw's shift), and the product of the first two.
type warp struct{ n int }

func (w warp) Dims() (int, int) { return w.n, w.n + 1 }
func (w warp) shift(draw uint64) float64 {
	return rand.New(rand.NewPCG(draw, 3)).Float64()
}
func (w warp) Forward(dst, x []float64, draw uint64) {
	for i, v := range x {
		dst[i] = math.Tanh(v + w.shift(draw))
	}
	dst[w.n] = x[0] * x[1]
}
func (w warp) Pull(dx, x, dy []float64, draw uint64) {
	for i, v := range x {
		h := math.Tanh(v + w.shift(draw))
		dx[i] = dy[i] * (1 - h*h)
	}
	dx[0] += dy[w.n] * x[1]
	dx[1] += dy[w.n] * x[0]
}

// steps rounds down to eighths.
type steps struct{ n int }

func (s steps) Dims() (int, int) { return s.n, s.n }
func (s steps) Forward(dst, x []float64, _ uint64) {
	for i, v := range x {
		dst[i] = math.Floor(8*v) / 8
	}
}
func (s steps) Pull(dx, _, _ []float64, _ uint64) { clear(dx) }

func points(seed uint64, n, d int) Batch {
	rng := rand.New(rand.NewPCG(seed, 2))
	b := Batch{N: n, X: make([]float64, n*d), Draws: make([]uint64, n)}
	for i := range b.X {
		b.X[i] = rng.Float64() + 0.01
	}
	for i := range b.Draws {
		b.Draws[i] = rng.Uint64()
	}
	return b
}

func scores(t testing.TB, m Scores, b Batch) []float64 {
	t.Helper()
	_, out := m.Dims()
	y := make([]float64, b.N*out)
	if err := m.Scores(context.Background(), b, y); err != nil {
		t.Fatal(err)
	}
	return y
}

// weights pulls the sum of the outputs times fixed numbers, different for every point.
func weights(i int, y, dy []float64) {
	for j := range y {
		dy[j] = float64(j+1) - 1.7 + 0.3*float64(i)
	}
}

// same is weights for a point wherever it is in a batch.
func same(_ int, y, dy []float64) { weights(0, y, dy) }

func loss(i int, y []float64) float64 {
	w := make([]float64, len(y))
	weights(i, y, w)
	s := 0.0
	for j, v := range y {
		s += v * w[j]
	}
	return s
}

func gradients(t testing.TB, m Gradients, b Batch, pull func(i int, y, dy []float64)) (y, dx []float64) {
	t.Helper()
	in, out := m.Dims()
	y, dx = make([]float64, b.N*out), slices.Repeat([]float64{7}, b.N*in)
	if err := m.Gradients(context.Background(), b, y, pull, dx); err != nil {
		t.Fatal(err)
	}
	return y, dx
}

// checkGradient compares a model's gradient with differences, point by point with the draws held.
func checkGradient(t *testing.T, name string, m Gradients, b Batch) {
	t.Helper()
	in, out := m.Dims()
	y, dx := gradients(t, m, b, weights)
	if want := scores(t, m, b); !slices.Equal(y, want) {
		t.Errorf("%s: outputs of Gradients and of Scores differ", name)
	}
	const h = 1e-6
	for k := range b.X {
		z := Batch{N: b.N, X: slices.Clone(b.X), Draws: b.Draws}
		i := k / in
		z.X[k] = b.X[k] + h
		up := loss(i, scores(t, m, z)[i*out:(i+1)*out])
		z.X[k] = b.X[k] - h
		down := loss(i, scores(t, m, z)[i*out:(i+1)*out])
		if d := (up - down) / (2 * h); math.Abs(d-dx[k]) > 1e-6*(1+math.Abs(d)) {
			t.Errorf("%s: point %d input %d: gradient %v, differences %v", name, i, k%in, dx[k], d)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCompositionsDifferentiate: chains of transforms and networks have the gradient of their differences.
func TestCompositionsDifferentiate(t *testing.T) {
	net := smallNet(t, 1, 6, 9, 3)
	checkGradient(t, "compose", must(Compose(net, warp{4}, warp{5})), points(1, 5, 4))
	checkGradient(t, "latent", must(Latent(smallNet(t, 2, 3, 7, 6), net)), points(2, 5, 3))
	checkGradient(t, "three networks", must(Chain(smallNet(t, 3, 2, 5, 3), smallNet(t, 2, 3, 7, 6), net)), points(3, 5, 2))
	checkGradient(t, "lift", Lift(warp{4}), points(4, 5, 4))
	checkGradient(t, "layer", must(Compose(net, Layer(smallNet(t, 2, 3, 7, 6)))), points(5, 5, 3))
	checkGradient(t, "eot", must(EOT(must(Compose(net, warp{5})), 7)), points(6, 5, 5))
}

// TestPointsAreAlone: what a point gives does not depend on the points beside it, but on its draw.
func TestPointsAreAlone(t *testing.T) {
	m := must(EOT(must(Compose(smallNet(t, 1, 6, 9, 3), warp{4}, warp{5})), 3))
	b := points(1, 9, 4)
	y, dx := gradients(t, m, b, same)
	for i := range b.N {
		one := Batch{N: 1, X: b.X[i*4 : (i+1)*4], Draws: b.Draws[i : i+1]}
		y1, dx1 := gradients(t, m, one, same)
		if !slices.Equal(y1, y[i*3:(i+1)*3]) || !slices.Equal(dx1, dx[i*4:(i+1)*4]) {
			t.Errorf("point %d alone differs from the same point in a batch", i)
		}
		one.Draws = []uint64{b.Draws[i] + 1}
		if slices.Equal(scores(t, m, one), y1) {
			t.Errorf("point %d: another draw, the same outputs", i)
		}
	}
	if err := m.Scores(context.Background(), Batch{N: 1, X: b.X[:4]}, make([]float64, 3)); err == nil {
		t.Error("a randomised model answered without a draw")
	}
}

// TestStagesDrawApart: two equal transforms in a chain do not draw the same.
func TestStagesDrawApart(t *testing.T) {
	a := scores(t, must(Chain(Lift(warp{2}), Lift(warp{3}))), points(1, 1, 2))
	x := points(1, 1, 2)
	first, second := make([]float64, 3), make([]float64, 4)
	warp{2}.Forward(first, x.X, fork(x.Draws[0], 0))
	warp{3}.Forward(second, first, fork(x.Draws[0], 1))
	if !slices.Equal(a, second) {
		t.Errorf("outputs %v, want %v", a, second)
	}
}

// TestBPDA: the outputs are those of the rounding, the gradient is that of the stand-in.
func TestBPDA(t *testing.T) {
	net := smallNet(t, 1, 6, 9, 3)
	b := points(1, 5, 6)
	masked := must(Compose(net, steps{6}))
	if _, dx := gradients(t, masked, b, weights); !slices.Equal(dx, make([]float64, len(dx))) {
		t.Errorf("the true gradient through rounding is %v", dx)
	}
	seen := must(Compose(net, must(BPDA(steps{6}, nil))))
	y, dx := gradients(t, seen, b, weights)
	if !slices.Equal(y, scores(t, masked, b)) {
		t.Error("BPDA changed the outputs")
	}
	rounded := Batch{N: b.N, X: make([]float64, len(b.X)), Draws: b.Draws}
	steps{6}.Forward(rounded.X, b.X, 0)
	if _, want := gradients(t, net, rounded, weights); !slices.Equal(dx, want) {
		t.Error("the identity does not pass the gradient at the rounded point through")
	}
	// a stand-in of another shape of the way back
	half := must(Compose(net, must(BPDA(steps{6}, scaled{6, 0.5}))))
	_, dh := gradients(t, half, b, weights)
	for i := range dh {
		if dh[i] != dx[i]/2 {
			t.Fatalf("input %d: %v through half the identity, %v through the identity", i, dh[i], dx[i])
		}
	}
	// the model's outputs, the stand-in's gradient with the model's loss
	whole := must(WithGradients(OnlyScores(masked), net))
	y, dx = gradients(t, whole, b, func(_ int, y, dy []float64) { dy[0] = y[1] })
	if !slices.Equal(y, scores(t, masked, b)) {
		t.Error("WithGradients changed the outputs")
	}
	_, want := gradients(t, net, b, func(i int, _, dy []float64) { dy[0] = y[i*3+1] })
	if !slices.Equal(dx, want) {
		t.Error("WithGradients: the gradient is not that of the stand-in for the model's outputs")
	}
	for i, err := range []error{second(BPDA(warp{3}, nil)), second(BPDA(steps{3}, steps{4})), second(WithGradients(net,
		smallNet(t, 1, 5, 2, 3))),
		second(Compose(net, steps{5})), second(Chain()), second(EOT(net, 0))} {
		if err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
}

func second[T any](_ T, err error) error { return err }

type scaled struct {
	n int
	s float64
}

func (s scaled) Dims() (int, int) { return s.n, s.n }
func (s scaled) Forward(dst, x []float64, _ uint64) {
	for i, v := range x {
		dst[i] = s.s * v
	}
}
func (s scaled) Pull(dx, _, dy []float64, _ uint64) {
	for i, v := range dy {
		dx[i] = s.s * v
	}
}

// coin multiplies by +1 or by +3 with equal chance.
type coin struct{ n int }

func (c coin) sign(draw uint64) float64 { return 1 + 2*float64(fork(draw, 99)>>63) }
func (c coin) Dims() (int, int)         { return c.n, c.n }
func (c coin) Forward(dst, x []float64, draw uint64) {
	scaled{c.n, c.sign(draw)}.Forward(dst, x, draw)
}
func (c coin) Pull(dx, x, dy []float64, draw uint64) { scaled{c.n, c.sign(draw)}.Pull(dx, x, dy, draw) }

// TestEOTIsTheExpectation: with two equally likely transforms, outputs and the gradient of a loss that is not linear come within
// five standard deviations of the enumerated expectation.
func TestEOTIsTheExpectation(t *testing.T) {
	net := smallNet(t, 1, 6, 9, 3)
	const n = 4000
	m := must(EOT(must(Compose(net, coin{6})), n))
	b := points(7, 1, 6)
	square := func(_ int, y, dy []float64) { dy[0] = 2 * y[0] } // the loss y_0², whose mean is not that of the mean output
	y, dx := gradients(t, m, b, square)
	one := must(Compose(net, scaled{6, 1}))
	three := must(Compose(net, scaled{6, 3}))
	y1, dx1 := gradients(t, one, b, square)
	y3, dx3 := gradients(t, three, b, square)
	check := func(what string, got, a, c float64) {
		if sigma := math.Abs(a-c) / 2 / math.Sqrt(n); math.Abs(got-(a+c)/2) > 5*sigma+1e-12 {
			t.Errorf("%s: %v, the expectation is %v ± %v", what, got, (a+c)/2, sigma)
		}
	}
	for j := range y {
		check("output", y[j], y1[j], y3[j])
	}
	for i := range dx {
		check("gradient", dx[i], dx1[i], dx3[i])
	}
}

// TestClopperPearson: known intervals; the symmetric ones mirror each other.
func TestClopperPearson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 10, 0, 1 - math.Pow(0.025, 0.1)}, {10, 10, math.Pow(0.025, 0.1), 1}, {5, 10, 0.187086, 0.812914}, {1, 20, 0.001265,
			0.248733}, {0, 1, 0, 0.975},
	} {
		low, high := ClopperPearson(c.k, c.n, 0.05)
		if math.Abs(low-c.low) > 1e-6 || math.Abs(high-c.high) > 1e-6 {
			t.Errorf("%d of %d: [%.6f, %.6f], want [%.6f, %.6f]", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

// TestSuccessRate counts fresh draws: their number, their spread, and that chunks do not repeat.
func TestSuccessRate(t *testing.T) {
	ctx := context.Background()
	m := Lift(coin{1})
	above := func(y []float64) bool { return y[0] > 2 }
	r, err := SuccessRate(ctx, m, []float64{1}, above, 1000, 5)
	if err != nil || r.Draws != 1000 || r.Hits < 420 || r.Hits > 580 || r.Low > 0.5 || r.High < 0.5 || r.High-r.Low > 0.07 {
		t.Errorf("%v, %v", r, err)
	}
	doubled := 0
	for seed := range uint64(20) {
		half, _ := SuccessRate(ctx, m, []float64{1}, above, 64, seed)
		whole, _ := SuccessRate(ctx, m, []float64{1}, above, 128, seed)
		if whole.Hits == 2*half.Hits {
			doubled++
		}
	}
	if doubled > 10 {
		t.Errorf("of 20 seeds, %d give the second 64 draws the hits of the first", doubled)
	}
	again, _ := SuccessRate(ctx, m, []float64{1}, above, 1000, 5)
	other, _ := SuccessRate(ctx, m, []float64{1}, above, 1000, 6)
	if again != r || other == r {
		t.Errorf("the same seed gives %v and %v, another one %v", r, again, other)
	}
	if r, _ := SuccessRate(ctx, m, []float64{3}, above, 100, 5); r.Hits != 100 || r.High != 1 {
		t.Errorf("what always happens: %v", r)
	}
	if _, err := SuccessRate(ctx, m, []float64{3, 4}, above, 100, 5); err == nil || !strings.Contains(err.Error(), "inputs") {
		t.Errorf("a point of another size: %v", err)
	}
}

// TestSemantic: nothing changed is the picture, whole pixels and quarter turns are exact, and the derivative is that of
// differences.
func TestSemantic(t *testing.T) {
	shape := []int{2, 5, 5}
	rng := rand.New(rand.NewPCG(3, 3))
	x := make([]float64, 50)
	for i := range x {
		x[i] = 0.2 + 0.5*rng.Float64()
	}
	all := []Property{Brightness, Contrast, Rotation, ShiftX, ShiftY, Zoom}
	at := func(z ...float64) []float64 {
		f := must(Semantic(x, shape, 0, 1, all...))
		y := make([]float64, 50)
		f.Forward(y, z, 0)
		return y
	}
	near := func(what string, got []float64, want func(c, r, k int) float64) {
		for i, v := range got {
			if w := want(i/25, i/5%5, i%5); math.Abs(v-w) > 1e-9 {
				t.Fatalf("%s: pixel %d is %v, want %v", what, i, v, w)
			}
		}
	}
	pixel := func(c, r, k int) float64 {
		if r < 0 || r > 4 || k < 0 || k > 4 {
			return 0
		}
		return x[c*25+r*5+k]
	}
	mean := 0.0
	for _, v := range x {
		mean += v / 50
	}
	near("nothing", at(0, 0, 0, 0, 0, 0), pixel)
	near("brightness", at(0.1, 0, 0, 0, 0, 0), func(c, r, k int) float64 { return pixel(c, r, k) + 0.1 })
	near("clipped", at(-0.5, 0, 0, 0, 0, 0), func(c, r, k int) float64 { return max(pixel(c, r, k)-0.5, 0) })
	near("contrast", at(0, 0.2, 0, 0, 0, 0), func(c, r, k int) float64 { return mean + 1.2*(pixel(c, r, k)-mean) })
	near("right", at(0, 0, 0, 1, 0, 0), func(c, r, k int) float64 { return pixel(c, r, k-1) })
	near("down", at(0, 0, 0, 0, 2, 0), func(c, r, k int) float64 { return pixel(c, r-2, k) })
	quarter := at(0, 0, math.Pi/2, 0, 0, 0)
	turned := func(c, r, k int) float64 { return pixel(c, 4-k, r) } // the top comes to the right
	near("quarter turn", quarter[6:19], func(c, r, k int) float64 { i := r*5 + k + 6; return turned(c, i/5, i%5) })
	z := Batch{N: 1, X: []float64{0.03, -0.1, 0.2, 0.35, -0.41, 0.11}, Draws: []uint64{0}}
	checkGradient(t, "semantic", Lift(must(Semantic(x, shape, 0, 1, all...))), z)
	dark := Batch{N: 1, X: []float64{-0.4, 0.1, 0.2, 0.35, -0.41, 0.11}, Draws: []uint64{0}} // many pixels are clipped
	checkGradient(t, "clipped", Lift(must(Semantic(x, shape, 0, 1, all...))), dark)
	twice := Lift(must(Semantic(x, shape, 0, 1, Brightness, Brightness)))
	checkGradient(t, "the same property twice", twice, Batch{N: 1, X: []float64{0.03, -0.1}, Draws: []uint64{0}})
	for i, err := range []error{second(Semantic(x, []int{5, 5}, 0, 1, Zoom)), second(Semantic(x, shape, 0, 1)),
		second(Semantic(x, shape, 0, 1, Property(9)))} {
		if err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
}
