package evasion

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/spec"
)

// scripted answers the k-th question for a gradient with the k-th margin of class 1 and the k-th slope, and remembers the points.
type scripted struct {
	margin []float64
	slope  [][]float64
	seen   [][]float64
}

func (s *scripted) Dims() (int, int) { return len(s.slope[0]), 2 }

func (s *scripted) Scores(_ context.Context, b access.Batch, y []float64) error {
	for i := range b.N {
		y[2*i], y[2*i+1] = 0, -100
	}
	return nil
}

func (s *scripted) Gradients(_ context.Context, b access.Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	k := len(s.seen)
	s.seen = append(s.seen, slices.Clone(b.X))
	y[0], y[1] = 0, s.margin[min(k, len(s.margin)-1)]
	dy := make([]float64, 2)
	pull(0, y, dy)
	for i, v := range s.slope[min(k, len(s.slope)-1)] {
		dx[i] = dy[1] * v
	}
	return nil
}

// play runs an attack on a script from the middle of a wide box.
func play(t *testing.T, name string, s *scripted) {
	t.Helper()
	n, _ := s.Dims()
	attack(t, name, s, Task{X: make([]float64, n), Goal: Untargeted(0, 2)}, Options{Norm: Linf, Eps: 64, Workers: 1})
}

// TestMomentum: the second step of MI-FGSM follows the sum of the gradients divided by their L1 norms.
func TestMomentum(t *testing.T) {
	s := &scripted{margin: []float64{-1}, slope: [][]float64{{4, 4}, {-1, 3}, {1, 1}}}
	play(t, "mifgsm:steps=4", s)
	// 1/2, 1/2 and then −1/4, 3/4 more: both still rise. Without momentum, or with unscaled gradients, the first falls.
	if want := [][]float64{{0, 0}, {16, 16}, {32, 32}}; !slices.Equal(s.seen[1], want[1]) || !slices.Equal(s.seen[2], want[2]) {
		t.Errorf("visited %v", s.seen[:3])
	}
	s = &scripted{margin: []float64{-1}, slope: [][]float64{{1, 1}, {-1000, 3}, {1, 1}}}
	play(t, "mifgsm:steps=4", s)
	if want := []float64{0, 32}; !slices.Equal(s.seen[2], want) {
		t.Errorf("visited %v, want %v third", s.seen[:3], want)
	}
}

// TestAPGDSchedule: momentum 0.75; at a checkpoint without progress the search goes back to the best point and the step is halved; every
// restart has its own start.
func TestAPGDSchedule(t *testing.T) {
	s := &scripted{margin: []float64{-1, -2, -3, -4, -5, -6, -7, -8}, slope: [][]float64{{1, -1}}}
	play(t, "apgd:steps=10,loss=margin", s)
	clip := func(v float64) float64 { return min(max(v, -64), 64) }
	step := func(x, prev, eta, m float64, i int) float64 {
		dir := []float64{1, -1}[i]
		return clip(x + m*(clip(x+dir*eta)-x) + (1-m)*(x-prev))
	}
	for i := range 2 {
		x0 := s.seen[0][i]
		x1 := step(x0, x0, 128, 1, i)
		x2 := step(x1, x0, 128, 0.75, i)
		back := step(x0, x0, 64, 0.75, i) // two steps make the first checkpoint
		for k, want := range []float64{x0, x1, x2, back} {
			if got := s.seen[k][i]; math.Abs(got-want) > 1e-4 {
				t.Errorf("point %d, input %d: %v, want %v", k, i, got, want)
			}
		}
	}
	s = &scripted{margin: []float64{-1, -2}, slope: [][]float64{{1}, {-1}}}
	play(t, "apgd:steps=10,loss=margin", s)
	x0, x1 := s.seen[0][0], s.seen[1][0]
	if want := x1 + 0.75*(-64-x1) + 0.25*(x1-x0); x1 != 64 || math.Abs(s.seen[2][0]-want) > 1e-4 {
		t.Errorf("from %v and %v to %v, want %v: the momentum", x0, x1, s.seen[2][0], want)
	}
	s = &scripted{margin: []float64{-1}, slope: [][]float64{{1, -1}}}
	play(t, "apgd:steps=10,restarts=3,loss=margin", s)
	if len(s.seen) != 33 || slices.Equal(s.seen[0], s.seen[11]) {
		t.Errorf("%d gradients, starts %v and %v", len(s.seen), s.seen[0], s.seen[11])
	}
	s = &scripted{margin: []float64{-1}, slope: [][]float64{{1, -1}}}
	play(t, "pgd:steps=10,restarts=2,loss=margin", s)
	if len(s.seen) != 20 || slices.Equal(s.seen[0], s.seen[10]) || s.seen[0][0] == 0 {
		t.Errorf("%d gradients, starts %v and %v", len(s.seen), s.seen[0], s.seen[10])
	}
}

// targets records which class every gradient raises.
type targets struct{ raised []int }

func (m *targets) Dims() (int, int) { return 2, 4 }

func (m *targets) Scores(_ context.Context, b access.Batch, y []float64) error {
	for i := range b.N {
		copy(y[4*i:], []float64{-3, 0, -1, -2})
	}
	return nil
}

func (m *targets) Gradients(ctx context.Context, b access.Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	if err := m.Scores(ctx, b, y); err != nil {
		return err
	}
	for i := range b.N {
		dy := make([]float64, 4)
		pull(i, y[4*i:4*i+4], dy)
		m.raised = append(m.raised, access.Argmax(dy))
		dx[2*i] = 1
	}
	return nil
}

