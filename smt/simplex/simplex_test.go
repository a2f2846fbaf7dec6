package simplex

import (
	"context"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"

	"github.com/spai-project/certify/internal/exact"
)

// draw returns a random program. Integer data make ties, degenerate vertices and touching rows frequent; rows are
// repeated or nearly parallel at times and some variables are fixed.
func draw(r *rand.Rand, n, m int) *Problem {
	p := &Problem{}
	integer := r.IntN(2) == 0
	num := func() float64 {
		if integer {
			return float64(r.IntN(7) - 3)
		}
		return r.NormFloat64()
	}
	for range n {
		lo := num()
		hi := lo + math.Abs(num())
		if r.IntN(8) == 0 {
			hi = lo
		}
		c := num()
		if r.IntN(4) == 0 {
			c = 0
		}
		p.C, p.Lo, p.Hi = append(p.C, c), append(p.Lo, lo), append(p.Hi, hi)
	}
	if r.IntN(10) == 0 {
		clear(p.C)
	}
	for i := range m {
		p.G, p.H = append(p.G, drawRow(r, p, i, num)), append(p.H, 0)
		p.H[i] = drawRHS(r, p, i, integer)
	}
	return p
}

func drawRow(r *rand.Rand, p *Problem, i int, num func() float64) []float64 {
	g := make([]float64, len(p.C))
	for j := range g {
		if r.IntN(3) > 0 {
			g[j] = num()
		}
	}
	if i > 0 && r.IntN(6) == 0 {
		copy(g, p.G[r.IntN(i)])
		if r.IntN(2) == 0 {
			g[r.IntN(len(g))] += 1e-9
		}
	}
	if scale := r.IntN(8); scale == 0 {
		for j := range g {
			g[j] *= 1e6
		}
	} else if scale == 1 {
		for j := range g {
			g[j] *= 1e-6
		}
	}
	return g
}

// drawRHS places a row near the middle of what the box allows.
func drawRHS(r *rand.Rand, p *Problem, i int, integer bool) float64 {
	mid, spread := 0.0, 0.0
	for j, g := range p.G[i] {
		mid += g * (p.Lo[j] + p.Hi[j]) / 2
		spread += math.Abs(g) * (p.Hi[j] - p.Lo[j])
	}
	h := mid + (r.Float64()-0.3)*0.4*spread
	if integer {
		h = math.Round(h)
	}
	return h
}

