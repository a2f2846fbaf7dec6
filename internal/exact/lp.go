package exact

// A linear program over a finite box, solved by the dual simplex method on a rational dictionary with Bland's rule.
//
// Every variable is boxed: the structural ones by the caller, each slack s = b − a·x by [0, S] where S exceeds everything
// the box allows. So any basis becomes dual feasible by moving its nonbasic variables to the end their reduced cost asks
// for, which makes one algorithm serve cold starts, added rows and changed objectives alike. An optimum never has a slack
// at S, because S is out of the box's reach.

import "math/big"

// Status is the outcome of a linear program.
type Status uint8

const (
	// Optimal: X is a minimiser.
	Optimal Status = iota
	// Infeasible: no point of the box satisfies the rows; Mu is a Farkas ray.
	Infeasible
)

// A Solution of min c·x subject to A·x ≤ b, lo ≤ x ≤ hi.
type Solution struct {
	Status Status
	X      []*big.Rat // minimiser, nil when infeasible
	Value  *big.Rat   // c·X, nil when infeasible
	// Mu ≥ 0 has one multiplier per row. When Optimal, min over the box of (c + Aᵀ·Mu)·x − Mu·b equals Value; when
	// Infeasible, min over the box of (Aᵀ·Mu)·x − Mu·b is positive.
	Mu []*big.Rat
}

// Minimize solves min c·x subject to A·x ≤ b, lo ≤ x ≤ hi exactly. It panics on mismatched lengths and when lo > hi
// somewhere. The arguments are neither changed nor kept.
func Minimize(c []*big.Rat, A [][]*big.Rat, b, lo, hi []*big.Rat) *Solution {
	lp := NewLP(lo, hi)
	lp.SetObjective(c)
	for i := range A {
		lp.AddRow(A[i], b[i])
	}
	return lp.Solve()
}

// An LP is a linear program in the state after its last Solve, to which rows can be added. Numbers inside are shared
// between clones and never changed in place. It is not safe for concurrent use.
type LP struct {
	n        int          // structural variables 0..n−1; variable n+i is the slack of row i
	lo, hi   []*big.Rat   // bounds of all variables
	c        []*big.Rat   // objective over the structural variables
	rows     []exactRow   // the rows as added
	basic    []int        // variable of each dictionary row
	nonbasic []int        // variable of each dictionary column
	upper    []bool       // by column: the nonbasic variable sits at its upper bound
	con      []*big.Rat   // basic[i] = con[i] + Σ_j d[i][j]·nonbasic[j]
	d        [][]*big.Rat // rows × n
	r        []*big.Rat   // reduced costs by column
}

type exactRow struct {
	a []*big.Rat
	b *big.Rat
}

// NewLP returns the program without rows and with objective zero over the box lo ≤ x ≤ hi.
func NewLP(lo, hi []*big.Rat) *LP {
	n := len(lo)
	if len(hi) != n {
		panic("exact: length mismatch")
	}
	lp := &LP{n: n, upper: make([]bool, n), r: Zeros(n), c: Zeros(n)}
	for j := range lo {
		if lo[j].Cmp(hi[j]) > 0 {
			panic("exact: empty box")
		}
		lp.lo, lp.hi = append(lp.lo, lo[j]), append(lp.hi, hi[j])
		lp.nonbasic = append(lp.nonbasic, j)
	}
	return lp
}

// Clone returns an independent copy in the same state.
func (lp *LP) Clone() *LP {
	c := *lp
	c.lo, c.hi = append([]*big.Rat(nil), lp.lo...), append([]*big.Rat(nil), lp.hi...)
	c.basic, c.nonbasic = append([]int(nil), lp.basic...), append([]int(nil), lp.nonbasic...)
	c.upper = append([]bool(nil), lp.upper...)
	c.rows = lp.rows[:len(lp.rows):len(lp.rows)]
	c.con, c.r = append([]*big.Rat(nil), lp.con...), append([]*big.Rat(nil), lp.r...)
	c.d = make([][]*big.Rat, len(lp.d))
	for i := range lp.d {
		c.d[i] = append([]*big.Rat(nil), lp.d[i]...)
	}
	return &c
}

