package evasion

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/prog"
)

// affine is the model y = W·x + b.
func affine(t testing.TB, w [][]float64, b []float64) access.Gradients {
	t.Helper()
	flat := make([]float64, 0, len(w)*len(w[0]))
	for _, r := range w {
		flat = append(flat, r...)
	}
	bd := prog.NewBuilder(len(w[0]))
	out := bd.Affine("linear", len(w), b, 0, prog.Term{Src: 0, Map: prog.Dense(len(w), len(w[0]), flat)})
	p, err := bd.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	return access.Program(p)
}

// binary is a linear classifier of two classes whose class 0 has margin f(x) = w·x + c. The input is on the float32 grid.
type binary struct {
	w     []float64
	c     float64
	x     []float64
	model access.Gradients
}

// newBinary draws one with d inputs in [0,1], the input well inside and the margin so that the distances are between 0.01 and 0.2 per
// coordinate.
func newBinary(t testing.TB, rng *rand.Rand, d int) *binary {
	b := &binary{w: make([]float64, d), x: make([]float64, d)}
	s, l1 := 0.0, 0.0
	for i := range b.w {
		b.w[i] = math.Round((2*rng.Float64()-1)*64) / 64
		if b.w[i] == 0 {
			b.w[i] = 1.0 / 64
		}
		b.x[i] = math.Round((0.4+0.2*rng.Float64())*256) / 256
		s += b.w[i] * b.x[i]
		l1 += math.Abs(b.w[i])
	}
	m := math.Round(l1*(0.01+0.05*rng.Float64())*4096) / 4096
	b.c = m - s
	b.model = affine(t, [][]float64{b.w, make([]float64, d)}, []float64{b.c, 0})
	return b
}

func (b *binary) margin() float64 { return dot(b.w, b.x) + b.c }

// distance is the least perturbation. In L1 that moves the coordinates of the largest slopes to their ends, one after the other; in
// the other norms no end is met.
func (b *binary) distance(n Norm) float64 {
	if n != L1 {
		return b.margin() / n.dual(b.w)
	}
	order := make([]int, len(b.w))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(math.Abs(b.w[j]), math.Abs(b.w[i])) })
	left, d := b.margin(), 0.0
	for _, i := range order {
		room := b.x[i]
		if b.w[i] < 0 {
			room = 1 - b.x[i]
		}
		s := math.Abs(b.w[i])
		if s*room >= left {
			return d + left/s
		}
		left -= s * room
		d += room
	}
	return math.Inf(1)
}

func (b *binary) task() Task {
	lo, hi := make([]float64, len(b.x)), make([]float64, len(b.x))
	for i := range hi {
		hi[i] = 1
	}
	return Task{X: b.x, Lower: lo, Upper: hi, Goal: Untargeted(0, 2)}
}

func attack(t testing.TB, name string, model any, task Task, opt Options) Result {
	t.Helper()
	m, params, err := Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	if opt.Params == nil {
		opt.Params = params
	}
	r, err := m.Run(context.Background(), model, []Task{task}, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// TestLinearFixed: on a linear classifier an attack within a radius succeeds just above the analytic distance and never below.
func TestLinearFixed(t *testing.T) {
	for _, c := range []struct {
		attack string
		norms  []Norm
		slack  float64 // relative, above the analytic distance
	}{
		{"fgsm", []Norm{Linf, L2}, 1e-5},
		{"bim", []Norm{Linf, L2}, 1e-5},
		{"mifgsm", []Norm{Linf, L2}, 1e-5},
		{"pgd", []Norm{Linf}, 1e-5},
		{"pgd:steps=200,restarts=2", []Norm{L2}, 0.02},
		{"pgd:steps=300", []Norm{L1}, 0.05},
		{"apgd", []Norm{Linf, L2}, 1e-5},
		{"apgd", []Norm{L1}, 0.02},
		{"apgd-t", []Norm{Linf, L2}, 1e-5},
		{"apgd-t", []Norm{L1}, 0.02},
	} {
		for _, n := range c.norms {
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			for k := range 20 {
				b := newBinary(t, rng, 8+k)
				d := b.distance(n)
				for _, loss := range []string{"margin", "ce", "logodds"} {
					name := c.attack + ":loss=" + loss
					if len(c.attack) > 6 {
						name = c.attack + ",loss=" + loss
					}
					if r := attack(t, name, b.model, b.task(), Options{Norm: n, Eps: d * (1 + c.slack), Seed: uint64(k)}); r.Status != Found {
						t.Errorf("%s %v: %v at %g over the distance, best margin %v", name, n, r.Status, c.slack, r.Best)
					} else if r.Distance > d*(1+c.slack) && n != Linf {
						t.Errorf("%s %v: at distance %v, radius %v", name, n, r.Distance, d*(1+c.slack))
					}
					if r := attack(t, name, b.model, b.task(), Options{Norm: n, Eps: d * (1 - 1e-6), Seed: uint64(k)}); r.Status != Failed {
						t.Errorf("%s %v: %v below the distance", name, n, r.Status)
					}
				}
			}
		}
	}
}

// TestJudge: what the judge refuses is not returned; a minimal attack moves a refused point outward until it is accepted.
func TestJudge(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for k := range 10 {
		b := newBinary(t, rng, 12)
		d := b.distance(L2)
		asked := 0
		judge := func(_ int, x []float64) bool { asked++; return dot(b.w, x)+b.c < -1e-5*b.margin() }
		r := attack(t, "fab", b.model, b.task(), Options{Norm: L2, Eps: math.Inf(1), Seed: uint64(k), Judge: judge})
		if r.Status != Found || !judge(0, r.X) || r.Distance > d*(1+2e-4) || r.Distance < d {
			t.Errorf("%v at %v, the boundary is at %v", r.Status, r.Distance, d)
		}
		if asked > 20 {
			t.Errorf("the judge was asked %d times", asked)
		}
		never := func(int, []float64) bool { return false }
		for _, eps := range []float64{math.Inf(1), 2 * d} {
			if r := attack(t, "fab", b.model, b.task(), Options{Norm: L2, Eps: eps, Judge: never}); r.Status != Failed || r.X != nil {
				t.Errorf("radius %v: %v although the judge refuses everything", eps, r.Status)
			}
		}
	}
}

// broken is a model with a defect.
type broken struct{}

func (broken) Dims() (inputs, outputs int) { return 4, 2 }

func (broken) Scores(context.Context, access.Batch, []float64) error { panic("defect") }

// TestPanicReachesCaller: a panic of a worker is one of the caller's goroutine, where it can be recovered.
func TestPanicReachesCaller(t *testing.T) {
	b := newBinary(t, rand.New(rand.NewPCG(6, 6)), 4)
	defer func() {
		if s, ok := recover().(string); !ok || !strings.Contains(s, "defect") {
			t.Errorf("recovered %v", s)
		}
	}()
	attack(t, "square", broken{}, b.task(), Options{Norm: Linf, Eps: 0.1})
}
