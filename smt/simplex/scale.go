package simplex

import "math"

// scaled is the problem in units that need no tuning: variables run over [0,1], rows have Euclidean length one, the
// largest cost is one. Slacks run over [0, topSlack], where topSlack exceeds everything the box allows, so that every
// variable is boxed; a feasible point never has a slack there.
type scaled struct {
	n, m      int
	g         []float64 // m×n
	h         []float64
	c         []float64
	topSlack  []float64
	rowScale  []float64
	costScale float64 // 0 when the objective is constant; then c holds a made-up one that leads to feasibility
	offset    float64 // the objective at Lo
	fixed     []bool
}

func (s *scaled) row(i int) []float64 { return s.g[i*s.n : (i+1)*s.n] }

// load fills the scaled problem.
func (s *scaled) load(p *Problem) {
	s.n, s.m = len(p.C), len(p.G)
	s.g = resize(s.g, s.m*s.n)
	s.h, s.topSlack, s.rowScale = resize(s.h, s.m), resize(s.topSlack, s.m), resize(s.rowScale, s.m)
	s.c, s.fixed = resize(s.c, s.n), resize(s.fixed, s.n)
	s.offset = 0
	for j := range s.n {
		s.fixed[j] = p.Lo[j] == p.Hi[j]
		s.offset += p.C[j] * p.Lo[j]
	}
	for i := range s.m {
		s.loadRow(p, i)
	}
	s.loadCosts(p)
}

func (s *scaled) loadRow(p *Problem, i int) {
	g, row := p.G[i], s.row(i)
	largest, h := 0.0, p.H[i]
	for j, v := range g {
		h -= v * p.Lo[j]
		row[j] = v * (p.Hi[j] - p.Lo[j])
		largest = max(largest, math.Abs(row[j]))
	}
	f := 1.0
	if largest > 0 && finite(largest) {
		sum := 0.0
		for _, v := range row {
			sum += (v / largest) * (v / largest)
		}
		f = 1 / (largest * math.Sqrt(sum))
	}
	if largest == 0 { // no variable of the row can move: it holds or the problem is infeasible
		h = 1
		if lowerDot(g, p.Lo) > p.H[i] {
			h = -1
		}
	} else if !finite(f) || f == 0 { // out of the range in which this method works: leaving the row out is a relaxation
		f, h = 0, 1
	}
	least := 0.0
	for j := range row {
		row[j] *= f
		if f == 0 {
			row[j] = 0
		}
		least += min(0, row[j])
	}
	s.h[i], s.rowScale[i] = h, f
	if f != 0 {
		s.h[i] *= f
	}
	s.topSlack[i] = 1 + 2*max(0, s.h[i]-least)
}

// loadCosts scales the costs. A constant objective is replaced by the sum of the rows, which leads towards feasibility.
func (s *scaled) loadCosts(p *Problem) {
	largest := 0.0
	for j := range s.c {
		s.c[j] = p.C[j] * (p.Hi[j] - p.Lo[j])
		largest = max(largest, math.Abs(s.c[j]))
	}
	s.costScale = 1 / largest
	if largest == 0 || !finite(s.costScale) || s.costScale == 0 {
		s.costScale = 0
		clear(s.c)
		for i := range s.m {
			axpy(s.c, 1, s.row(i))
		}
		largest = 0
		for _, v := range s.c {
			largest = max(largest, math.Abs(v))
		}
		if largest == 0 {
			return
		}
		for j := range s.c {
			s.c[j] /= largest
		}
		return
	}
	for j := range s.c {
		s.c[j] *= s.costScale
	}
}

// resize returns a cleared slice of n elements, reusing memory.
func resize[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	x = x[:n]
	clear(x)
	return x
}