// EachRow calls f with every row added so far, in order; f must not change them.
func (lp *LP) EachRow(f func(a []*big.Rat, b *big.Rat)) {
	for _, r := range lp.rows {
		f(r.a, r.b)
	}
}

// Rows returns the number of rows added so far.
func (lp *LP) Rows() int { return len(lp.lo) - lp.n }

// AddRow adds a·x ≤ b; a and b are kept and must not change afterwards.
func (lp *LP) AddRow(a []*big.Rat, b *big.Rat) {
	if len(a) != lp.n {
		panic("exact: length mismatch")
	}
	least, _ := MinBox(a, lp.lo[:lp.n], lp.hi[:lp.n])
	top := new(big.Rat).Sub(b, least)
	if top.Sign() < 0 {
		top.SetInt64(0)
	}
	lp.rows = append(lp.rows, exactRow{a, b})
	v := len(lp.lo)
	lp.lo, lp.hi = append(lp.lo, new(big.Rat)), append(lp.hi, top.Add(top, big.NewRat(1, 1)))
	neg := make([]*big.Rat, lp.n)
	for j := range a {
		neg[j] = new(big.Rat).Neg(a[j])
	}
	con, row := lp.express(neg)
	lp.basic = append(lp.basic, v)
	lp.con = append(lp.con, con.Add(con, b))
	lp.d = append(lp.d, row)
}

// SetObjective changes the objective to c·x; c is copied by reference and must not change afterwards.
func (lp *LP) SetObjective(c []*big.Rat) {
	if len(c) != lp.n {
		panic("exact: length mismatch")
	}
	lp.c = append([]*big.Rat(nil), c...)
	_, lp.r = lp.express(c)
	for j, r := range lp.r {
		if s := r.Sign(); s != 0 {
			lp.upper[j] = s < 0
		}
	}
}

// express writes a·x over the nonbasic variables: constant and coefficients, all fresh.
func (lp *LP) express(a []*big.Rat) (con *big.Rat, row []*big.Rat) {
	con, row = new(big.Rat), Zeros(len(lp.nonbasic))
	t := new(big.Rat)
	for j, v := range lp.nonbasic {
		if v < lp.n {
			row[j].Set(a[v])
		}
	}
	for i, v := range lp.basic {
		if v >= lp.n || a[v].Sign() == 0 {
			continue
		}
		con.Add(con, t.Mul(a[v], lp.con[i]))
		for j, d := range lp.d[i] {
			if d.Sign() != 0 {
				row[j].Add(row[j], t.Mul(a[v], d))
			}
		}
	}
	return con, row
}

// Solve minimises. Bland's rule (least index among the violated basic variables, least index among the least ratios)
// excludes cycling, so it ends.
func (lp *LP) Solve() *Solution {
	for {
		row, low := lp.violated()
		if row < 0 {
			return lp.optimal()
		}
		col := lp.entering(row, low)
		if col < 0 {
			return &Solution{Status: Infeasible, Mu: lp.ray(row, low)}
		}
		lp.pivot(row, col, !low)
	}
}

// at returns the value of the nonbasic variable of column j.
func (lp *LP) at(j int) *big.Rat {
	if lp.upper[j] {
		return lp.hi[lp.nonbasic[j]]
	}
	return lp.lo[lp.nonbasic[j]]
}

// value returns the value of the basic variable of row i.
func (lp *LP) value(i int) *big.Rat {
	v, t := new(big.Rat).Set(lp.con[i]), new(big.Rat)
	for j, d := range lp.d[i] {
		if d.Sign() != 0 {
			v.Add(v, t.Mul(d, lp.at(j)))
		}
	}
	return v
}

// violated returns the row whose basic variable has the least index among those out of bounds, and whether it is too
// low; −1 when there is none. The upper bound of a slack is implied by the box and not looked at.
func (lp *LP) violated() (row int, low bool) {
	row = -1
	for i, v := range lp.basic {
		if row >= 0 && v > lp.basic[row] {
			continue
		}
		x := lp.value(i)
		if x.Cmp(lp.lo[v]) < 0 {
			row, low = i, true
		} else if v < lp.n && x.Cmp(lp.hi[v]) > 0 {
			row, low = i, false
		}
	}
	return row, low
}

