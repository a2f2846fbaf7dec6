package defense

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/prog"
)

// linear is the classifier of two classes with margin w·x + c for class 0.
func linear(t testing.TB, w []float64, c float64) access.Gradients {
	t.Helper()
	b := prog.NewBuilder(len(w))
	rows := append(slices.Clone(w), make([]float64, len(w))...)
	p, err := b.Program(b.Affine("linear", 2, []float64{c, 0}, 0, prog.Term{Src: 0, Map: prog.Dense(2, len(w), rows)}))
	if err != nil {
		t.Fatal(err)
	}
	return access.Program(p)
}

func unit(n int) (lo, hi []float64) { return make([]float64, n), slices.Repeat([]float64{1}, n) }

func pgd(t testing.TB, m any, name string, x []float64, eps float64) evasion.Result {
	t.Helper()
	method, params, err := evasion.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := unit(len(x))
	r, err := method.Run(context.Background(), m, []evasion.Task{{X: x, Lower: lo, Upper: hi, Goal: evasion.Untargeted(0, 2)}},
		evasion.Options{Norm: evasion.Linf, Eps: eps, Params: params, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// TestRoundingMasksBPDASees: in front of a linear classifier rounding takes the gradient away; BPDA with the identity reaches the
// corner of the ball, where the rounded margin has a closed form.
func TestRoundingMasksBPDASees(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const n, levels = 40, 15 // 4 bits
	w, x := make([]float64, n), make([]float64, n)
	sum := 0.0
	for i := range w {
		w[i] = rng.NormFloat64()
		x[i] = (3 + math.Floor(9*rng.Float64())) / levels // on the grid and away from the ends
		sum += w[i] * x[i]
	}
	x = onGrid32(x)
	l1 := 0.0
	for _, v := range w {
		l1 += math.Abs(v)
	}
	const margin = 1.5 // in units of one level times |w|₁: two levels are needed, one is not enough
	m := linear(t, w, margin*l1/levels-sum)
	depth := must(BitDepth(n, 4))
	plain := must(access.Compose(m, depth))
	seen := must(access.Compose(m, must(access.BPDA(depth, nil))))
	const far = 1.6 / levels // rounds to two levels
	// The random start of one PGD run is the only chance without a gradient.
	if r := pgd(t, plain, "pgd:steps=40,loss=margin", x, far); r.Status != evasion.Failed {
		t.Errorf("PGD without a gradient: %v at %v", r.Status, r.Distance)
	}
	r := pgd(t, seen, "pgd:steps=40,loss=margin", x, far)
	if r.Status != evasion.Found {
		t.Fatalf("BPDA: %v, best margin %v", r.Status, r.Best)
	}
	corner := make([]float64, n)
	for i, v := range x {
		corner[i] = v - math.Copysign(far, w[i])
	}
	y := apply(depth, corner, 0)
	if got, want := dot(w, y)+margin*l1/levels-sum, -0.5*l1/levels; math.Abs(got-want) > 1e-5 {
		t.Errorf("margin in the corner %v, want %v", got, want)
	}
	if r := pgd(t, seen, "pgd:steps=40,loss=margin", x, 1.4/levels); r.Status != evasion.Failed { // rounds to one level
		t.Errorf("BPDA below the closed-form distance: %v at %v", r.Status, r.Distance)
	}
}

func onGrid32(x []float64) []float64 {
	for i, v := range x {
		x[i] = float64(float32(v))
	}
	return x
}

// swing adds ±s·v·(x − x0) to the last input, the sign drawn: its mean is nothing, its gradient at any draw is mostly v.
type swing struct {
	x0, v []float64
}

func (s swing) Dims() (int, int) { return len(s.x0), len(s.x0) + 1 }
func (s swing) sign(draw uint64) float64 {
	return float64(2*int(random(draw).Uint64()>>63) - 1)
}
func (s swing) Forward(dst, x []float64, draw uint64) {
	copy(dst, x)
	last := 0.0
	for i, v := range x {
		last += s.v[i] * (v - s.x0[i])
	}
	dst[len(x)] = s.sign(draw) * last
}
func (s swing) Pull(dx, _, dy []float64, draw uint64) {
	for i := range dx {
		dx[i] = dy[i] + s.sign(draw)*s.v[i]*dy[len(dx)]
	}
}

// TestRandomnessMasksEOTSees: when the gradient of a draw is mostly noise, PGD on single draws walks at random; on the mean of
// draws it finds the point that is wrong whatever is drawn.
func TestRandomnessMasksEOTSees(t *testing.T) {
	const n = 64
	x := slices.Repeat([]float64{0.5}, n)
	w, v := make([]float64, n+1), make([]float64, n)
	for i := range n {
		w[i] = 1 - 2*float64(i%2) // signs ±1
		v[i] = 4 * (1 - 2*float64(i/2%2))
	}
	w[n] = 1 // reads the noise; v is orthogonal to the signs of w
	const margin = 0.1 * n * 0.8
	m := linear(t, w, margin) // w·x0 = 0
	plain := must(access.Compose(m, swing{x, v}))
	always := func(x []float64) float64 {
		r, err := access.SuccessRate(context.Background(), plain, x, func(y []float64) bool { return y[0] <= y[1] }, 200, 77)
		if err != nil {
			t.Fatal(err)
		}
		return r.Share()
	}
	if s := always(x); s != 0 {
		t.Fatalf("the input itself is wrong in %v of draws", s)
	}
	search := func(m access.Gradients) float64 {
		best := 0.0
		method, params, _ := evasion.Parse("pgd:steps=60,loss=margin")
		lo, hi := unit(n)
		_, err := method.Run(context.Background(), m, []evasion.Task{{X: x, Lower: lo, Upper: hi, Goal: evasion.Untargeted(0,
			2)}},
			evasion.Options{Norm: evasion.Linf, Eps: 0.1, Params: params, Seed: 3, Judge: func(_ int, x []float64) bool {
				best = max(best, always(x))
				return best > 0.95
			}})
		if err != nil {
			t.Fatal(err)
		}
		return best
	}
	if s := search(plain); s > 0.7 {
		t.Errorf("single draws find a point that is wrong in %v of draws", s)
	}
	if s := search(must(access.EOT(plain, 256))); s < 0.95 {
		t.Errorf("the mean of draws finds a point that is wrong in %v of draws only", s)
	}
}
