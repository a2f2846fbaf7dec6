package simplex

import (
	"context"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// general is a program in general form.
type general struct {
	n      int
	rows   []Row
	lo, hi []float64
	c      []float64
}

// drawGeneral returns a random program: boxed, half-bounded, free and fixed variables, ranges, inequalities and equations,
// degenerate right-hand sides, repeated and nearly parallel rows, rows of very different size.
func drawGeneral(r *rand.Rand) *general {
	n, m := 1+r.IntN(7), r.IntN(9)
	g := &general{n: n}
	integer := r.IntN(2) == 0
	num := func() float64 {
		if integer {
			return float64(r.IntN(7) - 3)
		}
		return r.NormFloat64()
	}
	point := make([]float64, n) // bounds of rows lie near its values
	for j := range n {
		lo := num()
		hi := lo + math.Abs(num())
		switch r.IntN(9) {
		case 0:
			hi = lo
		case 1:
			lo = math.Inf(-1)
		case 2:
			hi = math.Inf(1)
		case 3:
			lo, hi = math.Inf(-1), math.Inf(1)
		}
		point[j] = min(max(num(), lo), hi)
		g.lo, g.hi = append(g.lo, lo), append(g.hi, hi)
		c := num()
		if r.IntN(4) == 0 {
			c = 0
		}
		g.c = append(g.c, c)
	}
	for i := range m {
		row := Row{}
		for j := range n {
			if v := num(); v != 0 && r.IntN(3) > 0 {
				row.Idx, row.Val = append(row.Idx, int32(j)), append(row.Val, v)
			}
		}
		if i > 0 && r.IntN(6) == 0 {
			row = Row{append([]int32(nil), g.rows[i-1].Idx...), append([]float64(nil), g.rows[i-1].Val...)}
			if k := len(row.Val); k > 0 && r.IntN(2) == 0 {
				row.Val[r.IntN(k)] *= 1 + 1e-9
			}
		}
		if s := r.IntN(8); s < 2 {
			for k := range row.Val {
				row.Val[k] *= [...]float64{1e6, 1e-6}[s]
			}
		}
		at, mag := 0.0, 0.0
		for k, j := range row.Idx {
			at += row.Val[k] * point[j]
			mag += math.Abs(row.Val[k])
		}
		lo, hi := at-mag*r.Float64(), at+mag*r.Float64()
		if r.IntN(3) == 0 {
			lo, hi = lo+mag*num()/2, hi+mag*num()/2
			lo, hi = min(lo, hi), max(lo, hi)
		}
		if integer {
			lo, hi = math.Floor(lo), math.Ceil(hi)
		}
		switch r.IntN(4) {
		case 0:
			lo = math.Inf(-1)
		case 1:
			hi = math.Inf(1)
		case 2:
			if integer {
				hi = lo
			}
		}
		g.rows, g.lo, g.hi = append(g.rows, row), append(g.lo, lo), append(g.hi, hi)
	}
	return g
}

func (g *general) system(t testing.TB) *System {
	s, err := NewSystem(g.n, g.rows)
	if err != nil {
		t.Fatal(err)
	}
	for v := range g.lo {
		s.SetLower(v, g.lo[v])
		s.SetUpper(v, g.hi[v])
	}
	return s
}

// checkInside wants the assignment on s = A·x and inside its bounds, within what floats give.
func checkInside(t testing.TB, s *System) {
	t.Helper()
	if res := s.residual(); res > 1e-7 {
		t.Fatalf("residual %v", res)
	}
	for v := range s.x {
		if tol := 1e-7 * s.scale[v] * (1 + math.Abs(s.x[v])/s.scale[v]); s.x[v] < s.lo[v]-tol || s.x[v] > s.hi[v]+tol {
			t.Fatalf("variable %d = %v outside [%v,%v]", v, s.x[v], s.lo[v], s.hi[v])
		}
	}
}

// checkMinimum compares an answer with the exact solver; it returns the exact status.
func checkMinimum(t testing.TB, g *general, s *System, got *Minimum) Status {
	t.Helper()
	ref := newReference(g.n, g.rows, s.lo, s.hi)
	if !ref.feasible() {
		if got.Status == Optimal || got.Status == Unbounded {
			checkInside(t, s) // only where feasibility hangs on less than the tolerance
			if x, inside := s.Vertex(); x != nil && inside {
				t.Fatal("an exact vertex inside the bounds of an infeasible program")
			}
		}
		return Infeasible
	}
	want := ref.minimum(g.c)
	switch got.Status {
	case Infeasible:
		t.Fatal("a feasible program is proved infeasible")
	case Optimal:
		checkInside(t, s)
		if !math.IsInf(got.Bound, -1) && (want == nil || new(big.Rat).SetFloat64(got.Bound).Cmp(want) > 0) {
			t.Fatalf("bound %v above the minimum %v", got.Bound, want)
		}
		y := s.ExactMultipliers(g.c)
		if y == nil {
			t.Fatal("no exact multipliers")
		}
		lb := s.BoundExact(g.c, y, s.lo, s.hi)
		if lb != nil && (want == nil || lb.Cmp(want) > 0) {
			t.Fatalf("exact bound %v above the minimum %v", lb, want)
		}
		if want == nil {
			return Unbounded
		}
		if lb == nil { // an exact reduced cost on the wrong side of zero by less than the tolerance, and no bound there
			return Limit
		}
		gap, _ := new(big.Rat).Sub(want, lb).Float64()
		size, _ := new(big.Rat).Abs(want).Float64()
		if gap > 1e-6*(1+size) {
			t.Fatalf("exact bound %v below the minimum %v", lb.FloatString(12), want.FloatString(12))
		}
	}
	if want == nil {
		return Unbounded
	}
	return Optimal
}

// TestSystemAgainstExact compares with the rational simplex: infeasible is always right, bounds are bounds, and what the floats
// think is what holds but for a few hairs.
func TestSystemAgainstExact(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	agree, other := map[Status]int{}, 0
	for k := range 3000 {
		g := drawGeneral(r)
		s := g.system(t)
		got, err := s.Minimize(context.Background(), g.c)
		if err != nil {
			t.Fatal(err)
		}
		want := checkMinimum(t, g, s, got)
		if got.Status == want {
			agree[want]++
		} else {
			other++
			t.Logf("case %d: %v, exactly %v", k, got.Status, want)
		}
	}
	t.Logf("%v, %d differ", agree, other)
	if agree[Optimal] < 1000 || agree[Infeasible] < 300 || agree[Unbounded] < 100 || other > 15 {
		t.Errorf("%v, %d differ", agree, other)
	}
}

// TestSystemIncremental asserts and retracts bounds at random and wants the exact answer at every stage from the basis at hand.
func TestSystemIncremental(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 54))
	infeasible, feasible, other, hard := 0, 0, 0, 0
	for range 300 {
		g := drawGeneral(r)
		s := g.system(t)
		type state struct{ lo, hi []float64 }
		var stack []state
		for range 12 {
			if len(stack) > 0 && r.IntN(3) == 0 {
				s.Pop()
				old := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				for v := range old.lo {
					if s.lo[v] != old.lo[v] || s.hi[v] != old.hi[v] {
						t.Fatalf("variable %d is in [%v,%v] after Pop, was in [%v,%v]", v, s.lo[v], s.hi[v], old.lo[v], old.hi[v])
					}
				}
			} else {
				stack = append(stack, state{append([]float64(nil), s.lo...), append([]float64(nil), s.hi...)})
				s.Push()
				for range 1 + r.IntN(2) {
					v := r.IntN(len(s.lo))
					b := s.x[v] + (r.NormFloat64()-0.7)*s.scale[v]
					if r.IntN(2) == 0 {
						s.SetLower(v, max(s.lo[v], b))
					} else {
						s.SetUpper(v, min(s.hi[v], 2*s.x[v]-b))
					}
				}
			}
			status, err := s.Repair(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			exactly := newReference(g.n, g.rows, s.lo, s.hi).feasible()
			switch {
			case status == Infeasible && exactly:
				t.Fatal("a feasible system is proved infeasible")
			case status == Infeasible:
				infeasible++
				checkRay(t, s)
				if s.ExactRay() != nil {
					hard++
				}
			case status == Optimal && exactly:
				feasible++
				checkInside(t, s)
			default:
				other++
			}
		}
	}
	t.Logf("%d infeasible, %d feasible, %d not agreed", infeasible, feasible, other)
	if infeasible < 300 || feasible < 1000 || other > 10 || hard > infeasible/5 {
		t.Errorf("lopsided, or the float multipliers are poor: %d needed exact ones", hard)
	}
}

