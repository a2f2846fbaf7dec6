package exact

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// random draws a program with small integers; degenerate right-hand sides and fixed variables are frequent.
func random(r *rand.Rand) (c []*big.Rat, A [][]*big.Rat, b, lo, hi []*big.Rat) {
	n, m := 1+r.IntN(4), r.IntN(7)
	num := func(k int) *big.Rat { return big.NewRat(int64(r.IntN(2*k+1)-k), int64(1+r.IntN(3))) }
	for range n {
		c = append(c, num(4))
		l := num(3)
		lo = append(lo, l)
		hi = append(hi, new(big.Rat).Add(l, big.NewRat(int64(r.IntN(4)), 2)))
	}
	for range m {
		row := make([]*big.Rat, n)
		for j := range row {
			row[j] = num(2)
		}
		A, b = append(A, row), append(b, num(3))
	}
	if m > 1 && r.IntN(3) == 0 {
		A[m-1], b[m-1] = A[0], b[0]
	}
	return c, A, b, lo, hi
}

// dual evaluates min over the box of (c + Aᵀμ)·x − μ·b.
func dual(c []*big.Rat, A [][]*big.Rat, b, lo, hi, mu []*big.Rat) *big.Rat {
	a := Zeros(len(c))
	for j := range c {
		a[j].Set(c[j])
		for i := range A {
			a[j].Add(a[j], new(big.Rat).Mul(mu[i], A[i][j]))
		}
	}
	v, _ := MinBox(a, lo, hi)
	return v.Sub(v, Dot(mu, b))
}

// check verifies a solution from first principles: feasibility and equality of primal and dual values prove optimality,
// a positive dual value for objective zero proves infeasibility.
func check(t *testing.T, s *Solution, c []*big.Rat, A [][]*big.Rat, b, lo, hi []*big.Rat) {
	t.Helper()
	for _, m := range s.Mu {
		if m.Sign() < 0 {
			t.Fatalf("negative multiplier %v", m)
		}
	}
	if s.Status == Infeasible {
		if v := dual(Zeros(len(c)), A, b, lo, hi, s.Mu); v.Sign() <= 0 {
			t.Fatalf("ray %v proves only %v", s.Mu, v)
		}
		return
	}
	for j, x := range s.X {
		if x.Cmp(lo[j]) < 0 || x.Cmp(hi[j]) > 0 {
			t.Fatalf("x[%d]=%v outside [%v,%v]", j, x, lo[j], hi[j])
		}
	}
	for i := range A {
		if Dot(A[i], s.X).Cmp(b[i]) > 0 {
			t.Fatalf("row %d violated", i)
		}
	}
	if v := dual(c, A, b, lo, hi, s.Mu); v.Cmp(s.Value) != 0 || s.Value.Cmp(Dot(c, s.X)) != 0 {
		t.Fatalf("value %v, dual value %v", s.Value, v)
	}
}

func TestMinimizeProvesItself(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	count := map[Status]int{}
	for range 3000 {
		c, A, b, lo, hi := random(r)
		s := Minimize(c, A, b, lo, hi)
		check(t, s, c, A, b, lo, hi)
		count[s.Status]++
	}
	if count[Optimal] < 500 || count[Infeasible] < 500 {
		t.Errorf("lopsided test: %v", count)
	}
}

// TestWarmStart changes rows and objective of one program in turn and compares with a cold start.
func TestWarmStart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		c, A, b, lo, hi := random(r)
		lp := NewLP(lo, hi)
		for i := range A {
			lp.AddRow(A[i], b[i])
			before := lp.Clone()
			s := lp.Solve()
			check(t, s, Zeros(len(c)), A[:i+1], b[:i+1], lo, hi)
			before.SetObjective(c)
			check(t, before.Solve(), c, A[:i+1], b[:i+1], lo, hi)
			if s.Status == Infeasible {
				break
			}
			lp.SetObjective(c)
			check(t, lp.Solve(), c, A[:i+1], b[:i+1], lo, hi)
			lp.SetObjective(Zeros(len(c)))
		}
	}
}

func TestSum(t *testing.T) {
	if got := Sum(1e300, 1, -1e300); got.Cmp(big.NewRat(1, 1)) != 0 {
		t.Errorf("Sum = %v, want 1", got)
	}
}
