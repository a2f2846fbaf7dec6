package simplex

import (
	"fmt"
	"math"
	"math/big"
)

// A Row is one row of the matrix of a System: Val[k] at column Idx[k]; columns ascend without repetition.
type Row struct {
	Idx []int32
	Val []float64
}

// A System is the general form of Dutertre and de Moura: structural variables x (0…n−1), one variable s_r (n+r) for each row of a
// fixed matrix, s = A·x, and bounds lo ≤ (x,s) ≤ hi that come and go. Asserting or retracting a bound costs O(1); the basis, the
// tableau and the assignment stay where they are and Repair or Minimize continue from there (Dutertre and de Moura, A fast
// linear-arithmetic solver for DPLL(T), CAV 2006).
//
// The tableau is dense and explicit: a caller such as Reluplex reads its rows. It is kept in floats, and nothing follows from it:
// Bound and BoundExact evaluate multipliers on A itself. A System is not safe for concurrent use.
type System struct {
	n, m   int
	a      []Row
	lo, hi []float64
	scale  []float64 // per variable: the size in which violations of its bounds are measured
	trail  []change
	marks  []int

	t        []float64 // m×n: value of basic[i] = Σ_j t[i·n+j]·nonbasic[j]
	basic    []int32
	nonbasic []int32
	at       []int32   // place of a variable: column j as j, row i as ^i
	x        []float64 // values of all variables; those of basic ones follow the others'
	d        []float64 // reduced costs by column, of the objective or of made-up costs
	weight   []float64 // Devex weights by row
	price    []float64 // Devex weights by column, of the primal method
	support  []int32   // scratch of pivot
	ratios   []candidate
	fresh    int // pivots since the last look at the rounding
	stats    Stats
	safe     Scratch
	sum      []Term
	pinned   int // variable that Repair moves last, −1
	fail     failure
	exactRay []*big.Rat // of the last Repair, where the float one proves nothing
}

// A candidate for entering: the column, its dual ratio, the size of its entry, plain and in units of scale, how far its variable can
// move.
type candidate struct {
	col                      int
	ratio, size, pivot, room float64
}

// failure is the row of the tableau that cannot be repaired, and on which side.
type failure struct {
	row int
	low bool
}

// change is an entry of the trail: a bound as it was.
type change struct {
	v     int32
	upper bool
	old   float64
}

// Stats counts the work of a System.
type Stats struct {
	Pivots, Flips, Refactorisations int
}

// NewSystem returns the system of the rows over n structural variables, all of it unbounded, with the rows basic and every value 0.
// The rows are kept. Errors wrap ErrBadProblem.
func NewSystem(n int, rows []Row) (*System, error) {
	m := len(rows)
	s := &System{n: n, m: m, a: rows, t: make([]float64, m*n), basic: make([]int32, m), nonbasic: make([]int32, n),
		at: make([]int32, n+m), x: make([]float64, n+m), lo: make([]float64, n+m), hi: make([]float64, n+m),
		scale: make([]float64, n+m), d: make([]float64, n), weight: make([]float64, m), price: make([]float64, n), pinned: -1}
	for v := range s.lo {
		s.lo[v], s.hi[v], s.scale[v] = math.Inf(-1), math.Inf(1), 1
	}
	for r, row := range rows {
		if len(row.Idx) != len(row.Val) {
			return nil, fmt.Errorf("%w: row %d: %d columns, %d numbers", ErrBadProblem, r, len(row.Idx), len(row.Val))
		}
		largest := 0.0
		for k, j := range row.Idx {
			if j < 0 || int(j) >= n || k > 0 && j <= row.Idx[k-1] || !finite(row.Val[k]) {
				return nil, fmt.Errorf("%w: row %d: %v in column %d of %d", ErrBadProblem, r, row.Val[k], j, n)
			}
			largest = max(largest, math.Abs(row.Val[k]))
		}
		if largest > 0 {
			s.scale[n+r] = largest
		}
	}
	s.start()
	return s, nil
}

// start makes the rows basic.
func (s *System) start() {
	clear(s.t)
	for r, row := range s.a {
		for k, j := range row.Idx {
			s.t[r*s.n+int(j)] = row.Val[k]
		}
		s.basic[r], s.at[s.n+r], s.weight[r] = int32(s.n+r), ^int32(r), 1
	}
	for j := range s.n {
		s.nonbasic[j], s.at[j] = int32(j), int32(j)
	}
}

// Columns returns the number of structural variables, Rows that of rows.
func (s *System) Columns() int { return s.n }

// Rows returns the number of rows; the variable of row r is Columns()+r.
func (s *System) Rows() int { return s.m }

// Lower returns the lower bound of v.
func (s *System) Lower(v int) float64 { return s.lo[v] }

// Upper returns the upper bound of v.
func (s *System) Upper(v int) float64 { return s.hi[v] }

// Value returns the value of v in the present assignment.
func (s *System) Value(v int) float64 { return s.x[v] }

// Bounds returns the bounds of all variables; they must not be changed.
func (s *System) Bounds() (lo, hi []float64) { return s.lo, s.hi }

// Stats returns what was done so far.
func (s *System) Stats() Stats { return s.stats }

// SetLower asserts x_v ≥ b, tighter or not than before. O(1). It panics when b is NaN or +Inf.
func (s *System) SetLower(v int, b float64) {
	if math.IsNaN(b) || math.IsInf(b, 1) {
		panic("simplex: lower bound")
	}
	if len(s.marks) > 0 {
		s.trail = append(s.trail, change{int32(v), false, s.lo[v]})
	}
	s.lo[v] = b
}

// SetUpper asserts x_v ≤ b, tighter or not than before. O(1). It panics when b is NaN or −Inf.
func (s *System) SetUpper(v int, b float64) {
	if math.IsNaN(b) || math.IsInf(b, -1) {
		panic("simplex: upper bound")
	}
	if len(s.marks) > 0 {
		s.trail = append(s.trail, change{int32(v), true, s.hi[v]})
	}
	s.hi[v] = b
}

// Pin asks the next Repair to leave nonbasic variable v where it is as long as it can.
func (s *System) Pin(v int) { s.pinned = v }

// Push opens a level: Pop takes back what was asserted since.
func (s *System) Push() { s.marks = append(s.marks, len(s.trail)) }

// Pop takes back the bounds of the last level, O(1) each. The basis and the assignment stay. It panics without a level.
func (s *System) Pop() {
	last := len(s.marks) - 1
	for len(s.trail) > s.marks[last] {
		c := s.trail[len(s.trail)-1]
		s.trail = s.trail[:len(s.trail)-1]
		if c.upper {
			s.hi[c.v] = c.old
		} else {
			s.lo[c.v] = c.old
		}
	}
	s.marks = s.marks[:last]
}

// SystemBytes estimates the memory of a System of that size, its rows aside.
func SystemBytes(columns, rows int) int64 {
	n, m := int64(columns), int64(rows)
	return 8*n*m + 64*(n+m)
}