// entering returns the column that keeps dual feasibility when row's variable leaves at its violated bound, −1 for none.
func (lp *LP) entering(row int, low bool) int {
	best := -1
	var least *big.Rat
	for j, d := range lp.d[row] {
		v := lp.nonbasic[j]
		s := d.Sign()
		if !low {
			s = -s
		}
		// The column must be able to move the leaving variable towards its bound.
		if s == 0 || (s > 0) == lp.upper[j] || lp.lo[v].Cmp(lp.hi[v]) == 0 {
			continue
		}
		ratio := new(big.Rat).Quo(lp.r[j], d)
		ratio.Abs(ratio)
		if best < 0 || ratio.Cmp(least) < 0 || ratio.Cmp(least) == 0 && v < lp.nonbasic[best] {
			best, least = j, ratio
		}
	}
	return best
}

// pivot exchanges the basic variable of row p, which goes to its upper or lower bound, with the nonbasic one of column q.
func (lp *LP) pivot(p, q int, upper bool) {
	inv := new(big.Rat).Inv(lp.d[p][q])
	row := make([]*big.Rat, lp.n)
	for j, d := range lp.d[p] {
		row[j] = new(big.Rat).Mul(d, inv)
		row[j].Neg(row[j])
	}
	row[q] = inv
	con := new(big.Rat).Mul(lp.con[p], inv)
	con.Neg(con)
	lp.d[p], lp.con[p] = row, con
	for i := range lp.d {
		if f := lp.d[i][q]; i != p && f.Sign() != 0 {
			lp.con[i] = new(big.Rat).Add(lp.con[i], new(big.Rat).Mul(f, con))
			substitute(lp.d[i], row, f, q)
		}
	}
	if f := lp.r[q]; f.Sign() != 0 {
		substitute(lp.r, row, f, q)
	}
	lp.basic[p], lp.nonbasic[q] = lp.nonbasic[q], lp.basic[p]
	lp.upper[q] = upper
}

// substitute replaces the variable of column q, with coefficient f, by row in dst.
func substitute(dst, row []*big.Rat, f *big.Rat, q int) {
	t := new(big.Rat)
	for j := range dst {
		switch {
		case j == q:
			dst[j] = new(big.Rat).Mul(f, row[q])
		case row[j].Sign() != 0:
			dst[j] = new(big.Rat).Add(dst[j], t.Mul(f, row[j]))
		}
	}
}

func (lp *LP) optimal() *Solution {
	s := &Solution{Status: Optimal, X: make([]*big.Rat, lp.n), Mu: Zeros(lp.Rows())}
	for j, v := range lp.nonbasic {
		if v < lp.n {
			s.X[v] = new(big.Rat).Set(lp.at(j))
		} else if lp.r[j].Sign() > 0 {
			s.Mu[v-lp.n].Set(lp.r[j])
		}
	}
	for i, v := range lp.basic {
		if v < lp.n {
			s.X[v] = lp.value(i)
		}
	}
	s.Value = Dot(lp.c, s.X)
	return s
}

// ray reads a Farkas ray off a dictionary row that no nonbasic variable can repair. A slack at S may carry a negative
// weight; dropping it keeps the ray, since no point of the box has a slack as large as S.
func (lp *LP) ray(row int, low bool) []*big.Rat {
	mu := Zeros(lp.Rows())
	set := func(v int, w *big.Rat) {
		if v >= lp.n && w.Sign() > 0 {
			mu[v-lp.n].Set(w)
		}
	}
	for j, d := range lp.d[row] {
		w := new(big.Rat).Set(d)
		if low {
			w.Neg(w)
		}
		set(lp.nonbasic[j], w)
	}
	if low {
		set(lp.basic[row], big.NewRat(1, 1))
	}
	return mu
}