// checkRay evaluates the certificate of infeasibility in rationals, apart from Bound and BoundExact.
func checkRay(t testing.TB, s *System) {
	t.Helper()
	if s.crossed() {
		return
	}
	y := s.ExactRay()
	if y == nil {
		y = Rationals(s.Ray())
	}
	coef := make([]*big.Rat, s.n+s.m)
	for v := range coef {
		coef[v] = new(big.Rat)
	}
	for r, m := range y {
		for k, j := range s.a[r].Idx {
			coef[j].Add(coef[j], new(big.Rat).Mul(m, new(big.Rat).SetFloat64(s.a[r].Val[k])))
		}
		coef[s.n+r].Sub(coef[s.n+r], m)
	}
	sum := new(big.Rat)
	for v, c := range coef {
		b := s.lo[v]
		if c.Sign() < 0 {
			b = s.hi[v]
		}
		if c.Sign() != 0 {
			if math.IsInf(b, 0) {
				t.Fatalf("the ray uses the infinite bound of variable %d", v)
			}
			sum.Add(sum, new(big.Rat).Mul(c, new(big.Rat).SetFloat64(b)))
		}
	}
	if sum.Sign() <= 0 {
		t.Fatalf("the ray proves only %v", sum.FloatString(20))
	}
	if exact := s.BoundExact(nil, y, s.lo, s.hi); exact == nil || exact.Cmp(sum) != 0 {
		t.Fatalf("BoundExact %v, in plain rationals %v", exact, sum)
	}
}

