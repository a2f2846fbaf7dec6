package attacks

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

func box(lo, hi []float64) spec.Box {
	b := spec.Box{Lower: lo, Upper: hi}
	for i := range lo {
		l, h := float32(lo[i]), float32(hi[i])
		if float64(l) < lo[i] {
			l = math.Nextafter32(l, float32(math.Inf(1)))
		}
		if float64(h) > hi[i] {
			h = math.Nextafter32(h, float32(math.Inf(-1)))
		}
		b.InLower, b.InUpper = append(b.InLower, l), append(b.InUpper, h)
	}
	return b
}

func ball(x []float64, eps float64) spec.Box {
	lo, hi := make([]float64, len(x)), make([]float64, len(x))
	for i, v := range x {
		lo[i], hi[i] = v-eps, v+eps
	}
	return box(lo, hi)
}

// below is the row y_i ≤ rhs.
func below(i int, rhs float64) spec.Row {
	return spec.Row{Y: []spec.Coef{{Index: i, Value: 1}}, RHSLower: rhs, RHSUpper: rhs}
}

// above is the row y_i ≥ rhs.
func above(i int, rhs float64) spec.Row {
	return spec.Row{Y: []spec.Coef{{Index: i, Value: -1}}, RHSLower: -rhs, RHSUpper: -rhs}
}

func problem(p *prog.Program, boxes []spec.Box, cases ...spec.Case) *spec.Problem {
	return &spec.Problem{NumInputs: p.Nodes[0].N, NumOutputs: p.Nodes[p.Output].N, Boxes: boxes, Cases: cases}
}

// net is y = V·relu(W·x + b) + c, or affine alone when V is nil.
func net(t testing.TB, in int, W, b, V, c []float64) *prog.Program {
	t.Helper()
	bl := prog.NewBuilder(in)
	h := len(W) / in
	out := bl.Affine("z", h, b, 0, prog.Term{Src: 0, Map: prog.Dense(h, in, W)})
	if V != nil {
		m := len(V) / h
		out = bl.Affine("y", m, c, 0, prog.Term{Src: bl.Relu("x", out), Map: prog.Dense(m, h, V)})
	}
	p, err := bl.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mustFind checks a witness from scratch: in a case's decimal box, on the grid, rows true at an independent evaluation.
func mustFind(t *testing.T, p *prog.Program, pr *spec.Problem, w *spec.Witness, err error) {
	t.Helper()
	if err != nil || w == nil {
		t.Fatalf("not found: %v, %v", w, err)
	}
	verifyWitness(t, p, pr, w)
}

func verifyWitness(t testing.TB, p *prog.Program, pr *spec.Problem, w *spec.Witness) {
	t.Helper()
	c := &pr.Cases[w.Case]
	b := &pr.Boxes[c.Box]
	for i, v := range w.X {
		if v < float64(b.InLower[i]) || v > float64(b.InUpper[i]) || float64(float32(v)) != v {
			t.Fatalf("input %d: %v outside [%v, %v] or no float32", i, v, b.InLower[i], b.InUpper[i])
		}
	}
	y := p.Eval(w.X, 1, nil)[p.Output]
	if m, row := c.Margin(w.X, y); !(m >= 0) || !(w.Margin >= 0) {
		t.Fatalf("row %d has margin %v, witness says %v", row, m, w.Margin)
	}
}

// TestLinearDistance: an affine network is violated within ε exactly when ε ≥ m/‖w‖₁.
func TestLinearDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for trial := range 30 {
		n := 1 + r.IntN(60)
		w, x := make([]float64, n), make([]float64, n)
		var norm, m float64
		for i := range w {
			w[i], x[i] = float64(float32(r.NormFloat64())), float64(float32(r.NormFloat64()))
			norm += math.Abs(w[i])
			m += w[i] * x[i]
		}
		p := net(t, n, w, []float64{float64(float32(1 - m))}, nil, nil) // y(x) ≈ 1
		radius := 1 / norm
		pr := problem(p, []spec.Box{ball(x, radius*1.001)}, spec.Case{Rows: []spec.Row{below(0, 0)}})
		got, err := Search(context.Background(), p, pr, Options{Seed: uint64(trial), Work: 1e7})
		mustFind(t, p, pr, got, err)
		if !got.AnyOrder {
			t.Errorf("trial %d: not for every order, margin %v", trial, got.Margin)
		}
		pr = problem(p, []spec.Box{ball(x, radius*0.999)}, spec.Case{Rows: []spec.Row{below(0, 0)}})
		if got, _ = Search(context.Background(), p, pr, Options{Work: 1e6}); got != nil {
			t.Fatalf("trial %d: witness %+v where none exists", trial, got)
		}
	}
}