func solve(t *testing.T, p *Problem, opt Options) *Solution {
	t.Helper()
	var sv Solver
	s, err := sv.Solve(context.Background(), p, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exactDual evaluates min over the box of (c + Gᵀmu)·x − mu·h in rationals.
func exactDual(c []float64, p *Problem, mu []float64) *big.Rat {
	a := exact.Rats(c)
	sum, t := new(big.Rat), new(big.Rat)
	for i, m := range mu {
		if m == 0 {
			continue
		}
		rm := exact.Rat(m)
		for j, g := range p.G[i] {
			a[j].Add(a[j], t.Mul(rm, exact.Rat(g)))
		}
		sum.Sub(sum, t.Mul(rm, exact.Rat(p.H[i])))
	}
	v, _ := exact.MinBox(a, exact.Rats(p.Lo), exact.Rats(p.Hi))
	return v.Add(v, sum)
}

// verify checks everything that a solution promises, exactly, and that an optimum closes the gap.
func verify(t *testing.T, p *Problem, s *Solution) {
	t.Helper()
	for i, m := range s.Mu {
		if !(m >= 0) || math.IsInf(m, 0) {
			t.Fatalf("mu[%d] = %v", i, m)
		}
	}
	c := p.C
	if s.Status == Infeasible {
		c = make([]float64, len(p.C))
	}
	if want := exactDual(c, p, s.Mu); exact.Rat(s.Bound).Cmp(want) > 0 {
		t.Fatalf("%v: bound %v exceeds the exact dual value %v", s.Status, s.Bound, want.FloatString(20))
	} else if f, _ := want.Float64(); f-s.Bound > 1e-12*(1+math.Abs(f))*scaleOf(p, s.Mu) {
		t.Fatalf("%v: bound %v is far below the exact dual value %v", s.Status, s.Bound, f)
	}
	for j, x := range s.X {
		if !(p.Lo[j] <= x && x <= p.Hi[j]) {
			t.Fatalf("x[%d] = %v outside [%v,%v]", j, x, p.Lo[j], p.Hi[j])
		}
	}
	switch s.Status {
	case Infeasible:
		if s.Bound <= 0 {
			t.Fatalf("ray proves only %v", s.Bound)
		}
	case Optimal:
		if gap := s.Objective - s.Bound; math.Abs(gap) > 1e-7*costSize(p) {
			t.Fatalf("gap %v between %v and %v", gap, s.Objective, s.Bound)
		}
		for i, g := range p.G {
			size := 1e-300
			for j := range g {
				size += math.Abs(g[j]) * (p.Hi[j] - p.Lo[j])
			}
			if v := dot(g, s.X) - p.H[i]; v > 1e-8*size+1e-12*math.Abs(p.H[i]) {
				t.Fatalf("row %d violated by %v of %v", i, v, size)
			}
		}
	}
}

// scaleOf is the size of the numbers that cancel in a dual bound.
func scaleOf(p *Problem, mu []float64) float64 {
	s := 1.0
	for i, m := range mu {
		s += m * math.Abs(p.H[i])
		for j, g := range p.G[i] {
			s += m * math.Abs(g) * max(math.Abs(p.Lo[j]), math.Abs(p.Hi[j]))
		}
	}
	return s
}

func costSize(p *Problem) float64 {
	s := 1e-9
	for j, c := range p.C {
		s += math.Abs(c) * (p.Hi[j] - p.Lo[j] + 1e-7*math.Abs(p.Lo[j]))
	}
	return s
}

// TestAgainstExact compares statuses and values with the rational solver. A float status may be Limit, or differ, only
// where feasibility hangs on less than the tolerance; the bound must hold always.
func TestAgainstExact(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	count := map[Status]int{}
	for k := range 3000 {
		p := draw(r, 1+r.IntN(6), r.IntN(9))
		s := solve(t, p, Options{})
		verify(t, p, s)
		count[s.Status]++
		var G [][]*big.Rat
		for _, g := range p.G {
			G = append(G, exact.Rats(g))
		}
		e := exact.Minimize(exact.Rats(p.C), G, exact.Rats(p.H), exact.Rats(p.Lo), exact.Rats(p.Hi))
		if e.Status == exact.Optimal {
			if s.Status == Infeasible {
				t.Fatalf("case %d: a feasible program is proved infeasible", k)
			}
			if exact.Rat(s.Bound).Cmp(e.Value) > 0 {
				t.Fatalf("case %d: bound %v above the minimum %v", k, s.Bound, e.Value)
			}
			if v, _ := e.Value.Float64(); s.Status == Optimal && v-s.Bound > 1e-7*costSize(p) {
				t.Fatalf("case %d: bound %v far below the minimum %v", k, s.Bound, v)
			}
		}
		if s.Status == Limit {
			t.Logf("case %d: limit after %d pivots, exactly %v", k, s.Pivots, e.Status)
		}
	}
	t.Logf("%v", count)
	if count[Optimal] < 1000 || count[Infeasible] < 200 || count[Limit] > 30 {
		t.Errorf("lopsided: %v", count)
	}
}

// TestAgainstGonum compares with gonum's simplex on feasible programs in standard form: x = lo + u, G·u + s = h − G·lo,
// u + v = hi − lo.
func TestAgainstGonum(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	compared := 0
	for range 200 {
		n, m := 1+r.IntN(8), 1+r.IntN(6)
		p := draw(r, n, m)
		for j := range p.Lo { // gonum wants full rank and no ties: generic data only
			p.C[j] = r.NormFloat64()
			p.Hi[j] = p.Lo[j] + 0.5 + r.Float64()
		}
		for i := range p.G {
			for j := range p.G[i] {
				p.G[i][j] = r.NormFloat64()
			}
			p.H[i] = drawRHS(r, p, i, false)
		}
		A := mat.NewDense(m+n, 2*n+m, nil)
		b := make([]float64, m+n)
		c := make([]float64, 2*n+m)
		offset := dot(p.C, p.Lo)
		copy(c, p.C)
		for i := range m {
			for j := range n {
				A.Set(i, j, p.G[i][j])
			}
			A.Set(i, 2*n+i, 1)
			b[i] = p.H[i] - dot(p.G[i], p.Lo)
		}
		for j := range n {
			A.Set(m+j, j, 1)
			A.Set(m+j, n+j, 1)
			b[m+j] = p.Hi[j] - p.Lo[j]
		}
		want, _, err := lp.Simplex(c, A, b, 1e-12, nil)
		s := solve(t, p, Options{})
		verify(t, p, s)
		general, err2 := p.system(t).Minimize(context.Background(), p.C)
		if err2 != nil || general.Status != s.Status || s.Status == Optimal && math.Abs(general.Bound-s.Bound) > 1e-8*(1+math.Abs(s.Bound)) {
			t.Errorf("%v %v, as a System %v %v (%v)", s.Status, s.Bound, general.Status, general.Bound, err2)
		}
		switch {
		case errors.Is(err, lp.ErrInfeasible):
			if s.Status != Infeasible {
				t.Errorf("gonum: infeasible, we: %v", s.Status)
			}
		case err == nil:
			compared++
			if s.Status != Optimal || math.Abs(s.Objective-want-offset) > 1e-8*(1+math.Abs(want)) {
				t.Errorf("gonum: %v, we: %v %v", want+offset, s.Status, s.Objective)
			}
		}
	}
	if compared < 50 {
		t.Errorf("only %d programs compared", compared)
	}
}

// system returns the program in general form.
func (p *Problem) system(t *testing.T) *System {
	var rows []Row
	for _, g := range p.G {
		var row Row
		for j, v := range g {
			row.Idx, row.Val = append(row.Idx, int32(j)), append(row.Val, v)
		}
		rows = append(rows, row)
	}
	s, err := NewSystem(len(p.C), rows)
	if err != nil {
		t.Fatal(err)
	}
	for j := range p.C {
		s.SetLower(j, p.Lo[j])
		s.SetUpper(j, p.Hi[j])
	}
	for i, h := range p.H {
		s.SetUpper(len(p.C)+i, h)
	}
	return s
}

// TestWarmStart adds rows one by one and wants the value of a cold start in fewer pivots.
func TestWarmStart(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	var sv Solver
	warmPivots, coldPivots := 0, 0
	for range 60 {
		full := draw(r, 30, 20)
		var basis *Basis
		for m := range len(full.G) + 1 {
			p := &Problem{C: full.C, G: full.G[:m], H: full.H[:m], Lo: full.Lo, Hi: full.Hi}
			warm, err := sv.Solve(context.Background(), p, Options{Warm: basis})
			if err != nil {
				t.Fatal(err)
			}
			cold := solve(t, p, Options{})
			verify(t, p, warm)
			if warm.Status != cold.Status || warm.Status == Optimal && math.Abs(warm.Objective-cold.Objective) > 1e-7*costSize(p) {
				t.Fatalf("warm %v %v, cold %v %v", warm.Status, warm.Objective, cold.Status, cold.Objective)
			}
			warmPivots += warm.Pivots
			coldPivots += cold.Pivots
			if basis = warm.Basis; warm.Status != Optimal {
				break
			}
		}
	}
	t.Logf("%d pivots warm, %d cold", warmPivots, coldPivots)
	if warmPivots*2 > coldPivots {
		t.Errorf("%d pivots warm, %d cold", warmPivots, coldPivots)
	}
}

// TestWarmStartFromAnywhere feeds bases that do not fit: other rows, repeated and out-of-range indices, singular kernels.
func TestWarmStartFromAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	for range 500 {
		p := draw(r, 1+r.IntN(8), r.IntN(8))
		b := &Basis{Upper: make([]bool, len(p.C)-r.IntN(2))}
		for range r.IntN(8) {
			b.Rows, b.Cols = append(b.Rows, int32(r.IntN(12)-1)), append(b.Cols, int32(r.IntN(12)-1))
		}
		for j := range b.Upper {
			b.Upper[j] = r.IntN(2) == 0
		}
		warm, cold := solve(t, p, Options{Warm: b}), solve(t, p, Options{})
		verify(t, p, warm)
		if warm.Status == Optimal && cold.Status == Optimal && math.Abs(warm.Bound-cold.Bound) > 1e-7*costSize(p) {
			t.Fatalf("warm %v, cold %v", warm.Bound, cold.Bound)
		}
	}
}

// TestLarge solves programs of the size met at leaves and proves optimality by the gap.
func TestLarge(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	for _, size := range []struct{ n, m int }{{5, 60}, {50, 60}, {784, 3}, {784, 40}, {1000, 100}, {300, 200}} {
		for range 3 {
			p := draw(r, size.n, size.m)
			s := solve(t, p, Options{})
			verify(t, p, s)
			t.Logf("n=%d m=%d: %v, %d pivots, kernel %d, %d ticks", size.n, size.m, s.Status, s.Pivots, len(s.Basis.Rows), s.Ticks)
			if s.Status == Limit {
				t.Errorf("n=%d m=%d: not solved in %d pivots", size.n, size.m, s.Pivots)
			}
		}
	}
}

func TestCutoff(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	stopped := 0
	for range 300 {
		p := draw(r, 20, 12)
		full := solve(t, p, Options{})
		if full.Status != Optimal {
			continue
		}
		start := DualBound(p.C, p.G, p.H, p.Lo, p.Hi, make([]float64, len(p.G)))
		cut := (start + full.Bound) / 2
		s := solve(t, p, Options{UseCutoff: true, Cutoff: cut})
		verify(t, p, s)
		if s.Status == Cutoff && s.Bound < cut || s.Status == Optimal && s.Bound >= cut && s.Pivots > full.Pivots {
			t.Errorf("%v with bound %v, cutoff %v", s.Status, s.Bound, cut)
		}
		if s.Status == Cutoff && s.Pivots < full.Pivots {
			stopped++
		}
		if above := solve(t, p, Options{UseCutoff: true, Cutoff: full.Objective + costSize(p)}); above.Status != Optimal {
			t.Errorf("cutoff above the optimum: %v", above.Status)
		}
	}
	if stopped < 50 {
		t.Errorf("only %d solves stopped early", stopped)
	}
}

func TestLimitsAndErrors(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	p := draw(r, 60, 40)
	for opt, name := range map[Options]string{{MaxPivots: 2}: "pivots", {MaxTicks: 1}: "ticks"} {
		s := solve(t, p, opt)
		verify(t, p, s)
		if s.Status != Limit || s.Pivots > 2 {
			t.Errorf("%s: %v after %d pivots", name, s.Status, s.Pivots)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := new(Solver).Solve(ctx, p, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for name, bad := range map[string]*Problem{
		"empty box": {C: []float64{0}, Lo: []float64{1}, Hi: []float64{0}},
		"NaN cost":  {C: []float64{math.NaN()}, Lo: []float64{1}, Hi: []float64{1}},
		"lengths":   {C: []float64{1, 2}, Lo: []float64{1}, Hi: []float64{1}},
		"short row": {C: []float64{1}, Lo: []float64{1}, Hi: []float64{1}, G: [][]float64{{}}, H: []float64{1}},
		"infinite":  {C: []float64{1}, Lo: []float64{math.Inf(-1)}, Hi: []float64{1}},
	} {
		if _, err := new(Solver).Solve(context.Background(), bad, Options{}); !errors.Is(err, ErrBadProblem) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReuse solves the same programs with one solver in different orders and wants identical results.
func TestReuse(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 36))
	var ps []*Problem
	var first []*Solution
	for range 50 {
		p := draw(r, 1+r.IntN(20), r.IntN(20))
		ps, first = append(ps, p), append(first, solve(t, p, Options{}))
	}
	var sv Solver
	for _, i := range r.Perm(len(ps)) {
		s, err := sv.Solve(context.Background(), ps[i], Options{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Status != first[i].Status || s.Pivots != first[i].Pivots || s.Bound != first[i].Bound || s.Objective != first[i].Objective {
			t.Fatalf("program %d: %+v, alone %+v", i, s, first[i])
		}
	}
}