// TestSystemBound: Bound is below BoundExact and close to it, whatever the multipliers.
func TestSystemBound(t *testing.T) {
	r := rand.New(rand.NewPCG(55, 56))
	finiteOnes := 0
	for k := range 3000 {
		g := drawGeneral(r)
		for v := range g.lo { // boxed, and not always around 0
			if math.IsInf(g.lo[v], 0) {
				g.lo[v] = min(g.hi[v], 5) - r.Float64()
			}
			if math.IsInf(g.hi[v], 0) {
				g.hi[v] = g.lo[v] + 3*r.Float64()
			}
		}
		s := g.system(t)
		c := make([]float64, r.IntN(g.n+len(g.rows)+1))
		y := make([]float64, len(g.rows))
		for v := range c {
			c[v] = math.Ldexp(r.NormFloat64(), r.IntN(60)-30) * float64(r.IntN(2))
		}
		for i := range y {
			y[i] = math.Ldexp(r.NormFloat64(), r.IntN(60)-30) * float64(r.IntN(2))
			if g.n+i < len(c) && r.IntN(3) == 0 {
				y[i] = c[g.n+i]
			}
		}
		got, want := s.Bound(c, y, s.lo, s.hi), s.BoundExact(c, Rationals(y), s.lo, s.hi)
		if math.IsInf(got, -1) {
			continue
		}
		finiteOnes++
		if new(big.Rat).SetFloat64(got).Cmp(want) > 0 {
			t.Fatalf("case %d: %v above %v", k, got, want.FloatString(30))
		}
		mag := 1e-300
		for _, u := range s.Terms(nil, c, y) {
			mag += max(math.Abs(u.Low), math.Abs(u.High)) * max(math.Abs(s.lo[u.Var]), math.Abs(s.hi[u.Var]))
		}
		if f, _ := want.Float64(); f-got > 0x1p-48*mag {
			t.Fatalf("case %d: %v is %v below the exact value", k, got, f-got)
		}
	}
	if finiteOnes < 2900 {
		t.Errorf("only %d bounds", finiteOnes)
	}
}