// bump is k·relu(h − Σ|x_i − a_i|), positive in a small diamond around a; it is flat elsewhere.
func bump(t testing.TB, a []float64, h float64) *prog.Program {
	t.Helper()
	n := len(a)
	W, b := make([]float64, 2*n*n), make([]float64, 2*n)
	V := make([]float64, 2*n)
	for i, v := range a {
		W[2*i*n+i], b[2*i] = 1, -v
		W[(2*i+1)*n+i], b[2*i+1] = -1, v
		V[2*i], V[2*i+1] = -1, -1
	}
	bl := prog.NewBuilder(n)
	x := bl.Relu("x", bl.Affine("z", 2*n, b, 0, prog.Term{Src: 0, Map: prog.Dense(2*n, n, W)}))
	d := bl.Affine("d", 1, []float64{h}, 0, prog.Term{Src: x, Map: prog.Dense(1, 2*n, V)})
	p, err := bl.Program(bl.Affine("y", 1, nil, 0, prog.Term{Src: bl.Relu("r", d), Map: prog.Dense(1, 1, []float64{1 / h})}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlanted: the gradient is zero outside a small diamond, so starts must come from sampling and restarts.
func TestPlanted(t *testing.T) {
	for _, c := range []struct {
		name string
		a    []float64
		h    float64
	}{
		{"1-D spike of width 2e-3", []float64{0.3217}, 1e-3},
		{"2-D diamond", []float64{0.123, 0.877}, 0.02},
		{"4-D diamond", []float64{0.2, 0.7, 0.4, 0.55}, 0.2},
		{"corner of 8-D", []float64{0, 1, 1, 0, 1, 0, 0, 1}, 0.01},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := bump(t, c.a, c.h)
			n := len(c.a)
			one := make([]float64, n)
			for i := range one {
				one[i] = 1
			}
			pr := problem(p, []spec.Box{box(make([]float64, n), one)}, spec.Case{Rows: []spec.Row{above(0, 0.9)}})
			got, err := Search(context.Background(), p, pr, Options{})
			mustFind(t, p, pr, got, err)
		})
	}
}

// centred returns a searcher with eight lanes at the centre of box 0.
func centred(t *testing.T, p *prog.Program, pr *spec.Problem, step float64) (*Searcher, *lanes) {
	t.Helper()
	s, err := NewSearcher(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	s.start(context.Background(), Options{})
	l := s.lanes(8)
	for r := range l.R {
		l.setBox(r, s, 0, -1)
		l.centre(r)
		l.step[r] = step
	}
	return s, l
}

// TestBasins: from the centre the gradient leads to a local maximum that is no counterexample; only other starts succeed.
func TestBasins(t *testing.T) {
	// y = relu(x − 0.4) capped by −3·relu(x − 0.6), and a second, higher hill left of 0.2: 2·relu(0.2 − x).
	p := net(t, 1, []float64{1, 1, -1}, []float64{-0.4, -0.6, 0.2}, []float64{1, -3, 2}, []float64{0})
	pr := problem(p, []spec.Box{box([]float64{0}, []float64{1})}, spec.Case{Rows: []spec.Row{above(0, 0.39)}})
	s, l := centred(t, p, pr, 0.05)
	if !s.pgd(l, pgdPlan{steps: 20, decay: 0.9}) {
		t.Fatal("the centre alone succeeds: the test tests nothing")
	}
	s.start(context.Background(), Options{})
	for r := range l.R {
		l.uniform(r, s.rng)
		l.step[r] = 0.05
	}
	s.pgd(l, pgdPlan{steps: 20, decay: 0.9})
	mustFind(t, p, pr, s.best, nil)
}

// TestPolytope: both rows of a case hold in a thin wedge only; the worst row alone zigzags across it.
func TestPolytope(t *testing.T) {
	// Rows: |x0 − x1| ≤ 1e-3 in two rows, and x0 + x1 + x2 ≥ 2.9.
	p := net(t, 3, []float64{1, -1, 0, 1, 1, 1}, nil, nil, nil)
	pr := problem(p, []spec.Box{box([]float64{0, 0, 0}, []float64{1, 0.97, 1})},
		spec.Case{Rows: []spec.Row{below(0, 1e-3), above(0, -1e-3), above(1, 2.9)}})
	got, err := Search(context.Background(), p, pr, Options{Work: 1e8})
	mustFind(t, p, pr, got, err)
}

// TestInputRows: the row depends on the input as well; its own gradient must be followed.
func TestInputRows(t *testing.T) {
	n := 40
	W := make([]float64, n)
	W[0] = 1
	p := net(t, n, W, nil, nil, nil)
	lo, hi := make([]float64, n), make([]float64, n)
	row := spec.Row{RHSLower: -39.5, RHSUpper: -39.5, Y: []spec.Coef{{Index: 0, Value: -1}}}
	for i := range hi {
		hi[i] = 1
		if i > 0 {
			row.X = append(row.X, spec.Coef{Index: i, Value: -1})
		}
	}
	pr := problem(p, []spec.Box{box(lo, hi)}, spec.Case{Rows: []spec.Row{row}, Box: 0})
	s, l := centred(t, p, pr, 0.2)
	s.pgd(l, pgdPlan{steps: 10, decay: 1})
	mustFind(t, p, pr, s.best, nil)
}

// TestProjection: every point that pgd, refine and evolve visit stays on the grid in the box, although the gradient leads out.
func TestProjection(t *testing.T) {
	p := net(t, 2, []float64{1, 1}, nil, nil, nil)
	pr := problem(p, []spec.Box{box([]float64{0.1, 0.25}, []float64{0.3, 0.25})}, spec.Case{Rows: []spec.Row{above(0, 1)}})
	s, err := NewSearcher(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	s.start(context.Background(), Options{Work: 1e5})
	s.portfolio(Options{})
	if len(s.archive) == 0 || s.best != nil {
		t.Fatalf("archive %d, witness %+v", len(s.archive), s.best)
	}
	for _, e := range s.archive {
		if !pr.Boxes[0].Contains(e.x) {
			t.Fatalf("%v left the box", e.x)
		}
	}
	if top := s.archive[0]; top.x[0] != float64(pr.Boxes[0].InUpper[0]) {
		t.Errorf("best point %v is not the upper end", top.x)
	}
	if !slices.IsSortedFunc(s.archive, func(a, b elite) int { return int(math.Copysign(1, b.margin-a.margin)) }) {
		t.Error("archive out of order")
	}
}

// TestManyBoxes: one of thousands of boxes holds the counterexample, away from its centre.
func TestManyBoxes(t *testing.T) {
	p := net(t, 1, []float64{1}, nil, nil, nil)
	var boxes []spec.Box
	var cases []spec.Case
	for i := range 5000 {
		lo := float64(i)
		boxes = append(boxes, box([]float64{lo}, []float64{lo + 0.5}))
		rhs := lo - 1
		if i == 3210 {
			rhs = lo + 0.125
		}
		cases = append(cases, spec.Case{Box: i, Rows: []spec.Row{below(0, rhs)}})
	}
	pr := problem(p, boxes, cases...)
	got, err := Search(context.Background(), p, pr, Options{Work: 1e6})
	mustFind(t, p, pr, got, err)
	if got.Case != 3210 {
		t.Errorf("case %d", got.Case)
	}
}

// rounded is y = 0.7·x₀ + 0.3·x₁ − 0.5 with the coefficients' nearest float32 numbers, whose sum is 1: sums are rounded in binary32.
func rounded(t *testing.T) *prog.Program {
	return net(t, 2, []float64{float64(float32(0.7)), float64(float32(0.3))}, []float64{-0.5}, nil, nil)
}

// TestPush: the start violates by less than the rounding of binary32; the witness must hold in every order.
func TestPush(t *testing.T) {
	p := rounded(t)
	pr := problem(p, []spec.Box{box([]float64{0, 0}, []float64{1, 1})}, spec.Case{Rows: []spec.Row{below(0, 0x1p-40)}})
	x := []float64{0.5, 0.5}
	if w, ok := pr.Confirm(p, x); !ok || w.AnyOrder {
		t.Fatalf("start: %+v, %v", w, ok)
	}
	got, err := SearchFrom(context.Background(), p, pr, 0, [][]float64{x}, Options{Steps: 1})
	mustFind(t, p, pr, got, err)
	if !got.AnyOrder {
		t.Errorf("not pushed: %+v", got)
	}
}

// TestPushClimbs: the line search alone must widen a violation, and stay in the box while it does.
func TestPushClimbs(t *testing.T) {
	p := rounded(t)
	pr := problem(p, []spec.Box{box([]float64{0, 0}, []float64{1, 1})}, spec.Case{Rows: []spec.Row{below(0, 0x1p-40)}})
	s, err := NewSearcher(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	s.start(context.Background(), Options{})
	x := []float64{0.5, 0.5}
	s.pushing = true // as candidate does: what push visits is not pushed again
	if !s.push(0, x, 0x1p-40) || s.best == nil || !s.best.AnyOrder {
		t.Fatalf("stayed at %v: %+v", x, s.best)
	}
	verifyWitness(t, p, pr, s.best)
}

// TestRestarts: with many inputs the centre, the ends and the corners have no useful gradient; uniform restarts do.
func TestRestarts(t *testing.T) {
	n := 100 // y = Σ relu(x−0.55) − 3·relu(x−0.8): flat up to 0.55, peak 0.25 at 0.8, negative at 1
	W, b, V := make([]float64, 2*n*n), make([]float64, 2*n), make([]float64, 2*n)
	for i := range n {
		W[2*i*n+i], b[2*i], V[2*i] = 1, -0.55, 1
		W[(2*i+1)*n+i], b[2*i+1], V[2*i+1] = 1, -0.8, -3
	}
	p := net(t, n, W, b, V, nil)
	one := make([]float64, n)
	for i := range one {
		one[i] = 1
	}
	pr := problem(p, []spec.Box{box(make([]float64, n), one)}, spec.Case{Rows: []spec.Row{above(0, 8)}})
	got, err := Search(context.Background(), p, pr, Options{Work: 2e8})
	mustFind(t, p, pr, got, err)
}

// TestThin: no input has room for every order; the real witness is still returned, and says so.
func TestThin(t *testing.T) {
	p := rounded(t)
	pr := problem(p, []spec.Box{box([]float64{0.5, 0.5}, []float64{1, 1})}, spec.Case{Rows: []spec.Row{below(0, 0x1p-40)}})
	got, err := Search(context.Background(), p, pr, Options{Work: 1e6})
	mustFind(t, p, pr, got, err)
	if got.AnyOrder {
		t.Errorf("%+v", got)
	}
}

func TestSearchFromStartsOutside(t *testing.T) {
	p := net(t, 1, []float64{1}, nil, nil, nil)
	pr := problem(p, []spec.Box{box([]float64{0}, []float64{1}), box([]float64{2}, []float64{3})},
		spec.Case{Box: 0, Rows: []spec.Row{below(0, 0.5)}}, spec.Case{Box: 1, Rows: []spec.Row{above(0, 2.9)}})
	got, err := SearchFrom(context.Background(), p, pr, 1, [][]float64{{-7}, {2.1}}, Options{})
	mustFind(t, p, pr, got, err)
	if got.Case != 1 {
		t.Errorf("case %d", got.Case)
	}
	for _, bad := range []int{-1, 2} {
		if _, err := SearchFrom(context.Background(), p, pr, bad, nil, Options{}); err == nil {
			t.Errorf("case %d accepted", bad)
		}
	}
	if _, err := SearchFrom(context.Background(), p, pr, 0, [][]float64{{1, 2}}, Options{}); err == nil {
		t.Error("start of wrong length accepted")
	}
	pr.NumInputs = 2
	if _, err := Search(context.Background(), p, pr, Options{}); err == nil {
		t.Error("mismatch accepted")
	}
}

func randomNet(t testing.TB, r *rand.Rand, in, hidden, out int) *prog.Program {
	f := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(float32(r.NormFloat64()))
		}
		return v
	}
	return net(t, in, f(in*hidden), f(hidden), f(hidden*out), f(out))
}

// TestDeterministic: the same seed gives the same witness, also from a Searcher that has been used before.
func TestDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	found := 0
	for trial := range 10 {
		p := randomNet(t, r, 5, 20, 3)
		pr := problem(p, []spec.Box{ball(make([]float64, 5), 1)},
			spec.Case{Rows: []spec.Row{below(0, -4), above(1, 2)}}, spec.Case{Rows: []spec.Row{above(2, 11)}})
		opt := Options{Seed: uint64(trial), Work: 3e7}
		a, _ := Search(context.Background(), p, pr, opt)
		s, _ := NewSearcher(p, pr)
		s.Search(context.Background(), Options{Seed: 77, Work: 1e6})
		b := s.Search(context.Background(), opt)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("trial %d: %+v and %+v", trial, a, b)
		}
		if a != nil {
			found++
			verifyWitness(t, p, pr, a)
		}
	}
	if found == 0 {
		t.Error("no trial found anything")
	}
}

