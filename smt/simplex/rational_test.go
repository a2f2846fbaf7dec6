package simplex

import "math/big"

// reference is a simplex in rationals with Bland's rule throughout: Dutertre and de Moura's check for feasibility, then the primal
// method. Slow and plain, for comparison only.
type reference struct {
	n        int
	t        [][]*big.Rat // by basic variable: coefficients of the nonbasic ones
	basic    []int
	nonbasic []int
	lo, hi   []*big.Rat // nil: none
	x        []*big.Rat
}

func newReference(n int, rows []Row, lo, hi []float64) *reference {
	q := &reference{n: n}
	bound := func(b float64) *big.Rat {
		return new(big.Rat).SetFloat64(b) // nil for infinities
	}
	for v := range lo {
		q.lo, q.hi = append(q.lo, bound(lo[v])), append(q.hi, bound(hi[v]))
		q.x = append(q.x, new(big.Rat))
	}
	for j := range n {
		q.nonbasic = append(q.nonbasic, j)
		switch {
		case q.lo[j] != nil:
			q.x[j].Set(q.lo[j])
		case q.hi[j] != nil:
			q.x[j].Set(q.hi[j])
		}
	}
	for r, row := range rows {
		line := make([]*big.Rat, n)
		for j := range line {
			line[j] = new(big.Rat)
		}
		for k, j := range row.Idx {
			line[j].SetFloat64(row.Val[k])
		}
		q.t = append(q.t, line)
		q.basic = append(q.basic, n+r)
	}
	q.values()
	return q
}

func (q *reference) values() {
	t := new(big.Rat)
	for i, b := range q.basic {
		q.x[b] = new(big.Rat)
		for j, f := range q.t[i] {
			q.x[b].Add(q.x[b], t.Mul(f, q.x[q.nonbasic[j]]))
		}
	}
}

func (q *reference) below(v int) bool { return q.lo[v] != nil && q.x[v].Cmp(q.lo[v]) < 0 }
func (q *reference) above(v int) bool { return q.hi[v] != nil && q.x[v].Cmp(q.hi[v]) > 0 }
func (q *reference) canGrow(v int) bool {
	return q.hi[v] == nil || q.x[v].Cmp(q.hi[v]) < 0
}
func (q *reference) canShrink(v int) bool {
	return q.lo[v] == nil || q.x[v].Cmp(q.lo[v]) > 0
}

func (q *reference) pivot(i, c int) {
	inv := new(big.Rat).Inv(q.t[i][c])
	for j := range q.t[i] {
		if j != c {
			q.t[i][j] = new(big.Rat).Neg(new(big.Rat).Mul(q.t[i][j], inv))
		}
	}
	q.t[i][c] = inv
	for k := range q.t {
		f := q.t[k][c]
		if k == i || f.Sign() == 0 {
			continue
		}
		for j := range q.t[k] {
			p := new(big.Rat).Mul(f, q.t[i][j])
			if j != c {
				p.Add(p, q.t[k][j])
			}
			q.t[k][j] = p
		}
	}
	q.basic[i], q.nonbasic[c] = q.nonbasic[c], q.basic[i]
}

// feasible repairs; false when there is no assignment.
func (q *reference) feasible() bool {
	for v := range q.x {
		if q.lo[v] != nil && q.hi[v] != nil && q.lo[v].Cmp(q.hi[v]) > 0 {
			return false
		}
	}
	for {
		row := -1
		for i, v := range q.basic {
			if (q.below(v) || q.above(v)) && (row < 0 || v < q.basic[row]) {
				row = i
			}
		}
		if row < 0 {
			return true
		}
		v := q.basic[row]
		low := q.below(v)
		col := -1
		for j, w := range q.nonbasic {
			sign := q.t[row][j].Sign()
			if !low {
				sign = -sign
			}
			if (sign > 0 && q.canGrow(w) || sign < 0 && q.canShrink(w)) && (col < 0 || w < q.nonbasic[col]) {
				col = j
			}
		}
		if col < 0 {
			return false
		}
		q.pivot(row, col)
		if low {
			q.x[v].Set(q.lo[v])
		} else {
			q.x[v].Set(q.hi[v])
		}
		// the entering variable moves so that v's row holds
		i := row
		sum, t := new(big.Rat), new(big.Rat)
		for j, f := range q.t[i] {
			sum.Add(sum, t.Mul(f, q.x[q.nonbasic[j]]))
		}
		q.x[q.basic[i]] = sum
		q.values()
	}
}

// minimum returns the least c·x from a feasible assignment; nil when it is −∞.
func (q *reference) minimum(c []float64) *big.Rat {
	for {
		col, up := -1, false
		for j, w := range q.nonbasic {
			d, t := new(big.Rat), new(big.Rat)
			if w < q.n {
				d.SetFloat64(c[w])
			}
			for i, b := range q.basic {
				if b < q.n {
					d.Add(d, t.Mul(new(big.Rat).SetFloat64(c[b]), q.t[i][j]))
				}
			}
			if (d.Sign() < 0 && q.canGrow(w) || d.Sign() > 0 && q.canShrink(w)) && (col < 0 || w < q.nonbasic[col]) {
				col, up = j, d.Sign() < 0
			}
		}
		if col < 0 {
			break
		}
		w := q.nonbasic[col]
		var step *big.Rat
		if q.lo[w] != nil && q.hi[w] != nil {
			step = new(big.Rat).Sub(q.hi[w], q.x[w])
			if !up {
				step.Sub(q.x[w], q.lo[w])
			}
		}
		row := -1
		for i, b := range q.basic {
			f := q.t[i][col]
			if f.Sign() == 0 {
				continue
			}
			limit := q.lo[b]
			if (f.Sign() > 0) == up {
				limit = q.hi[b]
			}
			if limit == nil {
				continue
			}
			ratio := new(big.Rat).Sub(limit, q.x[b])
			ratio.Quo(ratio, f)
			ratio.Abs(ratio)
			if step == nil || ratio.Cmp(step) < 0 || row >= 0 && ratio.Cmp(step) == 0 && b < q.basic[row] {
				step, row = ratio, i
			}
		}
		if step == nil {
			return nil
		}
		if !up {
			step = new(big.Rat).Neg(step)
		}
		q.x[w] = new(big.Rat).Add(q.x[w], step)
		q.values()
		if row >= 0 {
			q.pivot(row, col)
		}
	}
	sum, t := new(big.Rat), new(big.Rat)
	for j := range q.n {
		sum.Add(sum, t.Mul(new(big.Rat).SetFloat64(c[j]), q.x[j]))
	}
	return sum
}
