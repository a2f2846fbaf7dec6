package defense

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// apply returns the transform of x.
func apply(t access.Transform, x []float64, draw uint64) []float64 {
	_, out := t.Dims()
	y := make([]float64, out)
	t.Forward(y, x, draw)
	return y
}

// checkPull compares Pull with central differences of step h at x, relative to the largest entry.
func checkPull(t *testing.T, name string, f access.Transform, x []float64, draw uint64, h, tol float64) {
	t.Helper()
	in, out := f.Dims()
	rng := rand.New(rand.NewPCG(9, draw))
	dy, dx := make([]float64, out), make([]float64, in)
	for i := range dy {
		dy[i] = rng.NormFloat64()
	}
	fill := func(v float64) { // what was there must not matter
		for i := range dx {
			dx[i] = v
		}
	}
	fill(7)
	f.Pull(dx, x, dy, draw)
	top := 0.0
	for _, v := range dx {
		top = max(top, math.Abs(v))
	}
	if top == 0 {
		t.Fatalf("%s: no gradient at all", name)
	}
	for i := range x {
		z := slices.Clone(x)
		z[i] = x[i] + h
		up := dot(apply(f, z, draw), dy)
		z[i] = x[i] - h
		down := dot(apply(f, z, draw), dy)
		if got := (up - down) / (2 * h); math.Abs(got-dx[i]) > tol*top {
			t.Errorf("%s: input %d: %g by differences, Pull says %g", name, i, got, dx[i])
		}
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// TestPullIsTheDerivative: what is smooth for a fixed draw has the derivative of its differences.
func TestPullIsTheDerivative(t *testing.T) {
	shape := []int{2, 5, 6}
	rng := rand.New(rand.NewPCG(1, 1))
	x := make([]float64, 60)
	for i := range x {
		x[i] = rng.Float64()
	}
	for draw := range uint64(5) {
		checkPull(t, "noise", must(Noise(60, 0.3)), x, draw, 1e-5, 1e-8)
		checkPull(t, "crop", must(RandomCrop(shape, 3)), x, draw, 1e-5, 1e-8)
		checkPull(t, "resize", must(RandomResizePad(shape, 4, 8)), x, draw, 1e-5, 1e-8)
		checkPull(t, "tv", must(TotalVariation(shape, TV{Keep: 0.6, Weight: 0.2, Bend: 0.1, Steps: 9})), x, draw, 1e-5, 1e-7)
		checkPull(t, "ramp", must(Ramp(60, 7, UpToLevel, 0.31)), x, draw, 1e-7, 1e-6)
		checkPull(t, "ramp", must(Ramp(60, 7, FromLevel, 0.31)), x, draw, 1e-7, 1e-6)
		signed := slices.Clone(x)
		for i := range signed {
			if signed[i] -= 0.5; i%4 == 0 {
				signed[i] = 0.25 // not 0: the size of an activation has a kink there
			}
		}
		checkPull(t, "pruning", must(Pruning(60, 0.4)), signed, draw, 1e-7, 1e-6)
	}
}

// TestRounding: what rounds has values of its grid and no gradient.
func TestRounding(t *testing.T) {
	x := []float64{0, 0.1, 0.13, 0.25, 0.5, 0.66, 0.92, 1, -0.3, 1.7}
	for _, c := range []struct {
		f    access.Transform
		want []float64
	}{
		{must(BitDepth(10, 1)), []float64{0, 0, 0, 0, 1, 1, 1, 1, 0, 1}},
		{must(BitDepth(10, 2)), []float64{0, 0, 0, 1. / 3, 2. / 3, 2. / 3, 1, 1, 0, 1}},
	} {
		if got := apply(c.f, x, 0); !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	shape := []int{1, 2, 5}
	for _, f := range []access.Transform{must(BitDepth(10, 3)), must(JPEG(shape, 50)), must(Thermometer(10, 10, FromLevel))} {
		in, out := f.Dims()
		dx, dy := slices.Repeat([]float64{7}, in), slices.Repeat([]float64{1}, out)
		if f.Pull(dx, x, dy, 0); !slices.Equal(dx, make([]float64, in)) {
			t.Errorf("%T: gradient %v", f, dx)
		}
	}
}

// TestThermometerCodes: the examples of the survey's table, and both orders.
func TestThermometerCodes(t *testing.T) {
	for _, c := range []struct {
		x          float64
		from, upTo string
	}{
		{0.13, "0111111111", "1100000000"}, {0.66, "0000001111", "1111111000"}, {0.92, "0000000001", "1111111111"},
		{0, "1111111111", "1000000000"}, {1, "0000000001", "1111111111"}, {0.05, "1111111111", "1000000000"},
	} {
		for o, want := range []string{c.from, c.upTo} {
			got := ""
			for _, v := range apply(must(Thermometer(1, 10, Order(o))), []float64{c.x}, 0) {
				got += fmt.Sprint(v)
			}
			if got != want {
				t.Errorf("order %d of %v: %s, want %s", o, c.x, got, want)
			}
		}
	}
}

// TestRampFollows: a narrow ramp is the thermometer wherever no threshold is near.
func TestRampFollows(t *testing.T) {
	for _, o := range []Order{FromLevel, UpToLevel} {
		therm, ramp := must(Thermometer(1, 8, o)), must(Ramp(1, 8, o, 0.01))
		for k := range 8 {
			for _, f := range []float64{0.1, 0.5, 0.9} {
				x := []float64{(float64(k) + f) / 8}
				if got, want := apply(ramp, x, 0), apply(therm, x, 0); !slices.Equal(got, want) {
					t.Errorf("order %d at %v: ramp %v, thermometer %v", o, x, got, want)
				}
			}
		}
	}
}

// TestJPEGKnown: a flat picture stays, blocks are compressed on their own, high quality is near, low quality is coarse.
func TestJPEGKnown(t *testing.T) {
	shape := []int{1, 12, 20}
	flat := slices.Repeat([]float64{128. / 255}, 240)
	if got := apply(must(JPEG(shape, 10)), flat, 0); !slices.Equal(got, flat) {
		t.Errorf("a grey picture becomes %v", got[:8])
	}
	rng := rand.New(rand.NewPCG(2, 2))
	x := make([]float64, 240)
	for i := range x {
		x[i] = 0.5 + 0.4*math.Sin(float64(i%20)/3)*math.Cos(float64(i/20)/2) + 0.02*rng.NormFloat64()
	}
	far := func(quality int) float64 {
		worst := 0.0
		for i, v := range apply(must(JPEG(shape, quality)), x, 0) {
			if v < 0 || v > 1 || math.Abs(v*255-math.Round(v*255)) > 1e-9 {
				t.Fatalf("quality %d: value %v is no byte", quality, v)
			}
			worst = max(worst, math.Abs(v-x[i]))
		}
		return worst
	}
	if a, b := far(100), far(10); a > 0.02 || b < 3*a {
		t.Errorf("largest change %v at quality 100, %v at 10", a, b)
	}
	z := slices.Clone(x)
	z[0] = 1 - z[0]
	before, after := apply(must(JPEG(shape, 50)), x, 0), apply(must(JPEG(shape, 50)), z, 0)
	for i := range before {
		if i%20 >= 8 || i/20 >= 8 {
			if before[i] != after[i] {
				t.Fatalf("a change in the first block moves pixel %d", i)
			}
		}
	}
	// A cosine of the block is one coefficient: rounding by a step of 1 keeps it.
	wave := make([]float64, 64)
	for i := range wave {
		wave[i] = math.Round(128+100*math.Cos(float64(2*(i%8)+1)*math.Pi/16)) / 255
	}
	for i, v := range apply(must(JPEG([]int{1, 8, 8}, 100)), wave, 0) {
		if math.Abs(v-wave[i]) > 1.01/255 {
			t.Errorf("pixel %d of a wave: %v, was %v", i, v, wave[i])
		}
	}
}

// TestTVMinimises: the steps approach the minimum, where the objective's slope is small, and fill the holes of a flat picture.
func TestTVMinimises(t *testing.T) {
	shape := []int{1, 8, 8}
	flat := slices.Repeat([]float64{0.7}, 64)
	got := apply(must(TotalVariation(shape, TV{Keep: 0.5, Weight: 0.1, Bend: 0.05, Steps: 3000})), flat, 3)
	for i, v := range got {
		if math.Abs(v-0.7) > 1e-3 {
			t.Errorf("pixel %d of a flat picture is %v", i, v)
		}
	}
	steps := func(n int) float64 { // the variation left of a noisy picture
		rng := rand.New(rand.NewPCG(4, 4))
		x := make([]float64, 64)
		for i := range x {
			x[i] = rng.Float64()
		}
		z := apply(must(TotalVariation(shape, TV{Keep: 1, Weight: 0.3, Bend: 0.05, Steps: n})), x, 0)
		s := 0.0
		(&tv{c: 1, h: 8, w: 8}).edges(func(i, j, n int) {
			for k := range n {
				s += math.Abs(z[i+k] - z[j+k])
			}
		})
		return s
	}
	if a, b := steps(0), steps(200); b > a/2 {
		t.Errorf("variation %v before, %v after", a, b)
	}
}

// TestTVChannels: the channels of a picture do not mix.
func TestTVChannels(t *testing.T) {
	f := must(TotalVariation([]int{2, 4, 4}, TV{Keep: 1, Weight: 0.3, Bend: 0.05, Steps: 8}))
	x := make([]float64, 32)
	for i := range x {
		x[i] = float64(i%5) / 5
	}
	z := slices.Clone(x)
	for i := range 16 {
		z[i] = 1 - z[i]
	}
	if a, b := apply(f, x, 0), apply(f, z, 0); !slices.Equal(a[16:], b[16:]) || slices.Equal(a[:16], b[:16]) {
		t.Error("a change of the first channel moves the second")
	}
}

// TestResampling: the whole window is the picture, a crop of one pixel is flat, padding is zero, means of linear ramps are kept.
func TestResampling(t *testing.T) {
	shape := []int{1, 6, 6}
	x := make([]float64, 36)
	for i := range x {
		x[i] = float64(i)
	}
	if got := apply(must(RandomCrop(shape, 6)), x, 5); !slices.Equal(got, x) {
		t.Errorf("crop to everything: %v", got)
	}
	if got := apply(must(RandomResizePad(shape, 6, 6)), x, 5); !slices.Equal(got, x) {
		t.Errorf("resize to the same: %v", got)
	}
	one := apply(must(RandomCrop(shape, 1)), x, 5)
	if one[0] != one[35] || one[0] != math.Trunc(one[0]) {
		t.Errorf("crop to one pixel: %v", one)
	}
	seen := map[float64]bool{}
	for draw := range uint64(400) {
		y := apply(must(RandomCrop(shape, 5)), x, draw)
		seen[y[0]] = true
		z := apply(must(RandomResizePad(shape, 6, 8)), x, draw)
		rows := 0
		for r := range 8 {
			if slices.ContainsFunc(z[r*8:(r+1)*8], func(v float64) bool { return v != 0 }) {
				rows++
			}
		}
		if rows < 6 || rows > 8 {
			t.Fatalf("%d rows hold a picture of 6 to 8", rows)
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d corners of 4 crops were drawn: %v", len(seen), seen)
	}
}

// TestPruningIsUnbiased: the mean over draws is the activation; nothing that is 0 is ever drawn.
func TestPruningIsUnbiased(t *testing.T) {
	h := []float64{0, 3, 0.5, 0, 1, 2}
	f := must(Pruning(6, 0.5))
	mean, square := make([]float64, 6), make([]float64, 6)
	const n = 20000
	for draw := range uint64(n) {
		for i, v := range apply(f, h, draw*0x9e3779b97f4a7c15) {
			mean[i] += v / n
			square[i] += v * v / n
		}
	}
	for i, v := range h {
		sigma := math.Sqrt((square[i] - mean[i]*mean[i]) / n)
		if math.Abs(mean[i]-v) > 5*sigma {
			t.Errorf("activation %d: mean %v, want %v within %v", i, mean[i], v, 5*sigma)
		}
	}
	if got := apply(f, make([]float64, 6), 1); !slices.Equal(got, make([]float64, 6)) {
		t.Errorf("of nothing: %v", got)
	}
}

// TestDrawsDecide: the same draw gives the same output, another one another.
func TestDrawsDecide(t *testing.T) {
	shape := []int{1, 6, 6}
	x := make([]float64, 36)
	for i := range x {
		x[i] = float64(i*i%17) / 17
	}
	for name, f := range map[string]access.Transform{"noise": must(Noise(36, 1)), "crop": must(RandomCrop(shape, 3)),
		"resize": must(RandomResizePad(shape, 5, 9)), "tv": must(TotalVariation(shape, TV{Keep: 0.5, Weight: 0.1, Bend: 0.1,
			Steps: 3})),
		"pruning": must(Pruning(36, 0.3))} {
		if !slices.Equal(apply(f, x, 1), apply(f, x, 1)) {
			t.Errorf("%s: the same draw, another output", name)
		}
		differ := 0
		for draw := range uint64(20) {
			if !slices.Equal(apply(f, x, draw), apply(f, x, draw+1)) {
				differ++
			}
		}
		if differ < 10 {
			t.Errorf("%s: only %d of 20 draws differ", name, differ)
		}
	}
}

// TestRefused: what makes no sense is an error, not a panic.
func TestRefused(t *testing.T) {
	for i, err := range []error{
		second(BitDepth(0, 3)), second(BitDepth(3, 0)), second(JPEG([]int{28, 28}, 50)), second(JPEG([]int{1, 2, 2},
			0)), second(Noise(3, math.NaN())),
		second(RandomCrop([]int{1, 5, 5}, 6)), second(RandomCrop([]int{1, 5, 5}, 0)), second(RandomResizePad([]int{1, 5, 5}, 6,
			5)),
		second(TotalVariation([]int{1, 5, 5}, TV{})), second(Thermometer(4, 1, 0)), second(Ramp(4, 3, 0, 0)), second(Pruning(3,
			0)), second(Pruning(3, math.NaN())),
	} {
		if err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
}

func second[T any](_ T, err error) error { return err }