func TestCancelled(t *testing.T) {
	p := randomNet(t, rand.New(rand.NewPCG(1, 1)), 5, 20, 1)
	pr := problem(p, []spec.Box{ball(make([]float64, 5), 1)}, spec.Case{Rows: []spec.Row{above(0, 1e9)}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if w, err := Search(ctx, p, pr, Options{Work: 1e15}); w != nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	begin := time.Now()
	if w, err := Search(context.Background(), p, pr, Options{Work: 1e15, Time: 30 * time.Millisecond}); w != nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("took %v", d)
	}
	if w, err := Search(context.Background(), p, problem(p, nil), Options{}); w != nil || err != nil {
		t.Errorf("no cases: %v, %v", w, err)
	}
}

// TestNoRows: a case without rows is violated by any input.
func TestNoRows(t *testing.T) {
	p := net(t, 1, []float64{1}, nil, nil, nil)
	pr := problem(p, []spec.Box{box([]float64{0}, []float64{1})}, spec.Case{})
	got, err := Search(context.Background(), p, pr, Options{Work: 1e4})
	mustFind(t, p, pr, got, err)
}

// TestNotFinite: outputs that overflow are no counterexample.
func TestNotFinite(t *testing.T) {
	p := net(t, 1, []float64{1e300}, nil, []float64{1e300}, nil)
	pr := problem(p, []spec.Box{box([]float64{0}, []float64{1})}, spec.Case{Rows: []spec.Row{above(0, 1e301)}})
	if got, err := Search(context.Background(), p, pr, Options{Work: 1e4}); err != nil || got != nil && math.IsInf(got.Y[0], 0) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEvolveAndRefineImprove(t *testing.T) {
	p := bump(t, []float64{0.21, 0.83, 0.4}, 3)
	pr := problem(p, []spec.Box{box([]float64{0, 0, 0}, []float64{1, 1, 1})}, spec.Case{Rows: []spec.Row{above(0, 0.99999)}})
	for name, run := range map[string]func(*Searcher, *lanes){
		"evolve": func(s *Searcher, l *lanes) { s.evolve(l, 400) },
		"refine": func(s *Searcher, l *lanes) { s.refine(l, 400) },
	} {
		s, err := NewSearcher(p, pr)
		if err != nil {
			t.Fatal(err)
		}
		s.start(context.Background(), Options{})
		l := s.lanes(8)
		for r := range l.R {
			l.setBox(r, s, 0, -1)
			l.corner(r, func(int) bool { return true })
		}
		run(s, l)
		if s.best == nil {
			t.Errorf("%s: not found, best %v", name, s.archive[0].margin)
		}
	}
}

func TestMethods(t *testing.T) {
	m := Methods()
	if len(m) < 6 || !slices.IsSortedFunc(m, func(a, b Method) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		t.Errorf("%v", m)
	}
}

// TestKronecker: 256 points of the sequence leave no cell of an 8×8 grid empty; independent points would leave one or two.
func TestKronecker(t *testing.T) {
	a := kronecker(2)
	var cells [64]int
	for k := range 256 {
		x, y := math.Mod(0.5+float64(k+1)*a[0], 1), math.Mod(0.5+float64(k+1)*a[1], 1)
		cells[int(x*8)*8+int(y*8)]++
	}
	if slices.Min(cells[:]) == 0 {
		t.Errorf("an empty cell: %v", cells)
	}
}
