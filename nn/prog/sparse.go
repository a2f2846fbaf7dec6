package prog

import (
	"math"
	"sync"

	"github.com/spai-project/certify/internal/kernel"
)

// sparseMap is a matrix in compressed sparse rows. |M| and the transposes are made on first use.
type sparseMap struct {
	m, n             int
	csr              *kernel.CSR[float64]
	rowFan, colFan   int
	runs             []run // the whole map, when it consists of few of them; else nil
	abs, tran, tranA lazyCSR
}

// A run is n consecutive rows i, i+1, … whose only entries are in the columns j, j+1, … and have the same value v:
// copies, slices, concatenations and additions are a few of them, and each is one pass over contiguous numbers.
type run struct {
	i, j, n int
	v       float64
}

type lazyCSR struct {
	once sync.Once
	s    *kernel.CSR[float64]
}

func (l *lazyCSR) get(build func() *kernel.CSR[float64]) *kernel.CSR[float64] {
	l.once.Do(func() { l.s = build() })
	return l.s
}

// Sparse returns the map of an m×n matrix given in compressed sparse rows: row i has the columns idx[ptr[i]:ptr[i+1]]
// (no duplicates within a row) and the values val at the same positions. The slices are kept. It panics if they do not
// describe an m×n matrix.
func Sparse(m, n int, ptr, idx []int32, val []float64) Linear {
	s := &sparseMap{m: m, n: n, csr: kernel.NewCSR(m, n, ptr, idx, val)}
	count := make([]int32, n)
	for i := 0; i < m; i++ {
		s.rowFan = max(s.rowFan, int(ptr[i+1]-ptr[i]))
	}
	for _, j := range idx {
		count[j]++
		s.colFan = max(s.colFan, int(count[j]))
	}
	if s.rowFan <= 1 {
		s.findRuns()
	}
	if s.isDiagonal() {
		return diagMap{s}
	}
	return s
}

// isDiagonal reports whether the map is square with entry i,i in every row and nothing else.
func (s *sparseMap) isDiagonal() bool {
	if s.m != s.n || s.rowFan > 1 {
		return false
	}
	for i := range s.m {
		if idx, _ := s.csr.Row(i); len(idx) != 1 || int(idx[0]) != i {
			return false
		}
	}
	return true
}

// asSparse returns the map as compressed sparse rows if that is how it is stored.
func asSparse(l Linear) (*sparseMap, bool) {
	switch l := l.(type) {
	case *sparseMap:
		return l, true
	case diagMap:
		return l.sparseMap, true
	}
	return nil, false
}

// findRuns sets s.runs if they are at least four entries long on average.
func (s *sparseMap) findRuns() {
	var runs []run
	nnz := 0
	s.Each(func(i, j int, v float64) {
		nnz++
		if k := len(runs) - 1; k >= 0 {
			if q := &runs[k]; q.i+q.n == i && q.j+q.n == j && q.v == v {
				q.n++
				return
			}
		}
		runs = append(runs, run{i, j, 1, v})
	})
	if 4*len(runs) <= nnz {
		s.runs = runs
	}
}

// Index returns the map out[i] = in[idx[i]], or 0 where idx[i] < 0; in has n elements.
func Index(n int, idx []int32) Linear {
	ptr := make([]int32, len(idx)+1)
	var cols []int32
	var val []float64
	for i, j := range idx {
		if j >= 0 {
			cols = append(cols, j)
			val = append(val, 1)
		}
		ptr[i+1] = int32(len(cols))
	}
	return Sparse(len(idx), n, ptr, cols, val)
}

// Diag returns the square map out[i] = s[i]·in[i].
func Diag(s []float64) Linear {
	ptr := make([]int32, len(s)+1)
	idx := make([]int32, len(s))
	for i := range s {
		ptr[i+1], idx[i] = int32(i+1), int32(i)
	}
	return Sparse(len(s), len(s), ptr, idx, s)
}

// Identity returns the identity on n elements.
func Identity(n int) Linear {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1
	}
	return Diag(s)
}

func (s *sparseMap) Dims() (out, in int) { return s.m, s.n }
func (s *sparseMap) Fan() (row, col int) { return s.rowFan, s.colFan }

// mul computes dst += A·x for the m×n matrix A in the given form.
func mul(a *kernel.CSR[float64], dst, x []float64, m, n, R int) {
	if R == 1 || R%8 == 0 {
		a.Mul(dst, x, R)
		return
	}
	forEachLane(dst, x, m, n, R, func(d, x []float64) { a.Mul(d, x, 1) })
}

func (s *sparseMap) Forward(dst, x []float64, R int) {
	if s.runs != nil {
		for _, q := range s.runs {
			kernel.Axpy(dst[q.i*R:(q.i+q.n)*R], x[q.j*R:], q.v)
		}
		return
	}
	mul(s.csr, dst, x, s.m, s.n, R)
}

func (s *sparseMap) ForwardAbs(dst, x []float64, R int) {
	if s.runs != nil {
		for _, q := range s.runs {
			kernel.Axpy(dst[q.i*R:(q.i+q.n)*R], x[q.j*R:], math.Abs(q.v))
		}
		return
	}
	mul(s.abs.get(s.csr.Abs), dst, x, s.m, s.n, R)
}

func (s *sparseMap) Backward(dst, y []float64, R int) {
	switch {
	case s.runs != nil:
		for _, q := range s.runs {
			kernel.Axpy(dst[q.j*R:(q.j+q.n)*R], y[q.i*R:], q.v)
		}
	case R == 1:
		s.csr.MulT(dst, y)
	default:
		mul(s.tran.get(s.csr.Transpose), dst, y, s.n, s.m, R)
	}
}

// backwardAbs computes dst[In×R] += |M|ᵀ·y[Out×R].
func (s *sparseMap) backwardAbs(dst, y []float64, R int) {
	mul(s.tranA.get(func() *kernel.CSR[float64] { return s.tran.get(s.csr.Transpose).Abs() }), dst, y, s.n, s.m, R)
}

func (s *sparseMap) Row(dst []float64, R, r, i int, f float64) {
	idx, val := s.csr.Row(i)
	for k, j := range idx {
		dst[int(j)*R+r] += f * val[k]
	}
}

// row calls f for the entries of row i.
func (s *sparseMap) row(i int, f func(j int, v float64)) {
	idx, val := s.csr.Row(i)
	for k, j := range idx {
		f(int(j), val[k])
	}
}

// column calls f for the entries of column j, by increasing row.
func (s *sparseMap) column(j int, f func(i int, v float64)) {
	idx, val := s.tran.get(s.csr.Transpose).Row(j)
	for k, i := range idx {
		f(int(i), val[k])
	}
}

func (s *sparseMap) Each(f func(i, j int, v float64)) {
	for i := 0; i < s.m; i++ {
		idx, val := s.csr.Row(i)
		for k, j := range idx {
			f(i, int(j), val[k])
		}
	}
}

// RowReader returns a function that calls f for the entries of row i of m, stored zeros possibly among them.
func RowReader(m Linear) func(i int, f func(j int, v float64)) {
	if a, ok := m.(adjoint); ok {
		return a.row
	}
	rows, cols := m.Dims()
	b := newCSRBuilder(rows, 0)
	m.Each(func(i, j int, v float64) {
		for len(b.ptr) <= i {
			b.endRow()
		}
		b.add(int32(j), v)
	})
	for len(b.ptr) <= rows {
		b.endRow()
	}
	return b.build(cols).(*sparseMap).row
}
