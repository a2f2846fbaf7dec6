package simplex

import "math/big"

// The basis in rationals. The part that needs solving is small: k rows whose variable is nonbasic, k structural variables that are
// basic. Everything else follows by substitution.

// maxExact bounds k: rational elimination takes k³ operations on growing numbers.
const maxExact = 80

// kernelOf returns the nonbasic rows and the basic structural variables; ok is false when there are too many.
func (s *System) kernelOf() (rows, cols []int, ok bool) {
	for r := range s.m {
		if s.at[s.n+r] >= 0 {
			rows = append(rows, r)
		}
	}
	for j := range s.n {
		if s.at[j] < 0 {
			cols = append(cols, j)
		}
	}
	return rows, cols, len(rows) == len(cols) && len(rows) <= maxExact
}

// matrix returns the rows restricted to the columns, transposed on demand.
func (s *System) matrix(rows, cols []int, transposed bool) [][]*big.Rat {
	place := make(map[int]int, len(cols))
	for p, j := range cols {
		place[j] = p
	}
	k := len(cols)
	m := make([][]*big.Rat, k)
	for i := range m {
		m[i] = make([]*big.Rat, k+1)
		for j := range m[i] {
			m[i][j] = new(big.Rat)
		}
	}
	for a, r := range rows {
		for i, j := range s.a[r].Idx {
			p, ok := place[int(j)]
			switch {
			case ok && transposed:
				m[p][a].SetFloat64(s.a[r].Val[i])
			case ok:
				m[a][p].SetFloat64(s.a[r].Val[i])
			}
		}
	}
	return m
}

// solveRational solves the square system whose last column is the right-hand side; nil when it is singular.
func solveRational(m [][]*big.Rat) []*big.Rat {
	k := len(m)
	t := new(big.Rat)
	for c := range k {
		p := c
		for p < k && m[p][c].Sign() == 0 {
			p++
		}
		if p == k {
			return nil
		}
		m[c], m[p] = m[p], m[c]
		inv := new(big.Rat).Inv(m[c][c])
		for j := c; j <= k; j++ {
			m[c][j].Mul(m[c][j], inv)
		}
		for i := range k {
			f := new(big.Rat).Set(m[i][c])
			if i == c || f.Sign() == 0 {
				continue
			}
			for j := c; j <= k; j++ {
				if m[c][j].Sign() != 0 {
					m[i][j].Sub(m[i][j], t.Mul(f, m[c][j]))
				}
			}
		}
	}
	x := make([]*big.Rat, k)
	for i := range x {
		x[i] = m[i][k]
	}
	return x
}

// Vertex returns the exact values of all variables where the nonbasic ones have their present values (floats), and whether all of
// them are inside their bounds. x is nil when the basis is singular or too large.
func (s *System) Vertex() (x []*big.Rat, inside bool) {
	rows, cols, ok := s.kernelOf()
	if !ok {
		return nil, false
	}
	x = make([]*big.Rat, s.n+s.m)
	for v := range x {
		x[v] = new(big.Rat)
		if s.at[v] >= 0 {
			x[v].SetFloat64(s.x[v])
		}
	}
	m := s.matrix(rows, cols, false)
	t, f := new(big.Rat), new(big.Rat)
	for a, r := range rows { // the columns that are not basic go to the right
		rhs := m[a][len(cols)].Set(x[s.n+r])
		for i, j := range s.a[r].Idx {
			if s.at[j] >= 0 {
				f.SetFloat64(s.a[r].Val[i])
				rhs.Sub(rhs, t.Mul(f, x[j]))
			}
		}
	}
	solved := solveRational(m)
	if solved == nil && len(cols) > 0 {
		return nil, false
	}
	for p, j := range cols {
		x[j] = solved[p]
	}
	for r, row := range s.a {
		if s.at[s.n+r] >= 0 {
			continue
		}
		for i, j := range row.Idx {
			f.SetFloat64(row.Val[i])
			x[s.n+r].Add(x[s.n+r], t.Mul(f, x[j]))
		}
	}
	inside = true
	for v := range x {
		below := finite(s.lo[v]) && x[v].Cmp(f.SetFloat64(s.lo[v])) < 0
		inside = inside && !below && !(finite(s.hi[v]) && x[v].Cmp(f.SetFloat64(s.hi[v])) > 0)
	}
	return x, inside
}

// solveRay returns the multipliers of the failed row exactly; nil when the basis is singular or too large.
func (s *System) solveRay() []*big.Rat {
	i := s.fail.row
	if i < 0 {
		return nil
	}
	c := make([]float64, s.n+s.m)
	c[s.basic[i]] = 1
	if s.fail.low {
		c[s.basic[i]] = -1
	}
	return s.solveMultipliers(c)
}

// solveMultipliers returns the y for which the coefficients c_x + Aᵀy and c_s − y of all basic variables are zero; nil when the basis
// is singular or too large.
func (s *System) solveMultipliers(c []float64) []*big.Rat {
	rows, cols, ok := s.kernelOf()
	if !ok {
		return nil
	}
	y := make([]*big.Rat, s.m)
	for r := range y {
		y[r] = new(big.Rat)
		if s.at[s.n+r] < 0 && s.n+r < len(c) {
			y[r].SetFloat64(c[s.n+r])
		}
	}
	place := make([]int, s.n)
	for p, j := range cols {
		place[j] = p + 1
	}
	m := s.matrix(rows, cols, true)
	t, f := new(big.Rat), new(big.Rat)
	for p, j := range cols {
		if j < len(c) {
			m[p][len(cols)].SetFloat64(-c[j])
		}
	}
	for r, row := range s.a {
		if s.at[s.n+r] >= 0 || y[r].Sign() == 0 {
			continue
		}
		for i, j := range row.Idx {
			if p := place[j]; p > 0 {
				rhs := m[p-1][len(cols)]
				rhs.Sub(rhs, t.Mul(f.SetFloat64(row.Val[i]), y[r]))
			}
		}
	}
	solved := solveRational(m)
	if solved == nil && len(cols) > 0 {
		return nil
	}
	for a, r := range rows {
		y[r] = solved[a]
	}
	return y
}