// TestSystemImplied: a tableau row proves bounds of its variable that no assignment breaks.
func TestSystemImplied(t *testing.T) {
	r := rand.New(rand.NewPCG(57, 58))
	useful := 0
	for range 600 {
		g := drawGeneral(r)
		s := g.system(t)
		if st, err := s.Repair(context.Background()); err != nil || st != Optimal {
			continue
		}
		for _, b := range s.basic {
			v := int(b)
			y, c := make([]float64, s.m), make([]float64, s.n+s.m)
			sign := float64(1 - 2*r.IntN(2))
			s.RowMultipliers(y, v, sign)
			c[v] = sign
			lb := s.Bound(c, y, s.lo, s.hi)
			if math.IsInf(lb, -1) {
				continue
			}
			useful++
			lo, hi := append([]float64(nil), s.lo...), append([]float64(nil), s.hi...)
			if sign > 0 { // ask for less than what is implied
				hi[v] = min(hi[v], lb-1e-6*(1+math.Abs(lb)))
			} else {
				lo[v] = max(lo[v], -lb+1e-6*(1+math.Abs(lb)))
			}
			if newReference(g.n, g.rows, lo, hi).feasible() {
				t.Fatalf("variable %d beyond its implied bound %v", v, sign*lb)
			}
		}
	}
	if useful < 300 {
		t.Errorf("only %d bounds implied", useful)
	}
}

// TestSystemVertex: the exact vertex lies on s = A·x, near the floats.
func TestSystemVertex(t *testing.T) {
	r := rand.New(rand.NewPCG(59, 60))
	inside := 0
	for range 500 {
		g := drawGeneral(r)
		s := g.system(t)
		if m, err := s.Minimize(context.Background(), g.c); err != nil || m.Status != Optimal {
			continue
		}
		x, in := s.Vertex()
		if x == nil {
			t.Fatal("no vertex")
		}
		for i, row := range g.rows {
			sum := new(big.Rat)
			for k, j := range row.Idx {
				sum.Add(sum, new(big.Rat).Mul(new(big.Rat).SetFloat64(row.Val[k]), x[j]))
			}
			if sum.Cmp(x[g.n+i]) != 0 {
				t.Fatalf("row %d: %v, variable %v", i, sum, x[g.n+i])
			}
		}
		for v := range x {
			if f, _ := x[v].Float64(); math.Abs(f-s.x[v]) > 1e-6*s.scale[v]*(1+math.Abs(f)/s.scale[v]) {
				t.Fatalf("variable %d: exactly %v, in floats %v", v, f, s.x[v])
			}
		}
		if in {
			inside++
		}
	}
	if inside < 100 {
		t.Errorf("only %d vertices inside", inside)
	}
}

// TestSystemErrors: malformed rows, cancellation.
func TestSystemErrors(t *testing.T) {
	for name, row := range map[string]Row{
		"lengths": {[]int32{0}, nil}, "range": {[]int32{2}, []float64{1}},
		"order": {[]int32{1, 0}, []float64{1, 1}}, "NaN": {[]int32{0}, []float64{math.NaN()}},
	} {
		if _, err := NewSystem(2, []Row{row}); !errors.Is(err, ErrBadProblem) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := NewSystem(1, []Row{{[]int32{0}, []float64{1}}})
	if err != nil {
		t.Fatal(err)
	}
	s.SetLower(1, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Repair(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Minimize(ctx, []float64{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