// TestTargets: the targeted ascent raises every other class in turn, the closest first, and no more than it was told.
func TestTargets(t *testing.T) {
	for _, c := range []struct {
		attack string
		want   []int
	}{{"apgd-t:steps=2,loss=margin", []int{2, 3, 0}}, {"apgd-t:steps=2,targets=2,loss=margin", []int{2, 3}},
		{"apgd-t:steps=2,targets=1,restarts=2,loss=ce", []int{2, 2}}} {
		m := &targets{}
		attack(t, c.attack, m, Task{X: make([]float64, 2), Goal: Untargeted(1, 4)}, Options{Norm: Linf, Eps: 1, Workers: 1})
		var want []int
		for _, class := range c.want {
			want = append(want, class, class, class) // the start and two steps
		}
		if !slices.Equal(m.raised, want) {
			t.Errorf("%s raises %v, want %v", c.attack, m.raised, want)
		}
	}
}

// TestLossGradients compares every loss's gradient with central differences, for every kind of goal.
func TestLossGradients(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	rows := func() (out []spec.Row) {
		for range 1 + rng.IntN(3) {
			out = append(out, spec.Row{Y: []spec.Coef{{Index: rng.IntN(6), Value: rng.NormFloat64()}, {Index: rng.IntN(6), Value: 1}},
				X: []spec.Coef{{Index: rng.IntN(3), Value: rng.NormFloat64()}}, RHSLower: rng.NormFloat64()})
		}
		return out
	}
	for trial := range 200 {
		x, y := make([]float64, 3), make([]float64, 6)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		for i := range y {
			y[i] = 2 * rng.NormFloat64()
		}
		unsafe := &Goal{cases: [][]spec.Row{rows(), rows()}, label: -1, target: -1, outputs: 6}
		for kind, g := range []*Goal{Untargeted(2, 6), Targeted(3, 6), Untargeted(2, 6).Case(1), Untargeted(2, 6).Case(4), unsafe} {
			for l := Margin; l <= DLR; l++ {
				dy, dx := make([]float64, 6), make([]float64, 3)
				l.Value(g, x, y, dy, dx)
				const h = 1e-5
				check := func(what string, v []float64, d []float64) {
					for i := range v {
						old := v[i]
						v[i] = old + h
						up := l.Value(g, x, y, nil, nil)
						v[i] = old - h
						down := l.Value(g, x, y, nil, nil)
						v[i] = old
						if fd := (up - down) / (2 * h); math.Abs(fd-d[i]) > 1e-5*(1+math.Abs(fd)) {
							t.Fatalf("trial %d: goal %d, %v by %s %d: %v, differences say %v", trial, kind, l, what, i, d[i], fd)
						}
					}
				}
				check("output", y, dy)
				check("input", x, dx)
			}
		}
	}
}

// TestDistanceRoundsUp compares with exact arithmetic.
func TestDistanceRoundsUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for trial := range 2000 {
		n := 1 + rng.IntN(40)
		x, x0 := make([]float64, n), make([]float64, n)
		linf, l1, l2 := new(big.Rat), new(big.Rat), new(big.Rat)
		for i := range x {
			x[i], x0[i] = float64(float32(rng.NormFloat64())), float64(float32(rng.NormFloat64()*math.Ldexp(1, rng.IntN(40)-20)))
			d := new(big.Rat).Sub(new(big.Rat).SetFloat64(x[i]), new(big.Rat).SetFloat64(x0[i]))
			d.Abs(d)
			if d.Cmp(linf) > 0 {
				linf.Set(d)
			}
			l1.Add(l1, d)
			l2.Add(l2, d.Mul(d, d))
		}
		for norm, exact := range map[Norm]*big.Rat{Linf: linf, L1: l1, L2: l2} {
			got := new(big.Rat).SetFloat64(norm.Distance(x, x0))
			low := new(big.Rat).SetFloat64(norm.Distance(x, x0) * (1 - 1e-12))
			if norm == L2 {
				got.Mul(got, got)
				low.Mul(low, low)
			}
			if got.Cmp(exact) < 0 || low.Cmp(exact) > 0 {
				t.Fatalf("trial %d: %v distance %v", trial, norm, norm.Distance(x, x0))
			}
		}
	}
}

// TestRegion: the box is the float32 grid inside ball and valid range, to the last number.
func TestRegion(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	for range 2000 {
		x, eps := float64(float32(rng.Float64())), rng.Float64()/10
		task := Task{X: []float64{x}, Lower: []float64{x - rng.Float64()/10}, Upper: []float64{x + rng.Float64()/10}}
		lo, hi := region(&task, Linf, eps)
		outside := func(v float64) bool {
			d := new(big.Rat).Sub(new(big.Rat).SetFloat64(v), new(big.Rat).SetFloat64(x))
			return v < task.Lower[0] || v > task.Upper[0] || d.Abs(d).Cmp(new(big.Rat).SetFloat64(eps)) > 0
		}
		below, above := float64(math.Nextafter32(float32(lo[0]), -2)), float64(math.Nextafter32(float32(hi[0]), 2))
		if float64(float32(lo[0])) != lo[0] || float64(float32(hi[0])) != hi[0] || outside(lo[0]) || outside(hi[0]) || !outside(below) || !outside(above) {
			t.Fatalf("x %v, radius %v, range [%v, %v]: [%v, %v]", x, eps, task.Lower[0], task.Upper[0], lo[0], hi[0])
		}
	}
}
