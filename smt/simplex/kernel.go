package simplex

import "math"

// kernel is the active part of a basis: k rows with nonbasic slack, k basic structural variables, and the inverse of the
// k×k submatrix between them. All other slacks are basic; all other variables are nonbasic.
type kernel struct {
	k     int
	rows  []int // active rows, by kernel position
	cols  []int // basic variables, by kernel position
	rowAt []int // position of a row in rows, −1
	colAt []int // position of a variable in cols, −1
	inv   []float64
	ld    int // row length of inv, which is indexed [position of variable][position of row]
	work  []float64
}

func (kr *kernel) invRow(p int) []float64 { return kr.inv[p*kr.ld : p*kr.ld+kr.k] }

// reset empties the kernel for m rows and n variables.
func (kr *kernel) reset(m, n int) {
	kr.k, kr.rows, kr.cols = 0, kr.rows[:0], kr.cols[:0]
	kr.rowAt, kr.colAt = resize(kr.rowAt, m), resize(kr.colAt, n)
	for i := range kr.rowAt {
		kr.rowAt[i] = -1
	}
	for j := range kr.colAt {
		kr.colAt[j] = -1
	}
}

// reserve makes room for a kernel of size k, keeping the inverse.
func (kr *kernel) reserve(k int) {
	if k <= kr.ld {
		return
	}
	ld := max(8, 2*k)
	inv := make([]float64, ld*ld)
	for p := range kr.k {
		copy(inv[p*ld:], kr.invRow(p))
	}
	kr.inv, kr.ld = inv, ld
}

// factor inverts the submatrix of the wanted rows and columns by Gauss–Jordan elimination with row-wise pivoting and
// keeps what is regular: rows that depend on others and columns without a pivot are dropped.
func (kr *kernel) factor(s *scaled, rows, cols []int) {
	nr, nc := len(rows), len(cols)
	width := nc + nr
	kr.work = resize(kr.work, nr*width)
	line := func(a int) []float64 { return kr.work[a*width : (a+1)*width] }
	for a, i := range rows {
		for p, j := range cols {
			line(a)[p] = s.g[i*s.n+j]
		}
		line(a)[nc+a] = 1
	}
	pivotOf := make([]int, nr) // column position of each row, −1 when dropped
	used := make([]bool, nc)
	for a := range rows {
		pivotOf[a] = eliminate(kr.work, width, nr, nc, a, used)
	}
	kr.reset(s.m, s.n)
	var kept []int
	for a, p := range pivotOf {
		if p >= 0 {
			kept = append(kept, a)
			kr.rowAt[rows[a]], kr.colAt[cols[p]] = len(kr.rows), len(kr.cols)
			kr.rows, kr.cols = append(kr.rows, rows[a]), append(kr.cols, cols[p])
		}
	}
	kr.reserve(len(kept))
	kr.k = len(kept)
	for p, a := range kept {
		for b, e := range kept {
			kr.inv[p*kr.ld+b] = line(a)[nc+e]
		}
	}
}

// eliminate pivots on the largest unused entry of row a in the first nc columns and returns its column, −1 for none.
func eliminate(m []float64, width, nr, nc, a int, used []bool) int {
	row := m[a*width : (a+1)*width]
	best := -1
	for p := range nc {
		if !used[p] && (best < 0 || math.Abs(row[p]) > math.Abs(row[best])) {
			best = p
		}
	}
	if best < 0 || !(math.Abs(row[best]) > tolPivot) {
		return -1
	}
	used[best] = true
	f := 1 / row[best]
	for q := range row {
		row[q] *= f
	}
	for b := range nr {
		if other := m[b*width : (b+1)*width]; b != a && other[best] != 0 {
			axpy(other, -other[best], row)
		}
	}
	return best
}

// grow adds row i and variable j: u is inverse·column of j, w is row of i·inverse, pivot the Schur complement g_ij − w·g_j.
func (kr *kernel) grow(i, j int, u, w []float64, pivot float64) {
	k := kr.k
	kr.reserve(k + 1)
	f := 1 / pivot
	for p := range k {
		axpy(kr.invRow(p), u[p]*f, w[:k])
		kr.inv[p*kr.ld+k] = -u[p] * f
	}
	last := kr.inv[k*kr.ld:]
	for a := range k {
		last[a] = -w[a] * f
	}
	last[k] = f
	kr.rows, kr.cols = append(kr.rows, i), append(kr.cols, j)
	kr.rowAt[i], kr.colAt[j] = k, k
	kr.k = k + 1
}

// replaceRow puts row i at position a; w is row of i·inverse.
func (kr *kernel) replaceRow(a, i int, w []float64) {
	f := 1 / w[a]
	for p := range kr.k {
		row := kr.invRow(p)
		x := row[a] * f
		if x != 0 {
			axpy(row, -x, w[:kr.k])
		}
		row[a] = x
	}
	kr.rowAt[kr.rows[a]], kr.rowAt[i] = -1, a
	kr.rows[a] = i
}

// replaceCol puts variable j at position p; u is inverse·column of j.
func (kr *kernel) replaceCol(p, j int, u []float64) {
	pr := kr.invRow(p)
	f := 1 / u[p]
	for a := range pr {
		pr[a] *= f
	}
	for q := range kr.k {
		if q != p && u[q] != 0 {
			axpy(kr.invRow(q), -u[q], pr)
		}
	}
	kr.colAt[kr.cols[p]], kr.colAt[j] = -1, p
	kr.cols[p] = j
}

// shrink removes the row at position a and the variable at position p.
func (kr *kernel) shrink(a, p int) {
	pr := kr.invRow(p)
	f := 1 / pr[a]
	for q := range kr.k {
		if row := kr.invRow(q); q != p && row[a] != 0 {
			axpy(row, -row[a]*f, pr)
		}
	}
	last := kr.k - 1
	kr.rowAt[kr.rows[a]], kr.colAt[kr.cols[p]] = -1, -1
	if p != last {
		copy(pr, kr.invRow(last))
		kr.cols[p] = kr.cols[last]
		kr.colAt[kr.cols[p]] = p
	}
	if a != last {
		for q := range last {
			row := kr.invRow(q)
			row[a] = row[last]
		}
		kr.rows[a] = kr.rows[last]
		kr.rowAt[kr.rows[a]] = a
	}
	kr.rows, kr.cols, kr.k = kr.rows[:last], kr.cols[:last], last
}
