package simplex

import "math"

// The tableau: one row of coefficients per basic variable. Every operation keeps the assignment on the hyperplanes s = A·x up to
// rounding; refactor builds the tableau anew from A.

const (
	checkEach   = 64    // pivots between looks at the rounding
	tolResidual = 1e-8  // rounding of the assignment, in units of scale, from which the tableau is built anew
	maxWeight   = 1e9   // Devex weights from which they start again
	tolTableau  = 1e-11 // smaller entries of a pivot row are rounding
)

// IsBasic reports whether v is basic.
func (s *System) IsBasic(v int) bool { return s.at[v] < 0 }

// TableauRow returns the coefficients of basic variable v over Nonbasic, in floats; they change with the next pivot. It panics when
// v is nonbasic.
func (s *System) TableauRow(v int) []float64 { return s.row(int(^s.at[v])) }

// Nonbasic returns the variables of the tableau's columns; they change with the next pivot.
func (s *System) Nonbasic() []int32 { return s.nonbasic }

func (s *System) row(i int) []float64 { return s.t[i*s.n : (i+1)*s.n] }

// Update sets nonbasic variable v to a value and lets the basic ones follow.
func (s *System) Update(v int, value float64) {
	j := int(s.at[v])
	delta := value - s.x[v]
	s.x[v] = value
	if delta == 0 {
		return
	}
	for i, b := range s.basic {
		if f := s.t[i*s.n+j]; f != 0 {
			s.x[b] += f * delta
		}
	}
}

// Pivot makes basic variable v nonbasic and nonbasic variable w, whose entry in v's row must not be zero, basic. The assignment
// stays.
func (s *System) Pivot(v, w int) { s.pivot(int(^s.at[v]), int(s.at[w])) }

func (s *System) pivot(i, q int) {
	row := s.row(i)
	p := 1 / row[q]
	s.support = s.support[:0]
	for j, f := range row {
		if j == q || f == 0 {
			continue
		}
		row[j] = -f * p
		s.support = append(s.support, int32(j))
	}
	row[q] = p
	dense := 2*len(s.support) > s.n
	wi, worst := s.weight[i], 0.0
	for k := range s.m {
		if k == i {
			continue
		}
		line := s.row(k)
		f := line[q]
		if f == 0 {
			continue
		}
		line[q] = 0
		s.eliminate(line, row, f, dense)
		line[q] = f * p
		s.weight[k] = max(s.weight[k], f*p*f*p*wi)
		worst = max(worst, s.weight[k])
	}
	if f := s.d[q]; f != 0 {
		s.d[q] = 0
		s.eliminate(s.d, row, f, dense)
		s.d[q] = f * p
	}
	if s.weight[i] = max(p*p*wi, 1); !(max(worst, s.weight[i]) < maxWeight) { // NaN included
		s.resetWeights()
	}
	v, w := s.basic[i], s.nonbasic[q]
	s.basic[i], s.nonbasic[q] = w, v
	s.at[w], s.at[v] = ^int32(i), int32(q)
	s.stats.Pivots++
	s.fresh++
}

// resetWeights starts a new reference framework.
func (s *System) resetWeights() {
	for i := range s.weight {
		s.weight[i] = 1
	}
}

// eliminate adds f times the pivot row; line's own entry in the pivot column is the caller's.
func (s *System) eliminate(line, row []float64, f float64, dense bool) {
	if dense {
		for len(line) >= 4 && len(row) >= 4 { // four at a time: this loop is where the time goes
			line[0] += f * row[0]
			line[1] += f * row[1]
			line[2] += f * row[2]
			line[3] += f * row[3]
			line, row = line[4:], row[4:]
		}
		for j := range line {
			line[j] += f * row[j]
		}
		return
	}
	for _, j := range s.support {
		line[j] += f * row[j]
	}
}

// settle moves nonbasic variables inside their bounds.
func (s *System) settle() {
	for _, v := range s.nonbasic {
		if b := min(max(s.x[v], s.lo[v]), s.hi[v]); b != s.x[v] {
			s.Update(int(v), b)
		}
	}
}

// recompute derives the values of the basic variables from the others'.
func (s *System) recompute() {
	for i, b := range s.basic {
		sum := 0.0
		for j, f := range s.row(i) {
			sum += f * s.x[s.nonbasic[j]]
		}
		s.x[b] = sum
	}
}

// residual returns how far the assignment is from s = A·x, in units of scale.
func (s *System) residual() float64 {
	worst := 0.0
	for r, row := range s.a {
		sum, mag := 0.0, 1.0
		for k, j := range row.Idx {
			v := row.Val[k] * s.x[j]
			sum += v
			mag = max(mag, math.Abs(v)/s.scale[s.n+r])
		}
		worst = max(worst, math.Abs(sum-s.x[s.n+r])/(s.scale[s.n+r]*mag))
	}
	return worst
}

// refresh looks at the rounding now and then and builds the tableau anew when it shows.
func (s *System) refresh() {
	if s.fresh < checkEach {
		return
	}
	s.fresh = 0
	s.recompute()
	if r := s.residual(); !(r <= tolResidual) {
		s.refactor()
	}
}

// refactor builds the tableau from A for the present basis: from the rows' own basis, each basic structural variable is brought in
// for the row, among those that have to leave, with the largest entry. A structural variable without a fit entry stays nonbasic, at
// the bound next to it, and a row stays basic for it: a singular basis repairs itself.
func (s *System) refactor() {
	s.stats.Refactorisations++
	var enter []int32
	leaves := make([]bool, s.m)
	for j := range s.n {
		if s.at[j] < 0 {
			enter = append(enter, int32(j))
		}
	}
	for r := range s.m {
		leaves[r] = s.at[s.n+r] >= 0
	}
	s.start()
	clear(s.d) // whoever needs costs computes them
	pivots := s.stats.Pivots
	for _, j := range enter {
		best, size := -1, tolTableau
		q := int(s.at[j])
		for r, leave := range leaves {
			if f := math.Abs(s.t[r*s.n+q]); leave && f > size*s.scale[s.n+r] {
				best, size = r, f/s.scale[s.n+r]
			}
		}
		if best < 0 {
			continue
		}
		leaves[best] = false
		s.pivot(best, q)
	}
	s.stats.Pivots, s.fresh = pivots, 0
	s.resetWeights()
	for _, v := range s.nonbasic {
		if !finite(s.x[v]) {
			s.x[v] = min(max(0, s.lo[v]), s.hi[v])
		}
	}
	s.recompute()
	s.settle()
}
